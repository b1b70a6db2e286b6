"""A resource of Azure OpenAI on loopback: checks path, version and key as Azure does, and answers by script."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qs, unquote

from peers.responses_server import ResponsesServer
from peers.scripted_server import Reply, Request

DENIED = "Access denied due to invalid subscription key or wrong API endpoint."
VERSIONS = {"2024-10-21": ("chat",), "2025-03-01-preview": ("chat", "responses")}
"""The dated versions that it has, and the interfaces of each."""
UNDATED = ((), ("preview",), ("latest",))
"""The values of `api-version` that the paths under `/openai/v1` take."""


class AzureServer(ResponsesServer):
    """One resource with one deployment.

    Args:
        deployment: its name.
        key: what `api-key` must be.
        tokens: what a bearer token must be one of; a list that grows may be given.
    """

    def __init__(
        self, *script: Any, deployment: str = "my deployment", key: str = "", tokens: Collection[str] = ()
    ) -> None:
        super().__init__(*script)
        self.deployment = deployment
        self.key = key
        self.tokens = tokens

    def _reply(self, request: Request) -> Reply:
        return self._refusal(request) or super()._reply(request)

    def _refusal(self, request: Request) -> Reply | None:
        path = unquote(request.path)
        versions = tuple(parse_qs(request.query).get("api-version", ()))
        if not self._has(path, versions, request):
            return _error(404, "404", "Resource not found")
        if not self._knows(request.headers):
            return _error(401, "401", DENIED)
        named = path.split("/")[3] if path.startswith("/openai/deployments/") else None
        named = request.body.get("model") if named is None and request.is_chat else named
        if named not in (None, self.deployment):
            return _error(404, "DeploymentNotFound", "The API deployment for this resource does not exist.")
        return None

    def _has(self, path: str, versions: tuple[str, ...], request: Request) -> bool:
        if path.startswith("/openai/v1/"):
            ways = ("/openai/v1/chat/completions", "/openai/v1/responses", "/openai/v1/models")
            return path in ways and versions in UNDATED
        apis = VERSIONS.get(versions[0], ()) if len(versions) == 1 else ()
        if path.startswith("/openai/deployments/"):
            return "chat" in apis and path.endswith("/chat/completions") and path.count("/") == 5
        return bool(apis) and (path == "/openai/models" or (path == "/openai/responses" and "responses" in apis))

    def _knows(self, headers: dict[str, str]) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme:
            return scheme == "Bearer" and token in self.tokens
        return bool(self.key) and headers.get("api-key") == self.key


def _error(status: int, code: str, message: str) -> Reply:
    return Reply(status=status, body={"error": {"code": code, "message": message}})
