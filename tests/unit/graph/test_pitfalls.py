"""What users of Graph and makers of other collectors ran into, each by its name.

Proved elsewhere, in tests/unit/graph unless said otherwise:

    stored mutable ids that answer 404 later    test_client: every_request_asks_for_immutable_ids_with_a_token
    a 410 in every form                         test_mail_sync: a_folder_that_graph_forgot_is_published_as_a_listing,
                                                test_calendar_sync: a_calendar_that_graph_forgot_is_published_as_a_listing
    thin occurrences                            test_calendar_sync: a_series_is_its_occurrences_and_never_its_master
    no removal for one occurrence               test_calendar_sync: an_occurrence_that_was_cancelled_is_gone_although_only_its_master_is_told
    series: moved, shifted, deleted             test_calendar_sync: an_occurrence_that_was_moved_keeps_its_original_start,
                                                a_series_that_was_shifted_is_held_once, a_series_that_was_deleted_is_gone_with_all_its_occurrences
    deletions of events that are never told,
    a meeting deleted while nobody listens      test_calendar_sync: a_deletion_that_nobody_tells_is_found_by_the_sweep
    bulk moves that only say `missed`           test_graph_runner: push_is_kept_up_and_lifecycle_words_are_passed_on
    a subscription that was removed             test_subscriptions: a_removed_subscription_is_made_again
    a notification that never comes             test_graph_runner: it_looks_at_once_and_then_on_its_timer
    notifications in any order, many at once    test_graph_runner: what_is_told_during_a_look_is_looked_for_afterwards,
                                                unit/webhooks/test_receiver: one_request_may_mix_connections_and_repeat_itself
    one mail in three mailboxes, with ids and
    conversations of its own in each            unit/test_mail_that_others_got_wrong: one_mail_in_three_mailboxes_is_one_item_with_three_participations
    one conversation id for strangers           unit/mail/test_parse: only_a_prefixed_copy_without_references_arms_its_conversation
    no message id, or the same for other mail   unit/test_mail_that_others_got_wrong: without_a_message_id_the_content_is_the_identity,
                                                the_same_message_id
    429 in every form, 503, broken answers      test_errors: retry_after_in_every_form, test_client: what_passes_is_tried_again
    mail with the subject of chats              test_messages: a_mail_with_the_subject_of_chats_is_a_mail
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from graph.agenda import Guest, Meeting, Recurrence
from graph.journal import Quirks
from graph.letters import Letter
from graph_holdings import held_mail, held_meetings
from graph_lab import ADDRESS, GraphLab
from memory_connection_log import CrashError
from rapport_producers.graph.errors import GraphError, MailboxUnavailable, Transient
from rapport_producers.graph.rounds import delta_page
from rapport_schemas.topics import DEAD

MakeLab = Callable[..., GraphLab]


@pytest.fixture
def make_lab() -> Iterator[MakeLab]:
    made: list[GraphLab] = []

    def make(seed: int = 0, quirks: Quirks | None = None) -> GraphLab:
        made.append(GraphLab(seed, quirks or Quirks()))
        return made[-1]

    yield make
    for lab in made:
        lab.close()


@pytest.fixture
def lab(make_lab: MakeLab) -> GraphLab:
    return make_lab()


def meeting(title: str, day: int = 0) -> Meeting:
    """An hour with a customer, so many days from today."""
    start = datetime(2026, 11, 24, 10) + timedelta(days=day)
    return Meeting(title, start, start + timedelta(hours=1), ADDRESS, (Guest("Bo <bo@kund.example>"),))


def nothing(*_: object) -> None:
    """What happens before a request or a record: nothing."""


# -- moves ------------------------------------------------------------------------------------------------------


def test_an_older_mail_that_is_moved_into_a_folder_and_told_twice_is_held_once(lab: GraphLab) -> None:
    key = lab.deliver("old", days_ago=90)
    lab.connect_mail()
    lab.box.move(key, "archive", twice=True)
    lab.poll_mail()
    lab.clock.advance(120.0)
    lab.poll_mail()
    assert held_mail(lab.log) == ["old"]


def test_a_move_of_which_only_the_removal_is_told_loses_nothing(lab: GraphLab) -> None:
    key = lab.deliver("moved")
    lab.connect_mail()
    lab.box.move(key, "archive", announce_target=False)
    lab.poll_mail()
    assert held_mail(lab.log) == ["moved"]


@pytest.mark.parametrize(("source", "target"), [(0.0, 60.0), (60.0, 0.0)])
def test_the_halves_of_a_move_may_come_in_any_order(lab: GraphLab, source: float, target: float) -> None:
    key = lab.deliver("moved")
    lab.connect_mail()
    lab.box.move(key, "archive", lag_source=source, lag_target=target)
    for _ in range(2):
        lab.poll_mail()
        assert held_mail(lab.log) == ["moved"]
        lab.clock.advance(90.0)


def test_a_mail_that_went_there_and_back_is_there_although_its_folder_says_it_is_not(lab: GraphLab) -> None:
    key = lab.deliver("there and back")
    lab.connect_mail()
    lab.box.move_and_back(key, "archive")
    lab.poll_mail()
    assert held_mail(lab.log) == ["there and back"]


def test_a_mail_whose_id_changes_with_a_move_is_held_once(lab: GraphLab) -> None:
    """As dragging in desktop Outlook does: one id goes, the same mail comes under another."""
    key = lab.deliver("dragged")
    lab.connect_mail()
    letter = lab.box.items[key].letter
    lab.box.delete(key)
    lab.box.deliver(letter, "archive")
    lab.poll_mail()
    assert held_mail(lab.log) == ["dragged"]


def test_a_folder_that_is_deleted_and_made_again_while_it_is_read_leaves_nothing_behind(
    lab: GraphLab,
) -> None:
    folder = lab.box.folder("project")
    for number in range(3):
        lab.deliver(f"old {number}", folder)
    lab.connect_mail()
    lab.deliver("old 3", folder)
    calls = [0]

    def replace_folder() -> None:
        calls[0] += 1
        if calls[0] == 6:
            lab.box.delete_folder(folder)
            lab.deliver("new", lab.box.folder("project"))

    lab.before_get = replace_folder
    lab.poll_mail()
    lab.poll_mail()
    assert held_mail(lab.log) == ["new"]


# -- rounds -----------------------------------------------------------------------------------------------------


def test_an_answer_without_any_link_does_not_move_the_cursor() -> None:
    with pytest.raises(Transient):
        delta_page({"value": [{"id": "a"}]}, 1)


def test_the_last_word_of_a_page_on_an_item_counts() -> None:
    gone, there = {"id": "a", "@removed": {"reason": "deleted"}}, {"id": "a"}
    page = {"@odata.nextLink": "https://graph.microsoft.com/next"}
    assert delta_page({**page, "value": [there, gone, there]}, 1).gone == []
    assert delta_page({**page, "value": [gone, there, gone]}, 1).gone == ["a"]


@pytest.mark.parametrize("kind", ["gone", "gone_with_location", "gone_inside", "sync_state_invalid"])
def test_a_link_may_be_forgotten_in_the_middle_of_a_round(lab: GraphLab, kind: str) -> None:
    lost = lab.deliver("deleted meanwhile")
    lab.deliver("stays")
    lab.connect_mail()
    lab.simulator.cursors.quirks = Quirks(empty_pages=0.8)
    lab.deliver("new")
    lab.box.delete(lost)
    lab.simulator.faults.add("GET", "skiptoken", kind=kind)
    for _ in range(4):
        lab.poll_mail()
    assert any(call.status >= 400 and "$skiptoken" in call.query for call in lab.simulator.calls)
    assert held_mail(lab.log) == ["new", "stays"]


def test_empty_pages_are_no_end(make_lab: MakeLab) -> None:
    lab = make_lab(3, Quirks(empty_first_page=True, empty_pages=0.5, short_pages=0.5))
    lab.deliver("past")
    lab.connect_mail()
    lab.deliver("new")
    lab.poll_mail()
    assert held_mail(lab.log) == ["new", "past"]


def test_replays_repeats_and_removals_of_strangers_change_nothing(make_lab: MakeLab) -> None:
    lab = make_lab(5, Quirks(replays=1.0, repeats=1.0, unseen_removals=1.0, shuffle=True, every_state=True))
    kept = lab.deliver("kept")
    lab.connect_mail()
    for _ in range(3):
        lab.box.mark_read(kept)
        lab.poll_mail()
    assert held_mail(lab.log) == ["kept"]
    assert lab.simulator.violations == []


def test_a_change_that_is_told_late_is_published_late_and_not_never(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.connect_mail()
    lab.deliver("late", lag=300.0)
    lab.poll_mail()
    assert held_mail(lab.log) == []
    lab.clock.advance(301.0)
    lab.poll_mail()
    assert held_mail(lab.log) == ["late"]


def test_more_than_a_filtered_round_would_give_is_read(lab: GraphLab) -> None:
    """With a filter a round ends silently at 5,000: none is ever asked with one."""
    lab.deliver("mail")
    lab.connect_mail()
    lab.poll_mail()
    deltas = [call for call in lab.simulator.calls if call.path.lower().endswith("/messages/delta")]
    assert deltas
    assert all("$filter" not in call.query for call in deltas)


# -- ids --------------------------------------------------------------------------------------------------------


def test_two_mails_with_one_message_id_in_a_mailbox_are_two_copies(lab: GraphLab) -> None:
    for subject in ("to myself", "to myself, again"):
        lab.box.deliver(Letter(ADDRESS, (ADDRESS,), subject, message_id="<same@contoso.example>"))
    lab.connect_mail()
    assert held_mail(lab.log) == ["to myself", "to myself, again"]


@pytest.mark.parametrize("message_id", [None, "<new@contoso.example>"])
def test_a_draft_that_is_sent_is_one_mail_under_a_new_id(lab: GraphLab, message_id: str | None) -> None:
    lab.connect_mail()
    draft = lab.box.draft(
        Letter(ADDRESS, ("bo@kund.example",), "offer", message_id="<draft@contoso.example>")
    )
    lab.poll_mail()
    assert held_mail(lab.log) == []
    lab.box.send_draft(draft, message_id=message_id)
    lab.poll_mail()
    assert held_mail(lab.log) == ["offer"]


def test_a_mail_that_was_read_and_is_said_to_be_deleted_is_still_there(lab: GraphLab) -> None:
    """A wake-up says no more than that something happened; what it was is asked for."""
    key = lab.deliver("read")
    lab.connect_mail()
    lab.box.mark_read(key)
    lab.box.heard("messages", "deleted", key)
    lab.poll_mail()
    assert held_mail(lab.log) == ["read"]


def test_three_words_of_one_change_publish_it_once(lab: GraphLab) -> None:
    lab.connect_mail()
    lab.deliver("edited")
    lab.poll_mail()
    records = len(lab.log.records)
    lab.poll_mail()
    lab.poll_mail()
    assert len(lab.log.records) == records


# -- faults -----------------------------------------------------------------------------------------------------


def test_a_crash_between_list_and_fetch_loses_and_doubles_nothing(make_lab: MakeLab) -> None:
    for steps in range(14):
        lab = make_lab()
        lab.connect_mail()
        lab.deliver("one")
        lab.deliver("two", "archive")
        left = [steps]

        def crash(*_: object, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise CrashError

        lab.before_get = lab.log.before_send = crash
        with pytest.raises(CrashError):
            lab.poll_mail()
        lab.crash()
        lab.before_get = lab.log.before_send = nothing
        lab.poll_mail()
        assert held_mail(lab.log) == ["one", "two"]


@pytest.mark.parametrize("kind", ["throttled", "token", "error", "unavailable", "store", "timeout"])
def test_while_one_item_cannot_be_read_the_cursor_stays(lab: GraphLab, kind: str) -> None:
    lab.connect_mail()
    key = lab.deliver("not yet")
    lab.simulator.faults.add("*", key, count=None, kind=kind)
    with pytest.raises(GraphError):
        lab.poll_mail()
    lab.crash()
    lab.simulator.faults.clear()
    lab.clock.advance(120.0)
    lab.poll_mail()
    assert held_mail(lab.log) == ["not yet"]


@pytest.mark.parametrize(("kind", "dead"), [("item_not_found", 0), ("denied", 1), ("bad_request", 1)])
def test_an_item_that_never_can_be_read_holds_up_no_other(lab: GraphLab, kind: str, dead: int) -> None:
    lab.connect_mail()
    key = lab.deliver("never")
    lab.simulator.faults.add("*", key, count=None, kind=kind)
    lab.poll_mail()
    lab.deliver("next")
    lab.poll_mail()
    assert held_mail(lab.log) == ["next"]
    assert len(lab.log.of(DEAD)) == dead


@pytest.mark.parametrize("what", ["", "/instances"])
@pytest.mark.parametrize("kind", ["item_not_found", "denied", "bad_request", "quota"])
def test_a_series_that_never_can_be_read_holds_up_no_other(lab: GraphLab, what: str, kind: str) -> None:
    lab.connect_calendar()
    never = lab.box.event(meeting("never"), Recurrence("weekly", count=3))
    lab.box.event(meeting("other series", 1), Recurrence("weekly", count=2))
    lab.simulator.faults.add("*", f"events/{never}{what}\\?", count=None, kind=kind)
    lab.poll_calendar()
    lab.box.event(meeting("next", 2))
    lab.poll_calendar()
    lab.sweep_calendar()
    assert [title for title, _ in held_meetings(lab.log)] == ["other series", "next", "other series"]
    # A series that is not there has gone; one that is there, and has no instances, is a dead letter.
    dead = [key.decode() for name, key, _ in lab.log.records if name == DEAD.name]
    assert {key.rpartition("/")[2] for key in dead} == (
        set() if (what, kind) == ("", "item_not_found") else {never}
    )


def test_a_mailbox_whose_errors_flip_is_unavailable_and_nothing_in_it_gone(lab: GraphLab) -> None:
    lab.deliver("stays")
    lab.box.event(meeting("stays"))
    lab.connect()
    for kind in ("no_mailbox", "resource_not_found", "denied_inside", "no_mailbox"):
        lab.simulator.faults.add("*", "/me/", count=None, kind=kind)
        for duty in (lab.poll_mail, lab.poll_calendar, lab.sweep_mail, lab.sweep_calendar):
            with pytest.raises(MailboxUnavailable):
                duty()
        lab.simulator.faults.clear()
    lab.poll()
    assert held_mail(lab.log) == ["stays"]
    assert len(held_meetings(lab.log)) == 1


# -- calendars --------------------------------------------------------------------------------------------------


def test_a_removal_of_an_event_outside_the_window_is_no_error(lab: GraphLab) -> None:
    inside, outside = lab.box.event(meeting("inside", 1)), lab.box.event(meeting("outside", 200))
    lab.connect_calendar()
    lab.box.change_event(outside, meeting("outside", 201))
    lab.box.change_event(inside, meeting("inside", 2))
    lab.poll_calendar()
    assert [start[:10] for title, start in held_meetings(lab.log) if title == "inside"] == ["2026-11-26"]


def test_of_a_series_only_the_master_may_be_told(make_lab: MakeLab) -> None:
    for removal in ("master", "all"):
        lab = make_lab(quirks=Quirks(series_removal=removal))
        master = lab.box.event(meeting("weekly"), Recurrence("weekly", count=3))
        lab.connect_calendar()
        assert len(held_meetings(lab.log)) == 3
        lab.box.delete_event(master)
        lab.poll_calendar()
        assert held_meetings(lab.log) == []


def test_an_organiser_who_changes_and_a_guest_who_is_added_are_in_every_occurrence(lab: GraphLab) -> None:
    master = lab.box.event(meeting("weekly"), Recurrence("weekly", count=3))
    lab.connect_calendar()
    changed = Meeting(
        "handed over",
        datetime(2026, 11, 24, 10),
        datetime(2026, 11, 24, 11),
        "eve@contoso.example",
        (Guest("Bo <bo@kund.example>"), Guest("Group <all@kund.example>")),
    )
    lab.box.change_event(master, changed)
    lab.poll_calendar()
    newest = {c["provider_id"]: c["event"] for _, c in lab.log.changes() if c["event"] is not None}
    assert [title for title, _ in held_meetings(lab.log)] == ["handed over"] * 3
    assert {event["organizer"] for event in newest.values()} == {"eve@contoso.example"}
    assert {len(event["attendees"]) for event in newest.values()} == {2}
