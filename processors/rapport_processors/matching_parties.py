"""Who is in a message or a meeting, as the directory sees them: the common ground of `decide` and `explain`."""

from __future__ import annotations

from collections.abc import Callable

from rapport_processors.directory_facts import Facts
from rapport_processors.model import Meeting, Message

AUTHOR = frozenset({"from", "organizer"})
"""Roles of whom it comes from."""

RECEIVED = frozenset({"to", "cc", "attendee", "optional"})
"""Roles of listed recipients and attendees. Bcc is delivery: nobody else saw it."""

UNHEARD = frozenset({"sender", "reply_to"})
"""Roles that make nobody a participant: a mail service's Sender or an answering address belongs to no conversation."""


class Parties:
    """The people of one message or meeting.

    Attributes:
        author: what the directory says about the author; None when hidden or unreadable.
        people: everybody who takes part by address, with what the directory says.
        outside: of these, who is not internal.
        received: external addresses in To or Cc, or invited.
        named: members who are named in the item, in whatever role.
        listed: members in To, Cc or From, or organising or invited.
        member_received: whether a member is in To or Cc, or invited.
    """

    __slots__ = ("author", "listed", "member_received", "named", "outside", "people", "received")

    def __init__(self) -> None:
        self.author: Facts | None = None
        self.people: dict[str, Facts] = {}
        self.outside: dict[str, Facts] = {}
        self.received: set[str] = set()
        self.named: set[str] = set()
        self.listed: set[str] = set()
        self.member_received = False

    def take(self, address: str, role: str, facts: Facts) -> None:
        """Adds one mention of one address."""
        if role == "room":
            return
        if facts.members:
            self.named.update(facts.members)
            if role in AUTHOR or role in RECEIVED:
                self.listed.update(facts.members)
                self.member_received |= role in RECEIVED
        if role in UNHEARD:
            return
        self.people[address] = facts
        if not facts.internal:
            self.outside[address] = facts
            if role in RECEIVED:
                self.received.add(address)


def parties_of(message: Message | Meeting, facts_of: Callable[[str], Facts]) -> Parties:
    """The people of an item. A function of the set of mentions, not of their order."""
    parties = Parties()
    if message.author:
        parties.author = facts_of(message.author)
        parties.take(message.author, "from", parties.author)
    for person in message.people:
        if person["role"] != "reply_to":
            parties.take(person["address"], person["role"], facts_of(person["address"]))
    return parties
