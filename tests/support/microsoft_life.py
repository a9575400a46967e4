"""What goes on in the mailboxes of a Microsoft company, at random, and what must be counted in the end."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from graph import Simulator
from graph.agenda import Guest, Meeting, Recurrence
from graph.letters import Letter
from graph.mailbox import Mailbox

CUSTOMER: Final = "Xenia <x@kund.se>"
DAY: Final = 86_400.0
_OUT: Final = frozenset(
    {"junkemail", "deleteditems", "drafts", "outbox", "conversationhistory", "syncissues"}
)
"""Folders that nothing is collected from."""
_WITHIN_DAYS: Final = 20

Item = tuple[str, str, frozenset[str]]
"""A kind, what names it (a Message-ID; a meeting's title with its begin), and the members who are in it."""


class Life:
    """One company's. `step` lets one thing happen; `mark` stands in everything that is written."""

    def __init__(self, simulator: Simulator, addresses: list[str], seed: int = 0, mark: str = "") -> None:
        self._simulator, self._mark = simulator, mark
        self._boxes = [simulator.mailbox(address) for address in addresses]
        self._random = random.Random(f"{seed} life")
        self._number = 0
        self._events: dict[str, list[str]] = {box.address: [] for box in self._boxes}

    def past(self, mails: int) -> None:
        """Lets every mailbox have so many mails of the last weeks, and a few meetings."""
        with self._simulator.lock:
            for box in self._boxes:
                for _ in range(mails):
                    self._receive(box, at=self._recently())
                self._meeting(box)
                self._series(box)

    def step(self) -> None:
        """One thing happens in one mailbox."""
        deeds: list[tuple[int, Callable[[Mailbox], None]]] = [
            (30, self._receive),
            (10, self._send),
            (8, self._move),
            (4, self._junk),
            (4, self._back),
            (3, self._delete),
            (6, self._read),
            (3, self._folder),
            (2, self._meeting),
            (2, self._reschedule),
            (1, self._exception),
            (1, self._forgotten),
        ]
        deed = self._random.choices([one for _, one in deeds], [weight for weight, _ in deeds])[0]
        with self._simulator.lock:
            deed(self._random.choice(self._boxes))

    # -- mail ---------------------------------------------------------------------------------------------------

    def _letter(self, box: Mailbox) -> Letter:
        self._number += 1
        number = self._number
        subject = f"{self._mark} about {number}".strip()
        text = f"{self._mark} text of {number}".strip()
        return Letter(CUSTOMER, (box.address,), subject, text, message_id=f"<life-{number}@kund.se>")

    def _receive(self, box: Mailbox, at: float | None = None) -> None:
        letter = self._letter(box)
        others = [one for one in self._boxes if one is not box]
        if others and self._random.random() < 0.2:
            second = self._random.choice(others)
            letter = replace(letter, cc=(second.address,))
            second.deliver(letter, at=at)
        box.deliver(letter, at=at)

    def _send(self, box: Mailbox) -> None:
        letter = replace(self._letter(box), sender=box.address, to=(CUSTOMER,))
        if self._random.random() < 0.5:
            box.send(letter)
        else:
            box.send_draft(box.draft(letter))

    def _any(self, box: Mailbox, places: Callable[[str], bool]) -> str | None:
        found = [
            key for key, item in box.items.items() if not item.draft and places(self._place(box, item.folder))
        ]
        return self._random.choice(sorted(found)) if found else None

    def _place(self, box: Mailbox, folder: str) -> str:
        """The well-known name of the folder or of the first above it that has one."""
        one = box.folders[folder]
        while not one.well_known and one.parent != box.root:
            one = box.folders[one.parent]
        return one.well_known or one.id

    def _own(self, box: Mailbox) -> list[str]:
        return [one.id for one in box.folders.values() if one.name.startswith("Ordner")]

    def _move(self, box: Mailbox) -> None:
        key = self._any(box, lambda place: place not in _OUT)
        if key is not None:
            box.move(key, self._random.choice(["inbox", "archive", *self._own(box)]))

    def _junk(self, box: Mailbox) -> None:
        key = self._any(box, lambda place: place not in _OUT)
        if key is not None:
            box.move(key, self._random.choice(["junkemail", "deleteditems"]))

    def _back(self, box: Mailbox) -> None:
        key = self._any(box, lambda place: place in ("junkemail", "deleteditems"))
        if key is not None:
            box.move(key, "inbox")

    def _delete(self, box: Mailbox) -> None:
        key = self._any(box, lambda _: True)
        if key is not None:
            box.delete(key)

    def _read(self, box: Mailbox) -> None:
        key = self._any(box, lambda _: True)
        if key is not None:
            box.mark_read(key)

    def _folder(self, box: Mailbox) -> None:
        own = self._own(box)
        if len(own) < 4:
            box.folder(f"Ordner {len(box.folders)}", self._random.choice(["msgfolderroot", "inbox", *own]))
        elif self._random.random() < 0.5:
            box.rename(self._random.choice(own), f"Ordner {self._random.random():.6f}")
        else:
            box.delete_folder(own[-1])

    def _forgotten(self, box: Mailbox) -> None:
        box.forget_cursors(how=self._random.choice(["gone", "gone_with_location", "sync_state_invalid"]))

    # -- meetings -----------------------------------------------------------------------------------------------

    def _meeting(self, box: Mailbox) -> None:
        self._events[box.address].append(box.event(self._written(box)))

    def _series(self, box: Mailbox) -> None:
        recurrence = Recurrence("weekly", until=datetime.now(UTC).date() + timedelta(days=30))
        self._events[box.address].append(box.event(self._written(box), recurrence))

    def _written(self, box: Mailbox) -> Meeting:
        self._number += 1
        start = datetime.fromtimestamp(self._recently(), UTC).replace(
            tzinfo=None, minute=0, second=0, microsecond=0
        )
        guests = (Guest(CUSTOMER, "accepted"),)
        title = f"{self._mark} meeting {self._number}".strip()
        return Meeting(title, start, start + timedelta(hours=1), box.address, guests)

    def _reschedule(self, box: Mailbox) -> None:
        for key in self._random.sample(self._events[box.address], 1):
            _, event = box.find_event(key)
            if event.recurrence is None:
                fresh = self._written(box)
                box.change_event(key, replace(event.meeting, start=fresh.start, end=fresh.end))

    def _exception(self, box: Mailbox) -> None:
        series = [key for key in self._events[box.address] if box.find_event(key)[1].recurrence]
        for key in self._random.sample(series, min(1, len(series))):
            _, event = box.find_event(key)
            days: list[date] = [one.day for one in event.occurrences()][:2]
            day = self._random.choice(days)
            moved = event.meeting.on(day)
            box.change_occurrence(key, day, replace(moved, start=moved.start.replace(minute=30)))

    def _recently(self) -> float:
        """A moment within the last weeks, never so near to now that it could become another day's."""
        return self._simulator.clock() - DAY * self._random.uniform(1, _WITHIN_DAYS)

    # -- truth --------------------------------------------------------------------------------------------------

    def truth(self) -> set[Item]:
        """Every mail and meeting that counts when `mail_removed` is `drop`, once."""
        with self._simulator.lock:
            return {item for box in self._boxes for item in self._held(box)}

    def _held(self, box: Mailbox) -> Iterator[Item]:
        truth = self._simulator.truth(box)
        for key, mail in truth.mail().items():
            if not mail.draft and not _OUT & set(mail.trail):
                letter = box.items[key].letter
                name = str(mail.json["internetMessageId"]).strip("<>")
                yield "email", name, self._members(letter.sender, *letter.to, *letter.cc)
        now = self._simulator.clock()
        for one in truth.meetings(now - 60 * DAY, now).values():
            start = datetime.fromtimestamp(one.start, UTC)
            if one.end <= now:
                name = f"{one.json['subject']} {start:%Y-%m-%dT%H:%M:%SZ}"
                yield "meeting", name, self._members(box.address)

    def _members(self, *people: str) -> frozenset[str]:
        """Whoever of them works here, with or without a copy of his own."""
        ours = {box.address for box in self._boxes}
        return frozenset(one.partition("@")[0] for one in people if one in ours)
