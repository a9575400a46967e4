"""The values that pass between the pure parts: a message or a meeting made of copies, and what was decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from rapport_schemas.records import Copy, Person

MAIL_CLASSES = ("human", "list", "bulk", "auto_reply", "calendar_notice", "bounce")
"""Best first: a message takes the best class over its copies."""


@dataclass(slots=True)
class Message:
    """One message, however many copies. A pure function of the set of its copies. A value: nobody changes one.

    Attributes:
        message_id: as the header has it, or empty.
        identity: the message id, or the fallback id of a mail without one.
        author: comparable address of the author; empty when hidden or unreadable.
        earliest_ms: the group's earliest `Date`, None when no copy has a readable one. With identity and author it
            names the message for ever.
        at_ms: the time it counts at; None: stored, not counted.
        mail_class: best class over the copies.
        people: union over the copies, without duplicates of (role, address), in a fixed order.
        copies: the held copies, sorted by key.
        thread_key: smallest thread key over the copies.
    """

    message_id: str
    identity: str
    author: str
    author_name: str
    earliest_ms: int | None
    at_ms: int | None
    mail_class: str
    subject: str
    preview: str
    people: tuple[Person, ...]
    copies: tuple[Copy, ...]
    thread_key: bytes


@dataclass(frozen=True, slots=True)
class Meeting:
    """One occurrence, however many copies. A pure function of the set of its copies and of the directory.

    Attributes:
        uid, original_start: what names it for ever: canonical UID, and the start that its series gave it or empty.
        author: comparable address of the organiser; empty when nobody knows.
        at_ms, ends_ms: start and end; whole days begin at midnight in the tenant's zone.
        kind: empty, or what it is instead of a meeting.
        people: organiser and attendees, rooms too, without duplicates of (role, address), in a fixed order.
        answers: for each of people: accepted, declined, tentative or empty.
        owner_answers: what the owners of copies answered, by member; empty text: nothing.
        copies: the held copies, sorted by key.
        thread_key: shared by the occurrences of one series.
    """

    uid: str
    original_start: str
    author: str
    author_name: str
    at_ms: int
    ends_ms: int
    cancelled: bool
    kind: str
    subject: str
    preview: str
    location: str
    private: bool
    all_day: bool
    people: tuple[Person, ...]
    answers: tuple[str, ...]
    owner_answers: Mapping[str, str]
    copies: tuple[Copy, ...]
    thread_key: bytes


@dataclass(frozen=True)
class Decision:
    """Contract part 6 for one item under one state of the directory. All tuples are sorted and distinct.

    Attributes:
        synced: whether it belongs to the record of customer relationships.
        rule: stable name of the deciding rule, such as `contact_address`, `customer_domain`, `internal`, `excluded`,
            `no_customer`, `unknown_sender`.
        members: team members who take part, counted participations only.
        declined: those of them who declined a meeting.
        near: customers of every contact and domain that an external participant may be, whether it decided or not, and
            whether the directory has that customer or not; empty text for a contact without one.
        strangers: external participants who match nothing by the tenant's `match_by`, the first few by address.
        reason: JSON-ready explanation: entries used, losing candidates, what would turn it.
    """

    synced: bool
    rule: str
    members: tuple[str, ...] = ()
    customers: tuple[str, ...] = ()
    contacts: tuple[str, ...] = ()
    author_members: tuple[str, ...] = ()
    author_customers: tuple[str, ...] = ()
    author_contacts: tuple[str, ...] = ()
    declined: tuple[str, ...] = ()
    ambiguous: bool = False
    near: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    reason: dict[str, object] = field(default_factory=dict)

    @cached_property
    def reason_json(self) -> str:
        """The reason as text; one decision serves many items."""
        return msgspec.json.encode(self.reason, order="sorted").decode() if self.reason else ""
