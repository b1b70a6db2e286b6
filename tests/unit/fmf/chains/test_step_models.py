"""Each step asks its own model with its own settings, and a record tells where another model stood by."""

from __future__ import annotations

from chatmodels.iface import ChatModel
from chatmodels.types import ChatResponse, TokenUsage

ONE = {"id": "one", "prompt": "inline: say {{ t }}", "inputs": {"t": "${chunk.text}"}}
TWO = {"id": "two", "prompt": "inline: and {{ t }}", "inputs": {"t": "${steps.one}"}}


class Echo(ChatModel):
    provider_name = "echo"

    def __init__(self, **facts):
        self.requests, self.facts = [], facts

    async def complete_async(self, request):
        self.requests.append(request)
        model = request.model or "usual"
        usage = TokenUsage(prompt_tokens=1, completion_tokens=2, model=model, provider="echo")
        return ChatResponse(content=request.prompt, model=model, usage=usage, **self.facts)


def test_steps_have_models_and_settings_of_their_own(project, chain):
    model = Echo()
    params = {"model": "small", "temperature": 0.5, "max_tokens": 7, "seed": 3, "stop": ["END"]}
    result = project({"a.md": "text"}).run(chain({**ONE, "params": params}, TWO), model)
    first, second = model.requests
    assert (first.model, first.temperature, first.max_tokens, first.seed) == ("small", 0.5, 7, 3)
    assert list(first.stop) == ["END"]
    assert (second.model != "small", second.seed, list(second.stop)) == (True, None, [])
    assert [row["model"] for row in result.outputs] == ["small", second.model or "usual"]


def test_records_tell_where_another_model_stood_by(project, chain):
    result = project({"a.md": "text"}).run(chain(ONE), Echo(fell_back_from=("openai/gone",)))
    [row] = result.outputs
    assert (row["status"], row["fell_back_from"]) == ("ok", ["openai/gone"])


def test_records_of_the_usual_model_do_not_speak_of_others(project, chain):
    result = project({"a.md": "text"}).run(chain(ONE), Echo())
    assert "fell_back_from" not in result.outputs[0]
