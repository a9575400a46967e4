"""Stories told to the simulator line by line, as the demo writes them: mail, folders and events, and what becomes of them.

A line is a JSON object: `do` names one of the methods of `Teller`, `as` what others may call the result, the rest are its arguments.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from graph.agenda import Guest, Meeting, Recurrence
from graph.letters import Letter
from graph.mailbox import Mailbox


@dataclass
class Teller:
    """Tells one mailbox its story."""

    mailbox: Mailbox
    names: dict[str, str] = field(default_factory=dict)
    """Ids of what was named."""

    def tell(self, lines: Iterable[str]) -> int:
        """Does what the lines say; how many there were."""
        told = 0
        for line in lines:
            step = json.loads(line)
            do, name = step.pop("do"), step.pop("as", "")
            action: Callable[..., str | None] = getattr(self, do)
            made = action(**step)
            if name and made:
                self.names[name] = made
            told += 1
        return told

    def folder(self, name: str, parent: str) -> str:
        """A new folder."""
        return self.mailbox.folder(name, self._id(parent))

    def rename(self, what: str, name: str) -> None:
        """A folder is called otherwise."""
        self.mailbox.rename(self._id(what), name)

    def move_folder(self, what: str, folder: str) -> None:
        """A folder goes below another."""
        self.mailbox.move_folder(self._id(what), self._id(folder))

    def deliver(
        self,
        letter: Mapping[str, Any],
        at: float,
        folder: str,
        *,
        transported: bool,
        draft: bool = False,
        received: float | None = None,
    ) -> str:
        """A mail lies in a folder; `received` says so where that is not `at`."""
        return self.mailbox.deliver(
            _letter(letter),
            self._id(folder),
            at=at if received is None else received,
            transported=transported and not draft,
            draft=draft,
        )

    def move(self, what: str, folder: str) -> None:
        """A mail goes to another folder."""
        self.mailbox.move(self._id(what), self._id(folder))

    def move_and_back(self, what: str, folder: str) -> None:
        """A mail goes to another folder and comes back before anybody looks."""
        self.mailbox.move_and_back(self._id(what), self._id(folder))

    def delete(self, what: str) -> None:
        """A mail goes for good."""
        self.mailbox.delete(self._id(what))

    def mark_read(self, what: str) -> None:
        """Somebody reads a mail."""
        self.mailbox.mark_read(self._id(what))

    def calendar(self, name: str, owner: str) -> str:
        """Another calendar, somebody else's."""
        return self.mailbox.add_calendar(name, owner).id

    def event(
        self,
        meeting: Mapping[str, Any],
        modified: float,
        recurrence: Mapping[str, Any] | None = None,
        cancelled: Iterable[str] = (),
        exceptions: Mapping[str, Mapping[str, Any]] | None = None,
        calendar: str = "",
    ) -> str:
        """A single event, or a series with its exceptions."""
        home = self.mailbox.calendars[self._id(calendar)] if calendar else None
        key = self.mailbox.event(_meeting(meeting), _recurrence(recurrence), home)
        self.cancel_occurrences(key, cancelled)
        for day, other in (exceptions or {}).items():
            self.mailbox.change_occurrence(key, date.fromisoformat(day), _meeting(other))
        self._modified(key, modified)
        return key

    def change_event(self, what: str, meeting: Mapping[str, Any], modified: float) -> None:
        """An event is otherwise."""
        self.mailbox.change_event(self._id(what), _meeting(meeting))
        self._modified(self._id(what), modified)

    def cancel_occurrences(self, what: str, days: Iterable[str]) -> None:
        """Some occurrences of a series go."""
        for day in days:
            self.mailbox.cancel_occurrence(self._id(what), date.fromisoformat(day))

    def delete_event(self, what: str) -> None:
        """An event or series goes."""
        self.mailbox.delete_event(self._id(what))

    def _id(self, named: str) -> str:
        return self.names.get(named, named)

    def _modified(self, key: str, at: float) -> None:
        self.mailbox.find_event(key)[1].modified = at


def _letter(told: Mapping[str, Any]) -> Letter:
    lists = {name: tuple(told[name]) for name in ("to", "cc", "bcc", "reply_to", "references")}
    return Letter(**{**told, **lists, "transport": tuple((name, value) for name, value in told["transport"])})


def _meeting(told: Mapping[str, Any]) -> Meeting:
    times = {name: datetime.fromisoformat(told[name]) for name in ("start", "end")}
    return Meeting(**{**told, **times, "guests": tuple(Guest(**one) for one in told["guests"])})


def _recurrence(told: Mapping[str, Any] | None) -> Recurrence | None:
    if told is None:
        return None
    until = {"until": date.fromisoformat(told["until"])} if "until" in told else {}
    return Recurrence(**{**told, **until})
