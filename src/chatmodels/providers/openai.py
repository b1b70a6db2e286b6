"""OpenAI and every server that speaks one of its two interfaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import SecretStr

from chatmodels.capabilities import is_openai, listed
from chatmodels.families import ALL, DEFAULT_MODELS
from chatmodels.providers.apis import wire_of
from chatmodels.providers.completions import OpenAIWireModel, lowered
from chatmodels.providers.time_limits import check_seconds
from chatmodels.transport.address import Target
from chatmodels.transport.seam import Timeouts
from fmf_core.environment import Variable
from fmf_core.errors import ConfigurationError
from fmf_core.redact import bare_address

if TYPE_CHECKING:
    import openai

    from chatmodels.providers.openai_sdk import SdkTransport

KEY, ADDRESS = Variable("OPENAI_API_KEY"), Variable("OPENAI_BASE_URL")
ORGANIZATION, PROJECT = Variable("OPENAI_ORG_ID"), Variable("OPENAI_PROJECT_ID")
BASE_URL = "https://api.openai.com/v1"
NO_KEY = "none"
"""What goes out as key to a server of one's own when no key is set: such servers want the header, not its value."""


class OpenAIChatModel(OpenAIWireModel):
    """A chat model behind chat completions or the Responses interface.

    Args:
        model: asked when a request names none.
        api_key: the key; without it `OPENAI_API_KEY` is read for every request.
        base_url: the server, with its `/v1`; without it `OPENAI_BASE_URL`, then OpenAI's own.
        api: the interface, `"chat"` for chat completions, which every server like OpenAI's has, or `"responses"`, which
            some of OpenAI's models ask for. Answers are not stored there, unless a request says so in `extra_params`.
        timeout_s: seconds for one attempt, from its start to its last byte.
        connect_timeout_s: seconds for name look-up, connection and TLS.
        first_byte_timeout_s: seconds from the sent request to the first byte of the reply; `None` is no such limit.
        between_bytes_timeout_s: the longest silence within a reply, in seconds; `None` is no such limit.
        client: an `openai.AsyncOpenAI` of your own, which then carries the requests and decides where they go; of the
            settings here, only `model` and `timeout_s` count then. It is neither retried nor closed here.
        organization: sent to OpenAI as the organisation to bill; without it `OPENAI_ORG_ID`.
        project: sent to OpenAI as the project to bill; without it `OPENAI_PROJECT_ID`.
        default_headers: sent with every request.
        ca_bundle: a file of certificates to trust instead of those of the system (or of `SSL_CERT_FILE`).

    Proxies come from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`. No request is repeated and no redirect is
    followed here: whoever calls owns the retries.
    """

    provider_name = "openai"
    key_names = "OPENAI_API_KEY (or api_key)"
    address_names = "base_url (OPENAI_BASE_URL)"

    def __init__(
        self,
        *,
        model: str | None = None,
        api_key: SecretStr | str | None = None,
        base_url: str | None = None,
        api: Literal["chat", "responses"] = "chat",
        timeout_s: float = 60.0,
        connect_timeout_s: float | None = 10.0,
        first_byte_timeout_s: float | None = None,
        between_bytes_timeout_s: float | None = None,
        client: openai.AsyncOpenAI | None = None,
        organization: str | None = None,
        project: str | None = None,
        default_headers: Mapping[str, str] | None = None,
        ca_bundle: str | None = None,
    ) -> None:
        if base_url is not None and not base_url.strip():
            raise ConfigurationError(
                "chat model 'openai': base_url is empty",
                op="openai.create",
                hint="name the server, or leave base_url out for OPENAI_BASE_URL and then OpenAI's own",
            )
        check_seconds(
            self.provider_name,
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            first_byte_timeout_s=first_byte_timeout_s,
            between_bytes_timeout_s=between_bytes_timeout_s,
        )
        timeouts = Timeouts(timeout_s, connect_timeout_s, first_byte_timeout_s, between_bytes_timeout_s)
        transport = self._sdk = _sdk(client, timeouts) if client is not None else None
        wire = wire_of(api, self.provider_name)
        model = model or DEFAULT_MODELS[self.provider_name]
        super().__init__(model, timeouts, ca_bundle=ca_bundle, transport=transport, wire=wire)
        self._api_key = SecretStr(api_key) if isinstance(api_key, str) else api_key
        self._base_url = base_url
        self._organization = organization
        self._project = project
        self._headers = lowered(default_headers)

    def __repr__(self) -> str:
        where = self._base_url and bare_address(self._base_url)
        return f"{type(self).__name__}(model={self.model!r}, base_url={where!r})"

    def target(self) -> Target:
        """The server, the key and who is billed: arguments, then the environment."""
        settings = self._settings()
        return self._kept(settings) or self._keep(settings, self._made(*settings))

    @property
    def credentials_id(self) -> int | None:  # type: ignore[override]
        """Tells other keys, organisations, projects and headers apart: each may have limits of its own."""
        return hash((self._settings(), *self._headers.items())) if self._finds_target else None

    @property
    def cache_facts(self) -> Mapping[str, Any] | None:  # type: ignore[override]
        """Where requests go, who is billed and what is sent with them, as it holds now."""
        if self._sdk is not None:
            sent = self._sdk.cache_facts
            return sent and {"model": self.model, "api": self._wire.api_type, "client": sent}
        _, *settings = self._settings()
        return {"model": self.model, "api": self._wire.api_type, "settings": settings, "headers": self._headers}

    def _settings(self) -> tuple[str, str | None, str | None, str | None]:
        return (
            self._api_key.get_secret_value() if self._api_key else KEY.read() or "",
            self._base_url or ADDRESS.read() or None,
            self._organization or ORGANIZATION.read(),
            self._project or PROJECT.read(),
        )

    def _made(self, key: str, base_url: str | None, organization: str | None, project: str | None) -> Target:
        if not key and base_url is None:
            raise self._no_key(
                f"model {self.model!r}: no API key is set",
                "set OPENAI_API_KEY, pass api_key, or name a server of your own in base_url (OPENAI_BASE_URL)",
            )
        headers = {"authorization": f"Bearer {self._checked_key(key) if key else NO_KEY}"}
        if organization:
            headers["openai-organization"] = organization
        if project:
            headers["openai-project"] = project
        return Target(base_url or BASE_URL, {**headers, **self._headers})

    def _capabilities(self) -> tuple[str, ...]:
        base_url = self._base_url or ADDRESS.read()
        if self._finds_target and (base_url is None or is_openai(base_url)):
            return super()._capabilities()
        return listed(ALL - self._wire.lacks)


def _sdk(client: openai.AsyncOpenAI, timeouts: Timeouts) -> SdkTransport:
    from chatmodels.providers.openai_sdk import SdkTransport, check_client

    check_client(client)
    return SdkTransport(client, timeouts)
