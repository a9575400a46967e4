"""The page of an item that is left out: for admins only, with nothing of it anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from fake_impact import FakeImpact
from rapport.dashboard.app import create_app
from rapport.store import Store
from rapport.store.users import User
from store_processes import HandClock

COOKIE = "rapport_session"
EVIL = "<script>alert(1)</script>"
LEFT_OUT: Mapping[str, Any] = {
    "id": "hidden",
    "kind": "email",
    "at": "2026-11-20T10:00:00Z",
    "matched": False,
    "sentence": "It is left out: nobody in it is a contact.",
    "subject": f"Secret plans {EVIL}",
    "message_id": "1@web.example",
    "people": [
        {"address": "new@web.example", "roles": ["from"], "standing": "external"},
        {"address": "anna@acme.com", "roles": ["to"], "standing": "internal", "members": ["m1"]},
        {
            "address": "x@kund.se",
            "roles": ["cc"],
            "standing": "external",
            "excluded_by": ["address:x@kund.se"],
        },
    ],
    "copies": [
        {"connection": "box", "member": "m1", "rule": "no_customer", "named": True, "mail_class": "human"}
    ],
    "losing": [{"kind": "customer", "id": "c1", "domain": "kund.se", "for": "x@kund.se", "why": "it lost"}],
    "would_turn": [{"changes": [], "sentence": "add new@web.example to a contact"}],
    "reason": {"rule": "excluded", "entries": [{"kind": "exclusion", "id": "address:x@kund.se"}]},
    "fresh": {"synced": True, "rule": "contact_address", "sentence": "It is here."},
    "notes": ["A note."],
}


class Desk:
    """One item that is left out, of acme."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []

    def item(self, tenant: str, item_id: str, now: datetime, user: str) -> Mapping[str, Any] | None:
        self.asked.append((tenant, item_id, user))
        return LEFT_OUT if (tenant, item_id) == ("acme", "hidden") else None


@pytest.fixture
def desk() -> Desk:
    """Notes who asked."""
    return Desk()


@pytest.fixture
def visit(
    store: Store, impact: FakeImpact, clock: HandClock, desk: Desk, people: dict[str, User]
) -> Callable[[str], TestClient]:
    """A browser of one of the people, on a dashboard that can open what is sealed."""
    app = create_app(store, lambda: impact, left_out=desk, clock=clock, cookie=COOKIE)

    def signed_in(name: str) -> TestClient:
        client = TestClient(app, base_url="http://rapport.test", follow_redirects=False)
        client.cookies.set(COOKIE, store.sessions.open(people[name]))
        return client

    return signed_in


def test_an_admin_sees_why_and_what_would_turn_it(
    visit: Callable[[str], TestClient], desk: Desk, people: dict[str, User]
) -> None:
    answer = visit("admin").get("/items/hidden")
    assert answer.status_code == 200
    for words in (
        "Why is it not here?",
        "nobody in it is a contact",
        "still under way",
        "not in the directory",
        "internal; member Anna",
        "external; excluded",
        "add new@web.example to a contact",
        "it lost",
        "exclusion address:x@kund.se",
        "A note.",
    ):
        assert words in answer.text
    assert EVIL not in answer.text
    assert desk.asked == [("acme", "hidden", people["admin"].id)]


@pytest.mark.parametrize("who", ["manager", "member"])
def test_other_roles_do_not_learn_that_it_exists(
    visit: Callable[[str], TestClient], desk: Desk, who: str
) -> None:
    client = visit(who)
    answer = client.get("/items/hidden")
    assert (answer.status_code, desk.asked) == (404, [])
    assert answer.text == client.get("/items/nothing").text


def test_an_admin_of_another_tenant_finds_nothing(visit: Callable[[str], TestClient]) -> None:
    assert visit("umbrella").get("/items/hidden").status_code == 404


def test_what_is_in_the_numbers_is_not_opened(visit: Callable[[str], TestClient], desk: Desk) -> None:
    assert visit("admin").get("/items/acme1").status_code == 200
    assert desk.asked == []
