"""Signing in to Entra ID as an application, by secret or certificate; one token is kept in memory and renewed."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import msal
import msal.exceptions

from fmf.connectors.base import Keys
from fmf.connectors.replies import code_of, retry_after
from fmf.connectors.sharepoint.web import Web, fault
from fmf.errors import AuthError, ConfigError, ConnectorError
from fmf_core.errors import Code, FrameworkError
from fmf_core.forks import Lock
from fmf_core.redact import add_secret, shortened

PUBLIC_AUTHORITY: Final = "https://login.microsoftonline.com"
SECRET: Final = "AZURE_CLIENT_SECRET"  # noqa: S105 - its name
"""The name of the client secret."""
MARGIN_S: Final = 300.0
"""How long before its end a token is renewed, in seconds; half of its life where that is shorter."""
_OP: Final = "sharepoint.sign_in"
_PFX: Final = (".pfx", ".p12")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its private key."""

    path: Path
    """A PEM file with the key, and with the certificate unless the thumbprint is known; or a .pfx file."""
    thumbprint: str | None = None
    """The certificate's SHA-1 thumbprint, as the portal shows it."""
    password_secret: str | None = None
    """The name of the secret that opens the key."""


@dataclass(frozen=True, slots=True)
class Application:
    """Who signs in, where and for what."""

    tenant_id: str
    client_id: str
    scope: str
    authority: str | None = None
    certificate: Certificate | None = None


def application_of(config: Any, base: Path, scope: str) -> Application:
    """The application that an entry of `connectors:` names; relative paths in it count from `base`.

    Raises:
        ConfigError: tenant or application are missing.
    """
    certificate = None
    if config.certificate_path:
        path = base / Path(config.certificate_path).expanduser()
        certificate = Certificate(path, config.certificate_thumbprint, config.certificate_password_secret)
    return Application(
        tenant_id=_required(config.name, "tenant_id", config.tenant_id, "AZURE_TENANT_ID"),
        client_id=_required(config.name, "client_id", config.client_id, "AZURE_CLIENT_ID"),
        scope=scope,
        authority=config.authority,
        certificate=certificate,
    )


class SignIn:
    """Gives the token of an application; safe for many threads, of which one signs in for all.

    Args:
        application: who signs in.
        secrets: where the secret, or the password of the certificate, is found; asked at the first sign-in.
        web: how the sign-in is reached.
    """

    def __init__(self, application: Application, secrets: Keys, web: Web) -> None:
        self._application = application
        self._secrets = secrets
        self._web = web
        self._lock = Lock()
        self._client: Any = None
        self._token = ""
        self._good_until = 0.0

    def token(self, refused: str | None = None) -> str:
        """A token that holds; kept until shortly before it ends.

        Args:
            refused: a token that the other side no longer takes: it is replaced, once for all who hold it.

        Raises:
            AuthError: the sign-in was refused, or the secret is missing.
            ConfigError: the certificate, the authority or the tenant cannot be used.
            ConnectorError: the sign-in cannot be reached.
        """
        with self._lock():
            if not self._token or self._token == refused or time.monotonic() >= self._good_until:
                self._renew()
            return self._token

    def _renew(self) -> None:
        began = time.monotonic()
        answer = self._web.retries.call(self._asked)
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise self._refused(answer)
        add_secret(token)
        life = float(answer.get("expires_in") or 0)
        self._token, self._good_until = token, began + max(life - MARGIN_S, life / 2)

    def _asked(self) -> dict[str, Any]:
        """What the sign-in answers: a token, or why there is none."""
        where = f"signing in at {self._authority}"
        _ = self._web.client  # a file of certificates that cannot be used is no fault of the sign-in
        try:
            if self._client is None:
                self._client = msal.ConfidentialClientApplication(
                    self._application.client_id,
                    client_credential=self._credential(),
                    authority=self._authority,
                    http_client=_Http(self._web),
                    # An authority that somebody configured is trusted; asking Microsoft about it would tell of it.
                    instance_discovery=False,
                )
            # A token is asked for only when a new one is needed.
            self._client.remove_tokens_for_client()
            answer: dict[str, Any] = self._client.acquire_token_for_client([self._application.scope])
        except FrameworkError:
            raise
        except httpx.HTTPError as error:
            raise fault(error, where, _OP) from error
        except (httpx.InvalidURL, msal.exceptions.MsalServiceError, RuntimeError) as error:
            hint = "check authority (https://HOST) and the network, and try again later"
            raise ConnectorError(f"{where}: {_told(error)}", op=_OP, code=Code.UNAVAILABLE, hint=hint) from error
        except Exception as error:  # keys and addresses that are none raise errors of many libraries
            hint = "check tenant_id, authority (https://HOST) and the certificate of the connector in fmf.yaml"
            raise ConfigError(f"{where}: {_told(error)}", op=_OP, hint=hint) from error
        return answer

    @property
    def _authority(self) -> str:
        return f"{(self._application.authority or PUBLIC_AUTHORITY).rstrip('/')}/{self._application.tenant_id}"

    def _credential(self) -> str | dict[str, Any]:
        certificate = self._application.certificate
        if certificate is None:
            return self._secrets.resolve(SECRET).get_secret_value()
        password = certificate.password_secret and self._secrets.resolve(certificate.password_secret).get_secret_value()
        if certificate.path.suffix.lower() in _PFX:
            return {"private_key_pfx_path": str(certificate.path), "passphrase": password}
        try:
            pem = certificate.path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"certificate_path {str(certificate.path)!r} cannot be read: {error}",
                op=_OP,
                hint="name a PEM file with the private key and the certificate, or a .pfx file",
            ) from error
        add_secret(pem)
        if "PRIVATE KEY-----" not in pem:
            raise ConfigError(
                f"{str(certificate.path)!r} holds no private key",
                op=_OP,
                hint="put key and certificate into one PEM file, or name a .pfx file",
            )
        if certificate.thumbprint is None and "-----BEGIN CERTIFICATE-----" not in pem:
            raise ConfigError(
                f"{str(certificate.path)!r} holds no certificate, and no thumbprint is set",
                op=_OP,
                hint="put key and certificate into one PEM file, or set certificate_thumbprint",
            )
        known: dict[str, Any] = {"private_key": pem, "passphrase": password}
        if certificate.thumbprint is not None:
            return {**known, "thumbprint": certificate.thumbprint.replace(":", "").replace(" ", "")}
        return {**known, "public_certificate": pem[pem.index("-----BEGIN CERTIFICATE-----") :]}

    def _refused(self, answer: dict[str, Any]) -> AuthError | ConnectorError:
        problem = shortened(str(answer.get("error_description") or answer.get("error") or answer), 300)
        said = " ".join(problem.split())
        what = f"signing in at {self._authority} as {self._application.client_id}: {said}"
        if answer.get("error") in {"temporarily_unavailable", "server_error"}:
            return ConnectorError(what, op=_OP, code=Code.UNAVAILABLE, hint="try again later")
        used = "the certificate" if self._application.certificate else SECRET
        return AuthError(what, op=_OP, hint=f"check tenant_id, client_id and {used}; is the application's key expired?")


class _Http:
    """The web as msal asks for it: with our time limits, proxies and certificates."""

    def __init__(self, web: Web) -> None:
        self._web = web

    def get(self, url: str, params: Any = None, headers: Any = None, **_: Any) -> httpx.Response:
        return _well(self._web.client.get(url, params=params or None, headers=headers))

    def post(self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any) -> httpx.Response:
        # Encoded here: an assertion comes as bytes, which httpx would write as Python shows them.
        body = data if isinstance(data, str | bytes) else urlencode(data or {})
        sent = {**(headers or {}), "content-type": "application/x-www-form-urlencoded"}
        return _well(self._web.client.post(url, params=params or None, content=body, headers=sent))

    def close(self) -> None:
        """Nothing: the connections are the connector's."""


def _well(response: httpx.Response) -> httpx.Response:
    """The answer, unless it is one that passes: msal would remember those for a while."""
    code = code_of(response.status_code)
    if response.status_code == 429 or response.status_code >= 500:
        raise ConnectorError(
            f"signing in at {response.request.url.host}: status {response.status_code}",
            op=_OP,
            code=code,
            retry_after=retry_after(response.headers),
            hint="try again later",
            fields={"status": response.status_code},
        )
    return response


def _told(error: Exception) -> str:
    return " ".join(shortened(str(error) or type(error).__name__, 300).split())


def _required(connector: str, setting: str, value: str | None, variable: str) -> str:
    found = value or os.environ.get(variable)
    if not found:
        raise ConfigError(
            f"connector {connector!r} has no {setting}",
            op="sharepoint.connect",
            hint=f"set {setting} of the connector in fmf.yaml, or {variable}, as the app registration shows it",
        )
    return found
