"""The indexes that matching needs, each updated in the time of the one entry that changed."""

from __future__ import annotations

from collections.abc import Iterator

from rapport_processors.directory_records import KINDS, PairExclusion, Ref, Subject
from rapport_processors.mail.addresses import domain_of, untagged
from rapport_processors.public_providers import public_providers


def suffixes(domain: str) -> Iterator[str]:
    """The domain and its parents, on label borders, longest first."""
    while domain:
        yield domain
        domain = domain.partition(".")[2]


class RefIndex:
    """Value → entries. A lone entry, which nearly every value has, stands without a tuple around it."""

    __slots__ = ("_refs",)

    def __init__(self) -> None:
        self._refs: dict[str, Ref | tuple[Ref, ...]] = {}

    def add(self, key: str, ref: Ref) -> None:
        """Adds an entry that is not there yet."""
        before = self._refs.get(key)
        if before is None:
            self._refs[key] = ref
        else:
            self._refs[key] = (*before, ref) if isinstance(before, tuple) else (before, ref)

    def remove(self, key: str, ref: Ref) -> None:
        """Removes an entry that is there."""
        before = self._refs[key]
        left = tuple(other for other in before if other is not ref) if isinstance(before, tuple) else ()
        if not left:
            del self._refs[key]
        else:
            self._refs[key] = left if len(left) > 1 else left[0]

    def get(self, key: str) -> tuple[Ref, ...]:
        """The entries of a value, in no particular order."""
        found = self._refs.get(key)
        if found is None:
            return ()
        return found if isinstance(found, tuple) else (found,)

    def __len__(self) -> int:
        return len(self._refs)


class AddressIndex:
    """Entries by exact and by untagged address. An address that is its own untagged form is kept once."""

    __slots__ = ("_exact", "_tagged")

    def __init__(self) -> None:
        self._exact, self._tagged = RefIndex(), RefIndex()

    def add(self, ref: Ref) -> None:
        """Adds an address entry."""
        self._exact.add(ref.value, ref)
        bare = untagged(ref.value)
        if bare != ref.value:
            self._tagged.add(bare, ref)

    def remove(self, ref: Ref) -> None:
        """Removes an address entry that was added."""
        self._exact.remove(ref.value, ref)
        bare = untagged(ref.value)
        if bare != ref.value:
            self._tagged.remove(bare, ref)

    def exact(self, address: str) -> tuple[Ref, ...]:
        """Entries with this very address."""
        return self._exact.get(address)

    def alike(self, bare: str) -> tuple[Ref, ...]:
        """Entries whose address without a tag is `bare`."""
        return self._exact.get(bare) + self._tagged.get(bare) if len(self._tagged) else self._exact.get(bare)


class OwnDomains:
    """Domain → entries that make it ours. A set of entries: ten thousand members share one domain."""

    __slots__ = ("_refs",)

    def __init__(self) -> None:
        self._refs: dict[str, dict[Ref, None]] = {}

    def add(self, domain: str, ref: Ref) -> None:
        """Adds an entry's domain."""
        self._refs.setdefault(domain, {})[ref] = None

    def remove(self, domain: str, ref: Ref) -> None:
        """Removes an entry that was added."""
        refs = self._refs[domain]
        del refs[ref]
        if not refs:
            del self._refs[domain]

    def get(self, domain: str) -> dict[Ref, None] | None:
        """The entries that make exactly this domain ours."""
        return self._refs.get(domain)

    def __iter__(self) -> Iterator[str]:
        return iter(self._refs)


class TenantIndexes:
    """A tenant's subjects by kind and id, and every index over their entries. `put` and `take` are each other's inverse."""

    def __init__(self) -> None:
        self.subjects: dict[str, dict[str, Subject]] = {kind: {} for kind in KINDS}
        self.member_addresses = AddressIndex()
        self.contact_addresses = AddressIndex()
        self.customer_domains = RefIndex()
        self.excluded_addresses = RefIndex()
        self.excluded_domains = RefIndex()
        self.choices = RefIndex()
        self.own = OwnDomains()
        self.pairs: dict[tuple[str, str], dict[Ref, None]] = {}

    def put(self, subject: Subject) -> None:
        """Adds a subject that is not there."""
        self.subjects[subject.kind][subject.id] = subject
        self._each(subject, add=True)

    def take(self, kind: str, subject_id: str) -> Subject | None:
        """Removes a subject; None when it is not there."""
        subject = self.subjects[kind].pop(subject_id, None)
        if subject is not None:
            self._each(subject, add=False)
        return subject

    def _each(self, subject: Subject, *, add: bool) -> None:
        kind = subject.kind
        if kind in {"contact", "member"}:
            index = self.contact_addresses if kind == "contact" else self.member_addresses
            for ref in subject.addresses:
                index.add(ref) if add else index.remove(ref)
            if kind == "member":
                self._own_by_address(subject, add=add)
        elif kind == "customer":
            for ref in subject.domains:
                _set(self.customer_domains, ref.value, ref, add=add)
        elif kind == "tenant":
            for ref in subject.domains:
                self.own.add(ref.value, ref) if add else self.own.remove(ref.value, ref)
        elif kind == "exclusion":
            self._exclusion(subject, add=add)
        elif kind == "choice":
            self._choice(subject, add=add)

    def _own_by_address(self, member: Subject, *, add: bool) -> None:
        for ref in member.addresses:
            domain = domain_of(ref.value)
            if domain and domain not in public_providers():
                self.own.add(domain, ref) if add else self.own.remove(domain, ref)

    def _exclusion(self, subject: Subject, *, add: bool) -> None:
        if isinstance(subject, PairExclusion):
            pair = (subject.member, subject.contact)
            refs = self.pairs.setdefault(pair, {})
            for ref in subject.addresses:
                if add:
                    refs[ref] = None
                else:
                    del refs[ref]
            if not refs:
                del self.pairs[pair]
            return
        for ref in subject.addresses:
            for key in meant_forms(ref.value):
                _set(self.excluded_addresses, key, ref, add=add)
        for ref in subject.domains:
            _set(self.excluded_domains, ref.value, ref, add=add)

    def _choice(self, choice: Subject, *, add: bool) -> None:
        for ref in choice.addresses:
            for key in meant_forms(ref.value):
                _set(self.choices, key, ref, add=add)
        for ref in choice.domains:
            _set(self.choices, ref.value, ref, add=add)


def meant_forms(address: str) -> set[str]:
    """Under what an exclusion or a choice is found. One of a tagged address means that tag; any other the whole mailbox."""
    return {address} if "+" in address.rpartition("@")[0] else {address, untagged(address)}


def _set(index: RefIndex, key: str, ref: Ref, *, add: bool) -> None:
    index.add(key, ref) if add else index.remove(key, ref)
