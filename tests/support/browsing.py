"""A real browser at the dashboard: windows of people, and everything a browser complains about."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

CHROMIUM: Final = shutil.which("chromium")
WHY_NOT: Final = "no chromium on the PATH: the pages are not tried in a browser"
DESKTOP: Final = (1280, 900)
PHONE: Final = (390, 844)
_QUIET: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PATIENCE_MS: Final = 20_000


@dataclass(frozen=True)
class Login:
    """Who signs in with what."""

    email: str
    password: str


@dataclass
class Visit:
    """One browser window of one person. `wrong` is everything a browser complains about."""

    page: Page
    address: str
    wrong: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Goes to a page of the dashboard."""
        self.page.goto(self.address + path)

    def sign_in(self, login: Login) -> None:
        """Fills the form in, as a person does."""
        self.open("/")
        self.page.get_by_label("E-mail address").fill(login.email)
        self.page.get_by_label("Password").fill(login.password)
        self.page.get_by_role("button", name="Sign in").click()

    def tab(self, name: str) -> None:
        """Changes the table; htmx replaces the board in place."""
        self.page.get_by_role("link", name=name).click()
        self.page.wait_for_selector(f"section[aria-label='{name}']")

    def settle(self) -> None:
        """Waits for the chart, which is drawn last."""
        self.page.wait_for_selector("#chart canvas")

    def fits(self, picture: Path) -> None:
        """Takes a picture; nothing is wider than the screen."""
        self.page.wait_for_load_state("networkidle")
        self.page.screenshot(path=picture, full_page=True)
        width = self.page.evaluate("document.documentElement.scrollWidth")
        screen = self.page.viewport_size
        assert screen is not None
        assert width <= screen["width"], f"{picture.stem} is {width} px wide"


@contextmanager
def chromium() -> Iterator[Browser]:
    """One Chromium; each window has its own cookies."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_QUIET))
        yield running
        running.close()


@contextmanager
def window(
    browser: Browser,
    address: str,
    login: Login | None = None,
    size: tuple[int, int] = DESKTOP,
    tolerated: str = "",
    *,
    any_certificate: bool = False,
) -> Iterator[Visit]:
    """Opens a window; when it closes, nothing may have been complained about.

    Args:
        browser: of `chromium`.
        address: of the dashboard.
        login: who signs in at once.
        size: width and height.
        tolerated: what a complaint may hold.
        any_certificate: whether servers with certificates of their own are trusted.
    """
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, locale="en-GB", ignore_https_errors=any_certificate
    )
    context.set_default_timeout(_PATIENCE_MS)
    context.add_init_script(
        "addEventListener('securitypolicyviolation', e => console.error('CSP ' + e.violatedDirective))"
    )
    here = Visit(context.new_page(), address)
    _listen(here, tolerated)
    if login is not None:
        here.sign_in(login)
        here.page.wait_for_selector("#board")
    yield here
    context.close()
    assert here.wrong == []


def _listen(here: Visit, tolerated: str) -> None:
    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not (tolerated and tolerated in message.text):
            here.wrong.append(message.text)

    def failed(request: Request) -> None:
        # Whoever leaves a page before its chart is drawn aborts that request.
        if request.failure != "net::ERR_ABORTED":
            here.wrong.append(f"{request.failure}: {request.url}")

    here.page.on("console", said)
    here.page.on("pageerror", lambda error: here.wrong.append(str(error)))
    here.page.on("requestfailed", failed)
