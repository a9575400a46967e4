"""Confluent wire format: a zero byte, a four-byte schema id, an Avro body.

Every version of a schema has an id of its own: fixed here for ever, or, with a registry, given by it. Bodies inside sealed
bytes and in state have no id; an odd first byte, which no first version could begin with, names a later version. What an
earlier version wrote is read with that version's schema, and what it lacked has its default. Bodies that are read and
written several times per mail are packed (see packing.py), not in Avro's binary form. Records are plain dicts;
`records.py` has their types.
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
from rapport_schemas.avro_writing import Write, writer_of
from rapport_schemas.packing import Packing

FIXED_IDS: Final[dict[str, tuple[int, ...]]] = {
    "page": (1,),
    "routed": (2, 13),
    "item": (3, 10, 14),
    "thread_alias": (4,),
    "directory_entry": (5, 12),
    "cursor": (6,),
    "connection": (7, 15),
    "dead_letter": (8,),
    "changelog": (9, 11),
    "wakeup": (16,),
    "coverage": (17,),
}
"""Schemas of whole record values: the ids of their versions, first to present."""

BODIES: Final[dict[str, int]] = {
    "page_body": 3,
    "routed_body": 4,
    "item_body": 4,
    "copy": 3,
    "holding": 4,
    "residues": 1,
}
"""Schemas of what is sealed or kept in state: the present version of each."""

PACKED_SINCE: Final[dict[str, int]] = {"routed_body": 3, "item_body": 3, "copy": 3, "holding": 3}
"""The first version of a body that is packed. The log's pages stay Avro: others may read them, years later."""


def versions(name: str) -> int:
    """How many versions a schema has had, the present one among them."""
    return BODIES[name] if name in BODIES else len(FIXED_IDS[name])


def schema_json(name: str, version: int | None = None) -> dict[str, Any]:
    """The Avro schema as JSON, read from the package; the present version unless an earlier one is named."""
    parsed: dict[str, Any] = json.loads(_schema_text(name, version or versions(name)))
    return parsed


@cache
def _schema_text(name: str, version: int) -> str:
    folder = files("rapport_schemas") / "avro"
    if version < versions(name):
        return (folder / "earlier" / f"{name}.v{version}.avsc").read_text("utf-8")
    return (folder / f"{name}.avsc").read_text("utf-8")


@cache
def schema(name: str, version: int | None = None) -> Schema:
    """The parsed schema, ready for fastavro."""
    return fastavro.parse_schema(schema_json(name, version))


def blank(name: str) -> dict[str, Any]:
    """A record of that schema in which nothing is said: empty text, lists and bytes, zero, false, null. A new one each time."""
    return blank_of(schema_json(name))


def blank_of(record: dict[str, Any]) -> dict[str, Any]:
    """The same for a record schema inside another one."""
    return {field["name"]: _blank_value(field["type"]) for field in record["fields"]}


def _blank_value(kind: Any) -> Any:
    if isinstance(kind, list):
        return None
    if isinstance(kind, dict):
        return []
    return {"string": "", "bytes": b"", "boolean": False}.get(kind, 0)


def encode_body(name: str, value: Any) -> bytes:
    """A body of the present version. Raises InvariantError when `value` does not fit: a programming error, never a user's."""
    version = BODIES[name]
    prefix = b"" if version == 1 else bytes((2 * version - 1,))
    if name not in PACKED_SINCE:
        return _encode(name, value, prefix)
    try:
        return prefix + _packing(name, version).encode(value)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise _does_not_fit(name, error) from error


@cache
def _packing(name: str, version: int) -> Packing:
    return Packing(schema_json(name, version))


def _does_not_fit(name: str, error: Exception) -> InvariantError:
    return InvariantError(f"a {name} record does not fit its schema: {type(error).__name__}")


def _encode(name: str, value: Any, prefix: bytes) -> bytes:
    try:
        return prefix + _writer(name)(value)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise _does_not_fit(name, error) from error


@cache
def _writer(name: str) -> Write:
    return writer_of(schema_json(name))


def decode_body(name: str, data: bytes) -> Any:
    """The inverse of `encode_body`, for every version. Raises PoisonError(`undecodable`) on any other bytes."""
    if not data or not data[0] & 1:
        return _decode(name, data, 0, 1)
    version = (data[0] + 1) // 2
    if not 1 < version <= BODIES[name]:
        raise PoisonError("undecodable", f"a {name} record of a version that this program does not know")
    if version < PACKED_SINCE.get(name, version + 1):
        return _decode(name, data, 1, version)
    try:
        # Of any packed version: fields are only added at the end.
        packing = _packing(name, BODIES[name])
        return packing.decode(memoryview(data)[1:], present=version == BODIES[name])
    except Exception as error:
        raise _undecodable(name) from error


def _undecodable(name: str) -> PoisonError:
    return PoisonError("undecodable", f"these bytes are no {name} record")


def _decode(name: str, data: bytes, start: int, version: int) -> Any:
    buffer = io.BytesIO(data)
    buffer.seek(start)
    try:
        present = None if version == versions(name) else schema(name)
        value = fastavro.schemaless_reader(buffer, schema(name, version), present)
    except Exception as error:  # fastavro raises whatever its C code meets on hostile bytes
        raise _undecodable(name) from error
    if buffer.tell() != len(data):
        raise PoisonError("undecodable", f"bytes left over after a {name} record")
    return value


class Wire:
    """Encodes and decodes record values. `ids` maps schema names to their versions' ids; one Wire serves a whole process."""

    def __init__(self, ids: dict[str, tuple[int, ...]] | None = None) -> None:
        prefixes = {
            name: [b"\0" + number.to_bytes(4, "big") for number in numbers]
            for name, numbers in (ids or FIXED_IDS).items()
        }
        self._prefix = {name: found[-1] for name, found in prefixes.items()}
        self._version = {
            name: {prefix: version for version, prefix in enumerate(found, 1)}
            for name, found in prefixes.items()
        }

    def encode(self, name: str, value: Any) -> bytes:
        """One record value of the present version. Raises InvariantError when it does not fit the schema."""
        return _encode(name, value, self._prefix[name])

    def decode(self, name: str, data: bytes | None) -> Any:
        """One record value of any version. Raises PoisonError for a tombstone, another schema's id, or broken bytes."""
        if data is None:
            raise PoisonError("empty", f"a record without a value where a {name} was expected")
        version = self._version[name].get(data[:5])
        if version is None:
            raise PoisonError("wrong_schema", f"this record does not carry the schema id of {name}")
        return _decode(name, data, 5, version)
