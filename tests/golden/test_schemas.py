"""Schemas are promises: every version ever landed reads, and is read by, every other (FULL_TRANSITIVE)."""

from __future__ import annotations

import io
import json
from itertools import permutations
from pathlib import Path
from typing import Any, get_type_hints

import fastavro
import msgspec
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import parse

from rapport_core.errors import PoisonError
from rapport_schemas import records, wire

VERSIONS = Path(__file__).parent / "schemas"
NAMES = sorted({*wire.FIXED_IDS, *wire.BODIES})
WIRE = wire.Wire()


def versions(name: str) -> list[Path]:
    return sorted(VERSIONS.glob(f"{name}.v*.avsc"))


def compatible(reader: str, writer: str) -> bool:
    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
    result = checker.get_compatibility(parse(reader), parse(writer))
    return result.compatibility is SchemaCompatibilityType.compatible


@pytest.mark.parametrize("name", NAMES)
def test_the_newest_recorded_version_is_the_one_in_use(name: str) -> None:
    """A changed schema needs a new version file beside the old ones, which stay."""
    newest = json.loads(versions(name)[-1].read_text())
    assert newest == wire.schema_json(name), f"record the change as a new tests/golden/schemas/{name}.vN.avsc"


@pytest.mark.parametrize("name", NAMES)
def test_all_versions_read_each_other(name: str) -> None:
    """Old topics stay readable, and old programs read new records: deploys may come in any order."""
    texts = [path.read_text() for path in versions(name)]
    assert all(compatible(reader, writer) for reader, writer in permutations(texts, 2))


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_version_is_packaged(name: str) -> None:
    """What an earlier version wrote is read with that version's schema."""
    recorded = [json.loads(path.read_text()) for path in versions(name)]
    packaged = [wire.schema_json(name, version) for version in range(1, wire.versions(name) + 1)]
    assert packaged == recorded


CHANGED = [(name, version) for name in NAMES for version in range(1, wire.versions(name))]


@pytest.mark.parametrize(("name", "version"), CHANGED)
def test_what_an_earlier_version_wrote_is_read(name: str, version: int) -> None:
    """Topics and state never expire: every field it had is kept, every field it lacked has its default."""
    old = wire.schema_json(name, version)
    value = _example(old, {})
    if name in wire.BODIES:
        prefix = b"" if version == 1 else bytes((2 * version - 1,))
        found = wire.decode_body(name, prefix + _written(name, version, value))
    else:
        prefix = b"\0" + wire.FIXED_IDS[name][version - 1].to_bytes(4, "big")
        found = wire.Wire().decode(name, prefix + _written(name, version, value))
    assert _lacks_nothing_of(value, found)
    assert set(found) == {field["name"] for field in wire.schema_json(name)["fields"]}


def _written(name: str, version: int, value: dict[str, Any]) -> bytes:
    """What that version wrote: packed, as lists in the order of its schema, or Avro."""
    if version >= wire.PACKED_SINCE.get(name, version + 1):
        return msgspec.msgpack.encode(_in_order(wire.schema_json(name, version), value))
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, wire.schema(name, version), value)
    return buffer.getvalue()


def _in_order(kind: Any, value: Any) -> Any:
    """Records as lists, in the order of their schema; one whose schema stands elsewhere and is only named, as a map."""
    if isinstance(kind, list):
        return None if value is None else _in_order(kind[-1], value)
    if not isinstance(kind, dict):
        return value
    if kind["type"] == "array":
        return [_in_order(kind["items"], one) for one in value]
    return [_in_order(field["type"], value[field["name"]]) for field in kind["fields"]]


def test_packed_records_grow_at_their_ends_only() -> None:
    """Their fields have no names in the bytes: what an earlier version wrote is the beginning of what is written now."""
    for name, since in wire.PACKED_SINCE.items():
        for version in range(since, wire.versions(name)):
            _is_beginning_of(wire.schema_json(name, version), wire.schema_json(name, version + 1))


def _is_beginning_of(old: Any, new: Any) -> None:
    if isinstance(old, list):
        for old_branch, new_branch in zip(old, new, strict=True):
            _is_beginning_of(old_branch, new_branch)
    elif isinstance(old, dict) and "fields" in old:
        assert len(new["fields"]) >= len(old["fields"])
        for old_field, new_field in zip(old["fields"], new["fields"], strict=False):
            assert old_field["name"] == new_field["name"]
            _is_beginning_of(old_field["type"], new_field["type"])
    elif isinstance(old, dict):
        _is_beginning_of(old["items"], new["items"])
    else:
        assert old == new


def _lacks_nothing_of(old: Any, new: Any) -> bool:
    if isinstance(old, dict):
        return all(_lacks_nothing_of(value, new[key]) for key, value in old.items())
    if isinstance(old, list):
        return len(old) == len(new) and all(map(_lacks_nothing_of, old, new))
    return bool(old == new)


@pytest.mark.parametrize("name", sorted(wire.BODIES))
def test_no_first_version_begins_with_an_odd_byte(name: str) -> None:
    """That byte says which later version a body is."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, wire.schema(name, 1), _example(wire.schema_json(name, 1), {}))
    assert buffer.getvalue()[0] % 2 == 0
    first = wire.schema_json(name, 1)["fields"][0]["type"]
    assert (
        first in ("string", "long") or first["type"] == "array"
    )  # lengths and counts: never negative, so even


def test_a_body_of_a_later_version_is_refused() -> None:
    """A program that is older than what it reads says so."""
    with pytest.raises(PoisonError, match="version"):
        wire.decode_body("copy", bytes((2 * wire.BODIES["copy"] + 1,)) + b"rest")


def test_the_check_notices_an_incompatible_change() -> None:
    """A field without a default breaks old records, and the check says so."""
    old = versions("page")[0].read_text()
    changed = json.loads(old)
    changed["fields"].append({"name": "new", "type": "string"})
    assert not compatible(json.dumps(changed), old)
    changed["fields"][-1]["default"] = ""
    assert compatible(json.dumps(changed), old)


def _example(kind: Any, named: dict[str, Any]) -> Any:
    """The smallest value of an Avro type."""
    simple = {"string": "å", "long": 1, "int": 1, "boolean": True, "bytes": b"\x00\xff", "null": None}
    if isinstance(kind, list):
        return _example(kind[-1], named)
    if isinstance(kind, str):
        return simple[kind] if kind in simple else _example(named[kind.rsplit(".")[-1]], named)
    if kind["type"] == "array":
        return [_example(kind["items"], named)]
    named[kind["name"]] = kind
    return {field["name"]: _example(field["type"], named) for field in kind["fields"]}


@pytest.mark.parametrize("name", NAMES)
def test_encode_then_decode_is_identity(name: str) -> None:
    """Every schema carries every kind of value it names, and refuses left-over bytes."""
    value = _example(wire.schema_json(name), {})
    encode, decode = (
        (wire.encode_body, wire.decode_body) if name in wire.BODIES else (WIRE.encode, WIRE.decode)
    )
    data = encode(name, value)
    assert decode(name, data) == value
    with pytest.raises(PoisonError):
        decode(name, data + b"x")


@pytest.mark.parametrize("name", NAMES)
def test_record_types_equal_the_schemas(name: str) -> None:
    """records.py names exactly the fields of the schema."""
    schema = wire.schema_json(name)
    assert list(get_type_hints(getattr(records, schema["name"]))) == [f["name"] for f in schema["fields"]]


def test_wire_format_is_a_zero_byte_and_a_fixed_id() -> None:
    """Fixed ids never change: they stand in every record ever written."""
    value = _example(wire.schema_json("cursor"), {})
    data = wire.Wire().encode("cursor", value)
    assert data[:5] == b"\x00\x00\x00\x00\x06"
    assert wire.Wire().decode("cursor", data) == value
    with pytest.raises(PoisonError):
        wire.Wire().decode("page", data)


def test_ids_of_a_registry_replace_the_fixed_ones() -> None:
    """With a registry the same body travels under the registry's id."""
    value = _example(wire.schema_json("cursor"), {})
    registered = wire.Wire({"cursor": (4711,)})
    assert registered.encode("cursor", value)[1:5] == (4711).to_bytes(4, "big")
    assert registered.decode("cursor", registered.encode("cursor", value)) == value
