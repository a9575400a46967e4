"""Contract 6.10: why a message is here, or is not, and what would turn it. Pure; reads everything `decide` reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

from rapport_processors.directory import Supposition, TenantDirectory
from rapport_processors.directory_facts import NOBODY, Facts, Side, used_entry
from rapport_processors.directory_records import Ref, Subject, subject_of
from rapport_processors.directory_settings import TenantSettings
from rapport_processors.mail.addresses import domain_of
from rapport_processors.matching import SYNCED, Rule, decide, exclusion_of, verdict
from rapport_processors.matching_parties import Parties, parties_of
from rapport_processors.model import Decision, Message
from rapport_processors.public_providers import is_public
from rapport_schemas.records import DirectoryEntry

_MOST_ADDRESSES = 20
"""Changes are tried for so many external addresses; a mail to a thousand people is not explained a thousand times."""

_SENTENCES = {
    Rule.CONTACT_ADDRESS: "It is here: the author and an address of a contact make it an interaction.",
    Rule.CUSTOMER_DOMAIN: "It is here: the author and an address in a customer's domain make it an interaction.",
    Rule.SYNC_UNKNOWN_SENDER: "It is here although nobody knows the author: a member and a customer's address both received it, and sync_unknown_sender is on.",
    Rule.OWNER_NOT_LISTED: "It is not here: owner_must_be_listed is on, and no mailbox that holds it belongs to somebody in To, Cc or From.",
    Rule.UNKNOWN_SENDER: "It is not here: the author is neither a team member nor on the customer side.",
    Rule.NO_CUSTOMER: "It is not here: nobody in it is on the customer side.",
    Rule.INTERNAL: "It is not here: everybody in it is internal.",
    Rule.EXCLUDED: "It is not here: an exclusion names somebody in it.",
}


@dataclass(frozen=True, slots=True)
class _Change:
    """One thing a person could do, and how it is supposed."""

    what: dict[str, str]
    sentence: str
    settings: dict[str, object] = field(default_factory=dict)
    facts: dict[str, Facts] = field(default_factory=dict)
    without: frozenset[Subject] = frozenset()


def explain(message: Message, directory: TenantDirectory) -> dict[str, object]:
    """The whole answer, JSON-ready: rule, people, copies, entries used, losing candidates, `would_turn`.

    Each element of `would_turn` was tried: making its `changes`, all of them, turns the decision. It holds addresses:
    for entitled roles only, and audited by the caller.
    """
    decision = decide(message, directory)
    parties = parties_of(message, directory.facts_at(message.at_ms))
    return {
        **decision.reason,
        "synced": decision.synced,
        "sentence": _SENTENCES[decision.rule],
        "people": _people(message, parties),
        "copies": _copies(message, parties, directory),
        "losing": _losing(message, parties, decision, directory),
        "would_turn": _would_turn(message, parties, decision, directory),
    }


def _people(message: Message, parties: Parties) -> list[dict[str, object]]:
    roles: dict[str, set[str]] = {message.author: {"author"}} if message.author else {}
    for person in message.people:
        roles.setdefault(person["address"], set()).add(person["role"])
    return [
        {"address": address, "roles": sorted(has), **_standing(parties.people.get(address))}
        for address, has in sorted(roles.items())
    ]


def _standing(facts: Facts | None) -> dict[str, object]:
    if facts is None:
        return {"standing": "not a participant"}
    known = {
        "members": list(facts.members),
        "contacts": [ref.owner.id for ref in facts.contact.candidates],
        "customers": [ref.owner.id for ref in facts.customer.candidates],
        "excluded_by": [facts.excluded.owner.id] if facts.excluded else [],
    }
    standing = "internal" if facts.internal else "external"
    return {"standing": standing, **{name: ids for name, ids in known.items() if ids}}


def _copies(message: Message, parties: Parties, directory: TenantDirectory) -> list[dict[str, object]]:
    return [
        {
            "connection": copy["connection"],
            "member": copy["member"],
            "rule": _copy_rule(copy["member"], parties, directory.settings_of(copy["connection"])),
            "named": copy["member"] in parties.named,
            "mail_class": copy["message"]["mail_class"] if copy["message"] else "",
        }
        for copy in message.copies
    ]


def _copy_rule(owner: str, parties: Parties, settings: TenantSettings) -> str:
    rule = verdict(parties, settings)
    unlisted = settings.owner_must_be_listed and owner not in parties.listed
    return Rule.OWNER_NOT_LISTED if rule in SYNCED and unlisted else rule


def _losing(
    message: Message, parties: Parties, decision: Decision, directory: TenantDirectory
) -> list[dict[str, str]]:
    lookup = directory.lookup(message.at_ms)
    won = {*decision.contacts, *decision.customers}
    losing: list[dict[str, str]] = []
    for address, facts in sorted(parties.people.items()):
        losing += [
            {**used_entry(ref), "for": address, "why": _why_passed_over(ref, facts)}
            for ref in lookup.passed_over(address)
        ]
        losing += [
            {**used_entry(ref), "for": address, "why": _why_lost(ref, decision, directory)}
            for ref in (*facts.contact.candidates, *facts.customer.candidates)
            if ref.owner.id not in won
        ]
    return losing


def _why_passed_over(ref: Ref, facts: Facts) -> str:
    if facts.internal:
        return "an internal address is never a contact"
    if ref.owner.kind == "customer" and is_public(domain_of(ref.value) or ref.value):
        return "a public mail provider's domain never matches"
    better = facts.customer if ref.owner.kind == "customer" else facts.contact
    return "another entry fits better" if better.candidates else "not valid for this item's time"


def _why_lost(ref: Ref, decision: Decision, directory: TenantDirectory) -> str:
    if not decision.synced:
        return "the item is not synced"
    if ref.owner.kind == "customer" and decision.rule != Rule.CUSTOMER_DOMAIN:
        return "domains count with match_by: domain only"
    return f"several have it, and ambiguous is {directory.settings.ambiguous}"


def _would_turn(
    message: Message, parties: Parties, decision: Decision, directory: TenantDirectory
) -> list[dict[str, object]]:
    changes = list(_changes(message, parties, decision, directory))
    for size in (1, 2):
        turning = [
            tried for tried in combinations(changes, size) if _turns(message, decision, directory, tried)
        ]
        if turning:
            return [
                {
                    "changes": [change.what for change in tried],
                    "sentence": " and ".join(c.sentence for c in tried),
                }
                for tried in turning
            ]
    return []


def _turns(
    message: Message, decision: Decision, directory: TenantDirectory, tried: tuple[_Change, ...]
) -> bool:
    suppose = Supposition(
        settings={name: value for change in tried for name, value in change.settings.items()},
        facts={address: facts for change in tried for address, facts in change.facts.items()},
        without=frozenset(subject for change in tried for subject in change.without),
    )
    return decide(message, directory.supposing(suppose)).synced != decision.synced


def _changes(
    message: Message, parties: Parties, decision: Decision, directory: TenantDirectory
) -> Iterator[_Change]:
    if decision.synced:
        yield from _exclusions(parties)
    else:
        excluded = exclusion_of(message, parties, directory)
        if excluded is not None:
            yield _lift(excluded.owner)
        yield from _additions(message, parties, directory.settings)
    yield from _switches(directory.settings)


def _exclusions(parties: Parties) -> Iterator[_Change]:
    for address, facts in sorted(parties.outside.items())[:_MOST_ADDRESSES]:
        if facts.contact.candidates or facts.customer.candidates:
            by = Facts(facts.internal, (), facts.contact, facts.customer, _supposed_ref("exclusion", address))
            yield _Change({"do": "exclude", "address": address}, f"exclude {address}", facts={address: by})


def _lift(subject: Subject) -> _Change:
    what = {"do": "delete", "kind": "exclusion", "id": subject.id}
    return _Change(what, f"delete the exclusion {subject.id}", without=frozenset({subject}))


def _additions(message: Message, parties: Parties, settings: TenantSettings) -> Iterator[_Change]:
    author = parties.author
    if author is not None and not author.members:
        ours = Facts(True, (_supposed_ref("member", message.author),), NOBODY, NOBODY, author.excluded)
        what = {"do": "add", "kind": "member", "address": message.author}
        yield _Change(what, f"add {message.author} to a team member", facts={message.author: ours})
    for address, facts in sorted(parties.outside.items())[:_MOST_ADDRESSES]:
        yield from _addition(address, facts, settings)


def _addition(address: str, facts: Facts, settings: TenantSettings) -> Iterator[_Change]:
    if settings.match_by == "address" and not facts.contact.candidates:
        new = Facts(False, (), _supposed_side("contact", address), facts.customer, facts.excluded)
        what = {"do": "add", "kind": "contact", "address": address}
        yield _Change(what, f"add {address} to a contact", facts={address: new})
    domain = domain_of(address)
    if settings.match_by == "domain" and not facts.customer.candidates and domain and not is_public(domain):
        new = Facts(False, (), facts.contact, _supposed_side("customer", domain), facts.excluded)
        what = {"do": "add", "kind": "customer", "domain": domain}
        yield _Change(what, f"give a customer the domain {domain}", facts={address: new})


def _switches(settings: TenantSettings) -> Iterator[_Change]:
    for name in ("sync_unknown_sender", "owner_must_be_listed"):
        value = not getattr(settings, name)
        yield _setting(name, value, f"turn {'on' if value else 'off'} {name}")
    other = "address" if settings.match_by == "domain" else "domain"
    yield _setting("match_by", other, f"set match_by to {other}")
    if settings.contact_history != "current":
        yield _setting("contact_history", "current", "set contact_history to current")


def _setting(name: str, value: object, sentence: str) -> _Change:
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return _Change({"do": "set", "setting": name, "value": shown}, sentence, settings={name: value})


def _supposed_side(kind: str, value: str) -> Side:
    return Side((_supposed_ref(kind, value),), (), ())


def _supposed_ref(kind: str, value: str) -> Ref:
    entry: DirectoryEntry = {
        "tenant": "",
        "kind": kind,
        "id": "(new)",
        "name": "",
        "customer": "",
        "addresses": [
            {"value": value, "valid_from": None, "valid_to": None, "recorded_at": 0, "ended_at": None}
        ],
        "domains": [],
        "member": "",
        "contact": "",
        "settings": "",
        "recorded_at": 0,
        "deleted": False,
        "mark": None,
    }
    return subject_of(entry, 0).addresses[0]
