"""A configuration as plain values, without the secrets that somebody may have written into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmf_core.secret_shapes import MASK, secret_key

if TYPE_CHECKING:
    from fmf.config.models import FmfConfig


def masked(config: FmfConfig) -> dict[str, Any]:
    """The settings as JSON values; the text under a key that names a secret is masked, sections never as a whole."""
    plain: dict[str, Any] = _masked(config.model_dump(mode="json", by_alias=True), "")
    return plain


def _masked(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {name: _masked(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, key) for inner in value]
    return MASK if isinstance(value, str) and value and secret_key(key) else value
