"""Tools for tests with chat models: a ban on requests, recordings, budgets, and the exam that every provider sits."""

from typing import TYPE_CHECKING

from fmf_core.facade import facade

# For tools that read code; at run time each name comes from its home when it is first asked for.
if TYPE_CHECKING:
    from chatmodels.providers.mock_answers import BrokenAnswer as BrokenAnswer
    from chatmodels.providers.mock_answers import scripted_error as scripted_error
    from chatmodels.testing.budget import ModelBudget as ModelBudget
    from chatmodels.testing.exam import ChatModelExam as ChatModelExam
    from chatmodels.testing.forbidding import allow_model_requests as allow_model_requests
    from chatmodels.testing.forbidding import forbid_model_requests as forbid_model_requests
    from chatmodels.testing.recordings import Recordings as Recordings
    from chatmodels.testing.recordings import RecordMode as RecordMode

facade(
    __name__,
    {
        "chatmodels.providers.mock_answers": "BrokenAnswer scripted_error",
        "chatmodels.testing.budget": "ModelBudget",
        "chatmodels.testing.exam": "ChatModelExam",
        "chatmodels.testing.forbidding": "allow_model_requests forbid_model_requests",
        "chatmodels.testing.recordings": "Recordings RecordMode",
    },
)
