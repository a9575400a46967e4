"""What only the dashboard asks beside the numbers: names, the time zone, how complete connections are."""

from __future__ import annotations

from rapport_core.clock import SystemClock
from rapport_sinks.clickhouse.completeness import ConnectionNumbers
from rapport_sinks.clickhouse.matching_health import MatchingHealth
from rapport_sinks.clickhouse.predicate import By


class Board(MatchingHealth, ConnectionNumbers):
    """Everything the dashboard asks. See `Impact` for the errors and for what one call sees."""

    def names(self, tenant: str, by: By | str) -> dict[str, str]:
        """The names of all members, customers or contacts by id; the id where there is no name."""
        return self._names(tenant, By(by))

    def timezone(self, tenant: str) -> str:
        """The tenant's time zone."""
        return self.scope(tenant, SystemClock().now()).window.timezone
