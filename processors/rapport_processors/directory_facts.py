"""What a tenant's directory says about one address: the questions of contract part 6, answered once for each address."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rapport_processors.directory_index import TenantIndexes, suffixes
from rapport_processors.directory_records import Choice, Ref
from rapport_processors.directory_settings import TenantSettings
from rapport_processors.mail.addresses import domain_of, untagged
from rapport_processors.public_providers import public_providers


class Validity:
    """Contract 6.6: which entries apply to an item of a given time. `at` None is an item without a time."""

    __slots__ = ("_at", "_until")

    def __init__(self, settings: TenantSettings, at: int | None) -> None:
        self._at = None if settings.contact_history == "current" else at
        self._until = 0 if at is None else at + settings.grace_ms

    def applies(self, ref: Ref) -> bool:
        """Whether the entry counts for this item."""
        if self._at is None:
            return ref.open
        begun = ref.valid_from is None or ref.valid_from <= self._until
        return begun and (ref.end is None or self._at < ref.end)

    def of(self, refs: tuple[Ref, ...]) -> tuple[Ref, ...]:
        """The entries that count, oldest first: one order for one set."""
        if len(refs) < 2:
            return refs if refs and self.applies(refs[0]) else ()
        return tuple(sorted((ref for ref in refs if self.applies(ref)), key=_order))


def _order(ref: Ref) -> tuple[tuple[int, str], str]:
    return ref.age, ref.value


class Side:
    """One side of a match, contacts by address or customers by domain, after the rule for ambiguity (contract 6.7).

    Attributes:
        candidates: every entry that applies, oldest first, one for each subject.
        possible: of these, whom it may be: the one that a person chose, else all.
        ids: the subjects it is attributed to.
        customers: the customers it is attributed to.
        ambiguous: several subjects have it and no person chose, whatever the rule makes of that.
        used: the entries behind `ids`, JSON-ready.
    """

    __slots__ = ("ambiguous", "candidates", "customers", "ids", "possible", "used")

    def __init__(
        self, candidates: tuple[Ref, ...], chosen: tuple[Ref, ...], customers: Iterable[str], choice: str = ""
    ) -> None:
        self.candidates = candidates
        self.possible = chosen if choice else candidates
        self.ambiguous = len(self.possible) > 1
        self.ids = tuple(ref.owner.id for ref in chosen)
        self.customers = tuple(customers)
        self.used = [{**used_entry(ref), "choice": choice} if choice else used_entry(ref) for ref in chosen]


NOBODY = Side((), (), ())
"""Shared by all addresses without a match: most addresses of most mail."""


class CustomerOf:
    """The customer an entry stands for, or empty when the directory has no such customer."""

    __slots__ = ("_indexes",)

    def __init__(self, indexes: TenantIndexes) -> None:
        self._indexes = indexes

    def __call__(self, ref: Ref) -> str:
        """The customer's id."""
        customer = ref.owner.id if ref.owner.kind == "customer" else ref.owner.customer
        return customer if customer in self._indexes.subjects["customer"] else ""


def _one_each(refs: tuple[Ref, ...]) -> tuple[Ref, ...]:
    if len(refs) < 2:
        return refs
    first: dict[str, Ref] = {}
    for ref in refs:
        first.setdefault(ref.owner.id, ref)
    return tuple(first.values())


def used_entry(ref: Ref) -> dict[str, str]:
    """An entry as a reason names it."""
    owner = ref.owner
    field = "domain" if owner.kind in ("customer", "tenant") or ref in owner.domains else "address"
    return {"kind": owner.kind, "id": owner.id, field: ref.value}


class Facts:
    """Everything the directory says about one address at one time.

    Attributes:
        internal: a member's address, or one in an own domain: never a contact.
        members: ids of the members it belongs to.
        contact: who is behind it by address.
        customer: whose domain it is in.
        excluded: the exclusion that names it, if any.
    """

    __slots__ = ("contact", "customer", "excluded", "internal", "member_refs", "members")

    def __init__(
        self,
        internal: bool,
        member_refs: tuple[Ref, ...],
        contact: Side,
        customer: Side,
        excluded: Ref | None,
    ) -> None:
        self.internal = internal
        self.member_refs = member_refs
        self.members = tuple(dict.fromkeys(ref.owner.id for ref in member_refs))
        self.contact = contact
        self.customer = customer
        self.excluded = excluded


STRANGER = Facts(False, (), NOBODY, NOBODY, None)
"""What the directory says about most addresses: nothing."""


class Lookup:
    """Answers about addresses under one validity."""

    __slots__ = ("_customer_of", "_indexes", "_policy", "_validity")

    def __init__(self, indexes: TenantIndexes, policy: str, validity: Validity) -> None:
        self._indexes = indexes
        self._policy = policy
        self._validity = validity
        self._customer_of = CustomerOf(indexes)

    def facts(self, address: str) -> Facts:
        """Everything about one comparable address."""
        domain = domain_of(address)
        members = self._by_address("member", address)
        internal = bool(members) or self.is_own(domain)
        contacts = () if internal else self._by_address("contact", address)
        customers = () if internal else self.by_domain(domain)
        excluded = self.exclusion(address, domain)
        if not (internal or contacts or customers or excluded):
            return STRANGER
        return Facts(
            internal,
            members,
            self._side(contacts, address, untagged(address)),
            self._side(customers, *(ref.value for ref in customers[:1])),
            excluded,
        )

    def _by_address(self, kind: str, address: str) -> tuple[Ref, ...]:
        """An exact match wins; else one that is equal without tags."""
        indexes = self._indexes
        index = indexes.member_addresses if kind == "member" else indexes.contact_addresses
        return self._validity.of(index.exact(address)) or self._validity.of(index.alike(untagged(address)))

    def _side(self, refs: tuple[Ref, ...], *values: str) -> Side:
        """Whom the entries are attributed to; `values` are what a choice of it may name, the nearest first."""
        if not refs:
            return NOBODY
        candidates = chosen = _one_each(refs)
        choice = ""
        if len(candidates) > 1:
            choice, chosen = self._chosen(candidates, values)
        customers = dict.fromkeys(self._customer_of(ref) for ref in chosen or candidates)
        if not chosen:
            # Who it is waits for a person; the customer does not where all candidates agree on it.
            return Side(candidates, (), customers if len(customers) == 1 and "" not in customers else ())
        customers.pop("", None)
        return Side(candidates, chosen, customers, choice)

    def _chosen(self, candidates: tuple[Ref, ...], values: Sequence[str]) -> tuple[str, tuple[Ref, ...]]:
        """Of several the one that a person chose, with the id of that choice; else what the tenant's rule says."""
        named = {ref.owner.id: ref for ref in candidates}
        for choice in self.choices(values):
            if choice.chosen in named:
                return choice.id, (named[choice.chosen],)
        if self._policy == "review":
            return "", ()
        return "", candidates[:1] if self._policy == "oldest" else candidates

    def choices(self, values: Sequence[str]) -> list[Choice]:
        """What persons decided about an address, or a domain, and its further forms: of the very first value first."""
        index = self._indexes.choices
        if not index:
            return []
        refs = [ref for value in dict.fromkeys(values) for ref in self._validity.of(index.get(value))]
        refs.sort(key=lambda ref: ref.value != values[0])
        return list(dict.fromkeys(ref.owner for ref in refs if isinstance(ref.owner, Choice)))

    def passed_over(self, address: str) -> tuple[Ref, ...]:
        """Contacts and customers that resemble the address but do not apply: another time, or the shorter domain."""
        indexes, domain = self._indexes, domain_of(address)
        alike = (
            *indexes.contact_addresses.exact(address),
            *indexes.contact_addresses.alike(untagged(address)),
        )
        by_domain = [ref for suffix in suffixes(domain) for ref in indexes.customer_domains.get(suffix)]
        facts = self.facts(address)
        used = {*facts.contact.candidates, *facts.customer.candidates}
        return tuple(ref for ref in dict.fromkeys((*alike, *by_domain)) if ref not in used)

    def is_own(self, domain: str) -> bool:
        """Whether the domain, or one above it, is the tenant's."""
        for suffix in suffixes(domain):
            refs = self._indexes.own.get(suffix)
            if refs and any(self._validity.applies(ref) for ref in refs):
                return True
        return False

    def by_domain(self, domain: str) -> tuple[Ref, ...]:
        """The customers of the longest suffix that has any. A public mail provider's domain ends the search."""
        for suffix in suffixes(domain):
            if suffix in public_providers():
                return ()
            if found := self._validity.of(self._indexes.customer_domains.get(suffix)):
                return found
        return ()

    def exclusion(self, address: str, domain: str) -> Ref | None:
        """The oldest exclusion that names the address, its mailbox, its domain or one above."""
        indexes = self._indexes
        if not indexes.subjects["exclusion"]:
            return None
        found = self._validity.of(tuple(self._exclusions(address, domain)))
        return found[0] if found else None

    def _exclusions(self, address: str, domain: str) -> Iterator[Ref]:
        for form in {address, untagged(address)}:
            yield from self._indexes.excluded_addresses.get(form)
        for suffix in suffixes(domain):
            yield from self._indexes.excluded_domains.get(suffix)

    def pair(self, member: str, contact: str) -> Ref | None:
        """The exclusion of this member with this contact, if any."""
        found = self._validity.of(tuple(self._indexes.pairs.get((member, contact), ())))
        return found[0] if found else None
