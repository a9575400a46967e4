"""Who is named in a mail, whichever way the provider has it: in headers, or in fields of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from rapport_processors.mail.addresses import Mailbox, comparable, display_name, mailboxes
from rapport_processors.mail.headers import Headers
from rapport_schemas.records import MailPerson, Person

Named = Mapping[str, Sequence[Mailbox]]
"""Role → its mailboxes, the roles in this order."""

_FIELDS = {
    "from": "from",
    "sender": "sender",
    "reply_to": "reply-to",
    "to": "to",
    "cc": "cc",
    "bcc": "bcc",
}
_NAMING = frozenset(_FIELDS.values())
_NO_IDS = ("from", "sender", "reply_to", "to", "cc")


def named_in_headers(headers: Headers) -> Named:
    """Everybody whom the headers name."""
    return {role: mailboxes(headers[field]) for role, field in _FIELDS.items() if field in headers}


def named_in_fields(said: Iterable[MailPerson], headers: Headers) -> Named:
    """Everybody whom a provider's fields name; of a role that they leave out, whom the headers name."""
    found: dict[str, list[Mailbox]] = {
        "from": [],
        "sender": [],
        "reply_to": [],
        "to": [],
        "cc": [],
        "bcc": [],
    }
    for person in said:
        name, address, role = person["name"], person["address"], person["role"]
        short = len(name) + len(address) <= _LONGEST
        mailbox = _known_mailbox(name, address) if short else _mailbox(name, address)
        if mailbox is not None and role in found:
            found[role].append(mailbox)
    if _NAMING.isdisjoint(headers):
        return found
    in_headers = named_in_headers(headers)
    return {role: mine or in_headers.get(role, ()) for role, mine in found.items()}


def _mailbox(name: str, address: str) -> Mailbox | None:
    form = comparable(address)
    return None if form is None else (display_name(name), form)


_known_mailbox = lru_cache(maxsize=1 << 14)(_mailbox)
_LONGEST = 200  # characters that are remembered


def people(named: Named) -> list[Person]:
    """Every mention, in the order of the roles."""
    return [
        {"role": role, "address": address, "name": name}
        for role, boxes in named.items()
        for name, address in boxes
    ]


def addresses_that_are_no_ids(named: Named) -> frozenset[str]:
    """The addresses that are no message ids, although they may stand in reference headers: all but those of Bcc."""
    return frozenset([address for role in _NO_IDS for _, address in named.get(role, ())])
