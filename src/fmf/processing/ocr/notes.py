"""What is noted in a document's metadata of the pictures that its text was read from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fmf.config.processing import OcrConfig
from fmf.processing.ocr.base import OcrResult


@dataclass
class OcrNotes:
    """Collects over the pages of one document."""

    settings: OcrConfig
    _confidences: list[tuple[float, int]] = field(default_factory=list)
    _rotations: dict[str, int] = field(default_factory=dict)
    _language: str | None = None
    _pages: list[int] = field(default_factory=list)

    def add(self, page: int, result: OcrResult) -> None:
        """Take in what was read from one page."""
        self._pages.append(page)
        self._language = self._language or result.language
        if result.confidence is not None:
            self._confidences.append((result.confidence, max(1, len(result.text))))
        if result.rotation:
            self._rotations[str(page)] = result.rotation

    def metadata(self, *, paged: bool) -> dict[str, Any]:
        """Engine, language, and the mean confidence, weighed by the length of the texts.

        Args:
            paged: name the pages that were read and the rotation of each that was turned; otherwise there is one
                picture, and its rotation is a number.
        """
        if not self._pages:
            return {}
        noted: dict[str, Any] = {"ocr_engine": self.settings.engine, "language": self._language or self.settings.lang}
        if self._confidences:
            chars = sum(length for _, length in self._confidences)
            noted["confidence"] = round(sum(value * length for value, length in self._confidences) / chars, 1)
        if not paged:
            return {**noted, "rotation": next(iter(self._rotations.values()), 0)}
        noted["ocr_pages"] = list(self._pages)
        if len(self._confidences) > 1:
            noted["lowest_confidence"] = round(min(value for value, _ in self._confidences), 1)
        return {**noted, "rotations": dict(self._rotations)} if self._rotations else noted
