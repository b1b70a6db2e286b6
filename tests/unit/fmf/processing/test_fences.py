"""Where code is."""

from __future__ import annotations

from fmf.processing.fences import Fence, Fences, code_spans, fence_end

TEXT = "a\n```py\nx\n```\nb\n~~~\n```\n~~~~\nc\n````\n```\n"


def test_spans():
    spans, fence = code_spans(TEXT, None)
    assert [TEXT[start:end] for start, end in spans] == ["```py\nx\n```", "~~~\n```\n~~~~", "````\n```\n"]
    assert fence == Fence(TEXT.index("````"), "````")
    assert code_spans("x\n````\ny\n", fence)[1] is None


def test_the_fence_that_is_open_somewhere():
    fences = Fences(TEXT)
    assert fences.at(2) is None
    assert fences.at(10) == Fence(2, "```")
    assert fences.at(15) is None
    assert Fences(TEXT, 10, Fence(2, "```")).at(10) == Fence(2, "```")
    assert Fences(TEXT, 10, Fence(2, "```")).at(15) is None
    assert fence_end(TEXT, Fence(2, "```"), 8, len(TEXT)) == TEXT.index("```\nb") + 3
    assert fence_end(TEXT, Fence(2, "```"), 8, 9) is None


def test_no_fence_is_open_beyond_a_part():
    text = "```\na\nb\n```\nc\n~~~\nd\n~~~\n"
    fences = Fences(text, 0, None, [text.index("b"), text.index("d"), text.index("d") + 2])
    opened = [fences.at(text.index(word)) for word in "abcd"]
    assert opened == [Fence(0, "```"), None, Fence(text.index("```\nc"), "```"), None]
    assert fences.at(text.index("~~~")) == Fence(text.index("```\nc"), "```")
    assert fences.at(len(text)) == Fence(text.index("d") + 2, "~~~")
