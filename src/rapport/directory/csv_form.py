"""The CSV form of a directory: one row an address, domain, setting or subject; docs/directory.md describes it."""

from __future__ import annotations

import csv
import io
import json
from typing import Final

from rapport_core.errors import ConfigError
from rapport_processors.directory_settings import suggestion

COLUMNS: Final = (
    "kind",
    "id",
    "name",
    "customer",
    "address",
    "domain",
    "member",
    "contact",
    "timezone",
    "setting",
    "value",
    "valid_from",
    "valid_to",
)
_USED: Final[dict[str, frozenset[str]]] = {
    "tenant": frozenset({"id", "name", "timezone", "domain", "setting", "value", "valid_from", "valid_to"}),
    "member": frozenset({"id", "name", "address", "valid_from", "valid_to"}),
    "customer": frozenset({"id", "name", "domain", "valid_from", "valid_to"}),
    "contact": frozenset({"id", "name", "customer", "address", "valid_from", "valid_to"}),
    "exclusion": frozenset({"address", "domain", "member", "contact", "valid_from", "valid_to"}),
    "choice": frozenset({"address", "domain", "contact", "customer", "valid_from", "valid_to"}),
    "connection": frozenset({"id", "setting", "value"}),
}
_BY_CONTENT: Final = ("exclusion", "choice")
"""Kinds whose rows are whole: they have no id that rows could share."""
_ENTRY: Final = {"tenant": "domain", "member": "address", "customer": "domain", "contact": "address"}
_LIST: Final = {"tenant": "own_domains", "member": "addresses", "customer": "domains", "contact": "addresses"}
_ONCE: Final = ("name", "customer", "timezone")

Row = dict[str, str]


def csv_to_document(text: str) -> dict[str, object]:
    """The JSON-shaped document that CSV text stands for. Raises ConfigError, with the line, in one sentence."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        _check_columns(reader.fieldnames or [])
        subjects: dict[tuple[str, str], dict[str, object]] = {}
        others: dict[str, list[object]] = {}
        for raw in reader:
            row = _row(raw, reader.line_num)
            if row.get("kind") in _BY_CONTENT:
                said = {name: value for name, value in row.items() if name != "kind"}
                others.setdefault(f"{row['kind']}s", []).append(said)
            elif row:
                _subject(subjects, row, reader.line_num)
    except csv.Error as error:
        raise ConfigError(f"line {reader.line_num} is no CSV: {error}") from error
    return _document(subjects, others)


def _check_columns(names: object) -> None:
    columns = [str(name).strip() for name in names] if isinstance(names, list) else []
    if "kind" not in columns:
        raise ConfigError(
            f"the first line must name the columns, kind among them; there are {', '.join(COLUMNS)}"
        )
    for name in columns:
        if name not in COLUMNS:
            raise ConfigError(f"there is no column {name or 'without a name'}{suggestion(name, COLUMNS)}")
        if columns.count(name) > 1:
            raise ConfigError(f"the column {name} stands twice")


def _row(raw: dict[str | None, str | list[str] | None], line: int) -> Row:
    if None in raw:
        raise ConfigError(f"line {line} has more fields than the first line has columns")
    row = {
        str(name).strip(): value.strip()
        for name, value in raw.items()
        if isinstance(value, str) and value.strip()
    }
    kind = row.get("kind", "")
    if row and kind not in _USED:
        raise ConfigError(f"line {line}: kind must be one of {', '.join(_USED)}, not {kind or 'empty'}")
    for name in row.keys() - {"kind"}:
        if name not in _USED[kind]:
            raise ConfigError(f"line {line}: a {kind} has no {name}: empty that field")
    return row


def _subject(subjects: dict[tuple[str, str], dict[str, object]], row: Row, line: int) -> None:
    kind = row["kind"]
    if "id" not in row:
        raise ConfigError(f"line {line}: a {kind} needs an id")
    subject = subjects.setdefault((kind, row["id"]), {"id": row["id"]})
    for name in _ONCE:
        if name in row and subject.setdefault(name, row[name]) != row[name]:
            raise ConfigError(f"line {line}: {kind} {row['id']} has another {name} than in an earlier line")
    _entry(subject, row, line)
    _setting(subject, row, line)


def _entry(subject: dict[str, object], row: Row, line: int) -> None:
    if row["kind"] not in _ENTRY:
        return
    what = _ENTRY[row["kind"]]
    validity = {name: row[name] for name in ("valid_from", "valid_to") if name in row}
    if validity and what not in row:
        raise ConfigError(
            f"line {line}: valid_from and valid_to need {'a domain' if what == 'domain' else 'an address'}"
        )
    entries = subject.setdefault(_LIST[row["kind"]], [])
    if what in row and isinstance(entries, list):
        entries.append({what: row[what], **validity} if validity else row[what])


def _setting(subject: dict[str, object], row: Row, line: int) -> None:
    if "setting" in row and "value" in row:
        settings = subject.setdefault("settings", {})
        if isinstance(settings, dict):
            if row["setting"] in settings:
                raise ConfigError(f"line {line}: the setting {row['setting']} stands twice")
            settings[row["setting"]] = plain(row["value"])
    elif "setting" in row or "value" in row:
        raise ConfigError(f"line {line}: setting and value go together")


def plain(text: str) -> object:
    """JSON where it is JSON (`true`, `12`, `{"grace_hours": 24}`), else the word itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _document(
    subjects: dict[tuple[str, str], dict[str, object]], others: dict[str, list[object]]
) -> dict[str, object]:
    document: dict[str, object] = {"members": [], "customers": [], "contacts": [], **others}
    for (kind, record_id), subject in subjects.items():
        if kind != "tenant":
            group = document.setdefault(f"{kind}s", [])
            if isinstance(group, list):
                group.append(subject)
        elif "tenant" in document:
            raise ConfigError(f"a file is the directory of one tenant, and {record_id} is a second one")
        else:
            document["tenant"] = subject
    if "tenant" not in document:
        raise ConfigError("no line has the kind tenant: add one such as tenant,acme")
    return document
