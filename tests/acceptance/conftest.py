"""A fresh project for every test, and the runs that several tests look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from acceptance.outside import Project

pytest.register_assert_rewrite("acceptance.kills")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty folder to run in."""
    return Project(tmp_path)
