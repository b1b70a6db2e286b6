"""Names only: the chat layer's OpenAI client."""

from chatmodels.providers.openai import OpenAIChatModel as OpenAIProvider

__all__ = ["OpenAIProvider"]
