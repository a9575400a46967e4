"""The pages about connections: who sees what, the contract's words, and what each button does."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from fake_connections import AUTHORITY, FakeConnections, compared, ms, record
from fake_impact import FakeImpact
from rapport.dashboard.app import create_app
from rapport.store import Store
from rapport.store.database import TracesLeftError
from rapport.store.users import User
from rapport_core.errors import ConfigError, UnavailableError
from rapport_producers.graph.errors import AdminNeeded, MailboxUnavailable, Transient
from rapport_producers.microsoft_sign_in_errors import SignInError
from store_processes import HandClock

COOKIE = "rapport_session"
EVIL = "<script>alert(1)</script>"
Visit = Callable[[str], TestClient]


@pytest.fixture
def room() -> FakeConnections:
    """Anna is connected, Bo must sign in again, the third has nothing; another company has one, too."""
    return FakeConnections(
        days={"microsoft-m1": []},
        records=[
            record("m1"),
            record("m2", state="needs_auth", reason=f"The password was changed {EVIL}."),
            record("m1", "umbrella", connection="microsoft-secret"),
        ],
        addresses={"m1": ["anna@acme.com", "a.old@acme.com"]},
    )


@pytest.fixture
def open_pages(
    store: Store, impact: FakeImpact, clock: HandClock, room: FakeConnections, people: dict[str, User]
) -> Callable[..., Visit]:
    """Makes an application; what is named has no port behind it."""

    def made(**without: None) -> Visit:
        app = create_app(
            store, lambda: impact, with_connections=room.parts(**without), clock=clock, cookie=COOKIE
        )

        def signed_in(name: str) -> TestClient:
            client = TestClient(app, base_url="https://rapport.test", follow_redirects=False)
            client.cookies.set(COOKIE, store.sessions.open(people[name]))
            return client

        return signed_in

    return made


@pytest.fixture
def visit(open_pages: Callable[..., Visit]) -> Visit:
    """A browser of one of the people, on a dashboard that can do everything."""
    return open_pages()


def told(client: TestClient, path: str = "/connections") -> str:
    """A page as people read it."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return html.unescape(answer.text)


def csrf_of(client: TestClient) -> str:
    """The token that this session's forms carry."""
    return client.get("/connections").text.split('name="csrf" value="')[1].split('"')[0]


def audited(store: Store) -> list[tuple[str, str]]:
    """What was noted, the newest first."""
    return [(entry.action, entry.object) for entry in store.audit.entries("acme")]


def test_an_admin_sees_every_member_in_the_contracts_words(visit: Visit) -> None:
    page = told(visit("admin"))
    for name in ("Anna", "Bo", "Quiet Colleague"):
        assert f"<bdi>{name}</bdi>" in page
    assert "Authenticated" in page
    assert ">revoke</button>" in page
    assert page.count("Click to start authentication</a>") == 2
    assert "24 May 2026" in page
    assert "23 Nov 2026, 12:59" in page  # Stockholm
    assert "secret" not in page


def test_a_member_sees_the_own_mailbox_only(visit: Visit) -> None:
    client = visit("member")
    page = told(client)
    assert "Your connections" in page
    assert "<bdi>Anna</bdi>" in page
    assert "Bo" not in page
    assert "revoke" in page
    assert client.get("/connections/of/microsoft-m1").status_code == 200
    assert client.get("/connections/of/microsoft-m2").status_code == 404


def test_a_manager_sees_all_and_changes_nothing(visit: Visit, room: FakeConnections) -> None:
    client = visit("manager")
    page = told(client)
    assert "<bdi>Bo</bdi>" in page
    assert "revoke" not in page
    assert "Click to start" not in page
    one = told(client, "/connections/of/microsoft-m1")
    assert "Disconnect" not in one
    assert "<select" in one
    assert one.count("disabled") == 3
    form = {"csrf": csrf_of(client), "connection": "microsoft-m1", "member": "m1", "address": "x@acme.com"}
    for path in ("microsoft", "revoke", "disconnect", "settings", "addresses"):
        sent = {**form, "keep": "counts", "sure": "yes", "do": "add"}
        assert client.post(f"/connections/{path}", data=sent).status_code == 403, path
    assert room.did == []


def test_nothing_of_another_company_is_found(visit: Visit, room: FakeConnections) -> None:
    client = visit("admin")
    assert client.get("/connections/of/microsoft-secret").status_code == 404
    assert client.get("/connections/disconnect?connection=microsoft-secret").status_code == 404
    form = {"csrf": csrf_of(client), "connection": "microsoft-secret", "keep": "nothing", "sure": "yes"}
    for path in ("revoke", "disconnect", "settings"):
        assert client.post(f"/connections/{path}", data=form).status_code == 404, path
    assert room.did == []


def test_reasons_are_escaped(visit: Visit) -> None:
    text = visit("admin").get("/connections").text
    assert "<script>alert" not in text
    assert "The password was changed" in text


def test_names_are_searched_and_paged(visit: Visit, impact: FakeImpact) -> None:
    impact.tenants["acme"].names["member"] |= {f"x{n}": f"Somebody {n:03}" for n in range(60)}
    client = visit("admin")
    first = told(client)
    assert "Page 1 of 2" in first
    assert "Somebody 059" not in first
    assert "Somebody 059" in told(client, "/connections?page=2")
    found = told(client, "/connections?q=somebody+05")
    assert found.count('scope="row"') == 10
    assert "Nobody is called that" in told(client, "/connections?q=zzz")


def test_what_needs_somebody_comes_first_and_can_be_shown_alone(
    visit: Visit, room: FakeConnections, impact: FakeImpact
) -> None:
    """Among hundreds. The tabs count everybody, the search narrows them down, and a page keeps both."""
    people = {f"p{n:03}": f"Person {n:03}" for n in range(300)}
    impact.tenants["acme"].names["member"] |= people
    room.records = [record(member) for member in people]
    room.records[250] = record("p250", state="needs_auth")
    room.records[260] = record("p260", state="mailbox_unavailable")
    room.records[270] = record("p270", state="throttled")
    room.records[280] = record("p280", state="disconnected")
    room.days["microsoft-p299"] = [compared("2026-11-22", 50, 47)]
    client = visit("admin")
    page = told(client)
    shown = re.findall(r'<th scope="row"><a[^>]*><bdi>([^<]*)', page)
    assert len(shown) == 50
    assert shown[:5] == ["Person 250", "Person 260", "Person 299", "Person 270", "Person 000"]
    counts = re.findall(r'>([A-Z][a-z ]+) <span class="count">(\d+)</span>', page)
    assert dict(counts) == {
        "All": "303",
        "Need attention": "3",
        "Being read": "1",
        "Connected": "295",
        "Not connected": "3",
        "Disconnected": "1",
    }
    assert told(client, "/connections?show=attention").count('scope="row"') == 3
    assert told(client, "/connections?show=attention&q=29").count('scope="row"') == 1
    assert 'href="/connections?show=connected&amp;page=2"' in client.get("/connections?show=connected").text
    assert "Nobody is called that." in told(client, "/connections?show=ended&q=zzz")
    room.records = []
    assert "There are none." in told(client, "/connections?show=ended")


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("sort=name", "Anna"),
        ("sort=name&dir=desc", "Quiet Colleague"),
        ("sort=oldest", "Bo"),
        ("sort=last_sync&dir=desc", "Quiet Colleague"),
        ("sort=missing&dir=desc", "Quiet Colleague"),
        ("sort=nonsense&dir=up&page=0&show=that", "Anna"),
    ],
)
def test_the_list_is_sorted_by_any_column(
    visit: Visit, room: FakeConnections, query: str, first: str
) -> None:
    room.records = [
        record("m1", state="paused"),
        record("m2", oldest=ms(2026, 1, 1)),
        record("m3", last_sync=ms(2026, 11, 23, 12)),
    ]
    if "missing" in query:
        room.days["microsoft-m3"] = [compared("2026-11-22", 50, 49)]
    page = told(visit("admin"), f"/connections?{query}")
    assert re.findall(r'<th scope="row"><a[^>]*><bdi>([^<]*)', page)[0] == first


def test_a_member_whose_archive_was_read_can_still_connect(visit: Visit, room: FakeConnections) -> None:
    room.records = [record("m1", connection="old-mail", provider="archive", last_sweep=None)]
    page = told(visit("member"))
    assert "Read from files" in page
    assert page.count("Click to start authentication</a>") == 1


def test_a_page_asks_again_only_while_something_is_being_read(visit: Visit, room: FakeConnections) -> None:
    client = visit("admin")
    for path in ("/connections", "/connections/of/microsoft-m1"):
        room.records = [record("m1")]
        assert "every 5s" not in told(client, path)
        room.records = [record("m1", first_ended=None)]
        assert "every 5s" in told(client, path)


def test_progress_of_the_first_sync_is_shown(visit: Visit, room: FakeConnections) -> None:
    begun: dict[str, Any] = {
        "first_ended": None,
        "first_done": 1000,
        "first_total": 40000,
        "updated_at": ms(2026, 11, 23, 12),
    }
    room.records = [record("m1", **begun)]
    client = visit("admin")
    page = told(client)
    assert '<progress value="1000" max="40000"' in page
    assert "1\N{NARROW NO-BREAK SPACE}000 of 40\N{NARROW NO-BREAK SPACE}000" in page
    assert " left</span>" not in page
    room.records = [record("m1", **begun | {"first_done": 3000, "updated_at": ms(2026, 11, 23, 12, 2)})]
    assert "about 37 minutes left" in told(client)
    page = told(client, "/connections/of/microsoft-m1")
    assert "about 37 minutes left" in page
    assert "on the way to <time" in page  # how far back it will read


def test_green_only_when_a_young_comparison_misses_nothing(visit: Visit, room: FakeConnections) -> None:
    client = visit("admin")
    room.days["microsoft-m1"] = [
        compared("2026-11-21", 40, 40, 7),
        compared("2026-11-22", 50, 47, 9),
        compared("2026-11-23", 5, 5),
    ]
    assert '<span class="light alarm">3 missing</span>' in told(client)
    page = told(client, "/connections/of/microsoft-m1")
    assert page.count("<li class=") == 3
    assert page.count('class="gap"') == 1
    assert "47 of 50 here, 9 with customers" in page
    assert page.count('<th scope="row">2026-11-22</th>') == 2  # among the gaps, and among all
    assert page.count('<th scope="row">2026-11-21</th>') == 1
    room.days["microsoft-m1"] = [compared("2026-11-21", 40, 40, 7)]
    assert '<span class="light good">nothing missing</span>' in told(client)
    room.days.clear()
    assert '<span class="light off">not compared yet</span>' in told(
        client
    )  # listed, and nobody has counted it
    room.days["microsoft-m1"] = []
    assert '<span class="light good">nothing missing</span>' in told(client)
    room.records = [record("m1", last_sweep=ms(2026, 11, 20))]
    assert '<span class="light alarm">not compared for 4 days</span>' in told(client)
    room.records = [record("m1", last_sweep=None)]
    assert '<span class="light off">not compared yet</span>' in told(client)


def test_one_connections_page_has_everything_and_the_last_sync_at_the_bottom(
    visit: Visit, room: FakeConnections
) -> None:
    replies = {"status": "scheduled", "since": None, "until": ms(2026, 11, 30, 8), "audience": "all"}
    room.records = [record("m1", backlog=12, push="off", out_of_office=replies)]
    page = told(visit("member"), "/connections/of/microsoft-m1")
    for part in (
        "12 items of the past",
        "off: changes show",
        "out of office",
        "30 Nov 2026, 09:00",
        "24 May 2026",
    ):
        assert part in page, part
    state = page.split('id="state"')[1].split("</section>")[0]
    assert state.rindex("Last sync: ") > state.rindex("Last comparison")


def test_of_what_is_not_read_nothing_is_promised(visit: Visit, room: FakeConnections) -> None:
    """After revoking the page does not say that changes show, and after the end there is nothing to set."""
    client = visit("admin")
    room.records = [record("m1", state="needs_auth")]
    page = told(client, "/connections/of/microsoft-m1")
    assert "changes show" not in page
    assert "nothing missing" in page
    room.records = [record("m1", state="disconnected")]
    page = told(client, "/connections/of/microsoft-m1")
    for gone in ("changes show", "Last comparison", "<select", "Addresses of"):
        assert gone not in page, gone
    assert "Last sync: " in page


def test_an_archive_is_read_from_files(visit: Visit, room: FakeConnections) -> None:
    """It has nobody to sign in, and still can be ended."""
    room.records = [record("m1", connection="old mail/2025", provider="archive", last_sweep=None)]
    client = visit("admin")
    page = told(client)
    assert "Read from files" in page
    address = re.search(r'href="(/connections/of/[^"]+)"', client.get("/connections").text)
    assert address
    one = told(client, address[1])
    assert "Push" not in one
    assert "revoke" not in one
    assert "Disconnect …" in one


# -- connecting


def begin(client: TestClient, **fields: str) -> str:
    """Sends the form and returns where the browser is sent."""
    answer = client.post("/connections/microsoft", data={"csrf": csrf_of(client), **fields})
    assert answer.status_code == 200
    target = answer.headers["refresh"].removeprefix("0;url=")
    assert f'href="{html.escape(target)}"' in answer.text
    return target


def test_a_member_connects_the_own_mailbox(visit: Visit, room: FakeConnections, store: Store) -> None:
    """Asked what is read, to Microsoft, back, and the page says so."""
    room.records = []
    client = visit("member")
    assert "Continue to Microsoft" in told(client, "/connections/microsoft?member=m1")
    target = begin(client, member="m1")
    assert target.startswith(AUTHORITY)
    [(did, *asked)] = room.did
    back = "https://rapport.test/connections/microsoft/done"
    assert (did, asked) == ("begin", ["acme", "m1", back, ()])
    state = parse_qs(urlsplit(target).query)["state"][0]
    answer = client.get(f"/connections/microsoft/done?state={state}&code=x")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/connections/of/microsoft-m1?said=connected",
    )
    assert "It is connected." in told(client, answer.headers["location"])
    assert audited(store) == [("connected", "microsoft-m1"), ("connection_begun", "m1")]


def test_the_permission_for_automatic_replies_is_asked_for_only_when_chosen(
    visit: Visit, room: FakeConnections
) -> None:
    begin(visit("admin"), member="m2", out_of_office="yes")
    assert room.did[-1][-1] == ("out_of_office",)


def test_the_configured_address_is_where_microsoft_sends_back_to(
    store: Store, impact: FakeImpact, clock: HandClock, room: FakeConnections, people: dict[str, User]
) -> None:
    parts = replace(room.parts(), home="https://rapport.example.com")
    app = create_app(store, lambda: impact, with_connections=parts, clock=clock, cookie=COOKIE)
    client = TestClient(app, base_url="http://127.0.0.1:8080", follow_redirects=False)
    client.cookies.set(COOKIE, store.sessions.open(people["admin"]))
    begin(client, member="m2")
    assert room.did[-1][3] == "https://rapport.example.com/connections/microsoft/done"


@pytest.mark.parametrize("home", ["http://127.0.0.1:8080", "http://localhost:8080"])
def test_on_this_machine_microsoft_sends_back_to_localhost_and_we_to_where_the_session_is(
    store: Store,
    impact: FakeImpact,
    clock: HandClock,
    room: FakeConnections,
    people: dict[str, User],
    home: str,
) -> None:
    """Microsoft takes any port of that name only, and a browser has a session of its own for each name."""
    app = create_app(store, lambda: impact, with_connections=room.parts(), clock=clock, cookie=COOKIE)
    client = TestClient(app, base_url=home, follow_redirects=False)
    # The test's cookie jar calls names without a dot so.
    domain = str(urlsplit(home).hostname).replace("localhost", "localhost.local")
    client.cookies.set(COOKIE, store.sessions.open(people["admin"]), domain=domain)
    target = begin(client, member="m2")
    back = "http://localhost:8080/connections/microsoft/done"
    assert room.did[-1][3] == back
    address = f"{back}?state={parse_qs(urlsplit(target).query)['state'][0]}&code=x"
    answer = client.get(address)
    if "127" in home:
        assert answer.headers["location"] == address.replace("localhost", "127.0.0.1")
        answer = client.get(answer.headers["location"])
    assert answer.headers["location"] == "/connections/of/microsoft-m2?said=connected"


def test_an_administrator_of_microsoft_365_need_be_nobody_here(
    store: Store, impact: FakeImpact, room: FakeConnections
) -> None:
    """Comes back from consenting, and is told so without a session; without that answer the page asks to sign in."""
    app = create_app(store, lambda: impact, with_connections=room.parts(), cookie=COOKIE)
    client = TestClient(app, base_url="https://rapport.test", follow_redirects=False)
    answer = client.get("/connections/microsoft/done?admin_consent=True&tenant=x&state=y")
    assert answer.status_code == 200
    assert "An administrator has approved Rapport." in answer.text
    assert "Sign out" not in answer.text
    room.refuse = SignInError("needs_auth", "declined", "consent was declined")
    refused = client.get("/connections/microsoft/done?admin_consent=True&error=access_denied")
    assert refused.status_code == 409
    assert "Consent was declined." in refused.text
    assert 'href="/connections"' not in refused.text


def test_a_sign_in_ends_in_the_session_that_began_it(visit: Visit) -> None:
    """A link with somebody else's sign-in connects nothing, and each is used once."""
    mine, other = visit("admin"), visit("admin")
    state = parse_qs(urlsplit(begin(mine, member="m2")).query)["state"][0]
    address = f"/connections/microsoft/done?state={state}&code=x"
    refused = other.get(address)
    assert refused.status_code == 409
    assert "start it again" in refused.text
    assert mine.get(address).status_code == 409


def test_a_member_connects_nobody_else(visit: Visit, room: FakeConnections) -> None:
    client = visit("member")
    assert client.get("/connections/microsoft?member=m2").status_code == 403
    sent = {"csrf": csrf_of(client), "member": "m2", "connection": "microsoft-m2"}
    assert client.post("/connections/microsoft", data=sent).status_code == 403
    assert client.post("/connections/revoke", data=sent).status_code == 404
    assert room.did == []


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ({"access": "application"}, 403, "An administrator decides for everybody"),
        ({"access": "application", "state": "paused"}, 403, "An administrator decides for everybody"),
        ({"access": "application", "state": "disconnected"}, 403, "An administrator decides for everybody"),
        ({"state": "connected"}, 409, "is connected already"),
        ({"state": "mailbox_unavailable"}, 409, "is connected already"),
    ],
)
def test_what_the_page_does_not_offer_a_member_is_not_had_by_its_address(
    visit: Visit, room: FakeConnections, said: dict[str, str], status: int, words: str
) -> None:
    """What an administrator chose for everybody is not the member's to replace; an admin may."""
    room.records = [record("m1", **said)]
    client = visit("member")
    sent = {"csrf": csrf_of(client), "member": "m1"}
    for answer in (
        client.get("/connections/microsoft?member=m1"),
        client.post("/connections/microsoft", data=sent),
    ):
        assert answer.status_code == status
        assert words in answer.text
    assert room.did == []
    assert visit("admin").get("/connections/microsoft?member=m1").status_code == 200
    begin(visit("admin"), member="m1")
    assert room.asked_by_admin == [True]


@pytest.mark.parametrize("state", ["needs_auth", "needs_admin", "disconnected"])
def test_a_member_connects_again_what_the_own_sign_in_connected(
    visit: Visit, room: FakeConnections, state: str
) -> None:
    room.records = [record("m1", state=state)]
    begin(visit("member"), member="m1")
    assert room.asked_by_admin == [False]


def test_whoever_the_directory_does_not_know_is_not_connected(visit: Visit) -> None:
    assert visit("admin").get("/connections/microsoft?member=nobody").status_code == 404


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (
            SignInError(
                "needs_admin",
                "admin_approval",
                "send this link on",
                link="https://login.example/adminconsent?x=1",
            ),
            409,
            "https://login.example/adminconsent?x=1",
        ),
        (SignInError("needs_auth", "declined", "consent was declined"), 409, "Consent was declined."),
        (SignInError("unavailable", "transient", "try again in a minute"), 503, "Try again in a minute."),
        (
            SignInError("operator", "bad_secret", "the client secret is wrong"),
            409,
            "The client secret is wrong.",
        ),
        (ConfigError("this account is not one of Anna's"), 409, "This account is not one of Anna's."),
        (AdminNeeded("an administrator must allow it"), 409, "An administrator must allow it."),
        (MailboxUnavailable("this account has no mailbox"), 409, "This account has no mailbox."),
        (Transient(), 503, "start again in a minute."),
        (UnavailableError("127.0.0.1:9092 is away"), 503, "A service behind this page does not answer"),
    ],
)
def test_what_microsoft_refuses_is_told(
    visit: Visit, room: FakeConnections, error: Exception, status: int, words: str
) -> None:
    room.refuse = error
    answer = visit("admin").get("/connections/microsoft/done?error=access_denied&state=x")
    assert answer.status_code == status
    assert words in html.unescape(answer.text)


def test_what_keeps_a_sign_in_from_beginning_is_told_and_can_be_tried_again(
    visit: Visit, room: FakeConnections
) -> None:
    client = visit("admin")
    room.refuse = SignInError("unavailable", "transient", "try again in a minute")
    answer = client.post("/connections/microsoft", data={"csrf": csrf_of(client), "member": "m2"})
    assert answer.status_code == 503
    assert "Try again in a minute." in answer.text
    assert 'href="/connections/microsoft?member=m2"' in answer.text


def test_what_an_administrator_must_do_is_said_beside_the_button(visit: Visit, room: FakeConnections) -> None:
    """Where the member alone can help the button says it all."""
    room.records = [record("m1", state="needs_admin"), record("m2", state="needs_auth")]
    page = told(visit("admin"))
    assert page.count("An administrator must act") == 1
    assert page.count("Click to start authentication</a>") == 3
    assert "Not authenticated" not in page


def test_what_an_administrator_must_do_is_a_link(visit: Visit, room: FakeConnections) -> None:
    """Nothing else of a reason becomes one."""
    link = "https://login.microsoftonline.com/organizations/adminconsent?client_id=a&x=1"
    room.records = [
        record("m1", state="needs_admin", reason=f"send this link to <b>javascript:1</b>: {link}.")
    ]
    for path in ("/connections", "/connections/of/microsoft-m1"):
        text = visit("member").get(path).text
        assert text.count(f'<a href="{html.escape(link)}" rel="noreferrer">') == 1
        assert "&lt;b&gt;javascript:1&lt;/b&gt;: <a" in text


def test_a_member_is_not_blamed_for_what_the_operator_must_mend(visit: Visit, room: FakeConnections) -> None:
    room.refuse = SignInError("operator", "bad_secret", "the client secret is wrong")
    text = visit("member").get("/connections/microsoft/done?state=x").text
    assert "client secret" not in text
    assert "whoever runs Rapport" in text


def test_what_is_revoked_is_said_to_be_also_where_traces_are_left(
    visit: Visit, room: FakeConnections, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who runs Rapport finds them in the log."""

    def revoke(*_: str) -> None:
        raise TracesLeftError("it is deleted")

    monkeypatch.setattr(room, "revoke", revoke)
    client = visit("member")
    answer = client.post("/connections/revoke", data={"csrf": csrf_of(client), "connection": "microsoft-m1"})
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/connections/of/microsoft-m1?said=revoked",
    )
    assert audited(store) == [("connection_revoked", "microsoft-m1")]


def test_revoking_keeps_everything_and_connecting_goes_on(
    visit: Visit, room: FakeConnections, store: Store
) -> None:
    client = visit("member")
    answer = client.post("/connections/revoke", data={"csrf": csrf_of(client), "connection": "microsoft-m1"})
    page = told(client, answer.headers["location"])
    assert "Everything that was read stays" in page
    assert "Click to start authentication" in page
    assert room.did == [("revoke", "acme", "microsoft-m1")]
    assert audited(store) == [("connection_revoked", "microsoft-m1")]
    again = client.post("/connections/revoke", data={"csrf": csrf_of(client), "connection": "microsoft-m1"})
    assert again.status_code == 409


# -- ending


def test_disconnecting_asks_with_what_it_touches(
    visit: Visit, room: FakeConnections, people: dict[str, User]
) -> None:
    client = visit("admin")
    page = told(client, "/connections/disconnect?connection=microsoft-m1")
    assert "1\N{NARROW NO-BREAK SPACE}234 items" in page
    form = {"csrf": csrf_of(client), "connection": "microsoft-m1"}
    for half in ({"keep": "counts"}, {"sure": "yes"}, {"keep": "perhaps", "sure": "yes"}):
        assert client.post("/connections/disconnect", data={**form, **half}).status_code == 400
    assert room.did == []
    answer = client.post("/connections/disconnect", data={**form, "keep": "counts", "sure": "yes"})
    assert room.did == [("disconnect", "acme", "microsoft-m1", True, people["admin"].id)]
    assert "what you chose is erased" in told(client, answer.headers["location"])


def test_erasing_everything_is_the_other_choice_and_may_be_queued(
    visit: Visit, room: FakeConnections, people: dict[str, User]
) -> None:
    room.is_queued = True
    client = visit("admin")
    form = {"csrf": csrf_of(client), "connection": "microsoft-m1", "keep": "nothing", "sure": "yes"}
    answer = client.post("/connections/disconnect", data=form)
    assert room.did == [("disconnect", "acme", "microsoft-m1", False, people["admin"].id)]
    page = told(client, answer.headers["location"])
    assert "Erasing goes on by itself" in page
    assert "Disconnect …" not in page


# -- settings


def test_an_admin_changes_the_connections_settings(visit: Visit, room: FakeConnections, store: Store) -> None:
    client = visit("admin")
    form = {"csrf": csrf_of(client), "connection": "microsoft-m1"}
    chosen = {"sync_unknown_sender": "count", "sync_unknown_organizer": "", "match_by": "customers' domains"}
    answer = client.post("/connections/settings", data=form | chosen)
    assert room.did == [
        (
            "override",
            "acme",
            "microsoft-m1",
            {"sync_unknown_sender": True, "sync_unknown_organizer": None, "match_by": "domain"},
        )
    ]
    page = told(client, answer.headers["location"])
    assert re.findall(r'<option value="([^"]*)" selected>', page) == ["count", "customers' domains"]
    assert page.count('<option value="">as everybody: leave out</option>') == 2
    assert audited(store) == [("connection_settings_changed", "microsoft-m1")]
    wrong = client.post("/connections/settings", data=form | {"match_by": "moon"})
    assert wrong.status_code == 400


def test_aliases_are_added_ended_and_taken_out(visit: Visit, room: FakeConnections, store: Store) -> None:
    client = visit("admin")
    form = {"csrf": csrf_of(client), "connection": "microsoft-m1"}
    for do, address in (("add", " an@acme.com "), ("end", "a.old@acme.com"), ("delete", "an@acme.com")):
        answer = client.post("/connections/addresses", data={**form, "do": do, "address": address})
        assert answer.status_code == 303
    assert [(did[0], did[2], did[3]) for did in room.did] == [
        ("add", "m1", "an@acme.com"),
        ("end", "m1", "a.old@acme.com"),
        ("delete", "m1", "an@acme.com"),
    ]
    page = told(client, "/connections/of/microsoft-m1")
    assert '<bdi class="chip declined">a.old@acme.com</bdi>' in page
    assert {action for action, _ in audited(store)} == {"member_addresses_changed"}
    assert all("@" not in about for _, about in audited(store))
    for sent in ({"do": "add", "address": ""}, {"do": "burn", "address": "x@acme.com"}):
        assert client.post("/connections/addresses", data={**form, **sent}).status_code == 400
    refused = client.post("/connections/addresses", data={**form, "do": "add", "address": "nonsense"})
    assert refused.status_code == 409
    assert "anna@your-company.com" in refused.text


def test_a_member_reads_the_settings_and_changes_none(visit: Visit, room: FakeConnections) -> None:
    client = visit("member")
    page = told(client, "/connections/of/microsoft-m1")
    assert "anna@acme.com" in page
    assert ">Save<" not in page
    assert "No longer used" not in page
    form = {"csrf": csrf_of(client), "connection": "microsoft-m1", "do": "add", "address": "boss@acme.com"}
    assert client.post("/connections/addresses", data=form).status_code == 403
    assert client.post("/connections/settings", data=form).status_code == 403
    assert client.get("/connections/disconnect?connection=microsoft-m1").status_code == 403
    assert room.did == []


# -- what is not there, and who asks


POSTS = ("microsoft", "revoke", "disconnect", "settings", "addresses")


@pytest.mark.parametrize("path", POSTS)
def test_only_forms_of_the_own_session_do_anything(visit: Visit, room: FakeConnections, path: str) -> None:
    client = visit("admin")
    form = {"connection": "microsoft-m1", "member": "m1", "keep": "counts", "sure": "yes", "do": "add"}
    form["address"] = "x@acme.com"
    for csrf in ("", "guessed", csrf_of(visit("admin"))):
        assert client.post(f"/connections/{path}", data={**form, "csrf": csrf}).status_code == 403
    own = {**form, "csrf": csrf_of(client)}
    foreign = client.post(f"/connections/{path}", data=own, headers={"sec-fetch-site": "cross-site"})
    assert foreign.status_code == 403
    assert room.did == []


def test_strangers_are_sent_to_sign_in(store: Store, impact: FakeImpact, room: FakeConnections) -> None:
    app = create_app(store, lambda: impact, with_connections=room.parts(), cookie=COOKIE)
    client = TestClient(app, base_url="https://rapport.test", follow_redirects=False)
    for path in ("/connections", "/connections/of/microsoft-m1", "/connections/microsoft/done?state=s"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"][:7]) == (303, "/login?"), path


@pytest.mark.parametrize(
    ("missing", "gone", "words"),
    [
        ("microsoft", ("microsoft", "revoke"), ("Click to start", "revoke")),
        ("settings", ("settings", "addresses"), ("<select", "Addresses of")),
        ("disconnecting", ("disconnect",), ("Disconnect …",)),
        ("comparisons", (), ("nothing missing",)),
    ],
)
def test_what_cannot_be_done_from_here_is_not_offered(
    open_pages: Callable[..., Visit], missing: str, gone: tuple[str, ...], words: tuple[str, ...]
) -> None:
    client = open_pages(**{missing: None})("admin")
    pages = told(client) + told(client, "/connections/of/microsoft-m1")
    for word in words:
        assert word not in pages
    for path in gone:
        assert client.post(f"/connections/{path}", data={}).status_code == 404


def test_without_anything_behind_them_there_are_no_pages(sign_in: Visit) -> None:
    client = sign_in("admin")
    assert client.get("/connections").status_code == 404
    assert "/connections" not in client.get("/").text


def test_every_page_leads_here(visit: Visit) -> None:
    for who in ("admin", "manager", "member"):
        assert 'href="/connections"' in visit(who).get("/").text


def test_records_that_cannot_be_read_are_a_page_that_says_so(visit: Visit, room: FakeConnections) -> None:
    room.fail = UnavailableError("Kafka does not answer")
    answer = visit("admin").get("/connections")
    assert answer.status_code == 503
    assert "Kafka does not answer." in answer.text
