"""`rapport user`: adds, lists and removes, with one clear sentence for each mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from rapport.cli.people import app
from rapport.settings import load_settings
from rapport.store import open_store
from rapport_core.errors import ConfigError
from store_processes import CHEAP_HASHER

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in an empty home and gives what it printed; errors come through as they are."""
    monkeypatch.setattr("rapport.store.users._HASHER", CHEAP_HASHER)
    monkeypatch.setenv("RAPPORT_HOME", str(tmp_path))
    for name in ("RAPPORT_STORE", "RAPPORT_MASTER_KEY", "RAPPORT_MASTER_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)

    def running(*arguments: str, stdin: str = "") -> str:
        result = CliRunner().invoke(app, list(arguments), input=stdin)
        if isinstance(result.exception, ConfigError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return running


def test_a_user_is_added_with_a_made_password_that_works(run: Run) -> None:
    """Without a terminal a password is made and printed once; no service need run."""
    output = run("add", "Anna@acme.com", "--tenant", "acme", "--role", "admin")
    assert "added anna@acme.com (admin) to tenant acme" in output
    password = output.split("password: ")[1].split()[0]
    with open_store(load_settings()) as store:
        assert store.users.verify("anna@acme.com", password) is not None
        assert [entry.action for entry in store.audit.entries("acme")] == ["user_added"]


def test_the_password_may_come_from_standard_input(run: Run) -> None:
    """Then nothing is printed of it."""
    output = run(
        "add", "bo@acme.com", "--tenant", "acme", "--role", "member", "--member", "m1", "--password-stdin",
        stdin="a long password\n",
    )  # fmt: skip
    assert "password" not in output
    with open_store(load_settings()) as store:
        assert store.users.verify("bo@acme.com", "a long password") is not None


def test_users_are_listed_and_removed(run: Run) -> None:
    """As a table and as JSON; an empty tenant is told what to do."""
    assert "has no users: add one with rapport user add" in run("list", "--tenant", "acme")
    run("add", "bo@acme.com", "--tenant", "acme", "--role", "member", "--member", "m1")
    listed = json.loads(run("list", "--tenant", "acme", "--json"))
    assert [(user["email"], user["role"], user["member"]) for user in listed] == [
        ("bo@acme.com", "member", "m1")
    ]
    assert "password" not in listed[0]
    assert "bo@acme.com" in run("list", "--tenant", "acme")
    assert json.loads(run("list", "--tenant", "umbrella", "--json")) == []
    run("remove", "BO@acme.com", "--tenant", "acme")
    assert json.loads(run("list", "--tenant", "acme", "--json")) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["add", "bo", "--tenant", "acme", "--role", "admin"], "no e-mail address"),
        (["add", "bo@acme.com", "--tenant", "acme", "--role", "boss"], "no role boss"),
        (["add", "bo@acme.com", "--tenant", "acme", "--role", "member"], "--member ID"),
        (
            ["add", "bo@acme.com", "--tenant", "acme", "--role", "admin", "--member", "m1"],
            "--role member only",
        ),
        (
            ["add", "bo@acme.com", "--tenant", "acme", "--role", "admin", "--password-stdin"],
            "no password came",
        ),
        (["add", "anna@acme.com", "--tenant", "acme", "--role", "admin"], "is a user already"),
        (["remove", "bo@acme.com", "--tenant", "acme"], "has no user bo@acme.com"),
    ],
)
def test_mistakes_are_said(run: Run, arguments: list[str], sentence: str) -> None:
    """Wrong use, exit 2, and nobody is added."""
    run("add", "anna@acme.com", "--tenant", "acme", "--role", "admin")
    with pytest.raises(ConfigError, match=sentence):
        run(*arguments)
    assert len(json.loads(run("list", "--tenant", "acme", "--json"))) == 1


def test_the_commands_are_a_group() -> None:
    """The root mounts them as `rapport user …`."""
    assert isinstance(app, typer.Typer)
    assert {command.name for command in app.registered_commands} == {"add", "list", "remove"}
