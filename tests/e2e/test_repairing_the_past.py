"""A public list's archive is read once; then its directory changes, again and again, and every number follows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from archive_oracle import ArchiveOracle
from corpora import USRP, corpus
from local_stack import RunningStack
from rapport_sinks.clickhouse.client import connect
from rapport_sinks.clickhouse.queries import Impact

Run = Callable[..., Any]
Document = dict[str, Any]
pytestmark = [pytest.mark.stack, pytest.mark.timeout(1200)]
TENANT: Final = ("--tenant", "usrp")
DAYS: Final = 3650
BOARDS: Final = ("member", "customer", "contact")
WRITER: Final = "patchvonbraun@gmail.com"
"""Who wrote most to the list, a contact. A third of all mail is this person's."""
NOBODY: Final = "nobody"


@dataclass
class Repaired:
    """An instance that has read the archive, which is gone since, and the oracle that still has it."""

    rapport: Run
    impact: Impact
    oracle: ArchiveOracle
    original: Document
    folder: Path

    def load(self, document: Document, *, wait: bool) -> None:
        """The directory becomes this document."""
        file = self.folder / "directory.json"
        file.write_text(json.dumps(document), encoding="utf-8")
        self.rapport("directory", "load", file, *TENANT, "--prune", "--yes", *(["--wait"] if wait else []))

    def run(self, *arguments: str) -> None:
        """One command about the tenant; when it returns, everything is decided anew."""
        self.rapport(*arguments, *TENANT, "--wait")

    def shown(self) -> dict[str, dict[str, Any]]:
        """Each board as pages and `counts` have it: rows that have something by id, the total under an empty id."""
        return {by: self._board(by) for by in BOARDS}

    def _board(self, by: str) -> dict[str, Any]:
        said = self.impact.counts("usrp", by, DAYS, None, datetime.now(UTC))
        rows = {row["id"]: dict(row) for row in said["rows"] if row["last_interaction"]}
        for row in rows.values():
            del row["id"], row["name"]
        return {"": said["total"], **rows}

    def is_right(self, document: Document, without: Collection[str] = ()) -> dict[str, dict[str, Any]]:
        """Every cell is the oracle's under this directory, less the rows of some. Returns the boards."""
        shown = self.shown()
        self.oracle.under(document)
        for by in BOARDS:
            expected = self.oracle.board(by, DAYS, datetime.now(UTC))
            wrong = {
                who: (expected.get(who), shown[by].get(who))
                for who in (expected.keys() | shown[by].keys()) - set(without)
                if expected.get(who) != shown[by].get(who)
            }
            assert not wrong, (
                f"{len(wrong)} rows by {by}, expected and shown: {dict(list(wrong.items())[:5])}"
            )
        return shown


@pytest.fixture(scope="module")
def original() -> Document:
    """The archive's directory. It says that there are no choices, so that loading it takes back those there are."""
    document: Document = json.loads(corpus("usrp-users.directory.json").read_text(encoding="utf-8"))
    document["choices"] = []
    return document


@pytest.fixture(scope="module")
def repaired(
    instance: RunningStack, rapport: Run, original: Document, tmp_path_factory: pytest.TempPathFactory
) -> Repaired:
    """Reads the archive once; the file that was read is deleted, so nothing can be read again."""
    folder = tmp_path_factory.mktemp("usrp")
    oracle = ArchiveOracle(corpus("usrp-users.directory.json"), {"m0": corpus(USRP)})
    impact = Impact(connect(instance.endpoints.clickhouse))
    found = Repaired(rapport, impact, oracle, original, folder)
    found.load(original, wait=False)
    archive = folder / USRP
    shutil.copy(corpus(USRP), archive)
    rapport(
        "ingest", "mbox", archive, *TENANT, "--member", "m0", "--connection", "list", "--wait", seconds=400
    )
    archive.unlink()
    return found


def changed(original: Document, change: Callable[[Document], object]) -> Document:
    """The document with the change made."""
    document = deepcopy(original)
    change(document)
    return document


def match_by_domain(document: Document) -> None:
    document["tenant"]["settings"]["match_by"] = "domain"


def not_configured_as_own(document: Document) -> None:
    """Members still have addresses there, so it stays an own domain."""
    document["tenant"]["own_domains"].remove("ettus.com")


def no_own_domain(document: Document) -> None:
    """The people stay members and lose their addresses: the list itself is a stranger now."""
    not_configured_as_own(document)
    for member in document["members"]:
        member["addresses"] = [one for one in member["addresses"] if not one.endswith("@ettus.com")]


def a_customer_of_its_own(document: Document) -> None:
    """Every mail of the list matches then, for the list stands below the domain."""
    no_own_domain(document)
    match_by_domain(document)
    document["customers"].append({"id": "ettus", "name": "Ettus", "domains": ["ettus.com"]})


def without_a_domain(document: Document) -> None:
    document["exclusions"].append({"domain": "nd.edu"})


def without_an_address(document: Document) -> None:
    document["exclusions"].append({"address": WRITER})


def a_contact_more(document: Document) -> None:
    document["customers"].append({"id": "gnu", "name": "GNU", "domains": []})
    document["contacts"].append(
        {"id": "gnu-list", "name": "Discuss", "customer": "gnu", "addresses": ["discuss-gnuradio@gnu.org"]}
    )


def an_alias(document: Document) -> None:
    """The list's most diligent writer was one of the team all along."""
    next(one for one in document["members"] if one["id"] == "m24")["addresses"].append(WRITER)


def a_customer_less(document: Document) -> None:
    document["customers"] = [one for one in document["customers"] if one["id"] != "c628"]
    document["contacts"] = [one for one in document["contacts"] if one["customer"] != "c628"]


def _of_two(document: Document, **settings: object) -> None:
    """Another contact, of another customer, has the writer's address too, and by its dates has had it for longer."""
    entry = {"address": WRITER, "valid_from": "2020-01-01T00:00:00Z"}
    document["contacts"].append({"id": "twin", "name": "Twin", "customer": "c628", "addresses": [entry]})
    document["tenant"]["settings"] |= settings


def of_both(document: Document) -> None:
    _of_two(document, ambiguous="all")


def of_the_oldest(document: Document) -> None:
    _of_two(document, ambiguous="oldest")


def to_be_reviewed(document: Document) -> None:
    _of_two(document, ambiguous="review")


def chosen(document: Document) -> None:
    to_be_reviewed(document)
    document["choices"] = [{"address": WRITER, "contact": "twin"}]


def ended(document: Document) -> None:
    """In `current` an address that was had until lately is of nobody today, nor was it ever."""
    _writer_has(document, {"address": WRITER, "valid_to": "2026-01-01T00:00:00Z"})


def _writer_has(document: Document, *addresses: object) -> None:
    next(one for one in document["contacts"] if one["addresses"] == [WRITER])["addresses"] = [*addresses]


def only_of(customer: str) -> Callable[[Document], None]:
    """Only a contact `twin` of that customer has the writer's address, and always had it."""

    def change(document: Document) -> None:
        _writer_has(document)
        document["customers"].append({"id": NOBODY, "name": "Nobody", "domains": []})
        document["contacts"].append(
            {"id": "twin", "name": "Twin", "customer": customer, "addresses": [WRITER]}
        )

    return change


SAME: Final = (
    (of_the_oldest, only_of("c628"), ()),
    (to_be_reviewed, only_of(NOBODY), (NOBODY, "twin")),
    (chosen, only_of("c628"), ()),
    (ended, _writer_has, ()),
)
"""Directories whose numbers the oracle knows by a plainer one; the rows of some are no rows."""

SPOKEN: Final = (
    (
        match_by_domain,
        ["settings set match_by domain --connection list"],
        ["settings unset match_by --connection list"],
    ),
    (
        without_a_domain,
        ["directory set exclusion --domain nd.edu"],
        ["directory delete exclusion --domain nd.edu"],
    ),
    (
        an_alias,
        [f"directory set member m24 --address {WRITER}"],
        [f"directory delete member m24 --address {WRITER}"],
    ),
    (
        a_contact_more,
        [
            "directory set customer gnu --name GNU",
            "directory set contact gnu-list --customer gnu --address discuss-gnuradio@gnu.org",
        ],
        ["directory delete contact gnu-list", "directory delete customer gnu"],
    ),
    (
        _writer_has,
        [f"directory end contact p650 --address {WRITER}"],
        [f"directory set contact p650 --address {WRITER}"],
    ),
)
"""A change as a document has it, the commands that make it, and those that take it back."""

CHANGES: Final = (
    not_configured_as_own,
    no_own_domain,
    a_customer_of_its_own,
    without_an_address,
    a_customer_less,
    of_both,
)
"""Those that no command of `SPOKEN` makes."""


def test_every_change_and_the_undoing_of_all_leave_the_oracles_numbers(repaired: Repaired) -> None:
    """After each the boards are the oracle's, cell by cell; after the last undoing they are the first ones again.

    Each document follows upon the one before, so a load takes back one change and makes the next.
    """
    first = repaired.is_right(repaired.original)
    assert first["customer"][""]["emails"] > 10_000
    for change in CHANGES:
        document = changed(repaired.original, change)
        repaired.load(document, wait=True)
        shown = repaired.is_right(document)
        assert (shown == first) == (change is not_configured_as_own), change.__name__
    repaired.load(repaired.original, wait=True)
    assert repaired.shown() == first


def test_who_of_several_an_address_is_can_be_settled(repaired: Repaired) -> None:
    """By age, by a person or not at all; an address that has ended is of nobody."""
    first = repaired.is_right(repaired.original)
    for change, plainer, without in SAME:
        repaired.load(changed(repaired.original, change), wait=True)
        assert repaired.is_right(changed(repaired.original, plainer), without) != first, change.__name__
    repaired.load(repaired.original, wait=True)
    assert repaired.shown() == first


def test_commands_change_one_entry_as_a_file_changes_all(repaired: Repaired) -> None:
    """Setting, ending and deleting entries and settings, each by a command of its own."""
    first = repaired.is_right(repaired.original)
    for change, commands, undoing in SPOKEN:
        for command in commands:
            repaired.run(*command.split())
        assert repaired.is_right(changed(repaired.original, change)) != first, commands
        for command in undoing:
            repaired.run(*command.split())
        assert repaired.shown() == first, undoing


def test_changes_on_top_of_each_other_end_as_the_last_one_alone(repaired: Repaired) -> None:
    """Nobody waits for one before the next; what is undone before it was decided was never there."""
    first = repaired.is_right(repaired.original)
    everything = deepcopy(repaired.original)
    for change in (without_a_domain, a_contact_more, an_alias, match_by_domain):
        change(everything)
        repaired.load(everything, wait=False)
    repaired.load(changed(repaired.original, a_customer_less), wait=False)
    repaired.load(everything, wait=True)
    assert repaired.is_right(everything) != first
    repaired.load(repaired.original, wait=True)
    assert repaired.shown() == first
