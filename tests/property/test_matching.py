"""Matching as a function of sets, and against an independent reading of contract part 6."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from directory_entries import (
    NOON,
    RECORDED,
    at,
    chosen,
    connection,
    copy,
    directory,
    entry,
    excluded,
    mail,
    tenant,
)
from naive_matching import NaiveMatching, is_under
from rapport_processors import basis, terms
from rapport_processors.directory import TenantDirectory
from rapport_processors.directory_index import suffixes
from rapport_processors.directory_records import KINDS
from rapport_processors.directory_settings import OVERRIDABLE
from rapport_processors.matching import Rule, decide
from rapport_processors.matching_explain import explain
from rapport_processors.model import Decision, Message
from rapport_processors.sweeps import EVERYTHING
from rapport_schemas.records import DirectoryEntry, Entry

T = TypeVar("T")
OF_MEETINGS: Final = {
    Rule.SYNC_UNKNOWN_ORGANIZER,
    Rule.UNKNOWN_ORGANIZER,
    Rule.NOT_A_MEETING,
    Rule.PRIVATE_MEETING,
}
EVERY_RULE: Final = (
    {value for name, value in vars(Rule).items() if name.isupper()} - OF_MEETINGS - {Rule.COUNTS_KEPT}
)
"""What is decided of a mail by its people; kept counts are what an erased mailbox left."""
ADDRESSES = (
    "anna@acme.com",
    "anna+x@acme.com",
    "bo@acme.com",
    "help@acme.com",
    "bo@labs.acme.com",
    "bo@gmail.com",
    "x@kund.se",
    "x+news@kund.se",
    "y@kund.se",
    "y@eu.kund.se",
    "z@eu.kund.se",
    "z@other.org",
    "q.r@gmail.com",
    "qr+a@gmail.com",
    "w@notkund.se",
    "v@corp.gmx.de",
)
OWN = ("acme.com", "labs.acme.com", "acme.se", "acme.no")
DOMAINS = ("kund.se", "eu.kund.se", "other.org", "gmail.com", "corp.gmx.de", "se")
BOUNDS = (None, None, None, NOON - 7_200_000, NOON, NOON + 3_600_000, RECORDED + 5)
SWITCHES = ("sync_unknown_sender", "owner_must_be_listed", "count_list_delivery")
SEEDS = st.integers(0, 1 << 32)
"""Whole cases are drawn from a seed: a hundred times faster than drawing each field, so that many can be tried."""


class Case:
    """A small directory in which nearly everything collides, and a message of a few of its people."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.records = self._records()
        self.message = self._message()

    @property
    def directory(self) -> TenantDirectory:
        """The records applied."""
        return directory(*self.records)

    def _some(self, values: Sequence[T], most: int) -> list[T]:
        return self._random.sample(values, self._random.randint(most // 2, most))

    def _entry(self, value: str) -> Entry:
        if self._random.random() < 0.6:
            return at(value, recorded=self._random.randint(0, 3))
        since, until = self._random.choice(BOUNDS), self._random.choice(BOUNDS)
        if since is not None and until is not None and until <= since:
            until = None
        ended = RECORDED - 1 if self._random.random() < 0.15 else None
        return at(value, since, until, recorded=self._random.randint(0, 3), ended=ended)

    def _entries(self, values: Sequence[str]) -> list[Entry]:
        return [self._entry(value) for value in self._some(values, 4)]

    def _settings(self) -> dict[str, Any]:
        pick = self._random.choice
        chosen: dict[str, Any] = {name: pick([True, False]) for name in self._some(SWITCHES, 3)}
        chosen["match_by"] = pick(["address", "domain"])
        chosen["contact_history"] = pick(["current", "current", "as_of", {"grace_hours": 1}])
        chosen["ambiguous"] = pick(["all", "oldest", "review"])
        return chosen

    def _records(self) -> list[DirectoryEntry]:
        records = [tenant(*self._entries(OWN), **self._settings())]
        records += [entry("member", id_, *self._entries(ADDRESSES[:6])) for id_ in ("m1", "m2")]
        records += [entry("customer", id_, *self._entries(DOMAINS)) for id_ in self._some("cd", 2)]
        for id_ in self._some("opq", 3):
            customer = self._random.choice(["c", "d", ""])
            records.append(entry("contact", id_, *self._entries(ADDRESSES), customer=customer))
        return records + self._exclusions() + self._choices(records) + self._connections()

    def _exclusions(self) -> list[DirectoryEntry]:
        pick = self._random.choice
        every = [
            excluded(address=self._entry(pick(ADDRESSES))),
            excluded(domain=self._entry(pick(DOMAINS[:3]))),
            excluded(pair=(pick(["m1", "m2"]), pick("opq"))),
        ]
        return [record for record in every if self._random.random() < 0.15]

    def _choices(self, records: list[DirectoryEntry]) -> list[DirectoryEntry]:
        """Somebody who has an address or domain, chosen for it, or for one that resembles it or not."""
        found: dict[str, DirectoryEntry] = {}
        for record in records:
            own = record["addresses"] if record["kind"] == "contact" else record["domains"]
            for has in own if record["kind"] in ("contact", "customer") else ():
                value = has["value"] if self._random.random() < 0.8 else self._random.choice(ADDRESSES)
                choice = chosen(self._entry(value), record["id"])
                if self._random.random() < 0.2:
                    found[choice["id"]] = choice
        return list(found.values())

    def _connections(self) -> list[DirectoryEntry]:
        if self._random.random() > 0.3:
            return []
        own = {name: value for name, value in self._settings().items() if name in OVERRIDABLE}
        return [connection(self._random.choice(["mailbox-m1", "mailbox-m2"]), **own)]

    def _message(self) -> Message:
        pick = self._random.choice
        roles = ("from", "sender", "to", "to", "cc", "bcc", "reply_to")
        others = {(pick(roles), pick(ADDRESSES)) for _ in range(self._random.randint(1, 4))}
        copies = [
            copy(owner, mail_class=pick(["human", "list"])) for owner in self._some(["m1", "m2", "gone"], 3)
        ]
        return mail(
            pick(("", *ADDRESSES)), copies=copies, others=sorted(others), at_ms=pick([NOON, NOON, None])
        )


def check_against_the_oracle(case: Case) -> str:
    """Compares with the plain reading, twice: the second time facts are remembered. Returns the rule."""
    expected = NaiveMatching(case.records).decide(case.message)
    indexed = case.directory
    for _ in range(2):
        decision = decide(case.message, indexed)
        assert (decision.synced, decision.rule) == (expected.synced, expected.rule)
        assert set(decision.members) == expected.members
        assert set(decision.customers) == expected.customers
        assert set(decision.contacts) == expected.contacts
        assert decision.ambiguous == expected.ambiguous
        assert (set(decision.near), list(decision.strangers)) == (expected.near, expected.strangers)
    return expected.rule


@settings(max_examples=300, deadline=None)
@given(SEEDS)
def test_decide_agrees_with_a_plain_reading_of_the_contract(seed: int) -> None:
    """Indexes, caches and shared verdicts say what scanning every entry for every question says."""
    check_against_the_oracle(Case(seed))


def test_the_oracle_is_asked_about_every_rule() -> None:
    """Two thousand fixed cases meet each rule for mail often, and choices, so that agreement means something."""
    met = Counter(check_against_the_oracle(Case(seed)) for seed in range(2000))
    assert min(met[rule] for rule in EVERY_RULE) >= 10, met
    reasons = [decide(case.message, case.directory).reason_json for case in map(Case, range(2000))]
    assert sum('"choice":' in reason for reason in reasons) >= 10


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.randoms(use_true_random=False))
def test_order_of_people_copies_and_records_does_not_matter(seed: int, random: Random) -> None:
    """The decision is a function of sets, its reason included."""
    case = Case(seed)
    before = decide(case.message, case.directory)
    people, copies = list(case.message.people), list(case.message.copies)
    for sequence in (people, copies, case.records):
        random.shuffle(sequence)
    other = replace(case.message, people=tuple(people), copies=tuple(copies))
    assert decide(other, case.directory) == before


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_the_part_of_a_directory_that_matters_decides_the_same(seed: int) -> None:
    """What explain tries its changes on leaves nothing out that a rule asks about."""
    case = Case(seed)
    message, whole = case.message, case.directory
    addresses = {message.author, *(person["address"] for person in message.people)} - {""}
    part = whole.part(addresses, [held["member"] for held in message.copies], message.at_ms)
    assert decide(message, whole.supposing(part, {}, {})) == decide(message, whole)


KEY: Final = bytes(32)


def terms_of(message: Message, decision: Decision) -> set[bytes]:
    """The terms under which weave finds the item of a message."""
    people = {person["address"] for person in message.people if person["role"] != "reply_to"}
    found = {terms.member_term(KEY, held["member"]) for held in message.copies}
    found |= {terms.customer_term(KEY, customer) for customer in decision.near}
    for address in people | {message.author} - {""}:
        found.update(terms.terms_of_address(KEY, address))
    return found | {terms.near_term(KEY)} if decision.near else found


def terms_of_change(
    old: DirectoryEntry, new: DirectoryEntry, before: TenantDirectory, after: TenantDirectory
) -> set[bytes]:
    """The terms that a change of one record names: of what it had and has, and of settings and own domains that differ."""
    found = {*terms.value_terms(KEY, old), *terms.value_terms(KEY, new)}
    found |= basis.affected(basis.basis_of(before, KEY), basis.basis_of(after, KEY), KEY)
    if old["kind"] == "customer":
        found.add(terms.customer_term(KEY, old["id"]))
    contact = before.subject("contact", old["contact"]) if old["kind"] == "exclusion" else None
    found |= {terms.address_term(KEY, ref.value) for ref in contact.addresses} if contact else set()
    return found


def check_reach(seed: int) -> str:
    """Changes one record of a case. Returns its kind where that changed the decision, else empty text."""
    case, other = Case(seed), Case(seed + 1_000_000)
    old = case.records[seed % len(case.records)]
    like = [one for one in other.records if (one["kind"], one["id"]) == (old["kind"], old["id"])]
    new: DirectoryEntry = like[0] if like and seed % 3 else {**old, "deleted": True}
    if any("." not in one["value"] for one in (*old["domains"], *new["domains"])):
        return ""  # a directory takes no domain of one label: no item has a term for it
    before, after = case.directory, case.directory
    after.apply(new, 100)
    decision = decide(case.message, before)
    if decide(case.message, after) == decision:
        return ""
    reached = terms_of_change(old, new, before, after)
    assert EVERYTHING in reached or reached & terms_of(case.message, decision), (seed, old, new)
    return old["kind"]


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_a_change_that_turns_a_decision_names_a_term_of_its_item(seed: int) -> None:
    """What the index rests on: no decision depends on a record that shares no term with the item."""
    check_reach(seed)


def test_every_kind_of_record_turns_decisions() -> None:
    """So that the test above says something about each."""
    turned = Counter(check_reach(seed) for seed in range(4000))
    assert min(turned[kind] for kind in KINDS) >= 5, turned


def test_what_explain_proposes_turns_the_decision() -> None:
    """Each proposed addition, deletion or switch, really made, turns the answer; and explain agrees with decide."""
    proposed = Counter[str]()
    for seed in range(400):
        case = Case(seed)
        told: dict[str, Any] = explain(case.message, case.directory)
        decision = decide(case.message, case.directory)
        assert (told["rule"], told["synced"]) == (decision.rule, decision.synced)
        for proposal in told["would_turn"]:
            after = decide(case.message, directory(*_made(case.records, proposal["changes"])))
            chosen_only = {change["do"] for change in proposal["changes"]} == {"choose"}
            turned = after.synced != decision.synced or (
                chosen_only and _for_whom(after) != _for_whom(decision)
            )
            assert turned, (seed, proposal)
            proposed.update(change["do"] for change in proposal["changes"])
    assert min(proposed[do] for do in ("add", "set", "exclude", "delete", "choose")) >= 10, proposed


def _for_whom(decision: Decision) -> tuple[object, ...]:
    return decision.contacts, decision.customers, decision.ambiguous


def _made(records: list[DirectoryEntry], changes: list[dict[str, str]]) -> list[DirectoryEntry]:
    """The directory with the changes made for real."""
    after = list(records)
    for number, change in enumerate(changes):
        if change["do"] == "add" and change["kind"] == "customer":
            after.append(entry("customer", f"new{number}", change["domain"]))
        elif change["do"] == "add":
            after.append(entry(change["kind"], f"new{number}", change["address"]))
        elif change["do"] == "choose":
            value, who = (
                change.get("address", change.get("domain", "")),
                change.get("contact", change.get("customer", "")),
            )
            choice = chosen(value, who)
            after = [*(record for record in after if record["id"] != choice["id"]), choice]
        elif change["do"] == "exclude":
            after.append(excluded(address=change["address"]))
        elif change["do"] == "delete":
            after = [record for record in after if record["id"] != change["id"]]
        else:
            after = _switched(after, change)
    return after


def _switched(records: list[DirectoryEntry], change: dict[str, str]) -> list[DirectoryEntry]:
    value: Any = {"true": True, "false": False}.get(change["value"], change["value"])
    if name := change.get("connection", ""):
        own = NaiveMatching(records).overrides[name] | {change["setting"]: value}
        return [*(record for record in records if record["kind"] != "connection"), connection(name, **own)]
    own = NaiveMatching(records).tenant_settings | {change["setting"]: value}
    rest = [record for record in records if record["kind"] != "tenant"]
    [before] = [record for record in records if record["kind"] == "tenant"]
    return [tenant(*before["domains"], **own), *rest]


LABELS = st.lists(st.sampled_from(["a", "b", "ab", "se"]), min_size=1, max_size=4).map(".".join)


@given(LABELS, st.sets(LABELS))
def test_the_longest_suffix_on_label_borders_is_found(domain: str, known: set[str]) -> None:
    """Walking up the labels finds what comparing with every known domain finds."""
    walked = next((suffix for suffix in suffixes(domain) if suffix in known), None)
    compared = max((other for other in known if is_under(domain, other)), key=len, default=None)
    assert walked == compared
