"""The page about health of matching: readable for those who may, with the command that settles each line."""

from __future__ import annotations

import html
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from fake_impact import FakeImpact
from rapport.matching_report import choice_command
from rapport.store import Store
from rapport_core.errors import ConfigError, UnavailableError
from rapport_schemas.sealing import seal
from rapport_schemas.topics import composite_key

SignIn = Callable[[str], TestClient]
EVIL = "a<script>$(reboot)@kund.se"


def missed(store: Store, address: str, tenant: str = "acme", **changes: Any) -> dict[str, Any]:
    """A line with a name that only the tenant's key opens."""
    context = composite_key("stranger", tenant)
    sealed = seal(store.keys.tenant_keys(tenant).seal, address.encode(), context)
    usual: dict[str, Any] = {
        "hash": "0a",
        "sealed": b64encode(sealed).decode(),
        "items": 1234,
        "left_out": 34,
        "example": "item1",
        "rule": "no_customer",
        "last": "2026-11-22T23:30:00Z",
    }
    return usual | changes


def ambiguous(what: str, value: str, kind: str, *ids: str) -> dict[str, Any]:
    """A value with its candidates."""
    candidates = [{"kind": kind, "id": one, "name": f"Name of {one}"} for one in ids]
    numbers = {"items": 7, "members": 2, "customers": 1}
    return {"what": what, "value": value, "candidates": candidates, **numbers}


def told(client: TestClient) -> str:
    """The page as people read it."""
    answer = client.get("/matching")
    assert answer.status_code == 200
    return html.unescape(answer.text)


@pytest.mark.parametrize("who", ["admin", "manager"])
def test_names_are_opened_for_those_who_see_the_tenant_and_it_is_noted(
    sign_in: SignIn, impact: FakeImpact, store: Store, who: str
) -> None:
    """A domain shows as a domain, an address as an address."""
    line = missed(store, "kim@kund.se")
    impact.tenants["acme"].health = {"domains": [line], "addresses": [line]}
    page = told(sign_in(who))
    assert "<bdi>kund.se</bdi>" in page
    assert "<bdi>kim@kund.se</bdi>" in page
    assert "1\N{NARROW NO-BREAK SPACE}234" in page
    assert "23 Nov 2026" in page  # in Stockholm
    assert "nobody in it is a customer" in page
    (entry,) = store.audit.entries("acme")
    assert (entry.action, entry.object) == ("unmatched_listed", "acme")


def test_a_member_neither_sees_nor_finds_it(sign_in: SignIn, store: Store) -> None:
    """Strangers in everybody's unmatched mail are not one member's own record."""
    client = sign_in("member")
    assert client.get("/matching").status_code == 403
    assert "/matching" not in client.get("/").text
    assert "/matching" in sign_in("manager").get("/").text
    assert store.audit.entries("acme") == []


def test_another_tenants_names_do_not_open(sign_in: SignIn, impact: FakeImpact, store: Store) -> None:
    """Neither do names whose key was destroyed: the numbers stay, the name does not."""
    impact.tenants["acme"].health = {
        "domains": [missed(store, "x@secret.se", "umbrella"), missed(store, "", sealed="")]
    }
    page = told(sign_in("admin"))
    assert "secret.se" not in page
    assert page.count("its name cannot be opened") == 2


def test_an_example_is_a_link_for_those_who_may_open_it(
    sign_in: SignIn, impact: FakeImpact, store: Store
) -> None:
    """Everybody opens an item of the record; only admins one that was left out, the others see its id."""
    impact.tenants["acme"].health = {
        "domains": [missed(store, "a@x.se", example="left1"), missed(store, "b@y.se", left_out=0)]
    }
    for who in ("admin", "manager"):
        page = told(sign_in(who))
        assert 'href="/items/item1"' in page
        assert ('href="/items/left1"' in page) == (who == "admin")
        assert ("<code>left1</code>" in page) == (who == "manager")


def test_every_candidate_has_the_command_that_chooses_it(sign_in: SignIn, impact: FakeImpact) -> None:
    impact.tenants["acme"].health = {
        "ambiguous": [
            ambiguous("address", "kim@kund.se", "contact", "p1", "p2"),
            ambiguous("domain", "kund.se", "customer", "c1", "c2"),
        ]
    }
    page = told(sign_in("admin"))
    assert "Touches 7 items, 2 team members and 1 customer." in page
    for command in (
        "rapport directory set choice --address kim@kund.se --contact p2 --tenant acme",
        "rapport directory set choice --domain kund.se --customer c1 --tenant acme",
    ):
        assert f"<code>{command}</code>" in page


def test_what_came_with_mail_is_escaped_and_quoted(sign_in: SignIn, impact: FakeImpact) -> None:
    """On the page and in the command that a person copies into a shell."""
    impact.tenants["acme"].health = {"ambiguous": [ambiguous("address", EVIL, "contact", "p1")]}
    text = sign_in("admin").get("/matching").text
    assert "<script>$" not in text
    assert f"'{EVIL}'" in html.unescape(text)
    command = choice_command("acme", "address", EVIL, {"kind": "contact", "id": "p 1", "name": ""})
    assert command.endswith(f"--address '{EVIL}' --contact 'p 1' --tenant acme")


def test_floods_stand_first(sign_in: SignIn, impact: FakeImpact) -> None:
    flood = {"contact": "p1", "name": "Kim", "items": 40, "before": 2.6, "customers": 9}
    impact.tenants["acme"].health = {"floods": [flood]}
    page = told(sign_in("admin"))
    assert "<bdi>Kim</bdi> wrote 40 items in 7 days, usually 3 a week, touching 9 customers." in page
    assert page.index("Sudden floods") < page.index("Ambiguous addresses")


def test_nothing_to_do_is_said(sign_in: SignIn) -> None:
    page = told(sign_in("admin"))
    assert page.count("everybody your team meets is in the directory") == 2
    assert "every domain to one customer" in page
    assert "Sudden floods" not in page


def test_numbers_that_cannot_be_read_leave_no_audit_entry(
    sign_in: SignIn, impact: FakeImpact, store: Store
) -> None:
    impact.fail = UnavailableError("ClickHouse does not answer")
    assert sign_in("admin").get("/matching").status_code == 503
    assert store.audit.entries("acme") == []


class Choices:
    """A `Chooser` that remembers what it was asked. `fail` raises what it is set to."""

    def __init__(self) -> None:
        self.made: list[tuple[str, dict[str, str]]] = []
        self.fail: Exception | None = None

    def __call__(self, tenant: str, **choice: str) -> None:
        if self.fail is not None:
            raise self.fail
        self.made.append((tenant, choice))


@pytest.fixture
def choices(browser: Callable[[], TestClient]) -> Choices:
    """What the application of this test writes choices with."""
    made = Choices()
    guard = browser().app
    app = guard.app  # type: ignore[attr-defined]
    app.state.parts = replace(app.state.parts, choose=made)
    return made


def buttons_on(client: TestClient) -> list[dict[str, str]]:
    """The forms of the page, as what they send."""
    page = client.get("/matching").text
    fields = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')
    forms = re.findall(r'<form method="post" action="/matching">(.*?)</form>', page, re.DOTALL)
    return [{name: html.unescape(value) for name, value in fields.findall(form)} for form in forms]


def test_an_admin_settles_an_ambiguity_on_the_page(
    sign_in: SignIn, impact: FakeImpact, choices: Choices, store: Store
) -> None:
    """The audit says who was chosen, and no address."""
    impact.tenants["acme"].health = {
        "ambiguous": [
            ambiguous("address", "kim@kund.se", "contact", "p1", "p2"),
            ambiguous("domain", "kund.se", "customer", "c1"),
        ]
    }
    client = sign_in("admin")
    _, second, third = buttons_on(client)
    answer = client.post("/matching", data=second)
    assert (answer.status_code, answer.headers["location"]) == (303, "/matching?chosen=yes")
    assert client.post("/matching", data=third).status_code == 303
    assert choices.made == [
        ("acme", {"address": "kim@kund.se", "contact": "p2"}),
        ("acme", {"domain": "kund.se", "customer": "c1"}),
    ]
    assert "follow within a minute" in client.get("/matching?chosen=yes").text
    settled = [entry for entry in store.audit.entries("acme") if entry.action == "ambiguity_settled"]
    assert [entry.object for entry in settled] == ["customer c1", "contact p2"]


def test_only_an_admins_own_form_changes_the_directory(
    sign_in: SignIn, impact: FakeImpact, choices: Choices
) -> None:
    """Not a manager's, not a member's, not another session's, not another site's, not half a form."""
    impact.tenants["acme"].health = {
        "ambiguous": [ambiguous("address", "kim@kund.se", "contact", "p1", "p2")]
    }
    admin = sign_in("admin")
    form = buttons_on(admin)[0]
    assert buttons_on(sign_in("manager")) == []
    for who in ("manager", "member"):
        client = sign_in(who)
        own = {**form, "csrf": client.get("/").text.split('name="csrf" value="')[1].split('"')[0]}
        assert client.post("/matching", data=own).status_code == 403
    assert admin.post("/matching", data={**form, "csrf": "guessed"}).status_code == 403
    assert admin.post("/matching", data=form, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    for missing in ("what", "value", "who"):
        assert admin.post("/matching", data={**form, missing: ""}).status_code == 400
    assert choices.made == []


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (
            ConfigError("contact p2 has no address kim@kund.se: there is nothing to choose"),
            409,
            "nothing to choose",
        ),
        (UnavailableError("Kafka does not answer"), 503, "Kafka does not answer"),
    ],
)
def test_a_choice_that_cannot_be_written_says_why(
    sign_in: SignIn,
    impact: FakeImpact,
    choices: Choices,
    store: Store,
    error: Exception,
    status: int,
    said: str,
) -> None:
    """And nothing is noted as done."""
    impact.tenants["acme"].health = {"ambiguous": [ambiguous("address", "kim@kund.se", "contact", "p1")]}
    client = sign_in("admin")
    choices.fail = error
    answer = client.post("/matching", data=buttons_on(client)[0])
    assert answer.status_code == status
    assert said in answer.text
    assert {entry.action for entry in store.audit.entries("acme")} == {"unmatched_listed"}
