"""The `rapport` command of a hasty instance."""

from __future__ import annotations

from hasty_processes import run
from rapport.cli.root import main

if __name__ == "__main__":
    run(main)
