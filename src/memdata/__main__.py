"""The command ``python -m memdata``; see `memdata.cli`."""

from __future__ import annotations

import sys

from memdata.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
