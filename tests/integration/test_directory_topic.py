"""`rapport directory` against a real broker, and a follower behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from rapport.cli import settings_command
from rapport.cli.directory import app
from rapport.directory.bounds import BoundsTimer
from rapport.directory.change import Desk, reach, say
from rapport.directory.follow import DirectoryFollower
from rapport.directory.read import read_directory
from rapport.kafka import consumer, wire
from rapport.settings import Endpoints, endpoints, load_settings
from rapport.store import open_store
from rapport_core.clock import SystemClock
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


def test_entries_are_set_ended_and_deleted_one_by_one(run: Command, where: Endpoints, tmp_path: Path) -> None:
    """What each prints, what it says as JSON, and what the topic has in the end."""
    tenant, file = f"t-{uuid4().hex}", tmp_path / "directory.json"
    file.write_text(json.dumps(document(tenant, 2)))
    run("load", file, "--tenant", tenant)

    def said(*arguments: str) -> list[str]:
        result = run(*arguments, "--tenant", tenant)
        assert result.exception is None, result.exception
        return result.stdout.splitlines()[:-1]

    assert said("set", "contact", "p9", "--name", "Xi", "--customer", "c1", "--address", "x000@kund.se") == [
        "+ contact p9: + x000@kund.se, name Xi, customer c1"
    ]
    assert said("set", "choice", "--address", "X000@kund.se", "--contact", "p9") == [
        "+ choice address:x000@kund.se: + x000@kund.se, contact p9"
    ]
    assert said("set", "exclusion", "domain:bank.example", "--from", "2026-01-05") == [
        "+ exclusion domain:bank.example: + bank.example from 2026-01-04T23:00:00Z"
    ]
    assert said("set", "tenant", "--domain", "acme.org") == [f"~ tenant {tenant}: + acme.org"]
    assert said("end", "tenant", "--domain", "acme.org", "--at", "2026-02-01T00:00:00Z") == [
        f"~ tenant {tenant}: - acme.org, + acme.org until 2026-02-01T00:00:00Z"
    ]
    assert said("delete", "contact", "p001", "--address", "x001@kund.se") == [
        "~ contact p001: - x001@kund.se"
    ]
    refused = run("delete", "contact", "p9", "--tenant", tenant)
    assert "is named by choice address:x000@kund.se" in str(refused.exception)
    assert said("delete", "choice", "--address", "x000@kund.se") == ["- choice address:x000@kund.se"]
    changed = json.loads(run("delete", "contact", "p9", "--tenant", tenant, "--json").stdout)
    assert (changed["deleted"], changed["entries"][0]["id"]) == (1, "p9")
    again = run("delete", "contact", "p9", "--tenant", tenant)
    assert "the directory has no contact p9" in str(again.exception)
    with closing(consumer(where, "test-reader")) as reader:
        found = read_directory(reader, wire(where), tenant)
    assert [len(found.gone[key]["former"]) for key in sorted(found.gone)] == [1, 1]
    assert len(found.records["contact", "p001"]["former"]) == 1


def test_a_diff_says_what_a_load_would_do(run: Command, tmp_path: Path) -> None:
    """Exit 1 when there is a difference, 0 when there is none; nothing is published."""
    tenant, file = f"t-{uuid4().hex}", tmp_path / "directory.json"
    file.write_text(json.dumps(document(tenant, 2)))
    run("load", file, "--tenant", tenant)
    same = run("diff", file, "--tenant", tenant, "--prune")
    assert (same.exit_code, same.stdout) == (0, f"directory of {tenant}: nothing new, 5 entries as before\n")
    other = document(tenant, 1)
    other["customers"][0]["name"] = "Kund AB"
    file.write_text(json.dumps(other))
    for _ in range(2):
        different = run("diff", file, "--tenant", tenant, "--prune")
        assert different.exit_code == 1
        assert different.stdout.splitlines()[:-1] == ["~ customer c1: name Kund → Kund AB", "- contact p001"]
    entries = json.loads(run("diff", file, "--tenant", tenant, "--json").stdout)["entries"]
    assert [(entry["id"], entry["fields"]) for entry in entries] == [("c1", {"name": ["Kund", "Kund AB"]})]


def test_settings_are_set_and_taken_back(run: Command, where: Endpoints, tmp_path: Path) -> None:
    """Of the tenant and of a connection; a worker that follows has them."""
    tenant, file = f"t-{uuid4().hex}", tmp_path / "directory.json"
    file.write_text(json.dumps(document(tenant, 1)))
    run("load", file, "--tenant", tenant)

    def settings(*arguments: str) -> Result:
        return CliRunner().invoke(settings_command.app, [*arguments, "--tenant", tenant])

    assert settings("set", "sync_unknown_sender", "true").stdout.startswith(
        f"~ tenant {tenant}: sync_unknown_sender true"
    )
    assert settings("set", "match_by", "domain", "--connection", "mbox-m1").exception is None
    shown = json.loads(settings("show", "--json").stdout)
    assert (shown["settings"]["sync_unknown_sender"], shown["settings"]["ambiguous"]) == (True, "all")
    assert (shown["set"], shown["connections"]) == (
        {"keep_days": 9, "sync_unknown_sender": True},
        {"mbox-m1": {"match_by": "domain"}},
    )
    assert "connection mbox-m1" in settings("show").stdout
    assert 'connection mbox-m1: match_by "domain"' in run("show", "--tenant", tenant).stdout
    with closing(DirectoryFollower(lambda: consumer(where, "test-follower"), wire(where))) as follower:
        follower.catch_up()
        assert follower.tenant(tenant).settings_of("mbox-m1").match_by == "domain"
        assert settings("unset", "match_by", "--connection", "mbox-m1").exception is None
        follower.catch_up()
        assert follower.tenant(tenant).settings_of("mbox-m1").match_by == "address"
    wrong = settings("set", "match_bye", "domain")
    assert "did you mean match_by" in str(wrong.exception)


def test_two_writers_stand_in_line(where: Endpoints) -> None:
    """Each reads what the other published: of two that add to one entry, neither is lost."""
    tenant = f"t-{uuid4().hex}"
    with open_store(load_settings(), where) as store:
        desk = Desk(where, store)
        say(desk, tenant, "tenant", {"id": tenant})
        say(desk, tenant, "customer", {"id": "c1"})
        names = [f"kund{number}.se" for number in range(6)]
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda name: say(desk, tenant, "customer", {"id": "c1", "domains": [name]}), names))
        with closing(consumer(where, "test-reader")) as reader:
            records = read_directory(reader, wire(where), tenant).records
    assert [entry["value"] for entry in records["customer", "c1"]["domains"]] == names


def test_a_bound_that_is_reached_is_published(where: Endpoints) -> None:
    """The timer of whoever follows does it, once."""
    tenant = f"t-{uuid4().hex}"
    soon = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    with (
        open_store(load_settings(), where) as store,
        closing(DirectoryFollower(lambda: consumer(where, "test-follower"), wire(where))) as follower,
    ):
        desk = Desk(where, store)
        say(desk, tenant, "tenant", {"id": tenant})
        say(desk, tenant, "customer", {"id": "c1", "domains": [{"domain": "kund.se", "valid_from": soon}]})
        follower.catch_up()
        [domain] = follower.tenant(tenant).subjects("customer")["c1"].domains
        assert not domain.open
        timers = [
            BoundsTimer(follower.bounds, partial(reach, desk), SystemClock(), every_seconds=0.2)
            for _ in range(2)
        ]
        before = follower.position
        for timer in timers:
            timer.start()
        follower.catch_up(before)
        for timer in timers:
            timer.stop()
        [domain] = follower.tenant(tenant).subjects("customer")["c1"].domains
        assert domain.open
        assert follower.catch_up() == before + 1
