"""What every stub process does: says it is ready, waits for SIGTERM, writes down that it ended."""

from __future__ import annotations

import http.server
import os
import signal
import sys
import threading
from urllib.parse import urlsplit

from rapport.local.ready import announce, process_name
from rapport.settings import endpoints, load_settings


def run(name: str) -> None:
    """Runs until SIGTERM. A file `fail-NAME` in the home makes it exit with the code in it instead."""
    settings = load_settings()
    full_name = process_name(settings, name)
    order = settings.home / "order.txt"
    failing = settings.home / f"fail-{full_name}"
    if failing.exists():
        sys.stderr.write(f"error: {full_name} was told to fail: change the test\n")
        sys.exit(int(failing.read_text()))
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: _note(str(order), f"{full_name} interrupted"))
    where = endpoints(settings)
    listening = {"dashboard": where.dashboard, "clickhouse": where.clickhouse}
    if name in listening:
        port = urlsplit(listening[name] or "").port or 0
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), http.server.BaseHTTPRequestHandler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    announce(settings, name)
    _note(str(order), f"{full_name} started")
    stopping.wait()
    _note(str(order), f"{full_name} stopped")


def _note(path: str, line: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as file:
        file.write(line + "\n")
