from __future__ import annotations

from typing import Any

import pytest

from chatmodels import MockChatModel, RecordingModel
from fmf_core.errors import ConfigurationError


def test_a_recorder_with_its_arguments_swapped_says_so(tmp_path: Any) -> None:
    model: Any = MockChatModel()
    with pytest.raises(ConfigurationError, match="got str as model and MockChatModel as path") as caught:
        RecordingModel(str(tmp_path / "tape.jsonl"), model)
    assert "RecordingModel(model, path)" in caught.value.hint
