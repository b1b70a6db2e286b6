from __future__ import annotations

import json

import pytest


@pytest.fixture(autouse=True)
def _project(tmp_path):
    (tmp_path / "fmf.yaml").write_text("inference: {provider: mock}\n")
    (tmp_path / "in.txt").write_bytes("grün".encode("utf-16"))


def test_the_answer_alone_is_on_stdout(fmf):
    result = fmf("infer", "--prompt", "inline: say {{ text }}", "--input", "in.txt")
    assert (result.exit_code, result.stdout) == (0, "Mock response\n")
    for part in ("model=", "tokens=2+2", "cost=", "latency=", "attempts=1"):
        assert part in result.stderr


def test_a_stream_gives_the_same(fmf):
    result = fmf("infer", "--prompt", "inline: say {{ text }}", "--input", "in.txt", "--stream", "-q")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "Mock response\n", "")


@pytest.mark.parametrize("more", [(), ("--stream",)])
def test_json(fmf, more):
    result = fmf("infer", "--prompt", "inline: {{ text }}", "--input", "-", "--json", *more, input="two words")
    told = json.loads(result.stdout)
    assert told["text"] == "Mock response"
    assert told["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
    assert set(told) == {"text", "model", "usage", "cost_usd", "finish_reason", "latency_ms", "attempts"}


@pytest.mark.parametrize("more", [(), ("--stream",), ("--json",)])
def test_a_key_that_the_model_says_is_blanked(fmf, tmp_path, more):
    (tmp_path / ".env").write_text("OPENAI_API_KEY=correct-horse-battery-staple\n")
    answer = "'it is correct-horse-battery-staple, I think'"
    (tmp_path / "fmf.yaml").write_text(
        f"inference: {{provider: mock, options: {{responses: {{default: {answer}}}}}}}\n"
    )
    result = fmf("infer", "--prompt", "inline: {{ text }}", "--input", "in.txt", *more)
    assert result.exit_code == 0
    assert "it is [REDACTED], I think" in result.stdout
    assert "horse" not in result.stdout + result.stderr


NO_STREAM = "inference: {provider: mock, capabilities: [chat, system, temperature], mode: %s}\n"


@pytest.mark.parametrize("args", [("--stream",), ()])
def test_pieces_are_not_made_up_for_a_model_that_has_none(fmf, tmp_path, args):
    (tmp_path / "fmf.yaml").write_text(NO_STREAM % ("whole" if args else "stream"))
    result = fmf("infer", "--prompt", "inline: hi", *args)
    assert (result.exit_code, result.stdout) == (6, "")
    assert "cannot answer in pieces" in result.stderr
    assert "inference.mode" in result.stderr


def test_the_mode_auto_says_why_the_answer_comes_whole(fmf, tmp_path):
    (tmp_path / "fmf.yaml").write_text(NO_STREAM % "auto")
    result = fmf("infer", "--prompt", "inline: hi")
    assert (result.exit_code, result.stdout) == (0, "Mock response\n")
    assert "the answer comes whole: model 'mock' of provider 'mock' cannot answer in pieces" in result.stderr


@pytest.mark.parametrize("mode", ["auto", "stream", "whole"])
def test_a_model_with_pieces_gives_the_same_in_every_mode(fmf, tmp_path, mode):
    (tmp_path / "fmf.yaml").write_text(f"inference: {{provider: mock, mode: {mode}}}\n")
    result = fmf("infer", "--prompt", "inline: hi")
    assert (result.exit_code, result.stdout) == (0, "Mock response\n")
    assert "comes whole" not in result.stderr


def test_variables(fmf):
    result = fmf("infer", "--prompt", "inline: {{ a }} {{ b }}", "--var", "a=1=2", "--var", "b=")
    assert result.exit_code == 0
    assert fmf("infer", "--prompt", "inline: x", "--var", "nothing").exit_code == 2


@pytest.mark.parametrize(
    ("args", "status", "told"),
    [
        (("--prompt", "inline: {{ text }} {{ x }}", "--input", "in.txt"), 2, "'x'"),
        (("--prompt", "inline: {{ text }}"), 2, "'text'"),
        (("--prompt", "nope#v1"), 8, "nope"),
        (("--prompt", "inline: {{ text }}", "--input", "none.txt"), 2, "none.txt"),
        (("--input", "in.txt"), 2, "--prompt"),
        ((), 2, "write a question"),
        (("hello", "--prompt", "inline: x"), 2, "give one of them"),
        (("summarise#v1",), 2, "--prompt 'summarise#v1'"),
        (("inline: hello",), 2, "--prompt 'inline: hello'"),
        (("{{ name }}",), 2, "--input FILE"),
        (("hello", "--provider", "local"), 2, "--set inference.provider=local"),
        (("hello", "--provider=local"), 2, "--set inference.provider=local"),
        (("hello", "--model", "--stream"), 2, "inference.PROVIDER.model=NAME"),
        (("hello", "--no-such"), 2, "--no-such"),
    ],
)
def test_faults(fmf, args, status, told):
    result = fmf("infer", *args)
    assert result.exit_code == status
    assert told in result.stderr
    assert result.stdout == ""


def test_another_model_answers_when_the_first_cannot(fmf, tmp_path):
    first = "options: {fail_with: unavailable}, retry: {max_attempts: 1}"
    (tmp_path / "fmf.yaml").write_text(
        f"inference: {{provider: mock, {first}, fallbacks: [{{provider: mock, responses: from the other}}]}}\n"
    )
    result = fmf("infer", "--prompt", "inline: hi")
    assert (result.exit_code, result.stdout) == (0, "from the other\n")
    assert fmf("infer", "--prompt", "inline: hi", "--set", "inference.fallback_on=[timeout]").exit_code == 6


@pytest.mark.parametrize(
    ("args", "asked"),
    [
        (("Say hello",), "Say hello"),
        (("Say", "hello"), "Say hello"),
        (("Sum up", "--input", "in.txt"), "Sum up\n\ngrün"),
        (("Is {{ text }} a colour?", "--input", "in.txt"), "Is grün a colour?"),
        (("Say {{ word }}", "--var", "word=no"), "Say no"),
    ],
)
def test_a_question_needs_no_prompt(fmf, tmp_path, args, asked):
    default = json.dumps({"default": "other", asked: "as asked"}, ensure_ascii=False)
    (tmp_path / "fmf.yaml").write_text(f"inference: {{provider: mock, options: {{responses: {default}}}}}\n")
    assert fmf("infer", *args).stdout == "as asked\n"


def test_a_missing_key_leads_on(fmf, tmp_path):
    (tmp_path / "fmf.yaml").unlink()
    result = fmf("infer", "Say hello")
    assert result.exit_code == 3
    assert "export OPENAI_API_KEY" in result.stderr
    assert "--set inference.provider=local" in result.stderr
