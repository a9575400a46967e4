"""Ending a worker from inside: the one reaction to what must not go on, because it can acknowledge nothing."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

import structlog

from rapport_core.errors import RapportError

BROKEN = 70
UNREACHABLE = 69

Leave = Callable[[int], None]
"""Ends the process with an exit code and does not return. Tests hand in one that does."""

_log = structlog.get_logger(__name__)
_FRAMES_SHOWN = 4


def leave_now(code: int) -> None:
    """Ends the process at once, without Faust's shutdown: that would acknowledge and commit on its way out."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def stop_worker(error: BaseException, *, leave: Leave, code: int = BROKEN) -> None:
    """Logs one line, `worker_stopped`, and ends the worker.

    Only errors of ours are shown with their words: other messages may quote the mail that broke them.
    """
    reason = str(error) if isinstance(error, RapportError) else type(error).__name__
    _log.error(
        "worker_stopped", reason=reason, error=type(error).__name__, where=_where(error), exit_code=code
    )
    leave(code)


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_SHOWN:]
    return " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
