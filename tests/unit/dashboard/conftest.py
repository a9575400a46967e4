"""A dashboard over a store on disk and numbers in memory, with two tenants and every role."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from fake_impact import FakeImpact, FakeItem, FakeTenant, meeting
from rapport.dashboard.app import create_app
from rapport.store import Store, open_store
from rapport.store.users import User
from store_processes import CHEAP_HASHER, HandClock, StoreSettings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PASSWORD = "correct horse battery"
COOKIE = "rapport_session"

ROLES = {
    "admin": ("acme", "admin", None),
    "manager": ("acme", "manager", None),
    "member": ("acme", "member", "m1"),
    "umbrella": ("umbrella", "admin", None),
}

SignIn = Callable[[str], TestClient]


def acme() -> FakeTenant:
    """Two members, two customers, eight mails over forty days, one with everybody; meetings held, planned and cancelled."""
    names = {
        "member": {"m1": "Anna", "m2": "Bo", "m3": "Quiet Colleague"},
        "customer": {"c1": "Kund", "c2": "Nord"},
        "contact": {"p1": "Kim"},
    }

    def item(number: int, days_ago: int, members: str, customers: str, author: str = "") -> FakeItem:
        return FakeItem(
            id=f"acme{number}",
            at=NOW - timedelta(days=days_ago, hours=1),
            subject=f"Acme subject {number}",
            thread=f"thread{number % 3}",
            members=tuple(members.split()),
            customers=tuple(customers.split()),
            author_members=(author,) if author else (),
            preview=f"Acme preview {number}",
            people=(("from", "kim@kund.se", "Kim"),),
            entries=({"kind": "contact", "id": "p1", "address": "kim@kund.se"},),
        )

    items = [
        item(1, 1, "m1", "c1", "m1"),
        item(2, 2, "m1 m2", "c1 c2"),
        item(3, 3, "m2", "c2", "m2"),
        item(4, 6, "m1 m2", "c1", "m2"),
        item(5, 10, "m1", "c2"),
        item(6, 29, "m2", "c1"),
        item(7, 30, "m1", "c1"),
        item(8, 40, "m2", "c1", "m2"),
        meeting("held", NOW - timedelta(days=5), members=("m1", "m2"), declined=("m2",)),
        meeting("cancelled", NOW - timedelta(days=4), cancelled=True),
        meeting("coming", NOW + timedelta(days=3), members=("m1", "m2"), customers=("c2",)),
        meeting(
            "private",
            NOW + timedelta(days=1),
            members=("m2",),
            private=True,
            subject="",
            location="",
            thread="alone",
            series="",
        ),
    ]
    return FakeTenant(names, items)


def umbrella() -> FakeTenant:
    """Another company; nothing of it may show at acme."""
    item = FakeItem("umbrella1", NOW - timedelta(days=1), "Umbrella secret", "threadu", ("m1",), ("c1",))
    return FakeTenant({"member": {"m1": "Umbrella member"}, "customer": {"c1": "Umbrella customer"}}, [item])


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords of these tests protect nothing; the real cost has its own test in the store's folder."""
    monkeypatch.setattr("rapport.store.users._HASHER", CHEAP_HASHER)


@pytest.fixture
def clock() -> HandClock:
    """Stands at NOW."""
    return HandClock(NOW)


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a store that has one user of each role at acme and one at umbrella; copied for each test."""
    home = tmp_path_factory.mktemp("furnished")
    with (
        pytest.MonkeyPatch.context() as patch,
        open_store(StoreSettings(home), clock=HandClock(NOW)) as opened,
    ):
        patch.setattr("rapport.store.users._HASHER", CHEAP_HASHER)
        for name, (tenant, role, member) in ROLES.items():
            opened.users.add(
                f"{name}@test.example", tenant=tenant, role=role, password=PASSWORD, member=member
            )
    return home


@pytest.fixture
def store(furnished: Path, tmp_path: Path, clock: HandClock) -> Iterator[Store]:
    """An open store."""
    shutil.copytree(furnished, tmp_path, dirs_exist_ok=True)
    with open_store(StoreSettings(tmp_path), clock=clock) as opened:
        yield opened


@pytest.fixture
def impact() -> FakeImpact:
    """The numbers of both tenants."""
    return FakeImpact({"acme": acme(), "umbrella": umbrella()})


@pytest.fixture
def browser(store: Store, impact: FakeImpact, clock: HandClock) -> Callable[[], TestClient]:
    """A browser that nobody has signed in with yet; it follows no redirects."""
    app = create_app(store, lambda: impact, clock=clock, cookie=COOKIE)
    return lambda: TestClient(app, base_url="http://rapport.test", follow_redirects=False)


@pytest.fixture
def people(store: Store) -> dict[str, User]:
    """The users of both tenants by name."""
    users = store.users.list("acme") + store.users.list("umbrella")
    return {user.email.partition("@")[0]: user for user in users}


@pytest.fixture
def sign_in(browser: Callable[[], TestClient], store: Store, people: dict[str, User]) -> SignIn:
    """A browser with a session of one of the people."""

    def signed_in(name: str) -> TestClient:
        client = browser()
        client.cookies.set(COOKIE, store.sessions.open(people[name]))
        return client

    return signed_in
