from __future__ import annotations

import pytest

from fmf.auth.base import SecretNotFoundError
from fmf.auth.env import EnvSecrets
from fmf.errors import AuthError, exit_status


def test_a_secret_comes_from_the_file(tmp_path):
    (tmp_path / ".env").write_text("API_KEY=from-file\n")
    assert EnvSecrets(tmp_path / ".env", environ={}).resolve("API_KEY").get_secret_value() == "from-file"


def test_the_environment_wins_over_the_file(tmp_path):
    (tmp_path / ".env").write_text("API_KEY=from-file\n")
    secrets = EnvSecrets(tmp_path / ".env", environ={"API_KEY": "from-environment"})
    assert secrets.resolve("API_KEY").get_secret_value() == "from-environment"


def test_an_empty_value_is_none_at_all(tmp_path):
    (tmp_path / ".env").write_text("API_KEY=from-file\nEMPTY=\n")
    secrets = EnvSecrets(tmp_path / ".env", environ={"API_KEY": ""})
    assert secrets.resolve("API_KEY").get_secret_value() == "from-file"
    with pytest.raises(SecretNotFoundError):
        secrets.resolve("EMPTY")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("K=pa$$word${HOME}", "pa$$word${HOME}"),
        ("K='with # and spaces'", "with # and spaces"),
        ('export K="quoted"', "quoted"),
        ("K=a=b=c", "a=b=c"),
        ("\ufeffK=after a byte order mark", "after a byte order mark"),
    ],
)
def test_values_are_taken_as_they_are_written(tmp_path, line, value):
    (tmp_path / ".env").write_text(line + "\n", encoding="utf-8")
    assert EnvSecrets(tmp_path / ".env", environ={}).resolve("K").get_secret_value() == value


def test_a_missing_secret_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(AuthError) as caught:
        EnvSecrets(tmp_path / ".env", environ={}).resolve("NOPE")
    assert "NOPE" in caught.value.message
    assert "environment" in caught.value.message
    assert str(tmp_path / ".env") in caught.value.message
    assert "export NOPE" in caught.value.hint
    assert exit_status(caught.value) == 3


def test_names_are_those_of_the_file(tmp_path):
    (tmp_path / ".env").write_text("B=1\nA=2\n# C=3\n")
    assert EnvSecrets(tmp_path / ".env", environ={"Z": "1"}).names() == ["A", "B"]
    assert EnvSecrets(tmp_path / "absent", environ={"Z": "1"}).names() == []


def test_a_file_that_is_no_text_is_one_clear_error(tmp_path):
    (tmp_path / ".env").write_bytes(b"K=\xff\xfe\x00")
    with pytest.raises(AuthError, match="cannot be read"):
        EnvSecrets(tmp_path / ".env", environ={}).resolve("K")


def test_a_value_never_shows_in_a_representation(tmp_path):
    (tmp_path / ".env").write_text("K=topsecret\n")
    secrets = EnvSecrets(tmp_path / ".env", environ={})
    assert "topsecret" not in f"{secrets.resolve('K')!r} {secrets!r} {vars(secrets)['_file']}"


def test_a_line_that_is_no_setting_is_one_event_and_costs_nothing_else(tmp_path, capsys):
    import io
    import json

    from fmf_core.logs import configure_logging, reset_logging

    stream = io.StringIO()
    configure_logging("INFO", stream=stream)
    (tmp_path / ".env").write_text("this is no setting\nAPI_KEY=from-file\n=\n")
    assert EnvSecrets(tmp_path / ".env", environ={}).resolve("API_KEY").get_secret_value() == "from-file"
    reset_logging()
    (event,) = map(json.loads, stream.getvalue().splitlines())
    assert (event["event"], event["level"]) == ("env.unparsed", "warning")
    assert capsys.readouterr().err == ""
