"""`rapport keys rotate`: what it asks, what it refuses, what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rapport.cli.keys import app
from rapport.local import instance
from rapport.store import open_store
from rapport_core.errors import ConfigError, RefusedError
from store_processes import MASTER_KEY, StoreSettings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a store, and no other setting."""
    for name in ("RAPPORT_MASTER_KEY", "RAPPORT_MASTER_KEY_FILE", "RAPPORT_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAPPORT_HOME", str(tmp_path))
    open_store(StoreSettings(tmp_path)).close()
    return tmp_path


def run(*arguments: str) -> str:
    """What it prints; raises what it raises."""
    result = CliRunner().invoke(app, ["rotate", *arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_it_asks_and_without_a_terminal_it_refuses(home: Path) -> None:
    before = (home / "master.key").read_bytes()
    with pytest.raises(RefusedError, match=r"earlier backups .* repeat with --yes"):
        run()
    assert (home / "master.key").read_bytes() == before


def test_it_says_where_the_new_key_is(home: Path) -> None:
    before = (home / "master.key").read_bytes()
    assert f"the master key in {home / 'master.key'} is new" in run("--yes")
    assert (home / "master.key").read_bytes() != before


@pytest.mark.parametrize("running", [True, False])
def test_another_place_is_refused_while_something_runs(
    home: Path, monkeypatch: pytest.MonkeyPatch, running: bool
) -> None:
    """In its own place the key may change at any time."""
    monkeypatch.setattr(instance, "is_running", lambda _: running)
    target = home / "new.key"
    if running:
        with pytest.raises(ConfigError, match="stop it, rotate, and start it"):
            run("--yes", "--to", str(target))
        assert not target.exists()
        assert "is new" in run("--yes", "--to", str(home / "master.key"))
    else:
        assert "set RAPPORT_MASTER_KEY_FILE to it" in run("--yes", "--to", str(target))
        assert target.exists()


@pytest.mark.parametrize("running", [True, False])
def test_a_key_in_the_environment_cannot_be_replaced_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, running: bool
) -> None:
    monkeypatch.setenv("RAPPORT_HOME", str(tmp_path))
    monkeypatch.setenv("RAPPORT_MASTER_KEY", MASTER_KEY)
    monkeypatch.setattr(instance, "is_running", lambda _: running)
    with pytest.raises(ConfigError, match="stop it" if running else "--to FILE"):
        run("--yes")
