"""Names only: the chat layer's test double."""

from chatmodels.providers.mock import MockChatModel as MockLLMProvider

__all__ = ["MockLLMProvider"]
