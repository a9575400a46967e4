"""ClickHouse's HTTP interface over the embedded engine, for the clients of one machine.

clickhouse-connect's ordinary client talks to it as to a server. One thread serves one connection: a statement blocks its
own thread only, and the engine releases the interpreter lock while it works. Loopback only; every statement needs the
instance's password. Sessions, temporary tables, external data and roles are refused with a clear error.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import shutil
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit

import structlog

from rapport.local.engine import Engine, Handle, NotStreamableError, literal
from rapport.local.facade_bodies import BodyError, decoded, in_chunks, with_length
from rapport.local.facade_errors import CANNOT_READ_ALL_DATA, UNKNOWN_EXCEPTION, EngineError, own_error
from rapport.local.facade_request import Credentials, Statement, read_statement
from rapport.local.facade_sql import STREAMABLE, InsertWithData, Read, as_read
from rapport_core.errors import ConfigError

_log = structlog.get_logger(__name__)
_SPOOL_BYTES = 4 * 1024 * 1024
_SEND_BYTES = 256 * 1024
_IDLE_SECONDS = 300.0
_MOST_CONNECTIONS = 256


class Facade(ThreadingHTTPServer):
    """The server. `serve_forever` runs it; `stop` ends it in order."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, host: str, port: int, engine: Engine, credentials: Credentials, scratch: Path) -> None:
        """Binds the port. `scratch` is a private folder for results on their way; what lies there is removed.

        Raises ConfigError for an address that is not loopback, or a port in use.
        """
        if not ipaddress.ip_address(host).is_loopback:
            raise ConfigError(f"the local ClickHouse listens on loopback only, never on {host}")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700, parents=True)
        self.engine = engine
        self.credentials = credentials
        self.scratch = scratch
        self.is_stopping = False
        self._places = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._connections: set[_Connection] = set()
        self._lock = threading.Lock()
        try:
            super().__init__((host, port), _Connection)
        except OSError as error:
            raise ConfigError(
                f"port {port} is in use by another program: set RAPPORT_CLICKHOUSE_PORT"
            ) from error

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def stop(self, seconds: float = 10.0) -> bool:
        """Ends idle connections, lets running statements finish for that long, closes the engine.

        Returns whether every statement had finished.
        """
        self.is_stopping = True
        self.shutdown()
        self.server_close()
        deadline = time.monotonic() + seconds
        while self._end_idle() and time.monotonic() < deadline:
            time.sleep(0.02)
        if self._connections:
            _log.warning("clickhouse_statements_abandoned", count=len(self._connections))
            return False
        self.engine.close()
        return True

    def enter(self, connection: _Connection) -> None:
        """Called by a connection when it begins."""
        with self._lock:
            self._connections.add(connection)

    def leave(self, connection: _Connection) -> None:
        """Called by a connection when it ends."""
        with self._lock:
            self._connections.discard(connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Waits for a place before it starts another thread."""
        self._places.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Runs one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nothing to report; everything else is."""
        del request, client_address
        _log.debug("clickhouse_connection_broken", exc_info=True)

    def _end_idle(self) -> int:
        with self._lock:
            for connection in self._connections:
                if connection.is_idle:
                    with suppress(OSError):
                        connection.connection.shutdown(socket.SHUT_RD)
            return len(self._connections)


class _Connection(BaseHTTPRequestHandler):
    """One client connection: requests one after the other."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    wbufsize = 64 * 1024
    # Without this a small answer waits 40 ms for the client's acknowledgement.
    disable_nagle_algorithm = True
    server_version = "rapport"
    sys_version = ""
    server: Facade
    is_idle = True

    def setup(self) -> None:
        super().setup()
        self.server.enter(self)

    def finish(self) -> None:
        self.server.leave(self)
        with suppress(OSError):
            super().finish()

    def handle_one_request(self) -> None:
        self.is_idle = True
        super().handle_one_request()
        self.close_connection |= self.server.is_stopping

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class' name
        """Statements are not logged: they hold addresses."""

    def do_GET(self) -> None:
        """`/ping` for everybody, a reading statement for those with the password."""
        self.is_idle = False
        if urlsplit(self.path).path == "/ping":
            self._send(200, b"Ok.\n")
        else:
            self._serve(is_get=True)

    do_HEAD = do_GET  # noqa: N815 - the base class' names

    def do_POST(self) -> None:
        """A statement."""
        self.is_idle = False
        self._serve(is_get=False)

    def _serve(self, *, is_get: bool) -> None:
        body = self._body()
        self._has_begun = False
        try:
            self.server.credentials.check(self.headers)
        except EngineError as error:
            # Whoever does not know the password does not get to send much either.
            self.close_connection = True
            self._send_error(error)
            return
        try:
            self._answer(body, is_get=is_get)
        except EngineError as error:
            self._send_error(error, drain=body)
        except BodyError as error:
            self.close_connection = True
            self._send_error(own_error(CANNOT_READ_ALL_DATA, "CANNOT_READ_ALL_DATA", str(error)))
        except OSError:
            # The client is gone, or the disk is full in the middle of an answer: a cut answer is no answer.
            self.close_connection = True
            _log.warning("clickhouse_answer_cut", exc_info=True)

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return in_chunks(cast("IO[bytes]", self.rfile))  # type: ignore[arg-type]
        length = self.headers.get("Content-Length", "0")
        return with_length(cast("IO[bytes]", self.rfile), int(length) if length.isdigit() else 0)  # type: ignore[arg-type]

    def _answer(self, body: Iterator[bytes], *, is_get: bool) -> None:
        if urlsplit(self.path).path != "/":
            raise EngineError(UNKNOWN_EXCEPTION, f"There is no handler {urlsplit(self.path).path}")
        plain = decoded(body, self.headers.get("Content-Encoding", "").strip().lower())
        statement = read_statement(urlsplit(self.path).query, self.headers, plain, is_get=is_get)
        with self.server.engine.handle(statement.context) as handle:
            if statement.insert is not None:
                self._insert(handle, statement, statement.insert)
                return
            read = as_read(statement.text, statement.default_format)
            if read is None:
                self._send(200, handle.whole(statement.text, statement.default_format), statement)
            elif read.format in STREAMABLE:
                self._stream(handle, statement, read)
            else:
                self._by_file(handle, statement, read)

    def _insert(self, handle: Handle, statement: Statement, insert: InsertWithData) -> None:
        rows, size = handle.insert(insert.sql, insert.format, statement.data)
        self._send(200, b"", statement, summary={"written_rows": str(rows), "written_bytes": str(size)})

    def _stream(self, handle: Handle, statement: Statement, read: Read) -> None:
        """Sends blocks as they come; the whole first where the client wants errors to have a status."""
        blocks = handle.stream(read.sql, read.format)
        with closing(cast("Any", blocks)):
            try:
                first = next(blocks, b"")
            except NotStreamableError:
                self._send(200, handle.whole(read.sql, read.format), statement, output_format=read.format)
                return
            if statement.is_buffered or self.request_version == "HTTP/1.0":
                self._send_spooled(first, blocks, statement, read.format)
            else:
                self._send_chunks(first, blocks, statement, read.format)

    def _send_spooled(
        self, first: bytes, blocks: Iterator[bytes], statement: Statement, output_format: str
    ) -> None:
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=str(self.server.scratch)) as spool:
            spool.write(first)
            for block in blocks:
                spool.write(block)
            self._send_file(cast("IO[bytes]", spool), statement, output_format)

    def _by_file(self, handle: Handle, statement: Statement, read: Read) -> None:
        """Formats that are one document are written by the engine to a file, so that memory stays bounded."""
        with tempfile.TemporaryDirectory(dir=self.server.scratch) as folder:
            path = Path(folder) / "result"
            handle.whole(
                f"{read.sql}\nINTO OUTFILE {literal(str(path))} COMPRESSION 'none' FORMAT {read.format}",
                read.format,
            )
            with path.open("rb") as result:
                self._send_file(result, statement, read.format)

    def _send_file(self, file: IO[bytes], statement: Statement, output_format: str) -> None:
        size = file.seek(0, 2)
        file.seek(0)
        self._send_headers(200, size, statement, output_format)
        if self.command != "HEAD":
            shutil.copyfileobj(file, self.wfile, _SEND_BYTES)

    def _send_chunks(
        self, first: bytes, blocks: Iterator[bytes], statement: Statement, output_format: str
    ) -> None:
        tag = secrets.token_hex(8)
        self._send_headers(200, None, statement, output_format, tag=tag)
        try:
            self._send_chunk(first)
            for block in blocks:
                self._send_chunk(block)
        except EngineError as error:
            # The status is sent: this is how a server tells what happened after it.
            text = str(error).encode()
            told = b"\r\n__exception__\r\n%s\r\n%s\n%d %s\r\n__exception__\r\n"
            self._send_chunk(told % (tag.encode(), text, len(text) + 1, tag.encode()))
            self.close_connection = True
        self.wfile.write(b"0\r\n\r\n")

    def _send_chunk(self, data: bytes) -> None:
        if data and self.command != "HEAD":
            self.wfile.write(b"%x\r\n" % len(data))
            self.wfile.write(data)
            self.wfile.write(b"\r\n")

    def _send(
        self,
        status: int,
        data: bytes,
        statement: Statement | None = None,
        *,
        output_format: str = "",
        summary: dict[str, str] | None = None,
    ) -> None:
        self._send_headers(status, len(data), statement, output_format, summary=summary)
        if self.command != "HEAD":
            self.wfile.write(data)

    def _send_error(self, error: EngineError, drain: Iterator[bytes] | None = None) -> None:
        """Reads what the client still sends first: it listens only when it has sent everything."""
        if self._has_begun:
            self.close_connection = True
            return
        with suppress(BodyError):
            for _ in drain or ():
                """Thrown away."""
        data = f"{error}\n".encode()
        self.send_response(error.status)
        self.send_header("X-ClickHouse-Exception-Code", str(error.code))
        self.send_header("Content-Type", "text/plain; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _send_headers(
        self,
        status: int,
        length: int | None,
        statement: Statement | None,
        output_format: str,
        *,
        summary: dict[str, str] | None = None,
        tag: str = "",
    ) -> None:
        self._has_begun = True
        self.send_response(status)
        headers = {
            "Content-Type": "text/plain; charset=UTF-8" if statement is None else "application/octet-stream",
            "Content-Length": "" if length is None else str(length),
            "Transfer-Encoding": "chunked" if length is None else "",
            "X-ClickHouse-Exception-Tag": tag,
            "X-ClickHouse-Format": output_format or (statement.default_format if statement else ""),
            "X-ClickHouse-Query-Id": (statement.query_id or str(uuid.uuid4())) if statement else "",
            "X-ClickHouse-Summary": json.dumps(summary or {}) if statement else "",
            "X-ClickHouse-Timezone": "UTC" if statement else "",
        }
        for name, value in headers.items():
            if value:
                self.send_header(name, _one_line(value))
        self.end_headers()


def _one_line(value: str) -> str:
    """A header value that cannot end its header."""
    return "".join(character for character in value if " " <= character <= "~")
