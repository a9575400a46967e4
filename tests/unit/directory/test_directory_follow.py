"""A worker's copy of the directory follows the topic: nothing missed, nothing twice, one bad record no standstill."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from directory_entries import TENANT, entry, tenant
from fake_directory_topic import FakeTopic
from rapport.directory import follow
from rapport.directory.follow import DirectoryFollower
from rapport_core.errors import UnavailableError
from rapport_schemas.topics import composite_key
from rapport_schemas.wire import Wire


@pytest.fixture
def topic() -> FakeTopic:
    """An empty directory topic."""
    return FakeTopic(Wire())


@pytest.fixture
def follower(topic: FakeTopic) -> DirectoryFollower:
    """A follower that has read nothing."""
    return DirectoryFollower(topic.consumer, topic.wire)


def ids(follower: DirectoryFollower) -> list[str]:
    return sorted(follower.tenant(TENANT).subjects("contact"))


def test_catching_up_reads_everything_there_is(topic: FakeTopic, follower: DirectoryFollower) -> None:
    for number in range(10):
        topic.add(entry("contact", f"p{number}"))
    assert follower.catch_up() == 10
    assert len(ids(follower)) == 10


def test_an_empty_topic_is_caught_up_with_at_once(follower: DirectoryFollower) -> None:
    assert follower.catch_up() == 0


def test_catching_up_to_an_offset_includes_it(topic: FakeTopic, follower: DirectoryFollower) -> None:
    for number in range(7):
        topic.add(entry("contact", f"p{number}"))
    follower.catch_up(3)
    assert "p3" in ids(follower)
    assert follower.position >= 4


def test_what_is_known_is_not_asked_for_again(topic: FakeTopic) -> None:
    follower = DirectoryFollower(topic.consumer, topic.wire)
    topic.add(entry("contact", "p0"))
    follower.catch_up()
    follower.close()
    follower.catch_up(0)
    follower.catch_up(-1)
    assert topic.closed == 1, "no second consumer was needed"


def test_an_offset_that_compaction_took_away_is_reached_all_the_same(
    topic: FakeTopic, follower: DirectoryFollower
) -> None:
    topic.add(entry("contact", "p0"), offset=2)
    topic.end = 9
    follower.catch_up(5)
    assert (follower.position, ids(follower)) == (9, ["p0"])


def test_polling_takes_what_came_since(topic: FakeTopic, follower: DirectoryFollower) -> None:
    topic.add(entry("contact", "p0"))
    follower.catch_up()
    assert follower.poll() == 0
    topic.add(entry("contact", "p1"))
    assert follower.poll() == 1
    assert ids(follower) == ["p0", "p1"]


def test_after_closing_it_goes_on_where_it_was(topic: FakeTopic, follower: DirectoryFollower) -> None:
    topic.add(entry("contact", "p0"))
    follower.catch_up()
    follower.close()
    follower.close()
    topic.add(entry("contact", "p1"))
    follower.catch_up()
    assert (ids(follower), follower.directory.offset, topic.closed) == (["p0", "p1"], 1, 1)


def test_a_tombstone_deletes(topic: FakeTopic, follower: DirectoryFollower) -> None:
    topic.add(entry("contact", "p0"))
    topic.raw(composite_key(TENANT, "contact", "p0"), None)
    topic.raw(composite_key("mark", TENANT), None)
    follower.catch_up()
    assert ids(follower) == []


@pytest.mark.parametrize("value", [b"junk", b"\0\0\0\0\1junk"])
def test_a_broken_record_is_passed_over(topic: FakeTopic, follower: DirectoryFollower, value: bytes) -> None:
    topic.raw(b"k", value)
    topic.add(entry("pigeon", "1"))
    topic.add(entry("contact", "p0"))
    follower.catch_up()
    assert (ids(follower), follower.position) == (["p0"], 3)


def test_settings_that_cannot_be_read_stop_nobody_else(topic: FakeTopic, follower: DirectoryFollower) -> None:
    """The tenant keeps the settings it had; other tenants' workers are the same processes and go on."""
    topic.add(tenant(match_by="domain"))
    topic.add(tenant(invented_later=True))
    topic.add(entry("contact", "p0"))
    follower.catch_up()
    assert (ids(follower), follower.position) == (["p0"], 3)
    assert follower.tenant(TENANT).settings.match_by == "domain"


def test_a_passing_error_of_the_broker_is_waited_out(topic: FakeTopic, follower: DirectoryFollower) -> None:
    topic.raw(b"", None, KafkaError(KafkaError._TRANSPORT))
    topic.add(entry("contact", "p0"))
    follower.catch_up()
    assert ids(follower) == ["p0"]


def test_a_broker_that_hands_out_nothing_is_reported(
    topic: FakeTopic, follower: DirectoryFollower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_SILENT_SECONDS", 0.05)
    topic.add(entry("contact", "p0"))
    with pytest.raises(UnavailableError, match="stopped handing out"):
        follower.catch_up(40)
