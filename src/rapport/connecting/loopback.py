"""The way back from a provider's page to a command: a server on this machine for one sign-in, and the browser that goes there."""

from __future__ import annotations

import html
import os
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from rapport.connecting.registration import RETURN_PATH, return_behind
from rapport.local.ports import LOOPBACK

_IDLE_SECONDS: Final = 30.0
"""A connection on which nothing is asked is closed: browsers open some in advance."""
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Rapport</title></head>
<body style="font: 1.1rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto; padding: 0 1rem">
<h1 style="font-size: 1.4rem">{heading}</h1><p>{text}</p></body></html>
"""


@dataclass(frozen=True, slots=True)
class Page:
    """What the browser shows in the end."""

    heading: str
    text: str

    def html(self) -> bytes:
        """As a document."""
        return _PAGE.format(heading=html.escape(self.heading), text=html.escape(self.text)).encode()


class Loopback:
    """Waits for one browser. `address` is where it is to come back to."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._shown = threading.Event()
        self._state = ""
        self._work: Callable[[Mapping[str, str]], Page] | None = None

    def wait(self, state: str, work: Callable[[Mapping[str, str]], Page], seconds: float) -> bool:
        """Does `work`, once, with what the browser brings back, and shows what it returns. Whether one came in time.

        Args:
            state: what the query must hold as `state`; whoever comes without it is sent away.
            work: must not raise.
            seconds: how long to wait.
        """
        with self._lock:
            self._state, self._work = state, work
        return self._shown.wait(seconds)

    def answer(self, query: Mapping[str, str]) -> Page | None:
        """What a browser shows that came with this query; None where it is not the one that is waited for."""
        with self._lock:
            work = self._work
            if work is None or query.get("state") != self._state:
                return None
            self._work = None
        return work(query)

    def is_shown(self) -> None:
        """The browser has its page; whoever waits goes on."""
        self._shown.set()


@contextmanager
def loopback() -> Iterator[Loopback]:
    """A server on a free port of this machine, until the block ends."""
    place: list[Loopback] = []

    class Handler(BaseHTTPRequestHandler):
        timeout = _IDLE_SECONDS

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            page = place[0].answer(dict(parse_qsl(asked.query))) if asked.path == RETURN_PATH else None
            if page is None:
                self.send_error(404, "Nothing is waited for here")
                return
            body = page.html()
            try:
                self.send_response(200)
                for name, value in {
                    "content-type": "text/html; charset=utf-8",
                    "content-length": str(len(body)),
                    "cache-control": "no-store",
                    # The address holds the code that was redeemed.
                    "referrer-policy": "no-referrer",
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            finally:
                place[0].is_shown()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server has
            """Says nothing: addresses hold codes."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        place.append(Loopback(return_behind(f"http://{LOOPBACK}:{server.server_port}")))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield place[0]
        finally:
            server.shutdown()


def has_browser() -> bool:
    """Whether a window can open on this machine."""
    if sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    ):
        return False  # what there is then runs inside the terminal, and no provider's page works in it
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def open_browser(address: str) -> None:
    """Opens the page, and does not wait: some browsers return when they are closed."""
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
