from __future__ import annotations

import pytest

from acceptance.outside import Project, chain_yaml, fmf_yaml
from peers.scripted_server import Reply, ScriptedServer

PROMPT = """\
id: summarise
versions:
  - version: v1
    template: "Sum up for {{ reader }}: {{ text }}"
    system: Be brief.
    inputs: {required: [text, reader]}
    examples: [{input: A long text., output: A text.}]
"""


@pytest.fixture
def asking(project: Project, scripted_server: ScriptedServer) -> Project:
    """A project with a registered prompt, whose model is the scripted server."""
    prices = {"scripted-1": {"input_per_1m": 1.0, "output_per_1m": 2.0}}
    project.write({"fmf.yaml": fmf_yaml(scripted_server.base_url, inference={"prices": prices})})
    project.write({"prompts/summarise.yaml": PROMPT, "note.txt": "Brakes squeal.", "data/a.md": "a"})
    return project


@pytest.mark.behaviour(26)
def test_one_question(asking, scripted_server):
    """Behaviour 26: the rendered prompt is sent, stdout is the text alone, telemetry is on stderr."""
    asking.fmf("prompt", "register", "prompts/summarise.yaml#v1").well()
    scripted_server.add(Reply(text="They squeal."))
    question = ("infer", "--prompt", "summarise#v1", "--input", "note.txt", "--var", "reader=Ann")
    told = asking.fmf(*question).well()
    assert told.stdout == "They squeal.\n"
    for fact in ("scripted-1", "11", "7", "cost=$0.000025"):
        assert fact in told.stderr
    [body] = scripted_server.bodies
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "A long text."},
        {"role": "assistant", "content": "A text."},
        {"role": "user", "content": "Sum up for Ann: Brakes squeal."},
    ]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("scripted-1", 0.25, 321)


@pytest.mark.behaviour(26)
def test_the_answer_as_json_has_text_model_usage_and_cost(asking, scripted_server):
    """Behaviour 26: `--json` has text, model, usage and cost; `--input -` is stdin; the text is not scanned again."""
    scripted_server.add(Reply(text="Read {{ this }}"))
    told = asking.fmf("infer", "--prompt", "inline: Read {{ text }}", "--input", "-", "--json", stdin="a {{ b }} ${c}")
    answer = told.well().json
    assert answer["text"] == "Read {{ this }}"
    assert answer["model"] == "scripted-1"
    assert answer["usage"]["prompt_tokens"] == 11
    assert answer["usage"]["completion_tokens"] == 7
    assert answer["cost_usd"] == pytest.approx(25e-6)
    assert scripted_server.chats[0].prompt == "Read a {{ b }} ${c}"


@pytest.mark.behaviour(26)
def test_a_streamed_answer_is_the_same_text(asking, scripted_server):
    """Behaviour 26: with --stream stdout holds the same text, piece by piece."""
    scripted_server.add(Reply(text="one two three four"))
    told = asking.fmf("infer", "--prompt", "inline: Read {{ text }}", "--input", "note.txt", "--stream").well()
    assert told.stdout == "one two three four\n"
    assert scripted_server.bodies[0]["stream"] is True
    assert "scripted-1" in told.stderr


@pytest.mark.behaviour(30)
def test_pieces_arrive_before_the_end(asking, scripted_server):
    """Behaviour 30: the first piece is on stdout while the model still writes, and all of them in the end."""
    scripted_server.add(Reply(deltas=("One", " two", " three", " four", " five"), pace_s=0.5))
    with asking.start("infer", "--prompt", "inline: Count", "--stream", "-q") as process:
        first = process.stdout.read(3)
        still_writing = scripted_server.requests[0].ended is None
        rest = process.stdout.read()
    assert (process.returncode, first + rest) == (0, b"One two three four five\n")
    assert still_writing


@pytest.mark.behaviour(30)
def test_a_model_without_pieces(asking, scripted_server):
    """Behaviour 30: with mode stream nothing is asked and the status is 6; auto asks for the whole and says why."""
    without = ("--set", "inference.capabilities=[chat, system, temperature]")
    question = ("infer", "--prompt", "inline: hello", *without)
    error = asking.fmf(*question, "--set", "inference.mode=stream").refused(6)
    assert "scripted-1" in error
    assert "cannot answer in pieces" in error
    assert scripted_server.count == 0
    told = asking.fmf(*question, "--set", "inference.mode=auto").well()
    assert told.stdout == "Scripted reply\n"
    assert "the answer comes whole: model 'scripted-1'" in told.stderr
    assert "stream" not in scripted_server.bodies[0]


@pytest.mark.behaviour(27)
def test_settings_of_configuration_and_step_reach_the_body(asking, scripted_server):
    """Behaviours 27 and 62: configured values are sent, a step's own win, 0.0 is sent, and null is left out."""
    steps = [
        {"id": "plain", "prompt": "inline: plain ${chunk.text}"},
        {
            "id": "own",
            "prompt": "inline: own ${chunk.text}",
            "params": {"temperature": 0.0, "max_tokens": 5, "model": "scripted-2", "seed": 7, "stop": ["END"]},
        },
    ]
    asking.write({"chain.yaml": chain_yaml(*steps)})
    asking.fmf("run", "--chain", "chain.yaml").well()
    null = ("--set", "inference.openai.temperature=null", "--set", "inference.openai.max_tokens=null")
    asking.fmf("run", "--chain", "chain.yaml", *null).well()
    plain, own, without, own_again = scripted_server.bodies
    assert (plain["model"], plain["temperature"], plain["max_tokens"]) == ("scripted-1", 0.25, 321)
    assert "seed" not in plain
    assert "stop" not in plain
    for body in (own, own_again):
        assert (body["model"], body["temperature"], body["max_tokens"]) == ("scripted-2", 0.0, 5)
        assert (body["seed"], body["stop"]) == (7, ["END"])
    assert "temperature" not in without
    assert "max_tokens" not in without


# Bad input


def test_a_model_that_is_not_there(asking, scripted_server):
    """Bad input: a model that the server does not know is one error, is not asked for twice, and ends with 6."""
    reply = Reply(status=404, body={"error": {"message": "The model `scripted-1` does not exist", "code": "x"}})
    scripted_server.add(reply, reply)
    told = asking.fmf("infer", "--prompt", "inline: Read {{ text }}", "--input", "note.txt")
    error = told.refused(6)
    assert "scripted-1" in error
    assert error.count("error:") == 1
    assert told.stdout == ""
    assert scripted_server.count == 1
    asking.write({"chain.yaml": chain_yaml({"id": "one", "prompt": "inline: ${chunk.text}"})})
    told = asking.fmf("run", "--chain", "chain.yaml")
    told.refused(6)
    [record] = told.run.errors
    assert record["code"] == "not_found"
    assert "scripted-1" in record["message"]


def test_a_missing_key_and_an_unknown_provider(project):
    """A missing key ends with 3 and names it; an unknown provider ends with 2 and names the known; nothing is sent."""
    question = ("infer", "--prompt", "inline: hello")
    assert "OPENAI_API_KEY" in project.fmf(*question).refused(3)
    error = project.fmf(*question, "--set", "inference.provider=opnai").refused(2)
    for known in ("opnai", "local", "mock", "openai"):
        assert known in error


@pytest.mark.parametrize(
    ("model", "status", "told"), [("nothing-135m", 2, "smollm2-135m-instruct"), ("weights/missing.gguf", 6, "hint:")]
)
def test_missing_weights(project, tmp_path, model, status, told):
    """Bad input: an unknown model ends with 2, a missing weight file with 6; one error each, and no run is left."""
    local = {"provider": "local", "local": {"model": model}}
    project.write({"fmf.yaml": fmf_yaml(inference=local), "data/a.md": "a"})
    project.write({"chain.yaml": chain_yaml({"id": "one", "prompt": "inline: ${chunk.text}"})})
    folder = {"FMF_MODEL_DIR": str(tmp_path / "empty")}
    for command in (("run", "--chain", "chain.yaml"), ("infer", "--prompt", "inline: hello")):
        error = project.fmf(*command, env=folder).refused(status)
        assert model in error
        assert told in error
        assert error.count("error:") == 1
    assert not (project.root / "artefacts").exists()


def test_weights_that_were_not_fetched_yet(project, tmp_path):
    """Bad input: the embedded model without its weights names the command that fetches them."""
    local = {"provider": "local"}
    project.write({"fmf.yaml": fmf_yaml(inference=local)})
    error = project.fmf("infer", "--prompt", "inline: hello", env={"FMF_MODEL_DIR": str(tmp_path / "empty")}).refused(6)
    assert "fmf models pull smollm2-135m-instruct" in error


def test_a_name_that_nothing_provides(asking, scripted_server):
    """Bad input: a prompt variable that nothing provides names itself and ends with 2; nothing is sent."""
    error = asking.fmf("infer", "--prompt", "inline: {{ text }} {{ riter }}", "--input", "note.txt").refused(2)
    assert "'riter'" in error
    assert "text" in error
    steps = {"id": "one", "prompt": "inline: {{ text }} {{ riter }}", "inputs": {"text": "${chunk.text}"}}
    asking.write({"chain.yaml": chain_yaml(steps)})
    error = asking.fmf("run", "--chain", "chain.yaml").refused(2)
    assert "'riter'" in error
    assert "'one'" in error
    assert scripted_server.count == 0
    assert not (asking.root / "artefacts").exists()


def test_a_wrong_version(asking, scripted_server):
    """Bad input: a version that is not there names the known ones and ends with 8; nothing is sent."""
    error = asking.fmf("infer", "--prompt", "prompts/summarise.yaml#v9", "--input", "note.txt").refused(8)
    assert "v9" in error
    assert "v1" in error
    asking.write({"chain.yaml": chain_yaml({"id": "one", "prompt": "summarise#v9", "inputs": {"text": "x"}})})
    error = asking.fmf("run", "--chain", "chain.yaml").refused(8)
    assert "v9" in error
    assert scripted_server.count == 0
