"""What every benchmark says at its beginning, and how it becomes text."""

from __future__ import annotations

import os
import platform
from io import StringIO
from typing import Final

import psutil
from rich.console import Console

from rapport_core.clock import SystemClock

MEGABYTE: Final = 1024 * 1024


def machine() -> str:
    """On what it was measured, with what, and when."""
    return (
        f"{os.cpu_count()} cores, {psutil.virtual_memory().total // MEGABYTE:,} MB memory, "
        f"Python {platform.python_version()}, {SystemClock().now():%Y-%m-%d}"
    )


def paper(width: int) -> Console:
    """A console that keeps what is printed on it; `text_of` gives it."""
    return Console(file=StringIO(), width=width)


def text_of(paper_: Console) -> str:
    """Everything printed on a `paper`."""
    file = paper_.file
    assert isinstance(file, StringIO)
    return file.getvalue()
