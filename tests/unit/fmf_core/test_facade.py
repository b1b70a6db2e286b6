from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from fmf_core.facade import facade


@pytest.fixture
def package(monkeypatch):
    module = ModuleType("shown")
    module.__getattr__, module.__dir__ = facade("shown", {"Code": "fmf_core.errors:Code"})
    monkeypatch.setitem(sys.modules, "shown", module)
    return module


def test_a_name_comes_from_its_home_and_stays(package):
    from fmf_core.errors import Code

    assert package.Code is Code
    assert vars(package)["Code"] is Code
    assert "Code" in dir(package)


def test_another_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match="module 'shown' has no attribute 'Cod'"):
        _ = package.Cod


@pytest.mark.parametrize("package", ["chatmodels", "generative_ai_workflow", "fmf"])
def test_importing_a_storey_imports_next_to_nothing(package):
    code = f"import sys, {package}; assert not {{'pydantic', 'asyncio', 'yaml', 'click'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
