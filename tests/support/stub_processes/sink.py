"""A sink that does nothing."""

from __future__ import annotations

from stub_processes.behaviour import run

if __name__ == "__main__":
    run("sink")
