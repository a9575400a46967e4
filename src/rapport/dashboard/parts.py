"""What the pages are given when the application is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from rapport.dashboard.ports import BoardReader, Chooser, LeftOutReader
from rapport.store import Store
from rapport_core.clock import Clock


@dataclass(frozen=True, slots=True)
class Parts:
    """The application's collaborators.

    Attributes:
        open_board: gives the numbers, or raises UnavailableError while they cannot be reached; cheap to repeat.
        left_out: explains what is in no number; None where the log cannot be read from here.
        choose: settles an ambiguity; None where the directory cannot be written from here.
        cookie: name of the session cookie; it differs between instances on one machine, whose cookies browsers share.
    """

    store: Store
    open_board: Callable[[], BoardReader]
    left_out: LeftOutReader | None
    choose: Chooser | None
    clock: Clock
    cookie: str

    @property
    def impact(self) -> BoardReader:
        """The numbers. Raises UnavailableError."""
        return self.open_board()


def parts_of(request: Request) -> Parts:
    """The collaborators of the application that serves a request."""
    found: Parts = request.app.state.parts
    return found
