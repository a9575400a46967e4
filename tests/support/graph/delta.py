"""Delta links: opaque, bound to what they were asked for, and gone when the service forgets them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol
from urllib.parse import quote

from graph.journal import Journal, Quirks, Step, disturbed
from graph.query import page_size
from graph.wire import Answer, Ask, Json, Refusal

CONTINUATIONS: Final = frozenset({"skiptoken", "deltatoken"})


class Stream(Protocol):
    """Something that has a delta."""

    @property
    def resource(self) -> str:
        """What tokens are bound to; two streams never have the same."""

    @property
    def path(self) -> str:
        """Below the version, as links have it."""

    @property
    def journal(self) -> Journal:
        """What changed in it."""

    @property
    def default_page(self) -> int:
        """Items of a page when the client does not say."""

    def options(self, ask: Ask) -> Mapping[str, str]:
        """What a first request binds into the cursor; a `Refusal` for what it must not ask."""

    def steps(self, options: Mapping[str, str], since: int | None, quirks: Quirks) -> list[Step]:
        """What changed since a position, or everything there is."""

    def render(self, step: Step, options: Mapping[str, str], ask: Ask) -> Json | None:
        """The JSON of a step as things are now, None when there is nothing to tell any more."""


@dataclass
class Round:
    """One pass over a stream, which ends at a position of its journal."""

    steps: list[Step]
    end: int


@dataclass
class Cursor:
    """What a token stands for: the next page of a round, or the place where the next round begins."""

    resource: str
    options: Mapping[str, str]
    generation: int
    position: int
    round: Round | None = None
    offset: int = 0
    first: bool = False


@dataclass
class Cursors:
    """All tokens given out, and the complaints about what was done with them."""

    seed: int
    quirks: Quirks
    violations: list[str]
    followed: dict[str, int] = field(default_factory=dict)
    """Up to where somebody knows each resource: where the newest round that goes on began."""
    _all: dict[str, Cursor] = field(default_factory=dict)
    _count: int = 0

    def answer(self, stream: Stream, ask: Ask, now: float) -> Answer:
        """One page of a delta."""
        stream.journal.settle(now)
        parameters = ask.parameters()
        if list(parameters.items()) == [("deltatoken", "")]:
            # Where the Location of a reset leads: from nothing, with nothing asked for.
            token, cursor = self._begun(stream, stream.options(replace(ask, query=())), None)
        elif CONTINUATIONS & set(parameters):
            token, cursor = self._continued(stream, ask, parameters)
            if cursor.round is None:
                self.followed[stream.resource] = cursor.position
                token, cursor = self._begun(stream, cursor.options, cursor.position)
        else:
            token, cursor = self._begun(stream, stream.options(ask), None)
        return self._page(stream, ask, token, cursor)

    def _continued(self, stream: Stream, ask: Ask, parameters: Mapping[str, str]) -> tuple[str, Cursor]:
        if len(parameters) != 1:
            self.violations.append(f"a delta link was changed: {sorted(parameters)}")
            raise Refusal(400, "BadRequest", "Parameters are not allowed beside a token.")
        token = next(iter(parameters.values()))
        cursor = self._all.get(token)
        if cursor is None or cursor.resource != stream.resource:
            if cursor is not None:
                self.violations.append(f"the link of {cursor.resource} was used for {stream.resource}")
            raise Refusal(400, "syncStateInvalid", "The sync state is invalid.")
        if cursor.generation != stream.journal.generation:
            raise forgotten(stream.journal.how_forgotten, ask)
        return token, cursor

    def _begun(self, stream: Stream, options: Mapping[str, str], since: int | None) -> tuple[str, Cursor]:
        journal = stream.journal
        self._count += 1
        token = f"{self.seed} round {self._count}"
        steps = stream.steps(options, since, self.quirks)
        steps = disturbed(steps, journal, since or 0, self.quirks, random.Random(token))
        end = len(journal.entries)
        first = since is None and self.quirks.empty_first_page
        return token, Cursor(
            stream.resource, options, journal.generation, end, Round(steps, end), first=first
        )

    def _page(self, stream: Stream, ask: Ask, token: str, cursor: Cursor) -> Answer:
        assert cursor.round is not None
        rng = random.Random(token)
        until = cursor.offset + self._length(
            cursor, page_size(ask, {}, int(cursor.options.get("top", stream.default_page))), rng
        )
        steps = cursor.round.steps[cursor.offset : until]
        value = [
            json for json in (stream.render(step, cursor.options, ask) for step in steps) if json is not None
        ]
        over = until >= len(cursor.round.steps) and not cursor.first
        following = Cursor(
            cursor.resource,
            cursor.options,
            cursor.generation,
            cursor.round.end,
            None if over else cursor.round,
            0 if over else until,
        )
        link = self._link(stream, ask, token, following)
        body: Json = {
            "@odata.context": f"{ask.base}/v1.0/$metadata#Collection(microsoft.graph)",
            "value": value,
        }
        return Answer(200, {**body, ("@odata.deltaLink" if over else "@odata.nextLink"): link})

    def _length(self, cursor: Cursor, largest: int, rng: random.Random) -> int:
        assert cursor.round is not None
        left = len(cursor.round.steps) - cursor.offset
        if cursor.first or (left and rng.random() < self.quirks.empty_pages):
            return 0
        if rng.random() < self.quirks.short_pages:
            return rng.randint(1, largest)
        return largest

    def _link(self, stream: Stream, ask: Ask, token: str, cursor: Cursor) -> str:
        """The same page asked for again has the same link: its token is drawn from the page's own."""
        following = hashlib.sha256(f"{token} {cursor.offset} {cursor.position}".encode()).hexdigest()
        self._all.setdefault(following, cursor)
        name = "deltatoken" if cursor.round is None else "skiptoken"
        path = quote(stream.path, safe="/()'")
        return f"{ask.base}/v1.0/{path}?${name}={following}"


def forgotten(how: str, ask: Ask) -> Refusal:
    """The shapes in which Graph says that it does not know a cursor any more."""
    location = f"{ask.base}{ask.path}?$deltaToken="
    message = "The sync state generation is not found; generation=149;[highest=157][157][155][156]."
    match how:
        case "gone":
            return Refusal(410, "SyncStateNotFound", message)
        case "gone_with_location":
            return Refusal(410, "resyncRequired", message, headers={"Location": location})
        case "gone_inside":
            return Refusal(400, "BadRequest", "The request failed.", inner="SyncStateNotFound")
        case "sync_state_invalid":
            return Refusal(400, "syncStateInvalid", "The sync state is invalid.")
    raise ValueError(how)
