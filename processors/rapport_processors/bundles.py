"""Routed batches: what route and weave have for the partitions of weave, gathered per tenant and target.

A bundle becomes as few Kafka records as fit the broker's limit: cost is per record, not per change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rapport_core.ids import keyed_hash, partition_of
from rapport_core.keys import KeyRing
from rapport_processors.outbox import OutRecord
from rapport_schemas.records import (
    Copy,
    DirectoryNotice,
    KeyPair,
    Mark,
    PackedCopy,
    Routed,
    RoutedBody,
)
from rapport_schemas.sealing import seal
from rapport_schemas.topics import PARTITIONS, ROUTED, Lane, composite_key
from rapport_schemas.wire import Wire, encode_body

Linked = tuple[bytes, bytes, bool]
"""A claim: an id, the thread key under which it was seen, and whether it joins keys by itself."""

_MAX_BODY_BYTES = 400_000
_COPY_BYTES, _CLAIM_BYTES, _PAIR_BYTES = 56, 36, 36
"""What a copy takes besides its own bytes, and what the others take."""


def _empty() -> RoutedBody:
    return {
        "copies": [],
        "claims": [],
        "joins": [],
        "labels": [],
        "redecide": [],
        "packed": [],
        "residues": [],
    }


def pack(copy: Copy, hash_key: bytes) -> PackedCopy:
    """The form in which a copy travels and is stored: encoded once, with what a store needs to know beside it."""
    return {
        "id": copy["id"],
        "row": keyed_hash(hash_key, "copy", copy["key"]),
        "version": copy["version"],
        "copy": encode_body("copy", copy),
        "kept": False,
    }


class _Bundle:
    """Bodies for one target; a new one begins when the present one is estimated to be full."""

    def __init__(self) -> None:
        self.bodies = [_empty()]
        self._bytes = 0

    def room(self, size: int) -> RoutedBody:
        if self._bytes and self._bytes + size > _MAX_BODY_BYTES:
            self.bodies.append(_empty())
            self._bytes = 0
        self._bytes += size
        return self.bodies[-1]


class Bundles:
    """Gathers for all targets during one batch; `records` turns everything into Kafka records, marks last."""

    def __init__(
        self,
        wire: Wire,
        keys: KeyRing,
        *,
        lane: Lane,
        source: str,
        assignment: int,
        partitions: int = PARTITIONS,
    ) -> None:
        self._wire, self._keys = wire, keys
        self.lane = lane
        self._source, self.assignment = source, assignment
        self._partitions = partitions
        self._bundles: dict[tuple[str, int, int], _Bundle] = {}
        self._hash_keys: dict[str, bytes] = {}
        self._claims: dict[tuple[str, int], tuple[set[Linked], dict[int, _Bundle]]] = {}
        self._controls: list[tuple[Lane, int, DirectoryNotice | None, Mark | None]] = []
        self.cascades: set[str] = set()

    def _target(self, tenant: str, gen: int, partition: int) -> _Bundle:
        target = tenant, gen, partition
        bundle = self._bundles.get(target)
        if bundle is None:
            bundle = self._bundles[target] = _Bundle()
        return bundle

    def copy(self, tenant: str, gen: int, copy: Copy) -> bytes:
        """A copy, for the shard of its message or meeting. Returns the row under which it is kept."""
        hash_key = self._hash_keys.get(tenant)
        if hash_key is None:
            hash_key = self._hash_keys[tenant] = self._keys.tenant_keys(tenant).hash
        packed = pack(copy, hash_key)
        bundle = self._target(tenant, gen, partition_of(copy["id"], self._partitions))
        bundle.room(_COPY_BYTES + len(packed["copy"]))["packed"].append(packed)
        return packed["row"]

    def drop(
        self, tenant: str, gen: int, id_: bytes, row: bytes, version: int, *, is_counted: bool = False
    ) -> None:
        """A copy without content: what is kept under its row is removed, and nothing older comes there again.

        `is_counted`: who took part in it stays counted.
        """
        bundle = self._target(tenant, gen, partition_of(id_, self._partitions))
        dropped: PackedCopy = {"id": id_, "row": row, "version": version, "copy": b"", "kept": is_counted}
        bundle.room(_COPY_BYTES)["packed"].append(dropped)

    def residue(self, tenant: str, gen: int, id_: bytes, body: bytes) -> None:
        """What is left of an item whose counts are kept, for the shard of its message or meeting."""
        bundle = self._target(tenant, gen, partition_of(id_, self._partitions))
        bundle.room(_PAIR_BYTES + len(body))["residues"].append(body)

    def claims(self, tenant: str, gen: int, claims: Iterable[Linked]) -> None:
        """Claims, each for the shard of its id; once per batch."""
        once, targets = self._claims.setdefault((tenant, gen), (set(), {}))
        partitions = self._partitions
        for claim in claims:
            if claim not in once:
                once.add(claim)
                id_, key, arm = claim
                partition = partition_of(id_, partitions)
                rooms = targets.get(partition)
                if rooms is None:
                    rooms = targets[partition] = self._target(tenant, gen, partition)
                rooms.room(_CLAIM_BYTES)["claims"].append({"id": id_, "key": key, "arm": arm})

    def join(self, tenant: str, gen: int, pair: KeyPair) -> None:
        """A join, for the shard of its key."""
        self.cascades.add(tenant)
        target = self._target(tenant, gen, partition_of(pair["key"], self._partitions))
        target.room(_PAIR_BYTES)["joins"].append(pair)

    def label(self, tenant: str, gen: int, pair: KeyPair) -> None:
        """A label, for the shard of its key."""
        self.cascades.add(tenant)
        target = self._target(tenant, gen, partition_of(pair["key"], self._partitions))
        target.room(_PAIR_BYTES)["labels"].append(pair)

    def redecide(self, tenant: str, gen: int, partition: int, after: bytes) -> None:
        """The next slice of a partition's own sweep."""
        self.cascades.add(tenant)
        self._target(tenant, gen, partition).room(_CLAIM_BYTES)["redecide"].append(after)

    def notice(self, notice: DirectoryNotice) -> None:
        """A directory change, for every partition."""
        self._controls.extend((self.lane, partition, notice, None) for partition in range(self._partitions))

    def mark(self, lane: Lane, mark: Mark) -> None:
        """A mark, for every partition, behind everything else of this batch."""
        self._controls.extend((lane, partition, None, mark) for partition in range(self._partitions))

    def records(self) -> Iterator[OutRecord]:
        """Everything gathered, ready to publish; the order within a target is the order of gathering."""
        for (tenant, gen, partition), bundle in self._bundles.items():
            for body in bundle.bodies:
                sealed = seal(
                    self._keys.tenant_keys(tenant).seal,
                    encode_body("routed_body", body),
                    composite_key("routed", tenant),
                )
                yield self._record(self.lane, partition, tenant, gen, sealed, None, None)
        for lane, partition, notice, mark in self._controls:
            tenant = notice["tenant"] if notice else ""
            yield self._record(lane, partition, tenant, 0, b"", notice, mark)

    def _record(
        self,
        lane: Lane,
        partition: int,
        tenant: str,
        gen: int,
        sealed: bytes,
        notice: DirectoryNotice | None,
        mark: Mark | None,
    ) -> OutRecord:
        value: Routed = {
            "tenant": tenant,
            "gen": gen,
            "assignment": self.assignment,
            "source": self._source,
            "sealed": sealed,
            "notice": notice,
            "mark": mark,
        }
        return OutRecord(
            ROUTED[lane].name, partition, composite_key(tenant, gen), self._wire.encode("routed", value)
        )
