"""One HTTP request as a statement with its surroundings, whichever of ClickHouse's ways the client chose to send it."""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from itertools import chain
from typing import TypeAlias
from urllib.parse import parse_qsl

from python_multipart.multipart import MultipartParser, parse_options_header

from rapport.local.engine import Context
from rapport.local.facade_errors import (
    AUTHENTICATION_FAILED,
    BAD_ARGUMENTS,
    NOT_IMPLEMENTED,
    QUERY_IS_TOO_LARGE,
    own_error,
)
from rapport.local.facade_sql import InsertWithData, find_insert_data, first_word

Headers: TypeAlias = "Message[str, str]"
"""Request headers, found whatever their case."""
LARGEST_STATEMENT_BYTES = 32 * 1024 * 1024
_INSERT_HEAD_BYTES = 4 * 1024 * 1024

_TRANSPORT = frozenset(
    {
        "query",
        "database",
        "default_format",
        "query_id",
        "session_id",
        "session_timeout",
        "session_check",
        "quota_key",
        "role",
        "user",
        "password",
        "wait_end_of_query",
        "buffer_size",
        "client_protocol_version",
        # Settings of a server's HTTP layer, which the facade is.
        "cancel_http_readonly_queries_on_client_close",
        "enable_http_compression",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "add_http_cors_header",
    }
)
_KEPT_IN_SESSIONS = frozenset({"SET", "USE"})


@dataclass(frozen=True, slots=True)
class Statement:
    """What is to be run: an insert with the data behind it, or a text."""

    context: Context
    default_format: str
    is_buffered: bool
    query_id: str
    text: str
    insert: InsertWithData | None
    data: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Credentials:
    """The one user of an instance."""

    user: str
    password: str

    def __repr__(self) -> str:
        return "Credentials(…)"

    def check(self, headers: Headers) -> None:
        """Raises EngineError unless the request carries them. Takes the same time for every wrong answer."""
        user, password = _offered(headers)
        same_user = hmac.compare_digest(user.encode("utf-8", "replace"), self.user.encode())
        same_password = hmac.compare_digest(password.encode("utf-8", "replace"), self.password.encode())
        if not (same_user & same_password):
            raise own_error(
                AUTHENTICATION_FAILED,
                "AUTHENTICATION_FAILED",
                "Authentication failed: the password is incorrect, or there is no such user",
            )


def read_statement(query_string: str, headers: Headers, body: Iterable[bytes], *, is_get: bool) -> Statement:
    """The statement of a request. Reads the body as far as the SQL goes.

    Raises:
        EngineError: something the local ClickHouse does not offer, or a statement that is too large.
        BodyError: the body cannot be read.
    """
    given = dict(parse_qsl(query_string, keep_blank_values=True, encoding="utf-8", errors="surrogateescape"))
    content_type, options = parse_options_header(headers.get("Content-Type", ""))
    if content_type == b"multipart/form-data":
        given |= _read_form(body, options.get(b"boundary", b""))
        body = ()
    _refuse_unsupported(given)
    prefix = given.get("query", "").encode("utf-8", "surrogateescape")
    pieces = chain((prefix + b"\n",) if prefix else (), body)
    text, insert, data = _split(iter(pieces))
    if "session_id" in given and first_word(text[:4096]) in _KEPT_IN_SESSIONS:
        raise _unsupported("sessions: give settings and the database with each query")
    return Statement(
        context=_context(given, headers, is_get=is_get),
        default_format=given.get("default_format") or headers.get("X-ClickHouse-Format") or "TabSeparated",
        is_buffered=given.get("wait_end_of_query") in {"1", "true"},
        query_id=given.get("query_id", ""),
        text=text.decode("utf-8", "surrogateescape"),
        insert=insert,
        data=data,
    )


def _context(given: Mapping[str, str], headers: Headers, *, is_get: bool) -> Context:
    settings = {
        name: value
        for name, value in given.items()
        if name not in _TRANSPORT and not name.startswith("param_")
    }
    if is_get and settings.get("readonly", "0") == "0":
        # A link must never change anything: the server's own rule for GET.
        settings["readonly"] = "2"
    return Context(
        database=given.get("database") or headers.get("X-ClickHouse-Database") or "",
        settings=settings,
        params={
            name.removeprefix("param_"): value for name, value in given.items() if name.startswith("param_")
        },
    )


def _split(pieces: Iterator[bytes]) -> tuple[bytes, InsertWithData | None, Iterable[bytes]]:
    """The SQL, and for an insert the stream of data behind it."""
    head = bytearray()
    for piece in pieces:
        head += piece
        if first_word(bytes(head[:4096])) != "INSERT":
            continue
        found = find_insert_data(bytes(head), is_whole=False)
        if isinstance(found, InsertWithData):
            return b"", found, chain((bytes(head[found.data_at :]),), pieces)
        if not found or len(head) > _INSERT_HEAD_BYTES:
            break
    for piece in pieces:
        head += piece
        _check_size(len(head))
    _check_size(len(head))
    text = bytes(head)
    found = find_insert_data(text, is_whole=True) if first_word(text[:4096]) == "INSERT" else False
    if isinstance(found, InsertWithData):
        return b"", found, (text[found.data_at :],)
    return text, None, ()


def _check_size(size: int) -> None:
    if size > LARGEST_STATEMENT_BYTES:
        limit = LARGEST_STATEMENT_BYTES // (1024 * 1024)
        raise own_error(QUERY_IS_TOO_LARGE, "QUERY_IS_TOO_LARGE", f"A statement is larger than {limit} MiB")


def _refuse_unsupported(given: Mapping[str, str]) -> None:
    for name in ("compress", "decompress"):
        if given.get(name, "0") not in {"0", "false", ""}:
            raise _unsupported(f"{name}=1, the native compression: use Content-Encoding")


def _unsupported(what: str) -> Exception:
    return own_error(NOT_IMPLEMENTED, "NOT_IMPLEMENTED", f"The local ClickHouse does not support {what}")


class _Form:
    """The fields of a multipart body; nothing but fields is accepted."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self._header = bytearray()
        self._disposition = b""
        self._value = bytearray()
        self._size = 0

    def on_part_begin(self) -> None:
        self._value.clear()
        self._disposition = b""

    def on_header_begin(self) -> None:
        self._header.clear()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition += data[start:end]

    def on_headers_finished(self) -> None:
        if b"filename" in parse_options_header(self._disposition)[1]:
            raise _unsupported("external data: insert it into a table first")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        _check_size(self._size)
        self._value += data[start:end]

    def on_part_end(self) -> None:
        name = parse_options_header(self._disposition)[1].get(b"name", b"").decode("utf-8", "surrogateescape")
        self.fields[name] = bytes(self._value).decode("utf-8", "surrogateescape")


def _read_form(body: Iterable[bytes], boundary: bytes) -> dict[str, str]:
    form = _Form()
    names = [name for name in dir(form) if name.startswith("on_")]
    try:
        parser = MultipartParser(boundary, {name: getattr(form, name) for name in names})  # type: ignore[arg-type]
        for piece in body:
            parser.write(piece)
        parser.finalize()
    except ValueError as error:
        raise own_error(BAD_ARGUMENTS, "BAD_ARGUMENTS", "The multipart body is malformed") from error
    return form.fields


def _offered(headers: Headers) -> tuple[str, str]:
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User", ""), headers.get("X-ClickHouse-Key", "")
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = b64decode(value.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password
