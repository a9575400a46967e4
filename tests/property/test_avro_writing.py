"""What our writer makes of a record is what fastavro makes of it, byte for byte."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport_core.errors import InvariantError
from rapport_schemas import wire
from rapport_schemas.avro_writing import writer_of

NAMES = sorted({*wire.FIXED_IDS, *wire.BODIES})
_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=20) | st.integers(4090, 4100).map("å".__mul__),
    "bytes": st.binary(max_size=20),
    "long": st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-5000, 5000),
    "int": st.integers(-(1 << 31), (1 << 31) - 1),
    "boolean": st.booleans(),
}


def values(kind: Any, named: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of an Avro type."""
    if isinstance(kind, list):
        return st.none() | values(next(branch for branch in kind if branch != "null"), named)
    if isinstance(kind, str):
        return _PLAIN[kind] if kind in _PLAIN else values(named[kind.rpartition(".")[2]], named)
    if kind["type"] == "array":
        return st.lists(values(kind["items"], named), max_size=3)
    named[kind["name"]] = kind
    return st.fixed_dictionaries({field["name"]: values(field["type"], named) for field in kind["fields"]})


@pytest.mark.parametrize("name", NAMES)
def test_every_byte_is_fastavros(name: str) -> None:
    """For every schema of ours and every value of it."""
    write = writer_of(wire.schema_json(name))

    @settings(max_examples=40)
    @given(values(wire.schema_json(name), {}))
    def check(value: Any) -> None:
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, wire.schema(name), value)
        assert write(value) == buffer.getvalue()

    check()


@pytest.mark.parametrize(
    ("field", "value"),
    [("tenant", None), ("tenant", b"acme"), ("offset", 1 << 63), ("offset", "1"), ("entries", [1])],
)
def test_what_does_not_fit_is_our_mistake_and_no_record(field: str, value: object) -> None:
    """A value of another type, or too large, never becomes bytes."""
    notice = wire.blank_of(wire.schema_json("routed")["fields"][5]["type"][1])
    notice |= {"tenant": "acme", "offset": 1}
    page: dict[str, Any] = {**wire.blank("routed"), "notice": {**notice, field: value}}
    with pytest.raises(InvariantError, match="routed"):
        wire.Wire().encode("routed", page)
