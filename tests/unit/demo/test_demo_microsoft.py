"""The simulated Microsoft of a demo: nobody's real one, told by scripts, and a process that ends with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from rapport.demo.board import bar
from rapport.demo.company import CompanySize
from rapport.demo.microsoft import simulated_microsoft, simulator_folder
from rapport.demo.scripts import ENDING, Script, later_of
from rapport.demo.steps import demo_settings
from rapport.demo.whole import make_company
from rapport.settings import Settings
from rapport_core.errors import UnavailableError

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
SIZE = CompanySize(members=4, customers=2, contacts=4, copies=60, meetings=20, microsoft=True)


def test_a_demo_uses_no_app_registration_of_the_environment(tmp_path: Path) -> None:
    """What is set for a real Microsoft 365 is not the demo's."""
    real = Settings(
        home=tmp_path,
        microsoft_client_id="real",
        microsoft_client_secret=SecretStr("real"),
        public_url="https://rapport.example",
        ca_file=tmp_path / "ca.pem",
    )
    demo = demo_settings(real)
    left = (demo.microsoft_client_id, demo.microsoft_client_secret, demo.public_url, demo.ca_file)
    assert left == (None, None, None, None)


def test_a_script_says_first_and_later_apart(tmp_path: Path) -> None:
    """Each step is a line, with what it is called, what it needs and what the story told of it."""
    path = tmp_path / f"m0{ENDING}"
    script = Script(path)
    script.first("deliver", b'{"at": 7}', called="mail 1", folder="inbox")
    script.later("delete", what="mail 1")
    script.close()
    first, later = (json.loads(one.read_text("utf-8")) for one in (path, later_of(path)))
    assert first == {"do": "deliver", "as": "mail 1", "folder": "inbox", "at": 7}
    assert later == {"do": "delete", "what": "mail 1"}


@pytest.mark.parametrize(
    ("done", "total", "shown"),
    [(0, 2, "░" * 24 + " 0 of 2"), (1, 2, "█" * 12 + "░" * 12 + " 1 of 2"), (3, 0, "3")],
)
def test_how_far_it_is_as_a_bar(done: int, total: int, shown: str) -> None:
    """Full at the end; a number where nobody knows the end."""
    assert bar(done, total) == shown


def test_the_simulator_is_told_the_story_and_ends_with_the_demo(tmp_path: Path) -> None:
    """Everybody gets a mailbox; settings lead to it; afterwards nobody answers."""
    assert simulator_folder() is not None
    made = make_company(tmp_path / "company", seed=1, now=NOW, size=SIZE)
    opened: list[int] = []
    with simulated_microsoft(tmp_path / "microsoft", made) as microsoft:
        microsoft.open_mailboxes(opened.append)
        settings = microsoft.settings(demo_settings(Settings(home=tmp_path)))
        assert settings.microsoft_graph.startswith("https://localhost:")
        assert settings.ca_file is not None
        assert settings.ca_file.exists()
        microsoft.later()
    assert opened == [1, 2]
    with pytest.raises(UnavailableError, match="has ended"):
        microsoft.later()
