"""A sign-in like that of Entra ID on loopback, over TLS: hands out tokens to who knows the secret, and keeps a log.

with EntraServer(certificates.context("good")) as entra:
    credential = ClientSecretCredential(
        TENANT, CLIENT, SECRET, authority=entra.url, disable_instance_discovery=True, connection_verify=ca_bundle
    )
"""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"
SECRET = "client-secret-of-nobody"


class EntraServer:
    """Serves the tenant `TENANT` until the end of its context.

    Args:
        tls: the server's side of TLS.
        expires_in_s: how long tokens hold, in seconds.
    """

    def __init__(self, tls: ssl.SSLContext, *, expires_in_s: int = 3600) -> None:
        self.expires_in_s = expires_in_s
        self.asked: list[dict[str, str]] = []
        """The forms that asked for a token."""
        self.tokens: list[str] = []
        """The tokens that were handed out."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """What to give as `authority`."""
        return f"https://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()

    def discovery(self) -> dict[str, Any]:
        """Where the tenant's parts are."""
        tenant = f"{self.url}/{TENANT}"
        return {
            "issuer": f"{tenant}/v2.0",
            "token_endpoint": f"{tenant}/oauth2/v2.0/token",
            "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
            "tenant_region_scope": "EU",
        }

    def answer(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and body for one request for a token."""
        self.asked.append(form)
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            problem = "AADSTS7000215: Invalid client secret provided."
            return 401, {"error": "invalid_client", "error_description": problem, "error_codes": [7000215]}
        token = f"entra-token-{len(self.tokens) + 1}-of-nobody"
        self.tokens.append(token)
        return 200, {"token_type": "Bearer", "access_token": token, "expires_in": self.expires_in_s}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        entra = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                known = self.path == f"/{TENANT}/v2.0/.well-known/openid-configuration"
                self._send(*((200, entra.discovery()) if known else (404, {})))

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"])).decode()
                known = self.path == f"/{TENANT}/oauth2/v2.0/token"
                form = {name: values[0] for name, values in parse_qs(raw).items()}
                self._send(*(entra.answer(form) if known else (404, {})))

            def _send(self, status: int, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
