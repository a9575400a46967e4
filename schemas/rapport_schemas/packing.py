"""Bodies as MessagePack arrays: each record of the Avro schema is a list of its values, in the schema's order.

The schema stays the one description of a body. Reading and writing it this way costs a small part of what Avro's binary form
costs, and a body is read and written several times per mail. Fields are only ever added at the end of a record: what an
earlier version wrote is a shorter list, and gets the defaults.

The two directions are made from the schema as Python expressions, as dataclasses make their methods: a record becomes one
display such as `{'id': row[0], 'key': row[1]}`. Walking the schema for each value would cost three times as much.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
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
        self._schema = schema
        self._to_row: Convert = eval(f"lambda record: {_list_of(schema)}")  # noqa: S307 - made of our own schemas
        self._from_row: Convert = eval(f"lambda row: {_record_of(schema)}")  # noqa: S307

    def encode(self, value: dict[str, Any]) -> bytes:
        """The packed bytes. Raises KeyError, TypeError, ValueError or OverflowError for what does not fit."""
        return _encode(self._to_row(value))

    def decode(self, data: bytes | memoryview, *, present: bool) -> dict[str, Any]:
        """The inverse, with its defaults for fields that the writer did not know. Raises whatever hostile bytes cause.

        `present` says that the writer had this very version, and that no field can be missing.
        """
        row = _decode(data)
        if not present:
            _complete(self._schema, row)
        found: dict[str, Any] = self._from_row(row)
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


def _record_of(schema: dict[str, Any]) -> str:
    """The expression that makes the record from `row`."""
    fields = enumerate(schema["fields"])
    return (
        "{"
        + ", ".join(
            f"{field['name']!r}: {_converted(field['type'], f'row[{place}]', 'row', _record_of)}"
            for place, field in fields
        )
        + "}"
    )


def _list_of(schema: dict[str, Any]) -> str:
    """The expression that makes the list from `record`."""
    return (
        "["
        + ", ".join(
            _converted(field["type"], f"record[{field['name']!r}]", "record", _list_of)
            for field in schema["fields"]
        )
        + "]"
    )


def _converted(kind: Any, value: str, name: str, inner: Callable[[dict[str, Any]], str]) -> str:
    """The expression for one value: what holds records goes on with `inner`, in which each is called `name`."""
    if isinstance(kind, list):
        branch = next(branch for branch in kind if branch != "null")
        found = _converted(branch, value, name, inner)
        return value if found == value else f"None if {value} is None else {found}"
    if isinstance(kind, dict) and kind["type"] == "array":
        found = _converted(kind["items"], name, name, inner)
        return value if found == name else f"[{found} for {name} in {value}]"
    if not isinstance(kind, dict):
        return value
    return inner(kind) if value == name else f"(lambda {name}: {inner(kind)})({value})"


def _complete(kind: Any, value: Any) -> None:
    """Adds the defaults of fields that the writer did not know, at every depth."""
    if isinstance(kind, list):
        if value is not None:
            _complete(next(branch for branch in kind if branch != "null"), value)
    elif isinstance(kind, dict) and kind["type"] == "array":
        for one in value:
            _complete(kind["items"], one)
    elif isinstance(kind, dict):
        for field, inner in zip(kind["fields"], value, strict=False):
            _complete(field["type"], inner)
        value += deepcopy([field.get("default") for field in kind["fields"][len(value) :]])
