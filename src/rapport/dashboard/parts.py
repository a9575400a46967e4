"""What the pages are given when the application is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request

from rapport.dashboard.ports import (
    BoardReader,
    Chooser,
    Comparisons,
    Connecting,
    ConnectionReader,
    ConnectionSettings,
    Disconnecting,
    LeftOutReader,
)
from rapport.dashboard.standing import Pace
from rapport.store import Store
from rapport_core.clock import Clock


@dataclass(frozen=True, slots=True)
class ConnectionParts:
    """What the pages about connections are given. What is None cannot be done from here, and no page offers it.

    Attributes:
        read: how connections stand.
        settings: what the directory says of them.
        microsoft: signs in.
        disconnecting: ends a connection.
        comparisons: gives what comparing with providers found, or raises UnavailableError.
        home: https address under which people reach these pages; empty: the one that a request came to.
        pace: how fast first syncs go, as far as these pages saw it.
    """

    read: ConnectionReader
    settings: ConnectionSettings | None = None
    microsoft: Connecting | None = None
    disconnecting: Disconnecting | None = None
    comparisons: Callable[[], Comparisons] | None = None
    home: str = ""
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class Parts:
    """The application's collaborators.

    Attributes:
        open_board: gives the numbers, or raises UnavailableError while they cannot be reached; cheap to repeat.
        left_out: explains what is in no number; None where the log cannot be read from here.
        choose: settles an ambiguity; None where the directory cannot be written from here.
        connections: for the pages about connections; None: there are none.
        cookie: name of the session cookie; it differs between instances on one machine, whose cookies browsers share.
    """

    store: Store
    open_board: Callable[[], BoardReader]
    left_out: LeftOutReader | None
    choose: Chooser | None
    connections: ConnectionParts | None
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
