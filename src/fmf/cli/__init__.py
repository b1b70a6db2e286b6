"""The command `fmf`: each sub-command parses its arguments and calls one function of one room."""

from __future__ import annotations

from fmf.cli.app import main as main

__all__ = ["main"]
