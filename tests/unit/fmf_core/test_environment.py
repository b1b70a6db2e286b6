from __future__ import annotations

import os
from unittest import mock

from fmf_core.environment import Variable

NAME = "FMF_TEST_OF_A_VARIABLE"


def test_a_variable_is_read_as_it_is_now(monkeypatch):
    variable = Variable(NAME)
    monkeypatch.delenv(NAME, raising=False)
    assert variable.read() is None
    monkeypatch.setenv(NAME, "on é")
    assert variable.read() == "on é"
    os.environ[NAME] = ""
    assert variable.read() == ""
    os.environ.pop(NAME)
    assert variable.read() is None


def test_another_environment_is_read_as_well():
    with mock.patch.object(os, "environ", {NAME: "elsewhere"}):
        assert MADE.read() == "elsewhere"
    with mock.patch.dict(os.environ, {NAME: "put in"}):
        assert MADE.read() == "put in"
    assert MADE.read() is None


MADE = Variable(NAME)
