from __future__ import annotations

import pytest

from fmf.errors import PromptError
from fmf.prompts.checks import check_names, run_tests
from fmf.prompts.prompt import build_prompt
from generative_ai_workflow.prompt_file import PromptVersion


def words(text):
    return len(text.split())


def outcome(test, template="Say {{ text }}", count_tokens=words):
    declared = PromptVersion.model_validate(
        {"version": "v1", "template": template, "inputs": {"required": ["text"]}, "tests": [{"name": "t", **test}]}
    )
    return run_tests(build_prompt("p", declared), declared, count_tokens)[0]


@pytest.mark.parametrize(
    ("assertions", "failure"),
    [
        ({"contains": ["Say a", "b"]}, None),
        ({"contains": ["c"]}, "does not contain 'c'"),
        ({"not_contains": ["c"]}, None),
        ({"not_contains": ["a b"]}, "contains 'a b'"),
        ({"max_tokens": 3}, None),
        ({"max_tokens": 2}, "has 3 tokens, more than max_tokens 2"),
        ({}, None),
    ],
)
def test_assertions(assertions, failure):
    result = outcome({"inputs": {"text": "a b"}, "assertions": assertions})
    assert result.failures == (() if failure is None else (failure,))
    assert result.passed == (failure is None)


def test_all_failures_of_a_test_are_told():
    result = outcome({"inputs": {"text": "a"}, "assertions": {"contains": ["x", "z"], "max_tokens": 1}})
    assert len(result.failures) == 3


def test_inputs_must_fit_the_prompt():
    assert "'text'" in outcome({"inputs": {}}).failures[0]
    assert "'txt'" in outcome({"inputs": {"txt": "a"}}).failures[0]


def test_counting_needs_a_counter():
    test = {"inputs": {"text": "a"}, "assertions": {"max_tokens": 9}}
    with pytest.raises(PromptError, match="token counter"):
        outcome(test, count_tokens=None)


def test_a_name_that_is_not_listed_is_refused():
    declared = PromptVersion.model_validate({"version": "v1", "template": "{{ a }}", "inputs": {"required": ["b"]}})
    with pytest.raises(PromptError, match=r"'a'.*inputs\.required"):
        check_names(build_prompt("p", declared))
    listed = declared.model_copy(update={"template": "{{ b }}", "system": "{{ c }}"})
    with pytest.raises(PromptError, match="'c'"):
        check_names(build_prompt("p", listed))
    check_names(build_prompt("p", declared.model_copy(update={"template": "{{ b }} {c}"})))
