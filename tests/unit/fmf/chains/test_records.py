from __future__ import annotations

from fmf.chains.records import INPUT_LIMIT_CHARS, LIST_LIMIT, document_error_row, run_error_row, shortened
from fmf.errors import ConnectorError, ProcessingError
from fmf.types import Document
from fmf_core.redact import add_secret


def test_long_texts_are_cut_with_a_mark():
    long = "x" * (INPUT_LIMIT_CHARS + 5)
    assert shortened(long) == "x" * INPUT_LIMIT_CHARS + "… [5 more characters]"
    assert shortened(long[5:]) == long[5:]
    assert shortened({"a": [long, 1, None]})["a"][0].endswith("[5 more characters]")
    many = shortened(list(range(LIST_LIMIT + 2)))
    assert many[-1] == "… [2 more]"


def test_where_a_document_failed():
    error = ConnectorError("gone", op="local.open", hint="look", fields={"attempts": 3})
    row = document_error_row("r", Document("d", "file:///a", "a", "failed", reason="gone", error=error))
    assert (row["stage"], row["source_uri"], row["doc_id"], row["attempts"]) == ("connect", "file:///a", "d", 3)
    row = document_error_row("r", Document("d", "file:///a", "a", "failed", reason="bad", error=ProcessingError("bad")))
    assert row["stage"] == "read"
    row = document_error_row("r", Document("d", "file:///a", "a", "failed", reason="bad"))
    assert row["message"] == "bad"


def test_secrets_do_not_reach_the_records():
    add_secret("quite-secret-value")
    row = run_error_row("r", "save", ValueError("has quite-secret-value in it"))
    assert "quite-secret" not in row["message"]
    assert (row["code"], row["kind"]) == ("internal", "ValueError")
