"""`python -m fmf` is the command `fmf`."""

from __future__ import annotations

import sys

from fmf.cli import main

if __name__ == "__main__":
    sys.exit(main())
