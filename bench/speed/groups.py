"""Mail of which so many are to one address: as small as mail can be, each a thread of its own, by a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from random import Random
from typing import Any, Final

from rapport_core.clock import to_ms
from rapport_schemas.changes import mail_fields
from speed.pages import Copy

MEMBERS: Final = 40
CUSTOMERS: Final = 1_000
"""Those of the others' mail: the even ones have a domain, the odd ones are known by an address alone."""
OTHERS: Final = ""
DAYS: Final = 300
_OWN: Final = "acme.example"
_DAY_MS: Final = 86_400_000


def dealt(items: int, groups: Mapping[str, int], seed: int = 1) -> dict[int, str]:
    """Which items belong to a group, spread over all of them. The rest are the others'."""
    wanted = [name for name, size in groups.items() for _ in range(size)]
    return dict(zip(Random(seed).sample(range(items), len(wanted)), wanted, strict=True))


def customer_of(number: int) -> int:
    """The customer of an item that is in no group."""
    return number % CUSTOMERS


def reader_of(number: int, group: str) -> str:
    """To whom it is: the one address of its group, else the one contact of its customer."""
    if group == OTHERS:
        customer = customer_of(number)
        return f"person@customer{customer}.example"
    return f"x@{group}.example"


def copies_of(items: int, group_of: Mapping[int, str], now: datetime) -> Iterator[Copy]:
    """One copy of each, evenly over the days before `now`."""
    step = DAYS * _DAY_MS / items
    newest = to_ms(now) - _DAY_MS
    for number in range(items):
        group = group_of.get(number, OTHERS)
        yield copy_to(reader_of(number, group), number, newest - int(number * step))


def copy_to(reader: str, number: int, sent_ms: int) -> Copy:
    """A member's mail to one reader, as Graph says it."""
    mailbox = number % MEMBERS
    fields = mail_fields(
        b"",
        provider_time=sent_ms,
        folder="sent",
        structured={
            "message_id": f"<{number}.bench@{_OWN}>",
            "subject": "",
            "sent": sent_ms,
            "people": [
                {"role": "from", "name": "", "address": f"member{mailbox}@{_OWN}"},
                {"role": "to", "name": "", "address": reader},
            ],
            "invitation": False,
        },
    )
    return Copy(mailbox, f"bench-{number}", fields)


def directory(tenant: str, settings: Mapping[str, object], known: Mapping[str, str]) -> dict[str, Any]:
    """The directory: members, the others' customers, and of each known group a customer whose contact has the address given."""
    return {
        "tenant": {"id": tenant, "timezone": "UTC", "own_domains": [_OWN], "settings": dict(settings)},
        "members": [
            {"id": f"m{n}", "name": f"Member {n}", "addresses": [f"member{n}@{_OWN}"]} for n in range(MEMBERS)
        ],
        "customers": [
            {"id": f"c{n}", "name": f"Customer {n}", "domains": [f"customer{n}.example"][n % 2 :]}
            for n in range(CUSTOMERS)
        ]
        + [{"id": group, "name": group, "domains": []} for group in known],
        "contacts": [
            {
                "id": f"p{n}",
                "name": f"Person {n}",
                "customer": f"c{n}",
                "addresses": [f"person@customer{n}.example"],
            }
            for n in range(CUSTOMERS)
        ]
        + [
            {"id": f"p-{group}", "name": group, "customer": group, "addresses": [address]}
            for group, address in known.items()
        ],
    }
