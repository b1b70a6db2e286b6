from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.errors import PromptError
from fmf.prompts.prompt import build_prompt, compact_json, content_hash, inline_prompt
from generative_ai_workflow.prompt_file import PromptVersion

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


def version(**parts):
    return PromptVersion.model_validate({"version": "v1", "template": "Say {{ text }}", **parts})


def test_examples_become_turns():
    declared = version(
        examples=[
            {"input": {"text": "hello"}, "output": {"b": [1, True], "a": "ü"}},
            {"input": "verbatim {{ text }}", "output": "as it is"},
        ]
    )
    prompt = build_prompt("p", declared)
    assert prompt.examples == (("Say hello", '{"b":[1,true],"a":"ü"}'), ("verbatim {{ text }}", "as it is"))


def test_an_example_that_leaves_out_a_value_is_refused():
    with pytest.raises(PromptError, match=r"p#v1.*examples\[1\].*text"):
        build_prompt("p", version(examples=[{"input": "x", "output": "y"}, {"input": {"txt": "x"}, "output": "y"}]))


def test_rendering_names_what_is_missing_and_what_was_given():
    prompt = build_prompt("p", version(inputs={"required": ["text", "tone"]}))
    assert prompt.render({"text": "{{ tone }} {x}", "tone": ""}) == "Say {{ tone }} {x}"
    with pytest.raises(PromptError, match=r"'tone'") as caught:
        prompt.render({"text": "a"})
    assert "text" in caught.value.hint


def test_only_double_braces_are_places():
    prompt = build_prompt("p", version(template='{"a": {text}} {{ b }}', system="For {{ who }}"))
    assert prompt.names == {"b", "who"}


def test_the_hash_is_of_what_the_model_sees():
    plain = content_hash(version())
    assert re.fullmatch("sha256:[0-9a-f]{64}", plain)
    assert plain == content_hash(version(changes="typo", author="me", created_at="2026-11-02", version="v9"))
    assert plain == content_hash(version(tests=[{"name": "t"}], inputs={"required": []}, examples=[]))
    seen = [
        version(template="Say {{ text }}!"),
        version(system="Be brief."),
        version(inputs={"required": ["text"]}),
        version(examples=[{"input": "a", "output": "b"}]),
        version(examples=[{"input": "a", "output": "c"}]),
    ]
    assert len({plain, *map(content_hash, seen)}) == 6


def test_the_hash_does_not_depend_on_the_order_of_keys():
    one = version(examples=[{"input": {"text": "a"}, "output": {"x": 1, "y": 2}}], inputs={"required": ["a", "b"]})
    two = version(examples=[{"input": {"text": "a"}, "output": {"y": 2, "x": 1}}], inputs={"required": ["b", "a"]})
    assert content_hash(one) == content_hash(two)


@given(TEXT, TEXT)
def test_two_templates_share_a_hash_only_when_they_are_one(first, second):
    assert (content_hash(version(template=first)) == content_hash(version(template=second))) == (first == second)


def test_inline():
    prompt = inline_prompt("  Sum up {{ text }}\n")
    assert (prompt.id, prompt.version, prompt.ref, prompt.template) == ("inline", "", "inline", "Sum up {{ text }}")
    assert prompt.content_hash == content_hash(version(template="Sum up {{ text }}"))
    with pytest.raises(PromptError, match="empty"):
        inline_prompt(" \n")


def test_compact_json():
    assert compact_json({"a": [1, None], "b": "é"}) == '{"a":[1,null],"b":"é"}'
