from __future__ import annotations

import pytest

from chatmodels.types import ImagePart, TextPart
from generative_ai_workflow import (
    ConfigurationError,
    LLMStep,
    MockLLMProvider,
    Workflow,
    WorkflowEngine,
    WorkflowStatus,
)
from generative_ai_workflow.definition import StepDefinition, build_step

RED, BLUE = ImagePart(data=b"red", media_type="image/png"), ImagePart(url="https://pictures.example/blue.jpg")


def run(step, data=None, responses="seen"):
    model = MockLLMProvider(responses)
    return WorkflowEngine(model=model).run(Workflow([step]), data or {}), model


@pytest.mark.parametrize("given", [[RED, BLUE], (RED, BLUE), RED])
def test_pictures_follow_the_text_of_the_prompt(given):
    result, model = run(
        LLMStep("look", "What is in {place}?", images="${input.photos}"), {"photos": given, "place": "a"}
    )
    assert result.status is WorkflowStatus.COMPLETED
    [request] = model.call_log
    pictures = (given,) if isinstance(given, ImagePart) else tuple(given)
    assert request.messages[-1].content == (TextPart(text="What is in a?"), *pictures)
    assert request.prompt == "What is in a?"


def test_pictures_may_be_part_of_the_step_and_none_at_all_is_a_plain_prompt():
    _, model = run(LLMStep("look", "What?", images=[RED], system_prompt="Be brief.", examples=[("a", "b")]))
    assert [message.role for message in model.call_log[0].messages] == ["system", "user", "assistant", "user"]
    assert model.call_log[0].messages[-1].content == (TextPart(text="What?"), RED)
    _, model = run(LLMStep("look", "What?", images="${input.photos}"), {"photos": []})
    assert model.call_log[0].messages[-1].content == "What?"


def test_they_are_there_again_when_the_answer_was_no_json():
    step = LLMStep("look", "What?", images=[RED], output={"expects": "json"})
    result, model = run(step, responses=["no", '{"a": 1}'])
    assert result.output["look"] == {"a": 1}
    assert [request.messages[0].content for request in model.call_log] == [(TextPart(text="What?"), RED)] * 2


@pytest.mark.parametrize("photos", ["a.png", b"bytes", [RED, "a.png"], None])
def test_anything_else_fails_the_step(photos):
    result, model = run(LLMStep("look", "What?", images="${input.photos}"), {"photos": photos})
    assert result.status is WorkflowStatus.FAILED
    assert "${input.photos} should be pictures" in result.error
    assert model.call_count == 0


@pytest.mark.parametrize("images", ["photos", "", "${input.a} ${input.b}", "see ${input.a}", [b"bytes"], b"bytes"])
def test_what_can_never_be_pictures_is_refused_when_the_step_is_made(images):
    with pytest.raises(ConfigurationError, match="images must be ImageParts or one reference"):
        LLMStep("look", "What?", images=images)


def test_the_reference_counts_as_one_of_the_step():
    step = build_step(StepDefinition(id="look", inputs={"a": "${input.b}"}), prompt="{{ a }}", images="${steps.made}")
    assert step.references == (("input", "b"), ("steps", "made"))
    with pytest.raises(ConfigurationError, match="comes only later"):
        Workflow([step, LLMStep("made", "x")])
