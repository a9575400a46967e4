"""The only place that imports clickhouse_connect: one connection, its settings, and what its errors mean to us."""

from __future__ import annotations

import logging
import struct
import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import clickhouse_connect
from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError, ProgrammingError

from rapport_core.errors import ConfigError, InvariantError, RapportError, UnavailableError
from rapport_sinks.clickhouse.tables import Table

_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 120

_SETTINGS: dict[str, Any] = {
    # A server that buffers inserts would mix and re-cut our batches; the default has been 1 since 26.2.
    "async_insert": 0,
    # Mail of twenty years in one batch touches 240 months; the default refuses more than 100.
    "max_partitions_per_insert_block": 0,
}
_WRONG_LOGIN = frozenset({192, 193, 194, 516})
_NO_DATABASE_OR_TABLE = frozenset({60, 81})

# The driver logs every refused connection with a traceback, its pool every retry; the caller says it once, in one line.
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


class ClickHouse:
    """One database. Safe to share between threads: it holds no session, only a pool of its own.

    Every method raises UnavailableError when the server does not answer or refuses for now, ConfigError for a login
    it does not accept, and InvariantError for values that do not fit their column.
    """

    def __init__(self, client: Client, where: str) -> None:
        self._client = client
        self._where = where

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run one statement that returns nothing. `parameters` as for `rows`."""
        try:
            self._client.command(sql, parameters=dict(parameters or {}))
        except ClickHouseError as error:
            raise _translated(error, self._where) from error

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of one query as dicts. `parameters` are bound by the server: write `{name:Type}` in the SQL."""
        try:
            result = self._client.query(sql, parameters=dict(parameters or {}))
        except ClickHouseError as error:
            raise _translated(error, self._where) from error
        names = result.column_names
        return [dict(zip(names, row, strict=True)) for row in result.result_rows]

    def insert(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        """Insert `rows` (in the order of the table's columns) as one block; nothing when there are none.

        The token is fresh for every call. The driver repeats an insert whose connection was cut, and only that repeat
        may be recognised: a token that outlived the call could make a server drop a later, different batch.
        """
        if not rows:
            return
        try:
            self._client.insert(
                table.name,
                list(zip(*rows, strict=True)),
                column_names=list(table.columns),
                column_types=_types(tuple(table.columns.values())),
                column_oriented=True,
                settings={"insert_deduplication_token": uuid.uuid4().hex},
            )
        except ClickHouseError as error:
            raise _translated(error, self._where) from error
        except (ValueError, TypeError, AttributeError, OverflowError, struct.error) as error:
            # The driver lets out whatever its converters meet.
            raise InvariantError(
                f"rows do not fit the columns of {table.name}: {type(error).__name__}"
            ) from error

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()


def connect(url: str) -> ClickHouse:
    """The database that `url` names: http[s]://user:password@host:port/database.

    Raises ConfigError for a URL of another form or a wrong login, UnavailableError when nothing answers there.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError("RAPPORT_CLICKHOUSE must look like http://user:password@host:port/database")
    where = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    try:
        client = clickhouse_connect.get_client(
            dsn=url,
            interface=parts.scheme,
            settings=dict(_SETTINGS),
            autogenerate_session_id=False,
            dedicated_pool=True,
            tz_mode="aware",
            connect_timeout=_CONNECT_SECONDS,
            send_receive_timeout=_ANSWER_SECONDS,
        )
    except ClickHouseError as error:
        raise _translated(error, where) from error
    return ClickHouse(client, where)


def database_of(url: str) -> str:
    """The database a URL names; `rapport` when it names none."""
    return urlsplit(url).path.strip("/") or "rapport"


def in_database(url: str, database: str) -> str:
    """The same server and login with another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def _translated(error: ClickHouseError, where: str) -> RapportError:
    code = getattr(error, "code", None)
    if code in _WRONG_LOGIN:
        return ConfigError(
            f"ClickHouse at {where} does not accept this user and password: check RAPPORT_CLICKHOUSE"
        )
    if code in _NO_DATABASE_OR_TABLE:
        return UnavailableError(
            f"the tables in ClickHouse at {where} are not there yet: the sink makes them when it starts, see rapport doctor"
        )
    if code is not None:
        name = getattr(error, "name", None) or "no name"
        return UnavailableError(f"ClickHouse at {where} refused a request (code {code}, {name}): see its log")
    if isinstance(error, (DataError, ProgrammingError)):
        return InvariantError(f"a request to ClickHouse at {where} was wrong: {type(error).__name__}")
    return UnavailableError(f"ClickHouse does not answer at {where}: is it running? see rapport doctor")


@lru_cache(maxsize=64)
def _types(names: tuple[str, ...]) -> list[ClickHouseType]:
    return [get_from_name(name) for name in names]
