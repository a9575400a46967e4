"""Writes Avro's binary form by an expression made from the schema; fastavro reads it.

A record is one Kafka value, and an item is written for every message: fastavro, which asks the schema again for each field of
each record, took a tenth of all processing for that. What our schemas use is all that is known here: records, arrays,
nullable values, text, bytes, whole numbers, truth. A property test holds every byte equal to fastavro's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Write = Callable[[Any], bytes]


def writer_of(schema: dict[str, Any]) -> Write:
    """What writes one record of the schema, given as JSON.

    The result raises KeyError, TypeError, AttributeError, ValueError or OverflowError for a value that does not fit.
    """
    names = {"text": _text, "data": _data, "number": _number, "truth": _TRUTH, "array": _array}
    expression = f"lambda record: {_record(schema, {})}"
    write: Write = eval(expression, names)  # noqa: S307 - made of our own schemas
    return write


def _record(schema: dict[str, Any], named: dict[str, Any]) -> str:
    named[schema["name"]] = schema
    parts = [_value(field["type"], f"record[{field['name']!r}]", named) for field in schema["fields"]]
    return f"b''.join(({', '.join(parts)},))"


def _value(kind: Any, value: str, named: dict[str, Any]) -> str:
    """The expression for the bytes of one value. `named`: the records met so far, which others may refer to."""
    if isinstance(kind, list):
        branch = next(branch for branch in kind if branch != "null")
        return f"(b'\\0' if {value} is None else b'\\2' + {_value(branch, value, named)})"
    if isinstance(kind, str):
        known = _PLAIN.get(kind)
        return known.format(value) if known else _value(named[kind.rpartition(".")[2]], value, named)
    if kind["type"] == "array":
        return f"(array([{_value(kind['items'], 'one', named)} for one in {value}]) if {value} else b'\\0')"
    return f"(lambda record: {_record(kind, named)})({value})"


_PLAIN = {
    "string": "text({})",
    "bytes": "data({})",
    "long": "number({})",
    "int": "number({})",
    "boolean": "truth[{}]",
}
_TRUTH = {False: b"\0", True: b"\1"}
_LONGEST = 1 << 63


def _varint(value: int) -> bytes:
    if not -_LONGEST <= value < _LONGEST:
        raise OverflowError(f"{value.bit_length()} bits are no long")
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


_SMALL = [_varint(value) for value in range(1 << 12)]
_SMALL_END = len(_SMALL)


def _number(value: int) -> bytes:
    return _SMALL[value] if 0 <= value < _SMALL_END else _varint(value)


def _data(value: bytes) -> bytes:
    size = len(value)
    return (_SMALL[size] if size < _SMALL_END else _varint(size)) + value


def _text(value: str) -> bytes:
    data = value.encode()
    size = len(data)
    return (_SMALL[size] if size < _SMALL_END else _varint(size)) + data


def _array(parts: list[bytes]) -> bytes:
    return b"%b%b\0" % (_number(len(parts)), b"".join(parts))
