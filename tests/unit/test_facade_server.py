"""clickhouse-connect's ordinary clients against the local ClickHouse, as they would talk to a server."""

# ruff: noqa: S608 - table names are this file's own

from __future__ import annotations

import asyncio
import http.client
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import psutil
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from local_stack import clickhouse_server
from rapport.local.engine import Engine
from rapport.local.facade import Facade
from rapport.local.facade_request import Credentials
from rapport_core.errors import ConfigError

COLUMNS = ["id", "name", "at", "tags"]
NASTY = ["", "'; DROP TABLE t; --", "a\\b", "tab\there", "line\nbreak", "{x:String}", "é😀", "\\N", "100%s"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with clickhouse_server(tmp_path_factory.mktemp("clickhouse")) as found:
        yield found


def connect(address: str, **options: Any) -> Client:
    return clickhouse_connect.get_client(dsn=address, autogenerate_session_id=False, **options)


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    found = connect(address)
    yield found
    found.close()


@pytest.fixture
def table(client: Client, request: pytest.FixtureRequest) -> str:
    """An empty table of this test."""
    name = "t_" + "".join(c if c.isalnum() else "_" for c in request.node.name)
    client.command(
        f"CREATE TABLE {name} (id UInt64, name String, at DateTime64(3, 'UTC'), tags Array(LowCardinality(String)))"
        " ENGINE = MergeTree ORDER BY id"
    )
    return name


def rows(count: int) -> list[list[object]]:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    return [[number, f"name {number}", at, ["a", f"b{number % 7}"]] for number in range(count)]


@pytest.mark.parametrize("compression", [False, "lz4", "zstd", "gzip"])
def test_an_insert_of_many_frames_arrives_whole(
    address: str, client: Client, table: str, compression: str
) -> None:
    """Each block is a frame of its own; losing one would lose rows without an error."""
    sender = connect(address, compress=compression)
    summary = sender.insert(table, rows(60_000), column_names=COLUMNS)
    assert summary.written_rows == 60_000
    found = client.query(
        f"SELECT count(), uniqExact(id), max(name), any(tags[1]), min(at) FROM {table}"
    ).result_rows
    assert found == [
        (60_000, 60_000, "name 9999", "a", datetime(2026, 11, 23))
    ]  # naive UTC is the client's default
    assert client.query(f"SELECT * FROM {table} WHERE id = 59999").result_rows[0][3] == ["a", "b2"]


def test_raw_inserts_name_their_statement_in_the_address(client: Client, table: str) -> None:
    """Compressed raw data travels without its SQL."""
    from gzip import compress

    lines = b"".join(b'{"id": %d, "name": "n"}\n' % number for number in range(500))
    client.raw_insert(table, ["id", "name"], compress(lines), fmt="JSONEachRow", compression="gzip")
    client.command(f"INSERT INTO {table} (id) VALUES (1000), (1001)")
    client.command(f"INSERT INTO {table} (id) SELECT number + 2000 FROM numbers(3)")
    assert client.command(f"SELECT count() FROM {table}") == 505


@pytest.mark.parametrize("value", NASTY)
def test_parameters_are_data_never_sql(client: Client, value: str) -> None:
    found = client.query(
        "SELECT {x:String}, {many:Array(String)}", parameters={"x": value, "many": [value, "b"]}
    )
    assert found.result_rows == [(value, [value, "b"])]


def test_long_parameters_travel_in_a_form(client: Client) -> None:
    """Above a few kilobytes the client sends multipart instead of an address."""
    values = [f"id-{number}-é'" for number in range(20_000)]
    found = client.query(
        "SELECT length({many:Array(String)}), {many:Array(String)}[20000]", parameters={"many": values}
    )
    assert found.result_rows == [(20_000, values[-1])]


def test_settings_end_with_their_request(client: Client) -> None:
    """A setting that stayed behind would change other people's answers, or make the server read-only for ever."""
    before = client.command("SELECT getSetting('max_threads')")
    assert client.query("SELECT getSetting('max_threads')", settings={"max_threads": 1}).result_rows == [(1,)]
    with pytest.raises(DatabaseError):
        client.command("CREATE DATABASE never", settings={"readonly": 1})
    assert client.command("SELECT getSetting('max_threads')") == before
    client.command("CREATE DATABASE IF NOT EXISTS sometimes")


def test_async_inserts_are_off_and_parts_are_synced(client: Client, table: str) -> None:
    """Offsets are committed after an insert: it must be on disk, in the batch that was sent."""
    assert client.query("SELECT getSetting('async_insert')").result_rows == [(False,)]
    found = client.query(
        "SELECT name, value FROM system.merge_tree_settings WHERE name LIKE 'fsync_%' ORDER BY name"
    )
    assert found.result_rows == [("fsync_after_insert", "1"), ("fsync_part_directory", "1")]
    assert table


def test_an_insert_token_makes_a_retry_cheap(client: Client) -> None:
    client.command(
        "CREATE TABLE tokens (id UInt64) ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 9"
    )
    for _ in range(3):
        client.insert(
            "tokens", [[1], [2]], column_names=["id"], settings={"insert_deduplication_token": "a-0-1"}
        )
    assert client.command("SELECT count() FROM tokens") == 2


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELEC 1", 62),
        ("SELECT nothing", 47),
        ("SELECT * FROM nowhere", 60),
        ("SELECT * FROM nodatabase.t", 81),
        ("SELECT throwIf(number = 3000000) FROM numbers(4000000)", 395),
        ("INSERT INTO nowhere FORMAT CSV\n1", 60),
    ],
)
def test_errors_carry_their_code(client: Client, query: str, code: int) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.query(query)
    assert caught.value.code == code


def test_an_error_in_the_middle_of_a_stream_reaches_the_reader(client: Client) -> None:
    """The status is long sent; a cut result must not look like a whole one."""
    query = "SELECT number, throwIf(number = 3000000) FROM numbers(4000000) SETTINGS max_threads = 1"
    with client.query_row_block_stream(query) as blocks, pytest.raises(StreamFailureError, match="non-zero"):
        for _ in blocks:
            pass
    assert client.command("SELECT 1") == 1


def test_unsupported_things_are_refused_with_a_clear_error(address: str) -> None:
    sessions = clickhouse_connect.get_client(dsn=address)
    with pytest.raises(DatabaseError, match="sessions"):
        sessions.command("SET max_threads = 1")
    from clickhouse_connect.driver.external import ExternalData

    external = ExternalData(file_name="x", data=b"1\n", fmt="TSV", structure=["a UInt8"])
    with pytest.raises(DatabaseError, match="external data"):
        sessions.query("SELECT * FROM x", external_data=external)


@pytest.mark.parametrize("change", [{"password": "wrong"}, {"password": ""}, {"username": "other"}])
def test_the_instance_password_is_needed(address: str, change: dict[str, str]) -> None:
    parts = urlsplit(address)
    login: dict[str, Any] = {"username": parts.username, "password": parts.password, **change}
    with pytest.raises(DatabaseError) as caught:
        clickhouse_connect.get_client(host=parts.hostname, port=parts.port, **login)
    assert caught.value.code == 516


def ask(
    address: str, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> tuple[int, bytes]:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_other_ways_to_log_in(address: str) -> None:
    """Headers of ClickHouse's own, or Basic; nothing at all is refused, except for ping."""
    own = {"X-ClickHouse-User": "rapport", "X-ClickHouse-Key": "s3cret"}
    basic = {"Authorization": "Basic " + b64encode(b"rapport:s3cret").decode()}
    assert ask(address, "POST", "/", own, b"SELECT 1") == (200, b"1\n")
    assert ask(address, "GET", "/?query=SELECT%202", basic) == (200, b"2\n")
    assert ask(address, "POST", "/", {}, b"SELECT 1")[0] == 403
    assert ask(address, "POST", "/", {"Authorization": "Basic !!!"}, b"SELECT 1")[0] == 403
    assert ask(address, "GET", "/ping", {}) == (200, b"Ok.\n")


def test_a_link_changes_nothing(address: str) -> None:
    """A GET is read-only, as on a server."""
    basic = {"Authorization": "Basic " + b64encode(b"rapport:s3cret").decode()}
    assert ask(address, "GET", "/?query=CREATE%20DATABASE%20linked", basic)[0] == 403


def test_half_an_insert_stores_nothing(address: str, client: Client, table: str) -> None:
    """The client went away in the middle: a chunk is missing, so nothing may be stored."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    connection.putrequest("POST", "/?database=rapport")
    connection.putheader("Authorization", "Basic " + b64encode(b"rapport:s3cret").decode())
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    data = f"INSERT INTO {table} (id) FORMAT TSV\n".encode() + b"1\n2\n3\n"
    connection.send(b"%x\r\n%s\r\n" % (len(data), data))
    connection.close()
    client.insert(table, rows(1), column_names=COLUMNS)
    time.sleep(0.2)
    assert client.command(f"SELECT count() FROM {table}") == 1


def test_one_slow_query_does_not_block_the_others(address: str) -> None:
    slow = threading.Thread(target=lambda: connect(address).query("SELECT sleepEachRow(0.5) FROM numbers(2)"))
    slow.start()
    client = connect(address)
    fast = 0
    while slow.is_alive():
        client.query("SELECT 1")
        fast += 1
    assert fast > 10


def test_many_clients_at_once_get_their_own_answers(address: str) -> None:
    async def all_of_them() -> list[list[int]]:
        parts = urlsplit(address)
        login: dict[str, Any] = {
            "username": parts.username,
            "password": parts.password,
            "database": "rapport",
        }
        client = await clickhouse_connect.get_async_client(host=parts.hostname, port=parts.port, **login)
        query = "SELECT {n:UInt32}, getSetting('max_block_size')"

        async def one(number: int) -> list[int]:
            settings = {"max_block_size": 1000 + number}
            return list(
                (await client.query(query, parameters={"n": number}, settings=settings)).result_rows[0]
            )

        found = await asyncio.gather(*(one(number) for number in range(40)))
        await client.close()
        return found

    assert asyncio.run(all_of_them()) == [[number, 1000 + number] for number in range(40)]


def server_process(address: str) -> psutil.Process:
    port = urlsplit(address).port
    for process in psutil.Process().children(recursive=True):
        if any(
            at.laddr.port == port for at in process.net_connections("tcp") if at.status == psutil.CONN_LISTEN
        ):
            return process
    raise AssertionError("no process listens")


def test_a_big_result_streams_in_bounded_memory(address: str, client: Client) -> None:
    """400 MB of rows pass through; holding them would show."""
    server = server_process(address)
    client.query("SELECT 1")
    before = server.memory_info().rss
    highest = 0
    size = 0
    query = "SELECT number, repeat('x', 100) FROM numbers(4000000) FORMAT RowBinary"
    with client.raw_stream(query) as stream:
        while piece := stream.read(1 << 20):
            size += len(piece)
            highest = max(highest, server.memory_info().rss)
    assert size == 4_000_000 * 109
    assert highest - before < 200 << 20


def test_documents_come_whole(client: Client) -> None:
    """JSON and Arrow are one document, not one for each block."""
    table = client.query_arrow("SELECT number FROM numbers(200000)", settings={"max_block_size": 1000})
    assert table.num_rows == 200_000
    assert client.query("SELECT number AS n FROM numbers(5) LIMIT 0").column_names == ("n",)


def test_only_loopback_is_bound(tmp_path: Path) -> None:
    """The engine has no access control: another machine must never reach it."""
    engine: Engine = object.__new__(Engine)
    with pytest.raises(ConfigError, match="loopback only"):
        Facade("0.0.0.0", 0, engine, Credentials("a", "b"), tmp_path / "tmp")  # noqa: S104 - the point


def test_a_port_in_use_is_named(address: str, tmp_path: Path) -> None:
    engine: Engine = object.__new__(Engine)
    port = urlsplit(address).port or 0
    with pytest.raises(ConfigError, match=f"port {port} is in use"):
        Facade("127.0.0.1", port, engine, Credentials("a", "b"), tmp_path / "tmp")
