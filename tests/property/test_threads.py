"""The thread relation gives a union-find's answer in any order, with any duplication, over any partition count."""

from __future__ import annotations

import random
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_state import MemoryStore
from rapport_core.ids import partition_of
from rapport_processors.state import StateBatch, space
from rapport_processors.threads import Relation, claim, join, label

SPACE = space("acme", 1)
ids = st.integers(0, 30)
claims = st.lists(st.tuples(ids, ids), max_size=60)


def digest(number: int) -> bytes:
    return blake2b(str(number).encode(), digest_size=16).digest()


class Cluster:
    """Partitions that exchange the relation's messages in random order, some twice, and confirm or lose batches."""

    def __init__(self, partitions: int, seed: int) -> None:
        self.stores = [MemoryStore() for _ in range(partitions)]
        self.random = random.Random(seed)
        self.inbox: list[tuple[str, bytes, bytes, bool]] = []
        self.aliases: dict[bytes, bytes] = {}

    def send(self, kind: str, first: bytes, second: bytes, *, arm: bool = True) -> None:
        self.inbox.append((kind, first, second, arm))
        if self.random.random() < 0.2:
            self.inbox.append((kind, first, second, arm))

    def run(self) -> None:
        while self.inbox:
            kind, first, second, arm = self.inbox.pop(self.random.randrange(len(self.inbox)))
            store = self.stores[partition_of(first, len(self.stores))]
            state, out = StateBatch(store), Relation()
            if kind == "claim":
                claim(state, SPACE, first, second, out, arm=arm)
            else:
                {"join": join, "label": label}[kind](state, SPACE, first, second, out)
            for pair in out.joins:
                self.send("join", *pair)
            for pair in out.labels:
                self.send("label", *pair)
            self.aliases |= {key: min(new, self.aliases.get(key, new)) for key, new in out.aliases.items()}
            if self.random.random() < 0.2:  # a crash before the changelog: the input comes again
                self.send(kind, first, second, arm=arm)
            else:
                store.apply(state.changes())


def oracle(pairs: list[tuple[int, int]]) -> dict[int, frozenset[int]]:
    """Connected components of keys over shared ids, by repeated merging."""
    groups: list[tuple[set[int], set[int]]] = []
    for id_, key in pairs:
        merged_ids, merged_keys = {id_}, {key}
        rest = []
        for group_ids, group_keys in groups:
            if group_ids & merged_ids or group_keys & merged_keys:
                merged_ids |= group_ids
                merged_keys |= group_keys
            else:
                rest.append((group_ids, group_keys))
        groups = [*rest, (merged_ids, merged_keys)]
    return {key: frozenset(keys) for _, keys in groups for key in keys}


@given(claims, st.sampled_from([1, 3, 8, 64]), st.integers(0, 2**32))
def test_labels_equal_union_find(pairs: list[tuple[int, int]], partitions: int, seed: int) -> None:
    """Two keys have one label exactly when a chain of shared ids connects them; the label is the smallest key."""
    cluster = Cluster(partitions, seed)
    for id_, key in pairs:
        cluster.send("claim", digest(1000 + id_), digest(key))
    cluster.run()
    for key, component in oracle(pairs).items():
        smallest = min(digest(other) for other in component)
        assert cluster.aliases.get(digest(key), digest(key)) == smallest


@given(claims, claims, st.integers(0, 2**32))
def test_unarmed_ids_join_once_armed(
    armed: list[tuple[int, int]], unarmed: list[tuple[int, int]], seed: int
) -> None:
    """A conversation claimed without a prefix joins nothing until one prefixed copy has claimed it, in any order."""
    cluster = Cluster(8, seed)
    for id_, key in armed:
        cluster.send("claim", digest(1000 + id_), digest(key), arm=True)
    for id_, key in unarmed:
        cluster.send("claim", digest(1000 + id_), digest(key), arm=False)
    cluster.run()
    live_ids = {id_ for id_, _ in armed}
    joined = armed + [(id_, key) for id_, key in unarmed if id_ in live_ids]
    components = oracle(joined)
    for key in {key for _, key in armed + unarmed}:
        component = components.get(key, frozenset({key}))
        assert cluster.aliases.get(digest(key), digest(key)) == min(digest(other) for other in component)


@pytest.mark.parametrize("length", [100, 1_000])
def test_a_chain_of_mails_that_name_their_parent_only_settles_in_few_rounds(length: int) -> None:
    """Each round is a way through Kafka: their number may grow with the logarithm of a thread, not with the thread."""
    inbox = [("claim", digest(1000 + id_), digest(key)) for key in range(length) for id_ in (key, key + 1)]
    labels: dict[bytes, bytes] = {}
    store, rounds = MemoryStore(), 0
    while inbox:
        state, out = StateBatch(store), Relation()
        for kind, first, second in inbox:
            if kind == "claim":
                claim(state, SPACE, first, second, out, arm=True)
            else:
                {"join": join, "label": label}[kind](state, SPACE, first, second, out)
        store.apply(state.changes())
        labels |= out.aliases
        inbox = [("join", *pair) for pair in out.joins] + [("label", *pair) for pair in out.labels]
        rounds += 1
    smallest = min(digest(key) for key in range(length))
    assert {labels.get(digest(key), digest(key)) for key in range(length)} == {smallest}
    assert rounds < 6 * length.bit_length()
