"""Recordings for tests: replayed without the model, made anew, or completed, as the mode says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from chatmodels.cassette.recording import RecordingModel
from chatmodels.cassette.replay import ReplayModel
from chatmodels.config import ChatModelConfig
from chatmodels.errors import was_asked
from chatmodels.factory import create_chat_model, measure, preset
from chatmodels.iface import ChatModel
from chatmodels.settings_given import config_of
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, HealthStatus, ModelInfo
from chatmodels.wrappers.base import close_stream
from chatmodels.wrappers.preset import PresetModel
from fmf_core.errors import FrameworkError
from fmf_core.forks import Lock

Source = str | ChatModelConfig | ChatModel | Callable[[], ChatModel]
"""Where a model comes from when one is needed: a provider's name or a configuration for `create_chat_model`, a ready
model, or a function that makes one."""


class RecordMode(StrEnum):
    """What is asked of the model, and what of the recording."""

    NONE = "none"
    """Everything is replayed; a request that is not on record fails."""
    ONCE = "once"
    """Recorded where there is no file yet, replayed where there is one."""
    NEW = "new"
    """What is on record is replayed, everything else is asked and added to the file."""
    ALL = "all"
    """Everything is asked, and the file is written anew."""


class _Recorder(RecordingModel):
    """Keeps no failure that may pass: a server that is down for a moment would stay down on record."""

    def _keeps(self, error: FrameworkError) -> bool:
        return super()._keeps(error) and not error.retryable and was_asked(error)


class Recordings:
    """One file of recorded calls, and the models that are replayed from it or recorded to it.

    A call that failed is recorded as well, except where the same call may succeed later (`UNAVAILABLE`, `TIMEOUT`,
    `RATE_LIMIT`) and where nobody was asked (a key is missing): it is made again by the next run that may ask.

        recordings = Recordings("recordings/summary.jsonl", RecordMode.ONCE)
        model = recordings.model("openai", model="gpt-4o-mini", temperature=0.0)

    Args:
        path: the file; `.jsonl`, or `.yaml` where long texts shall read as they are.
        mode: what is recorded and what replayed.
        hint: what the error for a request that is not on record advises.
    """

    def __init__(self, path: str | Path, mode: RecordMode | str = RecordMode.NONE, *, hint: str = "") -> None:
        self.path = Path(path)
        self.mode = RecordMode(mode)
        self.hint = hint
        self._lock = Lock()
        self._recorder: RecordingModel | None = None
        self._replay: ReplayModel | None = None
        self._replays = self.mode is RecordMode.NONE or (self.mode is not RecordMode.ALL and self.path.exists())

    @property
    def may_ask(self) -> bool:
        """Whether a model may be asked, as the mode and the file stand."""
        return self.mode in (RecordMode.NEW, RecordMode.ALL) or not self._replays

    def model(self, source: Source = "openai", **settings: Any) -> ChatModel:
        """A model that is recorded or replayed; a vendor's model is made only when it is asked.

        Model name and sampling settings that are given here are part of what is on record, so that a change of them is
        noticed.

        Args:
            source: a provider's name or a `ChatModelConfig`, a ready model, or a function that makes one.
            settings: as for `create_chat_model`, where `source` is a provider.

        Raises:
            FrameworkError: there is no recording, and the mode does not allow to make one.
        """
        by_settings = isinstance(source, str | ChatModelConfig)
        config = config_of(source, settings) if isinstance(source, str | ChatModelConfig) else ChatModelConfig()
        replay = self._replayed() if self._replays else None
        model: ChatModel
        if replay is None:
            model = self._recorded(_made(source, config))
        else:
            # What is asked measures itself, so only what is replayed is measured here.
            model = measure(replay, config)
            if self.mode is RecordMode.NEW:
                model = _Completed(replay, model, lambda: self._recorded(_made(source, config)))
        if by_settings:
            return preset(model, config)
        # What a ready model fills in is part of what is on record, as settings are that are given here.
        presets = getattr(source, "presets", {})
        return PresetModel(model, presets) if presets else model

    def _replayed(self) -> ReplayModel:
        # One for all models of the file, so that equal requests are answered in the order in which they were recorded.
        with self._lock():
            if self._replay is None:
                self._replay = ReplayModel(self.path, hint=self.hint)
            return self._replay

    def _recorded(self, model: ChatModel) -> RecordingModel:
        # All recorders write with one pen: otherwise each of them would begin the file anew.
        with self._lock():
            if self._recorder is None:
                self._recorder = _Recorder(model, self.path, append=self.mode is RecordMode.NEW)
                return self._recorder
            return self._recorder.around(model)


class _Completed(ChatModel):
    """Replays what is on record, and asks and records everything else."""

    provider_name = "replay"
    in_process = True

    def __init__(self, replay: ReplayModel, measured: ChatModel, make: Callable[[], ChatModel]) -> None:
        self._replay = replay
        self._measured = measured
        self._make = make
        self._lock = Lock()
        self._recorded: ChatModel | None = None

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` from the recording or the model."""
        return await self._for(request).complete_async(request)

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` in pieces from the recording or the model."""
        stream = self._for(request).stream_async(request)
        try:
            async for chunk in stream:
                yield chunk
        finally:
            await close_stream(stream)

    def get_model_info(self) -> ModelInfo:
        """What the recording is."""
        return self._replay.get_model_info()

    def check_health(self) -> HealthStatus:
        """Whether the recording can be read."""
        return self._replay.check_health()

    async def cleanup(self) -> None:
        """Release the connections of the model, where it was asked."""
        if self._recorded is not None:
            await self._recorded.cleanup()

    def _for(self, request: ChatRequest) -> ChatModel:
        if request in self._replay:
            return self._measured
        with self._lock():
            if self._recorded is None:
                self._recorded = self._make()
            return self._recorded


def _made(source: Source, config: ChatModelConfig) -> ChatModel:
    if isinstance(source, str | ChatModelConfig):
        return create_chat_model(config)
    return source if isinstance(source, ChatModel) else source()
