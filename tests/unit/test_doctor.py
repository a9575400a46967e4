"""What `rapport doctor` looks at, and that it only looks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from graph import Simulator
from graph.entra import CLIENT_ID, CLIENT_SECRET
from rapport import doctor
from rapport.doctor import Finding, examine
from rapport.local import instance
from rapport.local.ports import free_port
from rapport.settings import Settings


def findings(home: Path, **settings: Any) -> dict[str, Finding]:
    return {found.part: found for found in examine(Settings(home=home, **settings))}


def test_it_makes_no_home(tmp_path: Path) -> None:
    """A look at an instance that never was leaves nothing behind, and says that there is room for one."""
    found = findings(tmp_path / "deep" / "home")
    assert found["disk"].is_fine
    assert "which the first start makes" in found["disk"].text
    assert "start it with rapport up" in found["services"].text
    assert list(tmp_path.iterdir()) == []


def test_it_makes_no_store(tmp_path: Path) -> None:
    """Also where Kafka and ClickHouse are said to be elsewhere."""
    home = tmp_path / "home"
    found = findings(home, kafka="127.0.0.1:1", clickhouse="http://u:p@127.0.0.1:1/rapport")
    assert not found["store"].is_fine
    assert "rapport up makes it" in found["store"].text
    assert not home.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """The sentence says what to do."""
    tmp_path.chmod(0o500)
    try:
        found = findings(tmp_path / "home")
    finally:
        tmp_path.chmod(0o700)
    assert not found["disk"].is_fine
    assert "choose another folder with RAPPORT_HOME" in found["disk"].text


def test_a_home_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    """Whoever asks."""
    (tmp_path / "file").write_text("x")
    assert not findings(tmp_path / "file" / "home")["disk"].is_fine


@pytest.mark.parametrize(
    ("secret", "tenant", "is_fine", "words"),
    [
        (CLIENT_SECRET, "acme.example", True, "takes the client secret"),
        ("expired", "acme.example", False, "the client secret of Rapport's app registration is wrong"),
        ("expired", "organizations", True, "answers; a client secret is tried when somebody connects"),
    ],
)
def test_it_looks_at_the_app_registration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str, tenant: str, is_fine: bool, words: str
) -> None:
    """A bad client secret stops every account, so it is no account's fault and must be told here."""
    monkeypatch.setattr(doctor, "_SECONDS", 0.1)
    simulator = Simulator(seed=7)
    simulator.mailbox("anna@acme.example")
    away = {"kafka": "127.0.0.1:1", "clickhouse": "http://u:p@127.0.0.1:1/rapport"}
    with simulator.serve(tmp_path) as served:
        found = findings(
            tmp_path / "home",
            **away,
            ca_file=served.ca_file,
            microsoft_client_id=CLIENT_ID,
            microsoft_client_secret=secret,
            microsoft_authority=f"{served.host}/{tenant}",
        )
    assert found["microsoft"].is_fine is is_fine
    assert words in found["microsoft"].text
    assert not found["connectors"].is_fine


def test_without_microsoft_nothing_of_it_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_SECONDS", 0.1)
    found = findings(tmp_path, kafka="127.0.0.1:1", clickhouse="http://u:p@127.0.0.1:1/rapport")
    assert not {"microsoft", "connectors"} & found.keys()


AWAY = {"kafka": "127.0.0.1:1", "clickhouse": "http://u:p@127.0.0.1:1/rapport"}


@contextmanager
def receiver(status: int) -> Iterator[int]:
    """A receiver of notifications that answers `/readyz` so; its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def push(home: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Finding:
    """What is said of the receiver where push is wanted."""
    monkeypatch.setattr(doctor, "_SECONDS", 0.5)
    monkeypatch.setattr(doctor, "_microsoft", lambda _: "not asked")
    wanted = {"microsoft_client_id": CLIENT_ID, "public_url": "https://rapport.example"}
    return findings(home, **AWAY, **wanted, **settings)["webhooks"]


def test_a_receiver_that_answers_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(200) as port:
        found = push(tmp_path, monkeypatch, webhook_port=port)
    assert found == Finding("webhooks", is_fine=True, text=f"answer at http://127.0.0.1:{port}")


def test_a_receiver_that_is_not_ready_or_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver(503) as port:
        found = push(tmp_path, monkeypatch, webhook_port=port)
    assert (found.is_fine, "is not ready (status 503): see logs/webhooks.log" in found.text) == (False, True)
    found = push(tmp_path, monkeypatch, webhook_port=free_port())
    assert (found.is_fine, "does not answer" in found.text) == (False, True)


def test_the_receiver_of_a_running_instance_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever port it has; that this one changes with each start is told, for a proxy must know it."""
    with receiver(200) as port, instance.take_lock(tmp_path):
        instance.write(tmp_path, instance.Instance(webhooks=f"http://127.0.0.1:{port}"))
        found = push(tmp_path, monkeypatch)
        assert found.is_fine
        assert found.text.endswith(f"{port}; it moves at each start unless RAPPORT_WEBHOOK_PORT is set")
        instance.write(tmp_path, instance.Instance())
        found = push(tmp_path, monkeypatch)
    assert (found.is_fine, "start it again with both" in found.text) == (False, True)


def test_a_receiver_elsewhere_cannot_be_seen_and_without_push_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert push(tmp_path, monkeypatch) == Finding("webhooks", is_fine=True, text="run elsewhere")
    assert "webhooks" not in findings(tmp_path, **AWAY, microsoft_client_id=CLIENT_ID)
