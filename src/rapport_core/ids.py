"""Keyed hashes, shards and partitions: how a name becomes a place.

A hash is 16 bytes of keyed BLAKE2b under the tenant's hash key, so that nobody without the key can test whether an
address or Message-ID is in the log. A shard is one of 1,024 and never changes; a partition is the shard modulo the
partition count, which is fixed when topics are created.
"""

from __future__ import annotations

from hashlib import blake2b

SHARDS = 1024
HASH_BYTES = 16


def keyed_hash(key: bytes, *parts: str) -> bytes:
    """16 bytes that stand for `parts`, in order; parts are length-prefixed so that borders count."""
    if len(parts) == 1:
        data = parts[0].encode("utf-8", "surrogateescape")
    elif len(parts) == 2:  # nearly all: spelt out, it costs half
        first, second = parts
        one, two = first.encode("utf-8", "surrogateescape"), second.encode("utf-8", "surrogateescape")
        data = b"%b%b%b%b" % (len(one).to_bytes(4, "big"), one, len(two).to_bytes(4, "big"), two)
    else:
        encoded = [part.encode("utf-8", "surrogateescape") for part in parts]
        data = b"".join([len(part).to_bytes(4, "big") + part for part in encoded])
    return blake2b(data, digest_size=HASH_BYTES, key=key).digest()


def shard_of(digest: bytes) -> int:
    """The virtual shard (0 to 1,023) of a hash."""
    return int.from_bytes(digest[:2], "big") % SHARDS


def partition_of(digest: bytes, partitions: int) -> int:
    """The partition that owns a hash."""
    return shard_of(digest) % partitions


FIRST_GENERATION = 1
"""The generation a tenant's first items carry; a replay makes the next."""
