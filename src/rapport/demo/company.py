"""The cast of the story: who works at the demo company, who its customers and contacts are, which lists it has.

Everything follows from `CompanySize`, the seed and `match_by`; building it twice gives the same company.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Any, Final

import idna

from rapport.demo import words
from rapport_core.errors import ConfigError

TENANT: Final = "demo"
TIMEZONE: Final = "Europe/Stockholm"
OWN_DOMAIN: Final = "acme.example"
SUBSIDIARY_DOMAIN: Final = "acme-labs.example"
HOLDING_DOMAIN: Final = "acme-holding.example"
EXCLUDED_DOMAIN: Final = "advokat.example"
BELOW: Final = "mx."
"""In front of a customer's domain: a subdomain, which belongs to the customer too."""

SHARED_BOX: Final = "desk"
_LATE_CUSTOMER: Final = 4
_LATE_ALIAS: Final = 3
_MICROSOFT: Final = (0, 1)
"""Of four members the first two; the others have every other kind of mailbox and calendar among them."""


class Kind(StrEnum):
    """What a person is to the company. Only members and contacts are in the directory."""

    MEMBER = "member"
    CONTACT = "contact"
    COLLEAGUE = "colleague"
    OUTSIDER = "outsider"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, or a list, that mail names.

    Attributes:
        index: position among the members or the contacts; -1 for the others.
        addresses: everything this person writes from or is written to; the directory's spelling.
        customer: position of the customer whose domain the addresses have; -1: none.
    """

    kind: Kind
    index: int
    name: str
    addresses: tuple[str, ...]
    customer: int = -1


@dataclass(frozen=True, slots=True)
class Customer:
    """A company that is served."""

    name: str
    domains: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A distribution list. `subscribers` are positions of members; its software decides its headers."""

    person: Person
    subscribers: tuple[int, ...]
    software: str


@dataclass(frozen=True, slots=True)
class CompanySize:
    """How large a company is made. `copies` (of mail) and `meetings` (copies of calendar entries) are met exactly.

    Attributes:
        microsoft: whether half of the members have mailbox and calendar at Microsoft 365; else all are archives.
    """

    members: int = 40
    customers: int = 120
    contacts: int = 600
    copies: int = 60_000
    meetings: int = 4_000
    microsoft: bool = False

    def __post_init__(self) -> None:
        if self.members < 4 or self.customers < 2 or self.contacts < self.customers or self.copies < 1:
            raise ConfigError(
                "a demo company needs at least 4 members, 2 customers, as many contacts as customers, and 1 copy"
            )
        if self.meetings < 0:
            raise ConfigError("a demo company needs at least 0 calendar copies")


@dataclass(frozen=True, slots=True)
class Company:
    """The whole cast. Ids in the directory are `m`, `c` and `p` with the position.

    Attributes:
        tenant: its id. Companies of several tenants may share people, domains and Message-IDs: tenants never mix.
        shared_addresses: addresses on several contacts, and which.
        domains: the customers that have each domain, mostly one.
        late_contacts, late_customers, late_aliases: what is written into the directory only after the mail came.
        since: addresses with a `valid_from`.
        microsoft: members whose mailbox and calendar are at Microsoft 365.
    """

    size: CompanySize
    tenant: str
    match_by: str
    members: tuple[Person, ...]
    customers: tuple[Customer, ...]
    contacts: tuple[Person, ...]
    groups: tuple[Group, ...]
    excluded_addresses: frozenset[str]
    excluded_pair: tuple[int, int]
    silent_contacts: int
    shared_addresses: dict[str, tuple[int, ...]] = field(default_factory=dict)
    domains: dict[str, tuple[int, ...]] = field(default_factory=dict)
    late_contacts: frozenset[int] = frozenset()
    late_customers: frozenset[int] = frozenset()
    late_aliases: frozenset[str] = frozenset()
    since: dict[str, str] = field(default_factory=dict)
    microsoft: frozenset[int] = frozenset()

    def contacts_of(self, person: Person, address: str) -> tuple[int, ...]:
        """The contacts whom the address means when `person` uses it: several where it is shared."""
        if person.kind is not Kind.CONTACT:
            return ()
        return self.shared_addresses.get(address, (person.index,))

    def customers_of(self, person: Person, address: str) -> tuple[int, ...]:
        """The customers for whom the address counts when `person` uses it, by the company's `match_by`."""
        if self.match_by == "address":
            return tuple({self.contacts[index].customer for index in self.contacts_of(person, address)})
        if person.kind not in (Kind.CONTACT, Kind.OUTSIDER):
            return ()
        return self.domains.get(address.rpartition("@")[2].removeprefix(BELOW), ())

    def first_directory(self) -> dict[str, Any]:
        """The directory as it is before the mail comes: the late customer, contacts and alias are not in it yet."""
        whole = self.directory()
        late = {f"p{i}" for i in self.late_contacts} | {f"c{i}" for i in self.late_customers}
        known = {
            kind: [subject for subject in whole[kind] if subject["id"] not in late]
            for kind in ("customers", "contacts")
        }
        members = [self._member(person, self.late_aliases) for person in self.members]
        return {**whole, **known, "members": members}

    def directory(self) -> dict[str, Any]:
        """The whole directory file as `rapport directory load` reads it."""
        member, contact = self.excluded_pair
        return {
            "tenant": {
                "id": self.tenant,
                "timezone": TIMEZONE,
                "own_domains": [OWN_DOMAIN, HOLDING_DOMAIN],
                "settings": {"match_by": self.match_by},
            },
            "members": [self._member(person) for person in self.members],
            "customers": [
                {"id": f"c{i}", "name": c.name, "domains": list(c.domains)}
                for i, c in enumerate(self.customers)
            ],
            "contacts": [
                {
                    "id": f"p{p.index}",
                    "name": p.name,
                    "customer": f"c{p.customer}",
                    "addresses": list(p.addresses),
                }
                for p in self.contacts
            ],
            "exclusions": [
                *({"address": address} for address in sorted(self.excluded_addresses)),
                {"domain": EXCLUDED_DOMAIN},
                {"member": f"m{member}", "contact": f"p{contact}"},
            ],
        }

    def _member(self, person: Person, without: frozenset[str] = frozenset()) -> dict[str, Any]:
        addresses = [self._entry(address) for address in person.addresses if address not in without]
        return {"id": f"m{person.index}", "name": person.name, "addresses": addresses}

    def _entry(self, address: str) -> str | dict[str, str]:
        since = self.since.get(address)
        return {"address": address, "valid_from": since} if since else address


def build_company(
    size: CompanySize, seed: int, now: datetime, match_by: str = "address", tenant: str = TENANT
) -> Company:
    """The company of a seed. `now` only dates when aliases began.

    Raises:
        ConfigError: `match_by` is neither `address` nor `domain`.
    """
    if match_by not in ("address", "domain"):
        raise ConfigError(f"match_by is address or domain, not {match_by}")
    rng = Random(f"company {seed}")  # noqa: S311 - a story, not a secret
    members = tuple(_member(rng, index) for index in range(size.members))
    customers = tuple(_customers(rng, size.customers))
    contacts = _Contacts(rng, customers, public_mail=match_by == "address").build(size.contacts)
    late_customers = frozenset({_LATE_CUSTOMER} & set(range(size.customers)))
    return Company(
        size=size,
        tenant=tenant,
        match_by=match_by,
        members=members,
        customers=customers,
        contacts=contacts,
        groups=_groups(rng, size.members),
        excluded_addresses=_excluded(contacts),
        # The last member is on no list and never a hidden recipient, so that the pair is left out for one reason only.
        excluded_pair=(size.members - 1, 1),
        silent_contacts=max(1, size.contacts // 50),
        shared_addresses=_holders(contacts),
        domains=_holders_of_domains(customers),
        late_contacts=_late_contacts(contacts, late_customers),
        late_customers=late_customers,
        late_aliases=frozenset(members[_LATE_ALIAS].addresses[1:2]),
        since=_since(members, now),
        microsoft=frozenset(p.index for p in members if size.microsoft and p.index % 4 in _MICROSOFT),
    )


def _local(name: str) -> str:
    plain = (
        unicodedata.normalize("NFKD", name.replace("\u0131", "i").replace("ø", "o"))
        .encode("ascii", "ignore")
        .decode()
    )
    return plain.lower().replace(" ", ".").replace("'", "")


def _name(rng: Random) -> tuple[str, str]:
    """A name, and the local part made of it; one in eight is not in Latin letters or hardly."""
    if rng.random() < 0.12:
        return rng.choice(words.FOREIGN_NAMES)
    name = f"{rng.choice(words.FIRST_NAMES)} {rng.choice(words.LAST_NAMES)}"
    return name, _local(name)


def _member(rng: Random, index: int) -> Person:
    name, local = _name(rng)
    local = f"{local}{index}"
    addresses = [f"{local}@{OWN_DOMAIN}"]
    if index % 3 == 0:
        addresses.append(f"{local.split('.', maxsplit=1)[0]}.{index}@{OWN_DOMAIN}")
    if index % 4 == 1:
        addresses.append(f"{local}@{SUBSIDIARY_DOMAIN}")
    if index % 7 == 2:
        addresses.append(f"{local.replace('.', '')}.private@gmail.com")
    return Person(Kind.MEMBER, index, name, tuple(addresses))


def _since(members: tuple[Person, ...], now: datetime) -> dict[str, str]:
    start = (now - timedelta(days=90)).strftime("%Y-%m-%dT00:00:00Z")
    return {person.addresses[1]: start for person in members[::6] if len(person.addresses) > 1}


def _customers(rng: Random, count: int) -> list[Customer]:
    customers: list[Customer] = []
    for index in range(count):
        base = words.COMPANY_NAMES[index % len(words.COMPANY_NAMES)]
        name = f"{base} {rng.choice(words.INDUSTRIES)} {index}"
        domains = [f"{_local(base)}{index}.example"]
        if index % 3 == 0:
            domains.append(f"{_local(base)}-{index}-group.example")
        if index % 10 == 8:
            domains.append(f"åäkeri{index}.example")
        if index == 1:
            # A customer inside another one's domain: only the longest suffix is right.
            domains.append(f"labs.{customers[0].domains[0]}")
        if index % 5 in (3, 4):
            # Two customers of one owner, with a domain in common: mail from there counts for both.
            domains.append(f"owner{index // 5}.example")
        customers.append(Customer(name, tuple(domains)))
    return customers


def _holders_of_domains(customers: tuple[Customer, ...]) -> dict[str, tuple[int, ...]]:
    held: dict[str, tuple[int, ...]] = {}
    for index, customer in enumerate(customers):
        for domain in customer.domains:
            held[domain] = (*held.get(domain, ()), index)
    return held


def _holders(contacts: tuple[Person, ...]) -> dict[str, tuple[int, ...]]:
    """The addresses that several contacts have."""
    held: dict[str, tuple[int, ...]] = {}
    for person in contacts:
        for address in person.addresses:
            held[address] = (*held.get(address, ()), person.index)
    return {address: indexes for address, indexes in held.items() if len(indexes) > 1}


def _late_contacts(contacts: tuple[Person, ...], customers: frozenset[int]) -> frozenset[int]:
    """A contact in seventeen, everybody of the late customer, and some whose tagged address another's mailbox has."""
    return frozenset(
        p.index for p in contacts if p.index % 17 == 6 or p.index % 50 == 4 or p.customer in customers
    )


def _groups(rng: Random, members: int) -> tuple[Group, ...]:
    pool = list(range(members - 1))
    groups = []
    for local, label, software in (("support", "Support", "google"), ("sales", "Sälj", "mailman")):
        subscribers = tuple(sorted(rng.sample(pool, min(len(pool), 6))))
        groups.append(Group(Person(Kind.GROUP, -1, label, (f"{local}@{OWN_DOMAIN}",)), subscribers, software))
    forum = Person(Kind.GROUP, -1, "Users", ("users@lists.forum.example",))
    groups.append(Group(forum, tuple(sorted(rng.sample(pool, min(len(pool), 3)))), "mailman"))
    return tuple(groups)


def _excluded(contacts: tuple[Person, ...]) -> frozenset[str]:
    count = max(1, len(contacts) // 100)
    return frozenset(contacts[(index * 7 + 2) % len(contacts)].addresses[0] for index in range(count))


def ascii_address(address: str) -> str:
    """The address with its domain in A-label form, as most mail writes it."""
    local, _, domain = address.rpartition("@")
    return address if domain.isascii() else f"{local}@{idna.encode(domain, uts46=True).decode()}"


@dataclass(slots=True)
class _Contacts:
    """Makes contacts with addresses that nobody else has."""

    rng: Random
    customers: tuple[Customer, ...]
    public_mail: bool

    def build(self, count: int) -> tuple[Person, ...]:
        contacts: list[Person] = []
        for index in range(count):
            customer = index if index < len(self.customers) else self.rng.randrange(len(self.customers))
            if index % 25 == 4 or index % 20 == 13:
                customer = contacts[-1].customer
            name, local = _name(self.rng)
            addresses = self._addresses(index, customer, f"{local}{index}")
            contacts.append(Person(Kind.CONTACT, index, name, addresses, customer))
            if index % 20 in (13, 17):
                # One address of two contacts: of one customer (13), mostly of two (17).
                shared = f"team{index}@{self.customers[customer].domains[0]}"
                contacts[-2:] = [replace(p, addresses=(*p.addresses, shared)) for p in contacts[-2:]]
        return tuple(contacts)

    def _addresses(self, index: int, customer: int, local: str) -> tuple[str, ...]:
        domains = self.customers[customer].domains
        addresses = [f"{local}@{domains[index % len(domains)]}"]
        if index % 5 == 0:
            addresses.append(f"{local.split('.', maxsplit=1)[0]}{index}@{domains[-1]}")
        if index % 9 == 3 and self.public_mail:
            addresses.append(f"{local}@gmail.com")
        if index % 25 == 4:
            # A tagged address in the directory: an exact match wins over the one without the tag.
            addresses = [f"{SHARED_BOX}{index - 1}+billing@{domains[0]}"]
        if index % 25 == 3:
            addresses.append(f"{SHARED_BOX}{index}@{domains[0]}")
        return tuple(addresses)
