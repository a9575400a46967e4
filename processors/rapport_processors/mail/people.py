"""Who is named in a mail, whichever way the provider has it: in headers, or in fields of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rapport_processors.mail.addresses import Mailbox, comparable, display_name, mailboxes
from rapport_processors.mail.headers import Headers
from rapport_schemas.records import MailPerson, Person

Named = dict[str, Sequence[Mailbox]]
"""Role → its mailboxes, the roles in this order."""

_FIELDS = {
    "from": "from",
    "sender": "sender",
    "reply_to": "reply-to",
    "to": "to",
    "cc": "cc",
    "bcc": "bcc",
}
_NO_IDS = ("from", "sender", "reply_to", "to", "cc")


def named_in_headers(headers: Headers) -> Named:
    """Everybody whom the headers name."""
    return {role: mailboxes(headers[field]) for role, field in _FIELDS.items() if field in headers}


def named_in_fields(said: Iterable[MailPerson], headers: Headers) -> Named:
    """Everybody whom a provider's fields name; of a role that they leave out, whom the headers name."""
    found: dict[str, list[Mailbox]] = {role: [] for role in _FIELDS}
    for person in said:
        address = comparable(person["address"])
        if address is not None and person["role"] in found:
            found[person["role"]].append((display_name(person["name"]), address))
    if not headers.keys().isdisjoint(_FIELDS.values()):
        in_headers = named_in_headers(headers)
        return {role: mine or in_headers.get(role, ()) for role, mine in found.items()}
    return dict(found)


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
