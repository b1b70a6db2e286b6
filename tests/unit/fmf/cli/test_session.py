from __future__ import annotations

import json

import pytest


def seen(try_out):
    sessions = []
    try_out(sessions.append)
    return sessions


@pytest.mark.parametrize(
    "args",
    [
        ["-c", "x.yaml", "--profile", "p", "--json", "-q", "-v", "--set", "a=1", "--set", "b=2", "try"],
        ["try", "-c", "x.yaml", "--profile", "p", "--json", "-q", "-v", "--set", "a=1", "--set", "b=2"],
        ["--set", "a=1", "-c", "x.yaml", "-q", "try", "--set", "b=2", "--profile=p", "--json", "-v", "word"],
        [
            "--config=w.yaml",
            "--profile",
            "o",
            "-qv",
            "try",
            "--config=x.yaml",
            "--set=a=1",
            "--set=b=2",
            "--profile=p",
            "--json",
        ],
    ],
)
def test_global_options_may_stand_before_and_after_the_command(fmf, try_out, args):
    sessions = seen(try_out)
    assert fmf(*args).exit_code == 0
    (session,) = sessions
    assert session.config_path == "x.yaml"
    assert session.profile == "p"
    assert session.sets == ("a=1", "b=2")
    assert (session.json, session.quiet, session.verbose) == (True, True, True)


def test_each_call_starts_anew(fmf, try_out):
    sessions = seen(try_out)
    fmf("try", "--json", "--set", "a=1")
    fmf("try")
    assert (sessions[1].json, sessions[1].sets) == (False, ())


def test_the_configuration_is_loaded_when_it_is_asked_for(fmf, try_out):
    seen(try_out)
    assert fmf("-c", "absent.yaml", "try").exit_code == 0
    try_out(lambda session: session.config)
    result = fmf("-c", "absent.yaml", "try")
    assert result.exit_code == 2
    assert "absent.yaml" in result.stderr


def test_the_session_leads_to_configuration_root_and_secrets(fmf, try_out, tmp_path):
    (tmp_path / "fmf.yaml").write_text("project: mine\n")
    (tmp_path / ".env").write_text("A_SECRET=something-secret\n")
    found = []

    def look(session):
        found.extend([session.config.project, session.root, session.secrets.resolve("A_SECRET").get_secret_value()])

    try_out(look)
    assert fmf("try").exit_code == 0
    assert found == ["mine", tmp_path, "something-secret"]


def test_settings_without_effect_are_told_when_the_command_asks(fmf, try_out, tmp_path):
    (tmp_path / "fmf.yaml").write_text("auth: {aws_secrets: {region: eu-west-1}}\n")
    try_out(lambda session: session.warn_of_planned())
    result = fmf("try", "-q")
    assert result.stderr.startswith("warning: auth.aws_secrets.region: set, but ")
    (tmp_path / "fmf.yaml").write_text("project: mine\n")
    assert fmf("try").stderr == ""


def test_the_log_format_of_the_configuration_holds_for_diagnostics(fmf, try_out, tmp_path):
    (tmp_path / "fmf.yaml").write_text("observability: {log_format: json}\nauth: {aws_secrets: {region: eu-west-1}}\n")
    try_out(lambda session: session.warn_of_planned())
    (line,) = fmf("try").stderr.splitlines()
    assert json.loads(line)["level"] == "warning"
