"""What only a lost batch, an overtaken page or a monstrous mail shows: none of them may leave a trace in the result."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from memory_pipeline import TENANT, MemoryPipeline, change_of, mail
from rapport_processors.state import StateBatch
from rapport_schemas import topics
from rapport_schemas.records import MailFields
from rapport_schemas.topics import DIRECTORY, MAIL_RAW, MAX_MESSAGE_BYTES, RAW_TOPICS, ROUTED, Lane
from rapport_schemas.wire import blank

BACKFILL, LIVE = Lane.BACKFILL, Lane.LIVE


def only(pipeline: MemoryPipeline, topic: str, crashes: int = 0) -> None:
    """Runs this input alone; `crashes` = 1 loses the first batch after its outputs were published."""
    said = [False, bool(crashes)]
    pipeline._crashes = lambda: _crash(pipeline, said)  # type: ignore[method-assign]
    every: Callable[[], list[Any]] = MemoryPipeline._inputs.__get__(pipeline)
    pipeline._inputs = lambda: [one for one in every() if one[2][0] == topic]  # type: ignore[method-assign]
    pipeline.step() if crashes else pipeline.run()
    del pipeline._inputs, pipeline._crashes


def _crash(pipeline: MemoryPipeline, said: list[bool]) -> bool:
    crashed = said.pop(0) if said else False
    pipeline.assignment += crashed
    return crashed


def live(pipeline: MemoryPipeline) -> list[str]:
    return sorted(body["subject"] for _, body in pipeline.items().values() if body)


def written(subject: str, number: int = 1, more: str = "") -> MailFields:
    return mail(f"Message-ID: <number-{number}@x.example>\nFrom: x@kund.se\nSubject: {subject}\n{more}")


def say(pipeline: MemoryPipeline, fetch: int, what: MailFields | None, lane: Lane = BACKFILL) -> None:
    pipeline.publish_changes("box", "m1", [change_of("id", what)], lane=lane, provider="graph", fetch=fetch)


def test_an_item_that_only_a_lost_batch_published_is_taken_back() -> None:
    """A copy without a date is published, the batch is lost, and the dated copy comes first the second time."""
    pipeline = MemoryPipeline(partitions=1)
    pipeline.publish_mail("a", "m1", [("1", written("undated"))], lane=BACKFILL)
    pipeline.publish_mail(
        "b", "m2", [("1", written("dated", more="Date: Mon, 5 Jan 2026 10:00:00 +0000\n"))], lane=LIVE
    )
    for topic in RAW_TOPICS:
        only(pipeline, topic.name)
    only(pipeline, ROUTED[BACKFILL].name, crashes=1)
    only(pipeline, ROUTED[LIVE].name)
    pipeline.run()
    assert len(live(pipeline)) == 1


def test_a_decision_that_a_lost_batch_published_is_published_over() -> None:
    """A setting goes there and back while a sweep is lost: the log has what was decided between, the state has not."""
    pipeline = MemoryPipeline(partitions=1)
    say(pipeline, 1, written("mail"))
    say(pipeline, 2, None)
    pipeline.run()
    for mail_removed in ("drop", "keep"):
        text = json.dumps({"timezone": "UTC", "settings": {"mail_removed": mail_removed}})
        entry: Any = {
            **blank("directory_entry"),
            "tenant": TENANT,
            "kind": "tenant",
            "id": TENANT,
            "settings": text,
        }
        pipeline.publish_entries([entry])
        only(pipeline, DIRECTORY.name)
        only(pipeline, ROUTED[LIVE].name)
        if mail_removed == "drop":
            only(pipeline, ROUTED[BACKFILL].name, crashes=1)
            assert live(pipeline) == []
    pipeline.run()
    assert live(pipeline) == ["mail"]


def test_a_copy_that_only_a_lost_batch_routed_is_taken_back() -> None:
    """A provider id changes its Message-ID; the older word was routed by a lost batch and is overtaken afterwards."""
    pipeline = MemoryPipeline(partitions=1)
    say(pipeline, 1, written("draft", 1))
    say(pipeline, 2, written("final", 2), LIVE)
    only(pipeline, MAIL_RAW[BACKFILL].name, crashes=1)
    only(pipeline, MAIL_RAW[LIVE].name)
    pipeline.run()
    assert live(pipeline) == ["final"]


@pytest.mark.parametrize("order", [(2, 3), (3, 2)])
def test_links_of_an_overtaken_version_hold(order: tuple[int, int]) -> None:
    """A version of a copy that comes after a newer one still joins the threads it names (contract 4)."""
    versions = {2: written("a", 1, "References: <number-9@x.example>\n"), 3: written("b", 1)}
    pipeline = MemoryPipeline()
    pipeline.publish_mail("other", "m1", [("9", written("old", 9))])
    for fetch in order:
        say(pipeline, fetch, versions[fetch])
        pipeline.run()
    assert pipeline.threads() == [["number-1@x.example", "number-9@x.example"]]
    assert live(pipeline) == ["b", "old"]


def test_copies_with_very_many_recipients_never_make_a_record_the_broker_refuses() -> None:
    """Recipients add up over the copies of one message; an oversize record would stop its partition for good."""
    pipeline = MemoryPipeline(partitions=1)
    for box in range(3):
        people = ",".join(f"{box}{number:x}@b" for number in range(45_000))
        pipeline.publish_mail(f"box-{box}", "m1", [("1", written("all", more=f"To: {people}\n"))])
    pipeline.run()
    assert len(live(pipeline)) == 1
    assert max(map(len, values(pipeline))) < MAX_MESSAGE_BYTES


def test_long_names_never_make_a_record_the_broker_refuses() -> None:
    """A batch of mails whose few people have names of 400 KB is split by what they take, not by how many there are."""
    pipeline = MemoryPipeline(partitions=1, seed=3)
    for number in range(16):
        say(pipeline, number, written("s", number, f'To: "{"n" * 400_000}" <y@kund.se>\n'))
    records = [pipeline.logs[MAIL_RAW[BACKFILL].name, 0]]
    outputs = pipeline.route.process(_state(pipeline), BACKFILL, records[0], assignment=1, now_ms=0)
    assert max(len(record.value or b"") for record in outputs) < MAX_MESSAGE_BYTES


def test_a_broken_disk_is_no_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what parsing a mail raises puts the mail aside; anything else ends the worker, and the batch is repeated."""
    pipeline = MemoryPipeline(partitions=1)
    say(pipeline, 1, written("good"))

    def broken(*_: object) -> bytes:
        raise OSError("disk")

    monkeypatch.setattr(StateBatch, "get", broken)
    with pytest.raises(OSError, match="disk"):
        pipeline.run()
    assert json.dumps(pipeline.dead()) == "[]"


def values(pipeline: MemoryPipeline) -> list[bytes]:
    ours = (topics.ITEMS.name, *(topic.name for topic in ROUTED.values()))
    return [record.value or b"" for (name, _), log in pipeline.logs.items() if name in ours for record in log]


def _state(pipeline: MemoryPipeline) -> Any:
    return StateBatch(pipeline.stores["route", 0])


def test_an_item_that_a_lost_batch_published_of_a_copy_that_moved_away_is_taken_back() -> None:
    """The copy went to another id before the repeat: only the overtaken record tells which item there was."""
    pipeline = MemoryPipeline(partitions=1)
    say(pipeline, 1, written("draft", 1), LIVE)
    say(pipeline, 2, written("final", 2), BACKFILL)
    only(pipeline, MAIL_RAW[LIVE].name)
    only(pipeline, MAIL_RAW[BACKFILL].name)
    only(pipeline, ROUTED[LIVE].name, crashes=1)
    only(pipeline, ROUTED[BACKFILL].name)
    pipeline.run()
    assert live(pipeline) == ["final"]


def test_an_item_of_a_lost_batch_goes_when_its_copy_moves_within_the_repeat() -> None:
    """The repeat reads the copy and its going together: what was stored for a moment is known to have been an item."""
    pipeline = MemoryPipeline(partitions=1)
    say(pipeline, 1, written("draft", 1), LIVE)
    only(pipeline, MAIL_RAW[LIVE].name)
    only(pipeline, ROUTED[LIVE].name, crashes=1)
    say(pipeline, 2, written("final", 2), LIVE)
    only(pipeline, MAIL_RAW[LIVE].name)
    pipeline.random.choice = max  # type: ignore[method-assign, assignment]  # one batch takes all there is
    pipeline.run()
    assert live(pipeline) == ["final"]


def test_a_removal_that_only_a_lost_batch_routed_is_taken_back() -> None:
    """Shown again meanwhile, the repeated removal changes nothing; what the lost batch said must be said over."""
    pipeline = MemoryPipeline(partitions=1)
    text = json.dumps({"timezone": "UTC", "settings": {"mail_removed": "drop"}})
    entry: Any = {
        **blank("directory_entry"),
        "tenant": TENANT,
        "kind": "tenant",
        "id": TENANT,
        "settings": text,
    }
    pipeline.publish_entries([entry])
    say(pipeline, 1, written("mail"), LIVE)
    pipeline.run()
    say(pipeline, 2, None, BACKFILL)
    only(pipeline, MAIL_RAW[BACKFILL].name, crashes=1)
    say(pipeline, 3, written("mail"), LIVE)
    only(pipeline, MAIL_RAW[LIVE].name)
    pipeline.run()
    assert live(pipeline) == ["mail"]
