"""An appointment while the story plans it: who invited whom, who holds it, and what each calendar will show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rapport.demo.appointment import Answer, Entry, Guest, Occasion, Page, Span
from rapport.demo.company import Kind
from rapport.demo.letter import Mention

ROOMS: Final = ("ROOM", "RESOURCE")


@dataclass(frozen=True, slots=True)
class Face:
    """How one calendar shows an appointment, in all its entries and exports."""

    uid: str | None
    clock: str
    visibility: str


@dataclass(slots=True, eq=False)
class Plan:
    """One appointment.

    Attributes:
        host: the member who invites; None: somebody outside does.
        guests: with the answers that everybody else's calendar tells.
        own: the answer that each guest's own calendar tells, by member.
        owners: whose calendars hold it.
        faces: how each of them shows it.
        right: whose calendar is right when they differ: the host's, or where that is not read, some member's.
    """

    organiser: Mention | None
    host: int | None
    guests: list[Guest]
    span: Span
    title: str
    stamp: int
    sequence: int | None
    uid: str | None
    own: dict[int, Answer] = field(default_factory=dict)
    owners: list[int] = field(default_factory=list)
    faces: dict[int, Face] = field(default_factory=dict)
    right: int = -1

    @property
    def held_by_host(self) -> bool:
        """Whether the organiser's own calendar is among those that are read."""
        return self.host is not None and self.host in self.owners

    @property
    def bumped(self) -> int:
        """The sequence number after a change."""
        return (self.sequence or 0) + 1

    def invited(self) -> dict[int, Guest]:
        """The members among the guests."""
        return {
            g.mention.person.index: g
            for g in self.guests
            if g.mention.person.kind is Kind.MEMBER and g.kind not in ROOMS
        }

    def tell(self, member: int, answer: Answer) -> None:
        """Let everybody's calendar tell this answer of the member."""
        self.guests = [
            replace(g, answer=answer)
            if g.mention.person.kind is Kind.MEMBER and g.mention.person.index == member
            else g
            for g in self.guests
        ]

    def entry(self, owner: int, **changes: Any) -> Entry:
        """The entry of one calendar, with its owner's own answer."""
        face = self.faces[owner]
        entry = Entry(
            uid=face.uid,
            span=self.span,
            clock=face.clock,
            title=self.title,
            organiser=self.organiser,
            guests=self.seen_by(owner, self.guests),
            sequence=self.sequence,
            stamp=self.stamp,
            visibility=face.visibility,
        )
        return replace(entry, **changes)

    def seen_by(self, owner: int, guests: Iterable[Guest], own: Answer | None = None) -> tuple[Guest, ...]:
        """The guests as the owner's calendar lists them: only of itself it knows better."""
        return tuple(
            replace(g, answer=own or self.own.get(owner, g.answer))
            if g.mention.person.kind is Kind.MEMBER and g.mention.person.index == owner
            else g
            for g in guests
        )

    def pages(self, **changes: Any) -> dict[int, Page]:
        """A page for every calendar, all showing the same."""
        return {owner: Page(owner, (self.entry(owner, **changes),)) for owner in self.owners}

    def declined(self) -> frozenset[int]:
        """Members who said no: in their own calendar, or where they have no copy, in the others'."""
        return frozenset(
            member
            for member, guest in self.invited().items()
            if (self.own.get(member, guest.answer) if member in self.owners else guest.answer)
            is Answer.DECLINED
        )

    def occasion(
        self,
        start: int | None = None,
        *,
        cancelled: bool = False,
        guests: Iterable[Guest] | None = None,
        declined: frozenset[int] | None = None,
        also_held_by: Iterable[int] = (),
    ) -> Occasion:
        """What is true of it; without `start` it takes place as planned."""
        named = self.guests if guests is None else guests
        return Occasion(
            start=self.span.start if start is None else start,
            cancelled=cancelled,
            organiser=self.organiser,
            guests=tuple(g.mention for g in named if g.kind not in ROOMS),
            holders=frozenset((*self.owners, *also_held_by)),
            declined=self.declined() if declined is None else declined,
        )
