"""Chat models around a chat model: each adds one thing, and answers and errors are all that it hears of the others."""
