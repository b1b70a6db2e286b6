"""Chat models around a chat model: each adds one thing and is blind to the others; the factory says the order."""
