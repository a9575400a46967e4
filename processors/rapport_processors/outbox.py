"""What a batch wants to send: plain values, in order, that the edge publishes and has confirmed."""

from __future__ import annotations

from typing import NamedTuple


class OutRecord(NamedTuple):
    """One Kafka record to produce. `partition` None lets the key's murmur2 hash choose.

    Without a value it is a tombstone. It goes out once the batch's state is confirmed and not before: a worker that lost
    its partition must not take away a record that the owner stands by.
    """

    topic: str
    partition: int | None
    key: bytes
    value: bytes | None
