"""Goes on with disconnects that wait, from a thread of a process that always runs."""

from __future__ import annotations

import threading
from typing import Final

import structlog

from rapport.erasing.desk import Desk
from rapport_core.errors import RapportError

_log = structlog.get_logger(__name__)
EVERY_SECONDS: Final = 5.0


class Timer:
    """Looks every few seconds. Several processes may: a lease lets one work on a connection."""

    def __init__(self, desk: Desk, every_seconds: float = EVERY_SECONDS) -> None:
        self._desk, self._every = desk, every_seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disconnects", daemon=True)

    def start(self) -> None:
        """Starts its thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it; what it is doing just now is done again by the next process."""
        self._done.set()

    def _run(self) -> None:
        while not self._done.wait(self._every):
            try:
                self._desk.look()
            except RapportError as error:
                _log.warning("disconnects_not_looked_at", error=type(error).__name__)
            except Exception:  # noqa: BLE001 - as the comment says
                # Nobody would start the thread again, and others than this one disconnect may wait.
                _log.exception("disconnect_failed")
