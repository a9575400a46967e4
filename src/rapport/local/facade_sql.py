"""Where a statement ends and its data begins, and what kind of statement it is. Reads no more SQL than that needs."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"""
      (?P<space>\s+|--[^\n]*(?:\n|$)|\#[ !][^\n]*(?:\n|$)|/\*.*?\*/)
    | (?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_TRAILING_FORMAT = re.compile(r"\sFORMAT\s+([A-Za-z0-9_]+)\s*;?\s*$", re.IGNORECASE)
_ANY_FORMAT = re.compile(r"\sFORMAT\s+[A-Za-z0-9_]+", re.IGNORECASE)
_READS = frozenset({"SELECT", "WITH", "FROM", "("})

STREAMABLE = frozenset(
    {
        "Native",
        "TabSeparated",
        "TSV",
        "TabSeparatedRaw",
        "TSVRaw",
        "CSV",
        "RowBinary",
        "JSONEachRow",
        "JSONCompactEachRow",
        "LineAsString",
        "RawBLOB",
    }
)
"""Formats without a frame around the whole: the engine writes each block by itself, and blocks in a row are one result."""


@dataclass(frozen=True, slots=True)
class InsertWithData:
    """`INSERT … FORMAT x`, followed by data. `sql` ends before FORMAT; `data_at` is where the data begins."""

    sql: str
    format: str
    data_at: int


@dataclass(frozen=True, slots=True)
class Read:
    """A query whose result may be large. `sql` is without its FORMAT clause."""

    sql: str
    format: str


def first_word(statement: bytes) -> str:
    """The keyword a statement begins with, upper case; `(` for a query in brackets; empty when there is none."""
    for token in _TOKEN.finditer(statement):
        if token.lastgroup == "space":
            continue
        return (
            token.group().decode("latin-1").upper()
            if token.lastgroup == "word" or token.group() == b"("
            else ""
        )
    return ""


def find_insert_data(head: bytes, *, is_whole: bool) -> InsertWithData | bool:
    """Looks for the data in the beginning of an INSERT.

    Returns the split; False when this INSERT carries no data behind a FORMAT clause; True when more of it is needed to
    say. With `is_whole` there is no more.
    """
    depth = 0
    format_at: int | None = None
    for token in _TOKEN.finditer(head):
        text = token.group()
        if token.lastgroup == "word" and format_at is not None:
            return _split(head, format_at, token, is_whole=is_whole)
        if token.lastgroup == "word" and depth == 0:
            word = text.upper()
            if word in {b"VALUES", b"SELECT", b"WITH", b"WATCH", b"INFILE"}:
                return _may_be_cut(head, token.end(), is_whole=is_whole)
            if word == b"FORMAT":
                format_at = token.start()
        elif token.lastgroup == "other":
            depth += {b"(": 1, b")": -1}.get(text, 0)
    return not is_whole


def as_read(statement: str, default_format: str) -> Read | None:
    """The statement as a query that can be streamed or written to a file; None when it must be run as it is."""
    if first_word(statement.encode("utf-8", "surrogateescape")[:4096]) not in _READS:
        return None
    found = _TRAILING_FORMAT.search(statement)
    if found:
        return Read(statement[: found.start()], found.group(1))
    if _ANY_FORMAT.search(statement):
        return None
    return Read(statement.rstrip().rstrip(";"), default_format)


def _may_be_cut(head: bytes, end: int, *, is_whole: bool) -> bool:
    """A word at the very end may go on in what is not read yet."""
    return end == len(head) and not is_whole


def _split(head: bytes, format_at: int, name: re.Match[bytes], *, is_whole: bool) -> InsertWithData | bool:
    end = name.end()
    if _may_be_cut(head, end, is_whole=is_whole):
        return True
    while end < len(head) and head[end : end + 1] in b" \t\f;":
        end += 1
    for newline in (b"\r", b"\n"):
        if head[end : end + 1] == newline:
            end += 1
    if end == len(head) and not is_whole:
        return True
    sql = head[:format_at].decode("utf-8", "surrogateescape")
    return InsertWithData(sql, name.group().decode("ascii"), end)
