"""Schemas are promises: every version ever landed reads, and is read by, every other (FULL_TRANSITIVE)."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import parse

from rapport_core.errors import PoisonError
from rapport_schemas import records, wire

VERSIONS = Path(__file__).parent / "schemas"
NAMES = sorted({*wire.FIXED_IDS, *wire.BODIES})


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
    data = wire.encode_body(name, value)
    assert wire.decode_body(name, data) == value
    with pytest.raises(PoisonError):
        wire.decode_body(name, data + b"x")


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
    registered = wire.Wire({"cursor": 4711})
    assert registered.encode("cursor", value)[1:5] == (4711).to_bytes(4, "big")
    assert registered.decode("cursor", registered.encode("cursor", value)) == value
