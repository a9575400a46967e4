"""Graph's limits for one application and mailbox."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from graph.clock import Clock
from graph.wire import Refusal


@dataclass
class Throttle:
    """Requests at once and in a window, per mailbox. Refused ones count too, as they do at Microsoft."""

    clock: Clock
    concurrent: int = 4
    per_window: int = 10_000
    window: float = 600.0
    retry_after: str | None = "1"
    refused: int = 0
    most_at_once: Counter[str] = field(default_factory=Counter)
    """The highest number of requests under way, by mailbox id."""
    _under_way: Counter[str] = field(default_factory=Counter)
    _times: dict[str, deque[float]] = field(default_factory=dict)

    def enter(self, mailbox: str) -> None:
        """A request begins; `leave` must follow, refused or not."""
        self._under_way[mailbox] += 1
        self.most_at_once[mailbox] = max(self.most_at_once[mailbox], self._under_way[mailbox])
        self._times.setdefault(mailbox, deque()).append(self.clock())

    def check(self, mailbox: str) -> None:
        """Raises the 429 of a request that is one too many."""
        if self._under_way[mailbox] > self.concurrent:
            raise self._refusal("MailboxConcurrency")
        times, now = self._times[mailbox], self.clock()
        while times and times[0] <= now - self.window:
            times.popleft()
        if len(times) > self.per_window:
            raise self._refusal("RequestRate")

    def leave(self, mailbox: str) -> None:
        """The request is over."""
        self._under_way[mailbox] -= 1

    def _refusal(self, limit: str) -> Refusal:
        self.refused += 1
        headers = {} if self.retry_after is None else {"Retry-After": self.retry_after}
        return Refusal(
            429, "ApplicationThrottled", f"Application is over its {limit} limit.", headers=headers
        )
