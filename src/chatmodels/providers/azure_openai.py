"""Azure OpenAI: the same interfaces behind deployments, dated or under `/openai/v1`, with a key or through Entra ID."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote, unquote, urlencode

from pydantic import SecretStr

from chatmodels.errors import ProviderAuthError
from chatmodels.families import DEFAULT_MODELS
from chatmodels.providers.apis import wire_of
from chatmodels.providers.completions import OpenAIWireModel, lowered
from chatmodels.providers.entra import SCOPE, Credential, EntraSignIn
from chatmodels.providers.time_limits import check_seconds
from chatmodels.transport.address import Target
from chatmodels.transport.seam import Timeouts, UnsentFault
from chatmodels.types import ChatRequest
from fmf_core.errors import Code, ConfigurationError
from fmf_core.portal import in_thread
from fmf_core.redact import bare_address

API_VERSION = "2024-10-21"
_DATED = re.compile(r"20\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?:-[a-z]+)?", re.ASCII)
_INTERFACE = re.compile(
    r"/openai(?:/v1)?/(?:deployments/(?P<deployment>[^/?#]+)|chat/completions|completions|responses)|[?&]api-version="
)
"""What stands in the address of one interface, as the portal shows it, but not in that of a resource."""
RESPONSES_SINCE = "2025-03-01"
"""The first dated version with the Responses interface."""
UNDATED = frozenset({"v1", "preview", "latest"})
"""Versions that stand for the paths under `/openai/v1`, where the deployment's name is the model's."""


class AzureOpenAIChatModel(OpenAIWireModel):
    """A chat model that is deployed in Azure OpenAI.

    Args:
        model: the deployment; asked when a request names none.
        api_key: the resource's key; without it `AZURE_OPENAI_API_KEY` is read for every request.
        endpoint: the resource's address, `https://NAME.openai.azure.com`; without it `AZURE_OPENAI_ENDPOINT`.
        api_version: the dated version of the interface, or `v1`; without it `OPENAI_API_VERSION`, then `2024-10-21` for
            chat completions and `v1` for responses.
        api: the interface, `"chat"` for chat completions or `"responses"`.
        credential: who signs in to Entra ID, instead of a key: `"default"` (environment, managed identity, `az login`
            and more, in the order of `azure.identity`; extra `azure`), a credential of `azure.identity`, blocking or
            async, or a function that returns a token. Tokens are kept and renewed.
        scope: what the credential's tokens are for.
        token: a token of Entra ID that you renew yourself; without it `AZURE_OPENAI_AD_TOKEN`.
        timeout_s: seconds for one attempt, from its start to its last byte.
        connect_timeout_s: seconds for name look-up, connection and TLS.
        first_byte_timeout_s: seconds from the sent request to the first byte of the reply; `None` is no such limit.
        between_bytes_timeout_s: the longest silence within a reply, in seconds; `None` is no such limit.
        default_headers: sent with every request.
        ca_bundle: a file of certificates to trust instead of those of the system (or of `SSL_CERT_FILE`).

    Proxies come from the environment, as for `openai`. No request is repeated and no redirect is followed here.
    """

    provider_name = "azure_openai"
    key_names = "AZURE_OPENAI_API_KEY (or api_key)"
    address_names = "endpoint (AZURE_OPENAI_ENDPOINT)"

    def __init__(
        self,
        *,
        model: str | None = None,
        api_key: SecretStr | str | None = None,
        endpoint: str | None = None,
        api_version: str | None = None,
        api: Literal["chat", "responses"] = "chat",
        credential: Credential | None = None,
        scope: str = SCOPE,
        token: SecretStr | str | None = None,
        timeout_s: float = 60.0,
        connect_timeout_s: float | None = 10.0,
        first_byte_timeout_s: float | None = None,
        between_bytes_timeout_s: float | None = None,
        default_headers: Mapping[str, str] | None = None,
        ca_bundle: str | None = None,
    ) -> None:
        check_seconds(
            self.provider_name,
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            first_byte_timeout_s=first_byte_timeout_s,
            between_bytes_timeout_s=between_bytes_timeout_s,
        )
        timeouts = Timeouts(timeout_s, connect_timeout_s, first_byte_timeout_s, between_bytes_timeout_s)
        if credential is not None and (api_key or token):
            raise ConfigurationError(
                f"azure_openai got a credential and {'an api_key' if api_key else 'a token'}",
                op="azure_openai.create",
                hint="give one of credential, api_key and token",
            )
        self._entra = EntraSignIn(credential, scope) if credential is not None else None
        wire = wire_of(api, self.provider_name)
        model = model or DEFAULT_MODELS[self.provider_name]
        super().__init__(model, timeouts, ca_bundle=ca_bundle, wire=wire, sign_in=self._entra)
        self._api = api
        self._api_key = SecretStr(api_key) if isinstance(api_key, str) else api_key
        self._token = SecretStr(token) if isinstance(token, str) else token
        self._endpoint = endpoint
        self._api_version = api_version
        self._headers = lowered(default_headers)

    def __repr__(self) -> str:
        where = self._endpoint and bare_address(self._endpoint)
        return f"{type(self).__name__}(model={self.model!r}, endpoint={where!r})"

    @property
    def api_version(self) -> str:
        """The version of the interface that requests ask for."""
        preferred = API_VERSION if self._api == "chat" else "v1"
        return self._api_version or os.environ.get("OPENAI_API_VERSION") or preferred

    def path_of(self, request: ChatRequest) -> str:
        """Where `request` is sent: a deployment has a path of its own in the dated chat completions."""
        version, path = self.api_version, self._wire.path
        if version in UNDATED:
            return f"/openai/v1{path}"
        if self._api == "chat":
            if request.model in (".", ".."):
                raise UnsentFault(f"{request.model!r} is no name of a deployment", Code.INVALID, "check model")
            return f"/openai/deployments/{quote(request.model, safe='')}{path}"
        if version[:1] == "2" and version < RESPONSES_SINCE:
            raise UnsentFault(
                f"version {version!r} of Azure OpenAI has no Responses interface",
                Code.INVALID,
                "set api_version (OPENAI_API_VERSION) to v1, or use api='chat'",
            )
        return f"/openai{path}"

    @property
    def credentials_id(self) -> int | None:  # type: ignore[override]
        """Tells other headers apart, by which a gateway may know tenants; all keys of a resource share its limits."""
        return hash((*self._headers.items(),))

    @property
    def cache_facts(self) -> Mapping[str, Any] | None:  # type: ignore[override]
        """The resource, the interface and what is sent with every request, as it holds now."""
        where = self._endpoint or os.environ.get("AZURE_OPENAI_ENDPOINT")
        interface = (self._api, self.api_version)
        return {"model": self.model, "endpoint": where, "interface": interface, "headers": self._headers}

    @property
    def models_path(self) -> str:
        """Where the resource lists its models."""
        return "/openai/v1/models" if self.api_version in UNDATED else "/openai/models"

    async def cleanup(self) -> None:
        """Close the connections of every event loop that used this model, and the credential that was made for it."""
        await super().cleanup()
        if self._entra is not None:
            await in_thread(self._entra.close)

    def target(self) -> Target:
        """The resource, and the key or the token: arguments, then the environment.

        With a credential it holds the newest token, and none before the first sign-in.
        """
        environ = os.environ
        endpoint = self._endpoint or environ.get("AZURE_OPENAI_ENDPOINT", "")
        if self._entra is not None:
            settings = (endpoint, "", self._entra.token, self.api_version)
        else:
            settings = (
                endpoint,
                self._api_key.get_secret_value() if self._api_key else environ.get("AZURE_OPENAI_API_KEY", ""),
                self._token.get_secret_value() if self._token else environ.get("AZURE_OPENAI_AD_TOKEN", ""),
                self.api_version,
            )
        return self._kept(settings) or self._keep(settings, self._made(*settings))

    def _made(self, endpoint: str, key: str, token: str, api_version: str) -> Target:
        if not endpoint:
            raise UnsentFault(
                "no address of a resource is set",
                Code.INVALID,
                "set AZURE_OPENAI_ENDPOINT, or pass endpoint: https://NAME.openai.azure.com",
            )
        if api_version not in UNDATED and not _DATED.fullmatch(api_version):
            raise UnsentFault(
                f"{api_version!r} is no version of Azure OpenAI's interface",
                Code.INVALID,
                f"set api_version (OPENAI_API_VERSION) to a date such as {API_VERSION}, or to v1",
            )
        base, _, own = _resource(endpoint).partition("?")
        asked = "" if api_version == "v1" else urlencode({"api-version": api_version})
        query = "&".join(part for part in (own, asked) if part)
        base = base.rstrip("/").removesuffix("/v1").removesuffix("/openai")
        return Target(f"{base}?{query}", {**self._identified(key, token), **self._headers})

    def _identified(self, key: str, token: str) -> dict[str, str]:
        if token and not (self._api_key and not self._token):
            return {"authorization": f"Bearer {self._checked_key(token)}"}
        if key:
            return {"api-key": self._checked_key(key)}
        if self._entra is not None:
            return {}
        raise self._missing_key()

    def _missing_key(self) -> ProviderAuthError:
        return self._no_key(
            f"deployment {self.model!r}: neither a key nor a token is set",
            "set AZURE_OPENAI_API_KEY or pass api_key; or set credential to 'default', or AZURE_OPENAI_AD_TOKEN",
        )


def _resource(endpoint: str) -> str:
    """The address of the resource, to which the paths of the interfaces are added."""
    # People paste addresses with more behind the host than the resource.
    found = _INTERFACE.search(endpoint)
    if found is None:
        return endpoint
    deployment = found["deployment"]
    raise UnsentFault(
        f"{bare_address(endpoint)!r} is the address of one interface, not of the resource",
        Code.INVALID,
        f"set endpoint (AZURE_OPENAI_ENDPOINT) to {bare_address(endpoint[: found.start()])}, "
        + (f"model to {unquote(deployment)}, " if deployment else "model to the deployment, ")
        + "and api_version to what stands behind api-version=",
    )
