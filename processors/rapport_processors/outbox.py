"""What a batch wants to send: plain values, in order, that the edge publishes and has confirmed."""

from __future__ import annotations

from typing import NamedTuple


class OutRecord(NamedTuple):
    """One Kafka record to produce. `partition` None lets the key's murmur2 hash choose."""

    topic: str
    partition: int | None
    key: bytes
    value: bytes
