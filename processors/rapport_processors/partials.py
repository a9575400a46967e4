"""Fields of a mail that may come one by one: each stands as the page with the highest fetch number says it. Pure.

A mail is *whole* once every field is known, by one change or by several; until then nothing is told of it. An event is
always whole. In the holding, `fetch` is the number of the field that was read longest ago, `parts` has those of later ones.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, cast

from rapport_processors import holdings
from rapport_schemas.changes import mail_change, mail_fields
from rapport_schemas.records import Change, Holding, MailFields
from rapport_schemas.wire import encode_body

MAIL_FIELDS: Final = frozenset(MailFields.__annotations__)
LINKED: Final = frozenset({"headers", "structured", "conversation"})
"""The fields that say what a mail belongs to."""

_MOST_WAITING, _WAITING_BYTES = 16, 200_000


def names_of(change: Change) -> frozenset[str]:
    """The fields that a change brings; of an event there is one, itself."""
    if change["mail"] is None:
        return frozenset() if change["event"] is None else frozenset({"event"})
    return MAIL_FIELDS.intersection(change["fields"]) if change["fields"] else MAIL_FIELDS


def numbers_of(holding: Holding) -> dict[str, int]:
    """The fetch number of each field of a mail; -1: it is not known."""
    known = dict.fromkeys(MAIL_FIELDS, holding["fetch"])
    known.update((part["name"], part["fetch"]) for part in holding["parts"])
    return known


def number(holding: Holding, known: dict[str, int]) -> None:
    """Notes them; the inverse."""
    lowest = min(known.values())
    holding["fetch"] = lowest
    holding["parts"] = [
        {"name": name, "fetch": known[name]} for name in sorted(known) if known[name] > lowest
    ]


def takes_all(holding: Holding, names: Collection[str], fetch: int) -> bool:
    """Whether a change that brings these fields replaces everything that is known."""
    return fetch >= holding["fetch"] and not holding["parts"] and (names is MAIL_FIELDS or "event" in names)


def merge(holding: Holding, kept: Change | None, change: Change, fetch: int) -> Change | None:
    """The fields as they stand after this change, numbered in the holding; None when it brings none that is newest."""
    names = names_of(change)
    if takes_all(holding, names, fetch):
        holding["fetch"] = fetch
        return change
    if change["mail"] is None:
        return None
    known = numbers_of(holding)
    taken = [name for name in names if fetch >= known[name]]
    if not taken:
        return None
    known.update(dict.fromkeys(taken, fetch))
    number(holding, known)
    return overlaid(kept, change, taken)


def overlaid(kept: Change | None, change: Change, names: Collection[str]) -> Change:
    """The kept fields with these of a change over them."""
    said = cast("dict[str, Any]", change["mail"])
    fields = {**_mail_of(kept), **{name: said[name] for name in names}}
    return mail_change(change["provider_id"], cast("MailFields", fields))


def _mail_of(kept: Change | None) -> MailFields:
    return kept["mail"] if kept is not None and kept["mail"] is not None else mail_fields(b"")


def waiting(earlier: Sequence[Change], change: Change) -> list[Change]:
    """What parts of a mail that was not yet seen whole say of its links, which are told when it is: with this one among them.

    Bounded: the newest that fit.
    """
    linked = LINKED & names_of(change)
    if not linked:
        return [*earlier]
    found = mail_change(change["provider_id"], _mail_of(overlaid(None, change, linked)), sorted(linked))
    kept: list[Change] = []
    room = _WAITING_BYTES
    for one in [found, *(known for known in reversed(earlier) if known != found)][:_MOST_WAITING]:
        room -= len(encode_body("page_body", {"changes": [one]}))
        if room < 0:
            break
        kept.insert(0, one)
    return kept


def other_versions(change: Change, taken: Change | None, kept: Sequence[Change]) -> list[Change]:
    """Versions of an item that was seen whole which are not how it stands now: their links hold all the same.

    Args:
        change: as it came.
        taken: how it stands now, where the change gave some of it.
        kept: how it stood before, and the parts that waited until it was whole.
    """
    names = names_of(change)
    if taken is change or not names:
        return []
    if change["mail"] is None:
        return [change]
    standing = taken or (kept[0] if kept else None)
    others = [overlaid(standing, one, LINKED & names_of(one)) for one in kept[1:]]
    linked = LINKED & names
    if names is MAIL_FIELDS:
        others.append(change)
    elif linked and standing is not None and not _stands(standing, change, linked):
        others.append(overlaid(standing, change, linked))
    return others


def _stands(standing: Change, change: Change, names: Collection[str]) -> bool:
    now, said = cast("dict[str, Any]", standing["mail"]), cast("dict[str, Any]", change["mail"])
    return all(now[name] == said[name] for name in names)


def forget(holding: Holding, kept: Change | None, below: int) -> Change | None:
    """Takes back every field of a lower fetch number. Returns those that are left of the kept ones."""
    holdings.forget(holding, below)
    if holding["fetch"] >= below:
        return kept
    known = {name: fetch if fetch >= below else -1 for name, fetch in numbers_of(holding).items()}
    number(holding, known)
    holding["digest"], holding["series"] = b"", b""
    holding["fetched_at"] = holding["origin"] = None
    left = [name for name, fetch in known.items() if fetch >= below]
    if kept is None or not left:
        holding["time"], holding["labelled"] = None, ""
        return None
    rest = overlaid(None, kept, left)
    mail = _mail_of(rest)
    holding["time"], holding["labelled"] = mail["provider_time"], holdings.label_of(mail["labels"])
    return rest
