"""Notebooks become Markdown: text, code in fences, short results."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmf.config.models import ProcessingConfig
from fmf.errors import ProcessingError
from fmf.processing.loaders import notebook as loader
from fmf.testing.loaders import LoaderExam
from unit.fmf.processing.memory import source_of


def cell(kind: str, source: Any, **more: Any) -> dict[str, Any]:
    return {"cell_type": kind, "source": source, "metadata": {}, **more}


def notebook(*cells: Any, **about: Any) -> bytes:
    metadata = {"language_info": {"name": "python"}, **about}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}).encode()


def load(data: bytes, **text: bool):
    with source_of(data, "a.ipynb") as source:
        loaded = loader.load(source, ProcessingConfig(text=text))
        return "".join(loaded.pieces), loaded


OUTPUTS = [
    {"output_type": "stream", "name": "stdout", "text": ["\x1b[31mred\x1b[0m\n", "line\n"]},
    {"output_type": "execute_result", "data": {"text/plain": "42", "text/html": "<b>42</b>"}},
    {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo="}},
    {"output_type": "error", "ename": "ValueError", "evalue": "no plum", "traceback": ["..."]},
]
WHOLE = notebook(
    cell("markdown", ["# Plums\n", "\n", "Some *text*."]),
    cell("code", "x = '''```'''\nprint(x)", outputs=OUTPUTS),
    cell("raw", "as it is"),
    cell("code", "", outputs=[]),
)


class TestExam(LoaderExam):
    words: ClassVar = {"a.ipynb": ["# Plums", "print(x)", "red", "42", "ValueError: no plum", "as it is"]}

    def make_loader(self):
        return loader.load

    def make_files(self):
        return {"a.ipynb": WHOLE}


def test_cells_are_markdown_in_their_order():
    text, loaded = load(WHOLE)
    assert text == (
        "# Plums\n\nSome *text*.\n\n````python\nx = '''```'''\nprint(x)\n````\n\n```text\nred\nline\n```\n\n"
        "```text\n42\n```\n\n```text\nValueError: no plum\n```\n\nas it is\n"
    )
    assert (loaded.title, loaded.markdown) == ("Plums", True)
    assert loaded.metadata == {"cells": 4, "code_language": "python"}
    assert not load(WHOLE, preserve_markdown=False)[1].markdown
    assert load(WHOLE.decode().encode("utf-16"))[1].metadata["encoding"] == "utf-16-le"


def test_long_results_are_cut():
    text, _ = load(notebook(cell("code", "x", outputs=[{"output_type": "stream", "text": "z" * 9000}] * 2)))
    assert text.count("z") == loader.LONGEST_OUTPUT
    assert "... (7,000 more characters)" in text


def test_the_title():
    assert load(notebook(cell("code", "x"), title="My book"))[1].title == "My book"
    assert load(notebook(cell("code", "# no title")))[1].title == "a.ipynb"


def test_notebooks_of_the_third_format():
    old = {
        "worksheets": [
            {"cells": [{"cell_type": "heading", "level": 2, "source": "T"}, {"cell_type": "code", "input": "x"}]}
        ]
    }
    text, loaded = load(json.dumps(old).encode())
    assert text == "## T\n\n```\nx\n```\n"
    assert loaded.title == "T"


@pytest.mark.parametrize("data", [b"[1, 2]", b'{"nbformat": 4}', b'"plum"'])
def test_other_json_is_text(data):
    text, loaded = load(data)
    assert text == data.decode()
    assert not loaded.markdown


def test_what_is_no_json_or_too_large_is_refused(monkeypatch):
    with pytest.raises(ProcessingError, match=r"memory://a\.ipynb: it is no JSON"):
        load(b'{"cells": [')
    with pytest.raises(ProcessingError, match="it is no JSON"):
        load(b"[" * 100_000)
    monkeypatch.setattr(loader, "LARGEST", 10)
    with pytest.raises(ProcessingError, match="larger notebooks are not read"):
        load(WHOLE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["cell_type", "source", "outputs", "output_type", "data", "text", "text/plain", "ename"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=4), JSON)
def test_any_cells_are_text(cells, metadata):
    text, _ = load(json.dumps({"cells": cells, "metadata": metadata}).encode())
    text.encode()
