"""The pages: each number equals its list, each role sees its part, no tenant sees another, nothing is injected."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from fake_impact import FakeImpact, FakeItem
from rapport.dashboard.guard import CONTENT_SECURITY_POLICY
from rapport.store import Store
from rapport_core.errors import ConfigError, UnavailableError
from store_processes import HandClock

SignIn = Callable[[str], TestClient]

EVIL = "<script>alert(1)</script>\" onmouseover='x' {{ 7*7 }} \u202e&amp;"


def numbers_on(page: str) -> list[tuple[int, str]]:
    """Every number of a page that is a link to a list, with its address."""
    links = re.findall(r'<a href="(/items\?[^"]+)"[^>]*>([\d\s\u202f]+)</a>', page)
    return [(int(re.sub(r"\D", "", text)), html.unescape(address)) for address, text in links]


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
    """Each day of the window once; sent and received together are the emails of the board."""
    for who in ("admin", "member"):
        client = sign_in(who)
        data = client.get("/chart.json?days=30").json()
        assert len(data["day"]) == len(set(data["day"])) == 30
        assert sum(data["sent"]) + sum(data["received"]) == numbers_on(client.get("/").text)[0][0]


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
        "/items/evil",
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
        "/items/acme2",
        "/conversations/thread1",
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


def test_a_fault_is_a_page_with_its_headers(sign_in: SignIn, impact: FakeImpact) -> None:
    """Nothing of the fault's text reaches the browser."""
    impact.fail = ValueError("secret detail")
    client = sign_in("admin")
    client._transport.raise_server_exceptions = False  # type: ignore[attr-defined]
    answer = client.get("/")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "content-security-policy" in answer.headers
