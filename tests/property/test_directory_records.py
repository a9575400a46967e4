"""The directory as a function of its records: order between keys and duplicates do not matter; files round-trip."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from directory_entries import TENANT, at, chosen, connection, entry, excluded, tenant
from rapport.directory.document import parse_document
from rapport.directory.file import to_document
from rapport.directory.merge import merge
from rapport.directory.records import Key, key_of
from rapport_processors.directory import Directory
from rapport_processors.directory_records import KINDS
from rapport_schemas.records import DirectoryEntry

ADDRESSES = ("a@acme.com", "b@acme.com", "x@kund.se", "x+y@kund.se", "q.r@gmail.com")
DOMAINS = ("acme.com", "kund.se", "eu.kund.se")


def some(random: Random, values: tuple[str, ...]) -> list[Any]:
    return [at(value) for value in random.sample(values, random.randint(0, 2))]


def log_of(random: Random, length: int) -> list[DirectoryEntry]:
    """Records as a busy directory writes them: few keys, many versions, deletions."""
    log = []
    for _ in range(length):
        id_, gone = random.choice("12"), random.random() < 0.25
        log.append(
            random.choice(
                [
                    tenant(*some(random, DOMAINS), match_by=random.choice(["address", "domain"])),
                    entry("member", id_, *some(random, ADDRESSES)),
                    entry("customer", id_, *some(random, DOMAINS)),
                    entry("contact", id_, *some(random, ADDRESSES), customer=random.choice(["1", "2", ""])),
                    excluded(random.choice(ADDRESSES)),
                    excluded(pair=("1", id_)),
                    chosen(random.choice([*ADDRESSES, *DOMAINS]), id_),
                    connection(f"box{id_}", match_by=random.choice(["address", "domain"])),
                ]
            )
            | {"deleted": gone}
        )
    return log


def seen(whole: Directory) -> object:
    """Everything that matching could ask."""
    part = whole.tenant(TENANT)
    lookup = part.lookup(None)
    answers = []
    for address in (*ADDRESSES, "z@eu.kund.se", "z@gmail.com"):
        facts = part.facts_at(None)(address)
        sides = [
            (sorted(side.ids), sorted(side.customers), side.ambiguous, side.used)
            for side in (facts.contact, facts.customer)
        ]
        by = facts.excluded.owner.id if facts.excluded else ""
        answers.append((facts.internal, sorted(facts.members), sides, by))
    pairs = [lookup.pair("1", contact) is None for contact in "12"]
    kinds = {kind: sorted(part.subjects(kind)) for kind in KINDS}
    settings = part.settings, part.timezone, part.overrides(), [part.settings_of(f"box{id_}") for id_ in "12"]
    return answers, pairs, kinds, settings, part.own_domains(), whole.offset


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 25))
def test_any_order_and_any_duplication_end_the_same(seed: int, length: int) -> None:
    """A reader that starts over, twice, in whatever order, knows what a reader in order knows."""
    random = Random(seed)
    log = list(enumerate(log_of(random, length)))
    in_order = Directory()
    for offset, record in log:
        in_order.apply(record, offset)
    shuffled = log + random.choices(log, k=length)
    random.shuffle(shuffled)
    other = Directory()
    for offset, record in shuffled:
        other.apply(record, offset)
        other.tenant(TENANT).facts_at(None)("x@kund.se")  # remembers, to be forgotten by the next change
    assert seen(other) == seen(in_order)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1 << 32), st.booleans())
def test_loading_is_idempotent_and_prune_makes_the_directory_the_file(seed: int, prune: bool) -> None:
    """After one load a second finds nothing; after a pruned load the directory shows the file and nothing else."""
    random = Random(seed)
    before = _loaded({}, _document(random), 1_000, prune=False)
    document = _document(random)
    after = _loaded(before, document, 2_000, prune=prune)
    assert merge(after, parse_document(document), 3_000, prune=prune).changed == []
    if prune:
        assert after.keys() == parse_document(document).records.keys()
        assert to_document(after, TENANT) == to_document(_loaded({}, document, 9, prune=True), TENANT)
    else:
        assert after.keys() == before.keys() | parse_document(document).records.keys()


def _document(random: Random) -> dict[str, Any]:
    def entries(prefix: str, kind: str) -> list[Any]:
        found = [f"{prefix}{n}" for n in random.sample(range(4), random.randint(0, 3))]
        return [
            {kind: value, "valid_from": "1970-01-01"} if random.random() < 0.3 else value for value in found
        ]

    return {
        "tenant": {"id": TENANT, "own_domains": entries("own.d", "domain") if random.random() < 0.5 else []},
        "members": [{"id": "m", "addresses": entries("m@acme.d", "address")}]
        if random.random() < 0.7
        else [],
        "customers": [{"id": "c", "name": random.choice("AB"), "domains": entries("kund.d", "domain")}],
        "contacts": [
            {"id": id_, "customer": "c", "addresses": entries("x@kund.d", "address")}
            for id_ in random.sample("pqr", random.randint(0, 3))
        ],
        "exclusions": [
            {"domain": value} for value in random.sample(["a.example", "b.example"], random.randint(0, 2))
        ],
    }


def _loaded(
    before: dict[Key, DirectoryEntry], document: dict[str, Any], now_ms: int, *, prune: bool
) -> dict[Key, DirectoryEntry]:
    after = dict(before)
    for record in merge(before, parse_document(document), now_ms, prune=prune).changed:
        if record["deleted"]:
            del after[key_of(record)]
        else:
            after[key_of(record)] = record
    return after
