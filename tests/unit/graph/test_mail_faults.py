"""What Graph answers for mail that it should not: answers without items, times, or ids, links in a circle, folders that it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from graph.letters import Letter
from graph_holdings import held_mail
from graph_lab import ADDRESS, GraphLab
from rapport_producers.graph.client import GraphClient
from rapport_producers.graph.errors import Transient
from rapport_producers.graph.rounds import Place, delta_page, list_page, received_ms

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
