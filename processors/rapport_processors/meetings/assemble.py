"""Copies become a meeting: a pure function of the set of copies and of the directory, whatever order they came in.

Time, title and cancellation come from the organiser's copy where a connection holds it, else from the newest copy. What
members answered comes from their own copies. A copy that was removed after the start has still happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from zoneinfo import ZoneInfo

from rapport_core.errors import InvariantError
from rapport_processors.directory import TenantDirectory
from rapport_processors.directory_facts import Facts
from rapport_processors.model import Meeting
from rapport_schemas.calendar_times import instant_ms, is_date
from rapport_schemas.records import Copy, CopyMeeting, Person

_HELD = ("", "removed")
_Newness = tuple[int, int, str, str]


def meeting_of(copies: Iterable[Copy], directory: TenantDirectory) -> Meeting | None:
    """The meeting that the copies of one occurrence are; None when none of them is held any more."""
    held = sorted(
        (copy for copy in copies if copy["meeting"] is not None and copy["gone"] in _HELD),
        key=lambda copy: copy["key"],
    )
    return _Assembly(held, directory).meeting() if held else None


class _Assembly:
    """The held copies of one occurrence, seen with one state of the directory."""

    def __init__(self, held: Sequence[Copy], directory: TenantDirectory) -> None:
        self._held = held
        self._directory = directory
        self._zone = ZoneInfo(directory.timezone)
        self._organising = [copy for copy in held if self._organises(copy)]
        self._state = max(self._organising or held, key=_newness)
        self._at_ms = self._start(self._state)
        self._facts = directory.facts_at(self._at_ms)
        self._newest_first = (self._state, *sorted(held, key=_newness, reverse=True))
        self._said = self._said_of_addresses()
        answers = {member: self._owner_answer(member) for member in {copy["member"] for copy in held}}
        self._owner_answers = {member: answer for member, answer in answers.items() if answer is not None}

    def meeting(self) -> Meeting:
        """See the module."""
        state = _content(self._state)
        organizer = self._organizer()
        people = self._people(organizer)
        private = any(_content(copy)["private"] for copy in self._held)
        return Meeting(
            uid=state["uid"],
            original_start=state["original_start"],
            author=organizer["address"],
            author_name=organizer["name"],
            at_ms=self._at_ms,
            ends_ms=max(instant_ms(state["end"], self._zone), self._at_ms),
            cancelled=state["cancelled"] or self._was_deleted(),
            kind=next((_content(copy)["kind"] for copy in self._held if _content(copy)["kind"]), ""),
            subject="" if private else state["title"],
            preview="" if private else state["preview"],
            location="" if private else state["location"],
            private=private,
            all_day=is_date(state["start"]),
            people=tuple(people),
            answers=tuple(self._answer(person) for person in people),
            owner_answers=self._owner_answers,
            copies=tuple(self._held),
            thread_key=state["series_key"],
        )

    def _start(self, copy: Copy) -> int:
        return instant_ms(_content(copy)["start"], self._zone)

    def _organises(self, copy: Copy) -> bool:
        """Whether the copy's owner organises the meeting: the provider says so, or the organiser's address is the owner's."""
        content = _content(copy)
        if content["owner_organizes"]:
            return True
        facts = self._directory.facts_at(self._start(copy))
        return bool(content["organizer"]) and copy["member"] in facts(content["organizer"]).members

    def _was_deleted(self) -> bool:
        """The organiser's copy, or the last of all, was deleted before the start."""
        return self._all_deleted(self._organising) or self._all_deleted(self._held)

    def _all_deleted(self, copies: Sequence[Copy]) -> bool:
        return bool(copies) and all(self._deleted_before_start(copy) for copy in copies)

    def _deleted_before_start(self, copy: Copy) -> bool:
        return copy["gone"] == "removed" and copy["gone_at"] is not None and copy["gone_at"] < self._at_ms

    def _owner_answer(self, member: str) -> str | None:
        """What a member answered, by its own newest copy that was there until the start, or by the newest of all.

        Empty: it was asked and did not say. None: that copy does not name its owner.
        """
        own = [copy for copy in self._held if copy["member"] == member]
        copy = max([copy for copy in own if not self._deleted_before_start(copy)] or own, key=_newness)
        content = _content(copy)
        named = [
            one["response"] for one in content["attendees"] if member in self._facts(one["address"]).members
        ]
        answer = content["owner_response"] or next(filter(None, named), "")
        if not answer and self._deleted_before_start(copy):
            return "declined"
        return answer if answer or named else None

    def _organizer(self) -> Person:
        """Who organises; where no copy names anybody, the owner of the copy that tells the state made it alone.

        The owner's address is one that is theirs at the time, if any is.
        """
        for copy in self._newest_first:
            content = _content(copy)
            if content["organizer"]:
                return {
                    "role": "organizer",
                    "address": content["organizer"],
                    "name": content["organizer_name"],
                }
        owner = self._directory.subject("member", self._state["member"])
        own = [ref.value for ref in owner.addresses] if owner else []
        theirs = (one for one in own if self._state["member"] in self._facts(one).members)
        address = next(theirs, next(iter(own), ""))
        return {"role": "organizer", "address": address, "name": owner.name if owner and address else ""}

    def _people(self, organizer: Person) -> list[Person]:
        """Union over the copies that are not older than the state; the first name that is given counts.

        A room that one copy calls a room is one, although others may have lost that.
        """
        found: dict[tuple[str, str], Person] = {}
        if organizer["address"]:
            found["organizer", organizer["address"]] = organizer
        for copy in (self._state, *self._held):
            if self._is_stale(copy):
                continue
            for one in _content(copy)["attendees"]:
                key = one["role"], one["address"]
                known = found.get(key)
                if known is None or (one["name"] and not known["name"]):
                    found[key] = {"role": one["role"], "address": one["address"], "name": one["name"]}
        rooms = {address for role, address in found if role == "room"}
        return [one for one in found.values() if one["role"] == "room" or one["address"] not in rooms]

    def _is_stale(self, copy: Copy) -> bool:
        newest, own = _content(self._state)["sequence"], _content(copy)["sequence"]
        return newest is not None and own is not None and own < newest

    def _answer(self, person: Person) -> str:
        """An owner's own answer, else what the copies say of the address, the one that tells the state first."""
        for member in self._facts(person["address"]).members:
            if member in self._owner_answers:
                return self._owner_answers[member]
        return self._said.get(person["address"], "")

    def _said_of_addresses(self) -> dict[str, str]:
        """What each address answered: the copy that tells the state says it, else the newest that names the address."""
        said: dict[str, str] = {}
        for copy in self._newest_first:
            if not self._is_stale(copy):
                own: dict[str, str] = {}
                for one in _content(copy)["attendees"]:
                    own[one["address"]] = own.get(one["address"]) or one["response"]
                said = own | said
        return said


def declined_by(
    meeting: Meeting, members: Iterable[str], facts_of: Callable[[str], Facts]
) -> tuple[str, ...]:
    """Who of `members` declined: by its own copy where it has one, else by what the meeting says of its addresses."""
    said: dict[str, str] = {}
    for person, answer in zip(meeting.people, meeting.answers, strict=True):
        for member in facts_of(person["address"]).members:
            said[member] = said.get(member) or answer
    said.update(meeting.owner_answers)
    return tuple(sorted(member for member in members if said.get(member) == "declined"))


def _content(copy: Copy) -> CopyMeeting:
    content = copy["meeting"]
    if content is None:
        raise InvariantError("A copy without an event was counted as held.")
    return content


def _newness(copy: Copy) -> _Newness:
    content = _content(copy)
    return content["sequence"] or 0, content["updated"] or 0, copy["connection"], copy["key"]
