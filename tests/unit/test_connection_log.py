"""What an owner of a connection writes down: pages under rising numbers, cursors that no sleeper can spoil."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_connection_log import CrashError, MemoryLog
from rapport_producers.connection_log import EPOCH_BITS, ConnectionLog, Domain, LostError
from rapport_schemas.changes import mail_change, mail_fields, still_shown
from rapport_schemas.topics import CONNECTIONS, CURSORS, DEAD, MAIL_RAW, Lane, Topic

T = TypeVar("T")


def run(work: Awaitable[T]) -> T:
    async def wrapped() -> T:
        return await work

    return asyncio.run(wrapped())


def test_a_new_connection_is_made_known_under_its_epoch() -> None:
    log = MemoryLog()
    opened = run(log.open())
    (record,) = log.of(CONNECTIONS)
    assert (record["epoch"], record["state"], record["provider"]) == (1, "connected", "graph")
    assert opened.record == record


def test_every_later_owner_has_higher_numbers() -> None:
    """However many numbers the one before has used."""
    log = MemoryLog()
    first = run(log.open())
    used = [first.next_fetch() for _ in range(100)]
    second = run(log.open())
    assert used == sorted(set(used))
    assert second.next_fetch() > first.next_fetch() > used[-1]


def test_changes_become_as_many_pages_as_they_need() -> None:
    """In order, under one number, each within the bounds of the log."""
    log = MemoryLog()

    async def work() -> None:
        opened = await log.open()
        changes = [still_shown(str(number)) for number in range(450)]
        await opened.page(Domain.MAIL, Lane.LIVE, "inbox", changes, opened.next_fetch())

    run(work())
    pages = log.pages()
    assert [page["count"] for page in pages] == [200, 200, 50]
    assert {(page["stream"], page["provider"]) for page in pages} == {("inbox", "graph")}
    assert len({page["fetch"] for page in pages}) == 1
    assert [change["provider_id"] for _, change in log.changes()] == [str(number) for number in range(450)]


def test_what_fits_no_page_becomes_a_dead_letter_and_the_rest_is_published() -> None:
    log = MemoryLog()

    async def work() -> None:
        opened = await log.open()
        large = mail_change("large", mail_fields(b"X: " + b"x" * 600_000))
        changes = [still_shown("a"), large, still_shown("b")]
        await opened.page(Domain.MAIL, Lane.LIVE, "inbox", changes, opened.next_fetch())

    run(work())
    assert [change["provider_id"] for _, change in log.changes()] == ["a", "b"]
    (letter,) = log.of(DEAD)
    assert (letter["reason"], letter["origin"]) == ("too_large", "inbox/large")


def test_a_listing_has_begin_pages_and_end() -> None:
    log = MemoryLog()

    async def work() -> None:
        opened = await log.open()
        listing = await opened.begin_listing(Domain.CALENDAR, Lane.BACKFILL, "calendar:c", 5, 9)
        fetch = opened.next_fetch()
        await opened.page(Domain.CALENDAR, Lane.BACKFILL, "calendar:c", [still_shown("a")], fetch, listing)
        await opened.end_listing(Domain.CALENDAR, Lane.BACKFILL, "calendar:c", listing)

    run(work())
    pages = log.pages(Lane.BACKFILL)
    assert [page["type"] for page in pages] == ["listing_begin", "changes", "listing_end"]
    assert len({page["listing"] for page in pages}) == 1
    assert [page["fetch"] for page in pages] == sorted(page["fetch"] for page in pages)
    assert (pages[0]["range_from"], pages[0]["range_to"]) == (5, 9)


def test_the_next_owner_goes_on_where_the_last_one_saved() -> None:
    log = MemoryLog()

    async def work() -> ConnectionLog:
        first = await log.open()
        await first.save("inbox", {"link": "1"})
        await first.save("inbox", {"link": "2"})
        await first.save("gone", {})
        await first.forget("gone")
        return await log.open()

    second = run(work())
    assert second.streams() == ["inbox"]
    assert second.position("inbox") == {"link": "2"}


def test_a_sleeper_that_saves_late_is_not_believed() -> None:
    """It may lie before what the newer owner saw: then everything is listed anew."""
    log = MemoryLog()

    async def work() -> ConnectionLog:
        sleeper = await log.open()
        await sleeper.save("inbox", {"link": "old"})
        newer = await log.open()
        await newer.save("inbox", {"link": "new"})
        await sleeper.save("inbox", {"link": "old"})
        return await log.open()

    assert run(work()).position("inbox") is None


def test_who_opens_knows_what_was_not_believed_until_it_is_saved_again() -> None:
    """What was to be done as a cursor says is otherwise forgotten together with it."""

    async def work() -> list[set[str]]:
        log = MemoryLog()
        sleeper, newer = await log.open(), await log.open()
        await sleeper.save("inbox", {"link": "old"})
        await sleeper.save("gone", {"link": "old"})
        await newer.save("archive", {"link": "new"})
        opened = await log.open()
        known = [set(opened.ignored)]
        await opened.save("inbox", {"link": ""})
        await opened.forget("gone")
        return [*known, opened.ignored, (await log.open()).ignored]

    assert run(work()) == [{"inbox", "gone"}, set(), set()]


def test_an_owner_that_died_while_it_opened_leaves_all_cursors_believed() -> None:
    """They are saved again before the record says the epoch."""

    async def work(dies_before: int) -> dict[str, Any] | None:
        log = MemoryLog()
        first = await log.open()
        for name in ("a", "b", "c"):
            await first.save(name, {"link": name})
        log.before_send = dying(dies_before)
        with contextlib.suppress(CrashError):
            await log.open()
        log.before_send = lambda _: None
        third = await log.open()
        return {name: third.position(name) for name in ("a", "b", "c")}

    for dies_before in range(6):
        assert run(work(dies_before)) == {name: {"link": name} for name in ("a", "b", "c")}


def dying(after: int) -> Callable[[Topic], None]:
    """Lets so many records through."""
    left = [after]

    def step(_: Topic) -> None:
        if not left[0]:
            raise CrashError
        left[0] -= 1

    return step


def test_who_lost_the_connection_says_nothing_more() -> None:
    log = MemoryLog()
    ours = [True]

    async def work() -> None:
        opened = await log.open(is_ours=lambda: ours[0])
        ours[0] = False
        for said in (
            opened.page(Domain.MAIL, Lane.LIVE, "inbox", [still_shown("a")], opened.next_fetch()),
            opened.save("inbox", {}),
            opened.announce(state="throttled"),
        ):
            with pytest.raises(LostError):
                await said

    run(work())
    assert not log.pages()
    assert not log.of(CURSORS)


def test_the_record_is_written_only_when_it_says_something_else() -> None:
    log = MemoryLog()

    async def work() -> None:
        opened = await log.open()
        await opened.announce(first_total=10)
        await opened.announce(first_total=10)
        await opened.announce(first_done=5, first_total=10)

    run(work())
    assert [(one["first_total"], one["first_done"]) for one in log.of(CONNECTIONS)] == [
        (0, 0),
        (10, 0),
        (10, 5),
    ]


def test_duties_that_announce_at_once_keep_each_others_word() -> None:
    """And what a command said meanwhile."""
    log = MemoryLog()

    async def slow(*arguments: Any) -> int:
        await asyncio.sleep(0)
        return await MemoryLog.send(log, *arguments)

    async def work() -> ConnectionLog:
        opened = await log.open()
        log.send = slow  # type: ignore[method-assign,assignment]
        said = [opened.announce(first_done=5), opened.announce(last_sync=7), opened.announce(push="on")]
        working = asyncio.gather(*said)
        await asyncio.sleep(0)
        opened.learn({**opened.record, "scopes": ["Mail.Read"]})
        await working
        await opened.announce(backlog=1)
        return opened

    opened = run(work())
    record = log.of(CONNECTIONS)[-1]
    assert (record["first_done"], record["last_sync"], record["push"], record["scopes"]) == (
        5,
        7,
        "on",
        ["Mail.Read"],
    )
    assert opened.record == record


def test_a_destroyed_key_hides_its_cursors() -> None:
    log = MemoryLog()

    async def work() -> ConnectionLog:
        first = await log.open()
        await first.save("inbox", {"link": "1"})
        log.keys.destroy("acme/microsoft-m1")
        log.keys.forget()
        return await log.open()

    assert run(work()).position("inbox") is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["save", "open", "late"]), max_size=12))
def test_a_believed_cursor_is_never_older_than_the_newest_of_the_last_owner(steps: list[str]) -> None:
    """Owners and sleepers in any order: what an opener believes is what the newest owner of all saved, or nothing."""

    async def work() -> None:
        log = MemoryLog()
        owners = [await log.open()]
        newest: int | None = None
        for number, step in enumerate(steps):
            if step == "open":
                owners.append(await log.open())
                position = owners[-1].position("s")
                newest = None if position is None else position["n"]
            elif step == "save":
                await owners[-1].save("s", {"n": number})
                newest = number
            elif len(owners) > 1:
                await owners[-2].save("s", {"n": -number})
        believed = (await log.open()).position("s")
        assert believed is None or believed["n"] == newest

    run(work())


def test_the_numbers_of_an_epoch_are_its_own() -> None:
    log = MemoryLog()
    opened = run(log.open())
    assert opened.next_fetch() >> EPOCH_BITS == 1
    assert MAIL_RAW[Lane.LIVE].name not in {name for name, _, _ in log.records}
