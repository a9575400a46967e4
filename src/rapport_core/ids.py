"""Keyed hashes, shards and partitions: how a name becomes a place.

A hash is 16 bytes of keyed BLAKE2b under the tenant's hash key, so that nobody without the key can test whether an
address or Message-ID is in the log. A shard is one of 1,024 and never changes; a partition is the shard modulo the
partition count, which is fixed when topics are created.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

SHARDS = 1024
HASH_BYTES = 16


def keyed_hash(key: bytes, *parts: str) -> bytes:
    """16 bytes that stand for `parts`, in order; parts are length-prefixed so that borders count.

    Of several parts the first says what the others are, and is one of few.
    """
    if len(parts) == 1:
        digest = _keyed(key).copy()
        digest.update(parts[0].encode("utf-8", "surrogateescape"))
        return digest.digest()
    digest = _begun(key, parts[0]).copy()  # half of the cost of a short hash lies before its first byte
    for part in parts[1:]:
        data = part.encode("utf-8", "surrogateescape")
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.digest()


@lru_cache(maxsize=1 << 12)
def _keyed(key: bytes) -> blake2b:
    return blake2b(digest_size=HASH_BYTES, key=key)


@lru_cache(maxsize=1 << 12)
def _begun(key: bytes, first: str) -> blake2b:
    data = first.encode("utf-8", "surrogateescape")
    return blake2b(len(data).to_bytes(4, "big") + data, digest_size=HASH_BYTES, key=key)


def shard_of(digest: bytes) -> int:
    """The virtual shard (0 to 1,023) of a hash."""
    return (digest[0] << 8 | digest[1]) % SHARDS


def partition_of(digest: bytes, partitions: int) -> int:
    """The partition that owns a hash."""
    return shard_of(digest) % partitions


FIRST_GENERATION = 1
"""The generation a tenant's first items carry; a replay makes the next."""
