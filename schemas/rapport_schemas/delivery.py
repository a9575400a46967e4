"""What a delivery report says: whether a record is in the log.

An idempotent producer may report success for a record that no log has. A partition that was just created, or whose broker just
came back, may refuse a producer's first request (no leader yet) and take its second; the first one's repeat is then answered as
"out of order", which clients read as "was there before". Such a report names no offset (Kafka's KAFKA-15591).
So only an offset is a confirmation. What was in fact there and is sent again changes no result.
"""

from __future__ import annotations

from typing import Protocol

NOWHERE = "the broker did not say where it put a record"


class Reported(Protocol):
    """The part of a client's message that counts here."""

    def offset(self) -> int | None:
        """Where the record stands; None or negative when the broker did not say."""
        ...


def refusal(error: object | None, message: Reported) -> str | None:
    """Why a record must not count as delivered; None when it stands in the log."""
    if error is not None:
        return str(error)
    return None if is_placed(message) else NOWHERE


def is_placed(message: Reported) -> bool:
    """Whether the broker said where it put the record."""
    offset = message.offset()
    return offset is not None and offset >= 0
