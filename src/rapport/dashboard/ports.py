"""What the pages ask of the numbers; `rapport_sinks.clickhouse.queries.Impact` answers, tests have a fake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol, TypedDict

from rapport_schemas.records import Connection
from rapport_sinks.clickhouse.completeness import Away, Completeness, Gap
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

    def away(self, tenant: str, now: datetime) -> Mapping[str, Away]:
        """Who of the members is out of office, by member, as far as their mailboxes may be asked."""
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


class ConnectionReader(Protocol):
    """How connections stand; `rapport.newest.Newest.of` answers, tests have a fake."""

    def __call__(self, tenant: str) -> Sequence[Connection]:
        """The newest record of every connection of the tenant, by id. May raise UnavailableError. Safe from several threads."""
        ...


class Comparisons(Protocol):
    """What comparing with providers found; `rapport_sinks.clickhouse.completeness.ConnectionNumbers` answers.

    Every call may raise UnavailableError. Safe from several threads.
    """

    def completeness(self, tenant: str, connection: str, since: date) -> Completeness:
        """Of one connection, from `since` on, and of what has no time."""
        ...

    def gaps(self, tenant: str, since: date) -> Mapping[str, Gap]:
        """In short, over the same days, of every connection that was compared."""
        ...


class MemberAddress(TypedDict):
    """One address of a member; `ended` when it is no longer the member's."""

    address: str
    ended: bool


class OwnSettings(TypedDict):
    """What the directory says of a connection and its member.

    Attributes:
        addresses: the member's, as the directory sorts them.
        everybody: the settings of the tenant in force.
        own: what the connection has of its own.
    """

    addresses: Sequence[MemberAddress]
    everybody: Mapping[str, object]
    own: Mapping[str, object]


class ConnectionSettings(Protocol):
    """Reads and changes what the directory says of a connection; `rapport.connection_settings.SettingsDesk` does it.

    Every call may raise UnavailableError, and every change ConfigError for what cannot be. A change returns once it is
    written; what it can affect is decided again from then on. Safe from several threads.
    """

    def read(self, tenant: str, connection: str, member: str) -> OwnSettings:
        """What holds now."""
        ...

    def override(self, tenant: str, connection: str, values: Mapping[str, object]) -> None:
        """Gives the connection settings of its own; with the value None it has what the tenant has."""
        ...

    def add_address(self, tenant: str, member: str, address: str) -> None:
        """The member has this address, too."""
        ...

    def end_address(self, tenant: str, member: str, address: str) -> None:
        """It was the member's until now."""
        ...

    def delete_address(self, tenant: str, member: str, address: str) -> None:
        """It never was the member's."""
        ...


class Connecting(Protocol):
    """Signs members in at Microsoft."""

    def begin(
        self,
        tenant: str,
        member: str,
        redirect: str,
        session: str,
        features: Sequence[str],
        *,
        by_admin: bool,
    ) -> str:
        """Begins a sign-in that only this session can finish. Returns Microsoft's page to go to.

        Raises ConfigError when there is no such member or an administrator chose for this mailbox, SignInError when
        Microsoft gives no page, and UnavailableError.

        Args:
            tenant: whose member.
            member: whose mailbox.
            redirect: where Microsoft sends the browser back to.
            session: what is known to the browser's session alone.
            features: optional ones that were chosen, each with a permission of its own.
            by_admin: whether an admin asks, who may replace what was chosen for everybody.
        """
        ...

    def finish(self, session: str, query: Mapping[str, str]) -> Connection:
        """Takes what Microsoft sent back, connects, and returns the connection.

        Raises SignInError when Microsoft refuses, ConfigError when it is not the session's or not the member's account, and
        UnavailableError.
        """
        ...

    def revoke(self, tenant: str, connection: str) -> None:
        """Drops the connection's tokens; everything that was read is kept.

        May raise TracesLeftError, when they are dropped all the same, and UnavailableError.
        """
        ...


class Disconnecting(Protocol):
    """Ends connections for good."""

    def touched(self, tenant: str, connection: str) -> int:
        """How many items have a copy from this connection. May raise UnavailableError."""
        ...

    def disconnect(self, tenant: str, connection: str, *, keep_counts: bool, user: str) -> bool:
        """Erases the connection's content; its counts, too, unless they are kept. Audited as done by `user`.

        May raise ConfigError where there is nothing to end, or a command reads it just now, and UnavailableError.

        Returns whether it is done; otherwise it is queued and goes on by itself.
        """
        ...
