"""Generated calendars of one company give the oracle's meetings, whatever order, lane, duplicate or crash comes between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from arrivals import arrivals, play
from directory_entries import at, entry, excluded, tenant
from meeting_pages import (
    PEOPLE,
    assert_as_the_contract_says,
    attendee,
    day,
    day_ms,
    event,
    gone,
    publish,
    shown,
)
from memory_pipeline import MemoryPipeline
from naive_meetings import OUTLOOK, WRAPPED, NaiveMeetings, Said
from rapport_schemas.records import Change, DirectoryEntry, EventFields

T = TypeVar("T")
CALENDARS: Final = {"cal-ann": "ann", "cal-bob": "bob", "cal-eve": "eve", "home-ann": "ann"}
ADDRESSES: Final = {
    "ann": ["ann@acme.com", "ann.berg@acme.com"],
    "bob": ["bob@acme.com"],
    "eve": ["eve@acme.com", "eve@home.example"],
}
"""The last one is recorded late, or never."""
OUTSIDE: Final = ("x@kund.se", "Y@Kund.se", "z@stranger.example", "q@other.org")
ZONES: Final = ("Europe/Stockholm", "America/New_York", "Asia/Kolkata", "UTC")
ROLES: Final = ("chair", "required", "required", "optional", "none")
ANSWERS: Final = ("accepted", "declined", "tentative", "none", "")
OTHER: Final[list[DirectoryEntry]] = [
    entry("customer", "other", "other.org"),
    entry("contact", "quin", "q@other.org", customer="other"),
    entry("contact", "rita", at("q@other.org", day_ms(2)), "y@kund.se", customer="other"),
]
EXCLUSION: Final = entry("exclusion", "address:y@kund.se", "y@kund.se")
PAIR: Final = excluded(pair=("bob", "quin"))
RULES: Final = {
    "contact_address",
    "customer_domain",
    "sync_unknown_organizer",
    "owner_not_listed",
    "unknown_organizer",
    "no_customer",
    "internal",
    "excluded",
    "private_meeting",
    "not_a_meeting",
}
RANGES: Final = ((None, None), (day_ms(-5.01), day_ms(5.01)))
SEEDS = st.integers(0, 1 << 32)
"""Whole cases are drawn from a seed, so that many can be tried; a failing seed is a failing case."""


@dataclass(frozen=True)
class Plan:
    """An occurrence as it was meant; the calendars' versions of it are made from this."""

    number: int
    uid: str
    start: str
    original_start: str
    series: str
    organizer: str
    kind: str
    invited: tuple[str, ...]
    sequenced: bool


class Case:
    """A few meetings, and what up to four calendars say of them page by page."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._fetch = 0
        self.zone = self._random.choice(ZONES)
        self.before, self.after = self._directories()
        self._plans = [plan for number in range(self._random.randint(1, 3)) for plan in self._plan(number)]
        calendars = self._some(list(CALENDARS), 1)
        self.blocks = [block for name in calendars for block in self._history(name)]

    @property
    def pages(self) -> list[Said]:
        """Everything that was ever said, once."""
        return [page for block in self.blocks for page in block]

    @property
    def directory(self) -> list[DirectoryEntry]:
        """The records as they are at the end."""
        changed = {(record["kind"], record["id"]) for record in self.after}
        kept = [record for record in self.before if (record["kind"], record["id"]) not in changed]
        return [*kept, *(record for record in self.after if not record["deleted"])]

    def _some(self, values: Sequence[T], least: int = 0) -> list[T]:
        return self._random.sample(values, self._random.randint(least, len(values)))

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _tenant(self, zone: str) -> DirectoryEntry:
        pick = self._random.choice
        return tenant(
            "acme.com",
            timezone=zone,
            private_meetings=pick(["count", "skip"]),
            sync_unknown_organizer=pick([True, False]),
            match_by=pick(["address", "domain"]),
            owner_must_be_listed=self._chance(0.15),
            contact_history=pick(["current", "current", "as_of", {"grace_hours": 24}]),
            ambiguous=pick(["all", "oldest", "review"]),
        )

    def _directories(self) -> tuple[list[DirectoryEntry], list[DirectoryEntry]]:
        """What is known at first, and what is recorded later."""
        pick = self._random.choice
        first = [self._tenant(self._random.choice([self.zone, *ZONES])), *PEOPLE, *OTHER]
        late = [
            entry("member", "eve", ADDRESSES["eve"][0], at(ADDRESSES["eve"][1], pick([None, day_ms(0)]))),
            entry("exclusion", EXCLUSION["id"], "y@kund.se", deleted=self._chance(0.5)),
        ]
        first += [rule for rule in (EXCLUSION, PAIR) if self._chance(0.2)]
        return first, [self._tenant(self.zone), *[record for record in late if self._chance(0.4)]]

    def _plan(self, number: int) -> list[Plan]:
        pick = self._random.choice
        form = pick(["", "Z", "date"])
        first, clock = self._random.randint(-9, 9), f"{self._random.randint(0, 23):02d}:00:00"
        starts = [
            day(first + 7 * week) if form == "date" else day(first + 7 * week, clock + form)
            for week in range(3)
        ]
        is_series = self._chance(0.5)
        everybody = [address for every in ADDRESSES.values() for address in every] + list(OUTSIDE)
        uid = pick([f"plain-{number}@google.com", "outlook", "wrapped", "outlook" if is_series else ""])
        plan = Plan(
            number=number,
            uid=uid,
            start=starts[0],
            original_start="",
            series=f"series-{number}" if is_series else "",
            organizer=pick(["", *everybody]),
            kind=pick([*[""] * 16, "focusTime", "freeBusy"]),
            invited=self._invited(everybody),
            sequenced=self._chance(0.6),
        )
        if not is_series:
            return [plan]
        return [
            replace(plan, start=start, original_start=start) for start in starts[: self._random.randint(1, 3)]
        ]

    def _invited(self, everybody: list[str]) -> tuple[str, ...]:
        """A member under one address only: which of two answers counts is nobody's business."""
        owners = {address: member for member, every in ADDRESSES.items() for address in every}
        return tuple({owners.get(address, address): address for address in self._some(everybody)}.values())

    def _uid(self, plan: Plan) -> str:
        """The UID in one of the ways in which calendars write the same one."""
        plain = f"wrapped-{plan.number}@google.com"
        content = (WRAPPED + plain.encode() + b"\0") if plan.uid == "wrapped" else bytes([plan.number]) * 16
        if plan.uid not in ("outlook", "wrapped"):
            return plan.uid
        if plan.uid == "wrapped" and self._chance(0.5):
            return plain
        instance = bytes([7, 234, self._random.randint(1, 12), 5]) if self._chance(0.5) else bytes(4)
        data = bytes.fromhex(OUTLOOK) + instance + bytes(16) + len(content).to_bytes(4, "little") + content
        return data.hex() if self._chance(0.5) else data.hex().upper()

    def _version(self, plan: Plan, member: str) -> EventFields:
        """The occurrence as a member's calendar has it after so many changes."""
        pick, version = self._random.choice, self._random.randint(0, 2)
        people = [attendee(a, pick(ANSWERS), role=pick(ROLES)) for a in plan.invited if self._chance(0.8)]
        people += [attendee("room@kund.se", "accepted", kind="room")] if self._chance(0.2) else []
        people += [attendee("", kind="unknown")] if self._chance(0.1) else []
        is_listed = any(one["address"] in ADDRESSES[member] for one in people)
        organizes = plan.organizer in ("", *ADDRESSES[member])
        return event(
            self._uid(plan),
            self._moved(plan.start) if version else plan.start,
            *people,
            original_start=plan.original_start,
            series=plan.series,
            organizer=plan.organizer.upper() if self._chance(0.2) else plan.organizer,
            owner_organizes=organizes and self._chance(0.5),
            owner_response="" if is_listed else pick(ANSWERS),
            status=pick(["confirmed", "confirmed", "confirmed", "tentative", "cancelled"]),
            kind=plan.kind,
            title=f"Version {version}",
            location=pick(["Here", "There"]),
            visibility=pick([*["public"] * 8, "private", "confidential"]),
            sequence=version if plan.sequenced and self._chance(0.8) else None,
            updated=pick([None, 1, 2, 3]),
        )

    def _moved(self, start: str) -> str:
        """Some days later, in the same form."""
        moved = start[:8] + f"{min(28, int(start[8:10]) + self._random.randint(0, 2)):02d}" + start[10:]
        return max(moved, start)

    def _history(self, calendar: str) -> list[list[Said]]:
        """Blocks of pages: single ones, and listings, whose pages stay in their order."""
        streams = ["primary", "shared"] if self._chance(0.2) else ["primary"]
        lists = len(streams) == 1 and self._chance(0.6)
        known = {f"{calendar}-{index}": plan for index, plan in enumerate(self._plans) if self._chance(0.8)}
        blocks, now = [], -12.0
        for _ in range(self._random.randint(1, 4)):
            now += self._random.random() * 8
            if lists and self._chance(0.5):
                blocks.append(self._listing(calendar, known, now, self._random.choice(RANGES)))
            else:
                said = {id_: plan for id_, plan in known.items() if self._chance(0.7)}
                changes = [self._change(id_, plan, calendar, now) for id_, plan in said.items()]
                blocks.append([self._page(calendar, now, changes, stream=self._random.choice(streams))])
        return blocks

    def _page(self, calendar: str, now: float, changes: Sequence[Change] = (), **fields: Any) -> Said:
        self._fetch += 1
        fields = {"stream": "primary", **fields}
        return Said(
            calendar,
            CALENDARS[calendar],
            fetch=self._fetch,
            published_at=day_ms(now),
            changes=tuple(changes),
            **fields,
        )

    def _change(self, id_: str, plan: Plan, calendar: str, now: float) -> Change:
        if self._chance(0.7):
            return shown(id_, self._version(plan, CALENDARS[calendar]))
        when = None if self._chance(0.5) else day_ms(now - self._random.random() * 3)
        return gone(id_, when, op="replaced" if self._chance(0.2) else "removed")

    def _listing(
        self, calendar: str, known: dict[str, Plan], now: float, bounds: tuple[int | None, int | None]
    ) -> list[Said]:
        name = f"listing-{self._fetch}"
        begin = self._page(
            calendar, now, type="listing_begin", listing=name, range_from=bounds[0], range_to=bounds[1]
        )
        changes = [
            shown(i, self._version(p, CALENDARS[calendar])) for i, p in known.items() if self._chance(0.5)
        ]
        pages = [self._page(calendar, now, [change], listing=name) for change in changes]
        end = [] if self._chance(0.2) else [self._page(calendar, now, type="listing_end", listing=name)]
        return [begin, *pages, *end]


def run(case: Case, seed: int, *, partitions: int = 8, crash_rate: float = 0.0) -> MemoryPipeline:
    """The pages in an order of the seed's choice; the directory before, between or after them."""
    random = Random(seed)
    pipeline = MemoryPipeline(partitions=partitions, seed=seed, crash_rate=crash_rate)
    arriving = arrivals(case.blocks, random)
    play(pipeline, arriving, publish, (case.before, case.after), random)
    return pipeline


def check_against_the_oracle(seed: int, partitions: int = 8, crash_rate: float = 0.0) -> list[str]:
    """Compares every field of every meeting; returns the rules that were met."""
    case = Case(seed)
    pipeline = run(case, seed, partitions=partitions, crash_rate=crash_rate)
    assert pipeline.dead() == []
    assert_as_the_contract_says(pipeline, case.pages, case.directory, case.zone)
    return [item["rule"] for item, body in pipeline.items().values() if body is not None]


@settings(deadline=None, max_examples=100)
@given(SEEDS, st.sampled_from([1, 3, 8]), st.sampled_from([0, 0.25]))
def test_the_items_are_what_a_plain_reading_of_the_contract_says(
    seed: int, partitions: int, crash_rate: float
) -> None:
    """Any order that keeps the fetch numbers, any batches, duplicates, partitions and crashes; directory at any time."""
    check_against_the_oracle(seed, partitions, crash_rate)


def test_the_oracle_is_asked_about_every_rule() -> None:
    """Fixed cases meet each rule and each kind of state, so that agreement means something."""
    met: Counter[str] = Counter()
    for seed in range(600):
        case = Case(seed)
        for meeting in NaiveMeetings(case.pages, case.directory, case.zone).meetings():
            met[meeting.rule] += 1
            met["cancelled"] += meeting.synced and meeting.cancelled
            met["declined"] += bool(meeting.declined)
            met["private"] += meeting.synced and meeting.private
            met["all_day"] += meeting.synced and meeting.all_day
            met["colleagues"] += len(meeting.members) > 1
            met["ambiguous"] += meeting.ambiguous
    assert met.keys() >= RULES
    assert min(met.values()) >= 10, met


def everything(pipeline: MemoryPipeline) -> dict[str, Any]:
    """All that may be seen of the items, by public id."""
    return {
        id_: (
            {**item, "sealed": b"", "assignment": 0, "origin": None},
            {**body, "copies": sorted(body["copies"])},
        )
        for id_, (item, body) in pipeline.items().items()
        if body is not None
    }


@settings(deadline=None, max_examples=30)
@given(SEEDS, SEEDS, st.sampled_from([1, 3, 8]))
def test_the_same_pages_in_any_order_give_the_same_items(seed: int, other: int, partitions: int) -> None:
    """Public ids, threads, people and reasons included."""
    case = Case(seed)
    calm = run(case, seed)
    wild = run(case, other, partitions=partitions, crash_rate=0.25)
    assert everything(wild) == everything(calm)


@settings(deadline=None, max_examples=30)
@given(SEEDS)
def test_occurrences_of_one_series_and_nothing_else_share_a_thread(seed: int) -> None:
    """A single meeting is a conversation of its own."""
    pipeline = run(Case(seed), seed)
    items = [(body["message_id"], item["thread_key"]) for item, body in pipeline.items().values() if body]
    assert len(set(items)) == len({uid for uid, _ in items}) == len({key for _, key in items})


@settings(deadline=None, max_examples=15)
@given(SEEDS, st.sampled_from([1, 3, 8]))
def test_a_mark_leaves_only_when_every_calendar_before_it_is_published(seed: int, partitions: int) -> None:
    """When the last partition lets a mark go, the meetings are already what they are at the end."""
    case = Case(seed)
    pipeline = MemoryPipeline(partitions=partitions, seed=seed, crash_rate=0.1)
    pipeline.publish_entries([*case.before, *case.after])
    for page, lane in arrivals(case.blocks, Random(seed)):
        publish(pipeline, page, lane)
    pipeline.publish_mark("mark-1")
    while pipeline.marks_left().get("mark-1", 0) < partitions:
        assert pipeline.step(), "everything is done and the mark has not left"
    at_mark = everything(pipeline)
    assert_as_the_contract_says(pipeline, case.pages, case.directory, case.zone)
    pipeline.run()
    assert everything(pipeline) == at_mark


@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_unreadable_times_are_dead_letters_and_everything_else_goes_on(seed: int) -> None:
    """An event without a readable time on every page changes nothing else."""
    case = Case(seed)
    pipeline = MemoryPipeline(seed=seed)
    pipeline.publish_entries([*case.before, *case.after])
    bad = 0
    for page in case.pages:
        broken = shown(f"bad-{bad}", {**event("u", day(1)), "start": "2026-02-30"})
        damaged = replace(page, changes=(*page.changes, broken)) if page.type == "changes" else page
        bad += page.type == "changes"
        publish(pipeline, damaged)
    pipeline.run()
    assert pipeline.dead() == ["bad_time"] * bad
    assert_as_the_contract_says(pipeline, case.pages, case.directory, case.zone)
