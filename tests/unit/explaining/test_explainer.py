"""An explanation is put together from the stored decision, the sealed record or page, and the directory as it is now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from directory_entries import directory, entry, excluded, tenant
from item_records import KEYS, body, item
from rapport.explaining import sentences
from rapport.explaining.explainer import Explainer
from rapport.explaining.log import PageState, ReadPage, place_of
from rapport_core.ids import keyed_hash
from rapport_processors.directory import TenantDirectory
from rapport_schemas.records import Change, DeadLetter, DirectoryEntry, Item, ItemBody, Page
from rapport_schemas.wire import blank
from rapport_sinks.clickhouse.lookups import Decided, Hashed, Tally
from rapport_sinks.clickhouse.queries import Impact

TENANT, ID, ORIGIN = "acme", "ab" * 16, "rapport.mail.raw.v1:3:17:2"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
COMPANY = (
    tenant("acme.com"),
    entry("member", "m1", "a@acme.com"),
    entry("customer", "c1", "kund.se"),
    entry("contact", "p1", "x@kund.se", customer="c1"),
)
PEOPLE = [
    {"role": "from", "address": "new@kund.se", "name": ""},
    {"role": "to", "address": "a@acme.com", "name": ""},
]


def stored(**changes: Any) -> Decided:
    """A decision as ClickHouse has it: a mail that matches nothing."""
    plain: Decided = {
        "id": ID,
        "kind": "email",
        "at": "2026-11-20T10:00:00Z",
        "matched": False,
        "rule": "no_customer",
        "mail_class": "human",
        "ambiguous": False,
        "thread": "t",
        "origin": ORIGIN,
        "ver": 7,
    }
    return cast("Decided", {**plain, **changes})


def record(rule: str = "no_customer", **changes: Any) -> tuple[Item, ItemBody]:
    """The record of the same mail: two mailboxes hold it."""
    said = body(
        **{
            "author": "new@kund.se",
            "people": PEOPLE,
            "copies": ["box-1\x1f1", "box-2\x1f9"],
            "holders": ["m1", "m2"],
            "reason": '{"rule": "no_customer", "entries": []}',
            **changes,
        }
    )
    return item(ID, synced=False, rule=rule, address_hashes=[b"1" * 16, b"2" * 16]), said


def page_of(headers: bytes) -> ReadPage:
    """An opened page with one mail."""
    mail = {**blank_mail(), "headers": headers}
    change = cast(
        "Change", {**blank("page"), "op": "upsert", "provider_id": "1", "mail": mail, "event": None}
    )
    page = cast("Page", {**blank("page"), "tenant": TENANT, "connection": "box-1", "member": "m1"})
    return ReadPage(PageState.OPENED, page, change)


def blank_mail() -> dict[str, Any]:
    """A mail of which nothing is said."""
    return {
        "headers": b"",
        "mime": [],
        "preview": "",
        "size": 0,
        "provider_time": None,
        "folder": "",
        "labels": [],
        "conversation": "",
        "structured": None,
    }


@dataclass
class FakeSealed:
    """A log in memory; counts nothing, says what it is told."""

    found: tuple[Item, ItemBody] | None
    read: ReadPage
    people: TenantDirectory
    asked: list[str] = field(default_factory=list)

    def record(self, tenant: str, gen: int, item_id: str, offset: int) -> tuple[Item, ItemBody] | None:
        self.asked.append(f"record {item_id} {offset}")
        return self.found

    def page(self, tenant: str, origin: str) -> ReadPage:
        self.asked.append(f"page {origin}")
        return self.read

    def directory(self, tenant: str) -> TenantDirectory:
        return self.people


@dataclass
class FakeTables:
    """What ClickHouse says of one item; a synced one is given as `whole`."""

    decided: Decided
    whole: dict[str, Any] | None = None
    hashed: str = ""
    was: bool = False

    def scope(self, tenant: str, now: datetime) -> Any:
        return SimpleNamespace(classes=("human", "list"), gen=1)

    def decision(self, tenant: str, item_id: str) -> Decided | None:
        return self.decided if item_id == self.decided["id"] and not self.was else None

    def was_item(self, tenant: str, item_id: str) -> bool:
        return self.was

    def tally(self, tenant: str, what: Hashed, digest: str) -> list[Tally]:
        known: Tally = {"matched": self.decided["matched"], "rule": self.decided["rule"], "items": 1}
        return [known] if digest == self.hashed else []

    def decisions_with(self, tenant: str, what: Hashed, digest: str, limit: int) -> list[Decided]:
        return [self.decided]

    def item(self, tenant: str, item_id: str) -> dict[str, Any] | None:
        return self.whole


@dataclass
class Asked:
    """An explainer over fakes, and what it told the audit and the log."""

    tables: FakeTables = field(default_factory=lambda: FakeTables(stored()))
    found: tuple[Item, ItemBody] | None = field(default_factory=record)
    read: ReadPage = field(default_factory=lambda: page_of(b"From: new@kund.se\nTo: a@acme.com\n"))
    company: Iterable[DirectoryEntry] = COMPANY
    letters: list[DeadLetter] = field(default_factory=list)
    has_log: bool = True
    audit: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, what: str = ID) -> Any:
        sealed = FakeSealed(self.found, self.read, directory(*self.company))
        explainer = Explainer(
            cast("Impact", self.tables),
            TENANT,
            KEYS.tenant_keys(TENANT),
            NOW,
            sealed=sealed if self.has_log else None,
            audited=lambda action, about: self.audit.append((action, about)),
            letters=lambda: self.letters,
        )
        return explainer.explain(what)


def test_the_record_gives_everybody_and_every_holder() -> None:
    asked = Asked()
    (found,) = asked()["items"]
    assert [person["address"] for person in found["people"]] == ["a@acme.com", "new@kund.se"]
    assert [(copy["connection"], copy["member"], copy["rule"]) for copy in found["copies"]] == [
        ("box-1", "m1", "no_customer"),
        ("box-2", "m2", "no_customer"),
    ]
    assert (found["subject"], found["reason"]["rule"], found["page"]) == ("Offer", "no_customer", "opened")
    assert found["would_turn"]
    assert (found["fresh"], found["notes"]) == (None, [])
    assert asked.audit == [("sealed_item_opened", ID)]


def test_without_its_record_the_page_is_told_and_that_others_may_decide_otherwise() -> None:
    (found,) = Asked(found=None)()["items"]
    assert [person["address"] for person in found["people"]] == ["a@acme.com", "new@kund.se"]
    assert found["notes"] == [sentences.NO_RECORD]
    assert found["fresh"] is None


@pytest.mark.parametrize("state", [PageState.GONE, PageState.UNREADABLE])
def test_without_its_page_the_record_is_told_and_that_the_page_is_away(state: PageState) -> None:
    (found,) = Asked(read=ReadPage(state))()["items"]
    assert (found["subject"], found["page"]) == ("Offer", state)
    assert found["notes"] == [sentences.OF_PAGES[state]]


def test_of_an_erased_page_nothing_is_told_whatever_is_left() -> None:
    (found,) = Asked(read=ReadPage(PageState.ERASED))()["items"]
    assert (found["subject"], found["people"], found["copies"], found["would_turn"]) == (None, [], [], [])
    assert found["notes"] == [sentences.OF_PAGES[PageState.ERASED]]


def test_without_page_and_record_the_stored_decision_stands_alone() -> None:
    (found,) = Asked(found=None, read=ReadPage(PageState.GONE))()["items"]
    assert "nobody in it is a contact" in found["sentence"]
    assert (found["subject"], found["people"]) == (None, [])


def test_a_change_that_is_still_under_way_is_said() -> None:
    added = entry("contact", "p2", "new@kund.se", customer="c1")
    (found,) = Asked(company=[*COMPANY, added])()["items"]
    assert (found["matched"], found["rule"]) == (False, "no_customer")
    assert (found["fresh"]["synced"], found["fresh"]["rule"]) == (True, "contact_address")


def test_a_synced_item_whose_customer_changes_is_under_way_too() -> None:
    whole = {
        **{name: [] for name in ("members", "declined_members", "customers", "contacts")},
        "subject": "Offer",
        "message_id": "m",
        "author": "x@kund.se",
        "private": False,
        "reason": {},
        "cancelled": False,
    }
    decided = stored(matched=True, rule="contact_address")
    people = [{"role": "from", "address": "x@kund.se", "name": ""}, PEOPLE[1]]
    said = record("contact_address", author="x@kund.se", people=people)
    for customers, is_under_way in ((["c1"], False), (["c2"], True)):
        tables = FakeTables(decided, {**whole, "customers": customers, "contacts": ["p1"]})
        (found,) = Asked(tables, said)()["items"]
        assert (found["fresh"] is not None) is is_under_way


@pytest.mark.parametrize(
    ("changes", "hashes"),
    [({"holders": []}, 2), ({}, 3)],
    ids=["a record from before it named holders", "people that were cut"],
)
def test_what_is_not_whole_is_never_said_to_be_under_way(changes: dict[str, Any], hashes: int) -> None:
    said, content = record(**changes)
    said["address_hashes"] = [b"x" * 16] * hashes
    added = entry("contact", "p2", "new@kund.se", customer="c1")
    (found,) = Asked(found=(said, content), company=[*COMPANY, added])()["items"]
    assert (found["fresh"], found["notes"]) == (None, [sentences.CUT])


def test_a_pair_that_hangs_on_one_copys_class_is_no_change() -> None:
    """The record has the best class of all copies; whether the other came through a list it does not say."""
    pair = excluded(pair=("m2", "p1"))
    people = [{"role": "from", "address": "x@kund.se", "name": ""}, PEOPLE[1]]
    said = record("contact_address", author="x@kund.se", people=people)
    (found,) = Asked(FakeTables(stored(rule="internal")), said, company=[*COMPANY, pair])()["items"]
    assert found["fresh"] is None


def test_a_private_meeting_keeps_its_title() -> None:
    said = record(private=True, subject="")
    (found,) = Asked(found=({**said[0], "kind": "meeting"}, said[1]))()["items"]
    assert found["subject"] == "Private meeting"


def test_a_dead_letter_of_its_page_is_named() -> None:
    letter = cast("DeadLetter", {**blank("dead_letter"), "id": "route:x", "origin": ORIGIN})
    other = cast("DeadLetter", {**letter, "id": "route:y", "origin": "rapport.mail.raw.v1:3:17:1"})
    (found,) = Asked(letters=[letter, other])()["items"]
    assert found["dead_letters"] == ["route:x"]


def test_without_the_log_the_stored_decision_is_told_and_nothing_is_opened() -> None:
    asked = Asked(has_log=False)
    (found,) = asked()["items"]
    assert found["notes"] == [sentences.NO_LOG]
    assert (found["subject"], asked.audit) == (None, [])


def test_an_id_that_is_no_items_any_more_says_so() -> None:
    found = Asked(FakeTables(stored(), was=True))()
    assert (found["known"], found["advice"]) == (False, sentences.NO_ITEM_NOW)


def test_many_items_of_an_address_are_not_opened() -> None:
    digest = keyed_hash(KEYS.tenant_keys(TENANT).hash, "address", "new@kund.se").hex()
    asked = Asked(FakeTables(stored(), hashed=digest))
    found = asked("New@Kund.se")
    assert (found["found_as"], asked.audit) == ("address", [])
    assert found["items"][0]["people"] == []
    assert [part["id"] for part in found["address"]["customers"]] == ["c1"]


def test_an_address_of_the_directory_is_known_without_any_item() -> None:
    found = Asked()("a@acme.com")
    assert (found["known"], found["found_as"], found["items"]) == (True, "address", [])
    assert [part["id"] for part in found["address"]["members"]] == ["m1"]


def test_an_address_that_neither_mail_nor_directory_names_is_unknown() -> None:
    assert Asked()("nobody@nowhere.example")["known"] is False


@pytest.mark.parametrize(
    "origin",
    ["", "nonsense", "rapport.items.v1:0:1:0", "rapport.mail.raw.v1:99:1:0", "rapport.mail.raw.v1:0:-1:0"],
)
def test_only_places_of_the_raw_log_are_read(origin: str) -> None:
    assert place_of(origin) is None
    assert place_of(ORIGIN) == ("rapport.mail.raw.v1", 3, 17, 2)
