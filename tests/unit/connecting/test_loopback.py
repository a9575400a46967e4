"""The way back from a provider's page to a command: one browser, with the right state, once."""

from __future__ import annotations

import sys
import threading
import webbrowser
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx2
import pytest

from rapport.connecting.loopback import Page, has_browser, loopback


def get(address: str, **query: str) -> httpx2.Response:
    """A browser that comes back."""
    return httpx2.get(address.replace("localhost", "127.0.0.1"), params=query)


def test_the_browser_comes_back_to_a_name_that_microsoft_takes_with_any_port() -> None:
    with loopback() as first, loopback() as second:
        assert urlsplit(first.address).hostname == "localhost"
        assert urlsplit(first.address).path == "/connections/microsoft/done"
        assert urlsplit(first.address).port != urlsplit(second.address).port


def test_what_came_of_it_is_shown_and_nobody_else_is_heard() -> None:
    """Neither another state, nor another page, nor a second time; a line that says nothing disturbs nobody."""
    seen: list[Mapping[str, str]] = []
    answers: list[httpx2.Response] = []

    def work(query: Mapping[str, str]) -> Page:
        seen.append(query)
        return Page("Connected", "a < b & c")

    with loopback() as back:
        assert get(back.address, state="early").status_code == 404

        def browser() -> None:
            answers.extend(get(back.address, **query) for query in ({"state": "guessed"}, {}))
            while not seen:  # this one may be early
                answers.append(get(back.address, state="right", code="x"))

        beside = threading.Thread(target=browser)
        beside.start()
        assert back.wait("right", work, 20)
        beside.join(20)
        assert get(back.address, state="right").status_code == 404
        assert get(back.address.removesuffix("done"), state="right").status_code == 404
    assert seen == [{"state": "right", "code": "x"}]
    assert [one.status_code for one in answers[:2]] == [404, 404]
    assert "a &lt; b &amp; c" in answers[-1].text
    assert answers[-1].headers["referrer-policy"] == "no-referrer"


def test_nobody_comes() -> None:
    with loopback() as back:
        assert not back.wait("state", lambda _: Page("", ""), 0.05)


@pytest.mark.parametrize(("display", "expected"), [("", False), (":0", True)])
def test_a_window_needs_a_screen(monkeypatch: pytest.MonkeyPatch, display: str, expected: bool) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(webbrowser, "get", object)
    assert has_browser() is expected
