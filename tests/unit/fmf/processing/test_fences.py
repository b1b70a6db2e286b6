"""Where code is."""

from __future__ import annotations

from fmf.processing.fences import Fence, code_spans, fence_at, fence_end

TEXT = "a\n```py\nx\n```\nb\n~~~\n```\n~~~~\nc\n````\n```\n"


def test_spans():
    spans, fence = code_spans(TEXT, None)
    assert [TEXT[start:end] for start, end in spans] == ["```py\nx\n```", "~~~\n```\n~~~~", "````\n```\n"]
    assert fence == Fence(TEXT.index("````"), "````")
    assert code_spans("x\n````\ny\n", fence)[1] is None


def test_the_fence_that_is_open_somewhere():
    assert fence_at(TEXT, 0, 10, None) == Fence(2, "```")
    assert fence_at(TEXT, 0, 15, None) is None
    assert fence_end(TEXT, Fence(2, "```"), 8, len(TEXT)) == TEXT.index("```\nb") + 3
    assert fence_end(TEXT, Fence(2, "```"), 8, 9) is None
