"""Contract part 6 for mail once more, as plainly as it can be said: scans of lists, no index, no cache, no sharing.

Written from the contract's sentences, to disagree with `rapport_processors.matching` wherever that is wrong.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from rapport_processors.mail.addresses import untagged
from rapport_processors.model import Message
from rapport_processors.public_providers import public_providers
from rapport_schemas.records import DirectoryEntry, Entry

Found = tuple[DirectoryEntry, Entry]


@dataclass
class Outcome:
    """What the oracle says of a message."""

    synced: bool
    rule: str
    members: set[str] = field(default_factory=set)
    customers: set[str] = field(default_factory=set)
    contacts: set[str] = field(default_factory=set)
    ambiguous: bool = False
    near: set[str] = field(default_factory=set)
    strangers: list[str] = field(default_factory=list)


class NaiveMatching:
    """Decides by reading every record for every question."""

    def __init__(self, records: list[DirectoryEntry]) -> None:
        self.records = records
        self.overrides: dict[str, dict[str, Any]] = {
            record["id"]: json.loads(record["settings"])["settings"]
            for record in records
            if record["kind"] == "connection"
        }
        tenants = [record for record in records if record["kind"] == "tenant"]
        text = tenants[0]["settings"] if tenants else ""
        self.tenant_settings: dict[str, Any] = json.loads(text)["settings"] if text else {}

    def setting(self, name: str, default: Any, connection: str = "") -> Any:
        own = self.overrides.get(connection, {})
        return own.get(name, self.tenant_settings.get(name, default))

    def valid(self, record: DirectoryEntry, entry: Entry, when: int | None) -> bool:
        history = self.setting("contact_history", "current")
        if history == "current" or when is None:
            clock = record["recorded_at"]
            if entry["ended_at"] is not None:
                return False
            when, grace = clock, 0
        else:
            grace = history["grace_hours"] * 3_600_000 if isinstance(history, dict) else 0
        end = entry["valid_to"] if entry["valid_to"] is not None else entry["ended_at"]
        if entry["valid_from"] is not None and entry["valid_from"] > when + grace:
            return False
        return end is None or when < end

    def entries(self, kind: str, field_name: str, when: int | None) -> list[Found]:
        return [
            (record, entry)
            for record in self.records
            if record["kind"] == kind
            for entry in record[field_name]  # type: ignore[literal-required]
            if self.valid(record, entry, when)
        ]

    def holders(self, kind: str, address: str, when: int | None) -> list[Found]:
        every = self.entries(kind, "addresses", when)
        exact = [found for found in every if found[1]["value"] == address]
        return exact or [found for found in every if untagged(found[1]["value"]) == untagged(address)]

    def internal(self, address: str, when: int | None) -> bool:
        if self.holders("member", address, when):
            return True
        own = [entry["value"] for _, entry in self.entries("tenant", "domains", when)]
        for _, entry in self.entries("member", "addresses", when):
            domain = entry["value"].split("@")[-1]
            if domain not in public_providers():
                own.append(domain)
        return any(is_under(address.rsplit("@", maxsplit=1)[-1], domain) for domain in own)

    def by_domain(self, address: str, when: int | None) -> list[Found]:
        domain = address.rsplit("@", maxsplit=1)[-1]
        fitting = [f for f in self.entries("customer", "domains", when) if is_under(domain, f[1]["value"])]
        longest = max((len(found[1]["value"]) for found in fitting), default=0)
        best = [found for found in fitting if len(found[1]["value"]) == longest]
        blocking = [p for p in public_providers() if domain.endswith(p) and is_under(domain, p)]
        return best if all(longest > len(public) for public in blocking) else []

    def is_excluded(self, message: Message, taking_part: list[str], outside: list[str]) -> bool:
        when = message.at_ms
        for address in taking_part:
            for record, entry in self.entries("exclusion", "addresses", when):
                if record["member"]:
                    continue
                if is_meant(entry["value"], address):
                    return True
            for _, entry in self.entries("exclusion", "domains", when):
                if is_under(address.split("@")[-1], entry["value"]):
                    return True
        contacts = {r["id"] for address in outside for r, _ in self.possible(address, when)}
        members = self.named(message)
        for copy in message.copies:
            if not self.through_list(copy):
                members.add(copy["member"])
        return any(
            record["member"] in members and record["contact"] in contacts
            for record, _ in self.entries("exclusion", "addresses", when)
            if record["member"]
        )

    def named(
        self, message: Message, roles: tuple[str, ...] = ("from", "sender", "to", "cc", "bcc")
    ) -> set[str]:
        addresses = [p["address"] for p in message.people if p["role"] in roles]
        if message.author and "from" in roles:
            addresses.append(message.author)
        return {r["id"] for address in addresses for r, _ in self.holders("member", address, message.at_ms)}

    def through_list(self, copy: Any) -> bool:
        return copy["message"]["mail_class"] == "list" and not self.setting("count_list_delivery", False)

    def chosen(self, candidates: list[Found], address: str, when: int | None) -> list[Found]:
        """The one of several candidates that a person chose for this address, or for the domain they have."""
        named: list[tuple[bool, str]] = []
        if candidates[0][0]["kind"] == "contact":
            for record, entry in sorted(self.entries("choice", "addresses", when), key=self.age):
                if is_meant(entry["value"], address):
                    named.append((entry["value"] != address, record["contact"]))
        for record, entry in self.entries("choice", "domains", when):
            if entry["value"] == candidates[0][1]["value"]:
                named.append((False, record["customer"]))
        for _, who in sorted(named, key=lambda one: one[0]):
            for found in candidates:
                if found[0]["id"] == who:
                    return [found]
        return []

    def possible(self, address: str, when: int | None) -> list[Found]:
        """The contacts that an address may be."""
        found = self.holders("contact", address, when)
        several = len({record["id"] for record, _ in found}) > 1
        return (several and self.chosen(found, address, when)) or found

    def attribute(self, found: list[Found], address: str, when: int | None) -> tuple[list[Found], bool]:
        """Which of several candidates are meant, and whether that is for somebody to say."""
        subjects: dict[str, Found] = {}
        for record, entry in sorted(found, key=self.age):
            subjects.setdefault(record["id"], (record, entry))
        candidates = list(subjects.values())
        if len(candidates) > 1 and (chosen := self.chosen(candidates, address, when)):
            return chosen, False
        if len(candidates) < 2 or self.setting("ambiguous", "all") == "all":
            return candidates, len(candidates) > 1
        return (candidates[:1] if self.setting("ambiguous", "all") == "oldest" else []), True

    @staticmethod
    def age(found: Found) -> tuple[int, str]:
        record, entry = found
        return (entry["recorded_at"] if entry["valid_from"] is None else entry["valid_from"], record["id"])

    def customers_of(self, found: list[Found], address: str, when: int | None) -> set[str]:
        """Of contacts: their customer where it exists; in review the one that all candidates agree on."""
        exist = {record["id"] for record in self.records if record["kind"] == "customer"}

        def customer(record: DirectoryEntry) -> str:
            name = record["id"] if record["kind"] == "customer" else record["customer"]
            return name if name in exist else ""

        chosen, several = self.attribute(found, address, when)
        if several and not chosen:
            agreed = {customer(record) for record, _ in found}
            return agreed if len(agreed) == 1 and "" not in agreed else set()
        return {customer(record) for record, _ in chosen} - {""}

    def decide(self, message: Message) -> Outcome:
        when = message.at_ms
        taking_part = [p["address"] for p in message.people if p["role"] in ("from", "to", "cc", "bcc")]
        taking_part += [message.author] if message.author else []
        outside = sorted({address for address in taking_part if not self.internal(address, when)})
        if message.author and not outside:
            return Outcome(synced=False, rule="internal")
        if self.is_excluded(message, taking_part, outside):
            outcome = Outcome(synced=False, rule="excluded")
        else:
            outcome = self.over_copies(message, outside)
        self.look_around(message, outside, outcome)
        return outcome

    def look_around(self, message: Message, outside: list[str], outcome: Outcome) -> None:
        """Whom any rule could have found, and of whom nothing is known."""
        for address in outside:
            contacts = self.holders("contact", address, message.at_ms)
            customers = self.by_domain(address, message.at_ms)
            outcome.near |= {record["customer"] for record, _ in contacts}
            outcome.near |= {record["id"] for record, _ in customers}
            known = contacts or (customers if self.setting("match_by", "address") == "domain" else [])
            if not known and not self.is_excluded(message, [address], []):
                outcome.strangers.append(address)

    def matches(self, address: str, mode: str, when: int | None) -> list[Found]:
        if self.internal(address, when):
            return []
        return self.by_domain(address, when) if mode == "domain" else self.holders("contact", address, when)

    def copy_rule(self, message: Message, copy: Any, outside: list[str]) -> str:
        when, connection = message.at_ms, copy["connection"]
        mode = self.setting("match_by", "address", connection)
        matching = {address for address in outside if self.matches(address, mode, when)}
        if not matching:
            return "no_customer"
        ours = bool(message.author) and bool(self.holders("member", message.author, when))
        if ours or message.author in matching:
            rule = "customer_domain" if mode == "domain" else "contact_address"
        else:
            received = {p["address"] for p in message.people if p["role"] in ("to", "cc")}
            together = bool(self.named(message, ("to", "cc"))) and bool(matching & received)
            if not (together and self.setting("sync_unknown_sender", False, connection)):
                return "unknown_sender"
            rule = "sync_unknown_sender"
        must = self.setting("owner_must_be_listed", False, connection)
        if must and copy["member"] not in self.named(message, ("from", "to", "cc")):
            return "owner_not_listed"
        return rule

    def over_copies(self, message: Message, outside: list[str]) -> Outcome:
        order = (
            "contact_address",
            "customer_domain",
            "sync_unknown_sender",
            "owner_not_listed",
            "unknown_sender",
        )
        rules = [self.copy_rule(message, copy, outside) for copy in message.copies]
        best = next((rule for rule in order if rule in rules), "no_customer")
        if best not in order[:3]:
            return Outcome(synced=False, rule=best)
        outcome = Outcome(synced=True, rule=best, members=self.named(message))
        exist = {record["id"] for record in self.records if record["kind"] == "member"}
        for copy, rule in zip(message.copies, rules, strict=True):
            if rule in order[:3]:
                self.attribute_copy(message, copy, outside, outcome)
                if copy["member"] in exist and not self.through_list(copy):
                    outcome.members.add(copy["member"])
        return outcome

    def attribute_copy(self, message: Message, copy: Any, outside: list[str], outcome: Outcome) -> None:
        mode = self.setting("match_by", "address", copy["connection"])
        for address in outside:
            contacts = self.holders("contact", address, message.at_ms)
            chosen, several = self.attribute(contacts, address, message.at_ms)
            outcome.contacts |= {record["id"] for record, _ in chosen}
            outcome.ambiguous |= several
            matching = self.matches(address, mode, message.at_ms)
            outcome.customers |= self.customers_of(matching, address, message.at_ms)
            outcome.ambiguous |= self.attribute(matching, address, message.at_ms)[1]


def is_meant(value: str, address: str) -> bool:
    """Whether an exclusion or choice of `value` speaks of `address`: a tagged one of that tag, any other of the mailbox."""
    tagged = "+" in value.split("@", maxsplit=1)[0]
    return address == value or (not tagged and untagged(address) == untagged(value))


def is_under(domain: str, parent: str) -> bool:
    """Whether `domain` is `parent` or below it, label by label."""
    labels, above = domain.split("."), parent.split(".")
    return len(labels) >= len(above) and labels[-len(above) :] == above
