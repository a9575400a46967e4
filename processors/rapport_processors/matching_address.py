"""Contract 6.10 for one address: everything that it is in a directory, valid or not, and what that means. Pure."""

from __future__ import annotations

from difflib import SequenceMatcher, get_close_matches
from typing import Final
from zoneinfo import ZoneInfo

from rapport_core.clock import from_ms
from rapport_processors.directory import TenantDirectory
from rapport_processors.directory_facts import Facts, Side, Validity
from rapport_processors.directory_records import Choice, PairExclusion, Ref, Subject
from rapport_processors.mail.addresses import domain_of
from rapport_processors.public_providers import is_public

_PARTS: Final = {
    "member": "members",
    "contact": "contacts",
    "customer": "customers",
    "exclusion": "exclusions",
    "choice": "choices",
}

_AMBIGUOUS: Final = {
    "all": "Several have it, and it counts for all of them (ambiguous is all).",
    "oldest": "Several have it, and it counts for whoever has had it longest (ambiguous is oldest).",
    "review": "Several have it, and a person has to decide who it is (ambiguous is review).",
}

_MOST_RESEMBLING: Final = 3
_SLIP: Final = 0.8
_SLIP_LETTERS: Final = 2

Part = dict[str, object]
"""One entry: `kind`, `id`, `name`, `address` or `domain`, `valid_from`, `valid_to` (ISO 8601, null: always), `applies` (at the
time asked for), `decides` (it is what counts for this address), `sentence`; of contacts and choices also whose they are."""


def explain_address(address: str, directory: TenantDirectory, at: int | None = None) -> dict[str, object]:
    """Everything that a comparable address is to mail of the time `at`, None: of today.

    JSON-ready: `address`, `standing` (internal or external), `known`, `ambiguous`, `excluded`, `public_provider`, `sentence` for the
    whole, and lists of entries (see `Part`), applying or not: `members`, `contacts`, `customers`, `own_domains`, `exclusions`,
    `choices`; where no contact has it, `resembling` names contacts' addresses that may be it with a slip. It holds names and
    addresses: for entitled roles only.
    """
    return _Address(address, directory, at).told()


class _Address:
    """One address under one directory at one time."""

    def __init__(self, address: str, directory: TenantDirectory, at: int | None) -> None:
        self._address, self._directory, self._at = address, directory, at
        self._validity = Validity(directory.settings, at)
        self._zone = ZoneInfo(directory.timezone)
        self._facts = directory.lookup(at).facts(address)

    def told(self) -> dict[str, object]:
        """The whole answer."""
        facts, domain = self._facts, domain_of(self._address)
        parts: dict[str, list[Part]] = {name: [] for name in (*_PARTS.values(), "own_domains")}
        for ref in self._directory.entries(self._address):
            parts[_PARTS[ref.owner.kind]].append(self._part(ref))
        for own, ref in self._directory.own_entries(self._address, self._at):
            parts["own_domains"].append(self._own(own, ref))
        resembling = [] if facts.internal or parts["contacts"] else self._resembling()
        return {
            "address": self._address,
            "standing": "internal" if facts.internal else "external",
            "known": any(parts.values()),
            "ambiguous": self._is_ambiguous(),
            "excluded": facts.excluded is not None,
            "public_provider": is_public(domain),
            "sentence": " ".join(
                [*self._sentences(facts, domain, known=any(parts.values())), *map(_resembles, resembling)]
            ),
            **parts,
            "resembling": [self._entry(ref) for ref in resembling],
        }

    def _resembling(self) -> list[Ref]:
        """Contacts' addresses with the same name or the same domain that differ by a letter or two. Looks at every contact."""
        local, _, domain = self._address.rpartition("@")
        alike: dict[str, Ref] = {}
        for contact in self._directory.subjects("contact").values():
            for ref in contact.addresses:
                its_local, _, its_domain = ref.value.rpartition("@")
                if its_domain == domain or (its_local == local and not is_public(its_domain)):
                    alike[ref.value] = ref
        near = {name: ref for name, ref in alike.items() if _is_slip(name, self._address)}
        return [near[name] for name in get_close_matches(self._address, sorted(near), _MOST_RESEMBLING, 0)]

    def _is_ambiguous(self) -> bool:
        by_domain = self._directory.settings.match_by == "domain"
        return self._facts.contact.ambiguous or (by_domain and self._facts.customer.ambiguous)

    def _part(self, ref: Ref) -> Part:
        owner = ref.owner
        return {
            **self._entry(ref),
            **self._whose(owner),
            "decides": self._decides(ref),
            "sentence": f"{self._said_by(ref)}{self._when(ref)}.{self._but(ref)}",
        }

    def _entry(self, ref: Ref) -> Part:
        owner = ref.owner
        return {
            "kind": owner.kind,
            "id": owner.id,
            "name": owner.name,
            "domain" if ref in owner.domains else "address": ref.value,
            "valid_from": self._iso(ref.valid_from),
            "valid_to": self._iso(ref.end),
            "applies": self._validity.applies(ref),
        }

    def _whose(self, owner: Subject) -> Part:
        if isinstance(owner, Choice):
            return {"chosen": owner.chosen}
        if isinstance(owner, PairExclusion):
            return {"member": owner.member, "contact": owner.contact}
        return {"customer": owner.customer} if owner.kind == "contact" else {}

    def _own(self, domain: str, ref: Ref) -> Part:
        through = (
            "is configured as ours" if ref.owner.kind == "tenant" else f"is ours through {_named(ref.owner)}"
        )
        sentence = f"Its domain {domain} {through}{self._when(ref)}."
        return {
            **self._entry(ref),
            "domain": domain,
            "decides": self._validity.applies(ref),
            "sentence": sentence,
        }

    def _decides(self, ref: Ref) -> bool:
        owner, facts = ref.owner, self._facts
        if owner.kind in ("contact", "customer"):
            side = facts.contact if owner.kind == "contact" else facts.customer
            by_domain = self._directory.settings.match_by == "domain"
            return ref in side.possible and owner.id in side.ids and (owner.kind == "contact" or by_domain)
        if isinstance(owner, Choice):
            used = [*facts.contact.used, *facts.customer.used]
            return any(entry.get("choice") == owner.id for entry in used)
        return ref in facts.member_refs if owner.kind == "member" else self._validity.applies(ref)

    def _said_by(self, ref: Ref) -> str:
        owner = ref.owner
        if isinstance(owner, Choice):
            kind = "customer" if ref in owner.domains else "contact"
            who = self._directory.subject(kind, owner.chosen)
            return f"A person decided that {ref.value} is {_named(who) if who else f'{kind} {owner.chosen}'}"
        if isinstance(owner, PairExclusion):
            return f"Mail of the member {owner.member} with the contact {owner.contact} is excluded"
        if owner.kind == "exclusion":
            return f"The exclusion {owner.id} covers it"
        if owner.kind == "customer":
            return f"Its domain lies in {ref.value} of {_named(owner)}"
        same = "It" if ref.value == self._address else f"It is the mailbox {ref.value}, which"
        return f"{same} belongs to {_named(owner)}{self._of_customer(owner)}"

    def _of_customer(self, owner: Subject) -> str:
        if owner.kind != "contact":
            return ""
        customer = self._directory.subject("customer", owner.customer)
        if customer is None:
            return (
                " without a customer"
                if not owner.customer
                else f" of a customer {owner.customer} who is not there"
            )
        return f" of {_named(customer)}"

    def _when(self, ref: Ref) -> str:
        since, until = self._day(ref.valid_from), self._day(ref.end)
        said = (f" from {since}" if since else "") + (f" until {until}" if until else "")
        now = "now" if self._at is None else "then"
        valid = f", valid{said}" if said else ""
        return valid if self._validity.applies(ref) else f"{valid}, but not {now}"

    def _but(self, ref: Ref) -> str:
        """Why an entry that applies does not count."""
        owner, facts = ref.owner, self._facts
        if self._decides(ref) or not self._validity.applies(ref) or owner.kind in ("exclusion", "member"):
            return ""
        if facts.internal:
            return " It does not count: an internal address is never a contact."
        if isinstance(owner, Choice):
            return " It decides nothing: it names none of several whom this may be."
        if owner.kind == "customer" and is_public(ref.value):
            return " It does not count: a public mail provider's domain never matches."
        return self._lost(ref, facts.contact if owner.kind == "contact" else facts.customer)

    def _lost(self, ref: Ref, side: Side) -> str:
        if ref not in side.candidates:
            return " Another entry fits better."
        if ref not in side.possible:
            return " A person chose another."
        if ref.owner.kind == "customer" and self._directory.settings.match_by != "domain":
            return " It counts with match_by: domain only."
        return f" {_AMBIGUOUS[self._directory.settings.ambiguous]}"

    def _sentences(self, facts: Facts, domain: str, *, known: bool) -> list[str]:
        found = [_standing(facts)] if known else ["The directory does not know this address."]
        if is_public(domain):
            found.append(f"{domain} is a public mail provider, whose domain is nobody's.")
        if self._is_ambiguous():
            found.append(_AMBIGUOUS[self._directory.settings.ambiguous])
        if facts.excluded is not None:
            found.append("It is excluded: whatever it takes part in is left out.")
        return found

    def _iso(self, ms: int | None) -> str | None:
        return None if ms is None else from_ms(ms).isoformat()

    def _day(self, ms: int | None) -> str:
        return "" if ms is None else from_ms(ms).astimezone(self._zone).strftime("%Y-%m-%d %H:%M")


def _is_slip(one: str, other: str) -> bool:
    """Whether the part in which two addresses differ, name or domain, is nearly the same in both."""
    if abs(len(one) - len(other)) > _SLIP_LETTERS:
        return False
    local, _, domain = one.rpartition("@")
    other_local, _, other_domain = other.rpartition("@")
    pair = (domain, other_domain) if local == other_local else (local, other_local)
    matcher = SequenceMatcher(None, *pair)
    return matcher.quick_ratio() >= _SLIP and matcher.ratio() >= _SLIP


def _resembles(ref: Ref) -> str:
    return f"{ref.value} of {_named(ref.owner)} resembles it."


def _standing(facts: Facts) -> str:
    if facts.members:
        return "It is a team member's."
    if facts.internal:
        return "It is internal: in an own domain, and no member's."
    if facts.contact.candidates:
        return "It is a contact's."
    if facts.customer.candidates:
        return "No contact has it, but its domain is a customer's."
    return "At this time nothing about it applies to a member, contact or customer."


def _named(subject: Subject) -> str:
    shown = f"{subject.name} ({subject.id})" if subject.name else subject.id
    return f"the {'team member' if subject.kind == 'member' else subject.kind} {shown}"
