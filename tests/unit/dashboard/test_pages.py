"""The pages: each number equals its list, each role sees its part, no tenant sees another, nothing is injected."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from fake_impact import FakeImpact, FakeItem, meeting
from rapport.dashboard.guard import CONTENT_SECURITY_POLICY
from rapport.store import Store
from rapport_core.errors import ConfigError, UnavailableError
from store_processes import HandClock

SignIn = Callable[[str], TestClient]

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)  # as the clock of these tests stands
MIDNIGHT = datetime(2026, 11, 22, 23, tzinfo=UTC)  # in Stockholm
TO = "\N{EN DASH}"
EVIL = "<script>alert(1)</script>\" onmouseover='x' {{ 7*7 }} \u202e&amp;"


def numbers_on(page: str) -> list[tuple[int, str]]:
    """Every number of a page that is a link to a list, with its address."""
    links = re.findall(r'<a href="(/items\?[^"]+)"[^>]*>([\d\s\u202f]+)</a>', page)
    return [(int(re.sub(r"\D", "", text)), html.unescape(address)) for address, text in links]


def tiles_on(client: TestClient) -> list[tuple[int, str]]:
    """The numbers above the table."""
    return numbers_on(client.get("/").text.split("<tbody>")[0])


def length_of(client: TestClient, address: str) -> int:
    """How many rows a list has over all its pages."""
    rows, following = 0, address
    while following:
        page = client.get(following).text
        rows += page.count('<td class="subject">')
        found = re.search(r'rel="next" href="([^"]+)"', page)
        following = html.unescape(found[1]) if found else ""
    return rows


@pytest.mark.parametrize("who", ["admin", "manager", "member"])
@pytest.mark.parametrize(
    "address", ["/", "/?by=customer", "/?days=7", "/?days=7&until=2026-11-20", "/?by=customer&days=90"]
)
def test_every_number_leads_to_as_many_rows(sign_in: SignIn, who: str, address: str) -> None:
    """Drill-down equals the number, for every role, table and window; the heading says it too."""
    client = sign_in(who)
    numbers = numbers_on(client.get(address).text)
    assert len(numbers) > 5
    for number, target in numbers:
        assert length_of(client, target) == number, target
        heading = re.search(r'<span class="count">(\d+)</span>', client.get(target).text)
        assert heading is not None
        assert int(heading[1]) == number


def test_long_lists_are_paged(sign_in: SignIn, impact: FakeImpact, clock: HandClock) -> None:
    """All rows are reachable, fifty at a time, and none twice."""
    plain = impact.tenants["acme"].items[0]
    for number in range(120):
        impact.tenants["acme"].items.append(
            FakeItem(
                f"more{number}",
                clock.now() - timedelta(minutes=number + 1),
                "More",
                f"t{number}",
                plain.members,
            )
        )
    client = sign_in("admin")
    assert client.get("/items?days=7&show=emails").text.count('<td class="subject">') == 50
    assert length_of(client, "/items?days=7&show=emails") == 124
    assert length_of(client, "/items?days=7&show=conversations") == 123
    behind = client.get("/items?days=7&show=emails&page=99")
    assert "behind the end" in behind.text


def test_the_window_ends_with_the_chosen_day(sign_in: SignIn) -> None:
    """Until a day means to its end, in the tenant's zone, and the page says so."""
    page = sign_in("admin").get("/?days=7&until=2026-11-20").text
    assert "14 Nov 2026" in page
    assert "20 Nov 2026" in page
    assert "Europe/Stockholm" in page
    assert numbers_on(page)[0][0] == 2


def test_rows_are_sorted_and_searched(sign_in: SignIn) -> None:
    """By any column, both ways; search looks at names without case."""
    client = sign_in("admin")

    def names(address: str) -> list[str]:
        return re.findall(r'<th scope="row" class="text"><bdi>([^<]+)</bdi>', client.get(address).text)

    assert names("/?sort=name") == ["Anna", "Bo", "Quiet Colleague"]
    assert names("/?sort=name&dir=desc") == ["Quiet Colleague", "Bo", "Anna"]
    assert names("/?sort=sent") == ["Bo", "Anna", "Quiet Colleague"]
    assert names("/?sort=last_interaction&dir=asc") == ["Bo", "Anna", "Quiet Colleague"]
    assert names("/?q=ANN") == ["Anna"]
    assert "Nobody is called" in client.get("/?q=zzz").text


def test_a_tenant_sees_nothing_of_another(sign_in: SignIn, impact: FakeImpact) -> None:
    """Whatever the address says, the session's tenant is asked and no other."""
    client = sign_in("umbrella")
    for path in (
        "/",
        "/?by=customer&tenant=acme",
        "/items?days=90&show=emails&tenant=acme",
        "/items?days=90&show=conversations&member=m2",
        "/items/acme1",
        "/conversations/thread1",
        "/chart.json?days=90&tenant=acme",
    ):
        page = client.get(path).text
        assert "Acme" not in page
        assert "Anna" not in page
    assert set(impact.asked) == {"umbrella"}
    assert client.get("/items/acme1").status_code == 404
    assert client.get("/items/umbrella1").status_code == 200
    assert "Umbrella" not in sign_in("admin").get("/?by=customer").text


def test_a_member_sees_what_he_takes_part_in(sign_in: SignIn) -> None:
    """His own row, the customers of his items, his items and their conversations; the rest does not exist for him."""
    client = sign_in("member")
    page = client.get("/").text
    assert "Bo" not in re.findall(r"<bdi>([^<]+)</bdi>", page)
    assert numbers_on(page)[0][0] == numbers_on(sign_in("admin").get("/").text.split("<tbody>")[1])[0][0] == 4
    assert client.get("/items/acme3").status_code == 404
    assert client.get("/items/acme4").status_code == 200
    assert client.get("/items?days=30&show=emails&member=m2").status_code == 403
    assert client.get("/items?days=30&show=emails&customer=c1").status_code == 200
    listed = client.get("/items?days=90&show=emails").text
    assert "Acme subject 3" not in listed
    assert "Acme subject 7" in listed
    conversation = client.get("/conversations/thread0").text  # acme3 is of m2 alone, acme6 too
    assert "Nothing is here" in conversation
    assert "Acme preview 4" in client.get("/conversations/thread1").text


def test_the_chart_adds_up_to_the_total(sign_in: SignIn) -> None:
    """Each day of the window once; sent and received together are the emails of the board, and meetings its meetings."""
    for who in ("admin", "member"):
        client = sign_in(who)
        data = client.get("/chart.json?days=30").json()
        assert len(data["day"]) == len(set(data["day"])) == 30
        numbers = {address.partition("show=")[2]: number for number, address in tiles_on(client)}
        assert sum(data["sent"]) + sum(data["received"]) == numbers["emails"]
        assert sum(data["meetings"]) == numbers["meetings"] == 1


@pytest.mark.parametrize("row", ["member=m1", "member=m2", "customer=c1", "customer=c2"])
def test_the_chart_of_a_row_adds_up_to_its_list(sign_in: SignIn, row: str) -> None:
    """A list of one member or customer has the chart of that row above it."""
    client = sign_in("admin")
    page = html.unescape(client.get(f"/items?days=30&show=emails&{row}").text)
    address = re.search(r'data-address="(/chart\.json[^"]+)"', page)
    assert address is not None
    data = client.get(address[1]).json()
    assert sum(data["sent"]) == length_of(client, f"/items?days=30&show=sent&{row}")
    assert sum(data["received"]) == length_of(client, f"/items?days=30&show=received&{row}")
    assert sum(data["meetings"]) == length_of(client, f"/items?days=30&show=meetings&{row}")


def test_a_members_chart_of_a_colleague_is_refused(sign_in: SignIn) -> None:
    assert sign_in("member").get("/chart.json?days=30&member=m2").status_code == 403


def test_a_list_of_meetings_says_when_where_and_who(sign_in: SignIn) -> None:
    """In the tenant's zone, from start to end; who declined is struck out."""
    page = sign_in("admin").get("/items?days=30&show=meetings").text.replace(TO, "-")
    assert "18 Nov 2026, 13:00-14:00" in page
    assert "Room 4" in page
    assert '<bdi class="chip">Anna</bdi>' in page
    assert '<bdi class="chip declined" title="declined">Bo' in page
    assert "cancelled" not in page


def test_planned_meetings_stand_in_their_order_the_private_one_without_its_title(sign_in: SignIn) -> None:
    page = sign_in("admin").get("/items?days=7&show=planned").text
    assert "The next 7 days, today included" in page
    assert page.index("Private meeting") < page.index("Meeting coming")
    empty = sign_in("admin").get("/items?days=7&show=planned&until=2026-11-20").text
    assert "Nothing is planned in these days" in empty


def test_a_meetings_page_says_who_answered_what(sign_in: SignIn) -> None:
    """When, where, who organises, every answer, who declined, and the other dates of its series."""
    page = html.unescape(sign_in("admin").get("/items/meeting-held").text).replace(TO, "-")
    assert "18 Nov 2026, 13:00-14:00" in page
    answers = re.findall(r'<td class="answer (\w*)">([^<]*)</td>', page)
    assert answers == [("accepted", "accepted"), ("", "no answer"), ("declined", "declined"), ("", "")]
    assert re.findall(r'<tr><th scope="row">(\w+)', page) == ["Organiser", "Attendee", "Optional", "Room"]
    assert "Bo declined, so it does not count in that row." in page
    assert "your team or that side organises it" in page
    assert 'href="/conversations/weekly">All dates of this series' in page
    assert "written by" not in page


@pytest.mark.parametrize(
    ("name", "said", "never"),
    [
        ("cancelled", "It was cancelled, so it is not counted.", "once in the row of each"),
        ("coming", "It has not started yet", "cancelled"),
        ("private", "It is private", "All dates of this series"),
    ],
)
def test_a_meetings_page_says_why_it_is_not_counted(
    sign_in: SignIn, name: str, said: str, never: str
) -> None:
    page = sign_in("admin").get(f"/items/meeting-{name}").text
    assert said in page
    assert never not in page
    assert ("Private meeting" in page) == (name == "private")


def test_a_rule_that_the_page_does_not_know_is_named(sign_in: SignIn, impact: FakeImpact) -> None:
    """A newer processor may have written it."""
    impact.tenants["acme"].items = [
        meeting("odd", NOW - timedelta(days=1), rule="brand_new_rule", entries=({"kind": "x"},))
    ]
    page = sign_in("admin").get("/items/meeting-odd").text
    assert "The rule “brand_new_rule” decided it." in page


def test_a_series_lists_all_its_dates(sign_in: SignIn) -> None:
    """Oldest first, under its newest title; cancelled and planned ones are marked."""
    page = sign_in("admin").get("/conversations/weekly").text
    assert "<h1><bdi>Meeting coming</bdi></h1>" in page
    assert "3 dates of one series" in page
    places = [page.index(text) for text in ("Meeting held", ">cancelled<", ">planned<")]
    assert places == sorted(places)
    assert page.count(">planned<") == page.count(">cancelled<") == 1
    mine = sign_in("member").get("/conversations/weekly").text
    assert "3 dates of one series" in mine


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"ends": NOW.replace(hour=23, minute=30)}, "23 Nov, 13:00 - 24 Nov 2026, 00:30"),
        ({"ends": NOW.replace(hour=23)}, "23 Nov 2026, 13:00-00:00"),
        ({"ends": None}, "23 Nov 2026, 13:00<"),
        ({"at": MIDNIGHT, "ends": MIDNIGHT + timedelta(days=1), "all_day": True}, "23 Nov 2026, all day"),
        ({"at": MIDNIGHT, "ends": None, "all_day": True}, "23 Nov 2026, all day"),
        (
            {"at": MIDNIGHT, "ends": MIDNIGHT + timedelta(days=3), "all_day": True},
            "23 Nov - 25 Nov 2026, all day",
        ),
        (
            {"at": MIDNIGHT, "ends": MIDNIGHT + timedelta(days=40), "all_day": True},
            "23 Nov 2026 - 1 Jan 2027, all day",
        ),
    ],
)
def test_a_meetings_time_is_written_as_people_say_it(
    sign_in: SignIn, impact: FakeImpact, changes: dict[str, Any], shown: str
) -> None:
    """In the tenant's zone; an end at midnight belongs to the day before."""
    impact.tenants["acme"].items = [replace(meeting("odd", NOW), **changes)]
    assert shown in sign_in("admin").get("/items/meeting-odd").text.replace(TO, "-")


def test_an_item_says_why_it_is_there(sign_in: SignIn) -> None:
    """The rule, the directory's entry and that several rows count it."""
    page = html.unescape(sign_in("admin").get("/items/acme2").text)
    assert "belongs to a contact of a customer" in page
    assert "kim@kund.se is an address of Kim." in page
    assert "once in the row of each of them and once in the total" in page
    assert "22:" not in page
    assert "21 Nov 2026, 12:00" in page  # Stockholm, an hour before UTC noon


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?by=customer",
        "/items?days=30&show=emails",
        "/items?days=30&show=conversations",
        "/items?days=30&show=meetings",
        "/items?days=30&show=planned",
        "/items/evil",
        "/items/evil-meeting",
        "/conversations/evil-series",
        "/conversations/evil%22%3E",
    ],
)
def test_nothing_from_outside_becomes_markup(
    sign_in: SignIn, impact: FakeImpact, clock: HandClock, path: str
) -> None:
    """Subjects, names, addresses and ids are written as text, whatever they hold."""
    tenant = impact.tenants["acme"]
    for names in tenant.names.values():
        names.update(dict.fromkeys(names, EVIL))
    tenant.items = [
        FakeItem(
            "evil",
            clock.now() - timedelta(hours=1),
            EVIL,
            'evil">',
            ("m1", EVIL),
            ("c1", EVIL),
            (EVIL,),
            preview=EVIL,
            author=EVIL,
            author_name=EVIL,
            people=((EVIL, EVIL, EVIL),),
            rule=EVIL,
            entries=({"kind": EVIL, "id": EVIL, "domain": EVIL},),
        )
    ]
    tenant.items += [
        meeting(
            EVIL,
            clock.now() + timedelta(days=days),
            subject=EVIL,
            thread="evil-series",
            series=EVIL,
            members=("m1", EVIL),
            declined=(EVIL,),
            customers=(EVIL,),
            location=EVIL,
            author=EVIL,
            author_name=EVIL,
            people=((EVIL, EVIL, EVIL, EVIL),),
            rule=EVIL,
            cancelled=days == 0,
        )
        for days in (-1, 0, 1)
    ]
    tenant.items[1] = replace(tenant.items[1], id="evil-meeting")
    answer = sign_in("admin").get(path)
    assert answer.status_code == 200
    assert "alert(1)" in answer.text
    assert "<script>alert" not in answer.text
    assert "onmouseover='" not in answer.text
    assert "49" not in re.findall(r"\b49\b", answer.text)
    assert '"evil">' not in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "days=abc&until=2026-99-99&page=-1",
        "days=99999999999999",
        "page=999999999999",
        "sort=__class__&dir=x&by=tenant",
        "q=%00%ff",
        "until=9999-12-31",
        "show=__init__&customer=" + "x" * 5000,
    ],
)
def test_odd_addresses_fall_back(sign_in: SignIn, query: str) -> None:
    """A mistyped or hostile address shows a page, never a fault."""
    client = sign_in("admin")
    for path in ("/", "/items", "/chart.json"):
        assert client.get(f"{path}?{query}").status_code == 200


def test_pages_have_no_inline_script_or_style(sign_in: SignIn) -> None:
    """The policy forbids them, so a page that had some would be broken."""
    client = sign_in("admin")
    for path in (
        "/",
        "/items?days=30",
        "/items?days=30&show=conversations",
        "/items?days=30&show=meetings&member=m1",
        "/items/acme2",
        "/items/meeting-held",
        "/conversations/thread1",
        "/conversations/weekly",
        "/nothing",
        "/login",
    ):
        page = client.get(path).text
        assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=|javascript:", page)
        assert not re.search(r'(?:src|href)="(?:https?:)?//', page)


def test_an_empty_tenant_is_told_what_to_do(sign_in: SignIn, impact: FakeImpact) -> None:
    """No dead end: the next commands stand there, with the tenant filled in."""
    impact.tenants["acme"].names = {"member": {}, "customer": {}, "contact": {}}
    impact.tenants["acme"].items = []
    client = sign_in("admin")
    assert "rapport directory load FILE --tenant acme" in client.get("/").text
    assert "rapport ingest mbox FILE --tenant acme" in client.get("/?by=customer").text
    assert "Nothing in these days" in client.get("/items?days=7").text


def test_without_clickhouse_the_page_says_what_to_do(sign_in: SignIn, impact: FakeImpact) -> None:
    """503 with a way back; where the database stands is told to admins only."""
    impact.fail = UnavailableError(
        "ClickHouse does not answer at 10.0.0.7:8123: is it running? see rapport doctor"
    )
    for who in ("admin", "manager", "member"):
        answer = sign_in(who).get("/?days=7")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert ("10.0.0.7" in answer.text) == (who == "admin")
        assert 'href="/?days=7"' in answer.text
    answer = sign_in("admin").get("/?days=7", headers={"hx-request": "true"})
    assert answer.headers["hx-redirect"] == "/?days=7"


def test_a_tenant_without_a_directory_is_told_to_load_one(sign_in: SignIn, impact: FakeImpact) -> None:
    """The sentence of the command is the sentence of the page."""
    del impact.tenants["acme"]
    answer = sign_in("admin").get("/")
    assert answer.status_code == 503
    assert "rapport directory load" in answer.text


def test_a_refused_login_names_the_database_to_admins_only(sign_in: SignIn, impact: FakeImpact) -> None:
    """The sentence for those who can correct it holds an address inside the house."""
    impact.fail = ConfigError("ClickHouse at 10.0.0.7:8123 does not accept this user and password")
    for who in ("admin", "manager", "member"):
        answer = sign_in(who).get("/")
        assert answer.status_code == 503
        assert ("10.0.0.7" in answer.text) == (who == "admin")
        assert ("whoever runs" in answer.text) == (who != "admin")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnavailableError("the store at 10.0.0.8:5432 does not answer"), 503),
        (ConfigError("the store at 10.0.0.8:5432 refuses"), 503),
        (ValueError("10.0.0.8"), 500),
    ],
)
@pytest.mark.parametrize("path", ["/", "/login", "/chart.json", "/nothing"])
def test_a_store_that_is_away_is_a_page_with_its_headers(
    sign_in: SignIn, store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, path: str
) -> None:
    """Nobody is known then, so nobody is told an address and nobody is let in; scripts and styles are there."""
    client = sign_in("admin")

    def away(_token: str) -> None:
        raise error

    monkeypatch.setattr(store.sessions, "find", away)
    answer = client.get(path)
    assert answer.status_code == status
    assert "10.0.0.8" not in answer.text
    assert "<h1" in answer.text
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert ("retry-after" in answer.headers) == (status == 503)
    assert client.get("/static/rapport.css").status_code == 200


def test_trying_again_leads_to_no_other_host(
    sign_in: SignIn, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser takes an address that begins with two slashes for one of another host."""
    client = sign_in("admin")

    def away(_token: str) -> None:
        raise UnavailableError("away")

    monkeypatch.setattr(store.sessions, "find", away)
    for path in ("//evil.example/x", "///evil.example/x"):
        answer = client.get(f"http://testserver{path}", headers={"hx-request": "true"})
        assert answer.status_code == 503
        assert answer.headers["hx-redirect"] == "/evil.example/x"
        assert 'href="/evil.example/x"' in answer.text


def test_a_fault_is_a_page_with_its_headers(sign_in: SignIn, impact: FakeImpact) -> None:
    """Nothing of the fault's text reaches the browser."""
    impact.fail = ValueError("secret detail")
    client = sign_in("admin")
    client._transport.raise_server_exceptions = False  # type: ignore[attr-defined]
    answer = client.get("/")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "content-security-policy" in answer.headers
