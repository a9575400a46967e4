"""What a person should look at in a tenant's matching, on the real engine: against small worlds whose answer is plain."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from item_records import KEYS, TENANT, body, entry, gone, item
from rapport_core.clock import to_ms
from rapport_schemas.records import Item
from rapport_schemas.sealing import seal
from rapport_schemas.topics import composite_key
from rapport_sinks.clickhouse.batch import Opened
from rapport_sinks.clickhouse.client import ClickHouse
from rapport_sinks.clickhouse.matching_health import MatchingHealth
from rapport_sinks.clickhouse.rows import decision_row, fact_row, item_key, place_of, subject_row
from rapport_sinks.clickhouse.strangers import StrangerNames
from rapport_sinks.clickhouse.tables import DECISIONS, ITEMS, SUBJECTS
from rapport_sinks.clickhouse.writer import Writer

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def stranger(address: str, domain: str = "kund.se") -> dict[str, bytes]:
    """One as an item carries it; the hashes are readable here, so that the lists are."""
    sealed = seal(KEYS.tenant_keys(TENANT).seal, address.encode(), composite_key("stranger", TENANT))
    return {"address": address.encode(), "domain": domain.encode(), "sealed": sealed}


def met(number: int, *strangers: dict[str, bytes], days_ago: float = 1, **changes: Any) -> Item:
    """An item with strangers in it, by default one that matches nothing."""
    at = to_ms(NOW - timedelta(days=days_ago))
    usual: dict[str, Any] = {"synced": False, "rule": "no_customer", "at": at}
    return item(f"{number:032x}", **(usual | {"strangers": list(strangers)} | changes))


def put(client: ClickHouse, items: Sequence[Item], bodies: Sequence[dict[str, Any]] = ()) -> None:
    """Write items as the sink would, facts of the synced ones too."""
    client.insert(DECISIONS, [decision_row(one, {place_of(one)}, 1) for one in items])
    StrangerNames(client).write(items)
    facts = [
        fact_row(one, body(**(bodies[number] if bodies else {})), 1)
        for number, one in enumerate(items)
        if one["synced"]
    ]
    client.insert(ITEMS, facts)


def put_directory(client: ClickHouse, settings: dict[str, Any] | None = None) -> None:
    """The tenant, and two of each kind with names."""
    text = json.dumps({"timezone": "Europe/Stockholm", "settings": settings or {}})
    entries = [
        entry("tenant", TENANT, settings=text),
        entry("customer", "c1", name="Kund"),
        entry("customer", "c2", name="Nord"),
        entry("contact", "p1", name="Kim"),
        entry("contact", "p2", name="Kim again"),
    ]
    client.insert(SUBJECTS, [subject_row(one, number) for number, one in enumerate(entries)])


def plain(hashed: str) -> str:
    """What the readable hash of a test says."""
    return bytes.fromhex(hashed).decode()


def test_strangers_are_counted_by_domain_and_by_address(tables: ClickHouse) -> None:
    """Distinct items, most frequent first; a domain once per item however many of its people stand in it."""
    put_directory(tables)
    kim, pia, other = stranger("kim@kund.se"), stranger("pia@kund.se"), stranger("x@nord.no", "nord.no")
    put(
        tables,
        [
            met(1, kim, pia, days_ago=3),
            met(2, kim, days_ago=2, rule="unknown_sender"),
            met(3, pia, other, days_ago=1, synced=True, rule="contact_address"),
        ],
    )
    found = MatchingHealth(tables).health(TENANT, NOW)
    assert [(plain(one["hash"]), one["items"], one["left_out"]) for one in found["domains"]] == [
        ("kund.se", 3, 2),
        ("nord.no", 1, 0),
    ]
    assert [(plain(one["hash"]), one["items"], one["left_out"]) for one in found["addresses"]] == [
        ("kim@kund.se", 2, 2),
        ("pia@kund.se", 2, 1),
        ("x@nord.no", 1, 0),
    ]
    # The example is the newest of those that are left out; where there is none, the newest.
    first, second = found["domains"]
    assert (first["example"], first["rule"]) == (f"{2:032x}", "unknown_sender")
    assert (second["example"], second["rule"]) == (f"{3:032x}", "contact_address")
    assert first["last"] == "2026-11-22T12:00:00Z"


def test_only_what_would_count_is_missed(tables: ClickHouse) -> None:
    """Classes that do not count, what an exclusion left out, other days, the future, other tenants and deleted items are no reason to act."""
    put_directory(tables)
    kim = stranger("kim@kund.se")
    items = [
        met(1, kim),
        met(2, kim, mail_class="bulk"),
        met(3, kim, rule="excluded"),
        met(4, kim, days_ago=181),
        met(5, kim, days_ago=-1, kind="meeting", mail_class=""),
        met(6, kim, tenant="other"),
        met(7, kim, gen=2),
        met(8, kim, deleted=True),
        met(9, kim, at=None),
        met(10, kim, kind="meeting", mail_class=""),
        met(11, kim, mail_class="list"),
    ]
    put(tables, items)
    health = MatchingHealth(tables)
    assert [one["items"] for one in health.health(TENANT, NOW)["domains"]] == [3]
    assert [one["items"] for one in health.health(TENANT, NOW, days=182)["domains"]] == [4]
    put_directory(tables, {"counted_classes": ["bulk"]})
    tables.command("OPTIMIZE TABLE subjects FINAL")
    assert [one["items"] for one in health.health(TENANT, NOW)["domains"]] == [2]


def test_the_longest_lists_are_cut_after_sorting(tables: ClickHouse) -> None:
    put_directory(tables)
    put(tables, [met(number, stranger(f"x@d{number % 7}.se", f"d{number % 7}.se")) for number in range(36)])
    found = MatchingHealth(tables).health(TENANT, NOW, limit=2)
    assert [(plain(one["hash"]), one["items"]) for one in found["domains"]] == [("d0.se", 6), ("d1.se", 5)]
    assert len(found["addresses"]) == 2


def test_names_are_sealed_and_found_by_their_hash(tables: ClickHouse) -> None:
    """Nothing in the tables says who it is; the sealed name of any address of a domain stands for the domain."""
    put_directory(tables)
    put(tables, [met(1, stranger("kim@kund.se"))])
    (domain,) = MatchingHealth(tables).health(TENANT, NOW)["domains"]
    stored = tables.rows("SELECT kind, sealed FROM stranger_names FINAL ORDER BY kind")
    assert [row["kind"] for row in stored] == ["address", "domain"]
    assert domain["sealed"] == stored[1]["sealed"]
    assert "kim" not in json.dumps(stored)


def test_names_lately_written_are_not_written_again(tables: ClickHouse) -> None:
    """And what was forgotten is written once more, which changes nothing."""
    names = StrangerNames(tables, remembered=2)
    first, second = met(1, stranger("kim@kund.se")), met(2, stranger("x@nord.no", "nord.no"))

    def written() -> int:
        return int(tables.rows("SELECT count() AS n FROM stranger_names")[0]["n"])

    names.write([first, first])
    names.write([first])
    assert written() == 2
    names.write([second])
    names.write([first])
    assert tables.rows("SELECT count() AS n FROM stranger_names FINAL")[0]["n"] == 4


def candidates(value: str, *ids: str) -> list[dict[str, str]]:
    """As a reason lists them."""
    what, kind = ("address", "contact") if "@" in value else ("domain", "customer")
    return [{"kind": kind, "id": one, what: value} for one in ids]


def reasoned(*chosen: str, **by_address: list[dict[str, str]]) -> dict[str, Any]:
    """The body of an item whose reason has these candidates."""
    found = {f"{name}@kund.se": entries for name, entries in by_address.items()}
    entries = [{"kind": "contact", "id": "p1", "address": "x@kund.se", "choice": one} for one in chosen]
    return {"reason": json.dumps({"rule": "contact_address", "entries": entries, "candidates": found})}


def test_ambiguous_addresses_and_domains_say_what_they_touch(tables: ClickHouse) -> None:
    """One line for each value, not for each person that it was met through."""
    put_directory(tables)
    kim, domain = candidates("kim@kund.se", "p1", "p2"), candidates("kund.se", "c1", "c2")
    synced: dict[str, Any] = {"synced": True, "ambiguous": True}
    put(
        tables,
        [
            met(1, members=["m1"], customers=["c1", "c2"], **synced),
            met(2, members=["m1", "m2"], customers=["c1"], **synced),
            met(3, members=["m3"], customers=["c1"], **synced),
            met(4, members=["m3"], customers=["c1"], synced=True),
        ],
        [
            reasoned(kim=kim + domain),
            reasoned(pia=domain, bo=domain),
            reasoned(kim=kim[:1] + candidates("kund.se", "c1"), pia=candidates("pia@kund.se", "p1", "p2")),
            {"reason": json.dumps({"rule": "contact_address", "entries": []})},
        ],
    )
    found = MatchingHealth(tables).health(TENANT, NOW)["ambiguous"]
    touched = [(one["what"], one["value"], one["items"], one["members"], one["customers"]) for one in found]
    assert touched == [
        ("domain", "kund.se", 2, 2, 2),
        ("address", "kim@kund.se", 1, 1, 2),
        ("address", "pia@kund.se", 1, 1, 1),
    ]
    assert [one["id"] for one in found[0]["candidates"]] == ["c1", "c2"]
    assert [one["name"] for one in found[0]["candidates"]] == ["Kund", "Nord"]
    assert [one["name"] for one in found[1]["candidates"]] == ["Kim", "Kim again"]


def test_what_a_choice_decided_is_not_listed(tables: ClickHouse) -> None:
    """An item may stay ambiguous through another address; its reason names those who were not chosen, too."""
    put_directory(tables)
    kim, pia = candidates("kim@kund.se", "p1", "p2", "p3"), candidates("pia@kund.se", "p1", "p2")
    put(
        tables,
        [met(1, synced=True, ambiguous=True)],
        [reasoned("address:kim@kund.se", kim=kim[1:], pia=pia)],
    )
    found = MatchingHealth(tables).health(TENANT, NOW)["ambiguous"]
    assert [one["value"] for one in found] == ["pia@kund.se"]


def written_by(contact: str, first: int, count: int, days_ago: float, customers: int) -> list[Item]:
    """Items of one author with that many customers in all of them together."""
    return [
        met(
            first + number,
            days_ago=days_ago,
            synced=True,
            author_contacts=[contact],
            customers=[f"c{number % customers}"],
        )
        for number in range(count)
    ]


def test_a_flood_is_sudden_and_wide(tables: ClickHouse) -> None:
    """Twenty in a week, four times the usual, five customers: one short of any is no flood."""
    put_directory(tables)
    put(
        tables,
        [
            *written_by("p1", 0, 20, 1, 5),
            *written_by("p1", 100, 20, 10, 1),
            *written_by("few", 200, 19, 1, 5),
            *written_by("narrow", 300, 30, 1, 4),
            *written_by("busy", 400, 20, 1, 5),
            *written_by("busy", 500, 21, 20, 1),
            *written_by("earlier", 600, 30, 8, 5),
        ],
    )
    found = MatchingHealth(tables).health(TENANT, NOW)["floods"]
    assert found == [{"contact": "p1", "name": "Kim", "items": 20, "before": 5.0, "customers": 5}]


def test_a_tenant_without_mail_has_empty_lists(tables: ClickHouse) -> None:
    put_directory(tables)
    found = MatchingHealth(tables).health(TENANT, NOW)
    lists = (found["domains"], found["addresses"], found["ambiguous"], found["floods"])
    assert lists == ([], [], [], [])
    assert found["window"]["timezone"] == "Europe/Stockholm"


def test_a_batch_makes_its_strangers_countable_and_nameable(tables: ClickHouse) -> None:
    """What an item says no more is gone with its next version, and an item that is none any more counts nowhere."""
    put_directory(tables)
    writer, health = Writer(tables), MatchingHealth(tables)
    kim, pia = stranger("kim@kund.se"), stranger("pia@nord.no", "nord.no")

    def write(one: Item, ver: int) -> list[tuple[str, bool]]:
        writer.write([Opened(item_key(one), one, None, ver)], [], [], [])
        return [(plain(row["hash"]), bool(row["sealed"])) for row in health.health(TENANT, NOW)["domains"]]

    assert write(met(1, kim), 1) == [("kund.se", True)]
    assert write(met(1, kim, pia), 2) == [("kund.se", True), ("nord.no", True)]
    assert write(met(1, pia), 3) == [("nord.no", True)]
    assert write(met(1, kim), 2) == [("nord.no", True)]
    assert write(gone(f"{1:032x}"), 4) == []
