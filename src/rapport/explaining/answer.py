"""What an explanation is made of: the JSON of `rapport explain`."""

from __future__ import annotations

from typing import Any, TypedDict

from rapport_sinks.clickhouse.lookups import Decided, Tally


class Fresh(TypedDict):
    """What would be decided now, where that differs from what is stored."""

    synced: bool
    rule: str
    sentence: str


class ExplainedItem(Decided):
    """A decision in words.

    What needs the sealed content (`subject` to `would_turn`) is null or empty where it was not, or could not be opened;
    `notes` say why. `members` to `contacts` are of synced items.

    Attributes:
        counted: whether it is in the numbers of a window that holds its time; a planned meeting is not yet.
        reason: the decision explained when it was made: `rule`, `entries` and, of ambiguous ones, `candidates`.
        people: `address`, `roles`, `standing`, and the ids that the directory has for it: `members`, `contacts`, ….
        copies: `connection`, `member`, and the `rule` under that connection's `settings`, of which `overrides` are its own.
        settings: the tenant's settings that have a part in decisions.
        losing: entries that might have matched, `for` which address, and `why` they did not.
        would_turn: each with `changes`, all of which together would turn the decision, and a `sentence`.
        fresh: what the present directory says, where the stored decision is still another one.
        page: `opened`, `erased`, `gone` or `unreadable`; null where it was not looked for.
        dead_letters: ids of open dead letters that name the place where it was read.
    """

    sentence: str
    counted: bool
    subject: str | None
    message_id: str | None
    author: str | None
    members: list[str]
    declined_members: list[str]
    customers: list[str]
    contacts: list[str]
    reason: dict[str, Any]
    people: list[dict[str, Any]]
    copies: list[dict[str, Any]]
    settings: dict[str, Any]
    losing: list[dict[str, Any]]
    would_turn: list[dict[str, Any]]
    fresh: Fresh | None
    page: str | None
    dead_letters: list[str]
    notes: list[str]


class Explanation(TypedDict):
    """What is known about an id, a Message-ID, a meeting's UID or an address.

    Attributes:
        found_as: which of them it was taken for: `item`, `message_id`, `uid`, `address`; null when nothing is known.
        address: everything that the directory says about an address, valid or not, each entry with a `sentence`; null for
            all else.
        notes: what could not be looked at, and why.
    """

    query: str
    known: bool
    found_as: str | None
    decisions: list[Tally]
    items: list[ExplainedItem]
    address: dict[str, Any] | None
    advice: str | None
    notes: list[str]
