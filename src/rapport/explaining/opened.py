"""What was sealed of an item, opened: enough of it to decide about it again. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from rapport_processors.mail.parse import parse_mail
from rapport_processors.meetings.parse import parse_event
from rapport_processors.model import Meeting, Message
from rapport_schemas.records import Change, Copy, EventFields, Item, ItemBody, MailFields, Page, Person
from rapport_schemas.wire import blank, blank_of, schema_json
from rapport_sinks.clickhouse.predicate import Kind

NOT_A_MEETING = "not_a_meeting"
"""The rule, and the kind of a calendar's entry of which only the decision is known."""

_KEY_PARTS = "\x1f"


@dataclass(frozen=True, slots=True)
class HeldCopy:
    """One copy: where it is held, by whom (empty where the record does not say), and its class (empty: a meeting)."""

    connection: str
    member: str
    mail_class: str


@dataclass(frozen=True, slots=True)
class Opened:
    """An item as far as it could be read.

    Attributes:
        at: milliseconds; None without a readable time.
        not_meeting: what a calendar's entry is instead of a meeting; empty for all else.
        is_whole: everybody and every holder is known, so that deciding again must give what was decided.
        reason: JSON: the decision explained when it was made; empty where only a page was read.
    """

    kind: str
    at: int | None
    message_id: str
    subject: str
    author: str
    author_name: str
    people: tuple[Person, ...]
    copies: tuple[HeldCopy, ...]
    mail_class: str
    private: bool
    not_meeting: str
    is_whole: bool
    reason: str


def of_record(item: Item, body: ItemBody) -> Opened:
    """An item as its newest record says it. Lists that were cut to fit a record, or name no holders, make it not whole."""
    addresses = {person["address"] for person in body["people"]} | {body["author"]}
    has_all = len(addresses - {""}) >= len(item["address_hashes"]) and len(body["holders"]) == len(
        body["copies"]
    )
    holders = [*body["holders"], *[""] * len(body["copies"])]
    copies = tuple(
        HeldCopy(key.partition(_KEY_PARTS)[0], holder, item["mail_class"])
        for key, holder in zip(body["copies"], holders, strict=False)
    )
    return Opened(
        kind=item["kind"],
        at=item["at"],
        message_id=body["message_id"],
        subject=body["subject"],
        author=body["author"],
        author_name=body["author_name"],
        people=tuple(body["people"]),
        copies=copies,
        mail_class=item["mail_class"],
        private=body["private"],
        not_meeting=NOT_A_MEETING if item["rule"] == NOT_A_MEETING else "",
        is_whole=has_all,
        reason=body["reason"],
    )


def of_change(page: Page, change: Change, at: int | None) -> Opened | None:
    """One copy as a page brought it; None when the change brings neither mail nor event. Raises PoisonError like its parser."""
    if change["mail"] is not None:
        return _mail(page, change["mail"], at)
    return None if change["event"] is None else _event(page, change["event"], at)


def _mail(page: Page, fields: MailFields, at: int | None) -> Opened:
    said = parse_mail(fields).message
    return Opened(
        kind=Kind.EMAIL,
        at=at,
        message_id=said["message_id"],
        subject=said["subject"],
        author="" if said["author_hidden"] else said["author"],
        author_name=said["author_name"],
        people=tuple(said["people"]),
        copies=(HeldCopy(page["connection"], page["member"], said["mail_class"]),),
        mail_class=said["mail_class"],
        private=False,
        not_meeting="",
        is_whole=False,
        reason="",
    )


def _event(page: Page, fields: EventFields, at: int | None) -> Opened:
    said = parse_event(fields, page["member"])
    organizer: Person = {
        "role": "organizer",
        "address": said["organizer"],
        "name": said["organizer_name"],
    }
    invited: list[Person] = [
        {"role": one["role"], "address": one["address"], "name": one["name"]} for one in said["attendees"]
    ]
    return Opened(
        kind=Kind.MEETING,
        at=at,
        message_id=said["uid"],
        subject="" if said["private"] else said["title"],
        author=said["organizer"],
        author_name=said["organizer_name"],
        people=tuple([organizer, *invited] if said["organizer"] else invited),
        copies=(HeldCopy(page["connection"], page["member"], ""),),
        mail_class="",
        private=said["private"],
        not_meeting=said["kind"],
        is_whole=False,
        reason="",
    )


def said_of(opened: Opened) -> Message | Meeting:
    """What matching decides about; nothing else of it is filled in."""
    copies = tuple(_copy(opened.kind, held, number) for number, held in enumerate(opened.copies))
    if opened.kind == Kind.EMAIL:
        return Message(
            message_id=opened.message_id,
            identity=opened.message_id,
            author=opened.author,
            author_name=opened.author_name,
            earliest_ms=None,
            at_ms=opened.at,
            mail_class=opened.mail_class,
            subject="",
            preview="",
            people=opened.people,
            copies=copies,
            thread_key=b"",
        )
    return Meeting(
        uid=opened.message_id,
        original_start="",
        author=opened.author,
        author_name=opened.author_name,
        at_ms=opened.at or 0,
        ends_ms=opened.at or 0,
        cancelled=False,
        kind=opened.not_meeting,
        subject="",
        preview="",
        location="",
        private=opened.private,
        all_day=False,
        people=opened.people,
        answers=("",) * len(opened.people),
        owner_answers={},
        copies=copies,
        thread_key=b"",
    )


def _copy(kind: str, held: HeldCopy, number: int) -> Copy:
    content = {"message": _content("message") | {"mail_class": held.mail_class}}
    if kind == Kind.MEETING:
        content = {"meeting": _content("meeting")}
    said = {**blank("copy"), "key": str(number), "connection": held.connection, "member": held.member}
    return cast("Copy", {**said, **content})


def _content(name: str) -> dict[str, object]:
    """A copy's content in which nothing is said."""
    [kinds] = [field["type"] for field in schema_json("copy")["fields"] if field["name"] == name]
    return blank_of(kinds[1])
