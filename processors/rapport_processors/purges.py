"""Purges: what a connection said before a fetch number was said no more (contract part 9).

A purge is a page in clear. Everything that pages with a lower number said is taken back: of what later pages do not say
again, nothing is left here, and weave is told to drop the copy. Pages below it that come later say nothing.

State: group `p` + connection: the highest purge, and the highest revision of what it dropped: a copy that is shown again under
the same provider id goes on from there, so that nothing sent before the purge can be newer.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from typing import Final

from rapport_processors.state import StateBatch
from rapport_schemas.records import Holding


@dataclass(frozen=True, slots=True)
class Purged:
    """The highest purge of a connection: what pages with a number below `fetch` said is purged.

    `keeps_counts`: who took part in what it drops stays counted (residue.py).
    """

    fetch: int = -1
    revision: int = 0
    keeps_counts: bool = False

    def concerns(self, holding: Holding) -> bool:
        """Whether the holding still has something from before it; only a crash leaves that."""
        return min(_numbers(holding), default=self.fetch) < self.fetch

    def covers(self, holding: Holding) -> bool:
        """Whether nothing of the holding is left."""
        return max(_numbers(holding), default=-1) < self.fetch


def _numbers(holding: Holding) -> list[int]:
    """The fetch numbers of everything it has."""
    found = [word["fetch"] for word in holding["shown"]]
    found += [part["fetch"] for part in holding["parts"]]
    if holding["fetch"] >= 0:
        found.append(holding["fetch"])
    return found


PURGE: Final = "purge"
PURGE_KEEPING_COUNTS: Final = "purge_keeping_counts"
"""Types of the page that takes back what a connection said."""

NEVER: Final = Purged()


def read(state: StateBatch, rows: bytes) -> Purged:
    """What is known of a connection's purges."""
    stored = state.get(rows)
    if stored is None:
        return NEVER
    return Purged(*json.loads(stored))


def write(state: StateBatch, rows: bytes, purged: Purged) -> None:
    """Notes it."""
    state.put(rows, b"", json.dumps(astuple(purged)).encode())
