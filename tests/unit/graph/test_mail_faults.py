"""What Graph answers for mail that it should not: answers without items, times, or ids, links in a circle, folders that it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from graph.letters import Letter
from graph_holdings import held_mail
from graph_lab import ADDRESS, GraphLab
from memory_connection_log import OWNER, CrashError
from rapport_producers.graph.client import GraphClient
from rapport_producers.graph.errors import AdminNeeded, Rejected, Transient
from rapport_producers.graph.rounds import Place, delta_page, list_page, received_ms
from rapport_schemas.topics import DEAD, Topic

Answer = dict[str, Any]
Alter = Callable[[Callable[[str, Answer], Answer]], None]


@pytest.fixture
def lab() -> Iterator[GraphLab]:
    made = GraphLab()
    yield made
    made.close()


@pytest.fixture
def alter(monkeypatch: pytest.MonkeyPatch) -> Alter:
    """Has every answer that is no batch be another; told is what was asked for."""
    real = GraphClient.get

    def begin(another: Callable[[str, Answer], Answer]) -> None:
        async def get(self: GraphClient, mailbox: Any, path: str, **more: Any) -> Answer:
            return another(path, await real(self, mailbox, path, **more))

        monkeypatch.setattr(GraphClient, "get", get)

    return begin


# -- answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{}, {"error": {"code": "InternalServerError"}}, {"value": None}])
def test_an_answer_without_items_does_not_say_that_there_are_none(body: Answer) -> None:
    with pytest.raises(Transient):
        list_page(body, 1, Place())
    with pytest.raises(Transient):
        delta_page({**body, "@odata.deltaLink": "https://x"}, 1)


@pytest.mark.parametrize("path", ["/mailFolders", "/messages"])
def test_an_answer_that_breaks_off_in_an_error_empties_no_mailbox(
    lab: GraphLab, alter: Alter, path: str
) -> None:
    lab.deliver("stays")
    lab.connect_mail()
    lab.box.folder("new")
    alter(lambda asked, body: {"error": {"code": "x"}} if asked.endswith(path) else body)
    for duty in (lab.poll_mail, lab.sweep_mail):
        lab.try_to(duty)
    alter(lambda _, body: body)
    lab.poll_mail()
    assert held_mail(lab.log) == ["stays"]


def test_a_tree_without_any_folder_that_everybody_has_is_none(lab: GraphLab, alter: Alter) -> None:
    lab.deliver("stays")
    lab.connect_mail()
    lab.box.folder("new")
    alter(lambda asked, body: {"value": []} if asked.endswith("/mailFolders") else body)
    with pytest.raises(Transient):
        lab.poll_mail()
    assert held_mail(lab.log) == ["stays"]


@pytest.mark.parametrize("path", ["/mailFolders", "/messages"])
def test_a_list_that_leads_to_itself_is_not_followed_for_ever(lab: GraphLab, alter: Alter, path: str) -> None:
    lab.deliver("mail")
    asked = [0]

    def circle(to: str, body: Answer) -> Answer:
        if not to.partition("?")[0].endswith(path):
            return body
        asked[0] += 1
        assert asked[0] < 100
        link = to if to.startswith("https:") else f"https://graph.microsoft.com/v1.0{to}"
        return {**body, "@odata.nextLink": link}

    alter(circle)
    with pytest.raises(Transient):
        lab.connect_mail()


@pytest.mark.parametrize("said", [{}, {"receivedDateTime": None}, {"receivedDateTime": "soon"}])
def test_a_mail_whose_time_nobody_can_read_stops_no_list(said: Answer) -> None:
    there = {"id": "a", "receivedDateTime": "2026-11-24T09:00:00Z"}
    page = list_page({"value": [there, {"id": "b", **said}], "@odata.nextLink": "https://x"}, 1, Place())
    assert page.place == Place("2026-11-24T09:00:00Z")
    assert page.place.is_new(page.items[1])
    assert received_ms(page.items[1]) is None


def test_a_mail_without_an_id_stops_no_listing(lab: GraphLab, alter: Alter) -> None:
    lab.deliver("stays")
    lab.connect_mail()

    def without_id(asked: str, body: Answer) -> Answer:
        is_list = asked.endswith("/messages")
        return {**body, "value": [{"subject": "odd"}, *body["value"]]} if is_list else body

    alter(without_id)
    lab.sweep_mail()
    lab.box.forget_cursors("inbox", "gone")
    lab.poll_mail()
    assert held_mail(lab.log) == ["stays"]


def test_a_sent_mail_with_the_subject_of_chats_is_kept_when_it_is_moved(lab: GraphLab) -> None:
    lab.connect_mail()
    key = lab.box.send(Letter(ADDRESS, ("bo@kund.example",), "IM", message_id="<im@contoso.example>"))
    lab.poll_mail()
    lab.box.move(key, "archive")
    lab.poll_mail()
    assert held_mail(lab.log) == ["IM"]


# -- folders that Graph refuses ---------------------------------------------------------------------------------

REFUSALS = ["denied", "quota", "bad_request", "item_not_found", "sync_state_invalid"]


def dead(lab: GraphLab) -> set[bytes]:
    """Where what was buried comes from."""
    return {key for name, key, _ in lab.log.records if name == DEAD.name}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_folder_that_is_refused_from_the_beginning_stops_no_other(lab: GraphLab, kind: str) -> None:
    other = lab.box.folder("other")
    lab.deliver("old", days_ago=3)
    lab.deliver("behind the refusal", other, days_ago=4)
    lab.simulator.faults.add("GET", f"mailFolders/{other}/messages", count=None, kind=kind)
    lab.connect_mail()
    lab.deliver("new")
    lab.poll_mail()
    lab.sweep_mail()
    assert held_mail(lab.log) == ["new", "old"]
    assert dead(lab) == {f"graph/{OWNER.connection}/folder:{other}".encode()}
    lab.simulator.faults.clear()
    lab.advance(3_600.0)
    lab.poll_mail()
    assert held_mail(lab.log) == ["behind the refusal", "new", "old"]


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_folder_that_is_refused_later_keeps_what_it_held_and_stops_no_other(
    lab: GraphLab, kind: str
) -> None:
    other = lab.box.folder("other")
    lab.deliver("held", other, days_ago=4)
    lab.connect_mail()
    lab.simulator.faults.add("GET", rf"{other}\W*/messages", count=None, kind=kind)
    lab.deliver("missed", other)
    for number in range(3):
        lab.deliver(f"new {number}")
        lab.poll_mail()
        lab.advance(300.0)
    lab.sweep_mail()
    assert held_mail(lab.log) == ["held", "new 0", "new 1", "new 2"]
    lab.simulator.faults.clear()
    lab.advance(3_600.0)
    lab.poll_mail()
    assert held_mail(lab.log) == ["held", "missed", "new 0", "new 1", "new 2"]


@pytest.mark.parametrize("kind", ["denied", "quota"])
def test_a_mailbox_of_which_every_folder_is_refused_is_refused(lab: GraphLab, kind: str) -> None:
    lab.simulator.faults.add("GET", "/messages", count=None, kind=kind)
    for _ in range(2):
        with pytest.raises((AdminNeeded, Rejected)):
            lab.connect_mail()
    lab.simulator.faults.clear()
    lab.deliver("mail")
    lab.connect_mail()
    lab.simulator.faults.add("GET", "/messages", count=None, kind=kind)
    for _ in range(2):
        with pytest.raises((AdminNeeded, Rejected)):
            lab.poll_mail()
    assert dead(lab) == set()


def test_a_sweep_and_looks_come_to_an_end_with_a_folder_that_only_the_tree_shows(lab: GraphLab) -> None:
    other = lab.box.folder("other")
    lab.deliver("held", other)
    lab.connect_mail()
    lab.simulator.faults.add("GET", rf"{other}\W*/messages", count=None, kind="item_not_found")
    calls = len(lab.simulator.calls)

    def count() -> None:
        if len(lab.simulator.calls) > calls + 500:
            raise CrashError

    lab.before_get = count
    lab.sweep_mail()
    lab.poll_mail()
    assert held_mail(lab.log) == ["held"]


# -- cursors ----------------------------------------------------------------------------------------------------


def test_a_crash_while_a_folder_is_let_go_leaves_no_past_that_nobody_can_read(lab: GraphLab) -> None:
    other = lab.box.folder("other")
    lab.deliver("gone", other)
    lab.deliver("stays")
    lab.run(lambda mail, _: mail.changes())  # every folder is known, and nothing of its past read
    lab.box.delete_folder(other)
    before = len(lab.log.records)

    def crash(_: Topic) -> None:
        if any(value is None for _, _, value in lab.log.records[before:]):
            raise CrashError

    lab.log.before_send = crash
    with pytest.raises(CrashError):
        lab.run(lambda mail, _: mail.changes())
    lab.crash()
    lab.log.before_send = lambda _: None
    lab.connect_mail()
    assert held_mail(lab.log) == ["stays"]


def test_a_past_that_an_earlier_owner_left_behind_is_forgotten(lab: GraphLab) -> None:
    lab.deliver("stays")
    lab.connect_mail()
    assert lab.owner is not None
    position = {"done": 0, "total": 1, "place": {"before": "", "link": ""}}
    log = lab.owner.log
    lab.run(lambda *_: log.save("history:gone", position))
    lab.crash()
    lab.connect_mail()
    lab.poll_mail()
    assert lab.owner.log.position("history:gone") is None


def test_without_its_cursor_the_record_says_that_the_first_sync_has_ended(lab: GraphLab) -> None:
    lab.connect_mail()
    assert lab.owner is not None
    log = lab.owner.log
    lab.run(lambda *_: log.announce(first_ended=lab.now_ms()))
    lab.run(lambda *_: log.forget("first"))
    lab.deliver("of long ago", lab.box.folder("new"), days_ago=40)
    lab.box.forget_cursors("inbox", "gone")
    lab.deliver("new")
    lab.poll_mail()
    assert held_mail(lab.log) == ["new", "of long ago"]
