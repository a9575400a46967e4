"""Whether whoever follows a mailbox knows all that happened in it: what it has asked to go on from."""

from __future__ import annotations

from collections.abc import Iterator

from graph.journal import Journal
from graph.mailbox import Folder, Mailbox
from graph.simulator import Simulator


def lengths(mailbox: Mailbox) -> dict[str, int]:
    """How much happened in each stream that a client can follow, drafts left out; by resource."""
    return {resource: len(journal.entries) for resource, journal in _journals(mailbox)}


def is_behind(simulator: Simulator, lengths: dict[str, int]) -> bool:
    """Whether somebody who follows these streams has not gone on yet from behind what had happened then.

    Who goes on from a place has read everything before it, and kept it.
    """
    followed = simulator.cursors.followed
    return any(length > followed.get(resource, 0) for resource, length in lengths.items())


def _journals(mailbox: Mailbox) -> Iterator[tuple[str, Journal]]:
    for folder in mailbox.folders.values():
        if folder.parent and folder.well_known != "drafts" and _is_visible(mailbox, folder):
            yield f"{mailbox.id}/messages/{folder.id}", folder.journal
    for calendar in mailbox.calendars.values():
        if calendar.owner == mailbox.address:
            yield f"{mailbox.id}/calendarView/{calendar.id}", calendar.journal


def _is_visible(mailbox: Mailbox, folder: Folder) -> bool:
    above = folder
    while above.parent:
        if above.hidden or above.search:
            return False
        above = mailbox.folders[above.parent]
    return True
