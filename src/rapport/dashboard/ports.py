"""What the pages ask of the numbers; `rapport_sinks.clickhouse.queries.Impact` answers, tests have a fake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol

from rapport_sinks.clickhouse.matching_health import Health

Json = Mapping[str, Any]


class BoardReader(Protocol):
    """Numbers and what stands behind them, of one tenant per call, one generation and one `now`.

    Every call may raise UnavailableError, and ConfigError for a tenant without a directory. It may be called from
    several threads.
    """

    def counts(
        self,
        tenant: str,
        by: Any,
        days: int,
        until: date | None,
        now: datetime,
        *,
        member: str | None = None,
        planned: bool = False,
    ) -> Json:
        """The JSON of `rapport counts`, with `--planned` if `planned`; with `member`, of that member's items."""
        ...

    def items(
        self,
        tenant: str,
        *,
        now: datetime,
        member: str | None = None,
        customer: str | None = None,
        kind: Any = None,
        direction: Any = None,
        planned: bool = False,
        days: int = 30,
        until: date | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> Json:
        """`window`, `total` and one page of `items`: those that the row's number counts; `planned`: that lie ahead.

        `member` beside `customer` is the customer's row on the member's own board.
        """
        ...

    def conversations(
        self,
        tenant: str,
        *,
        now: datetime,
        member: str | None = None,
        customer: str | None = None,
        days: int = 30,
        until: date | None = None,
    ) -> Sequence[Json]:
        """All threads that the row's number counts, the newest first."""
        ...

    def item(self, tenant: str, item_id: str) -> Json | None:
        """One item with everybody in it and the reason of its decision; None when there is none."""
        ...

    def thread(self, tenant: str, thread: str) -> Sequence[Json]:
        """The items of a thread, oldest first, whatever their time."""
        ...

    def daily(
        self,
        tenant: str,
        by: Any,
        days: int,
        until: date | None,
        now: datetime,
        *,
        member: str | None = None,
        who: str | None = None,
    ) -> Json:
        """`days`, every day of the window in order: `day` (YYYY-MM-DD), `total`, and the `rows` with something in it.

        Their `sent`, `received` and `meetings` add up to those of `counts`; with `who`, rows are of this subject only.
        """
        ...

    def health(self, tenant: str, now: datetime, days: int = ..., limit: int = ...) -> Health:
        """What of the last `days` matches nothing, with its names sealed, what is ambiguous, and what floods."""
        ...

    def names(self, tenant: str, by: Any) -> Mapping[str, str]:
        """The names of all members, customers or contacts by id."""
        ...

    def timezone(self, tenant: str) -> str:
        """The tenant's time zone."""
        ...

    def generation(self, tenant: str) -> int:
        """The generation people see: the cheapest question, asked to see whether there is an answer."""
        ...


class LeftOutReader(Protocol):
    """Explains an item that is in no number; `rapport.explaining.desk.Desk` answers, tests have a fake."""

    def item(self, tenant: str, item_id: str, now: datetime, user: str) -> Json | None:
        """One item of the JSON of `rapport explain`; None when there is none. Opening it is audited as done by `user`.

        May raise UnavailableError. It may be called from several threads.
        """
        ...


class Chooser(Protocol):
    """Says in the directory who an ambiguous address or domain is; `rapport.directory.change.choose` does it."""

    def __call__(
        self, tenant: str, *, address: str = "", contact: str = "", domain: str = "", customer: str = ""
    ) -> object:
        """Returns once it is written. Raises ConfigError where there is nothing to choose, and UnavailableError."""
        ...
