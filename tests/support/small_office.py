"""A few mails and meetings of the people whom `changing_directory` knows, in the boxes and calendars of its members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any, Final, TypeVar

from changing_directory import INSIDE, OUTSIDE
from directory_entries import NOON
from meeting_pages import attendee, event, gone, shown
from naive_meetings import Said
from rapport_schemas.changes import mail_change, mail_fields, removed
from rapport_schemas.records import Change

T = TypeVar("T")
EVERYBODY: Final = (*INSIDE, *OUTSIDE)
OWNERS: Final = ("m1", "m2", "m3", "nobody")
"""The last is a member of whom the directory knows nothing."""
CALENDAR: Final = "cal-"
_PROVIDER_STREAM: Final = "inbox"


class Office:
    """Pages in the order of their fetch numbers; each is one copy, or its removal."""

    def __init__(self, random: Random, mails: int, meetings: int) -> None:
        self._random, self._fetch = random, 0
        self.pages: list[Said] = []
        for number in range(mails):
            self._mail(number)
        for number in range(meetings):
            self._meeting(number)
        self.pages = [replace(page, fetch=n, published_at=NOON + n) for n, page in enumerate(self.pages, 1)]

    @property
    def mail(self) -> list[Said]:
        """Pages of mailboxes."""
        return [page for page in self.pages if not page.connection.startswith(CALENDAR)]

    @property
    def events(self) -> list[Said]:
        """Pages of calendars."""
        return [page for page in self.pages if page.connection.startswith(CALENDAR)]

    def _some(self, values: Sequence[T], least: int, most: int) -> list[T]:
        return self._random.sample(values, self._random.randint(least, most))

    def _say(self, connection: str, owner: str, stream: str, change: Change) -> None:
        self.pages.append(Said(connection, owner, stream, 0, 0, changes=(change,)))

    # -- mail ---------------------------------------------------------------------------------------------------

    def _mail(self, number: int) -> None:
        pick = self._random.choice
        lines = [f"Message-ID: <mail-{number}@x.example>", f"Subject: Matter {number}"]
        if self._random.random() < 0.95:
            lines.append(f"From: {pick(EVERYBODY)}")
        if self._random.random() < 0.9:
            sent = datetime.fromtimestamp(NOON / 1000, UTC) + timedelta(hours=pick((-3, 0, 0, 2)))
            lines.append(f"Date: {format_datetime(sent)}")
        if number and self._random.random() < 0.3:
            lines.append(f"References: <mail-{self._random.randrange(number)}@x.example>")
        for owner in self._some(OWNERS, 1, 3):
            named = [(pick(("To", "To", "Cc", "Bcc", "Reply-To", "Sender")), one) for one in self._people()]
            roles = {role: ", ".join(one for other, one in named if other == role) for role, _ in named}
            more = [f"{role}: {people}" for role, people in roles.items()]
            through = ["List-Post: <mailto:users@lists.example>"] if self._random.random() < 0.25 else []
            fields = mail_fields("\n".join([*lines, *more, *through, ""]).encode(), folder=_PROVIDER_STREAM)
            self._say(f"mailbox-{owner}", owner, _PROVIDER_STREAM, mail_change(f"mail-{number}", fields))
            if self._random.random() < 0.2:
                self._say(f"mailbox-{owner}", owner, _PROVIDER_STREAM, removed(f"mail-{number}"))

    def _people(self) -> list[str]:
        return self._some(EVERYBODY, 0, 3)

    # -- meetings -----------------------------------------------------------------------------------------------

    def _meeting(self, number: int) -> None:
        pick = self._random.choice
        day = datetime.fromtimestamp(NOON / 1000, UTC).date()
        start = pick((day.isoformat(), f"{day}T10:00:00", f"{day}T09:00:00Z"))
        organizer, kind = pick((*EVERYBODY, "", "")), pick(("", "", "", "", "focus"))
        for owner in self._some(OWNERS, 1, 3):
            answers = ("accepted", "declined", "none")
            attendees = [attendee(address, pick(answers)) for address in self._people()]
            said: dict[str, Any] = {
                "organizer": pick((organizer, organizer, pick(EVERYBODY))),
                "sequence": pick((None, 1, 2)),
                "updated": number,
                "visibility": pick(("public", "public", "public", "private")),
                "kind": kind,
            }
            made = event(f"uid-{number}@x.example", start, *attendees, **said)
            self._say(f"{CALENDAR}{owner}", owner, "primary", shown(f"event-{number}", made))
            if self._random.random() < 0.15:
                when = NOON + pick((-1, 1)) * 30 * 86_400_000
                self._say(f"{CALENDAR}{owner}", owner, "primary", gone(f"event-{number}", when))
