"""The dashboard as a process: it starts without ClickHouse, says when it is ready, and ends in order."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from rapport.local.ports import free_port

START_SECONDS = 60
STOP_SECONDS = 20


@contextmanager
def dashboard(home: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A dashboard whose services are all away."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")} | {
        "RAPPORT_HOME": str(home),
        "RAPPORT_KAFKA": "127.0.0.1:1",
        "RAPPORT_CLICKHOUSE": "http://rapport:secret@127.0.0.1:1/rapport",
        "RAPPORT_DASHBOARD_PORT": str(port),
    }
    command = [sys.executable, "-m", "rapport.processes.dashboard"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=STOP_SECONDS)


def test_it_serves_without_clickhouse_and_ends_in_order(tmp_path: Path) -> None:
    """Alive and asking to sign in, not ready; SIGTERM ends it with 0; its log holds no query string."""
    port = free_port()
    with dashboard(tmp_path, port) as process:
        ready = tmp_path / "run" / "dashboard.ready"
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
            assert client.get("/livez").status_code == 200
            assert client.get("/readyz").text == "not ready: clickhouse\n"
            assert client.get("/?q=private-search").headers["location"].startswith("/login?next=")
            page = client.get("/login")
        assert re.search(r"<h1>Sign in</h1>", page.text)
        assert "server" not in page.headers
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=STOP_SECONDS)
    assert process.returncode == 0, log
    assert '"path": "/login"' in log
    assert "private-search" not in log
    assert "secret" not in log


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    """With what to do, and exit code 2."""
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        dashboard(tmp_path, other.getsockname()[1]) as process,
    ):
        _, log = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 2
    assert "is in use: set RAPPORT_DASHBOARD_PORT to another" in log
