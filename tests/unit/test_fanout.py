"""What fan-out says about a change: every item it can affect, from the newest record alone."""

from __future__ import annotations

from typing import Any

from directory_entries import TENANT, chosen, connection, entry, excluded, tenant
from memory_keys import MemoryKeyRing
from rapport_processors.fanout import fan_out
from rapport_processors.records import InRecord
from rapport_processors.terms import address_term, domain_term, member_term
from rapport_schemas.records import DirectoryEntry
from rapport_schemas.topics import DIRECTORY
from rapport_schemas.wire import Wire

WIRE, KEYS = Wire(), MemoryKeyRing()
KEY = KEYS.tenant_keys(TENANT).hash


def notices(*records: DirectoryEntry) -> list[dict[str, Any]]:
    """What one partition hears."""
    inputs = [
        InRecord(DIRECTORY.name, 0, offset, b"", WIRE.encode("directory_entry", record))
        for offset, record in enumerate(records)
    ]
    outputs = fan_out(WIRE, KEYS, inputs, assignment=1, now_ms=0, partitions=1)
    return [WIRE.decode("routed", output.value)["notice"] for output in outputs]


def test_a_contact_affects_who_writes_from_its_addresses() -> None:
    [notice] = notices(entry("contact", "p1", "x@kund.se", "y+tag@kund.se", customer="c1"))
    assert set(notice["terms"]) == {address_term(KEY, "x@kund.se"), address_term(KEY, "y@kund.se")}
    assert not notice["basis"]
    assert not notice["whole"]


def test_what_it_had_once_is_affected_as_well() -> None:
    """An address that was taken from a contact stands in no record any more, but its items do."""
    former = [address_term(KEY, "old@kund.se")]
    [notice] = notices(entry("contact", "p1", deleted=True, former=former))
    assert notice["terms"] == former
    assert not notice["whole"]


def test_who_never_had_an_address_affects_nothing() -> None:
    [notice] = notices(entry("contact", "p1", deleted=True))
    assert notice["terms"] == []
    assert not notice["whole"]


def test_a_customer_affects_its_domains_and_its_contacts() -> None:
    [notice] = notices(entry("customer", "c1", "kund.se"))
    assert notice["terms"] == [domain_term(KEY, "kund.se")]
    assert notice["customers"] == ["c1"]


def test_a_member_affects_its_addresses_its_mailboxes_and_the_own_domains() -> None:
    [notice] = notices(entry("member", "m1", "a@acme.com"))
    assert set(notice["terms"]) == {address_term(KEY, "a@acme.com"), member_term(KEY, "m1")}
    assert notice["basis"]


def test_settings_affect_what_the_partition_finds_to_differ() -> None:
    for record in (tenant("acme.com", match_by="domain"), connection("box", match_by="domain")):
        [notice] = notices(record)
        assert notice["basis"]
        assert notice["terms"] == []
        assert not notice["whole"]


def test_exclusions_and_choices_affect_what_they_name() -> None:
    [notice] = notices(
        excluded("boss@kund.se"),
        excluded(domain="bank.example"),
        excluded(pair=("m1", "p1")),
        chosen("x@kund.se", "p1"),
        chosen("kund.se", "c1"),
    )
    addresses = {address_term(KEY, "boss@kund.se"), address_term(KEY, "x@kund.se")}
    domains = {domain_term(KEY, "bank.example"), domain_term(KEY, "kund.se")}
    assert set(notice["terms"]) == addresses | domains
    assert notice["contacts"] == ["p1"]
    assert not notice["whole"]


def test_a_kind_of_a_later_program_affects_everything() -> None:
    [notice] = notices(entry("region", "north"))
    assert notice["whole"]


def test_many_terms_take_several_notices() -> None:
    """A Kafka record is bounded; a load of a million contacts is not."""
    records = [entry("contact", f"p{number}", f"p{number}@kund.se") for number in range(9_000)]
    found = notices(*records)
    assert len(found) == 3
    assert sum(len(notice["terms"]) for notice in found) == 9_000
    assert {notice["offset"] for notice in found} == {8_999}
