"""Pages of listings, and in which form a request wants ids."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from graph.wire import Answer, Ask, Json


def wants_immutable(ask: Ask) -> bool:
    """Whether the request prefers immutable ids."""
    return ask.prefers().get("idtype", "").lower() == "immutableid"


def paged(ask: Ask, parameters: Mapping[str, str], values: list[Json], size: int) -> Answer:
    """One page of a short listing."""
    skip = int(parameters.get("skip", "0"))
    body: Json = {"value": values[skip : skip + size]}
    if parameters.get("count") == "true":
        body["@odata.count"] = len(values)
    if skip + size < len(values):
        body["@odata.nextLink"] = next_link(ask, skip + size)
    return Answer(200, body)


def next_link(ask: Ask, skip: int) -> str:
    """The request again with another `$skip`."""
    kept = [(name, value) for name, value in ask.query if name.lower().removeprefix("$") != "skip"]
    return f"{ask.base}{quote(ask.path)}?{urlencode([*kept, ('$skip', str(skip))])}"
