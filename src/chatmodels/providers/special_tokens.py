"""Special tokens of a weight file: text that the embedded engine would take for more than text, and breaking it up."""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_SIZES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of the kinds of numbers that a weight file knows."""
_TEXT, _LIST = 8, 9
_TOKENS, _KINDS = b"tokenizer.ggml.tokens", b"tokenizer.ggml.token_type"
_UNKNOWN, _CONTROL = 2, 3
_MARKER = re.compile(
    r"<\|.+\|>|<\uff5c.+\uff5c>|\[/?[A-Z_]{3,}\]|</?(?:s|unk|pad|bos|eos|mask|start_of_turn|end_of_turn|think|tool_call)>"
)
"""Tokens that mark roles, whatever their file says that they are: the engine goes by such names as well."""
USUAL: Final = (
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
    "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>",
    "<|start|>", "<|message|>", "<|channel|>", "<start_of_turn>", "<end_of_turn>", "<s>", "</s>", "[INST]", "[/INST]",
)  # fmt: skip
"""Markers of the models in use, for files that do not tell theirs."""


class SpecialTokens:
    """The special tokens of one vocabulary.

    Args:
        tokens: their texts; those of fewer than three characters are left out, for they stand in ordinary text.
    """

    def __init__(self, tokens: frozenset[str]) -> None:
        texts = "|".join(re.escape(token) for token in sorted(tokens) if len(token) >= 3)
        # Wherever one begins: inside of one there may be another.
        self._pattern = re.compile(f"(?=(?:{texts})).", re.DOTALL) if texts else None

    @classmethod
    def of_file(cls, path: Path) -> SpecialTokens:
        """Those of a weight file; the `USUAL` ones where it does not tell."""
        try:
            found = frozenset(_special_in(path))
        except (OSError, ValueError, struct.error, IndexError, UnicodeDecodeError):
            found = frozenset()
        return cls(found or frozenset(USUAL))

    def broken_up(self, text: str) -> str:
        """`text` with a blank after the first character of each special token, so that it is read as the text it is."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: f"{found[0]} ", text)


def _special_in(path: Path) -> Iterator[str]:
    """The texts of the special tokens in the head of a GGUF file.

    Raises:
        ValueError: it is no such file, or its head is cut.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:4] != b"GGUF":
            raise ValueError("no GGUF file")
        reader = _Reader(data)
        (count,) = struct.unpack_from("<Q", data, 16)
        texts: list[bytes] = []
        kinds: tuple[int, ...] = ()
        for _ in range(count):
            key = reader.text()
            kind = reader.number()
            if key == _TOKENS and kind == _LIST:
                texts = reader.texts()
            elif key == _KINDS and kind == _LIST:
                kinds = reader.numbers()
            else:
                reader.skip(kind)
        for text, told in zip(texts, kinds or (0,) * len(texts), strict=True):
            token = text.decode("utf-8", "replace")
            if told in (_UNKNOWN, _CONTROL) or _MARKER.fullmatch(token):
                yield token


class _Reader:
    """Goes through the head of a GGUF file, value by value."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: Any) -> None:
        self._data = data
        self._at = 24  # behind magic, version and two counts

    def number(self) -> int:
        (value,) = struct.unpack_from("<I", self._data, self._at)
        self._at += 4
        return int(value)

    def text(self) -> bytes:
        (size,) = struct.unpack_from("<Q", self._data, self._at)
        begin = self._at + 8
        self._at = begin + size
        if self._at > len(self._data):
            raise ValueError("the file is cut")
        return bytes(self._data[begin : self._at])

    def texts(self) -> list[bytes]:
        kind, count = self._list()
        if kind != _TEXT:
            raise ValueError("tokens that are no texts")
        return [self.text() for _ in range(count)]

    def numbers(self) -> tuple[int, ...]:
        kind, count = self._list()
        if _SIZES.get(kind) != 4:
            raise ValueError("kinds of tokens that are no numbers")
        values: tuple[int, ...] = struct.unpack_from(f"<{count}i", self._data, self._at)
        self._at += 4 * count
        return values

    def skip(self, kind: int) -> None:
        if kind == _TEXT:
            self.text()
        elif kind == _LIST:
            inner, count = self._list()
            if inner in _SIZES:
                self._at += _SIZES[inner] * count
            else:
                for _ in range(count):
                    self.skip(inner)
        elif kind in _SIZES:
            self._at += _SIZES[kind]
        else:
            raise ValueError(f"a value of an unknown kind: {kind}")

    def _list(self) -> tuple[int, int]:
        kind, count = struct.unpack_from("<IQ", self._data, self._at)
        self._at += 12
        if count > len(self._data):
            raise ValueError("the file is cut")
        return kind, count
