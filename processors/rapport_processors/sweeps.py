"""Sweeps: after a directory change, every stored item of the tenant is decided again, slice by slice.

One sweep runs per tenant and partition; a change during it makes it run once more from the start. A slice re-enqueues
its continuation, so live mail passes between slices, and a lost worker loses nothing. State: group `s`+tenant hash: one
byte, whether the directory changed again since the sweep began.
"""

from __future__ import annotations

from hashlib import blake2b

from rapport_core.ids import HASH_BYTES
from rapport_processors.state import StateBatch, group

SLICE_ITEMS = 500
_SPACE = b"\0sweeps\0"
_ONCE, _AGAIN = b"\x00", b"\x01"


def _group(tenant: str, gen: int) -> bytes:
    digest = blake2b(f"{tenant}\0{gen}".encode("utf-8", "surrogateescape"), digest_size=HASH_BYTES).digest()
    return group(_SPACE, b"s", digest)


def request(state: StateBatch, tenant: str, gen: int) -> bool:
    """A directory change asks for a sweep. True when one has to be started now."""
    running = state.get(_group(tenant, gen))
    state.put(_group(tenant, gen), b"", _ONCE if running is None else _AGAIN)
    return running is None


def finished(state: StateBatch, tenant: str, gen: int) -> bool:
    """The sweep reached the end. True when it has to start over."""
    again = state.get(_group(tenant, gen)) == _AGAIN
    if again:
        state.put(_group(tenant, gen), b"", _ONCE)
    else:
        state.delete(_group(tenant, gen), b"")
    return again


def floor(state: StateBatch) -> int:
    """The directory offset below which no decision may be taken in this partition; -1 when none is known."""
    value = state.get(group(_SPACE, b"f", bytes(HASH_BYTES)))
    return int.from_bytes(value, "big") if value else -1


def raise_floor(state: StateBatch, offset: int) -> None:
    """A notice was heard: from now on this partition decides with the directory up to `offset` at least."""
    if offset > floor(state):
        state.put(group(_SPACE, b"f", bytes(HASH_BYTES)), b"", offset.to_bytes(8, "big"))
