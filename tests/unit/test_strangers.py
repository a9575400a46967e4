"""Strangers in item records: countable by keyed hashes, readable with the tenant's key only."""

from __future__ import annotations

from dataclasses import replace

from mail_copies import JUNE, make_copy, person
from memory_keys import MemoryKeyRing
from rapport_core.ids import keyed_hash
from rapport_processors.items import item_of
from rapport_processors.model import Decision, Message
from rapport_schemas.records import Item
from rapport_schemas.sealing import unseal
from rapport_schemas.topics import composite_key

TENANT = "acme"
KEYS = MemoryKeyRing().tenant_keys(TENANT)
NOBODY = Decision(synced=False, rule="no_customer")


def item(*strangers: str) -> tuple[Item, bytes]:
    """The record of one mail with such a decision, and its digest."""
    people = (person("from", "a@b.c"), *(person("to", address) for address in strangers))
    message = Message(
        message_id="id@x",
        identity="id@x",
        author="a@b.c",
        author_name="",
        earliest_ms=JUNE,
        at_ms=JUNE,
        mail_class="human",
        subject="",
        preview="",
        people=people,
        copies=(make_copy(),),
        thread_key=b"t",
    )
    return item_of(TENANT, 1, KEYS, message, replace(NOBODY, strangers=strangers), 1)


def test_a_stranger_is_hashed_like_any_address_and_sealed() -> None:
    """So that who asks for an address finds it by the same hash; the domain has a hash of its own."""
    record, _ = item("kim@kund.se")
    (stranger,) = record["strangers"]
    assert stranger["address"] in record["address_hashes"]
    assert stranger["domain"] == keyed_hash(KEYS.hash, "domain", "kund.se")
    assert b"kund" not in stranger["sealed"]
    assert unseal(KEYS.seal, stranger["sealed"], composite_key("stranger", TENANT)) == b"kim@kund.se"


def test_a_public_providers_domain_is_nobodys() -> None:
    """Nobody could make a customer of it. An address of no domain has none either."""
    record, _ = item("kim@gmail.com", "kim@mail.gmail.com", "kim")
    assert [bool(stranger["domain"]) for stranger in record["strangers"]] == [False, True, False]


def test_another_stranger_makes_another_record_and_another_sealing_does_not() -> None:
    """The digest is of hashes only: a worker that seals the same once more has nothing to publish."""
    first, digest = item("kim@kund.se")
    assert item("pia@kund.se")[1] != digest != item()[1]
    item(*(f"x{number}@y.se" for number in range(1 << 15)))  # more than a process remembers
    again, same = item("kim@kund.se")
    assert again["strangers"][0]["sealed"] != first["strangers"][0]["sealed"]
    assert same == digest


def test_the_largest_list_of_strangers_fits_a_record() -> None:
    """Fifty of the longest addresses there are."""
    record, _ = item(*(f"{'x' * 60}{number}@{'y' * 240}.se" for number in range(50)))
    assert sum(map(len, (stranger["sealed"] for stranger in record["strangers"]))) < 20_000
