"""Graph's own description of its entities, against which every answer of the simulator is held.

The keywords of the schema file are compiled into functions: the general library needs a millisecond for a message, and a
listing has a thousand. On top of it no property is allowed that Graph does not have, annotations apart.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

SCHEMA: Final = Path(
    os.environ.get("RAPPORT_GRAPH_SCHEMA")
    or Path(__file__).parents[3].parent / "shared" / "reference" / "graph-v1.0.schema.json"
)
_PREFIX: Final = "microsoft.graph."
_REFERENCE: Final = "#/$defs/"
_FORMATS: Final = {
    "date-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,12})?(Z|[+-]\d\d:\d\d)"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
}
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
_UNCHECKED: Final = {"type", "x-navigation", "title", "description"}

Complaint = str | None
Check = Callable[[Any], Complaint]


class DriftError(AssertionError):
    """The simulator was about to answer something that Graph has no word for."""


class GraphSchema:
    """Checks entities by the schema file; one that is not there checks nothing."""

    def __init__(self, path: Path = SCHEMA) -> None:
        self._definitions: dict[str, Any] = json.loads(path.read_text())["$defs"] if path.is_file() else {}
        self._checks: dict[str, Check] = {}

    @classmethod
    def blind(cls) -> GraphSchema:
        """One that checks nothing."""
        return cls(Path())

    def check(self, entity: Mapping[str, Any], kind: str) -> None:
        """Raises `DriftError` unless `entity` is one of `kind` (`message`), or of the kind that it says itself."""
        if not self._definitions:
            return
        named = str(entity.get("@odata.type", f"#{_PREFIX}{kind}")).removeprefix("#")
        complaint = self._of(named)(entity)
        if complaint:
            raise DriftError(f"{named}{complaint}")

    def _of(self, name: str) -> Check:
        if name not in self._checks:
            definition = self._definitions.get(name)
            if definition is None:
                raise DriftError(f"Graph has no {name}")
            self._checks[name] = self._definition(name, definition)
        return self._checks[name]

    def _definition(self, name: str, definition: Mapping[str, Any]) -> Check:
        shape = self._compile(definition)
        known = self._properties(name)
        return _all([shape, _only(known)]) if known else shape

    def _properties(self, name: str) -> frozenset[str]:
        """All property names of an entity type with those that it inherits and those to expand."""
        return frozenset(self._names(self._definitions[name]))

    def _names(self, node: Mapping[str, Any]) -> set[str]:
        names = set(node.get("properties", {})) | set(node.get("x-navigation", {}))
        for part in node.get("allOf", []):
            names |= self._names(part)
        reference = node.get("$ref")
        return (
            names | self._names(self._definitions[reference.removeprefix(_REFERENCE)]) if reference else names
        )

    def _compile(self, node: Mapping[str, Any]) -> Check:
        checks = [_type(node["type"])] if "type" in node else []
        for keyword, value in node.items():
            if keyword not in _UNCHECKED:
                checks.append(self._keyword(keyword, value))
        return checks[0] if len(checks) == 1 else _all(checks)

    def _keyword(self, keyword: str, value: Any) -> Check:  # noqa: PLR0911 - one for each keyword
        match keyword:
            case "$ref":
                return self._reference(value.removeprefix(_REFERENCE))
            case "allOf":
                return _all([self._part(part) for part in value])
            case "anyOf":
                return _any([self._compile(part) for part in value])
            case "properties":
                return _properties({name: self._compile(part) for name, part in value.items()})
            case "items":
                return _items(self._compile(value))
            case "enum":
                return _enum(frozenset(value))
            case "format":
                return _format(value)
        raise DriftError(f"the schema has a keyword that is not read: {keyword}")

    def _reference(self, name: str) -> Check:
        """Looked up when it is used: entities may refer to each other in a circle."""

        def check(value: Any) -> Complaint:
            return self._of(name)(value)

        return check

    def _part(self, part: Mapping[str, Any]) -> Check:
        """A part of an inheritance: the properties of the others are no strangers to it."""
        reference = part.get("$ref")
        return self._compile(self._definitions[reference.removeprefix(_REFERENCE)] if reference else part)


@cache
def graph_schema() -> GraphSchema:
    """The schema of this machine, read once."""
    return GraphSchema()


def _type(name: str) -> Check:
    wanted = _TYPES[name]
    if name in {"integer", "number"}:
        return lambda value: (
            None
            if isinstance(value, wanted) and value is not True and value is not False
            else f" is no {name}: {value!r}"
        )
    return lambda value: None if isinstance(value, wanted) else f" is no {name}: {value!r}"


def _all(checks: list[Check]) -> Check:
    def check(value: Any) -> Complaint:
        for part in checks:
            complaint = part(value)
            if complaint:
                return complaint
        return None

    return check


def _any(checks: list[Check]) -> Check:
    def check(value: Any) -> Complaint:
        complaint: Complaint = None
        for part in checks:
            found = part(value)
            if found is None:
                return None
            complaint = complaint or found
        return complaint

    return check


def _properties(checks: Mapping[str, Check]) -> Check:
    def check(value: Any) -> Complaint:
        for name, part in checks.items():
            if name in value:
                complaint = part(value[name])
                if complaint:
                    return f".{name}{complaint}"
        return None

    return check


def _only(known: frozenset[str]) -> Check:
    def check(value: Any) -> Complaint:
        strangers = [name for name in value if name not in known and "@" not in name]
        return f" has no {', '.join(strangers)}" if strangers else None

    return check


def _items(part: Check) -> Check:
    def check(value: Any) -> Complaint:
        for position, item in enumerate(value):
            complaint = part(item)
            if complaint:
                return f"[{position}]{complaint}"
        return None

    return check


def _enum(members: frozenset[Any]) -> Check:
    return lambda value: None if value in members else f" is none of {sorted(members)}: {value!r}"


def _format(name: str) -> Check:
    pattern = _FORMATS.get(name)
    if pattern is None:
        raise DriftError(f"the schema has a format that is not read: {name}")
    return lambda value: None if pattern.fullmatch(value) else f" is no {name}: {value!r}"
