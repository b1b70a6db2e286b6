from __future__ import annotations

import io
import json
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fmf.cli import output
from fmf.config.models import OcrConfig


class Terminal(io.StringIO):
    def isatty(self):
        return True


@given(st.text())
def test_an_escaped_field_is_one_printable_line(text):
    shown = output.escape_field(text)
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in shown)


@given(st.text(alphabet=st.characters(min_codepoint=32, exclude_categories=("Cc", "Cf"))))
def test_ordinary_text_is_left_alone(text):
    assert output.escape(text) == text
    assert output.escape_field(text) == text


def test_lines_stay_lines_whatever_a_name_holds(capsys):
    output.emit_lines([("a\nb", "file:///a\tb"), "plain"])
    assert capsys.readouterr().out == "a\\nb\tfile:///a\\tb\nplain\n"


def test_text_is_exact_in_a_pipe_and_harmless_on_a_terminal(capsys, monkeypatch):
    output.emit_text("\x1b[31mred\x1b[0m\n\tline two")
    assert capsys.readouterr().out == "\x1b[31mred\x1b[0m\n\tline two\n"
    monkeypatch.setattr(sys, "stdout", made := Terminal())
    output.emit_text("\x1b[31mred\u202e\n\tline two")
    assert made.getvalue() == "\\x1b[31mred\\u202e\n\tline two\n"


def test_json_takes_paths_and_records(capsys):
    output.emit_json({"path": Path("a/b"), "record": OcrConfig(), 1: None})
    found = json.loads(capsys.readouterr().out)
    assert found == {"path": "a/b", "record": {"enabled": False, "engine": "tesseract", "lang": "eng"}, "1": None}


def test_a_table_is_tab_separated_in_a_pipe(capsys):
    output.table(("name", "value"), [("a", 1), ("b", None)])
    assert capsys.readouterr().out == "a\t1\nb\t\n"


def test_a_table_has_headings_on_a_terminal_and_no_markup(monkeypatch):
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    output.table(("name", "value"), [("[red]a[/red]", "\x1b[2J")])
    shown = terminal.getvalue()
    assert "name" in shown
    assert "[red]a[/red]" in shown
    assert "\x1b[2J" not in shown
    assert "\\x1b[2J" in shown


def test_notes_go_to_stderr_unless_quiet(fmf, try_out):
    def speak(_session):
        output.note("by the way")
        output.warn("look out")

    try_out(speak)
    loud, quiet = fmf("try"), fmf("try", "-q")
    assert (loud.stdout, loud.stderr) == ("", "by the way\nwarning: look out\n")
    assert quiet.stderr == "warning: look out\n"
