"""How a connection stands, in words for people: its state, how far the first sync is, whether anything is missing. Pure."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from rapport_core.clock import from_ms
from rapport_schemas.records import Connection
from rapport_sinks.clickhouse.completeness import Gap

Tone = Literal["good", "busy", "alarm", "off"]

MICROSOFT: Final = "graph"
YOUNG: Final = timedelta(hours=26)
"""A comparison older than this no longer proves that nothing is missing: there is one a day, and some hours to spare."""

PACE_WINDOW: Final = timedelta(minutes=15)
"""What a first sync did within that time says how fast it is."""

_PROVIDERS: Final = {
    MICROSOFT: "Microsoft 365",
    "archive": "Archive",
    "gmail": "Gmail",
    "google_calendar": "Google Calendar",
}
_MOST_PACES: Final = 10_000


@dataclass(frozen=True, slots=True)
class State:
    """A connection's state.

    Attributes:
        words: as the contract has them.
        hint: why it is so and what a person does about it, in a sentence; may be empty.
        may_revoke: there is a consent to take back.
        may_start: signing in helps.
        button_says_it: the button that starts it stands for the words.
        is_read: somebody reads it, or tries to.
    """

    words: str
    tone: Tone
    hint: str = ""
    may_revoke: bool = False
    may_start: bool = False
    button_says_it: bool = False
    is_read: bool = False


_UNCONNECTED: Final = State("Not authenticated", "off", may_start=True, button_says_it=True)
_STATES: Final = {
    "connected": State("Authenticated", "good", may_revoke=True, is_read=True),
    "needs_auth": State(
        "Not authenticated",
        "alarm",
        "Sign in again; what was read is kept.",
        may_start=True,
        button_says_it=True,
    ),
    "needs_admin": State(
        "An administrator must act",
        "alarm",
        "An administrator of your Microsoft 365 must allow this application; then sign in again.",
        may_start=True,
    ),
    "throttled": State(
        "Authenticated",
        "busy",
        "The provider asks for patience; reading goes on by itself.",
        may_revoke=True,
        is_read=True,
    ),
    "mailbox_unavailable": State(
        "Mailbox not available",
        "alarm",
        "The provider does not open this mailbox now; it is tried again by itself.",
        may_revoke=True,
        is_read=True,
    ),
    "paused": State("Paused", "off", "Nothing is read until it goes on.", may_revoke=True),
    "disconnected": State("Disconnected", "off", "Nothing is read any more.", may_start=True),
}
_ARCHIVE: Final = State("Read from files", "off")


def provider_name(provider: str) -> str:
    """What people call a provider."""
    return _PROVIDERS.get(provider, provider)


def state_of(record: Connection | None) -> State:
    """The state of a member's connection; None: there is none yet. The record's own reason goes before ours."""
    if record is None:
        return _UNCONNECTED
    known = _STATES.get(record["state"], State(record["state"], "off"))
    if record["provider"] == "archive" and record["state"] == "connected":
        known = _ARCHIVE
    # Where an administrator allowed it for all there is no consent of the member's own.
    signs_in = record["provider"] == MICROSOFT and record["access"] != "application"
    return replace(
        known,
        hint=_sentence(record["reason"]) or known.hint,
        may_revoke=known.may_revoke and signs_in,
        may_start=known.may_start and signs_in,
    )


def _sentence(reason: str) -> str:
    """A record's reason as a sentence of its own; where it ends with a link, the link ends it."""
    end = "" if not reason or reason.endswith(".") or "https://" in reason.rpartition(" ")[2] else "."
    return f"{reason[:1].upper()}{reason[1:]}{end}"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the first sync is. `total` is 0 while nobody knows how much there is; `left` in words, or empty."""

    done: int
    total: int
    left: str = ""


class Pace:
    """How fast first syncs go, by what their records said at different times. Safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._marks: OrderedDict[tuple[str, str], deque[tuple[datetime, int]]] = OrderedDict()

    def left(self, record: Connection) -> timedelta | None:
        """How long the first sync still takes at the pace of the last minutes; None until two of its marks are known."""
        at, done = from_ms(record["updated_at"]), record["first_done"]
        with self._lock:
            marks = self._noted((record["tenant"], record["connection"]), at, done)
            (first_at, first_done), (last_at, last_done) = marks[0], marks[-1]
        waiting = record["first_total"] - last_done
        if last_done <= first_done or last_at <= first_at or waiting < 0:
            return None
        return (last_at - first_at) / (last_done - first_done) * waiting

    def _noted(self, key: tuple[str, str], at: datetime, done: int) -> deque[tuple[datetime, int]]:
        marks = self._marks.setdefault(key, deque())
        self._marks.move_to_end(key)
        if len(self._marks) > _MOST_PACES:
            self._marks.popitem(last=False)
        if marks and done < marks[-1][1]:
            marks.clear()  # it began anew
        if not marks or (done > marks[-1][1] and at > marks[-1][0]):
            marks.append((at, done))
        while len(marks) > 2 and at - marks[0][0] > PACE_WINDOW:
            marks.popleft()
        return marks


def progress_of(record: Connection, pace: Pace) -> Progress | None:
    """The first sync of a connection that is still at it; None where it ended, or where there is none."""
    if record["first_ended"] is not None or record["provider"] == "archive":
        return None
    if record["state"] in ("disconnected", "needs_auth", "needs_admin", "paused"):
        return None
    total = max(record["first_total"], record["first_done"]) if record["first_total"] else 0
    left = pace.left(record) if total else None
    return Progress(record["first_done"], total, "" if left is None else duration(left))


def duration(length: timedelta) -> str:
    """A length of time as people say it: about 20 minutes, about 3 hours, about 2 days."""
    minutes = length.total_seconds() / 60
    if minutes < 1:
        return "less than a minute"
    for size, word in ((1440, "day"), (60, "hour"), (1, "minute")):
        if minutes >= size * 1.5 or size == 1:
            count = round(minutes / size)
            return f"about {count} {word}{'s' if count != 1 else ''}"
    return ""


@dataclass(frozen=True, slots=True)
class Whole:
    """Whether everything that the provider shows is here, in a few words."""

    words: str
    tone: Tone


def whole_of(compared: datetime | None, missing: int, now: datetime) -> Whole:
    """Green is: last comparison young, nothing missing. `compared` is None where nobody can tell."""
    if missing:
        return Whole(f"{missing:,} missing".replace(",", "\N{NARROW NO-BREAK SPACE}"), "alarm")
    if compared is None:
        return Whole("not compared yet", "off")
    if now - compared > YOUNG:
        return Whole(f"not compared for {duration(now - compared).removeprefix('about ')}", "alarm")
    return Whole("nothing missing", "good")


def compared_at(record: Connection, gap: Gap | None) -> datetime | None:
    """When everything was last compared with the provider and counted here; None: never yet.

    The connector has listed everything at the one time, and what it listed is counted up to the other.
    """
    if record["last_sweep"] is None or gap is None:
        return None
    return min(from_ms(record["last_sweep"]), datetime.fromisoformat(gap["compared_at"]))


def away(record: Connection, now: datetime) -> bool:
    """Whether automatic replies are on now."""
    said = record["out_of_office"]
    if said is None:
        return False
    if said["status"] != "scheduled":
        return said["status"] == "always"
    begun = said["since"] is None or from_ms(said["since"]) <= now
    return begun and (said["until"] is None or now < from_ms(said["until"]))
