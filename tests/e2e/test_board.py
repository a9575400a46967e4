"""The Impact board in a real browser: what it shows, where its numbers lead, and who may see what."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from browsing import CHROMIUM, PHONE, WHY_NOT, Login, Visit, chromium, window
from local_stack import RunningStack
from rapport.demo.company import OWN_DOMAIN, TENANT, CompanySize
from rapport.demo.steps import ingest_sources, load_directory
from rapport.demo.whole import WholeCompany, make_company
from rapport.waiting import wait_for_visible

Run = Callable[..., Any]
pytestmark = [
    pytest.mark.stack,
    pytest.mark.alone,
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT),
]
SIZE: Final = CompanySize(members=5, customers=8, contacts=30, copies=800, meetings=200)
NUMBERS: Final = ("emails", "sent", "received", "conversations", "meetings", "planned")
REFUSED_LOGIN: Final = "status of 401"


@pytest.fixture(scope="module")
def company(instance: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> WholeCompany:
    """A small company whose mail and meetings are all visible."""
    folder = tmp_path_factory.mktemp("company")
    made = make_company(folder, seed=3, now=datetime.now(UTC), size=SIZE, in_two_rounds=False)
    load_directory(instance.settings, instance.endpoints, made.mail.directory)
    ingest_sources(instance.settings, instance.endpoints, made.sources())
    wait_for_visible(instance.settings, made.tenant, timeout_seconds=240)
    return made


@pytest.fixture(scope="module")
def logins(instance: RunningStack, company: WholeCompany) -> dict[str, Login]:
    """One user of each role; the member is m1. The passwords are those that the command makes and prints."""
    found = {}
    for role in ("admin", "manager", "member"):
        email = f"{role}@{OWN_DOMAIN}"
        named = ("--member", list(company.mail.mailboxes)[1]) if role == "member" else ()
        added = instance.rapport("user", "add", email, "--tenant", TENANT, "--role", role, *named)
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
def visit(browser: Browser, instance: RunningStack) -> Visiting:
    """Opens a window; when it closes, nothing may have been complained about."""
    return partial(window, browser, instance.endpoints.dashboard or "")


def test_a_wrong_password_is_refused_and_a_right_one_opens_the_board(
    visit: Visiting, logins: dict[str, Login], tmp_path: Path
) -> None:
    """The refusal says what to do and keeps the address; the page that was wanted comes after signing in."""
    with visit(tolerated=REFUSED_LOGIN) as here:
        here.sign_in(Login(logins["admin"].email, "not the password"))
        assert "Check both and try again" in here.page.get_by_role("alert").inner_text()
        assert here.page.get_by_label("E-mail address").input_value() == logins["admin"].email
        here.page.screenshot(path=tmp_path / "refused.png")
        here.open("/?by=customer")
        here.page.get_by_label("E-mail address").fill(logins["admin"].email)
        here.page.get_by_label("Password").fill(logins["admin"].password)
        here.page.get_by_role("button", name="Sign in").click()
        here.page.wait_for_selector("section[aria-label='By customer']")


def test_the_board_shows_what_the_command_prints(
    rapport: Run, visit: Visiting, logins: dict[str, Login], tmp_path: Path
) -> None:
    """The totals and every row, by member and by customer, over the window that ends now."""
    with visit(logins["admin"]) as here:
        for by, tab in (("member", "By team member"), ("customer", "By customer")):
            before = _numbers(_counts(rapport, by))
            here.open(f"/?by={by}")
            here.settle()
            shown = _shown(here.page)
            after = _numbers(_counts(rapport, by))
            assert before["total"]["emails"] > 0
            # Time passes between the three: a mail may come of age meanwhile.
            assert shown in (before, after)
            assert here.page.get_by_role("link", name=tab).get_attribute("aria-current") == "page"
            here.page.screenshot(path=tmp_path / f"board-{by}.png", full_page=True)


def test_every_number_leads_to_as_many_entries(visit: Visiting, logins: dict[str, Login]) -> None:
    """Each linked number of the total, of three members and of three customers is clicked and its list is counted."""
    with visit(logins["admin"]) as here:
        followed = _follow_all(here, here.page.locator("dl.tiles"), "/")
        for path in ("/", "/?by=customer"):
            here.open(path)
            names = here.page.locator("table.numbers tbody th").all_inner_texts()[:3]
            for name in names:
                here.open(path)
                followed += _follow_all(here, _row(here.page, name), path)
        assert followed >= 20, "almost nothing was linked"


def test_the_list_behind_a_row_is_what_the_command_lists(
    rapport: Run, visit: Visiting, logins: dict[str, Login], tmp_path: Path
) -> None:
    """The same items in the same order, not only as many."""
    busiest = _counts(rapport, "customer")["rows"][0]
    with visit(logins["admin"]) as here:
        here.open("/?by=customer")
        _row(here.page, busiest["name"]).locator("td[data-label=Emails] a").click()
        shown = [address.rpartition("/")[2] for address in _listed(here.page)]
        here.page.screenshot(path=tmp_path / "list.png", full_page=True)
    listed = rapport("items", "--tenant", TENANT, "--customer", busiest["id"], "--kind", "email", "--json")
    assert shown == [item["id"] for item in listed]


def test_an_item_and_its_conversation_open(visit: Visiting, logins: dict[str, Login], tmp_path: Path) -> None:
    """From a number to one mail, why it is counted, and the whole conversation, and back."""
    with visit(logins["admin"]) as here:
        here.page.locator("dl.tiles .main a").click()
        here.page.locator("td.subject a").first.click()
        assert here.page.get_by_role("heading", name="Why is it here?").is_visible()
        here.page.screenshot(path=tmp_path / "item.png", full_page=True)
        here.page.get_by_role("link", name="Whole conversation").click()
        assert here.page.locator("ol.talk li").count() >= 1
        here.page.screenshot(path=tmp_path / "conversation.png", full_page=True)
        here.page.get_by_role("link", name="← Impact").click()
        here.page.wait_for_selector("#board")


def test_a_meeting_and_its_series_open(
    rapport: Run, visit: Visiting, logins: dict[str, Login], tmp_path: Path
) -> None:
    """From the number of planned meetings to one of a series, to all its dates."""
    planned = rapport("items", "--tenant", TENANT, "--planned", "--days", 90, "--json")
    assert planned
    with visit(logins["admin"]) as here:
        here.open("/?days=90")
        here.page.locator("dl.tiles .tile", has_text="Planned").locator("a").click()
        shown = [address.rpartition("/")[2] for address in _listed(here.page)]
        assert shown == [item["id"] for item in planned]
        here.page.screenshot(path=tmp_path / "planned.png", full_page=True)
        for item_id in shown:
            here.open(f"/items/{item_id}")
            if here.page.get_by_role("link", name="All dates of this series").count():
                break
        assert here.page.get_by_text("It has not started yet").is_visible()
        here.page.screenshot(path=tmp_path / "meeting.png", full_page=True)
        here.page.get_by_role("link", name="All dates of this series").click()
        assert here.page.locator("td.subject a").count() > 1
        assert here.page.locator(f"td.subject a[href='/items/{item_id}']").count() == 1
        here.page.screenshot(path=tmp_path / "series.png", full_page=True)


def test_search_sort_and_window_change_the_table_in_place(
    rapport: Run, visit: Visiting, logins: dict[str, Login]
) -> None:
    """What a person does with the board without leaving it."""
    rows = _counts(rapport, "customer", 90)["rows"]
    with visit(logins["manager"]) as here:
        here.tab("By customer")
        here.page.get_by_text("90 days", exact=True).click()
        here.page.wait_for_url("**days=90**")
        expect(here.page.locator("table.numbers tbody tr")).to_have_count(len(rows))
        here.page.locator("thead").get_by_role("link", name="Sent").click()
        here.page.wait_for_selector("th[aria-sort=descending] >> text=Sent")
        sent = [_number(text) for text in here.page.locator("td[data-label=Sent]").all_inner_texts()]
        assert sent == sorted((row["sent"] for row in rows), reverse=True)
        here.page.get_by_role("searchbox").press_sequentially(rows[0]["name"][:5])
        expect(here.page.locator("table.numbers tbody tr")).not_to_have_count(len(rows))
        assert rows[0]["name"] in here.page.locator("table.numbers tbody th").all_inner_texts()


def test_a_manager_sees_the_whole_tenant(rapport: Run, visit: Visiting, logins: dict[str, Login]) -> None:
    """The same board as an admin's."""
    with visit(logins["manager"]) as here:
        before, shown = _numbers(_counts(rapport, "member")), _shown(here.page)
        assert shown in (before, _numbers(_counts(rapport, "member")))
        assert len(shown["rows"]) == SIZE.members


def test_a_member_sees_what_is_his(
    rapport: Run, visit: Visiting, logins: dict[str, Login], tmp_path: Path
) -> None:
    """His row and his total are the same; customers only through his items; other people's lists are refused."""
    board = _counts(rapport, "member")
    own = next(row for row in board["rows"] if row["id"] == "m1")
    everywhere = {row["name"]: row["emails"] for row in _counts(rapport, "customer")["rows"]}
    with visit(logins["member"], tolerated="status of 40") as here:
        shown = _shown(here.page)
        assert shown["rows"] == {own["name"]: {name: own[name] for name in NUMBERS}}
        assert shown["total"] == shown["rows"][own["name"]]
        here.settle()
        here.page.screenshot(path=tmp_path / "member.png", full_page=True)
        followed = _follow_all(here, here.page.locator("dl.tiles"), "/")
        assert followed >= 3
        here.open("/?by=customer")
        customers = _shown(here.page)["rows"]
        assert customers
        assert all(row["emails"] <= everywhere[name] for name, row in customers.items())
        _follow_all(here, _row(here.page, next(iter(customers))), "/?by=customer")
        refused = here.page.goto(here.address + "/items?member=m0")
        assert refused is not None
        assert refused.status == 403
        assert "own record only" in here.page.get_by_role("alert").inner_text()
    foreign = _foreign_item(rapport)
    with visit(logins["member"], tolerated="status of 40") as here:
        hidden = here.page.goto(f"{here.address}/items/{foreign}")
        assert hidden is not None
        assert hidden.status == 404


def test_signing_out_ends_the_session(visit: Visiting, logins: dict[str, Login]) -> None:
    """Also for whoever kept the cookie: the session ends on the server."""
    with visit(logins["admin"]) as here:
        kept = here.page.context.cookies()
        here.page.get_by_role("button", name="Sign out").click()
        here.page.wait_for_url("**/login")
        here.page.context.add_cookies(kept)
        here.open("/")
        assert urlsplit(here.page.url).path == "/login"


def test_a_phone_shows_everything_without_scrolling_sideways(
    rapport: Run, visit: Visiting, logins: dict[str, Login], tmp_path: Path
) -> None:
    """At 390 px nothing is wider than the screen, and the numbers are the same."""
    with visit(logins["admin"], PHONE) as here:
        here.settle()
        before = _numbers(_counts(rapport, "member"))
        assert _shown(here.page) in (before, _numbers(_counts(rapport, "member")))
        for name, path in (
            ("board", "/"),
            ("customers", "/?by=customer"),
            ("meetings", "/items?show=meetings"),
            ("list", "/items?show=emails"),
        ):
            here.open(path)
            here.fits(tmp_path / f"phone-{name}.png")
        here.page.locator("td.subject a").first.click()
        here.fits(tmp_path / "phone-item.png")
        here.page.get_by_role("link", name="Whole conversation").click()
        here.fits(tmp_path / "phone-conversation.png")


def _counts(rapport: Run, by: str, days: int = 30) -> Any:
    return rapport("counts", "--tenant", TENANT, "--by", by, "--days", days, "--planned", "--json")


def _numbers(board: Any) -> dict[str, Any]:
    """What a page can show of a board: its totals, and its rows by name."""
    rows = {row["name"]: {name: row[name] for name in NUMBERS} for row in board["rows"]}
    assert len(rows) == len(board["rows"]), "two rows have one name"
    return {"total": {name: board["total"][name] for name in NUMBERS}, "rows": rows}


def _shown(page: Page) -> dict[str, Any]:
    """The numbers as a person reads them off the page."""
    tiles = page.locator("dl.tiles .tile").all()
    total = {
        tile.locator("dt").inner_text().lower(): _number(tile.locator("dd").first.inner_text())
        for tile in tiles
    }
    rows = {}
    for row in page.locator("table.numbers tbody tr").all():
        cells = {name: row.locator(f"td[data-label={name.capitalize()}]").inner_text() for name in NUMBERS}
        rows[row.locator("th").inner_text()] = {name: _number(text) for name, text in cells.items()}
    return {"total": total, "rows": rows}


def _number(text: str) -> int:
    """A number as it is written: digits with narrow spaces between the thousands, perhaps after a label."""
    digits = re.sub(r"\D", "", text)
    assert digits, f"no number in {text!r}"
    return int(digits)


def _row(page: Page, name: str) -> Any:
    return page.locator("table.numbers tbody tr").filter(
        has=page.get_by_role("rowheader", name=name, exact=True)
    )


def _follow_all(here: Visit, place: Any, path: str) -> int:
    """Clicks every linked number in a place, counts what is listed, and goes back; returns how many there were."""
    links = [(_number(link.inner_text()), link.get_attribute("href")) for link in place.locator("a").all()]
    for number, address in links:
        here.page.locator(f"a[href='{address}']").first.click()
        assert _number(here.page.locator("h1 .count").inner_text()) == number, address
        assert len(_listed(here.page)) == number, address
        here.open(path)
    return len(links)


def _listed(page: Page) -> list[str]:
    """The addresses of all entries of a list, over all its pages."""
    found: list[str] = []
    while True:
        page.wait_for_selector("td.subject a")
        found += [link.get_attribute("href") or "" for link in page.locator("td.subject a").all()]
        following = page.get_by_role("link", name="Next")
        if not following.count():
            assert len(set(found)) == len(found), "an entry stands twice"
            return found
        following.click()


def _foreign_item(rapport: Run) -> str:
    """An item to which m1 does not belong, not even as somebody who declined."""
    every = rapport("items", "--tenant", TENANT, "--days", 365, "--json")
    return next(str(item["id"]) for item in every if "m1" not in item["members"])
