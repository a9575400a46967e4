"""`rapport directory` against a real broker, and a follower behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from rapport.cli.directory import app
from rapport.directory.follow import DirectoryFollower
from rapport.kafka import consumer, wire
from rapport.settings import Endpoints, endpoints, load_settings
from rapport_core.errors import ConfigError, RefusedError

pytestmark = pytest.mark.stack

Command = Callable[..., Result]


@pytest.fixture
def where(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Endpoints:
    """The broker of this test run, and a ClickHouse that nobody may need."""
    monkeypatch.setenv("RAPPORT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RAPPORT_KAFKA", kafka)
    monkeypatch.setenv("RAPPORT_CLICKHOUSE", "http://u:p@127.0.0.1:1/rapport")
    return endpoints(load_settings())


@pytest.fixture
def run(where: Endpoints) -> Command:
    """Runs `rapport directory …`."""

    def command(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    assert where.kafka
    return command


def document(tenant: str, contacts: int) -> dict[str, Any]:
    return {
        "tenant": {
            "id": tenant,
            "timezone": "Europe/Stockholm",
            "own_domains": [],
            "settings": {"keep_days": 9},
        },
        "members": [{"id": "m1", "name": "Anna", "addresses": ["a@acme.com"]}],
        "customers": [{"id": "c1", "name": "Kund", "domains": ["kund.se"]}],
        "contacts": [
            {"id": f"p{n:03}", "name": "", "customer": "c1", "addresses": [f"x{n:03}@kund.se"]}
            for n in range(contacts)
        ],
        "exclusions": [],
    }


def test_a_file_goes_into_the_topic_and_comes_back(run: Command, where: Endpoints, tmp_path: Path) -> None:
    """Load, load again, show, prune: with what each prints, and a follower that sees the same."""
    tenant, file = f"t-{uuid4().hex}", tmp_path / "directory.json"
    file.write_text(json.dumps(document(tenant, 200)))
    assert run("load", file, "--tenant", tenant).stdout == f"directory of {tenant}: 203 added\n"
    assert (
        run("load", file, "--tenant", tenant).stdout
        == f"directory of {tenant}: nothing new, 203 entries as before\n"
    )
    assert json.loads(run("show", "--tenant", tenant, "--json").stdout) == document(tenant, 200)
    assert "200 contacts" in run("show", "--tenant", tenant).stdout
    with closing(DirectoryFollower(lambda: consumer(where, "test-follower"), wire(where))) as follower:
        follower.catch_up()
        part = follower.tenant(tenant)
        assert (len(part.subjects("contact")), part.timezone, part.settings.keep_days) == (
            200,
            "Europe/Stockholm",
            9,
        )
        file.write_text(json.dumps(document(tenant, 195)))
        before = follower.position
        pruned = run("load", file, "--tenant", tenant, "--prune")
        assert pruned.stdout == f"directory of {tenant}: 5 deleted, 198 as before\n"
        follower.catch_up(before + 4)
        assert len(part.subjects("contact")) == 195


def test_a_large_prune_needs_yes_without_a_terminal(run: Command, tmp_path: Path) -> None:
    """Above 5 % it is refused, changing nothing, until it is confirmed."""
    tenant, file = f"t-{uuid4().hex}", tmp_path / "directory.json"
    file.write_text(json.dumps(document(tenant, 20)))
    run("load", file, "--tenant", tenant)
    file.write_text(json.dumps(document(tenant, 10)))
    refused = run("load", file, "--tenant", tenant, "--prune")
    assert isinstance(refused.exception, RefusedError)
    assert "repeat with --yes" in str(refused.exception)
    assert len(json.loads(run("show", "--tenant", tenant, "--json").stdout)["contacts"]) == 20
    assert run("load", file, "--tenant", tenant, "--prune", "--yes").stdout.startswith(
        f"directory of {tenant}: 10 deleted"
    )
    assert len(json.loads(run("show", "--tenant", tenant, "--json").stdout)["contacts"]) == 10


def test_a_file_of_another_tenant_is_refused(run: Command, tmp_path: Path) -> None:
    """The tenant is said twice so that a mistyped file cannot prune somebody else."""
    file = tmp_path / "directory.json"
    file.write_text(json.dumps(document("acme", 1)))
    refused = run("load", file, "--tenant", "other")
    assert isinstance(refused.exception, ConfigError)
    assert "is the directory of acme, not of other" in str(refused.exception)


def test_a_tenant_without_a_directory_is_told_how_to_load_one(run: Command) -> None:
    """`show` of nobody is wrong use, not an empty table."""
    shown = run("show", "--tenant", f"t-{uuid4().hex}")
    assert isinstance(shown.exception, ConfigError)
    assert "rapport directory load" in str(shown.exception)
