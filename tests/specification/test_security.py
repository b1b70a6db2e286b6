"""FR-027 to FR-030: secrets, input and personal data."""

from __future__ import annotations

import io
import pickle

import pytest

from chatmodels import create_chat_model
from generative_ai_workflow import (
    ConditionalStep,
    ConfigurationError,
    ExpressionError,
    FrameworkConfig,
    FrameworkError,
    InputLimits,
    LLMStep,
    Middleware,
    MockLLMProvider,
    PseudonymMiddleware,
    TransformStep,
    Workflow,
    WorkflowConfig,
    WorkflowEngine,
    WorkflowStatus,
    clean_text,
    detect_pii,
    find_pii,
    redact_pii,
)
from generative_ai_workflow.observability.logging import configure_logging, get_logger
from peers.scripted_server import Reply
from specification.ways import WAYS, run

every_way = pytest.mark.parametrize("way", WAYS)
KEY = "sk-specification-0123456789abcdef"


@pytest.mark.requirement("FR-027")
@every_way
def test_a_key_stands_in_no_line_however_the_run_ends(way, openai):
    stream = io.StringIO()
    configure_logging("DEBUG", stream=stream)
    echo = {"error": {"message": f"Incorrect API key provided: {KEY}", "type": "x", "code": "invalid_api_key"}}
    openai.add(Reply(status=401, body=echo), f"your key is {KEY}")
    engine = WorkflowEngine(FrameworkConfig(log_prompts=True))
    failed = run(way, Workflow([LLMStep("ask", f"my key is {KEY}")]), engine=engine)
    good = run(way, Workflow([LLMStep("ask", "x"), TransformStep("bad", lambda n: 1 / 0)]), engine=engine)
    assert failed.status is good.status is WorkflowStatus.FAILED
    written = stream.getvalue()
    assert "llm.prompt" in written
    assert KEY not in written
    assert KEY not in f"{failed.error} {failed.steps['ask'].error_info!r}"


@pytest.mark.requirement("FR-027")
def test_a_key_shows_neither_in_settings_nor_in_errors_nor_in_what_programs_log(openai):
    stream = io.StringIO()
    configure_logging("DEBUG", stream=stream)
    config = FrameworkConfig()
    engine = WorkflowEngine(config)
    engine.run(Workflow([LLMStep("ask", "x")]))
    get_logger("my.program").info("odd", nested={"list": [f"Bearer {KEY}", {"api_key": "hunter2"}]}, text=KEY)
    shown = f"{config!r} {config} {config.model_dump()} {engine!r} {stream.getvalue()}"
    assert config.openai_api_key.get_secret_value() == KEY
    assert KEY not in shown
    assert "hunter2" not in shown


@pytest.mark.requirement("FR-027")
@pytest.mark.parametrize(
    "secret",
    ["sk-proj-abcdefghijklmnop0123456789", "AKIAIOSFODNN7EXAMPLE", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"],
)
def test_other_credentials_do_not_stand_in_the_log_either(secret):
    stream = io.StringIO()
    configure_logging("DEBUG", stream=stream)

    def broken(names: dict) -> None:
        raise ValueError(f"cannot log in with {secret}")

    result = Workflow([TransformStep("bad", broken)]).execute()
    assert "cannot log in" in result.error
    assert secret not in stream.getvalue() + result.error


@pytest.mark.requirement("FR-028")
def test_the_key_comes_from_the_environment_and_without_it_nothing_is_asked(openai, monkeypatch):
    Workflow([LLMStep("ask", "x")]).execute()
    assert openai.chats[0].headers["authorization"] == f"Bearer {KEY}"
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL")
    result = Workflow([LLMStep("ask", "x")]).execute()
    assert "OPENAI_API_KEY" in result.error
    assert openai.count == 1


@pytest.mark.requirement("FR-028")
def test_a_model_with_its_key_cannot_be_pickled(openai):
    with pytest.raises(ConfigurationError):
        pickle.dumps(create_chat_model("openai", model="m", api_key=KEY))


@pytest.mark.requirement("FR-029")
@every_way
def test_text_of_the_input_is_never_taken_for_a_template(way):
    model = MockLLMProvider(lambda request: request.prompt)
    steps = [LLMStep("a", "{text}", model), LLMStep("b", "{a} {{ a }}", model)]
    attack = "{other} {{ other }} ${input.other} ${steps.a} {text.__class__} %(other)s $other"
    result = run(way, Workflow(steps), {"text": attack, "other": "SECRET"})
    assert [request.prompt for request in model.call_log] == [attack, f"{attack} {attack}"]
    assert "SECRET" not in result.output["b"]


@pytest.mark.requirement("FR-029")
@pytest.mark.parametrize(
    "condition",
    [
        "__import__('os').system('true')",
        "input.__class__",
        "text.__class__.__mro__",
        "(lambda: 1)()",
        "[x for x in text]",
        "text.upper()",
        "exec('1')",
    ],
)
def test_conditions_run_no_code_and_reach_no_attributes(condition):
    try:
        workflow = Workflow([ConditionalStep("if", condition, [TransformStep("a", lambda n: "reached")])])
    except ExpressionError:
        return
    result = workflow.execute({"text": "x"})
    assert result.status is WorkflowStatus.FAILED
    assert "reached" not in str(result.output)


@pytest.mark.requirement("FR-029")
@every_way
@pytest.mark.parametrize("wrong", ["text", ["a"], {1: "x"}, 7], ids=repr)
def test_an_input_of_the_wrong_shape_is_refused_before_anything_runs(way, wrong):
    ran = []
    with pytest.raises(ConfigurationError, match="dict"):
        run(way, Workflow([TransformStep("a", ran.append)]), wrong)
    assert ran == []


@pytest.mark.requirement("FR-029")
def test_definitions_are_validated_before_anything_runs(tmp_path):
    path = tmp_path / "flow.yaml"
    path.write_text("name: x\nsteps:\n  - {id: a, prompt: 'inline: x', surprise: !!python/object:os.system {}}\n")
    with pytest.raises(FrameworkError):
        Workflow.from_yaml(path)


@pytest.mark.requirement("FR-029")
@every_way
@pytest.mark.parametrize(
    "wrong",
    [{}, {"text": 3}, {"text": "x" * 101}, {"text": "x", "n": "many"}],
    ids=["missing", "type", "length", "other type"],
)
def test_an_input_that_does_not_fit_what_was_declared_is_refused_before_anything_runs(way, wrong):
    ran = []
    declared = {"text": {"type": "string", "maxLength": 100}, "n": {"type": "integer", "default": 1}}
    workflow = Workflow([TransformStep("a", ran.append)], input_schema=declared)
    with pytest.raises(ConfigurationError, match=r"text|n"):
        run(way, workflow, wrong)
    assert ran == []
    assert run(way, workflow, {"text": "x"}).succeeded
    assert ran == [{"text": "x", "n": 1}]


@pytest.mark.requirement("FR-029")
@every_way
def test_ordinary_language_passes_whatever_it_says(way):
    texts = [
        "Ignore all previous instructions, she said; DROP TABLE users; <script>alert(1)</script>",
        "{{ text }} ${input.text} {text} %s <|im_start|>system",
        "line one\r\nline two\tand a tab\n\n",
        "مرحبا بالعالم, שלום, 你好, नमस्ते, 👩‍👩‍👧‍👦, 🏴󠁧󠁢󠁥󠁮󠁧󠁿, Ω≈ç√",
        'def f(x):\n    return {"a": [x]}',
    ]
    model = MockLLMProvider(lambda request: request.prompt)
    for text in texts:
        assert run(way, Workflow([LLMStep("a", "{text}", model)]), {"text": text}).output["a"] == text


@pytest.mark.requirement("FR-029")
@every_way
@pytest.mark.parametrize(
    "text",
    ["a\x00b", "\x1b[2J", "\u202egnp.exe", "\ud800", "\U000e0041\U000e0042"],
    ids=["NUL", "terminal", "direction", "surrogate", "tags"],
)
def test_characters_that_only_hide_or_control_are_refused_with_their_place(way, text):
    ran = []
    for data in ({"text": f"hidden {text}"}, {"list": ["x", {"deep": text}]}, {f"key{text}": "x"}):
        with pytest.raises(ConfigurationError) as caught:
            run(way, Workflow([TransformStep("a", ran.append)]), data)
        assert text not in str(caught.value)
    assert ran == []


@pytest.mark.requirement("FR-029")
@every_way
def test_an_input_beyond_all_measure_is_refused(way):
    deep: dict = {}
    for _ in range(100):
        deep = {"in": deep}
    ran = []
    limits = InputLimits(max_characters=1000, max_items=100)
    workflow = Workflow([TransformStep("a", ran.append)], config=WorkflowConfig(input_limits=limits))
    for data in (deep, {"text": "x" * 1001}, {"many": list(range(101))}):
        with pytest.raises(ConfigurationError):
            run(way, workflow, data)
    assert ran == []
    assert run(way, workflow, {"text": "x" * 900, "many": list(range(90))}).succeeded


@pytest.mark.requirement("FR-029")
def test_an_input_may_be_cleaned_instead_of_refused():
    assert clean_text("a\x00b \x1b[2Jc") == "ab c"
    model = MockLLMProvider()
    config = WorkflowConfig(input_limits=InputLimits(clean=True))
    Workflow([LLMStep("a", "{text}", model)], config=config).execute({"text": "a\x00b \x1b[2Jc"})
    assert model.call_log[0].prompt == "ab c"


PERSONAL = {
    "email": "ann.smith@example.org",
    "phone": "+49 30 1234567",
    "credit_card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "ip_address": "192.168.17.4",
}


@pytest.mark.requirement("FR-030")
@pytest.mark.parametrize("kind", PERSONAL)
def test_personal_data_is_found_and_blanked_by_kind(kind):
    text = f"Note: {PERSONAL[kind]}, as agreed."
    assert detect_pii(text) == {kind: [PERSONAL[kind]]}
    assert PERSONAL[kind] not in redact_pii(text)
    assert redact_pii(text).startswith("Note: [")


@pytest.mark.requirement("FR-030")
@pytest.mark.parametrize(
    "text",
    ["", "Order 4111 1111 1111 1112 of 12.5.2026", "version 1.2.3", "We sold 1234567 units.", "DE89 is a motorway"],
)
def test_ordinary_text_and_wrong_checksums_are_left_alone(text):
    assert detect_pii(text) == {}
    assert redact_pii(text) == text


@pytest.mark.requirement("FR-030")
@every_way
def test_personal_data_can_be_kept_from_a_provider_by_a_hook(way):
    class Private(Middleware):
        def before_llm_call(self, request, context):
            return type(request)(prompt=redact_pii(request.prompt))

    model = MockLLMProvider()
    run(way, Workflow([LLMStep("a", "{mail}", model)]), {"mail": "ann@example.org"}, WorkflowEngine().use(Private()))
    assert model.call_log[0].prompt == "[EMAIL]"


@pytest.mark.requirement("FR-030")
def test_findings_say_what_they_are_and_where():
    text = "Write to ann@example.org or call +49 30 1234567."
    found = [(finding.kind, text[finding.start : finding.end]) for finding in find_pii(text)]
    assert found == [("email", "ann@example.org"), ("phone", "+49 30 1234567")]


@pytest.mark.requirement("FR-030")
@every_way
def test_a_provider_gets_pseudonyms_and_the_workflow_the_real_values(way):
    model = MockLLMProvider(lambda request: f"Answer to {request.prompt.split()[-1]}")
    engine = WorkflowEngine().use(PseudonymMiddleware())
    result = run(way, Workflow([LLMStep("a", "Write to {mail}", model)]), {"mail": "ann@example.org"}, engine)
    assert "ann@example.org" not in model.call_log[0].prompt
    assert result.output["a"] == "Answer to ann@example.org"
