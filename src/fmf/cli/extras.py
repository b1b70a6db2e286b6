"""Which extras of the distribution are installed, found out without importing them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "openai": ("openai",),
    "local": ("xllamacpp",),
    "aws": ("boto3", "urllib3"),
    "sharepoint": ("httpx", "msal"),
    "fsspec": ("fsspec",),
    "documents": (
        "html_to_markdown",
        "oxmsg",
        "pdf_oxide",
        "pypdfium2",
        "python_calamine",
    ),
    "parquet": ("pyarrow",),
    "ocr": ("PIL", "pypdfium2", "tesserocr"),
    "prometheus": ("prometheus_client",),
    "otel": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
}
"""Extra to the packages that it brings."""


def missing_of(extra: str) -> list[str]:
    """The packages of `extra` that are not installed; none for an extra of somebody else."""
    return [package for package in EXTRAS.get(extra, ()) if not _installed(package)]


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False
