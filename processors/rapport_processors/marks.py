"""Marks: how a waiting command learns that everything before it is visible.

A mark stands behind everything of every input partition. Weave collects it from all its sources (round 0: the
partitions of all of route's inputs and the directory; later rounds: weave's own partitions, both lanes), then sends it on to all
partitions of `routed`. A round in which no partition sent labels or sweep slices since the round before proves that
nothing caused by the inputs is under way, and the mark leaves for the sinks. Every partition sees the same words, so
all decide alike, or, where a crash made a source say something else the second time, a partition that let the mark go
answers for it. State: group `m`+mark; row empty: round and dirty; other rows: who was heard in which round.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b

from rapport_core.ids import HASH_BYTES
from rapport_processors.bundles import Bundles
from rapport_processors.state import StateBatch, group
from rapport_schemas.records import Mark
from rapport_schemas.topics import RAW_TOPICS, Lane

_SPACE = b"\0marks2\0"  # not as earlier programs kept it: they did not know who spoke when
_CLEAN, _DIRTY = b"\x00", b"\x01"
_LANES = tuple(Lane)
_REMEMBERED = 64
"""Marks that left and are still answered for; a command waits for one at a time."""


def expected_sources(round_: int, partitions: int) -> int:
    """How many sources speak in a round."""
    if round_ == 0:
        return partitions * len(RAW_TOPICS) + 1
    return partitions * len(_LANES)


@dataclass(frozen=True, slots=True)
class _Open:
    """An open mark here: the round, whether the next one has to be dirty, and under which assignment this one was spoken."""

    round: int
    dirty: bool
    tenant: str
    id: str
    spoken: int = 0

    def encode(self) -> bytes:
        flag = _DIRTY if self.dirty else _CLEAN
        names = f"{self.tenant}\0{self.id}".encode()
        return self.round.to_bytes(4, "big") + flag + self.spoken.to_bytes(8, "big") + names


def _decode(value: bytes) -> _Open:
    tenant, id_ = value[13:].decode().split("\0", 1)
    spoken = int.from_bytes(value[5:13], "big")
    return _Open(int.from_bytes(value[:4], "big"), value[4:5] == _DIRTY, tenant, id_, spoken)


def _group(mark_id: str) -> bytes:
    return group(_SPACE, b"m", blake2b(mark_id.encode(), digest_size=HASH_BYTES).digest())


def _left() -> bytes:
    return group(_SPACE, b"l", bytes(HASH_BYTES))


def _index() -> bytes:
    return group(_SPACE, b"o", bytes(HASH_BYTES))


class Marks:
    """One partition's part in the rounds, during one batch."""

    def __init__(self, state: StateBatch, partition: int, partitions: int, assignment: int) -> None:
        self._state, self._partition, self._partitions = state, partition, partitions
        self._assignment = assignment
        self._own = {f"weave/{lane}/{partition}" for lane in _LANES}
        self._cascaded: set[str] = set()

    def cascaded(self, tenants: set[str]) -> None:
        """Labels or slices of these tenants are sent by this batch: their open marks need another round.

        Also a round that begins in this very batch: after a crash a batch may hear words that the lost one said, and say two
        rounds at once.
        """
        self._cascaded = tenants
        for mark_id in self._state.rows(_index()):
            rows = _group(mark_id.decode())
            value = self._state.get(rows)
            if value is None:
                continue
            open_ = _decode(value)
            if open_.tenant in tenants and not open_.dirty:
                self._state.put(rows, b"", replace(open_, dirty=True).encode())

    def heard(self, mark: Mark, spoken: int, bundles: Bundles) -> Mark | None:
        """Takes one source's word, spoken under that assignment. Returns the mark when it may leave for the sinks, else None.

        Words may come twice and in any order: another partition's next round may be heard before the first word of this. Of
        its own words a partition believes those alone that its state knows: a lost batch may have said the same before
        labels were sent that the repeated word stands behind.
        """
        rows = _group(mark["id"])
        value = self._state.get(rows)
        if value is None:
            left = self._state.get(_left(), mark["id"].encode())
            if left is not None:
                self._answer(mark, left, bundles)
                return None
            open_ = _Open(0, True, mark["tenant"], mark["id"])
            self._state.put(_index(), mark["id"].encode(), b"")
            self._state.put(rows, b"", open_.encode())
        else:
            open_ = _decode(value)
        if (
            mark["round"]
            and mark["source"] in self._own
            and (mark["round"], spoken) != (open_.round, open_.spoken)
        ):
            return None
        word = mark["round"].to_bytes(4, "big") + mark["source"].encode()
        self._state.put(rows, word, _DIRTY if mark["dirty"] else _CLEAN)
        return self._advance(rows, open_, bundles)

    def _answer(self, mark: Mark, left: bytes, bundles: Bundles) -> None:
        """The mark left here, yet another partition is in a later round: a crash made a source speak twice, and differently.

        What was heard here was enough to let it go; the others get the words they wait for.
        """
        if mark["round"] > int.from_bytes(left[8:], "big"):
            self._speak(mark["id"], mark["tenant"], mark["round"], bundles, dirty=False)
            self._state.put(_left(), mark["id"].encode(), left[:8] + mark["round"].to_bytes(4, "big"))

    def _speak(self, mark_id: str, tenant: str, round_: int, bundles: Bundles, *, dirty: bool) -> None:
        for lane in _LANES:
            source = f"weave/{lane}/{self._partition}"
            bundles.mark(
                lane, {"id": mark_id, "tenant": tenant, "round": round_, "source": source, "dirty": dirty}
            )

    def _advance(self, rows: bytes, open_: _Open, bundles: Bundles) -> Mark | None:
        prefix = open_.round.to_bytes(4, "big")
        words = [value for row, value in self._state.rows(rows).items() if row and row.startswith(prefix)]
        if len(words) < expected_sources(open_.round, self._partitions):
            return None
        cascaded = open_.tenant in self._cascaded
        if open_.round > 0 and _DIRTY not in words and not cascaded:
            self._close(rows, open_)
            return {
                "id": open_.id,
                "tenant": open_.tenant,
                "round": open_.round,
                "source": "",
                "dirty": False,
            }
        following = open_.round + 1
        self._speak(open_.id, open_.tenant, following, bundles, dirty=open_.dirty or cascaded)
        # What this batch sends stands before its word; but a lost batch may have said that word already, before all of it.
        advanced = _Open(following, cascaded, open_.tenant, open_.id, self._assignment)
        self._state.put(rows, b"", advanced.encode())
        return self._advance(rows, advanced, bundles)

    def _close(self, rows: bytes, open_: _Open) -> None:
        for row in self._state.rows(rows):
            self._state.delete(rows, row)
        self._state.delete(_index(), open_.id.encode())
        remembered = sorted((value, row) for row, value in self._state.rows(_left()).items())
        newest = int.from_bytes(remembered[-1][0][:8], "big") if remembered else 0
        said = (newest + 1).to_bytes(8, "big") + open_.round.to_bytes(4, "big")
        self._state.put(_left(), open_.id.encode(), said)
        for _, row in remembered[: max(0, len(remembered) - _REMEMBERED)]:
            self._state.delete(_left(), row)
