"""What a person could do about a decision: changes of the directory, each really tried before it is proposed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

from rapport_processors.directory import TenantDirectory
from rapport_processors.directory_facts import Facts, Side
from rapport_processors.directory_records import Subject, subject_of
from rapport_processors.directory_settings import TenantSettings
from rapport_processors.mail.addresses import domain_of
from rapport_processors.matching import decide, exclusion_of
from rapport_processors.matching_parties import Parties
from rapport_processors.model import Decision, Meeting, Message
from rapport_processors.public_providers import is_public
from rapport_schemas.records import DirectoryEntry, Entry

_MOST_ADDRESSES = 10
"""Changes are tried for so many external addresses; a mail to a thousand people is not explained a thousand times."""


@dataclass(frozen=True, slots=True)
class _Change:
    """One thing a person could do: what it is in JSON, in words, and what it makes of the directory.

    Attributes:
        settings: of the tenant, or of `connection` where that is not empty.
    """

    what: dict[str, str]
    sentence: str
    settings: dict[str, object] = field(default_factory=dict)
    connection: str = ""
    adds: tuple[Subject, ...] = ()
    deletes: tuple[Subject, ...] = ()


def would_turn(
    message: Message | Meeting, parties: Parties, decision: Decision, directory: TenantDirectory
) -> list[dict[str, object]]:
    """The single changes that turn whether an item is synced, else the pairs that do; and the choices that say for whom it counts.

    JSON-ready: `changes`, all of which have to be made, and a `sentence`.
    """
    trial = _Trial(message, parties, decision, directory)
    return [
        {
            "changes": [change.what for change in tried],
            "sentence": " and ".join(change.sentence for change in tried),
        }
        for tried in (*trial.turning(), *trial.choosing())
    ]


class _Trial:
    """Tries changes on the small part of the directory that can matter to one item."""

    def __init__(
        self, message: Message | Meeting, parties: Parties, decision: Decision, directory: TenantDirectory
    ) -> None:
        self._message, self._parties, self._decision = message, parties, decision
        self._directory = directory
        self._connections = sorted({copy["connection"] for copy in message.copies})
        addresses = {message.author, *(person["address"] for person in message.people)} - {""}
        owners = {copy["member"] for copy in message.copies}
        self._part = directory.part(addresses, owners, message.at_ms)

    def turning(self) -> list[tuple[_Change, ...]]:
        """Single changes, else pairs, after which an item is synced that was not, or the other way round."""
        changes = [*self._changes(), *self._choices()]
        for size in (1, 2):
            turning = [
                tried
                for tried in combinations(changes, size)
                if self._after(tried).synced != self._decision.synced
            ]
            if turning:
                return turning
        return []

    def choosing(self) -> list[tuple[_Change, ...]]:
        """Choices after which a synced item counts for somebody else, or is not ambiguous any more."""
        return [
            (change,)
            for change in (self._choices() if self._decision.synced else ())
            if (after := self._after((change,))).synced and _for_whom(after) != _for_whom(self._decision)
        ]

    def _after(self, tried: tuple[_Change, ...]) -> Decision:
        subjects = self._part.difference(*(change.deletes for change in tried)).union(
            *(change.adds for change in tried)
        )
        tenant: dict[str, object] = {}
        connections: dict[str, dict[str, object]] = {}
        for change in tried:
            own = connections.setdefault(change.connection, {}) if change.connection else tenant
            own.update(change.settings)
        return decide(self._message, self._directory.supposing(subjects, tenant, connections))

    def _changes(self) -> Iterator[_Change]:
        outside = sorted(self._parties.outside.items())[:_MOST_ADDRESSES]
        if self._decision.synced:
            for address, facts in outside:
                if facts.contact.candidates or facts.customer.candidates:
                    yield _exclude(address)
        else:
            yield from self._additions(outside)
        yield from self._switches()

    def _additions(self, outside: list[tuple[str, Facts]]) -> Iterator[_Change]:
        excluded = exclusion_of(self._message, self._parties, self._directory)
        if excluded is not None:
            yield _lift(excluded.owner)
        author, parties = self._message.author, self._parties
        if parties.author is not None and not parties.author.members:
            yield _add("member", "address", author, f"add {author} to a team member")
        ways = {self._directory.settings_of(name).match_by for name in self._connections}
        for address, facts in outside:
            if "address" in ways and not facts.contact.candidates:
                yield from self._contacts(address, facts)
            if "domain" in ways and not facts.customer.candidates:
                yield from self._domains(address)

    def _contacts(self, address: str, facts: Facts) -> Iterator[_Change]:
        """The address may be a new one of somebody at a customer whose domain fits, or whose other contacts share its domain."""
        fitting = [ref.owner for ref in facts.customer.candidates] or self._neighbours.get(
            domain_of(address), []
        )
        for customer in fitting:
            sentence = f"add {address} to a contact of {_name(customer)}"
            yield _add("contact", "address", address, sentence, {"customer": customer.id})
        if not fitting:
            yield _add("contact", "address", address, f"add {address} to a contact")

    def _domains(self, address: str) -> Iterator[_Change]:
        domain = domain_of(address)
        if not domain or is_public(domain):
            return
        neighbours = self._neighbours.get(domain, [])
        for customer in neighbours:
            sentence = f"give {_name(customer)} the domain {domain}"
            yield _add("customer", "domain", domain, sentence, {"id": customer.id})
        if not neighbours:
            yield _add("customer", "domain", domain, f"give a customer the domain {domain}")

    @cached_property
    def _neighbours(self) -> dict[str, list[Subject]]:
        """Of each external domain the customer of most contacts there; one look at every contact, when somebody asks."""
        wanted = {domain for address in self._parties.outside if (domain := domain_of(address))}
        wanted = {domain for domain in wanted if not is_public(domain)}
        found = Counter(
            (domain, contact.customer)
            for contact in self._directory.subjects("contact").values()
            for ref in contact.addresses
            if (domain := ref.value.rpartition("@")[2]) in wanted
        )
        neighbours: dict[str, list[Subject]] = {}
        for (domain, id_), _ in sorted(found.items(), key=lambda one: (-one[1], one[0])):
            customer = self._directory.subject("customer", id_)
            if customer is not None and domain not in neighbours:
                neighbours[domain] = [customer]
        return neighbours

    def _switches(self) -> Iterator[_Change]:
        message, directory = self._message, self._directory
        unknown = "sync_unknown_sender"
        if isinstance(message, Meeting):
            unknown = "sync_unknown_organizer"
            if message.private:
                yield _set("private_meetings", _turned("private_meetings", directory.settings))
        for name in (unknown, "owner_must_be_listed", "match_by"):
            yield _set(name, _turned(name, directory.settings))
            for connection in self._connections:
                if name in directory.overrides().get(connection, {}):
                    yield _set(name, _turned(name, directory.settings_of(connection)), connection)
        if directory.settings.contact_history != "current":
            yield _set("contact_history", "current")

    def _choices(self) -> Iterator[_Change]:
        """Each candidate of what is ambiguous."""
        for address, facts in sorted(self._parties.outside.items())[:_MOST_ADDRESSES]:
            yield from _choose("address", address, facts.contact)
            if facts.customer.candidates:
                yield from _choose("domain", facts.customer.candidates[0].value, facts.customer)


def _for_whom(decision: Decision) -> tuple[object, ...]:
    return decision.contacts, decision.customers, decision.ambiguous


def _name(subject: Subject) -> str:
    return subject.name or subject.id


def _exclude(address: str) -> _Change:
    new = _new_subject("exclusion", "address", address)
    return _Change({"do": "exclude", "address": address}, f"exclude {address}", adds=(new,))


def _lift(subject: Subject) -> _Change:
    what = {"do": "delete", "kind": "exclusion", "id": subject.id}
    return _Change(what, f"delete the exclusion {subject.id}", deletes=(subject,))


def _add(kind: str, what: str, value: str, sentence: str, more: Mapping[str, str] | None = None) -> _Change:
    """A subject, or an entry of one, that is always valid. `more`: whose it is, where that is known."""
    told = {"do": "add", "kind": kind, what: value, **(more or {})}
    return _Change(told, sentence, adds=(_new_subject(kind, what, value, **(more or {})),))


def _choose(what: str, value: str, side: Side) -> Iterator[_Change]:
    for ref in side.candidates if side.ambiguous else ():
        who = ref.owner
        yield _Change(
            {"do": "choose", what: value, who.kind: who.id},
            f"decide that {value} is {_name(who)} ({who.kind} {who.id})",
            adds=(_new_subject("choice", what, value, **{who.kind: who.id}),),
        )


def _turned(name: str, settings: TenantSettings) -> object:
    value = getattr(settings, name)
    others = {"address": "domain", "domain": "address", "count": "skip", "skip": "count"}
    return others.get(value, not value)


def _set(name: str, value: object, connection: str = "") -> _Change:
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    what = {"do": "set", "setting": name, "value": shown}
    sentence = (
        f"turn {'on' if value else 'off'} {name}" if isinstance(value, bool) else f"set {name} to {shown}"
    )
    if not connection:
        return _Change(what, sentence, settings={name: value})
    return _Change(
        what | {"connection": connection},
        f"{sentence} for the connection {connection}",
        settings={name: value},
        connection=connection,
    )


def _new_subject(kind: str, what: str, value: str, **more: str) -> Subject:
    """A subject of one entry that is always valid."""
    always: Entry = {"value": value, "valid_from": None, "valid_to": None, "recorded_at": 0, "ended_at": None}
    entry: DirectoryEntry = {
        "tenant": "",
        "kind": kind,
        "id": f"(new) {value}",
        "name": "",
        "customer": more.get("customer", ""),
        "addresses": [always] if what == "address" else [],
        "domains": [always] if what == "domain" else [],
        "member": "",
        "contact": more.get("contact", ""),
        "settings": "",
        "recorded_at": 0,
        "deleted": False,
        "mark": None,
        "former": [],
    }
    return subject_of(entry, 0)
