"""The mail of one mailbox: its past, its changes, and what is compared, over the simulated Graph."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from graph.journal import Quirks
from graph_holdings import held_mail
from graph_lab import DAY, GraphLab
from memory_connection_log import CrashError
from rapport_core.clock import to_ms
from rapport_producers.graph.folders import EXCLUDED
from rapport_producers.graph.mail_sync import PAGE_ITEMS
from rapport_schemas.records import Change, Page
from rapport_schemas.topics import CURSORS, Lane, Topic


@pytest.fixture
def lab() -> Iterator[GraphLab]:
    made = GraphLab()
    yield made
    made.close()


def since(lab: GraphLab, before: int) -> list[Page]:
    """The pages behind those that there were before."""
    return lab.log.pages()[before:]


def shown(lab: GraphLab, pages: list[Page]) -> list[tuple[str, str]]:
    """(stream, what is said) of every change in pages; `id` for one that only says that an item is there."""
    return [(page["stream"], _said(change)) for page in pages for change in lab.log.opened(page)]


def _said(change: Change) -> str:
    return "id" if change["op"] == "upsert" and change["mail"] is None else change["op"]


def upserts(lab: GraphLab, lane: Lane | None = None) -> list[str]:
    """The subjects of all whole mails, in the order in which they were published."""
    return [
        str(change["mail"]["structured"]["subject"])
        for _, change in lab.log.changes(lane)
        if change["mail"] is not None and change["mail"]["structured"] is not None
    ]


def fill(lab: GraphLab, count: int, folder: str = "inbox", name: str = "mail", offset: float = 0.0) -> None:
    """So many mails, one for each half day."""
    for number in range(count):
        lab.deliver(f"{name} {number:03}", folder, days_ago=number / 2 + offset)


# -- the past ---------------------------------------------------------------------------------------------------


def test_a_first_sync_that_was_ended_goes_on_where_it_was(lab: GraphLab) -> None:
    fill(lab, 250)
    saved = [0]

    def crash_behind_the_first_page(topic: Topic) -> None:
        if topic is CURSORS and len(upserts(lab)) >= PAGE_ITEMS:
            saved[0] += 1
            if saved[0] > 1:
                raise CrashError

    lab.log.before_send = crash_behind_the_first_page
    with pytest.raises(CrashError):
        lab.connect_mail()
    lab.crash()
    lab.log.before_send = lambda _: None
    read = len(upserts(lab))
    assert read < 250
    lab.connect_mail()
    assert len(held_mail(lab.log)) == 250
    assert (
        len(upserts(lab)) <= 250 + PAGE_ITEMS + 2
    )  # a page again, and the mail of the second where two pages meet


def test_the_newest_is_read_first_over_all_folders(lab: GraphLab) -> None:
    fill(lab, 250)
    fill(lab, 250, "archive", "kept", offset=20.0)
    lab.connect_mail()
    newest: dict[str, list[int]] = {}
    order: list[int] = []
    for page in lab.log.pages(Lane.BACKFILL):
        times = [c["mail"]["provider_time"] for c in lab.log.opened(page) if c["mail"] is not None]
        newest.setdefault(page["stream"], []).append(max(filter(None, times)))
        if len(newest[page["stream"]]) > 1:
            order.append(newest[page["stream"]][-1])
    assert set(newest) == {"inbox", "archive"}
    assert all(times == sorted(times, reverse=True) for times in newest.values())
    assert order == sorted(order, reverse=True)


def test_progress_ends_with_all_that_there_is(lab: GraphLab) -> None:
    fill(lab, 130)
    fill(lab, 20, "sentitems", "sent")
    for number in range(40):
        lab.deliver(f"too old {number}", days_ago=300)
    told: list[tuple[int, int]] = []

    async def progress(done: int, total: int) -> None:
        told.append((done, total))

    lab.run(lambda mail, _: mail.first_sync(progress))
    assert told[0] == (0, 190)  # what the folders hold, until each was asked for what is new enough
    assert {total for done, total in told if done >= PAGE_ITEMS} == {150}
    assert told[-1] == (150, 150)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert all(done <= total for done, total in told)
    assert lab.owner is not None
    assert lab.owner.log.record["oldest"] == to_ms(lab.since)


def test_only_the_first_page_of_a_folder_is_counted(lab: GraphLab) -> None:
    """The next ones are of a part of it; and counting costs Graph more than a page."""
    fill(lab, 250)
    lab.connect_mail()
    counted = [call for call in lab.simulator.calls if "count" in {name.lstrip("$") for name in call.query}]
    assert len(counted) == len({call.path for call in counted})
    assert any(lab.box.find("inbox").id in call.path for call in counted)


def test_a_look_asks_inbox_and_sent_items_before_all_other_folders(lab: GraphLab) -> None:
    """Graph answers some at a time only: in a mailbox of many folders new mail must not wait for those where none comes."""
    for number in range(30):
        lab.box.folder(f"a project {number}", "msgfolderroot")
    lab.connect_mail()
    before = len(lab.simulator.calls)
    lab.poll_mail()
    asked = [call.path for call in lab.simulator.calls[before:] if "/messages/delta" in call.path]
    assert len(asked) > 30
    first = {lab.box.find("inbox").id, lab.box.find("sentitems").id}
    assert all(any(folder in path for folder in first) for path in asked[:2])


def test_what_is_older_than_the_history_is_left_out_also_when_it_changes(lab: GraphLab) -> None:
    key = lab.deliver("too old", days_ago=300)
    lab.connect_mail()
    lab.box.mark_read(key)  # tells its id, not its time
    lab.poll_mail()
    assert upserts(lab) == []


def test_the_past_goes_into_the_backfill_lane_and_what_is_new_into_the_live_one(lab: GraphLab) -> None:
    lab.deliver("past")
    lab.connect_mail()
    lab.deliver("new")
    lab.poll_mail()
    assert (upserts(lab, Lane.BACKFILL), upserts(lab, Lane.LIVE)) == (["past"], ["new"])


def test_a_folder_that_is_new_is_read_with_its_past(lab: GraphLab) -> None:
    lab.connect_mail()
    folder = lab.box.folder("project", "inbox")
    lab.deliver("of long ago", folder, days_ago=40)
    lab.poll_mail()
    assert held_mail(lab.log) == ["of long ago"]


def test_search_folders_hidden_ones_and_copies_of_chats_are_left_out(lab: GraphLab) -> None:
    lab.deliver("once")
    lab.box.deliver_chat()
    lab.connect_mail()
    lab.box.deliver_chat()
    lab.poll_mail()
    assert upserts(lab) == ["once"]


# -- what changes -----------------------------------------------------------------------------------------------


def test_excluded_folders_are_followed_by_ids_only(lab: GraphLab) -> None:
    lab.deliver("spam", "junkemail")
    moved = lab.deliver("taken for spam")
    lab.connect_mail()
    lab.box.move(moved, "junkemail")
    lab.deliver("more spam", "junkemail")
    lab.box.mark_read(lab.deliver("trash", "deleteditems"))
    lab.poll_mail()
    lab.sweep_mail()
    assert upserts(lab) == ["taken for spam"]
    ops = {op for stream, op in shown(lab, lab.log.pages()) if stream in EXCLUDED}
    assert ops == {"id"}
    assert held_mail(lab.log) == []


def test_a_mail_that_comes_back_from_the_trash_is_held_again(lab: GraphLab) -> None:
    key = lab.deliver("back again")
    lab.connect_mail()
    lab.box.move(key, "deleteditems")
    lab.poll_mail()
    assert held_mail(lab.log) == []
    lab.box.move(key, "archive")
    lab.poll_mail()
    assert held_mail(lab.log) == ["back again"]


def test_a_mail_that_was_told_too_late_of_a_folder_it_left_is_not_in_it(lab: GraphLab) -> None:
    key = lab.deliver("gone by now")
    lab.connect_mail()
    lab.box.move(key, "inbox", twice=True)  # the inbox tells it again a minute later
    lab.box.move(key, "junkemail")
    lab.clock.advance(120.0)
    lab.poll_mail()
    assert held_mail(lab.log) == []


def test_a_round_without_news_asks_for_links_and_writes_nothing(lab: GraphLab) -> None:
    lab.deliver("mail")
    lab.connect_mail()
    lab.poll_mail()
    records, calls = len(lab.log.records), len(lab.simulator.calls)
    lab.poll_mail()
    assert len(lab.log.records) == records
    assert all("delta" in call.path for call in lab.simulator.calls[calls:])


def test_a_mail_that_graph_refuses_is_a_dead_letter_and_the_others_go_on(lab: GraphLab) -> None:
    lab.connect_mail()
    bad = lab.deliver("refused")
    lab.deliver("fine")
    lab.simulator.faults.add("GET", bad, count=None, kind="denied")
    lab.poll_mail()
    assert held_mail(lab.log) == ["fine"]
    assert [name for name, _, _ in lab.log.records].count("rapport.dead.v1") == 1


# -- listings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["gone", "gone_with_location", "gone_inside", "sync_state_invalid"])
def test_a_folder_that_graph_forgot_is_published_as_a_listing(lab: GraphLab, how: str) -> None:
    lost = lab.deliver("deleted meanwhile")
    lab.deliver("stays")
    lab.connect_mail()
    lab.box.delete(lost)
    lab.deliver("new")
    lab.box.forget_cursors("inbox", how)
    before = len(lab.log.pages())
    lab.poll_mail()
    kinds = [page["type"] for page in since(lab, before) if page["stream"] == "inbox"]
    assert (kinds[0], kinds[-1]) == ("listing_begin", "listing_end")
    assert held_mail(lab.log) == ["new", "stays"]


def test_first_rounds_of_many_folders_that_are_all_forgotten_begin_anew(lab: GraphLab) -> None:
    lab.simulator.cursors.quirks = Quirks(empty_first_page=True)
    lab.deliver("mail")
    seen = [0]

    def forget() -> None:
        deltas = sum("/messages/delta" in call.path.lower() for call in lab.simulator.calls)
        if deltas >= 9 and not seen[0]:
            seen[0] = 1
            lab.box.forget_cursors()

    lab.before_get = forget
    lab.connect_mail()
    assert seen[0]
    assert held_mail(lab.log) == ["mail"]


def test_a_sweep_lists_ids_of_every_stream_and_nothing_else(lab: GraphLab) -> None:
    lab.deliver("one")
    lab.deliver("two", "archive")
    lab.deliver("three", "junkemail")
    lab.connect_mail()
    before = len(lab.log.pages())
    lab.sweep_mail()
    pages = since(lab, before)
    assert {op for _, op in shown(lab, pages)} == {"id"}
    assert {stream for stream, _ in shown(lab, pages)} == {"inbox", "archive", "junkemail"}
    begun = [page["stream"] for page in pages if page["type"] == "listing_begin"]
    assert begun == [page["stream"] for page in pages if page["type"] == "listing_end"]
    assert {"inbox", "sentitems", "archive", "junkemail", "deleteditems"} <= set(begun)
    assert pages == lab.log.pages(Lane.BACKFILL)[-len(pages) :]


def test_a_sweep_that_was_ended_goes_on_with_the_stream_it_was_in(lab: GraphLab) -> None:
    lab.deliver("mail")
    lab.connect_mail()
    begun: list[Any] = []

    def crash_in_the_middle(_: Topic) -> None:
        begun.append(1)
        if len(begun) > 12:
            raise CrashError

    lab.log.before_send = crash_in_the_middle
    with pytest.raises(CrashError):
        lab.sweep_mail()
    lab.crash()
    lab.log.before_send = lambda _: None
    lab.sweep_mail()
    ends = [page["stream"] for page in lab.log.pages() if page["type"] == "listing_end"]
    assert len(ends) <= len(set(ends)) + 1


def test_reading_again_publishes_the_days_asked_for_and_nothing_else(lab: GraphLab) -> None:
    for days in (1, 2, 3, 10):
        lab.deliver(f"{days} days ago", days_ago=days)
    lab.deliver("elsewhere", "archive", days_ago=2)
    lab.connect_mail()
    before = len(upserts(lab))
    now = lab.now_ms()
    begin, end = now - round(3.5 * DAY * 1000), now - round(1.5 * DAY * 1000)
    lab.run(lambda mail, _: mail.refetch("inbox", begin, end))
    assert upserts(lab)[before:] == ["2 days ago", "3 days ago"]
    lab.run(lambda mail, _: mail.refetch("junkemail", begin, end))
    assert len(upserts(lab)) == before + 2


# -- owners -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("records", range(1, 12))
def test_what_a_sleeper_still_writes_makes_nothing_be_passed_over(lab: GraphLab, records: int) -> None:
    gone = lab.deliver("deleted meanwhile")
    lab.connect_mail()
    lab.fall_asleep()
    lab.deliver("seen by the new owner")
    lab.poll_mail()
    lab.clock.advance(4_000.0)
    lab.box.forget_cursors("archive")
    lab.wake_sleeper(records, lab.poll_mail)
    lab.deliver("after that")
    lab.box.delete(gone)
    lab.crash()
    lab.poll_mail()
    assert held_mail(lab.log) == ["after that", "seen by the new owner"]


def test_the_time_of_a_listed_id_is_when_it_was_received(lab: GraphLab) -> None:
    lab.deliver("mail", days_ago=2)
    lab.connect_mail()
    lab.sweep_mail()
    times = [change["at"] for _, change in lab.log.changes() if _said(change) == "id"]
    assert times == [to_ms(datetime.fromtimestamp(lab.clock() - 2 * DAY, UTC))]
