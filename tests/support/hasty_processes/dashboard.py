"""The dashboard of a hasty instance."""

from __future__ import annotations

from hasty_processes import run
from rapport.processes.dashboard import main

if __name__ == "__main__":
    run(main)
