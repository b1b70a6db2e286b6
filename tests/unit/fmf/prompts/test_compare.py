from __future__ import annotations

from fmf.prompts.compare import unified_diff
from fmf.prompts.prompt import Prompt


def prompt(version, **parts):
    return Prompt(id="p", version=version, content_hash="sha256:x", **{"template": "one\ntwo", **parts})


def test_the_same_gives_nothing():
    assert unified_diff(prompt("v1"), prompt("v2")) == ""


def test_each_section_has_its_own_head():
    text = unified_diff(
        prompt("v1", system="brief"), prompt("v2", template="one\nthree", examples=(("ask\nmore", "answer"),))
    )
    assert "--- p#v1 template\n+++ p#v2 template\n" in text
    assert "\n-two\n+three\n" in text
    assert "--- p#v1 system\n" in text
    assert "\n-brief\n" in text
    assert "\n+user: ask\n+user: more\n+assistant: answer\n" in text
