"""The `rapport` command."""

from __future__ import annotations

from rapport.cli.root import main

__all__ = ["main"]
