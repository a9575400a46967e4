"""What a disconnect has to do, how far it is, and what it needs for that. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Self

KIND: Final = "disconnect"
"""Kind of the job in the store."""


class Step(StrEnum):
    """What is to be done next, in this order.

    Once it is locked, everything is out of all answers and unreadable. What settles later are files that services still hold.
    """

    NUMBER = "number"
    TELL = "tell"
    PURGE = "purge"
    LOCK = "lock"
    FORGET = "forget"
    SETTLE = "settle"


@dataclass(frozen=True, slots=True)
class Order:
    """One disconnect.

    Attributes:
        keep_counts: whether the counts stay as they are.
        user: who wants it, as the audit names people.
        step: what is next.
        epoch: number of the connection's record that says it is disconnected.
        fetch: number of the purge: pages with a lower one say nothing any more.
        has_remote: whether the provider may still be about to tell of changes.
        begun_at: milliseconds at which it was asked for.
    """

    keep_counts: bool
    user: str
    step: Step = Step.NUMBER
    epoch: int = 0
    fetch: int = 0
    has_remote: bool = True
    begun_at: int = 0

    @property
    def has_begun(self) -> bool:
        """Whether anything was changed already."""
        return self.step not in (Step.NUMBER, Step.TELL)

    @property
    def is_erased(self) -> bool:
        """Whether nothing can be seen or read of it any more."""
        return self.step is Step.SETTLE

    def stored(self) -> Mapping[str, Any]:
        """As a job keeps it."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """The inverse."""
        return cls(**{**stored, "step": Step(stored["step"])})
