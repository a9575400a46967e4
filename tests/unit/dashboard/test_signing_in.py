"""Signing in: needed everywhere, slow for those who guess, safe against foreign forms."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from httpx2 import Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from fake_impact import FakeImpact
from rapport.dashboard.guard import CONTENT_SECURITY_POLICY
from rapport.store import Store
from rapport.store.sessions import LIFETIME
from rapport.store.throttle import FREE_FAILURES
from rapport.store.users import User
from store_processes import HandClock

COOKIE = "rapport_session"
PASSWORD = "correct horse battery"
OPEN = {"/login", "/livez", "/readyz", "/static"}

Browser = Callable[[], TestClient]
SignIn = Callable[[str], TestClient]


@pytest.fixture
def anna(store: Store) -> User:
    """A user with a real password."""
    return store.users.add("anna@acme.com", tenant="acme", role="admin", password=PASSWORD)


def _token(client: TestClient, path: str = "/login") -> str:
    return client.get(path).text.split('name="csrf" value="')[1].split('"')[0]


def _sign_in(client: TestClient, **changes: str) -> Response:
    form = {"csrf": _token(client), "email": "anna@acme.com", "password": PASSWORD, "next": "/"} | changes
    return client.post("/login", data=form)


def test_every_route_needs_a_login(browser: Browser, impact: FakeImpact) -> None:
    """All but the open ones send a stranger to the login page, and nothing is asked of the numbers."""
    client = browser()
    routes = client.app.app.routes  # type: ignore[attr-defined]
    assert len(routes) > 8
    for route in routes:
        assert isinstance(route, (Route, Mount))
        if route.path in OPEN:
            continue
        path = route.path.replace("{item_id:str}", "acme1").replace("{thread:str}", "thread1")
        for method in sorted(getattr(route, "methods", None) or {"GET"}):
            answer = client.request(method, path)
            assert answer.status_code in (303, 401), (method, path)
            assert answer.headers.get("location", "/login").startswith("/login")
            assert "Acme" not in answer.text
    assert impact.asked == []


@pytest.mark.parametrize(
    "path", ["/nothing", "/items/../..", "/metrics", "//evil.example", "/loginx", "/staticx"]
)
def test_unknown_addresses_need_a_login_too(browser: Browser, path: str) -> None:
    """A stranger does not learn which addresses exist."""
    answer = browser().get(path)
    assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/login")


def test_signing_in_and_out(browser: Browser, anna: User, store: Store) -> None:
    """The right pair opens a session in a protected cookie; signing out ends it in the store, not only in the browser."""
    client = browser()
    answer = _sign_in(client)
    cookie = next(value for value in answer.headers.get_list("set-cookie") if value.startswith(f"{COOKIE}="))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    token = client.cookies[COOKIE]
    assert client.get("/").status_code == 200
    assert client.post("/logout", data={"csrf": _token(client, "/")}).status_code == 303
    assert store.sessions.find(token) is None
    assert client.get("/").status_code == 303
    assert [entry.action for entry in store.audit.entries("acme")] == ["signed_in"]
    assert store.audit.entries("acme")[0].user == anna.id


def test_over_https_the_cookie_is_secure(browser: Browser, anna: User) -> None:
    """It never travels in the clear, and browsers remember to use https."""
    client = browser()
    client.base_url = "https://rapport.test"
    answer = _sign_in(client)
    assert anna.email
    cookie = next(value for value in answer.headers.get_list("set-cookie") if value.startswith(f"{COOKIE}="))
    assert "Secure" in cookie
    assert "max-age" in answer.headers["strict-transport-security"]


def test_a_new_session_replaces_the_old_one(browser: Browser, anna: User, store: Store) -> None:
    """A token that somebody planted before signing in is worth nothing afterwards."""
    client = browser()
    client.cookies.set(COOKIE, "planted")
    _sign_in(client)
    first = client.cookies.get(COOKIE, domain="rapport.test")
    assert first
    assert first != "planted"
    assert store.sessions.find("planted") is None
    assert anna.email


def test_wrong_and_unknown_get_the_same_answer(browser: Browser, anna: User) -> None:
    """Nobody learns which addresses have an account; what was typed stays in the form, escaped."""
    wrong = _sign_in(browser(), password="wrong password")
    unknown = _sign_in(browser(), email='"><b>nobody@acme.com')
    assert anna.email
    assert wrong.status_code == unknown.status_code == 401
    assert "do not belong together" in wrong.text
    assert "do not belong together" in unknown.text
    assert "<b>nobody" not in unknown.text


def test_guessing_is_stopped_for_a_while(browser: Browser, anna: User, clock: HandClock) -> None:
    """After a few attempts even the right password must wait, and the page says how long."""
    client = browser()
    for _ in range(FREE_FAILURES):
        assert _sign_in(client, password="wrong password").status_code == 401
    stopped = _sign_in(client)
    assert anna.email
    assert stopped.status_code == 429
    assert "wait 30 seconds" in stopped.text
    assert stopped.headers["retry-after"] == "30"
    clock.move(LIFETIME / 1000)
    assert _sign_in(client).status_code == 303


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [
        ("/items?days=7", "/items?days=7"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/logout", "/"),
        ("http://[", "/"),
    ],
)
def test_signing_in_leads_to_our_own_pages_only(
    browser: Browser, anna: User, wanted: str, reached: str
) -> None:
    """A link with a foreign `next` is no springboard."""
    assert anna.email
    assert _sign_in(browser(), next=wanted).headers["location"] == reached


def test_forms_need_their_token(sign_in: SignIn, browser: Browser, anna: User) -> None:
    """Every post without the page's own token is refused and changes nothing."""
    assert anna.email
    for token in ("", "wrong"):
        assert _sign_in(browser(), csrf=token).status_code == 403
    client = sign_in("admin")
    other = _token(sign_in("admin"), "/")
    for token in ("", "wrong", other):
        assert client.post("/logout", data={"csrf": token}).status_code == 403
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_other_sites_cannot_post(sign_in: SignIn, headers: dict[str, str]) -> None:
    """Not even with the right token."""
    client = sign_in("admin")
    answer = client.post("/logout", data={"csrf": _token(client, "/")}, headers=headers)
    assert answer.status_code == 403
    assert client.get("/").status_code == 200


def test_absurd_forms_are_refused(browser: Browser) -> None:
    """A stranger cannot fill the memory."""
    assert browser().post("/login", data={"email": "x" * 100_000}).status_code == 413


def test_a_session_ends_by_itself(sign_in: SignIn, clock: HandClock) -> None:
    """After its lifetime the page asks to sign in again; a script's request is told to load the login page."""
    client = sign_in("admin")
    assert client.get("/").status_code == 200
    clock.move(LIFETIME)
    assert client.get("/items?days=7").headers["location"] == "/login?next=%2Fitems%3Fdays%3D7"
    answer = client.get("/", headers={"hx-request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login")
    assert client.get("/chart.json").status_code == 401


@pytest.mark.parametrize(
    "path", ["/", "/login", "/nothing", "/chart.json", "/livez", "/static/rapport.css", "/static/no"]
)
def test_every_answer_is_fenced_in(sign_in: SignIn, path: str) -> None:
    """No inline script or style, no frames, no guessing of types; private pages stay out of caches."""
    answer = sign_in("admin").get(path)
    policy = answer.headers["content-security-policy"]
    assert policy == CONTENT_SECURITY_POLICY
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert ("no-store" in answer.headers["cache-control"]) == (path != "/static/rapport.css")


def test_health_needs_no_login_and_says_nothing_about_places(browser: Browser, impact: FakeImpact) -> None:
    """Alive while the process answers; ready while everything it needs does."""
    client = browser()
    assert (client.get("/livez").status_code, client.get("/readyz").text) == (200, "ready\n")
    impact.fail = _gone()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "not ready: clickhouse\n")
    assert client.get("/livez").status_code == 200


def _gone() -> Exception:
    from rapport_core.errors import UnavailableError

    return UnavailableError("ClickHouse does not answer at 10.0.0.7:8123: is it running? see rapport doctor")
