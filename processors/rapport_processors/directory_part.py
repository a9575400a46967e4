"""What a directory has about a few addresses, valid or not: small enough to try changes on, and to be told in full."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from rapport_processors.directory_facts import Validity
from rapport_processors.directory_index import TenantIndexes, suffixes
from rapport_processors.directory_records import Ref, Subject
from rapport_processors.directory_settings import TenantSettings
from rapport_processors.mail.addresses import domain_of, untagged


def part_of(
    indexes: TenantIndexes,
    settings: TenantSettings,
    addresses: Iterable[str],
    members: Iterable[str],
    at: int | None,
) -> set[Subject]:
    """The subjects that any rule could ask about for an item of these addresses and owners, valid or not."""
    subjects: set[Subject] = set()
    for address in addresses:
        subjects |= {ref.owner for ref in entries_about(indexes, address)}
        subjects |= {ref.owner for _, ref in own_through(indexes, settings, address, at)}
    by_kind = indexes.subjects
    subjects |= {member for name in members if (member := by_kind["member"].get(name))}
    subjects |= set(by_kind["tenant"].values())
    contacts = {subject.id: subject for subject in subjects if subject.kind == "contact"}
    subjects |= {found for one in contacts.values() if (found := by_kind["customer"].get(one.customer))}
    subjects |= {ref.owner for ref in pairs_with(indexes, contacts)}
    return subjects


def entries_about(indexes: TenantIndexes, address: str) -> Iterator[Ref]:
    """Entries of members, contacts, customers, exclusions and choices that speak of the address, some of them twice."""
    for index in (indexes.member_addresses, indexes.contact_addresses):
        yield from index.exact(address)
        yield from index.alike(untagged(address))
    for form in (address, untagged(address)):
        yield from indexes.excluded_addresses.get(form)
        yield from indexes.choices.get(form)
    for suffix in suffixes(domain_of(address)):
        yield from indexes.customer_domains.get(suffix)
        yield from indexes.excluded_domains.get(suffix)
        yield from indexes.choices.get(suffix)


def pairs_with(indexes: TenantIndexes, contacts: Collection[str]) -> Iterator[Ref]:
    """Entries of exclusions of any member with one of these contacts."""
    for (_, contact), refs in indexes.pairs.items():
        if contact in contacts:
            yield from refs


def own_through(
    indexes: TenantIndexes, settings: TenantSettings, address: str, at: int | None
) -> Iterator[tuple[str, Ref]]:
    """Of each own domain the address lies in, an entry that makes it ours at the time and one that does today.

    No more: ten thousand members may have the same domain.
    """
    applies = Validity(settings, at).applies
    for domain in suffixes(domain_of(address)):
        refs = indexes.own.get(domain) or {}
        now = next((ref for ref in refs if ref.open), None)
        then = next((ref for ref in refs if applies(ref)), None)
        yield from ((domain, ref) for ref in dict.fromkeys((then, now)) if ref is not None)
