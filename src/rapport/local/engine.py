"""The ClickHouse engine of the chDB wheel: one folder, one process, a fresh handle for every statement.

A fresh handle costs 0.3 ms and has settings, a current database and parameters of its own, so nothing of one request
can leak into another and handles run side by side (a `select 1` takes under 2 ms beside a query that runs for a minute).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chdb import ChdbError
from chdb.state.sqlitelike import Connection

from rapport.local.facade_errors import EngineError, engine_error
from rapport_core.errors import ConfigError, UnavailableError

_CONFIG = """\
<clickhouse>
  <merge_tree>
    <!-- Kafka offsets are committed after an insert: it must outlive a power cut. 3 ms an insert. -->
    <fsync_after_insert>1</fsync_after_insert>
    <fsync_part_directory>1</fsync_part_directory>
  </merge_tree>
  <!-- This engine shares the machine with Kafka and the workers. -->
  <max_server_memory_usage_to_ram_ratio>0.5</max_server_memory_usage_to_ram_ratio>
  <mark_cache_size>268435456</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
</clickhouse>
"""
_NOT_STREAMABLE = "Streaming query is not supported"


@dataclass(frozen=True, slots=True)
class Context:
    """What surrounds one statement."""

    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


class NotStreamableError(Exception):
    """This statement gives its result as a whole only."""


class Handle:
    """One statement's connection to the engine. Not shared between threads."""

    def __init__(self, connection: Connection, params: Mapping[str, str]) -> None:
        # Untyped in parts, and narrower than what it takes: bytes are as good as text.
        self._connection: Any = connection
        self._params = dict(params)

    def whole(self, sql: str, output_format: str) -> bytes:
        """Runs a statement and returns all of its result. Raises EngineError."""
        with _translated():
            result = self._connection.query(_text(sql), output_format, params=self._params)
            return bytes(result.bytes())

    def stream(self, sql: str, output_format: str) -> Iterator[bytes]:
        """The result of a query block by block; closing the iterator cancels the query.

        Raises EngineError, and NotStreamableError before anything ran.
        """
        with _translated():
            blocks = self._connection.send_query(_text(sql), output_format, params=self._params)
        try:
            while True:
                with _translated():
                    block = blocks.fetch()
                if block is None:
                    return
                yield bytes(block.bytes())
        finally:
            with suppress(ChdbError, RuntimeError):
                blocks.close()

    def insert(self, sql: str, input_format: str, data: Iterable[bytes]) -> tuple[int, int]:
        """Runs `INSERT … FORMAT` over the data as it comes; (rows, bytes) written. An exception leaves nothing open."""
        with _translated():
            inserter = self._connection.send_insert(_text(sql), input_format)
        try:
            for piece in data:
                with _translated():
                    inserter.append(piece)
            with _translated():
                result = inserter.finish()
        finally:
            with suppress(ChdbError, RuntimeError):
                inserter.cancel()
        return result.rows_written, result.bytes_written


class Engine:
    """The engine of one folder. `close` when every handle is closed; data is safe even without."""

    def __init__(self, folder: Path) -> None:
        """Opens the folder, creating it. Raises UnavailableError when another process has it open."""
        if set(str(folder)) & set("?&%#"):
            raise ConfigError(
                f"the ClickHouse engine cannot use a folder with ?, &, % or # in its path: {folder}"
            )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        config = folder.parent / "clickhouse-config.xml"
        config.write_text(_CONFIG, "utf-8")
        # Inserts are batched by the sink; the engine must not batch or re-cut them again.
        options = f"config-file={config}&async_insert=0"
        self._address = f"{folder}?{options}"
        try:
            self._root = Connection(self._address)
        except (ChdbError, RuntimeError) as error:
            raise UnavailableError(
                f"the ClickHouse engine cannot open {folder}: another process may use it ({_short(error)})"
            ) from error

    @contextmanager
    def handle(self, context: Context) -> Iterator[Handle]:
        """A fresh handle with the database and settings of one statement. Raises EngineError for unknown ones."""
        connection = Connection(self._address)
        try:
            with _translated():
                if context.database:
                    connection.query(f"USE {_identifier(context.database)}")
                if context.settings:
                    connection.query(f"SET {_assignments(context.settings)}")
            yield Handle(connection, context.params)
        finally:
            connection.close()

    def close(self) -> None:
        """Closes the folder; safe to repeat."""
        self._root.close()


def _text(sql: str) -> str | bytes:
    """SQL with bytes that are no UTF-8 travels as it came."""
    try:
        sql.encode()
    except UnicodeEncodeError:
        return sql.encode("utf-8", "surrogateescape")
    return sql


def _assignments(settings: Mapping[str, str]) -> str:
    """`readonly` goes last: the settings before it would be refused behind it."""
    names = sorted(settings, key=lambda name: name == "readonly")
    return ", ".join(f"{_identifier(name)} = {literal(settings[name])}" for name in names)


def _identifier(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(value: str) -> str:
    """A value as a literal of the engine's SQL."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _short(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (ChdbError, RuntimeError) as error:
        if _NOT_STREAMABLE in str(error):
            raise NotStreamableError from error
        raise engine_error(str(error)) from error


__all__ = ["Context", "Engine", "EngineError", "Handle", "NotStreamableError", "literal"]
