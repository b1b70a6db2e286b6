from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from fmf_core.facade import facade


@pytest.fixture
def package(monkeypatch):
    module = ModuleType("shown")
    monkeypatch.setitem(sys.modules, "shown", module)
    facade("shown", {"fmf_core.errors": "Code ErrorCode=Code", "fmf_core.retry": "RetryPolicy"})
    return module


def test_a_name_comes_from_its_home_and_stays(package):
    from fmf_core.errors import Code

    assert package.Code is Code
    assert package.ErrorCode is Code
    assert vars(package)["Code"] is Code


def test_all_names_are_shown_before_any_is_asked_for(package):
    assert package.__all__ == ["Code", "ErrorCode", "RetryPolicy"]
    assert set(package.__all__) <= set(dir(package))
    assert "RetryPolicy" not in vars(package)


def test_another_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match="module 'shown' has no attribute 'Cod'"):
        _ = package.Cod


@pytest.mark.parametrize("package", ["chatmodels", "generative_ai_workflow", "fmf"])
def test_importing_a_storey_imports_next_to_nothing(package):
    code = f"import sys, {package}; assert not {{'pydantic', 'asyncio', 'yaml', 'click'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
