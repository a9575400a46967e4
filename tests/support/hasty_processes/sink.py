"""The sink of a hasty instance."""

from __future__ import annotations

from hasty_processes import run
from rapport.processes.sink import main

if __name__ == "__main__":
    run(main)
