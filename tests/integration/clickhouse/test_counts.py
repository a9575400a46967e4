"""Every number against a count in plain Python, and every drill-down against its number, on the real engine."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from board_oracle import Fact, Oracle
from clickhouse import TestServer
from item_records import TENANT
from rapport_core.clock import to_ms
from rapport_core.errors import ConfigError
from rapport_sinks.clickhouse.client import ClickHouse
from rapport_sinks.clickhouse.queries import Impact
from rapport_sinks.clickhouse.tables import ITEMS, SUBJECTS, THREAD_ALIAS, THREAD_ITEMS, Table

ZONE = ZoneInfo("Europe/Stockholm")
# Two days after the clocks went back, so that windows have a day of 25 hours in them.
NOW = datetime(2026, 10, 27, 9, 30, tzinfo=UTC)
NAMES = {
    "member": {"m1": "Mia", "m2": "Max", "m3": "Mo", "m9": "Without mail"},
    "customer": {"c1": "Kund", "c2": "Client", "c9": "Silent"},
    "contact": {"p1": "Per", "p2": "Pia"},
}
LABELS = {"bb": "aa", "dd": "cc"}
ACTIVE_GEN = Table("active_gen", {"tenant": "String", "gen": "UInt32", "ver": "UInt64"})


def put(client: ClickHouse, facts: list[Fact], *, tenant: str = TENANT, gen: int = 1, ver: int = 1) -> None:
    """Write facts as the sink would, meetings' columns included."""
    rows = [_row(fact, tenant, gen, ver) for fact in facts]
    client.insert(ITEMS, rows)
    client.insert(THREAD_ITEMS, rows)


def _row(fact: Fact, tenant: str, gen: int, ver: int) -> tuple[Any, ...]:
    at = None if fact.at is None else to_ms(fact.at)
    values: dict[str, Any] = dict.fromkeys(ITEMS.columns, "")
    values |= {name: [] for name, kind in ITEMS.columns.items() if kind.startswith("Array")}
    values |= {name: sorted(value) for name, value in vars(fact).items() if isinstance(value, frozenset)}
    values |= {"tenant": tenant, "gen": gen, "item_id": fact.id, "kind": fact.kind, "thread_key": fact.thread}
    values |= {
        "day": 0 if at is None else at // 86_400_000,
        "at": at,
        "ends": None,
        "mail_class": fact.mail_class,
    }
    values |= {"cancelled": int(fact.cancelled), "ambiguous": 0, "copies": 1, "ver": ver, "is_deleted": 0}
    values |= {"all_day": 0, "private": 0}
    return tuple(values[name] for name in ITEMS.columns)


def put_directory(client: ClickHouse, settings: dict[str, Any] | None = None, tenant: str = TENANT) -> None:
    """The tenant and everybody in its directory."""
    text = json.dumps({"timezone": ZONE.key, "settings": settings or {}})
    rows = [(tenant, "tenant", tenant, "Acme", "", text, 1, 0)]
    rows += [
        (tenant, kind, who, name, "", "", 1, 0)
        for kind, names in NAMES.items()
        for who, name in names.items()
    ]
    client.insert(SUBJECTS, rows)
    client.insert(THREAD_ALIAS, [(tenant, 1, key, label, 1) for key, label in LABELS.items()])


def some(rng: random.Random, kind: str, most: int = 2) -> frozenset[str]:
    """Some subjects, `gone` among them: one that the directory does not know any more."""
    return frozenset(rng.sample([*NAMES[kind], f"{kind}-gone"][:3], rng.randint(0, most)))


def random_facts(rng: random.Random, count: int) -> list[Fact]:
    """Facts around every edge: midnights in the zone, the hour that comes twice, now, far away, no time at all."""
    edges = [datetime(2026, 10, day, tzinfo=ZONE).astimezone(UTC) for day in (20, 24, 25, 26, 27, 28, 30)]
    edges += [datetime(2026, 11, day, tzinfo=ZONE).astimezone(UTC) for day in (3, 6, 26)]
    edges += [
        NOW,
        datetime(2026, 9, 28, tzinfo=ZONE).astimezone(UTC),
        datetime(2026, 10, 25, 1, 0, tzinfo=UTC),
    ]
    facts = []
    for number in range(count):
        near = rng.choice(edges) + timedelta(seconds=rng.choice([-3600, -1, 0, 1, 3600, 7200]))
        far = NOW + timedelta(hours=rng.randrange(-24 * 90, 24 * 45))
        authors = rng.choice(["member", "customer", ""])
        facts.append(
            Fact(
                id=f"{number:032x}",
                at=rng.choice([near, far, far, None]),
                kind=rng.choice(["email", "email", "meeting"]),
                mail_class=rng.choice(["human", "human", "list", "bulk", "bounce"]),
                thread=rng.choice(["aa", "bb", "cc", "dd", "ee"]) + rng.choice(["", "", str(number)]),
                cancelled=rng.random() < 0.2,
                members=some(rng, "member"),
                declined_members=some(rng, "member", 1),
                customers=some(rng, "customer"),
                contacts=some(rng, "contact"),
                author_members=some(rng, "member", 1) if authors == "member" else frozenset(),
                author_customers=some(rng, "customer", 1) if authors == "customer" else frozenset(),
                author_contacts=some(rng, "contact", 1) if authors == "customer" else frozenset(),
            )
        )
    return facts


WINDOWS: list[tuple[int, date | None]] = [
    (30, None),
    (1, None),
    (3, None),
    (1, date(2026, 10, 25)),
    (7, date(2026, 10, 26)),
    (30, date(2026, 11, 5)),
    (1, date(2026, 12, 1)),
]


def fill(tables: ClickHouse) -> Impact:
    """Random facts of one tenant, and others beside it that must never be seen."""
    rng = random.Random(11)
    put_directory(tables)
    put_directory(tables, tenant="other")
    put(tables, random_facts(random.Random(7), 400))
    put(tables, random_facts(rng, 50), tenant="other")
    put(tables, random_facts(rng, 50), gen=2)
    return Impact(tables)


@pytest.fixture(scope="module")
def impact(server: TestServer) -> Iterator[Impact]:
    """A filled database that the tests here only read."""
    with server.database() as tables:
        yield fill(tables)


def oracle(days: int, until: date | None) -> Oracle:
    """The same facts, in Python."""
    return Oracle(random_facts(random.Random(7), 400), LABELS, ZONE, NOW, days, until)


@pytest.mark.parametrize("planned", [False, True])
@pytest.mark.parametrize("by", ["member", "customer", "contact"])
def test_every_number_equals_an_independent_count(impact: Impact, by: str, planned: bool) -> None:
    """Total, rows, their order, last interaction and last reply, in windows with every kind of edge."""
    for days, until in WINDOWS:
        found = impact.counts(TENANT, by, days, until, NOW, planned=planned)
        told = oracle(days, until).board(by, NAMES[by], planned=planned)
        assert {"total": found["total"], "rows": found["rows"]} == told


@pytest.mark.parametrize("by", ["member", "customer", "contact"])
def test_every_day_equals_an_independent_count(impact: Impact, by: str) -> None:
    """Of the total and of every row; all days of the window are there, in order, also empty ones and those to come."""
    for days, until in WINDOWS:
        found = impact.daily(TENANT, by, days, until, NOW)
        last = until or NOW.astimezone(ZONE).date()
        assert [day["day"] for day in found["days"]] == [
            (last - timedelta(days=back)).isoformat() for back in reversed(range(days))
        ]
        shown = {
            day["day"]: {None: dict(day["total"])} | {row["id"]: _without_id(row) for row in day["rows"]}
            for day in found["days"]
            if any(day["total"].values())
        }
        assert shown == oracle(days, until).daily(by)
        assert all(not day["rows"] for day in found["days"] if day["day"] not in shown)


@pytest.mark.parametrize("by", ["member", "customer", "contact"])
def test_days_add_up_to_the_board(impact: Impact, by: str) -> None:
    """Emails and meetings of each row and of the total, and of one subject asked for alone."""
    for days, until in WINDOWS:
        board = impact.counts(TENANT, by, days, until, NOW)
        found = impact.daily(TENANT, by, days, until, NOW)
        assert found["window"] == board["window"]
        assert _sums(day["total"] for day in found["days"]) == _sums([board["total"]])
        for row in board["rows"]:
            alone = impact.daily(TENANT, by, days, until, NOW, who=row["id"])
            lines = [line for day in alone["days"] for line in day["rows"]]
            assert {line["id"] for line in lines} <= {row["id"]}
            assert _sums(lines) == _sums([row])
            assert lines == [line for day in found["days"] for line in day["rows"] if line["id"] == row["id"]]


def test_a_members_own_days_add_up_to_its_own_board(impact: Impact) -> None:
    for by in ("member", "customer"):
        board = impact.counts(TENANT, by, 30, None, NOW, member="m1")
        days = impact.daily(TENANT, by, 30, None, NOW, member="m1")["days"]
        assert _sums(day["total"] for day in days) == _sums([board["total"]])
        rows = [line for day in days for line in day["rows"]]
        assert {line["id"] for line in rows} <= {row["id"] for row in board["rows"]}
        for row in board["rows"]:
            assert _sums(line for line in rows if line["id"] == row["id"]) == _sums([row])


def _without_id(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "id"}


def _sums(numbers: Iterable[Mapping[str, Any]]) -> list[int]:
    """What the days of a board add up to; a conversation may go on over several."""
    lines = list(numbers)
    return [sum(line[name] for line in lines) for name in ("emails", "sent", "received", "meetings")]


def test_a_members_own_board_equals_an_independent_count(impact: Impact) -> None:
    for by in ("customer", "contact"):
        found = impact.counts(TENANT, by, 30, None, NOW, member="m1")
        assert {"total": found["total"], "rows": found["rows"]} == oracle(30, None).restricted("m1").board(
            by, NAMES[by]
        )
    (row,) = impact.counts(TENANT, "member", 30, None, NOW, member="m1")["rows"]
    assert row in impact.counts(TENANT, "member", 30, None, NOW)["rows"]


@pytest.mark.parametrize(
    ("by", "member"), [("member", None), ("customer", None), ("contact", None), ("customer", "m1")]
)
def test_every_drill_down_is_as_long_as_its_number(impact: Impact, by: str, member: str | None) -> None:
    """Of each row and of the total, by kind, by direction, by conversation; the items are distinct."""
    board = impact.counts(TENANT, by, 30, None, NOW, member=member, planned=True)
    rows: list[tuple[str | None, Any]] = [
        (None, board["total"]),
        *((row["id"], row) for row in board["rows"]),
    ]
    for who, row in rows:
        asked: dict[str, Any] = {"now": NOW, "member": member} | ({by: who} if who is not None else {})

        def length(ask: Callable[..., Any] = impact.items, asked: dict[str, Any] = asked, **more: Any) -> int:
            page = ask(TENANT, **asked, **more)
            lines = page["items"] if isinstance(page, dict) else page
            assert len({line.get("id") or line.get("thread") for line in lines}) == len(lines)
            return len(lines)

        assert length() == row["emails"] + row["meetings"]
        assert length(kind="email") == row["emails"]
        assert length(kind="meeting") == row["meetings"]
        assert length(direction="sent") == row["sent"]
        assert length(direction="received") == row["received"]
        assert length(impact.conversations) == row["conversations"]
        assert length(planned=True) == length(planned=True, kind="meeting") == row["planned"]


def test_pages_of_a_drill_down_put_together_are_the_whole(impact: Impact) -> None:
    """Each page says the length of the whole."""
    whole = impact.items(TENANT, now=NOW, customer="c1")
    pages = [
        impact.items(TENANT, now=NOW, customer="c1", limit=7, offset=offset) for offset in range(0, 80, 7)
    ]
    assert [item for page in pages for item in page["items"]] == whole["items"]
    assert {page["total"] for page in pages} == {len(whole["items"])}
    times = [item["at"] or "" for item in whole["items"]]
    assert times == sorted(times, reverse=True)


def test_an_items_line_says_how_its_row_counts_it(impact: Impact) -> None:
    """In a member's row *sent* is sent by this member; in a customer's, by anybody of the team."""
    for asked, by in (({"member": "m1"}, "member"), ({"customer": "c1"}, "customer")):
        page = impact.items(TENANT, now=NOW, kind="email", **asked)  # type: ignore[arg-type]
        (row,) = [
            row for row in impact.counts(TENANT, by, 30, None, NOW)["rows"] if row["id"] in asked.values()
        ]
        directions = [item["direction"] for item in page["items"]]
        assert (directions.count("sent"), directions.count("received")) == (row["sent"], row["received"])


def test_counted_classes_are_the_tenants(tables: ClickHouse) -> None:
    put_directory(tables, {"counted_classes": ["bulk"]})
    facts = random_facts(random.Random(3), 100)
    put(tables, facts)
    told = Oracle(facts, LABELS, ZONE, NOW, 30, None, frozenset({"bulk"})).board("member", NAMES["member"])
    found = Impact(tables).counts(TENANT, "member", 30, None, NOW)
    assert {"total": found["total"], "rows": found["rows"]} == told


def test_a_tenant_sees_the_generation_that_was_chosen_for_it(tables: ClickHouse) -> None:
    """One row switches every answer, and another switches back."""
    impact = fill(tables)
    before = impact.counts(TENANT, "member", 30, None, NOW)
    tables.insert(ACTIVE_GEN, [(TENANT, 2, 1)])
    assert impact.generation(TENANT) == 2
    assert impact.counts(TENANT, "member", 30, None, NOW) != before
    tables.insert(ACTIVE_GEN, [(TENANT, 1, 2)])
    assert impact.counts(TENANT, "member", 30, None, NOW) == before


def test_a_newer_version_and_a_repeated_one_change_nothing_else(tables: ClickHouse) -> None:
    """Rows written twice, in unmerged parts, count once."""
    impact = fill(tables)
    before = impact.counts(TENANT, "customer", 30, None, NOW)
    put(tables, random_facts(random.Random(7), 400))
    put(tables, random_facts(random.Random(7), 200), ver=5)
    assert impact.counts(TENANT, "customer", 30, None, NOW) == before


def test_an_unknown_tenant_is_refused_in_one_sentence(impact: Impact) -> None:
    with pytest.raises(ConfigError, match="rapport directory load"):
        impact.counts("nobody", "member", 30, None, NOW)


def test_two_subjects_of_different_kinds_are_refused(impact: Impact) -> None:
    with pytest.raises(ConfigError, match="--contact"):
        impact.items(TENANT, now=NOW, customer="c1", contact="p1")


def test_hostile_ids_are_data(impact: Impact) -> None:
    """What a caller says is bound by the server and never becomes SQL."""
    for text in ("' OR 1=1 --", "{who:String}", "\\", "m1'", "\n", "\0", "💌", "%s", "%(x)s"):
        assert impact.items(TENANT, now=NOW, member=text)["items"] == []
        assert impact.item(TENANT, text) is None
        with pytest.raises(ConfigError):
            impact.scope(text, NOW)


def test_a_thread_is_read_by_every_id_it_ever_had(impact: Impact) -> None:
    """Oldest first, wherever its messages lie in time."""
    whole = impact.thread(TENANT, "aa")
    facts = random_facts(random.Random(7), 400)
    assert {item["id"] for item in whole} == {fact.id for fact in facts if fact.thread in {"aa", "bb"}}
    assert impact.thread(TENANT, "bb") == whole
    timed = [item["at"] for item in whole if item["at"]]
    assert timed == sorted(timed)
    assert impact.thread(TENANT, "nothing") == []


def test_a_reply_is_later_than_a_message_of_the_team_in_its_thread(tables: ClickHouse) -> None:
    """Not the question that began it, not at the same instant, not in another thread, not from the other contact."""
    put_directory(tables)

    def mail(name: str, minutes: int, **changes: Any) -> Fact:
        both: dict[str, Any] = {"customers": frozenset({"c1"}), "contacts": frozenset({"p1", "p2"})}
        return Fact(name, NOW - timedelta(days=60) + timedelta(minutes=minutes), **(both | changes))

    theirs = {"author_customers": frozenset({"c1"}), "author_contacts": frozenset({"p1"})}
    facts = [
        mail("question", 0, **theirs),
        mail("answer", 10, author_members=frozenset({"m1"})),
        mail("meanwhile", 10, **theirs),
        mail("elsewhere", 90, thread="cc", **theirs),
    ]
    put(tables, facts)
    impact = Impact(tables)
    for by in ("customer", "contact"):
        assert [
            row["last_email_reply"]
            for row in impact.counts(TENANT, by, 30, None, NOW)["rows"]
            if row["id"] != "p2"
        ] == [None]
    # `bb` is the same thread by its label.
    put(tables, [mail("thanks", 11, thread="bb", **theirs)])
    thanks = (NOW - timedelta(days=60) + timedelta(minutes=11)).strftime("%Y-%m-%dT%H:%M:%SZ")
    (customer,) = impact.counts(TENANT, "customer", 30, None, NOW)["rows"]
    assert (customer["id"], customer["emails"], customer["last_email_reply"]) == ("c1", 0, thanks)
    contacts = {
        row["id"]: row["last_email_reply"] for row in impact.counts(TENANT, "contact", 30, None, NOW)["rows"]
    }
    assert contacts == {"p1": thanks, "p2": None}
