"""Other clients of chat models, each in an environment of its own: the pinned versions stand beside this file."""
