"""`rapport matching`, on the real engine and a real store."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from clickhouse import TestServer
from item_records import TENANT, body, entry, item
from rapport.cli.matching import headline, headlines
from rapport.cli.root import app
from rapport.local.ports import free_port
from rapport.settings import endpoints, load_settings
from rapport.store import open_store
from rapport_core.clock import to_ms
from rapport_core.errors import ConfigError
from rapport_processors.items import stranger_of
from rapport_schemas.records import Item
from rapport_sinks.clickhouse.client import ClickHouse
from rapport_sinks.clickhouse.rows import decision_row, fact_row, place_of, subject_row
from rapport_sinks.clickhouse.strangers import StrangerNames
from rapport_sinks.clickhouse.tables import DECISIONS, ITEMS, SUBJECTS

LONG = "a.very.long.local.part.of.an.address@" + "long-" * 20 + "name.example"
YESTERDAY = to_ms(datetime.now(UTC) - timedelta(days=1))
CANDIDATES = [{"kind": "contact", "id": one, "address": "info@kund.se"} for one in ("p1", "p [2]")]


@pytest.fixture
def run(server: TestServer, tables: ClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """The command in an instance of its own, with a few strangers, an ambiguity and a flood."""
    monkeypatch.setenv("RAPPORT_HOME", str(tmp_path))
    monkeypatch.setenv("RAPPORT_CLICKHOUSE", server.url_of(tables))
    monkeypatch.setenv("RAPPORT_KAFKA", "127.0.0.1:1")
    fill(tables)
    return Runner()


class Runner:
    """Runs it as a person would."""

    def __call__(self, *arguments: str, tenant: str = TENANT) -> Result:
        return CliRunner().invoke(
            app, ["matching", *arguments, "--tenant", tenant], env={"COLUMNS": "200"}, terminal_width=200
        )

    def json(self, *arguments: str) -> Any:
        result = self(*arguments, "--json")
        assert result.exit_code == 0, (result.output, result.exception)
        return json.loads(result.stdout)

    def audit(self) -> list[tuple[str, str]]:
        with open_store(load_settings()) as store:
            return [(one.action, one.object) for one in store.audit.entries(TENANT)]


def fill(tables: ClickHouse) -> None:
    """As the sink would."""
    entries = [
        entry("tenant", TENANT, settings='{"timezone": "Europe/Stockholm"}'),
        entry("contact", "p1", name="Kim [AB]"),
    ]
    tables.insert(SUBJECTS, [subject_row(value, number) for number, value in enumerate(entries)])
    left_out = [met(number, "kim@kund.se", LONG) for number in range(3)]
    reason = json.dumps({"rule": "contact_address", "entries": [], "candidates": {"x": CANDIDATES}})
    synced: dict[str, Any] = {"synced": True, "rule": "contact_address"}
    flood = [
        met(
            10 + number, **synced, ambiguous=number == 0, author_contacts=["p1"], customers=[f"c{number % 6}"]
        )
        for number in range(30)
    ]
    tables.insert(DECISIONS, [decision_row(one, {place_of(one)}, 1) for one in left_out + flood])
    tables.insert(ITEMS, [fact_row(one, body(reason=reason), 1) for one in flood])
    StrangerNames(tables).write(left_out)


def met(number: int, *strangers: str, **changes: Any) -> Item:
    """An item of yesterday with these strangers."""
    with open_store(load_settings()) as store:
        keys = store.keys.tenant_keys(TENANT)
    usual: dict[str, Any] = {"synced": False, "rule": "no_customer", "at": YESTERDAY}
    usual["strangers"] = [stranger_of(keys, TENANT, address) for address in strangers]
    return item(f"{number:032x}", **(usual | changes))


def test_names_are_readable_and_reading_them_is_audited(run: Runner) -> None:
    """With what settles each line."""
    found = run.json()
    addresses = {(one["name"], one["items"], one["left_out"]) for one in found["addresses"]}
    assert addresses == {(LONG, 3, 3), ("kim@kund.se", 3, 3)}
    assert {one["name"] for one in found["domains"]} == {"kund.se", LONG.partition("@")[2]}
    (ambiguous,) = found["ambiguous"]
    assert (ambiguous["value"], ambiguous["items"]) == ("info@kund.se", 1)
    assert [one["name"] for one in ambiguous["candidates"]] == ["p [2]", "Kim [AB]"]
    assert ambiguous["candidates"][1]["command"] == (
        f"rapport directory set choice --address info@kund.se --contact p1 --tenant {TENANT}"
    )
    assert [(one["name"], one["items"], one["customers"]) for one in found["floods"]] == [("Kim [AB]", 30, 6)]
    assert run.audit() == [("unmatched_listed", TENANT)]


def test_a_screen_for_people(run: Runner) -> None:
    """Eighty columns but for commands, which are to be copied; brackets in names are no markup."""
    result = run()
    assert result.exit_code == 0, (result.output, result.exception)
    lines = result.stdout.splitlines()
    assert max(len(line) for line in lines if "directory set choice" not in line) <= 80
    for said in ("kund.se", "kim@kund.se", "info@kund.se is ambiguous", "Kim [AB]", "A flood: Kim [AB] (p1)"):
        assert said in result.stdout


def test_few_days_and_few_lines(run: Runner) -> None:
    assert len(run.json("--limit", "1")["addresses"]) == 1
    assert run.json("--days", "1")["domains"] == []
    assert "matches nothing" in run("--days", "1").stdout


def test_a_misspelt_tenant_is_refused_and_gets_no_keys(run: Runner) -> None:
    result = run(tenant="acne")
    assert isinstance(result.exception, ConfigError)
    assert run.audit() == []


def test_the_status_has_the_first_lines(run: Runner) -> None:
    """In JSON and as one line; reading the names is audited there, too."""
    settings = load_settings()
    found = headlines(settings, endpoints(settings), TENANT)
    assert {(one["domain"], one["items"]) for one in found["domains"]} == {
        ("kund.se", 3),
        (LONG.partition("@")[2], 3),
    }
    assert (found["ambiguous"], found["floods"]) == (["info@kund.se"], ["Kim [AB]"])
    line = headline(TENANT, found)
    assert line.startswith("Matching of acme: matches nothing: ")
    assert line.endswith("; ambiguous: info@kund.se; a flood: Kim [AB] (rapport matching --tenant acme)")
    assert run.audit() == [("unmatched_listed", TENANT)]


def test_a_status_without_numbers_says_why(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant without a directory, or no ClickHouse: the rest of the status is shown all the same."""
    settings = load_settings()
    assert "no tenant" in headlines(settings, endpoints(settings), "acne")["problem"]
    monkeypatch.setenv("RAPPORT_CLICKHOUSE", f"http://rapport:secret@127.0.0.1:{free_port()}/rapport")
    settings = load_settings()
    found = headlines(settings, endpoints(settings), TENANT)
    assert "does not answer" in headline(TENANT, found)
    assert (
        headline(TENANT, {"domains": [], "ambiguous": [], "floods": []}) == "Matching of acme: nothing to do"
    )
    assert run.audit() == []
