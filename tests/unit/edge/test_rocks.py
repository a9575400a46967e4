"""The store on disk keeps the contract of the store in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from memory_state import MemoryStore
from rapport_processors.edge.rocks import Position, RocksStore, shared_cache
from rapport_processors.state import StateBatch, group, space

_GROUP = group(space("acme", 1), b"x", bytes(16))
# Short keys, keys that end around the prefix which the filters answer for, and rows of a group.
starts = st.sampled_from([b"", _GROUP[:22], _GROUP, group(space("acme", 1), b"x", bytes(15) + b"\1")])
keys = st.builds(bytes.__add__, starts, st.binary(min_size=1, max_size=3))
changes = st.lists(st.tuples(keys, st.one_of(st.none(), st.binary(max_size=4))), max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.lists(changes, max_size=4), st.one_of(starts, keys), keys)
def test_disk_and_memory_agree(
    batches: list[list[tuple[bytes, bytes | None]]], prefix: bytes, after: bytes
) -> None:
    """Gets and scans answer alike after any batches, also after closing and opening again."""
    with tempfile.TemporaryDirectory() as folder:
        cache = shared_cache()
        disk, memory = RocksStore(Path(folder) / "0", cache), MemoryStore()
        for number, batch in enumerate(batches):
            disk.apply(batch, Position(number + 1, 7))
            memory.apply(batch)
        disk.close()
        disk = RocksStore(Path(folder) / "0", cache)
        assert disk.position == (Position(len(batches), 7) if batches else Position())
        assert list(disk.scan(prefix, after)) == list(memory.scan(prefix, after))
        assert {key: disk.get(key) for key in memory.data} == memory.data
        disk.close()


def test_wipe_forgets_rows_and_position(tmp_path: Path) -> None:
    """A wiped store starts from the beginning of its changelog."""
    store = RocksStore(tmp_path / "0", shared_cache())
    store.apply([(b"k", b"v")], Position(5, 1))
    store.wipe()
    assert (store.get(b"k"), store.position) == (None, Position())
    store.close()


def test_a_batch_sees_its_own_writes_and_nobody_else_does() -> None:
    """Rows written in a batch are read back in order; the store changes only when they are applied."""
    store = MemoryStore()
    rows = group(space("acme", 1), b"x", bytes(16))
    store.apply([(rows + b"a", b"1"), (rows + b"c", b"3")])
    batch = StateBatch(store)
    batch.put(rows, b"b", b"2")
    batch.delete(rows, b"a")
    assert list(batch.rows(rows).items()) == [(b"b", b"2"), (b"c", b"3")]
    assert batch.get(rows, b"a") is None
    assert StateBatch(store).rows(rows) == {b"a": b"1", b"c": b"3"}
    store.apply(batch.changes())
    assert StateBatch(store).rows(rows) == {b"b": b"2", b"c": b"3"}
