"""`rapport explain` on a whole instance: what is not synced is read from the sealed log, audited, and readable nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from letters import DIRECTORY, FROM, TENANT
from local_stack import RunningStack, stack, why_no_kafka
from rapport.explaining.desk import Desk
from rapport.store import open_store
from rapport_core.clock import SystemClock
from rapport_sinks.clickhouse.client import connect
from rapport_sinks.clickhouse.queries import Impact

pytestmark = pytest.mark.stack
SECRET: Final = "Zitronenfalter"
"""Stands in every readable place of the mails that match nothing."""

_OLD: Final = "Tue, 10 Nov 2026 10:00:00 +0000"


def letter(name: str, author: str, to: str) -> bytes:
    """One mail whose every readable part holds the secret."""
    lines = [
        f"From: {SECRET} <{author}>",
        f"To: {to}",
        f"Date: {_OLD}",
        f"Message-ID: <{name}.{SECRET}@kund.se>",
        f"Subject: {SECRET} {name}",
        "",
        f"text of {SECRET}",
        "",
    ]
    return FROM + "\n".join(lines).encode() + b"\n"


MAILS: Final = {
    "new": letter("new", f"{SECRET}@kund.se", "a@acme.com"),
    "stranger": letter("stranger", f"{SECRET}@web.example", "a@acme.com, x@kund.se"),
    "known": letter("known", "x@kund.se", "a@acme.com"),
}
CALENDAR: Final = f"""BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:planning-1@kund.se
DTSTAMP:20261101T080000Z
DTSTART:20261105T090000Z
DTEND:20261105T100000Z
SUMMARY:{SECRET} planning
ORGANIZER:mailto:{SECRET}@kund.se
ATTENDEE:mailto:a@acme.com
END:VEVENT
END:VCALENDAR
"""


@dataclass
class Company:
    """An instance with two mailboxes that hold the same mails, and the commands against it."""

    running: RunningStack

    def run(self, *arguments: str, code: int = 0) -> str:
        """Runs a command and returns what it printed."""
        done = self.running.rapport(*arguments, "--tenant", TENANT)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def explain(self, what: str, *options: str, code: int = 0) -> Any:
        """The answer as JSON."""
        return json.loads(self.run("explain", what, *options, "--json", code=code))

    def item(self, name: str) -> dict[str, Any]:
        """The only item of a mail."""
        found = self.explain(f"<{name}.{SECRET}@kund.se>")
        (item,) = found["items"]
        return dict(item)

    def audit(self) -> list[tuple[str, str, str]]:
        """The newest entries first."""
        with open_store(self.running.settings, self.running.endpoints) as store:
            return [(entry.user, entry.action, entry.object) for entry in store.audit.entries(TENANT)]

    def load(self, folder: Path, changes: Mapping[str, Any]) -> None:
        """Merges into the directory and waits."""
        path = folder / "changed.json"
        path.write_text(json.dumps({**DIRECTORY, **changes}))
        self.run("directory", "load", str(path), "--wait")


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """Everything ingested and visible."""
    if reason := why_no_kafka():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("explain")
    second = {"id": "m2", "name": "Bo", "addresses": ["b@acme.com"]}
    members = [*DIRECTORY["members"], second]
    with stack(folder / "instance") as running:
        found = Company(running)
        found.load(folder, {"members": members})
        box, calendar = folder / "box.mbox", folder / "calendar.ics"
        box.write_bytes(b"".join(MAILS.values()))
        calendar.write_text(CALENDAR.replace("\n", "\r\n"))
        for member in ("m1", "m2"):
            found.run("ingest", "mbox", str(box), "--member", member)
        found.run("ingest", "ics", str(calendar), "--member", "m1", "--wait")
        yield found


def test_mail_that_matches_nothing_is_opened_and_told_how_to_turn(company: Company) -> None:
    item = company.item("new")
    assert (item["matched"], item["rule"], item["page"], item["notes"]) == (
        False,
        "no_customer",
        "opened",
        [],
    )
    assert (item["subject"], item["author"]) == (f"{SECRET} new", f"{SECRET.lower()}@kund.se")
    assert {copy["member"] for copy in item["copies"]} == {"m1", "m2"}
    assert {copy["rule"] for copy in item["copies"]} == {"no_customer"}
    standing = {person["address"]: person["standing"] for person in item["people"]}
    assert standing == {f"{SECRET.lower()}@kund.se": "external", "a@acme.com": "internal"}
    assert [(entry["id"], entry["domain"]) for entry in item["losing"]] == [("c1", "kund.se")]
    assert {"do": "set", "setting": "match_by", "value": "domain"} in [
        change for turn in item["would_turn"] for change in turn["changes"]
    ]
    assert item["fresh"] is None


def test_an_unknown_author_is_told_by_which_setting_it_would_come_in(company: Company) -> None:
    item = company.item("stranger")
    assert item["rule"] == "unknown_sender"
    assert "turn on sync_unknown_sender" in [turn["sentence"] for turn in item["would_turn"]]


def test_a_synced_mail_names_holders_and_what_would_take_it_out(company: Company) -> None:
    item = company.item("known")
    assert (item["matched"], item["counted"], item["members"]) == (True, True, ["m1", "m2"])
    assert {copy["member"] for copy in item["copies"]} == {"m1", "m2"}
    assert [turn["sentence"] for turn in item["would_turn"]] == ["exclude x@kund.se"]


def test_a_meeting_that_matches_nothing_is_opened_too(company: Company) -> None:
    (item,) = company.explain("planning-1@kund.se")["items"]
    assert (item["kind"], item["rule"], item["subject"]) == ("meeting", "no_customer", f"{SECRET} planning")
    assert {person["address"] for person in item["people"]} == {f"{SECRET.lower()}@kund.se", "a@acme.com"}
    assert item["fresh"] is None


def test_the_screen_has_eighty_columns_and_plain_sentences(company: Company) -> None:
    told = company.run("explain", company.item("new")["id"])
    assert all(len(line) <= 80 for line in told.splitlines())
    for words in (f"{SECRET} new", "It is left out", "What would bring it in:", "set match_by to domain"):
        assert words in told
    assert len(told.splitlines()) <= 24


def test_every_opening_is_audited_by_id_and_never_with_content(company: Company) -> None:
    item = company.item("new")
    users, actions, objects = zip(*company.audit()[:2], strict=True)
    assert actions == ("explained", "sealed_item_opened")
    assert set(objects) == {item["id"]}
    assert all(user.startswith("cli:") for user in users)
    assert SECRET.lower() not in str(company.audit()).lower()


def test_what_the_page_opens_is_audited_as_done_by_its_user(company: Company) -> None:
    item_id = company.item("new")["id"]
    running = company.running
    with open_store(running.settings, running.endpoints) as store:
        desk = Desk(running.endpoints, store, lambda: Impact(connect(running.endpoints.clickhouse)))
        found = desk.item(TENANT, item_id, SystemClock().now(), "u1")
        missing = desk.item(TENANT, "0" * 32, SystemClock().now(), "u1")
        desk.close()
    assert found is not None
    assert (found["subject"], missing) == (f"{SECRET} new", None)
    assert company.audit()[0] == ("u1", "sealed_item_opened", item_id)


def test_decisions_hold_keyed_hashes_and_the_origin_only(company: Company) -> None:
    """Every column of every row of everything that was not synced."""
    client = connect(company.running.endpoints.clickhouse)
    tables = [
        row["name"]
        for row in client.rows("SELECT name FROM system.tables WHERE database = currentDatabase()", {})
    ]
    left_out = {item["id"] for item in map(company.item, ("new", "stranger"))}
    rows = client.rows("SELECT * FROM decisions WHERE NOT synced", {})
    assert left_out <= {row["item_id"] for row in rows}
    assert {"decisions", "items", "thread_items"} <= set(tables)
    for table in tables:
        for row in client.rows(f"SELECT * FROM {table}", {}):  # noqa: S608 - a name of our own
            if row.get("item_id") in left_out or "item_id" not in row or table == "decisions":
                assert SECRET.lower() not in str(row).lower(), table
                assert SECRET.encode() not in b"".join(v for v in row.values() if isinstance(v, bytes)), table


def test_an_address_says_what_it_is_and_what_it_decided(company: Company) -> None:
    found = company.explain("X@kund.se")
    assert (found["found_as"], {tally["rule"] for tally in found["decisions"]}) == (
        "address",
        {"contact_address", "unknown_sender"},
    )
    assert found["address"] is not None
    assert "p1" in json.dumps(found["address"])
    assert all(item["page"] is None for item in found["items"])


def test_an_address_of_the_directory_is_known_without_any_mail(company: Company) -> None:
    found = company.explain("b@acme.com")
    assert (found["known"], found["found_as"], found["items"]) == (True, "address", [])
    assert "m2" in json.dumps(found["address"])


def test_what_is_unknown_is_still_unknown(company: Company) -> None:
    assert company.explain("nobody@nowhere.example", code=1)["known"] is False


def test_a_change_of_the_directory_is_explained_by_it_after_waiting(company: Company, tmp_path: Path) -> None:
    added = {"id": "p2", "name": "New", "customer": "c1", "addresses": [f"{SECRET}@kund.se"]}
    company.load(tmp_path, {"contacts": [*DIRECTORY["contacts"], added]})
    (item,) = company.explain(f"<new.{SECRET}@kund.se>", "--wait")["items"]
    assert (item["matched"], item["contacts"], item["fresh"]) == (True, ["p2"], None)


def test_an_erased_page_says_so_and_nothing_else(company: Company) -> None:
    """Last: its key opens nothing any more."""
    before = company.item("stranger")
    connection = before["copies"][0]["connection"]
    with open_store(company.running.settings, company.running.endpoints) as store:
        for name in {copy["connection"] for copy in before["copies"]} | {connection}:
            store.destroy_page_key(store.keys.new_page_key(TENANT, name))
    item = company.item("stranger")
    assert (item["page"], item["subject"], item["people"], item["would_turn"]) == ("erased", None, [], [])
    assert "erased" in company.run("explain", item["id"])
