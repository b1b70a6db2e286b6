"""What all tests of the S3 connector share."""

from __future__ import annotations

import functools

import pytest
from botocore.loaders import JSONFileLoader


@pytest.fixture(scope="session", autouse=True)
def _descriptions_are_parsed_once():
    """Each client parses what AWS describes of S3, which takes longer than most tests: here it is done once for all."""
    load = JSONFileLoader.load_file
    parsed = functools.cache(lambda path: load(JSONFileLoader(), path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: parsed(path))
        yield
