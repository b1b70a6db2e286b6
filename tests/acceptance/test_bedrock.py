from __future__ import annotations

from collections.abc import Iterator

import pytest

from acceptance.outside import Project, chain_yaml, fmf_yaml
from peers.bedrock_server import BedrockServer, Reply

CLAUDE = "us.anthropic.claude-3-5-sonnet-20241022-v2:0"
SECRET = "secret/of+nobody/at/all"
PROMPT = """\
id: summarise
versions:
  - version: v1
    template: "Sum up: {{ text }}"
    system: Be brief.
    inputs: {required: [text]}
    examples: [{input: A long text., output: A text.}]
"""


@pytest.fixture
def server() -> Iterator[BedrockServer]:
    with BedrockServer() as server:
        yield server


@pytest.fixture
def asking(project: Project, server: BedrockServer) -> Project:
    """A project whose model is Claude in Bedrock, with its keys in `.env`."""
    section = {"region": "eu-west-1", "model_id": CLAUDE, "temperature": 0.25, "endpoint_url": server.url}
    inference = {
        "provider": "aws_bedrock",
        "aws_bedrock": section,
        "retry": {"max_attempts": 3, "first_wait_s": 0.01},
        "prices": {CLAUDE: {"input_per_1m": 1.0, "output_per_1m": 2.0}},
    }
    project.environment |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "none"}
    project.environment |= {"AWS_SHARED_CREDENTIALS_FILE": "none"}
    keys = f"AWS_ACCESS_KEY_ID=AKIDOFNOBODY\nAWS_SECRET_ACCESS_KEY={SECRET}\n"
    project.write({"fmf.yaml": fmf_yaml(inference=inference), ".env": keys})
    return project.write(
        {"prompts/summarise.yaml": PROMPT, "note.txt": "Brakes squeal.", "data/a.md": "Brakes squeal."}
    )


@pytest.mark.behaviour(31)
def test_a_reply_of_claude_is_a_plain_string_and_the_turns_of_the_assistant_are_kept(asking, server):
    """Behaviour 31: the prompt, its examples and its system text reach `converse`; stdout is the text alone."""
    asking.fmf("prompt", "register", "prompts/summarise.yaml#v1").well()
    server.add(Reply(text="They squeal."))
    told = asking.fmf("infer", "--prompt", "summarise#v1", "--input", "note.txt").well()
    assert told.stdout == "They squeal.\n"
    assert "cost=$0.000025" in told.stderr
    [request] = server.chats
    assert (request.model, request.operation) == (CLAUDE, "converse")
    assert "Credential=AKIDOFNOBODY/" in request.headers["authorization"]
    assert request.body == {
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "A long text."}]},
            {"role": "assistant", "content": [{"text": "A text."}]},
            {"role": "user", "content": [{"text": "Sum up: Brakes squeal."}]},
        ],
        "inferenceConfig": {"maxTokens": 1024, "temperature": 0.25},
    }


@pytest.mark.behaviour(31)
def test_a_streamed_reply_is_the_same_text(asking, server):
    """Behaviour 31: with --stream stdout holds the same text, out of the frames of an event stream."""
    server.add(Reply(text="one two three four"))
    told = asking.fmf("infer", "--prompt", "inline: Read {{ text }}", "--input", "note.txt", "--stream").well()
    assert told.stdout == "one two three four\n"
    assert server.chats[0].operation == "converse-stream"


@pytest.mark.behaviour(31)
def test_a_throttled_call_is_made_again(asking, server):
    """Behaviour 31: ThrottlingException is retried, by one owner: three requests are three attempts on record."""
    asking.write({"chain.yaml": chain_yaml({"id": "one", "prompt": "inline: ${chunk.text}"})})
    server.add(*[Reply(status=429, error="ThrottlingException", message="Too many requests")] * 2, "They squeal.")
    [output] = asking.fmf("run", "--chain", "chain.yaml").well().run.outputs
    assert (output["output"], output["attempts"], output["provider"]) == ("They squeal.", 3, "aws_bedrock")
    assert server.count == 3
    server.add(*[Reply(status=429, error="ThrottlingException", message="Too many requests")] * 3)
    told = asking.fmf("run", "--chain", "chain.yaml")
    told.refused(6)
    [record] = told.run.errors
    assert (record["code"], record["attempts"]) == ("rate_limit", 3)
    assert server.count == 6


def test_json_that_fits_a_schema(asking, server):
    """A model that cannot be held to a schema is told it, and its answer is checked all the same."""
    schema = {"type": "object", "properties": {"loud": {"type": "boolean"}}, "required": ["loud"]}
    output = {"name": "noise", "expects": "json", "schema": schema}
    asking.write({"chain.yaml": chain_yaml({"id": "one", "prompt": "inline: ${chunk.text}", "output": output})})
    server.add("It is loud.", '{"loud": true}')
    [record] = asking.fmf("run", "--chain", "chain.yaml").well().run.outputs
    assert record["output"] == {"loud": True}
    assert "JSON Schema" in server.bodies[0]["system"][-1]["text"]


@pytest.mark.parametrize(
    ("reply", "exit_code", "named"),
    [
        (
            Reply(status=400, error="ValidationException", message="The provided model identifier is invalid."),
            6,
            CLAUDE,
        ),
        (Reply(status=403, error="UnrecognizedClientException", message=f"not {SECRET}"), 3, "AWS_PROFILE"),
    ],
)
def test_a_refusal_says_what_to_do_and_shows_no_secret(asking, server, reply, exit_code, named):
    server.add(reply)
    error = asking.fmf("infer", "--prompt", "inline: hello").refused(exit_code)
    assert named in error
    assert SECRET not in error
    assert error.count("error:") == 1
    assert server.count == 1


def test_without_keys_the_error_names_where_they_may_be(asking, server):
    asking.write({".env": ""})
    assert "AWS_ACCESS_KEY_ID" in asking.fmf("infer", "--prompt", "inline: hello").refused(3)
    asking.write({".env": "AWS_ACCESS_KEY_ID=AKIDOFNOBODY\n"})
    assert "AWS_SECRET_ACCESS_KEY" in asking.fmf("infer", "--prompt", "inline: hello").refused(3)
    assert server.requests == []


def test_the_provider_is_listed_described_and_checked(asking, server):
    assert "aws_bedrock" in asking.fmf("models", "ls").well().stdout
    told = asking.fmf("models", "info", "aws_bedrock", "--json").well().json
    assert (told["extra"], told["default_model"]) == ("aws", "amazon.nova-lite-v1:0")
    assert "images" in told["capabilities"]
    checks = {check["name"]: check for check in asking.fmf("doctor", "--json").well().json["checks"]}
    assert checks["inference"]["state"] == "ok"
    assert server.count == 0


def test_without_boto3_one_error_names_the_extra(asking, server):
    asking.write({"hidden/boto3.py": "raise ModuleNotFoundError(\"No module named 'boto3'\", name='boto3')\n"})
    error = asking.fmf("infer", "--prompt", "inline: hello", env={"PYTHONPATH": "hidden"})
    assert "pip install -e '.[aws]'" in error.stderr
    assert error.stderr.count("error:") == 1
    assert error.exit_code == 2
    assert "Traceback" not in error.stderr
