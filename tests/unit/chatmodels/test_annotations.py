"""What annotations say beside the fields of models keeps step with these."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import get_overloads

import pytest

from chatmodels import ChatModelConfig, ChatRequest, Message, create_chat_model
from chatmodels.asked import OPTIONS, RequestOptions


@pytest.mark.parametrize("kind", [ChatRequest, Message])
def test_a_constructor_that_only_type_checkers_see_names_every_field(kind):
    tree = ast.parse(Path(inspect.getfile(kind)).read_text(encoding="utf-8"))
    inits = {
        node.name: inner
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__"
    }
    assert {argument.arg for argument in inits[kind.__name__].args.kwonlyargs} == set(kind.model_fields) - {"filled_in"}


def test_the_options_of_a_call_are_the_fields_of_a_request():
    assert set(RequestOptions.__annotations__) == set(OPTIONS) - {"prompt", "messages"}


def test_a_model_is_made_with_every_setting_of_its_configuration():
    *_, whole = get_overloads(create_chat_model)
    assert set(ChatModelConfig.model_fields) <= set(inspect.signature(whole).parameters)
