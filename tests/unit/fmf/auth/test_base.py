from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr

from fmf.auth.base import SecretNotFoundError, Secrets, build_secrets, secret_providers
from fmf.config.models import AuthConfig
from fmf.errors import AuthError, exit_status
from fmf_core.errors import Code
from fmf_core.redact import redact


class Vault:
    """A provider that counts how often it is asked."""

    def __init__(self, *, place: str = "here") -> None:
        self.place = place
        self.asked: list[str] = []

    def resolve(self, name: str) -> SecretStr:
        self.asked.append(name)
        if name == "MISSING":
            raise SecretNotFoundError(f"no {name} in {self.place}", op="vault")
        return SecretStr(f"{name}-in-{self.place}")

    def names(self) -> list[str]:
        return ["A", "B"]


@pytest.fixture
def registered():
    secret_providers.add("vault", Vault)
    yield
    secret_providers.remove("vault")


def test_the_env_provider_reads_the_file_beside_the_configuration(tmp_path, monkeypatch):
    monkeypatch.delenv("A_KEY", raising=False)
    (tmp_path / "secrets.env").write_text("A_KEY=value-of-a-key\n")
    secrets = build_secrets(AuthConfig.model_validate({"env": {"file": "secrets.env"}}), tmp_path)
    assert secrets.resolve("A_KEY").get_secret_value() == "value-of-a-key"
    assert secrets.names() == ["A_KEY"]


def test_a_resolved_value_is_blanked_from_then_on(tmp_path):
    (tmp_path / ".env").write_text("A_KEY=blank-me-out-please\n")
    build_secrets(AuthConfig(), tmp_path).resolve("A_KEY")
    assert "blank-me-out-please" not in redact("it says blank-me-out-please here")


def test_each_secret_is_asked_for_once_by_all_threads():
    vault = Vault()
    secrets = Secrets(lambda: vault)
    with ThreadPoolExecutor(16) as pool:
        values = {secret.get_secret_value() for secret in pool.map(secrets.resolve, ["KEY"] * 64)}
    assert values == {"KEY-in-here"}
    assert vault.asked == ["KEY"]


def test_nothing_is_made_before_a_secret_is_asked_for():
    def make():
        raise AssertionError("made too early")

    Secrets(make)


def test_find_gives_none_for_what_is_not_there_and_raises_other_failures():
    assert Secrets(Vault).find("MISSING") is None

    def refused():
        raise AuthError("sign-in refused", op="vault")

    with pytest.raises(AuthError, match="refused"):
        Secrets(refused).find("KEY")


def test_a_plugin_is_made_with_the_options_of_the_configuration(registered, tmp_path):
    config = AuthConfig.model_validate({"provider": "vault", "options": {"place": "there"}})
    secrets = build_secrets(config, tmp_path)
    assert secrets.resolve("K").get_secret_value() == "K-in-there"
    assert secrets.setting("K") is None


def test_an_option_that_a_plugin_does_not_take_is_a_clear_error(registered, tmp_path):
    config = AuthConfig.model_validate({"provider": "vault", "options": {"plase": "there"}})
    with pytest.raises(AuthError, match="plase"):
        build_secrets(config, tmp_path).resolve("K")


@pytest.mark.parametrize("provider", ["azure_key_vault", "aws_secrets"])
def test_a_planned_provider_says_that_it_is_not_there_yet(provider, tmp_path):
    config = AuthConfig.model_validate({"provider": provider, "azure_key_vault": {"vault_url": "https://v"}})
    with pytest.raises(AuthError, match="does not have yet") as caught:
        build_secrets(config, tmp_path).resolve("K")
    assert caught.value.code is Code.UNSUPPORTED
    assert exit_status(caught.value) == 3


def test_a_thing_that_resolves_nothing_is_refused():
    with pytest.raises(Exception, match="neither a class"):
        secret_providers.add("number", 3)
