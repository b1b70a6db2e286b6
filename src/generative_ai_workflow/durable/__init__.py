"""Durable runs: what was finished is kept, so that a run that was interrupted goes on where it was."""
