"""The state of one partition of one stage on disk: RocksDB, written once per batch after the changelog is confirmed.

The write-ahead log is off on purpose: Kafka's changelog is the log. Rows and the changelog position they stand for are
written in one RocksDB batch, so after a crash the position is as old as the rows, and recovery reads the rest.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DataBlockIndexType,
    DBCompressionType,
    Options,
    Rdict,
    ReadOptions,
    SliceTransform,
    WriteBatch,
    WriteOptions,
)

from rapport_processors.edge.rewriting import ROLLING_KEY

_POSITION_KEY = b"\0\0position"
_OWN_KEYS = frozenset({_POSITION_KEY, ROLLING_KEY})
_SIZES = ("rocksdb.estimate-live-data-size", "rocksdb.cur-size-all-mem-tables")
_WRITE_BUFFER_BYTES = 8 << 20
_BLOCK_CACHE_BYTES = 64 << 20
_BLOOM_BITS = 10
_MEMTABLE_BLOOM_SHARE = 0.05
_FILTERED_PREFIX_BYTES = 24
"""Groups are looked for far more often than found, so filters answer for this much of a key, too, not for whole keys only.

It ends inside a group's hash for tenants of 2 to 17 bytes (`state.group`). For other names scans are as right and slower.
"""


@dataclass(frozen=True, slots=True)
class Position:
    """How far the rows stand: the next changelog offset to read, and the highest assignment number applied."""

    next_offset: int = 0
    assignment: int = 0


def shared_cache() -> Cache:
    """One block cache for all partitions of a process; RocksDB's default is 2 GiB for each."""
    return Cache(_BLOCK_CACHE_BYTES)


def _options(cache: Cache) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(2)
    options.set_prefix_extractor(SliceTransform.create_fixed_prefix(_FILTERED_PREFIX_BYTES))
    options.set_memtable_prefix_bloom_ratio(_MEMTABLE_BLOOM_SHARE)
    options.set_memtable_whole_key_filtering(True)
    options.set_compression_type(
        DBCompressionType.lz4()
    )  # most of it is sealed: better compression finds nothing
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_bloom_filter(_BLOOM_BITS, False)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table.set_data_block_index_type(DataBlockIndexType.binary_and_hash())
    options.set_block_based_table_factory(table)
    return options


class RocksStore:
    """`state.Store` on disk. One owner at a time; not thread-safe with itself."""

    def __init__(self, path: Path, cache: Cache) -> None:
        self._path, self._cache = path, cache
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._write = WriteOptions()
        self._write.disable_wal = True  # type: ignore[method-assign, assignment] # a property; its stub is wrong
        self._within_group, self._in_order = ReadOptions(), ReadOptions()
        self._within_group.set_prefix_same_as_start(True)
        self._in_order.set_total_order_seek(True)
        self._open()

    def _open(self) -> None:
        self._db = Rdict(str(self._path), _options(self._cache))
        self._position = self._stored_position()

    @property
    def position(self) -> Position:
        """Where the rows stand in the changelog."""
        return self._position

    def _stored_position(self) -> Position:
        value = self._db.get(_POSITION_KEY)
        if value is None:
            return Position()
        return Position(int.from_bytes(value[:8], "big"), int.from_bytes(value[8:], "big"))

    def get(self, key: bytes, /) -> bytes | None:
        """The value, or None."""
        value: bytes | None = self._db.get(key)
        return value

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows under `prefix` greater than `after`, ascending, as they stood when the scan began."""
        filtered = len(prefix) >= _FILTERED_PREFIX_BYTES
        options = self._within_group if filtered else self._in_order
        rows = self._db.items(from_key=max(prefix, after), read_opt=options)
        for key, value in cast("Iterator[tuple[bytes, bytes]]", rows):
            if not key.startswith(prefix):
                return
            if key > after and key not in _OWN_KEYS:
                yield key, value

    def size(self) -> int:
        """About how many bytes all rows have."""
        return sum(self._db.property_int_value(name) or 0 for name in _SIZES)

    def apply(self, changes: Iterable[tuple[bytes, bytes | None]], position: Position) -> None:
        """Writes rows and position as one."""
        batch = WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(
            _POSITION_KEY,
            position.next_offset.to_bytes(8, "big") + position.assignment.to_bytes(8, "big"),
        )
        self._db.write(batch, self._write)
        self._position = position

    def merge(self) -> None:
        """Has nothing left on disk of rows that were deleted or replaced. Blocks for as long as it takes to write all anew."""
        self._db.flush()
        self._db.compact_range(None, None)

    def wipe(self) -> None:
        """Forgets everything: for a store that is ahead of its changelog, or whose changelog began anew."""
        self.close()
        shutil.rmtree(self._path)
        self._open()

    def close(self) -> None:
        """Flushes and closes, so that the next start reads little of the changelog."""
        self._db.flush()
        self._db.close()
