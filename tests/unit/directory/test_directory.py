"""The directory in memory: newest record per key, deletions, tenants apart, indexes that forget."""

from __future__ import annotations

from typing import Any

import pytest

from directory_entries import TENANT, at, directory, entry, excluded, mail, tenant
from rapport_core.errors import ConfigError, PoisonError
from rapport_processors.directory import Directory
from rapport_processors.directory_index import RefIndex
from rapport_processors.directory_records import Ref, Subject
from rapport_processors.matching import decide
from rapport_schemas.records import DirectoryEntry

P1 = entry("contact", "p1", "x@kund.se", customer="c1")
C1 = entry("customer", "c1", "kund.se")
M1 = entry("member", "m1", "anna@acme.com")


def test_the_highest_offset_of_a_key_wins_whatever_the_order() -> None:
    whole = Directory()
    assert whole.apply({**P1, "name": "new"}, 7)
    assert not whole.apply({**P1, "name": "old"}, 3)
    assert not whole.apply({**P1, "name": "same"}, 7)
    found = whole.tenant(TENANT).subject("contact", "p1")
    assert found is not None
    assert (found.name, whole.offset) == ("new", 7)


def test_a_deleted_subject_does_not_come_back_with_an_older_record() -> None:
    whole = Directory()
    whole.apply({**P1, "deleted": True}, 5)
    assert not whole.apply(P1, 4)
    assert whole.tenant(TENANT).subject("contact", "p1") is None
    assert whole.apply(P1, 6)
    assert whole.tenant(TENANT).subject("contact", "p1") is not None


def test_a_changed_address_no_longer_matches() -> None:
    where = directory(tenant(), M1, C1, P1)
    message = mail("anna@acme.com", "x@kund.se")
    assert decide(message, where).synced
    where.apply(entry("contact", "p1", "new@kund.se", customer="c1"), 50)
    assert not decide(message, where).synced
    assert decide(mail("anna@acme.com", "new@kund.se"), where).synced


def test_a_domain_stops_being_ours_with_its_last_member() -> None:
    where = directory(tenant(), M1, entry("member", "m2", "bo@acme.com"), C1)
    message = mail("who@web.example", "desk@acme.com")
    for offset, (gone, rule) in enumerate([("m1", "no_customer"), ("m2", "no_customer")], 50):
        assert where.facts_at(None)("desk@acme.com").internal
        where.apply(entry("member", gone, deleted=True), offset)
        assert decide(message, where).rule == rule
    assert not where.facts_at(None)("desk@acme.com").internal


def test_tenants_do_not_see_each_other() -> None:
    whole = Directory()
    whole.apply(P1, 0)
    whole.apply({**M1, "tenant": "other"}, 1)
    assert whole.tenant("other").subject("contact", "p1") is None
    assert whole.tenant("other").facts_at(None)("x@kund.se").contact.ids == ()
    assert whole.tenants() == []


def test_an_unknown_tenant_has_the_defaults_and_stays_one_object() -> None:
    whole = Directory()
    where = whole.tenant("nobody")
    where.override("box", {"match_by": "domain"})
    assert (where.timezone, where.settings.match_by) == ("UTC", "address")
    assert whole.tenant("nobody").settings_of("box").match_by == "domain"


def test_marks_only_move_the_offset() -> None:
    whole = Directory()
    mark: Any = {"id": "w", "tenant": TENANT, "round": 0, "source": "command", "dirty": False}
    assert not whole.apply(entry("mark", "", mark=mark), 9)
    assert whole.offset == 9


def test_settings_and_time_zone_come_and_go_with_the_tenants_record() -> None:
    whole = Directory()
    whole.apply(tenant(timezone="Europe/Oslo", match_by="domain"), 0)
    where = whole.tenant(TENANT)
    assert (where.timezone, where.settings.match_by, whole.tenants()) == ("Europe/Oslo", "domain", [TENANT])
    whole.apply({**tenant(), "deleted": True}, 1)
    assert (where.timezone, where.settings.match_by, whole.tenants()) == ("UTC", "address", [])


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"timezone": "UTC"}', '{"timezone": "UTC", "settings": {"new": 1}}']
)
def test_settings_that_this_program_does_not_know_are_refused_and_change_nothing(text: str) -> None:
    """Deciding with settings one does not understand would publish wrong decisions."""
    whole = Directory()
    whole.apply(tenant(match_by="domain"), 0)
    with pytest.raises(ConfigError):
        whole.apply(entry("tenant", TENANT, settings=text), 1)
    assert whole.tenant(TENANT).settings.match_by == "domain"


def test_an_unknown_kind_is_poison() -> None:
    with pytest.raises(PoisonError, match="pigeon"):
        Directory().apply(entry("pigeon", "1"), 0)


def test_what_was_put_is_taken_out_of_every_index() -> None:
    """After deleting everything no index holds anything: nothing leaks while a directory changes for years."""
    records = [
        tenant("acme.no", "acme.se"),
        entry("member", "m1", "a@acme.com", "b+c@gmail.com"),
        entry("customer", "c1", "kund.se", "eu.kund.se"),
        entry("contact", "p1", "x+y@kund.se", "z.z@gmail.com"),
        entry("contact", "p2", "x+y@kund.se"),
        excluded("a.b@gmail.com"),
        excluded(domain="bank.example"),
        excluded(pair=("m1", "p1")),
    ]
    where = directory(*records)
    for offset, record in enumerate(records, 100):
        where.apply({**record, "deleted": True}, offset)
    indexes = where._indexes
    addresses = (indexes.member_addresses, indexes.contact_addresses)
    left = [*(i._exact for i in addresses), *(i._tagged for i in addresses)]
    left += [indexes.customer_domains, indexes.excluded_addresses, indexes.excluded_domains]
    assert [len(index) for index in left] == [0] * 7
    assert (list(indexes.own), indexes.pairs) == ([], {})
    assert not any(indexes.subjects.values())


def test_an_index_keeps_every_entry_of_a_value() -> None:
    subject = Subject(entry("contact", "p", "a@b.example", "a@b.example", "a@b.example"), 0)
    index = RefIndex()
    for ref in subject.addresses:
        index.add("k", ref)
    for left, ref in zip((2, 1, 0), subject.addresses, strict=True):
        index.remove("k", ref)
        assert (len(index.get("k")), ref in index.get("k")) == (left, False)


@pytest.mark.parametrize(
    ("since", "until", "ended", "is_open"),
    [
        (None, None, None, True),
        (100, None, None, True),
        (101, None, None, False),
        (None, 100, None, False),
        (None, 101, None, True),
        (None, None, 90, False),
        (None, 500, 90, False),
    ],
)
def test_an_entry_is_open_as_of_its_own_record(
    since: int | None, until: int | None, ended: int | None, is_open: bool
) -> None:
    """Contract 6.6: no decision reads a clock, so the record's own time says which bounds were reached."""
    record: DirectoryEntry = entry(
        "contact", "p", at("a@b.example", since, until, ended=ended), recorded_at=100
    )
    [ref] = Subject(record, 0).addresses
    assert isinstance(ref, Ref)
    assert ref.open is is_open
