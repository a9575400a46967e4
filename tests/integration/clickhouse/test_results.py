"""The commands that show results, on the real engine and a real store."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from clickhouse import TestServer
from item_records import TENANT, body, entry, gone, item
from rapport.cli.results import app
from rapport.settings import load_settings
from rapport.store import open_store
from rapport_core.clock import to_ms
from rapport_core.errors import ConfigError
from rapport_core.ids import keyed_hash
from rapport_core.keys import TenantKeys
from rapport_sinks.clickhouse.client import ClickHouse
from rapport_sinks.clickhouse.rows import decision_row, fact_row, is_live, place_of, subject_row
from rapport_sinks.clickhouse.tables import DECISIONS, ITEMS, SUBJECTS

IDS = {name: name * 32 for name in "abcdef"}
MEETING = "1" * 32
DAY_MS = 86_400_000
OUTLOOK_UID = "040000008200E00074C5B7101A82E00800000000" + "A0" * 8 + "00" * 8 + "02000000" + "ABCD"
NOW_MS = to_ms(datetime.now(UTC) - timedelta(minutes=5))


@pytest.fixture
def run(server: TestServer, tables: ClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """The commands in an instance of their own, with a few items."""
    monkeypatch.setenv("RAPPORT_HOME", str(tmp_path))
    monkeypatch.setenv("RAPPORT_CLICKHOUSE", server.url_of(tables))
    monkeypatch.setenv("RAPPORT_KAFKA", "127.0.0.1:1")
    runner = Runner()
    fill(tables, runner.keys())
    return runner


class Runner:
    """Runs a command as a person would."""

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(
            app, [*arguments, "--tenant", TENANT], env={"COLUMNS": "200"}, terminal_width=200
        )

    def json(self, *arguments: str, code: int = 0) -> Any:
        result = self(*arguments, "--json")
        assert result.exit_code == code, (result.output, result.exception)
        return json.loads(result.stdout)

    def keys(self) -> TenantKeys:
        with open_store(load_settings()) as store:
            return store.keys.tenant_keys(TENANT)

    def audit(self) -> list[tuple[str, str]]:
        with open_store(load_settings()) as store:
            return [(entry.action, entry.object) for entry in store.audit.entries(TENANT)]


def fill(tables: ClickHouse, keys: TenantKeys) -> None:
    """Two matched items, one of a class that is not counted, one unmatched, one without a time, one redirected."""

    def hashed(kind: str, *texts: str) -> list[bytes]:
        return [keyed_hash(keys.hash, kind, text) for text in texts]

    shared: dict[str, Any] = {"at": NOW_MS, "address_hashes": hashed("address", "x@kund.se", "anna@acme.com")}
    items = [
        item(IDS["a"], **shared, id_hashes=hashed("message-id", "first@kund.se"), author_members=["m1"]),
        item(IDS["b"], **shared, id_hashes=hashed("message-id", "bulk@kund.se"), mail_class="bulk"),
        item(
            IDS["c"],
            **shared,
            id_hashes=hashed("message-id", "inner@acme.com"),
            synced=False,
            rule="internal",
        ),
        item(IDS["d"], **(shared | {"at": None}), id_hashes=hashed("message-id", "timeless@kund.se")),
        gone(IDS["e"], IDS["a"]),
        item(
            MEETING,
            kind="meeting",
            mail_class="",
            at=NOW_MS + DAY_MS,
            ends=NOW_MS + DAY_MS + 3_600_000,
            declined_members=["m1"],
            id_hashes=hashed("message-id", OUTLOOK_UID),
        ),
    ]
    subject = (
        "Offer [bold] with a very long subject that no terminal of eighty columns could ever hold in one line"
    )
    tables.insert(DECISIONS, [decision_row(value, {place_of(value)}, 1) for value in items])
    facts = [fact_row(value, body(subject=subject), 1) for value in items if is_live(value)]
    tables.insert(ITEMS, facts)
    directory = [
        entry("tenant", TENANT, settings='{"timezone": "Europe/Stockholm", "settings": {}}'),
        entry("member", "m1", name="Anna Andersson with a name that is longer than any column"),
        entry("customer", "c1", name="Kund [AB]"),
    ]
    tables.insert(SUBJECTS, [subject_row(value, 1) for value in directory])


def test_counts_as_json_has_exactly_the_agreed_fields(run: Runner) -> None:
    found = run.json("counts", "--by", "customer")
    assert list(found) == ["window", "total", "rows"]
    assert list(found["window"]) == ["from", "to", "timezone"]
    assert found["total"] == {"emails": 1, "sent": 1, "received": 0, "meetings": 0, "conversations": 1}
    at = datetime.fromtimestamp(NOW_MS / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    (row,) = found["rows"]
    assert row == {
        "id": "c1",
        "name": "Kund [AB]",
        **found["total"],
        "last_interaction": at.replace(".000Z", "Z"),
        "last_email_reply": None,
    }


def test_planned_meetings_are_asked_for(run: Runner) -> None:
    """The total and rows say how many; the list is as long. The table shows them always."""
    found = run.json("counts", "--by", "customer", "--planned")
    assert found["total"]["planned"] == found["rows"][0]["planned"] == 1
    (line,) = run.json("items", "--planned", "--customer", "c1")
    assert (line["id"], line["kind"], line["ends"] > line["at"]) == (MEETING, "meeting", True)
    assert run.json("items", "--planned", "--member", "m1") == []
    assert run.json("items", "--planned", "--until", "2020-01-01") == []
    assert run.json("items", "--kind", "meeting") == []
    assert "plan." in run("counts", "--by", "customer").stdout
    assert "1 item." in run("items", "--planned").stdout


@pytest.mark.parametrize("date", ["00000000", "07EA0B17"])
def test_explain_finds_a_meeting_by_every_form_of_its_uid(run: Runner, date: str) -> None:
    """Outlook writes the day of an occurrence into the UID of its series."""
    found = run.json("explain", OUTLOOK_UID.replace("00000000", date, 1).lower())
    (explained,) = found["items"]
    assert (found["found_as"], explained["id"], explained["counted"]) == ("uid", MEETING, False)
    assert "it is planned" in explained["sentence"]
    assert explained["declined_members"] == ["m1"]


def test_items_as_json_is_the_list_behind_the_number(run: Runner) -> None:
    (line,) = run.json("items", "--customer", "c1", "--kind", "email")
    fields = "id kind at subject direction author members customers contacts thread message_id preview"
    of_meetings = "ends all_day cancelled private location declined_members"
    assert list(line) == [*fields.split(), *of_meetings.split()]
    assert (line["id"], line["direction"], line["thread"]) == (IDS["a"], "sent", "aa")
    assert run.json("items", "--customer", "c1", "--until", "2020-01-01") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("counts", "--by", "member"),
        ("counts", "--by", "customer"),
        ("items",),
        ("items", "--planned"),
        ("explain", MEETING),
        ("explain", IDS["a"]),
        ("explain", "x@kund.se"),
    ],
)
def test_nothing_for_people_is_wider_than_eighty_columns(run: Runner, arguments: tuple[str, ...]) -> None:
    """And names in square brackets are names, no markup."""
    result = run(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    assert max(map(len, result.stdout.splitlines())) <= 80
    if arguments == ("counts", "--by", "customer"):
        assert "Kund [AB]" in result.stdout


@pytest.mark.parametrize(
    ("what", "found_as", "item_id", "counted", "sentence"),
    [
        (IDS["a"], "item", IDS["a"], True, "It is counted"),
        (IDS["e"], "item", IDS["a"], True, "It is counted"),
        ("<first@kund.se>", "message_id", IDS["a"], True, "It is counted"),
        ("bulk@kund.se", "message_id", IDS["b"], False, "its class is bulk"),
        (" <inner@acme.com> ", "message_id", IDS["c"], False, "everybody in it belongs to the team"),
        ("timeless@kund.se", "message_id", IDS["d"], False, "no readable time"),
    ],
)
def test_explain_finds_an_item_and_says_why(
    run: Runner, what: str, found_as: str, item_id: str, counted: bool, sentence: str
) -> None:
    """By id, by an id that another item took over, by Message-ID with or without brackets."""
    found = run.json("explain", what)
    assert (found["known"], found["found_as"]) == (True, found_as)
    (explained,) = found["items"]
    assert (explained["id"], explained["counted"]) == (item_id, counted)
    assert sentence in explained["sentence"]


def test_explain_says_of_an_address_how_everything_with_it_was_decided(run: Runner) -> None:
    """Written in any way that compares equal; the unmatched ones show nothing readable."""
    found = run.json("explain", "X@KUND.se")
    assert found["found_as"] == "address"
    assert found["decisions"] == [
        {"matched": True, "rule": "contact_address", "items": 3},
        {"matched": False, "rule": "internal", "items": 1},
    ]
    unmatched = [line for line in found["items"] if not line["matched"]]
    assert [(line["subject"], line["members"], line["reason"]) for line in unmatched] == [(None, [], {})]


@pytest.mark.parametrize("what", ["nobody@kund.se", "f" * 32, "nothing", "<>"])
def test_explain_of_the_unknown_says_what_to_check_and_exits_with_1(run: Runner, what: str) -> None:
    found = run.json("explain", what, code=1)
    assert (found["known"], found["items"]) == (False, [])
    assert "rapport dlq list" in found["advice"]
    assert "Nothing is known" in run("explain", what).stdout


def test_explaining_is_audited_without_content(run: Runner) -> None:
    """What was asked may be an address; the items that it led to are named instead."""
    run.json("explain", "first@kund.se")
    assert run.audit()[0] == ("explained", IDS["a"])


@pytest.mark.usefixtures("run")
def test_a_misspelt_tenant_is_refused_before_it_gets_keys() -> None:
    """By every command, in one sentence."""
    for command in (["counts", "--by", "member"], ["items"], ["threads"], ["explain", "x"]):
        result = CliRunner().invoke(app, [*command, "--tenant", "nobody"])
        assert isinstance(result.exception, ConfigError), (command, result.output)
        assert "rapport directory load" in str(result.exception)
