"""How complete connections are: what comparing each with its provider found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final, Protocol, TypedDict

from rapport_core.errors import ConfigError
from rapport_schemas.records import Connection
from rapport_sinks.clickhouse.completeness import Completeness, CoveredDay

UNCOMPARED: Final = "archive"
"""Files are read whole, and nobody can be asked what is missing of them."""


class Comparisons(Protocol):
    """`rapport_sinks.clickhouse.completeness.ConnectionNumbers`."""

    def completeness(self, tenant: str, connection: str, since: date) -> Completeness:
        """The days from `since` on, and what has no time. May raise UnavailableError."""
        ...


class Compared(TypedDict):
    """One connection. The numbers are sums over `days`, whose words are those of CoveredDay.

    Attributes:
        last_sweep: when everything was last compared (ISO 8601, UTC); None: never yet.
        days: every UTC day with something in it, the oldest first; empty before the first comparison.
    """

    connection: str
    member: str
    state: str
    last_sweep: str | None
    listed: int
    present: int
    missing: int
    matched: int
    days: list[CoveredDay]


def compared(
    numbers: Comparisons, records: Sequence[Connection], tenant: str, since: date, connection: str = ""
) -> list[Compared]:
    """What was found of the tenant's connections to providers, or of the one that is named, from a UTC day on.

    Raises ConfigError when there is no such connection, or nobody can be asked about it, and UnavailableError.
    """
    asked = [one for one in records if connection in ("", one["connection"])]
    if connection and not asked:
        raise ConfigError(
            f"{tenant} has no connection {connection}: see `rapport connections --tenant {tenant}`"
        )
    found = [one for one in asked if one["provider"] != UNCOMPARED]
    if connection and not found:
        raise ConfigError(f"{connection} was read from files: there is no provider to compare it with")
    return [_compared(one, numbers.completeness(tenant, one["connection"], since)) for one in found]


def _compared(record: Connection, found: Completeness) -> Compared:
    days = found["days"]
    return {
        "connection": record["connection"],
        "member": record["member"],
        "state": record["state"],
        "last_sweep": found["last_sweep"],
        "listed": sum(day["listed"] for day in days),
        "present": sum(day["present"] for day in days),
        "missing": sum(day["missing"] for day in days),
        "matched": sum(day["matched"] for day in days),
        "days": days,
    }
