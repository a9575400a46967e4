"""The part of a directory that can matter to one item: small enough to try changes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
    subjects = {ref.owner for address in addresses for ref in _refs(indexes, settings, address, at)}
    by_kind = indexes.subjects
    subjects |= {member for name in members if (member := by_kind["member"].get(name))}
    subjects |= set(by_kind["tenant"].values())
    contacts = {subject.id: subject for subject in subjects if subject.kind == "contact"}
    subjects |= {found for one in contacts.values() if (found := by_kind["customer"].get(one.customer))}
    subjects |= {
        ref.owner for (_, contact), refs in indexes.pairs.items() if contact in contacts for ref in refs
    }
    return subjects


def _refs(indexes: TenantIndexes, settings: TenantSettings, address: str, at: int | None) -> Iterator[Ref]:
    for index in (indexes.member_addresses, indexes.contact_addresses):
        yield from index.exact(address)
        yield from index.alike(untagged(address))
    for form in (address, untagged(address)):
        yield from indexes.excluded_addresses.get(form)
        yield from indexes.choices.get(form)
    for suffix in suffixes(domain_of(address)):
        yield from indexes.customer_domains.get(suffix)
        yield from indexes.choices.get(suffix)
        yield from indexes.excluded_domains.get(suffix)
        yield from _own(indexes, settings, suffix, at)


def _own(indexes: TenantIndexes, settings: TenantSettings, domain: str, at: int | None) -> Iterator[Ref]:
    """One entry that makes the domain ours at the item's time, one that does today: ten thousand members may."""
    refs = indexes.own.get(domain) or {}
    applies = Validity(settings, at).applies
    yield from (ref for ref in [next((ref for ref in refs if applies(ref)), None)] if ref)
    yield from (ref for ref in [next((ref for ref in refs if ref.open), None)] if ref)
