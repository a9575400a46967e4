"""Contract part 5 once more, as plainly as it can be said: from all pages and the whole directory to the meetings.

Written from the contract's sentences, sharing nothing with `rapport_processors.meetings`: every question is answered by
reading every page again, in the order of the fetch numbers. Part 6 is asked of `naive_matching`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from directory_entries import copy as held_by
from directory_entries import mail as letter
from naive_mail import comparable
from naive_matching import NaiveMatching
from rapport_schemas.records import Change, DirectoryEntry, EventFields

ANSWERS = ("accepted", "declined", "tentative")
OUTLOOK = "040000008200E00074C5B7101A82E008"
WRAPPED = b"vCal-Uid\x01\x00\x00\x00"


# -- identity ---------------------------------------------------------------------------------------------------


def canonical_uid(text: str) -> str:
    """A UID without the instance date that Outlook writes into it, and without the envelope around a foreign one."""
    if not re.fullmatch(r"([0-9A-Fa-f]{2}){41,}", text) or not text.upper().startswith(OUTLOOK):
        return text
    data = bytes.fromhex(text)
    content = data[40 : 40 + int.from_bytes(data[36:40], "little")]
    if content.startswith(WRAPPED):
        return content[len(WRAPPED) :].rstrip(b"\0").decode()
    return (data[:16] + bytes(4) + data[20:]).hex().upper()


def moment(text: str, zone: str) -> int:
    """Milliseconds of one of the three forms of a time."""
    if len(text) == 10:
        day = date.fromisoformat(text)
        found = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    elif text.endswith("Z"):
        found = datetime.fromisoformat(text[:-1]).replace(tzinfo=UTC)
    else:
        found = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return round(found.timestamp() * 1000)


# -- what the pages show ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """One page: changes, or the begin or end of a listing."""

    connection: str
    member: str
    stream: str
    fetch: int
    published_at: int
    type: str = "changes"
    changes: tuple[Change, ...] = ()
    listing: str | None = None
    range_from: int | None = None
    range_to: int | None = None


@dataclass(frozen=True)
class Word:
    """What one change, or one listing that did not show it, says of an event in a stream."""

    fetch: int
    op: str
    at: int
    event: EventFields | None = None


@dataclass(frozen=True)
class Copy:
    """An event as one connection shows it, or showed it before it was removed."""

    connection: str
    member: str
    provider_id: str
    event: EventFields
    removed_at: int | None

    @property
    def age(self) -> tuple[int, int, str, str]:
        """The newest has the greatest."""
        event = self.event
        return (event["sequence"] or 0, event["updated"] or 0, self.connection, self.provider_id)


def words_of(pages: list[Said], provider_id: str) -> list[Word]:
    """The words on one event in the pages of one stream, as the fetch numbers order them."""
    words = [
        Word(page.fetch, change["op"], change["at"] or page.published_at, change["event"])
        for page in pages
        for change in page.changes
        if change["provider_id"] == provider_id
    ]
    words.sort(key=lambda word: word.fetch)
    for begin in sorted((p for p in pages if p.type == "listing_begin"), key=lambda page: page.fetch):
        end = next((p for p in pages if p.type == "listing_end" and p.listing == begin.listing), None)
        listed = {
            change["provider_id"]: change["event"]
            for page in pages
            for change in page.changes
            if page.listing == begin.listing and change["event"] is not None
        }
        if end is not None and provider_id not in listed:
            words = with_listing(words, begin, end, list(listed.values()))
    return words


def with_listing(words: list[Word], begin: Said, end: Said, listed: list[EventFields]) -> list[Word]:
    """Gone is what lies in the range of a listing that did not show it, and was last fetched before its begin.

    A past occurrence is replaced where the listing shows later ones of its series: the series says other times now.
    """
    before = [word for word in words if word.fetch < begin.fetch]
    if not before or before[-1].op != "upsert":
        return words
    event = before[-1].event
    assert event is not None
    start = moment(event["start"], "UTC")
    if begin.range_from is not None and start < begin.range_from:
        return words
    if begin.range_to is not None and start >= begin.range_to:
        return words
    later = (other for other in listed if moment(other["start"], "UTC") > start)
    goes_on = bool(event["series"]) and any(other["series"] == event["series"] for other in later)
    op = "replaced" if goes_on and start < end.published_at else "removed"
    word = Word(begin.fetch, op, end.published_at)
    return [*before, word, *words[len(before) :]]


def last_word(words: list[Word]) -> Word:
    """The newest word. What was removed went when that was said first; what was replaced stays so until it is shown again."""
    shown = [index for index, word in enumerate(words) if word.op == "upsert"]
    absent = words[shown[-1] + 1 :] if shown else words
    if not absent:
        return words[-1]
    op = "replaced" if any(word.op == "replaced" for word in absent) else "removed"
    return Word(words[-1].fetch, op, absent[0].at)


def copies_of(pages: Iterable[Said]) -> list[Copy]:
    """Every copy that is held or was removed; one that was replaced is forgotten."""
    by_connection: dict[str, list[Said]] = defaultdict(list)
    for page in pages:
        by_connection[page.connection].append(page)
    return [
        copy
        for of_connection in by_connection.values()
        for provider_id in sorted({c["provider_id"] for page in of_connection for c in page.changes})
        if (copy := copy_of(of_connection, provider_id)) is not None
    ]


def copy_of(pages: list[Said], provider_id: str) -> Copy | None:
    """Presence by stream, fields over all of them, each by the highest fetch."""
    streams = {page.stream for page in pages}
    said = [
        words
        for stream in sorted(streams)
        if (words := words_of([page for page in pages if page.stream == stream], provider_id))
    ]
    upserts = [word for words in said for word in words if word.event is not None and word.op == "upsert"]
    if not upserts:
        return None
    event = max(upserts, key=lambda word: word.fetch).event
    assert event is not None
    newest = [last_word(words) for words in said]
    last = max(newest, key=lambda word: word.fetch)
    is_held = any(word.op == "upsert" for word in newest)
    if not is_held and last.op == "replaced":
        return None
    page = pages[0]
    return Copy(page.connection, page.member, provider_id, event, None if is_held else last.at)


# -- one meeting ------------------------------------------------------------------------------------------------


@dataclass
class Meeting:
    """One meeting as it must be seen."""

    uid: str
    original_start: str
    at: int
    ends: int
    cancelled: bool
    all_day: bool
    private: bool
    title: str
    location: str
    preview: str
    organizer: str
    people: set[tuple[str, str]]
    synced: bool = False
    rule: str = ""
    members: set[str] = field(default_factory=set)
    declined: set[str] = field(default_factory=set)
    customers: set[str] = field(default_factory=set)
    contacts: set[str] = field(default_factory=set)
    ambiguous: bool = False


class _OfMeetings(NaiveMatching):
    """Part 6, the organiser for the author and the attendees for the recipients."""

    def setting(self, name: str, default: Any, connection: str = "") -> Any:
        name = "sync_unknown_organizer" if name == "sync_unknown_sender" else name
        return super().setting(name, default, connection)


class NaiveMeetings:
    """All pages and the newest directory records: ask for the meetings."""

    def __init__(self, pages: Iterable[Said], directory: list[DirectoryEntry], zone: str) -> None:
        self.pages, self.zone = list(pages), zone
        self.matching = _OfMeetings(directory)

    def meetings(self) -> list[Meeting]:
        """Every meeting of which some copy is not forgotten."""
        groups: dict[tuple[str, ...], list[Copy]] = defaultdict(list)
        for copy in copies_of(self.pages):
            groups[self.identity(copy)].append(copy)
        return [self.meeting(copies) for copies in groups.values()]

    def identity(self, copy: Copy) -> tuple[str, ...]:
        """Canonical UID and original start; without a UID the organiser, the start and the title."""
        event = copy.event
        if event["uid"]:
            return (canonical_uid(event["uid"]), event["original_start"])
        organizer = comparable(event["organizer"]) or copy.member
        return ("", event["original_start"], organizer, event["start"], event["title"])

    def meeting(self, copies: list[Copy]) -> Meeting:
        """State from the organiser's copy, else the newest; people and privacy from all."""
        organizers = [copy for copy in copies if self.organizes(copy)]
        state = max(organizers or copies, key=lambda copy: copy.age)
        at = moment(state.event["start"], self.zone)
        standing = [copy for copy in copies if copy.removed_at is None or copy.removed_at >= at]
        ours = [copy for copy in organizers if copy in standing]
        private = any(copy.event["visibility"] != "public" for copy in copies)
        people = {person for copy in copies if not is_stale(copy, state) for person in people_of(copy.event)}
        rooms = {address for role, address in people if role == "room"}
        people = {(role, address) for role, address in people if role == "room" or address not in rooms}
        found = Meeting(
            uid=canonical_uid(state.event["uid"]),
            original_start=state.event["original_start"],
            at=at,
            ends=moment(state.event["end"], self.zone),
            cancelled=state.event["status"] == "cancelled" or not standing or bool(organizers and not ours),
            all_day=len(state.event["start"]) == 10,
            private=private,
            title="" if private else state.event["title"],
            location="" if private else state.event["location"],
            preview="" if private else state.event["preview"],
            organizer=self.organizer(state, copies),
            people=people,
        )
        if found.organizer:
            found.people.add(("organizer", found.organizer))
        self.decide(found, state, copies)
        return found

    def addresses(self, member: str, at: int) -> list[str]:
        """The addresses of a member, those that are theirs at a time first, then the primary."""
        mine = [r for r in self.matching.records if (r["kind"], r["id"]) == ("member", member)]
        own = [entry["value"] for record in mine for entry in record["addresses"]]
        return [*(address for address in own if self.is_member(member, address, at)), *own]

    def is_member(self, member: str, address: str, at: int | None) -> bool:
        """Whether the address is the member's."""
        return any(record["id"] == member for record, _ in self.matching.holders("member", address, at))

    def organizes(self, copy: Copy) -> bool:
        """Whether the copy is its organiser's."""
        event = copy.event
        organizer = comparable(event["organizer"])
        at = moment(event["start"], self.zone)
        return event["owner_organizes"] or self.is_member(copy.member, organizer, at)

    def organizer(self, state: Copy, copies: list[Copy]) -> str:
        """The organiser's address; where no copy names one, the owner of the copy that says the state organises."""
        named = (comparable(copy.event["organizer"]) for copy in [state, *newest_first(copies)])
        return next((address for address in named if address), "") or next(
            iter(self.addresses(state.member, moment(state.event["start"], self.zone))), ""
        )

    def decide(self, found: Meeting, state: Copy, copies: list[Copy]) -> None:
        """What is no meeting or skipped is not synced; everything else as part 6 says."""
        if state.event["kind"]:
            found.rule = "not_a_meeting"
        elif found.private and self.matching.setting("private_meetings", "count") == "skip":
            found.rule = "private_meeting"
        else:
            self.match(found, copies)
        if found.synced:
            found.declined = {m for m in found.members if self.answer(m, found, state, copies) == "declined"}

    def match(self, found: Meeting, copies: list[Copy]) -> None:
        """Part 6; the owners of copies take part, those who deleted theirs by what they answered."""
        attending = sorted({address for role, address in found.people if role in ("attendee", "optional")})
        held = [held_by(copy.member, copy.connection) for copy in copies]
        outcome = self.matching.decide(letter(found.organizer, attending, at_ms=found.at, copies=held))
        found.synced, found.rule = outcome.synced, outcome.rule.replace("_sender", "_organizer")
        found.members, found.ambiguous = outcome.members, outcome.ambiguous
        found.customers, found.contacts = outcome.customers, outcome.contacts

    def answer(self, member: str, found: Meeting, state: Copy, copies: list[Copy]) -> str:
        """From the member's own copy, if that names it; one removed before the start without an answer declines."""
        own = [copy for copy in copies if copy.member == member]
        if not own:
            return self.heard_of(member, found, [state, *newest_first(copies)])
        standing = [copy for copy in own if copy.removed_at is None or copy.removed_at >= found.at]
        newest = max(standing or own, key=lambda copy: copy.age).event
        said = self.said_in(newest, member, found.at) or newest["owner_response"]
        if said in ANSWERS:
            return said
        if not standing:
            return "declined"
        lines = [comparable(one["address"]) for one in newest["attendees"]]
        if any(self.is_member(member, one, found.at) for one in lines):
            return ""
        return self.heard_of(member, found, [state, *newest_first(copies)])

    def heard_of(self, member: str, found: Meeting, copies: list[Copy]) -> str:
        """The first copy that names a member says what it answered; stale ones say nothing of people."""
        for copy in copies:
            lines = [comparable(one["address"]) for one in copy.event["attendees"]]
            if not is_stale(copy, copies[0]) and any(self.is_member(member, one, found.at) for one in lines):
                return self.said_in(copy.event, member, found.at)
        return ""

    def said_in(self, event: EventFields, member: str, at: int) -> str:
        """The answer that an event's list of attendees has of a member."""
        answers = (
            attendee["response"]
            for attendee in event["attendees"]
            if self.is_member(member, comparable(attendee["address"]), at)
        )
        return next((answer for answer in answers if answer in ANSWERS), "")


def newest_first(copies: list[Copy]) -> list[Copy]:
    return sorted(copies, key=lambda copy: copy.age, reverse=True)


def is_stale(copy: Copy, state: Copy) -> bool:
    """Whether both give a sequence and the copy's is the lower one."""
    own, newest = copy.event["sequence"], state.event["sequence"]
    return own is not None and newest is not None and own < newest


def people_of(event: EventFields) -> Iterator[tuple[str, str]]:
    """Who is invited by an event, in which role."""
    for attendee in event["attendees"]:
        address = comparable(attendee["address"])
        if not address:
            continue
        if attendee["kind"] in ("room", "resource"):
            yield "room", address
        elif attendee["role"] in ("optional", "none"):
            yield "optional", address
        else:
            yield "attendee", address
