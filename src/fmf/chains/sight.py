"""Whether the model can look at the pictures that a chain shows it, and whether the chain shows any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fmf.chains.references import IMAGES
from fmf.chains.spec import ChainStep, LoadedChain
from fmf_core.faults import Fault, SettingsError
from fmf_core.logs import get_logger

SIGHT: Final = "images"
"""The capability of models that take pictures."""

log = get_logger("fmf.chains")


def check_sight(chain: LoadedChain, capabilities: Sequence[str], provider: str) -> None:
    """Refuse steps that show pictures to a model which takes none; warn where pictures are read and never shown.

    Args:
        chain: the chain.
        capabilities: what the model can do.
        provider: the name of its provider.

    Raises:
        ConfigError: names every such step, and the providers that can.
    """
    steps = chain.spec.steps
    shown = [number for number, step in enumerate(steps) if step.shows_pictures]
    if chain.spec.inputs.mode == IMAGES and not shown:
        log.warning("chain.pictures_not_shown", chain=chain.spec.name, hint="write `mode: multimodal` at a step")
    sighted = _sighted()
    blind = [number for number in shown if not _sees(steps[number], capabilities, provider, sighted)]
    if not blind:
        return
    faults = []
    for number in blind:
        where = f"steps[{number}].mode"
        line, column = (chain.yaml and chain.yaml.position(where)) or (None, None)
        message = (
            f"step {steps[number].id!r} is multimodal, and the model of inference.provider {provider!r} takes no "
            f"pictures (providers that can: {', '.join(sighted) or 'none'})"
        )
        faults.append(Fault(where, message, source=chain.source, line=line, column=column))
    raise SettingsError.of(faults)


def _sees(step: ChainStep, capabilities: Sequence[str], provider: str, sighted: Sequence[str]) -> bool:
    """Whether the step's model may take pictures; of another model than the configured one only its provider tells."""
    from chatmodels.families import TABLE

    by_provider = step.params.model is not None or provider not in TABLE
    return SIGHT in capabilities or (by_provider and provider in sighted)


def _sighted() -> list[str]:
    from chatmodels.registry import get_chat_model_metadata, list_chat_models

    return [name for name in list_chat_models() if SIGHT in get_chat_model_metadata(name)["capabilities"]]
