"""The part of OData that Graph understands for mail and calendars; everything else is refused as Graph refuses it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from graph.clock import seconds_of
from graph.wire import Ask, Json, Refusal

LIST_PAGE: Final = 10
LARGEST_PAGE: Final = 1000

_COMPARISON: Final = re.compile(r"\s*([A-Za-z/]+)\s+(eq|ne|ge|gt|le|lt)\s+('[^']*'|\S+)\s*")
OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda left, right: bool(left == right),
    "ne": lambda left, right: bool(left != right),
    "ge": lambda left, right: bool(left >= right),
    "gt": lambda left, right: bool(left > right),
    "le": lambda left, right: bool(left <= right),
    "lt": lambda left, right: bool(left < right),
}

Comparison = tuple[str, str, Any]


def only(ask: Ask, allowed: Iterable[str]) -> dict[str, str]:
    """The query parameters, of which none may be another than those allowed."""
    parameters = ask.parameters()
    strangers = sorted(set(parameters) - {name.lower() for name in allowed})
    if strangers:
        raise Refusal(
            400, "ErrorInvalidUrlQuery", f"The query parameter is not supported: {', '.join(strangers)}"
        )
    return parameters


def page_size(ask: Ask, parameters: Mapping[str, str], default: int = LIST_PAGE) -> int:
    """How many items a page may have."""
    wanted = parameters.get("top") or ask.prefers().get("odata.maxpagesize") or str(default)
    if not wanted.isdigit() or not 1 <= int(wanted) <= LARGEST_PAGE:
        raise Refusal(400, "ErrorInvalidUrlQuery", "The limit of '1000' for Top query has been exceeded.")
    return int(wanted)


def names(text: str | None) -> frozenset[str] | None:
    """What `$select` names, or None for everything."""
    return frozenset(part.strip() for part in text.split(",")) if text else None


def selected(entity: Json, select: frozenset[str] | None, on_request: frozenset[str]) -> Json:
    """The properties asked for, `id` and the annotations; without `$select` all but those that only it brings."""
    return {
        name: value
        for name, value in entity.items()
        if "@" in name or name == "id" or (name in select if select is not None else name not in on_request)
    }


def comparisons(text: str | None) -> list[Comparison]:
    """A filter of comparisons joined by `and`."""
    parts = re.split(r"\s+and\s+", text) if text else []
    return [_comparison(part) for part in parts]


def _comparison(text: str) -> Comparison:
    found = _COMPARISON.fullmatch(text)
    if found is None:
        raise Refusal(400, "BadRequest", f"Invalid filter clause: {text}")
    name, operator, written = found.groups()
    return name, operator, _value(written)


def _value(written: str) -> Any:
    if written.startswith("'"):
        return written[1:-1]
    if written in {"true", "false"}:
        return written == "true"
    try:
        return seconds_of(written)
    except ValueError as error:
        raise Refusal(400, "BadRequest", f"Invalid filter clause: {written}") from error


def holds(comparison: Comparison, entity: Mapping[str, Any]) -> bool:
    """Whether an entity passes; times are compared as seconds."""
    name, operator, right = comparison
    left = entity.get(name)
    if isinstance(right, float) and isinstance(left, str):
        left = seconds_of(left)
    return left is not None and OPERATORS[operator](left, right)


def order(text: str | None, filtered: list[Comparison]) -> tuple[str, bool] | None:
    """(property, descending); what is sorted by must lead the filter."""
    if not text:
        return None
    name, _, direction = text.partition(" ")
    if filtered and filtered[0][0] != name:
        raise Refusal(
            400, "InefficientFilter", "The restriction or sort order is too complex for this operation."
        )
    return name, direction.strip().lower() == "desc"
