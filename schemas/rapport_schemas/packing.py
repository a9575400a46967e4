"""Bodies as MessagePack arrays: each record of the Avro schema is a list of its values, in the schema's order.

The schema stays the one description of a body. Reading and writing it this way costs a tenth of Avro's binary form, and a
body is read and written several times per mail. Fields are only ever added at the end of a record: what an earlier
version wrote is a shorter list, and gets the defaults.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from operator import itemgetter
from typing import Any

import msgspec

from rapport_core.errors import PoisonError

Convert = Callable[[Any], Any]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_rows = msgspec.msgpack.Decoder(list[tuple[bytes, bytes | None]]).decode


class Packing:
    """One body schema's two directions.

    Args:
        schema: the Avro schema as JSON: records, arrays, nullable records and plain types.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self._to_row, self._from_row = _record(schema)

    def encode(self, value: dict[str, Any]) -> bytes:
        """The packed bytes. Raises KeyError, TypeError, ValueError or OverflowError for what does not fit."""
        return _encode(self._to_row(value))

    def decode(self, data: bytes | memoryview) -> dict[str, Any]:
        """The inverse, with its defaults for fields that the writer did not know. Raises whatever hostile bytes cause."""
        found: dict[str, Any] = self._from_row(_decode(data))
        return found


def pack_rows(rows: list[tuple[bytes, bytes | None]]) -> bytes:
    """Rows of state as one value; None deletes."""
    return _encode(rows)


def unpack_rows(data: bytes) -> list[tuple[bytes, bytes | None]]:
    """The inverse. Raises PoisonError(`undecodable`) for other bytes."""
    try:
        return _rows(data) if data else []
    except msgspec.DecodeError as error:
        raise PoisonError("undecodable", "these bytes are no rows of state") from error


def _record(schema: dict[str, Any]) -> tuple[Convert, Convert]:
    fields = schema["fields"]
    names = tuple(field["name"] for field in fields)
    inner = [(place, found) for place, field in enumerate(fields) if (found := _kind(field["type"]))]
    outward = [(place, to_row) for place, (to_row, _) in inner]
    inward = [(place, from_row) for place, (_, from_row) in inner]
    defaults = [field.get("default") for field in fields]
    return _writer(names, outward), _reader(names, inward, defaults)


def _kind(kind: Any) -> tuple[Convert, Convert] | None:
    """How values of an Avro type are converted; None where they stay as they are."""
    if isinstance(kind, list):
        found = _kind(next(branch for branch in kind if branch != "null"))
        return None if found is None else (_nullable(found[0]), _nullable(found[1]))
    if isinstance(kind, dict) and kind["type"] == "array":
        return _list(kind["items"])
    return _record(kind) if isinstance(kind, dict) else None


def _list(items: Any) -> tuple[Convert, Convert] | None:
    found = _kind(items)
    if found is None:
        return None
    to_row, from_row = found
    if isinstance(items, dict) and "fields" in items and not any(_kind(f["type"]) for f in items["fields"]):
        return (lambda values: list(map(to_row, values))), _flat_records(items, from_row)
    return (lambda values: [to_row(value) for value in values]), lambda rows: [from_row(row) for row in rows]


def _flat_records(schema: dict[str, Any], from_row: Convert) -> Convert:
    """A list of records of plain fields: nearly everything that a mail has several of, so it is read without a call for each."""
    names = tuple(field["name"] for field in schema["fields"])
    size = len(names)

    def from_rows(rows: list[Any]) -> list[dict[str, Any]]:
        if rows and len(rows[0]) != size:
            return [from_row(row) for row in rows]
        return [dict(zip(names, row)) for row in rows]  # noqa: B905 - strict costs as much as the rest

    return from_rows


def _nullable(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _writer(names: tuple[str, ...], inner: list[tuple[int, Convert]]) -> Convert:
    values = itemgetter(*names) if len(names) > 1 else lambda value: (value[names[0]],)
    if not inner:
        return values

    def to_row(value: Any) -> list[Any]:
        row = list(values(value))
        for place, convert in inner:
            row[place] = convert(row[place])
        return row

    return to_row


def _reader(names: tuple[str, ...], inner: list[tuple[int, Convert]], defaults: list[Any]) -> Convert:
    size = len(names)

    def from_row(row: list[Any]) -> dict[str, Any]:
        known = len(row)
        if known < size:
            row += deepcopy(defaults[known:])
        for place, convert in inner:
            if place < known:
                row[place] = convert(row[place])
        return dict(zip(names, row))  # noqa: B905 - strict costs a third more; a longer row is refused by its version

    return from_row
