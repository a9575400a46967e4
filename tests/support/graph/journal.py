"""What a delta stream knows: a journal of changes in the order in which they become visible, and rounds over it."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal["added", "changed", "removed"]

FOREIGN: Final = "AAMkSomethingThatWasNeverShown"


@dataclass(frozen=True)
class Quirks:
    """How unlike a well-behaved list the answers are. Shares are probabilities, times are seconds."""

    short_pages: float = 0.0
    empty_pages: float = 0.0
    empty_first_page: bool = False
    repeats: float = 0.0
    """An item stands in a round a second time, most often on another page."""
    replays: float = 0.0
    """An item that changed before the last cursor is told again as it is."""
    every_state: bool = False
    """What became of an item meanwhile is told too, before what it is now."""
    shuffle: bool = False
    unseen_removals: float = 0.0
    """A removal of something that was never shown, in first rounds too."""
    lag: tuple[float, float] = (0.0, 0.0)
    """From when to when after a change the delta of its folder shows it."""
    series_removal: Literal["master", "all"] = "master"
    """What is told of a deleted series: its master, or each occurrence too."""

    @classmethod
    def wild(cls) -> Quirks:
        """Everything that Graph's rules allow."""
        return cls(
            short_pages=0.5,
            empty_pages=0.2,
            empty_first_page=True,
            repeats=0.2,
            replays=0.2,
            every_state=True,
            shuffle=True,
            unseen_removals=0.2,
            lag=(0.0, 30.0),
        )


@dataclass(frozen=True)
class Entry:
    """One change of one item. `shown` is its mutable id then; `fields` are those that changed; `again`: it was told before."""

    key: str
    shown: str
    kind: Kind
    fields: frozenset[str] = frozenset()
    reason: str = "deleted"
    again: bool = False


@dataclass(frozen=True)
class Step:
    """One item of a round. `fields` is None where it comes whole."""

    key: str
    shown: str
    removed: str = ""
    """The reason of a removal."""
    fields: frozenset[str] | None = None


@dataclass
class Journal:
    """Changes as they become visible, and what they leave to be seen."""

    entries: list[Entry] = field(default_factory=list)
    present: dict[str, str] = field(default_factory=dict)
    """The mutable id by key."""
    generation: int = 0
    """Cursors of a lower one are forgotten."""
    how_forgotten: str = "gone"
    _late: list[tuple[float, int, Entry]] = field(default_factory=list)
    _told: int = 0

    def tell(self, entry: Entry, visible_at: float, now: float) -> None:
        """Takes a change, to be seen from `visible_at` on."""
        self._told += 1
        heapq.heappush(self._late, (visible_at, self._told, entry))
        self.settle(now)

    def settle(self, now: float) -> None:
        """Makes visible what is due."""
        while self._late and self._late[0][0] <= now:
            entry = heapq.heappop(self._late)[2]
            if entry.again and entry.key not in self.present:
                continue  # it has gone meanwhile: a stream that told it now would never say so
            self.entries.append(entry)
            if entry.kind == "added":
                self.present[entry.key] = entry.shown
            elif entry.kind == "removed":
                self.present.pop(entry.key, None)

    def waits_until(self) -> float | None:
        """When the last change that is not seen yet will be."""
        return max((at for at, _, _ in self._late), default=None)

    def first_round(self) -> list[Step]:
        """Everything that is there."""
        return [Step(key, shown) for key, shown in self.present.items()]

    def round_since(self, position: int, *, every_state: bool) -> list[Step]:
        """What changed after the first `position` changes; the last word on an item is its last one here."""
        runs: dict[str, list[Entry]] = {}
        for entry in self.entries[position:]:
            runs.setdefault(entry.key, []).append(entry)
        if every_state:
            return [step for run in runs.values() for step in _states(run)]
        return [_states(run)[-1] for run in runs.values()]

    def as_it_is(self, key: str, shown: str) -> Step:
        """An item told again."""
        return Step(key, self.present[key]) if key in self.present else Step(key, shown, removed="deleted")


def _states(run: list[Entry]) -> list[Step]:
    """Each entry as a step: partial as long as the item came whole neither before in the round nor now."""
    steps: list[Step] = []
    fields: frozenset[str] | None = frozenset()
    for entry in run:
        if entry.kind == "removed":
            fields = frozenset()
            steps.append(Step(entry.key, entry.shown, removed=entry.reason))
            continue
        fields = None if fields is None or entry.kind == "added" else fields | entry.fields
        steps.append(Step(entry.key, entry.shown, fields=fields))
    return steps


def disturbed(
    steps: list[Step], journal: Journal, position: int, quirks: Quirks, rng: random.Random
) -> list[Step]:
    """A round as Graph may give it: replays, repeats, strangers, any order; the last word on an item stays the last."""
    told = {step.key for step in steps}
    old = [entry for entry in journal.entries[:position] if entry.key not in told]
    if old and rng.random() < quirks.replays:
        entry = rng.choice(old)
        steps = [*steps, journal.as_it_is(entry.key, entry.shown)]
    if rng.random() < quirks.unseen_removals:
        steps = [
            *steps,
            Step(f"{FOREIGN}{rng.randrange(10**9)}=", f"{FOREIGN}{rng.randrange(10**9)}=", removed="deleted"),
        ]
    places = [rng.random() if quirks.shuffle else float(index) for index in range(len(steps))]
    places = _in_turn(steps, places)
    last = {step.key: step for step in steps}
    repeated = [
        (rng.uniform(place, len(steps)), step)
        for place, step in zip(places, steps, strict=True)
        if step is last[step.key] and rng.random() < quirks.repeats
    ]
    placed = [*zip(places, steps, strict=True), *repeated]
    return [step for _, step in sorted(placed, key=lambda pair: pair[0])]


def _in_turn(steps: list[Step], places: list[float]) -> list[float]:
    """The same places, dealt out so that the states of one item stand in their order."""
    mine: dict[str, list[float]] = {}
    for step, place in zip(steps, places, strict=True):
        mine.setdefault(step.key, []).append(place)
    turns = {key: iter(sorted(own)) for key, own in mine.items()}
    return [next(turns[step.key]) for step in steps]
