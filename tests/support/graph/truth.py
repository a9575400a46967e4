"""What a perfect collector would hold of a mailbox, whatever deltas and notifications said."""

from __future__ import annotations

from dataclasses import dataclass
from threading import RLock

from graph.agenda import Occurrence
from graph.calendar_api import event_json, occurrence_json
from graph.locking import exclusive
from graph.mailbox import Folder, Mailbox
from graph.wire import Ask, Json

_IMMUTABLE = Ask("GET", "/", headers={"prefer": 'IdType="ImmutableId"'})


@dataclass(frozen=True)
class TrueMail:
    """A message. `trail` names its folder and those above it, well-known names where they have one, else ids."""

    id: str
    trail: tuple[str, ...]
    hidden: bool
    """It or a folder above lies out of sight, as copies of chats do."""
    received: float
    draft: bool
    json: Json


@dataclass(frozen=True)
class TrueMeeting:
    """What happens once. Times are seconds, UTC; `uid` is the whole series'; `series` is its master or empty."""

    id: str
    uid: str
    series: str
    original_start: float
    start: float
    end: float
    calendar: str
    json: Json


@exclusive
@dataclass(frozen=True)
class Truth:
    """A mailbox as it is at this moment."""

    mailbox: Mailbox

    @property
    def lock(self) -> RLock:
        """The mailbox's own."""
        return self.mailbox.lock

    def mail(self) -> dict[str, TrueMail]:
        """Every message by its immutable id."""
        return {key: self._mail(key) for key in self.mailbox.items}

    def meetings(self, begin: float, end: float) -> dict[str, TrueMeeting]:
        """Everything of the member's own calendars that touches a window, by immutable id."""
        return {
            one.id(immutable=True): self._meeting(one, calendar.id)
            for calendar in self.mailbox.calendars.values()
            if calendar.owner == self.mailbox.address
            for one in calendar.within(begin, end)
        }

    def _mail(self, key: str) -> TrueMail:
        item = self.mailbox.items[key]
        above = self._above(self.mailbox.folders[item.folder])
        return TrueMail(
            id=key,
            trail=tuple(folder.well_known or folder.id for folder in above),
            hidden=any(folder.hidden for folder in above),
            received=item.received,
            draft=item.draft,
            json=item.json(self.mailbox.id, immutable=True),
        )

    def _above(self, folder: Folder) -> list[Folder]:
        """The folder and those above it, the root left out."""
        found = [folder]
        while found[-1].parent != self.mailbox.root:
            found.append(self.mailbox.folders[found[-1].parent])
        return found

    def _meeting(self, one: Occurrence, calendar: str) -> TrueMeeting:
        event = one.event
        single = event.recurrence is None
        return TrueMeeting(
            id=one.id(immutable=True),
            uid=event.uid,
            series="" if single else event.key,
            original_start=one.original_start(),
            start=one.meeting.begins(),
            end=one.meeting.ends(),
            calendar=calendar,
            json=(
                event_json(self.mailbox, event, _IMMUTABLE)
                if single
                else occurrence_json(self.mailbox, one, _IMMUTABLE)
            ),
        )
