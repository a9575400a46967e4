"""Who wrote a mail, and what stands for its id when it has none."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from rapport_processors.mail.addresses import comparable, mailboxes
from rapport_processors.mail.headers import Headers
from rapport_processors.mail.people import Named
from rapport_schemas.records import Person

_MAILTO = re.compile(r"mailto:([^<>?\s,]+)", re.IGNORECASE)
_LIST_ID = re.compile(r"<([^<>]*)>")
_VIA = " via "


class Author(NamedTuple):
    """The author of one copy.

    Attributes:
        address: comparable; empty when hidden or unreadable.
        name: display name or empty.
        rewritten: whether a mailing list put itself into `From`.
    """

    address: str
    name: str
    rewritten: bool = False

    @property
    def hidden(self) -> bool:
        """Whether a mailing list hid the author for good."""
        return self.rewritten and not self.address


def author(headers: Headers, named: Named) -> Author:
    """The author: `From`, or what a mailing list left of it when it rewrote `From`.

    A list rewrote it when the display name says "… via …" or the address is the list's own. Then the author is
    `X-Original-From`, else the first in `Reply-To` that is not the list, else hidden.
    """
    found = named.get("from")
    name, address = found[0] if found else ("", "")
    if "list-id" not in headers and "list-post" not in headers:
        return Author(address, name)
    post, list_id = headers.get("list-post", ""), headers.get("list-id", "")
    if not (_VIA in name or name.endswith(_VIA.rstrip()) or _is_list(address, post, list_id)):
        return Author(address, name)
    original = mailboxes(headers["x-original-from"]) if "x-original-from" in headers else ()
    for other_name, other in (*original, *named.get("reply_to", ())):
        if other != address and not _is_list(other, post, list_id):
            return Author(other, other_name or name.partition(_VIA)[0].strip("' "), rewritten=True)
    return Author("", "", rewritten=True)


def _is_list(address: str, post: str, list_id: str) -> bool:
    """Whether an address is the list's own, by its List-Post and its List-Id (local part and domain with a dot)."""
    short = len(address) + len(post) + len(list_id) <= _LONGEST
    return bool(address) and (_known_list if short else _compare)(address, post, list_id)


def _compare(address: str, post: str, list_id: str) -> bool:
    return address in _posting_addresses(post) or address.replace("@", ".") == _list_name(list_id)


_known_list = lru_cache(maxsize=1 << 14)(_compare)
_LONGEST = 400  # characters that are remembered


def _posting_addresses(post: str) -> frozenset[str]:
    return frozenset(filter(None, (comparable(found) for found in _MAILTO.findall(post))))


def _list_name(list_id: str) -> str:
    match = _LIST_ID.search(list_id)
    return (match[1] if match is not None else list_id).strip().lower()


def fallback_id(author_address: str, date: int | None, base_subject: str, people: list[Person]) -> str:
    """What stands for the id of a mail without one: a digest of author, date to the second, base subject, recipients.

    Bcc is no recipient here: only the sender's own copy shows it.
    """
    recipients = sorted({person["address"] for person in people if person["role"] in {"to", "cc"}})
    second = "" if date is None else str(date // 1000)
    parts = (author_address, second, base_subject, *recipients)
    data = b"".join(len(part := text.encode()).to_bytes(4, "big") + part for text in parts)
    return "no-message-id:" + blake2b(data, digest_size=16).hexdigest()
