"""The pages about connections in a real browser: to Microsoft's sign-in and back, settings, revoking, and the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from browsing import CHROMIUM, PHONE, WHY_NOT, Login, Visit, chromium, window
from local_stack import why_no_kafka
from microsoft_company import DAY, TENANT, MicrosoftCompany, address, letter, microsoft_company

pytestmark = [
    pytest.mark.stack,
    pytest.mark.alone,
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT),
]
MEMBERS: Final = 3
MAILS: Final = 12
START: Final = "Click to start authentication"
SOON_MS: Final = 45_000
"""How long what the pipeline does may take until a page shows it."""


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MicrosoftCompany]:
    """Members with mail of the last days, nobody connected. The pages are known by no public address."""
    if reason := why_no_kafka():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("microsoft")
    with microsoft_company(folder, MEMBERS, PUBLIC_URL="", WEBHOOK_PORT="") as found:
        for day in range(1, MAILS + 1):
            found.deliver(0, letter(f"past-{day}", address(0)), at=found.simulator.clock() - day * DAY)
        with found.simulator.lock:
            found.mailbox(0).out_of_office("alwaysEnabled")
        yield found


@pytest.fixture(scope="module")
def logins(company: MicrosoftCompany) -> dict[str, Login]:
    """An admin, and the member m1."""
    found = {}
    for role, named in (("admin", ()), ("member", ("--member", "m1"))):
        email = f"{role}@{TENANT}.example"
        added = company.running.rapport("user", "add", email, "--tenant", TENANT, "--role", role, *named)
        password = re.search(r"^password: (\S+)", added.stdout, re.MULTILINE)
        assert password, added.stderr
        found[role] = Login(email, password[1])
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests; each visit has its own cookies."""
    with chromium() as running:
        yield running


Visiting = Callable[..., Any]


@pytest.fixture
def visit(browser: Browser, company: MicrosoftCompany) -> Visiting:
    """Opens a window that trusts the simulated Microsoft."""
    where = company.running.endpoints.dashboard or ""
    return partial(window, browser, where, any_certificate=True)


def test_a_mailbox_is_connected_and_read(
    visit: Visiting, logins: dict[str, Login], company: MicrosoftCompany, tmp_path: Path
) -> None:
    """From the list to Microsoft and back; then the page follows the first sync, and the board has the mail."""
    with visit(logins["admin"]) as here:
        here.page.get_by_role("link", name="Connections").click()
        expect(here.page.get_by_role("link", name=START)).to_have_count(MEMBERS)
        here.page.screenshot(path=tmp_path / "nobody.png", full_page=True)
        _row(here.page, "Member 0").get_by_role("link", name=START).click()
        here.page.get_by_label("Also show when automatic replies are on").check()
        here.page.get_by_role("button", name="Continue to Microsoft").click()
        expect(here.page.get_by_role("status")).to_contain_text("It is connected")
        expect(_state(here.page)).to_contain_text(re.compile(r"Authenticated\s+\(\s*revoke\s*\)"))
        # Nobody loads the page again: it follows by itself.
        expect(_state(here.page).get_by_text("First sync")).to_have_count(0, timeout=SOON_MS)
        expect(_state(here.page).locator("dt", has_text="Oldest day read")).to_be_visible()
        expect(_state(here.page).locator(".last-sync time")).to_be_visible()
        here.page.screenshot(path=tmp_path / "read.png", full_page=True)
        company.wait_until(lambda: _received(company) == MAILS)
        here.open("/")
        assert here.page.locator("dl.tiles .main a").inner_text() == str(MAILS)


def test_absence_and_completeness_are_shown(
    visit: Visiting, logins: dict[str, Login], company: MicrosoftCompany, tmp_path: Path
) -> None:
    company.wait_until(lambda: company.connections()["m0"]["out_of_office"] is not None)
    company.wait_until(lambda: company.connections()["m0"]["last_sweep"] is not None)
    with visit(logins["admin"]) as here:
        _opened(here, "Member 0", [_text_of("out of office"), _text_of("nothing missing")])
        expect(here.page.locator("ol.days li")).to_have_count(MAILS)
        expect(here.page.locator("ol.days li.gap")).to_have_count(0)
        here.page.screenshot(path=tmp_path / "whole.png", full_page=True)


def test_settings_and_aliases_are_kept(visit: Visiting, logins: dict[str, Login], tmp_path: Path) -> None:
    with visit(logins["admin"]) as here:
        _opened(here, "Member 0")
        here.page.get_by_label("Mail from unknown senders").select_option("count")
        here.page.get_by_label("Customers are found by").select_option("customers' domains")
        here.page.get_by_role("button", name="Save").click()
        expect(here.page.get_by_role("status")).to_contain_text("It is saved")
        here.page.get_by_label("Another address of Member 0").fill("zero@contoso.example")
        here.page.get_by_role("button", name="Add").click()
        here.page.get_by_role("button", name="zero@contoso.example is no longer used").click()
        _opened(here, "Member 0")
        expect(here.page.get_by_label("Mail from unknown senders")).to_have_value("count")
        expect(here.page.get_by_label("Meetings of unknown organisers")).to_have_value("")
        expect(here.page.get_by_label("Customers are found by")).to_have_value("customers' domains")
        expect(here.page.locator(".chip.declined")).to_have_text("zero@contoso.example")
        here.page.screenshot(path=tmp_path / "settings.png", full_page=True)


def test_revoking_keeps_the_numbers_and_connecting_goes_on(
    visit: Visiting, logins: dict[str, Login], company: MicrosoftCompany, tmp_path: Path
) -> None:
    """What arrives meanwhile is read when somebody has signed in again, and what was read is not read anew."""
    with visit(logins["admin"]) as here:
        _opened(here, "Member 0")
        here.page.get_by_role("button", name="Revoke the authentication of Member 0").click()
        expect(here.page.get_by_role("status")).to_contain_text("Everything that was read stays")
        expect(here.page.get_by_role("link", name=START)).to_be_visible()
        here.page.screenshot(path=tmp_path / "revoked.png", full_page=True)
        company.deliver(0, letter("meanwhile", address(0)))
        assert company.connections()["m0"]["state"] == "needs_auth"
        assert _received(company) == MAILS
        began = company.connections()["m0"]["first_ended"]
        here.page.get_by_role("link", name=START).click()
        here.page.get_by_role("button", name="Continue to Microsoft").click()
        expect(here.page.get_by_role("status")).to_contain_text("It is connected")
        company.wait_until(lambda: _received(company) == MAILS + 1)
        assert company.connections()["m0"]["first_ended"] == began


def test_what_only_an_administrator_may_approve_is_told_with_the_link(
    visit: Visiting, logins: dict[str, Login], company: MicrosoftCompany, tmp_path: Path
) -> None:
    """A member connects the own mailbox, is refused, hands the link on; who opens it has no account here; then it works."""
    company.simulator.company(TENANT).users_may_consent = False
    company.simulator.entra.signs_in = address(1)
    with visit(logins["member"], tolerated="status of 40") as here:
        here.open("/connections")
        expect(here.page.locator("tbody tr")).to_have_count(1)
        refused = here.page.goto(here.address + "/connections/of/microsoft-m0")
        assert refused is not None
        assert refused.status == 404
        here.open("/connections")
        here.page.get_by_role("link", name=START).click()
        here.page.get_by_role("button", name="Continue to Microsoft").click()
        expect(here.page.get_by_role("alert")).to_contain_text("send this link to an administrator")
        here.page.screenshot(path=tmp_path / "refused.png", full_page=True)
        link = here.page.locator("pre").inner_text()
        with visit() as admin:
            admin.page.goto(link)
            expect(admin.page.get_by_role("heading", name="Approved")).to_be_visible()
            admin.page.screenshot(path=tmp_path / "approved.png", full_page=True)
        here.page.get_by_role("link", name="Try again").click()
        here.page.get_by_role("button", name="Continue to Microsoft").click()
        expect(here.page.get_by_role("status")).to_contain_text("It is connected")
        expect(here.page.get_by_role("link", name="Disconnect")).to_have_count(0)


def test_a_phone_shows_connections_without_scrolling_sideways(
    visit: Visiting, logins: dict[str, Login], tmp_path: Path
) -> None:
    with visit(logins["admin"], PHONE) as here:
        for name, path in (
            ("connections", "/connections"),
            ("connection", "/connections/of/microsoft-m0"),
            ("connect", "/connections/microsoft?member=m2"),
            ("disconnect", "/connections/disconnect?connection=microsoft-m0"),
        ):
            here.open(path)
            here.fits(tmp_path / f"phone-{name}.png")


def test_disconnecting_asks_with_what_it_touches_and_takes_it_away(
    visit: Visiting, logins: dict[str, Login], company: MicrosoftCompany, tmp_path: Path
) -> None:
    with visit(logins["admin"]) as here:
        _opened(here, "Member 0")
        here.page.get_by_role("link", name="Disconnect").click()
        expect(here.page.locator("main")).to_contain_text(f"This touches {MAILS + 1} items")
        here.page.screenshot(path=tmp_path / "disconnect.png", full_page=True)
        here.page.get_by_label("Erase everything").check()
        here.page.get_by_role("button", name="Disconnect").click()
        assert here.page.url.endswith("/connections/disconnect?connection=microsoft-m0"), (
            "nobody was sure yet"
        )
        here.page.get_by_label("I am sure").check()
        here.page.get_by_role("button", name="Disconnect").click()
        expect(here.page.get_by_role("status")).to_contain_text("It is disconnected")
        expect(_state(here.page)).to_contain_text("Disconnected")
        here.page.screenshot(path=tmp_path / "disconnected.png", full_page=True)
        company.wait_until(lambda: _received(company) == 0)


def _received(company: MicrosoftCompany) -> int:
    """How many mails the numbers have for the member who is connected first."""
    return company.received().get("m0", 0)


def _row(page: Page, name: str) -> Locator:
    return page.locator("table.connections tbody tr").filter(has=page.get_by_role("rowheader", name=name))


def _state(page: Page) -> Locator:
    return page.locator("#standing")


def _opened(here: Visit, name: str, until: list[Callable[[Page], Locator]] | None = None) -> None:
    """Opens the page about a member's connection, from the list; again until it shows what is awaited."""
    here.open("/connections")
    here.page.get_by_role("link", name=name, exact=True).click()
    for shown in until or []:
        expect(shown(here.page).first).to_be_visible()


def _text_of(text: str) -> Callable[[Page], Locator]:
    return lambda page: page.locator("main").get_by_text(text)
