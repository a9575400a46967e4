"""Contract part 6: what a message or meeting belongs to, under one state of the directory. Pure, and on the hot path.

`explain` (in `matching_explain`) answers at length; `decide` keeps only what the item's record needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from rapport_processors.directory import TenantDirectory
from rapport_processors.directory_facts import STRANGER, Facts, Side, used_entry
from rapport_processors.directory_records import Ref
from rapport_processors.directory_settings import TenantSettings
from rapport_processors.matching_parties import Parties, parties_of
from rapport_processors.meetings.assemble import declined_by
from rapport_processors.model import Decision, Meeting, Message
from rapport_schemas.records import Copy


class Rule:
    """Names of the deciding rules; stored with every item and never renamed. Plain text: they are hashed per copy."""

    CONTACT_ADDRESS: Final = "contact_address"
    CUSTOMER_DOMAIN: Final = "customer_domain"
    SYNC_UNKNOWN_SENDER: Final = "sync_unknown_sender"
    SYNC_UNKNOWN_ORGANIZER: Final = "sync_unknown_organizer"
    OWNER_NOT_LISTED: Final = "owner_not_listed"
    UNKNOWN_SENDER: Final = "unknown_sender"
    UNKNOWN_ORGANIZER: Final = "unknown_organizer"
    NO_CUSTOMER: Final = "no_customer"
    INTERNAL: Final = "internal"
    EXCLUDED: Final = "excluded"
    NOT_A_MEETING: Final = "not_a_meeting"
    PRIVATE_MEETING: Final = "private_meeting"
    COUNTS_KEPT: Final = "counts_kept"
    """Nothing decided it: it counts by what an erased mailbox left (residue.py)."""


SYNCED: Final[frozenset[str]] = frozenset(
    {
        Rule.CONTACT_ADDRESS,
        Rule.CUSTOMER_DOMAIN,
        Rule.SYNC_UNKNOWN_SENDER,
        Rule.SYNC_UNKNOWN_ORGANIZER,
    }
)
_RANK: Final[dict[str, int]] = {
    Rule.CONTACT_ADDRESS: 0,
    Rule.CUSTOMER_DOMAIN: 1,
    Rule.SYNC_UNKNOWN_SENDER: 2,
    Rule.SYNC_UNKNOWN_ORGANIZER: 2,
    Rule.OWNER_NOT_LISTED: 3,
    Rule.UNKNOWN_SENDER: 4,
    Rule.UNKNOWN_ORGANIZER: 4,
    Rule.NO_CUSTOMER: 5,
}
"""Over the copies of an item the rule of the lowest rank decides: the nearest to synced."""


_Around = tuple[tuple[str, ...], tuple[str, ...]]
"""`near` and `strangers` of a decision."""

_MOST_STRANGERS = 50
"""A mail to a thousand people tells no more about whom the directory misses than its first few."""


def decide(message: Message | Meeting, directory: TenantDirectory) -> Decision:
    """Contract part 6. The same for every order of people and copies; reads no clock.

    The same people write to each other again and again: while entries apply to all times, their decision is remembered.
    """
    if isinstance(message, Meeting) or directory.settings.contact_history != "current":
        return _decide(message, directory)
    said = (
        message.author,
        tuple([(person["role"], person["address"]) for person in message.people]),
        tuple([_said_by(copy) for copy in message.copies]),
    )
    known = directory.decisions.get(said)
    if known is None:
        known = directory.decisions[said] = _decide(message, directory)
    return known


def _said_by(copy: Copy) -> tuple[str, str, str]:
    """All that deciding reads of a mail's copy."""
    message = copy["message"]
    return copy["connection"], copy["member"], message["mail_class"] if message is not None else ""


def _decide(message: Message | Meeting, directory: TenantDirectory) -> Decision:
    if isinstance(message, Meeting) and (rule := _kept_out(message, directory.settings)):
        return _not_synced(rule)
    parties = parties_of(message, directory.facts_at(message.at_ms))
    if parties.author is not None and not parties.outside:
        return _not_synced(Rule.INTERNAL)
    excluded = exclusion_of(message, parties, directory)
    if excluded is not None:
        return _not_synced(Rule.EXCLUDED, used_entry(excluded), around=_around(parties, directory.settings))
    rule, modes, members = judge(message, parties, directory)
    if rule not in SYNCED:
        return _not_synced(rule, around=_around(parties, directory.settings))
    decision = _attributed(parties, rule, modes, members, _around(parties, directory.settings))
    if isinstance(message, Meeting):
        declined = declined_by(message, members, directory.facts_at(message.at_ms))
        return replace(decision, declined=declined)
    return decision


def _kept_out(meeting: Meeting, settings: TenantSettings) -> str:
    """The rule that keeps a meeting out whoever is in it (contract part 5), or empty."""
    if meeting.kind:
        return Rule.NOT_A_MEETING
    return Rule.PRIVATE_MEETING if meeting.private and settings.private_meetings == "skip" else ""


def _not_synced(rule: str, *entries: dict[str, str], around: _Around = ((), ())) -> Decision:
    return Decision(
        synced=False,
        rule=rule,
        near=around[0],
        strangers=around[1],
        reason={"rule": rule, "entries": list(entries)},
    )


def _around(parties: Parties, settings: TenantSettings) -> _Around:
    """`Decision.near` and `strangers`. Most people of most mail are unknown, which costs them one comparison."""
    outside = parties.outside
    strangers = [address for address, facts in outside.items() if facts is STRANGER]
    known = len(outside) - len(strangers)
    if known and settings.match_by == "address":
        strangers += [address for address, facts in outside.items() if _in_domain_only(facts)]
    strangers.sort()
    return _near(outside.values()) if known else (), tuple(strangers[:_MOST_STRANGERS])


def _in_domain_only(facts: Facts) -> bool:
    """Somebody in a customer's domain who is no contact: where domains do not count, nobody either."""
    return bool(facts.customer.candidates) and not facts.contact.candidates and facts.excluded is None


def _near(people: Iterable[Facts]) -> tuple[str, ...]:
    found: set[str] = set()
    for facts in people:
        found.update([ref.owner.customer for ref in facts.contact.candidates])
        found.update([ref.owner.id for ref in facts.customer.candidates])
    return tuple(sorted(found))


def exclusion_of(message: Message | Meeting, parties: Parties, directory: TenantDirectory) -> Ref | None:
    """The exclusion that leaves this item out (contract 6.2); of several the oldest."""
    if not directory.has_exclusions:
        return None
    found = [facts.excluded for facts in parties.people.values() if facts.excluded is not None]
    if directory.has_pairs:
        found += _excluded_pairs(message, parties, directory)
    return min(found, key=lambda ref: (ref.age, ref.value), default=None)


def _excluded_pairs(message: Message | Meeting, parties: Parties, directory: TenantDirectory) -> list[Ref]:
    """Pairs whose two sides both take part. Every contact an address may be counts, whatever the ambiguity rule."""
    contacts = {ref.owner.id for facts in parties.outside.values() for ref in facts.contact.possible}
    if not contacts:
        return []
    members = parties.named | {
        copy["member"] for copy in message.copies if _is_delivery(copy, directory.settings)
    }
    pair = directory.lookup(message.at_ms).pair
    found = (pair(member, contact) for member in members for contact in contacts)
    return [ref for ref in found if ref is not None]


def _is_delivery(copy: Copy, settings: TenantSettings) -> bool:
    """Whether a copy is a part of an owner who is not named (contract 6.3): not when it came through a list."""
    message = copy["message"]
    if message is None:
        return copy["meeting"] is not None
    return message["mail_class"] != "list" or settings.count_list_delivery


def customer_side(facts: Facts, settings: TenantSettings) -> Side:
    """What makes an address match (contract 6.4)."""
    return facts.customer if settings.match_by == "domain" else facts.contact


def verdict(parties: Parties, settings: TenantSettings, *, meeting: bool) -> str:
    """Contract 6.4 and 6.5 under one connection's settings."""
    matching = [
        address for address, facts in parties.outside.items() if customer_side(facts, settings).candidates
    ]
    if not matching:
        return Rule.NO_CUSTOMER
    author = parties.author
    if author is not None and (author.members or customer_side(author, settings).candidates):
        return Rule.CUSTOMER_DOMAIN if settings.match_by == "domain" else Rule.CONTACT_ADDRESS
    both_received = parties.member_received and not parties.received.isdisjoint(matching)
    if meeting:
        wanted = settings.sync_unknown_organizer and both_received
        return Rule.SYNC_UNKNOWN_ORGANIZER if wanted else Rule.UNKNOWN_ORGANIZER
    return Rule.SYNC_UNKNOWN_SENDER if settings.sync_unknown_sender and both_received else Rule.UNKNOWN_SENDER


def judge(
    message: Message | Meeting, parties: Parties, directory: TenantDirectory
) -> tuple[str, set[str], set[str]]:
    """Each copy under its connection's settings (contract 6.8): the deciding rule, how synced copies match, who takes part."""
    tenant = directory.settings
    meeting = isinstance(message, Meeting)
    usual = verdict(parties, tenant, meeting=meeting)
    best: str = Rule.NO_CUSTOMER
    modes: set[str] = set()
    members: set[str] = set()
    for copy in message.copies:
        settings = directory.settings_of(copy["connection"]) if directory.has_overrides else tenant
        rule = usual if settings is tenant else verdict(parties, settings, meeting=meeting)
        owner = copy["member"]
        if rule in SYNCED:
            if settings.owner_must_be_listed and owner not in parties.listed:
                rule = Rule.OWNER_NOT_LISTED
            else:
                modes.add(settings.match_by)
                if owner not in members and directory.has_member(owner) and _is_delivery(copy, tenant):
                    members.add(owner)
        if _RANK[rule] < _RANK[best]:
            best = rule
    return best, modes, members | parties.named if modes else members


def _attributed(parties: Parties, rule: str, modes: set[str], members: set[str], around: _Around) -> Decision:
    """Whom a synced item counts for."""
    by_address, by_domain = "address" in modes, "domain" in modes
    contacts: set[str] = set()
    customers: set[str] = set()
    entries: list[dict[str, str]] = []
    ambiguous = several = False
    for _, facts in sorted(parties.outside.items()):
        if facts is STRANGER:
            continue
        contacts.update(facts.contact.ids)
        entries += facts.contact.used
        ambiguous |= facts.contact.ambiguous
        several |= len(facts.contact.candidates) > 1
        if by_address:
            customers.update(facts.contact.customers)
        if by_domain:
            customers.update(facts.customer.customers)
            entries += facts.customer.used
            ambiguous |= facts.customer.ambiguous
            several |= len(facts.customer.candidates) > 1
    author = parties.author or STRANGER
    author_customers = {
        *(author.contact.customers if by_address else ()),
        *(author.customer.customers if by_domain else ()),
    }
    reason: dict[str, object] = {"rule": rule, "entries": entries}
    if several:
        reason["candidates"] = _candidates(parties, by_domain=by_domain)
    return Decision(
        synced=True,
        rule=rule,
        members=tuple(sorted(members)),
        customers=tuple(sorted(customers)),
        contacts=tuple(sorted(contacts)),
        author_members=tuple(sorted(author.members)),
        author_customers=tuple(sorted(author_customers)),
        author_contacts=tuple(sorted(author.contact.ids)),
        ambiguous=ambiguous,
        near=around[0],
        strangers=around[1],
        reason=reason,
    )


def _candidates(parties: Parties, *, by_domain: bool) -> dict[str, list[dict[str, str]]]:
    """Of an ambiguous address all that it may be (contract 6.7); of one that a person decided, the others."""
    found: dict[str, list[dict[str, str]]] = {}
    for address, facts in sorted(parties.outside.items()):
        for side in (facts.contact, facts.customer) if by_domain else (facts.contact,):
            listed = [ref for ref in side.candidates if side.ambiguous or ref not in side.possible]
            if listed:
                found.setdefault(address, []).extend(map(used_entry, listed))
    return found
