"""Copies become messages: a pure function of the set of copies, whatever order they came in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rapport_core.errors import InvariantError
from rapport_processors.model import MAIL_CLASSES, Message
from rapport_schemas.records import Copy, CopyMessage, Person

NEIGHBOUR_MS = 120_000
"""Copies of one id and author are one message when their dates lie this near to a neighbour's."""

DAY_MS = 86_400_000
"""A date may be at most this much later than the time at which a provider held the mail."""

EARLIEST_TIME_MS = 631_152_000_000
"""1990-01-01: an earlier date is no time at which a mail was sent, but a clock that was never set."""

_STILL_COUNTED = ("", "removed")
_RANK = {name: rank for rank, name in enumerate(MAIL_CLASSES)}
_LATER_THAN_ALL = 1 << 62


def held(copies: Iterable[Copy]) -> list[Copy]:
    """The copies that still belong to a message, one per key (the newest version), sorted by key.

    A removed copy (trashed, archived, deleted by a mailbox policy) does, also under `mail_removed: drop`, where it
    keeps no message alive; one that was moved to junk or purged does not.
    """
    newest: dict[str, Copy] = {}
    for copy in copies:
        known = newest.get(copy["key"])
        if known is None or _newness(copy) > _newness(known):
            newest[copy["key"]] = copy
    kept = (newest[key] for key in sorted(newest))
    return [copy for copy in kept if copy["message"] is not None and copy["gone"] in _STILL_COUNTED]


def _newness(copy: Copy) -> tuple[int, str, str]:
    """Which of two states of one copy is newer; the rest only makes the choice independent of their order."""
    return copy["version"], copy["gone"], repr(copy["message"])


def group(copies: Iterable[Copy], mail_removed: str = "keep") -> list[Message]:
    """The messages that a set of copies is, sorted by identity, then earliest date, then author.

    Copies of one identity and author are one message when their dates lie within two minutes of a neighbour's. A
    copy without a readable date joins the earliest message of its identity and author, one whose author a list has
    hidden the earliest of its identity.

    Args:
        copies: in any order, repeated or not, of any number of identities.
        mail_removed: `keep`, or `drop`: a message lives only while some connection still shows it.
    """
    copies = list(copies)
    if len(copies) == 1:  # nearly all of them, in nearly every mailbox
        return _only(copies[0], mail_removed)
    by_identity: dict[str, list[Copy]] = {}
    for copy in held(copies):
        by_identity.setdefault(_identity(_content(copy)), []).append(copy)
    messages: list[Message] = []
    for identity in sorted(by_identity):
        for author, members in _groups(by_identity[identity]):
            if mail_removed != "drop" or any(copy["gone"] == "" for copy in members):
                messages.append(_message(identity, author, members))
    return messages


def _only(copy: Copy, mail_removed: str) -> list[Message]:
    """What one copy is: `group` without everything that only several copies need."""
    content, gone = copy["message"], copy["gone"]
    if content is None or gone not in _STILL_COUNTED or (gone and mail_removed == "drop"):
        return []
    message = Message(
        message_id=content["header_id"] or content["message_id"],
        identity=_identity(content),
        author=content["author"],
        author_name=content["author_name"],
        earliest_ms=content["date"],
        at_ms=message_time((content,)),
        mail_class=content["mail_class"],
        subject=content["subject"],
        preview=content["preview"],
        people=_people((content,)),
        copies=(copy,),
        thread_key=content["thread_key"],
    )
    return [message]


def _content(copy: Copy) -> CopyMessage:
    content = copy["message"]
    if content is None:
        raise InvariantError("A copy without content was counted as held.")
    return content


def _identity(content: CopyMessage) -> str:
    return content["message_id"] or content["fallback_id"]


def _groups(copies: list[Copy]) -> list[tuple[str, list[Copy]]]:
    """The copies of one identity as (author, copies) per message, earliest first."""
    if len(copies) == 1:
        return [(_content(copies[0])["author"], copies)]
    hidden = [copy for copy in copies if _content(copy)["author_hidden"]]
    if len(hidden) == len(copies):  # nobody knows the author: "" is their author
        return _order([("", group) for group in _by_date(hidden)])
    by_author: dict[str, list[Copy]] = {}
    for copy in copies:
        if not _content(copy)["author_hidden"]:
            by_author.setdefault(_content(copy)["author"], []).append(copy)
    groups = _order([(author, group) for author, mine in by_author.items() for group in _by_date(mine)])
    groups[0][1].extend(hidden)
    return _order(groups) if hidden else groups


def _by_date(copies: list[Copy]) -> list[list[Copy]]:
    """Single linkage over the dates of one author's copies; those without a date join the earliest."""
    dated = sorted((copy for copy in copies if _date(copy) is not None), key=_date_or_end)
    groups: list[list[Copy]] = []
    last = -_LATER_THAN_ALL
    for copy in dated:
        at = _date_or_end(copy)
        if at - last > NEIGHBOUR_MS:
            groups.append([])
        groups[-1].append(copy)
        last = at
    undated = [copy for copy in copies if _date(copy) is None]
    if not groups:
        return [undated]
    groups[0].extend(undated)
    return groups


def _order(groups: list[tuple[str, list[Copy]]]) -> list[tuple[str, list[Copy]]]:
    return sorted(groups, key=lambda found: (min(map(_date_or_end, found[1])), found[0]))


def _date(copy: Copy) -> int | None:
    return _content(copy)["date"]


def _date_or_end(copy: Copy) -> int:
    date = _content(copy)["date"]
    return _LATER_THAN_ALL if date is None else date


def _message(identity: str, author: str, copies: list[Copy]) -> Message:
    fetched = sorted(copies, key=lambda copy: (_content(copy)["fetched_at"], copy["key"]))
    contents = [_content(copy) for copy in fetched]
    first = contents[0]
    dates = [content["date"] for content in contents if content["date"] is not None]
    names = (content["author_name"] for content in contents if content["author"] == author)
    return Message(
        message_id=first["header_id"] or first["message_id"],
        identity=identity,
        author=author,
        author_name=next(filter(None, names), ""),
        earliest_ms=min(dates, default=None),
        at_ms=message_time(contents),
        mail_class=min((content["mail_class"] for content in contents), key=_RANK.__getitem__),
        subject=first["subject"],
        preview=first["preview"],
        people=_people(contents),
        copies=tuple(sorted(copies, key=lambda copy: copy["key"])),
        thread_key=min(content["thread_key"] for content in contents),
    )


def message_time(contents: Sequence[CopyMessage]) -> int | None:
    """The time a message counts at, from its copies; None when nothing tells it.

    Its date (the earliest readable one since 1990) is believed unless it lies more than a day after the earliest
    provider time; then, or without one, that provider time counts. An archive's copies have no provider time, and
    the earliest date of the copies, which would stand for it, is the date itself: it is believed.
    """
    if len(contents) == 1:
        only, held_at = contents[0]["date"], contents[0]["provider_time"]
        if (
            only is not None
            and only >= EARLIEST_TIME_MS
            and (held_at is None or EARLIEST_TIME_MS <= only <= held_at)
        ):
            return only
    dates = (content["date"] for content in contents)
    received = (content["provider_time"] for content in contents)
    date = min((ms for ms in dates if ms is not None and ms >= EARLIEST_TIME_MS), default=None)
    provider = min((ms for ms in received if ms is not None and ms >= EARLIEST_TIME_MS), default=None)
    if date is None or (provider is not None and date > provider + DAY_MS):
        return provider
    return date


def _people(contents: Sequence[CopyMessage]) -> tuple[Person, ...]:
    """Everybody named in any copy, in the order of the copies; the first name that is given counts."""
    if len(contents) == 1:
        only = contents[0]["people"]
        if len({(person["role"], person["address"]) for person in only}) == len(only):
            return tuple(only)
    found: dict[tuple[str, str], Person] = {}
    for content in contents:
        for person in content["people"]:
            key = person["role"], person["address"]
            known = found.get(key)
            if known is None or (person["name"] and not known["name"]):
                found[key] = person
    return tuple(found.values())
