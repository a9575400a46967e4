"""The demo keeps to a folder of its own, touches nobody's data, and says what it found."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rapport.demo.board import Stage, bars
from rapport.demo.company import CompanySize
from rapport.demo.compare import Comparison, compare_threads
from rapport.demo.mailboxes import generate
from rapport.demo.oddities import MAIL, MEETINGS
from rapport.demo.steps import demo_settings, fresh_home, questions
from rapport.demo.whole import make_company
from rapport.local import instance
from rapport.settings import Settings
from rapport_core.errors import ConfigError

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)


def test_demo_has_a_folder_of_its_own_and_uses_no_external_service(tmp_path: Path) -> None:
    """Whatever the environment names, a demo writes below home/demo and into services of its own."""
    theirs = Settings(
        home=tmp_path, kafka="broker:9092", clickhouse="http://h:1/x", store="postgresql://db/x"
    )
    own = demo_settings(theirs)
    assert own.home == tmp_path / "demo"
    assert (own.kafka, own.clickhouse, own.store, own.schema_registry) == (None, None, None, None)


def test_every_demo_begins_with_nothing(tmp_path: Path) -> None:
    """What an earlier demo left is gone."""
    home = tmp_path / "demo"
    fresh_home(home)
    (home / "kafka").mkdir()
    (home / "kafka" / "log").write_text("old")
    (home / "store.db").write_text("old")
    fresh_home(home)
    assert not (home / "kafka").exists()
    assert not (home / "store.db").exists()


def test_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    """A folder with something else in it is refused, and nothing in it is deleted."""
    home = tmp_path / "demo"
    home.mkdir()
    (home / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="no demo made"):
        fresh_home(home)
    assert (home / "thesis.txt").read_text() == "mine"


def test_running_demo_is_not_swept_away(tmp_path: Path) -> None:
    """While one demo runs, a second one is refused."""
    home = tmp_path / "demo"
    fresh_home(home)
    (home / "store.db").write_text("live")
    with instance.take_lock(home), pytest.raises(ConfigError, match="already runs"):
        fresh_home(home)
    assert (home / "store.db").exists()


def test_questions_reach_to_now_and_into_the_past() -> None:
    """Windows to now, ended in the past, and ended ahead, for what is planned, are compared."""
    asked, today = questions(NOW), NOW.date()
    assert (30, None) in asked
    assert any(until is not None and until < today for _, until in asked)
    assert any(until is not None and until > today for _, until in asked)


def test_conversations_are_compared_message_by_message() -> None:
    """A lost, a split and a joined conversation are differences in words; equal ones are not."""
    expected = [["a", "b"], ["c"], ["d", "e"]]
    assert compare_threads(expected, [["a", "b"], ["c"], ["d", "e"]]).equal
    assert compare_threads(expected, [["a"], ["b"], ["c"], ["d", "e"]]).differences
    joined = compare_threads(expected, [["a", "b", "c"], ["d", "e"]]).differences
    assert "conversation of c (1 messages): has too many: 2 such as a" in joined
    lost = compare_threads(expected, [["a", "b"], ["d", "e"]]).differences
    assert "conversation of c (1 messages): lacks 1 such as c" in lost


def test_kept_message_ids_partition_the_story(tmp_path: Path) -> None:
    """Every Message-ID stands in one conversation, and originals stand for themselves."""
    size = CompanySize(members=8, customers=12, contacts=40, copies=2_000)
    made = generate(tmp_path, seed=1, now=NOW, size=size, keep_message_ids=True)
    assert made.message_ids is not None
    threads = made.message_ids.threads(made.truth.threads)
    home = {message_id: number for number, thread in enumerate(threads) for message_id in thread}
    assert all(home[message_id] == number for number, thread in enumerate(threads) for message_id in thread)
    assert made.message_ids.originals(threads) == threads


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (Comparison(cells=12), "all 12 cells equal"),
        (
            Comparison(cells=12, differences=["by member: emails is 1, expected 2"]),
            "1 differences in 12 cells",
        ),
        (Comparison(cells=99, differences=[f"line {n}" for n in range(60)]), "and 20 more"),
    ],
)
def test_verdict_is_said_in_words(result: Comparison, said: str) -> None:
    """Equal or not, one line says it, after the first differences."""
    text = StringIO()
    Stage(Console(file=text, width=80)).verdict(result)
    assert said in text.getvalue()
    assert all(line in text.getvalue() for line in result.differences[:40])


def test_bars_are_as_high_as_their_numbers() -> None:
    """The largest fills all lines, half of it half of them, anything at least an eighth; nothing is nothing."""
    lines = bars([8, 4, 1, 0], 2)
    assert [line[:8] for line in lines] == ["     8 │", "     0 │"]
    assert lines[0][8:].split() == ["█"]
    assert lines[1][8:] == "█ █ ▂"
    assert bars([], 3) == bars([0, 0], 3)
    assert bars([1_000, 1], 1)[0].endswith("█ ▁")


def test_chart_names_mondays_and_fits() -> None:
    """Thirty days stand in 80 columns, the day of the month under each Monday."""
    text = StringIO()
    days = [
        {
            "day": f"2026-11-{day:02}",
            "total": {"emails": day, "sent": 0, "received": day, "meetings": 1},
            "rows": [],
        }
        for day in range(1, 31)
    ]
    result: Any = {"window": {}, "days": days}
    Stage(Console(file=text, width=80)).days(result)
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "emails, 465 in 30 days" in lines
    axis = next(line for line in lines if line.startswith("   Mon"))
    column = lines[2].index("│") + 1
    assert [axis[column + 2 * day :][:2].strip() for day in (1, 8, 15)] == ["2", "9", "16"]


def test_oddities_are_told_with_how_often_and_how_they_were_counted(tmp_path: Path) -> None:
    """A line for everything that happened, none for what did not, in 80 columns."""
    size = CompanySize(members=8, customers=12, contacts=40, copies=400, meetings=200)
    made = make_company(tmp_path, seed=1, now=NOW, size=size)
    text = StringIO()
    stage = Stage(Console(file=text, width=80))
    stage.company(made)
    stage.oddities(made)
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    series = next(line for line in lines if line.startswith("a series "))
    assert series.split() == ["a", "series", f"{made.awkward['series']:,}", "each", "occurrence"]
    assert (
        not any("comes twice or never" in line for line in lines) or made.awkward["meeting_in_repeated_hour"]
    )


def test_what_the_story_counts_is_what_the_tables_explain(tmp_path: Path) -> None:
    """Every oddity has words, a name in no other, and the default mail story knows no oddity without words."""
    names = [name for oddity in (*MAIL, *MEETINGS) for name in oddity.names]
    assert len(names) == len(set(names))
    assert all(oddity.what and oddity.counted for oddity in (*MAIL, *MEETINGS))
    size = CompanySize(members=12, customers=25, contacts=110, copies=6_000, meetings=0)
    assert set(make_company(tmp_path, seed=2, now=NOW, size=size).mail.awkward) <= set(names)


def test_first_round_lacks_what_comes_late(tmp_path: Path) -> None:
    """Some mailboxes and calendars are not there at first; in the end every member has one of each."""
    size = CompanySize(members=12, customers=25, contacts=110, copies=300, meetings=200)
    made = make_company(tmp_path, seed=3, now=NOW, size=size)
    first, all_of_them = made.first_sources(), made.sources()
    assert set(first) < set(all_of_them)
    assert {source.is_calendar for source in set(all_of_them) - set(first)} == {True, False}
    for calendars in (True, False):
        owners = [source.member for source in all_of_them if source.is_calendar is calendars]
        assert sorted(owners) == sorted(f"m{index}" for index in range(12))


def test_steps_are_told_when_they_end() -> None:
    """Each step leaves one line, without markup of whatever it names."""
    text = StringIO()
    with Stage(Console(file=text, width=80)).step("working on [this]") as step:
        step.show("half [way]")
        step.outcome = "did [this]"
    assert text.getvalue().startswith("did [this] (")
