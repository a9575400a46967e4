"""Confluent wire format: a zero byte, a four-byte schema id, an Avro body.

Without a registry the ids are fixed here for ever. With one, `ids_from` maps each schema to the registry's id and the
same bytes travel. Records are plain dicts; `records.py` has their types.
"""

from __future__ import annotations

import io
import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

import fastavro
from fastavro.types import Schema

from rapport_core.errors import InvariantError, PoisonError

FIXED_IDS: Final[dict[str, int]] = {
    "page": 1,
    "routed": 2,
    "item": 3,
    "thread_alias": 4,
    "directory_entry": 5,
    "cursor": 6,
    "connection": 7,
    "dead_letter": 8,
    "changelog": 9,
}
"""Schemas of whole record values. Bodies inside sealed bytes have no id: the record around them pins their version."""

BODIES: Final[frozenset[str]] = frozenset({"page_body", "routed_body", "item_body", "copy", "holding"})


def schema_json(name: str) -> dict[str, Any]:
    """The Avro schema as JSON, read from the package."""
    parsed: dict[str, Any] = json.loads(_schema_text(name))
    return parsed


@cache
def _schema_text(name: str) -> str:
    return (files("rapport_schemas") / "avro" / f"{name}.avsc").read_text("utf-8")


@cache
def schema(name: str) -> Schema:
    """The parsed schema, ready for fastavro."""
    return fastavro.parse_schema(schema_json(name))


def blank(name: str) -> dict[str, Any]:
    """A record of that schema in which nothing is said: empty text, lists and bytes, zero, false, null. A new one each time."""
    return {field["name"]: _blank_value(field["type"]) for field in schema_json(name)["fields"]}


def _blank_value(kind: Any) -> Any:
    if isinstance(kind, list):
        return None
    if isinstance(kind, dict):
        return []
    return {"string": "", "bytes": b"", "boolean": False}.get(kind, 0)


def encode_body(name: str, value: Any) -> bytes:
    """A bare Avro body. Raises InvariantError when `value` does not fit: a programming error, never a user's."""
    buffer = io.BytesIO()
    try:
        fastavro.schemaless_writer(buffer, schema(name), value)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise InvariantError(f"a {name} record does not fit its schema: {type(error).__name__}") from error
    return buffer.getvalue()


def decode_body(name: str, data: bytes) -> Any:
    """The inverse of `encode_body`. Raises PoisonError(`undecodable`) on any other bytes."""
    buffer = io.BytesIO(data)
    try:
        value = fastavro.schemaless_reader(buffer, schema(name), None)
    except Exception as error:  # fastavro raises whatever its C code meets on hostile bytes
        raise PoisonError("undecodable", f"these bytes are no {name} record") from error
    if buffer.tell() != len(data):
        raise PoisonError("undecodable", f"bytes left over after a {name} record")
    return value


def tagged(record_name: str, value: Any) -> Any:
    """A value for a nullable record field, with the branch of the union said; None stays None.

    Without it fastavro validates the whole value against every branch first, which doubles the cost of a copy.
    """
    return None if value is None else (f"rapport.v1.{record_name}", value)


class Wire:
    """Encodes and decodes record values. `ids` maps schema names to ids; one Wire serves a whole process."""

    def __init__(self, ids: dict[str, int] | None = None) -> None:
        self._prefix = {
            name: b"\0" + number.to_bytes(4, "big") for name, number in (ids or FIXED_IDS).items()
        }

    def encode(self, name: str, value: Any) -> bytes:
        """One record value. Raises InvariantError when it does not fit the schema."""
        return self._prefix[name] + encode_body(name, value)

    def decode(self, name: str, data: bytes | None) -> Any:
        """One record value. Raises PoisonError for a tombstone, another schema's id, or broken bytes."""
        if data is None:
            raise PoisonError("empty", f"a record without a value where a {name} was expected")
        if data[:5] != self._prefix[name]:
            raise PoisonError("wrong_schema", f"this record does not carry the schema id of {name}")
        return decode_body(name, data[5:])
