"""What goes into a stage, and dead letters: shared by route and weave."""

from __future__ import annotations

from dataclasses import dataclass

from rapport_core.errors import PoisonError
from rapport_processors.outbox import OutRecord
from rapport_schemas import topics
from rapport_schemas.records import DeadLetter
from rapport_schemas.wire import Wire


@dataclass(frozen=True, slots=True)
class InRecord:
    """One Kafka record as read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None

    def origin(self, index: int | None = None) -> str:
        """`topic:partition:offset[:index]`, as dead letters name it."""
        place = f"{self.topic}:{self.partition}:{self.offset}"
        return place if index is None else f"{place}:{index}"


def dead_letter(
    wire: Wire,
    stage: str,
    origin: str,
    error: PoisonError,
    *,
    now_ms: int,
    tenant: str = "",
    connection: str = "",
) -> OutRecord:
    """The record that keeps a poison item's origin and reason, never its content. The same item gives the same key."""
    identity = f"{stage}:{origin}"
    letter: DeadLetter = {
        "id": identity,
        "tenant": tenant,
        "connection": connection,
        "stage": stage,
        "origin": origin,
        "reason": error.reason,
        "detail": str(error),
        "at": now_ms,
        "state": "open",
    }
    return OutRecord(topics.DEAD.name, None, identity.encode(), wire.encode("dead_letter", letter))
