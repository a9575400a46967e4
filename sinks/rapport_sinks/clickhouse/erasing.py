"""Erased for good: what newer rows hide leaves the disk, and names that nothing mentions any more go.

By then the sink has written newer versions of everything that was erased; these tables show nothing of it, but older parts
still hold it. Merging a whole partition leaves the newest version of each key, which is an empty one for what was deleted.
"""

# ruff: noqa: S608 - the texts put together here are constants of this package; what a caller says is always bound

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime

from rapport_sinks.clickhouse.client import ClickHouse
from rapport_sinks.clickhouse.tables import (
    CONNECTIONS,
    COVERAGE,
    DECISIONS,
    ITEMS,
    STRANGER_NAMES,
    THREAD_ITEMS,
)

_FACTS = (ITEMS, THREAD_ITEMS, DECISIONS)
_OF_CONNECTIONS = (COVERAGE, CONNECTIONS)
_MENTIONED = (
    "SELECT arrayJoin(arrayConcat(stranger_addresses, stranger_domains)) FROM decisions FINAL "
    "WHERE tenant = {tenant:String}"
)


class Eraser:
    """Works on one tenant's rows. Raises UnavailableError like ClickHouse does; repeating is safe."""

    def __init__(self, client: ClickHouse) -> None:
        self._client = client

    def merge(self) -> None:
        """Leaves of every fact and decision the newest version only. As long as writing these tables anew."""
        for table in _FACTS:
            self._client.command(
                f"OPTIMIZE TABLE {table.name} FINAL SETTINGS optimize_skip_merged_partitions = 1"
            )

    def forget_connection(self, tenant: str, connection: str) -> None:
        """Takes out what is known of a connection itself: how complete it was, how it stood, who answered for its owner."""
        for table in _OF_CONNECTIONS:
            self._client.command(
                f"DELETE FROM {table.name} WHERE tenant = {{tenant:String}} AND connection = {{connection:String}}",
                {"tenant": tenant, "connection": connection},
            )
            self._client.command(f"OPTIMIZE TABLE {table.name} FINAL")

    def forget_names(self, tenant: str, least_age_s: int, renamed: Callable[[bytes], bytes]) -> None:
        """Takes out the names of strangers whom no item mentions.

        Args:
            tenant: whose.
            least_age_s: names that were written later stay: their items may be about to be. More than a sink remembers
                what it wrote (strangers.py).
            renamed: seals the domain of a sealed address alone: what stands for a domain may be the address of somebody who is
                to be forgotten.
        """
        self._client.command(
            "DELETE FROM stranger_names WHERE tenant = {tenant:String} "
            "AND written_at <= now() - toIntervalSecond({age:UInt32}) "
            f"AND hash NOT IN ({_MENTIONED})",
            {"tenant": tenant, "age": least_age_s},
        )
        self._rename_domains(tenant, renamed)
        self._client.command("OPTIMIZE TABLE stranger_names FINAL")

    def _rename_domains(self, tenant: str, renamed: Callable[[bytes], bytes]) -> None:
        rows = self._client.rows(
            "SELECT hash, sealed FROM stranger_names FINAL WHERE tenant = {tenant:String} AND kind = 'domain' "
            "AND sealed NOT IN (SELECT sealed FROM stranger_names FINAL "
            "WHERE tenant = {tenant:String} AND kind = 'address')",
            {"tenant": tenant},
        )
        named = [(row["hash"], b64encode(renamed(b64decode(row["sealed"]))).decode()) for row in rows]
        now = datetime.now(UTC)
        self._client.insert(
            STRANGER_NAMES, [(tenant, "domain", hash_, sealed, now) for hash_, sealed in named]
        )


def touched(client: ClickHouse, tenant: str, gen: int, connection: str) -> int:
    """How many synced items have a copy from this connection. Raises UnavailableError."""
    found = client.rows(
        "SELECT count() AS n FROM items FINAL WHERE tenant = {tenant:String} AND gen = {gen:UInt32} "
        "AND has(connections, {connection:String})",
        {"tenant": tenant, "gen": gen, "connection": connection},
    )
    return int(found[0]["n"])
