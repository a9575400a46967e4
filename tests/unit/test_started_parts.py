"""What `rapport up` starts, and what before what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rapport.local.instance import Instance
from rapport.local.parts import parts
from rapport.settings import Settings

MICROSOFT = {"microsoft_client_id": "app", "public_url": "https://rapport.example"}


def stages(home: Path, found: Instance, **settings: Any) -> dict[str, int]:
    """The stage of each part, by its name."""
    away: dict[str, Any] = {"kafka": "127.0.0.1:1", "clickhouse": "http://u:p@127.0.0.1:1/rapport"}
    return {part.name: part.stage for part in parts(Settings(home=home, **away, **settings), found)}


def test_the_receiver_is_there_before_a_connector_subscribes(tmp_path: Path) -> None:
    """Graph calls it before it answers; where nobody is, push is off until the next attempt."""
    found = stages(tmp_path, Instance(webhooks="http://127.0.0.1:8443"), connectors=2, **MICROSOFT)
    assert found["webhooks"] < found["connector-0"] == found["connector-1"]
    assert found["sink"] < found["worker-0"] < found["webhooks"]


def test_without_microsoft_neither_is_started(tmp_path: Path) -> None:
    assert stages(tmp_path, Instance()).keys() == {"sink", "worker-0", "dashboard"}


def test_without_a_public_address_there_is_no_receiver(tmp_path: Path) -> None:
    assert "webhooks" not in stages(tmp_path, Instance(), microsoft_client_id="app")
