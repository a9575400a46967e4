"""The demo keeps to a folder of its own, touches nobody's data, and says what it found."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from rapport.demo.board import Stage
from rapport.demo.company import CompanySize
from rapport.demo.compare import Comparison, compare_threads
from rapport.demo.mailboxes import generate
from rapport.demo.steps import demo_settings, fresh_home, questions
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
    """Windows with and without an end are compared."""
    asked = questions(NOW)
    assert (30, None) in asked
    assert any(until is not None for _, until in asked)


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


def test_steps_are_told_when_they_end() -> None:
    """Each step leaves one line, without markup of whatever it names."""
    text = StringIO()
    with Stage(Console(file=text, width=80)).step("working on [this]") as step:
        step.show("half [way]")
        step.outcome = "did [this]"
    assert text.getvalue().startswith("did [this] (")
