"""What was erased leaves ClickHouse's files, and names that nothing mentions leave their table."""

from __future__ import annotations

from base64 import b64encode
from itertools import count

from item_records import KEYS, TENANT, body, item
from rapport_schemas.records import Item
from rapport_schemas.sealing import seal
from rapport_schemas.topics import composite_key
from rapport_sinks.clickhouse.batch import Opened
from rapport_sinks.clickhouse.client import ClickHouse
from rapport_sinks.clickhouse.erasing import Eraser
from rapport_sinks.clickhouse.rows import item_key
from rapport_sinks.clickhouse.strangers import REMEMBERED_SECONDS, StrangerNames
from rapport_sinks.clickhouse.tables import STRANGER_NAMES
from rapport_sinks.clickhouse.writer import Writer

DAY_SECONDS = 86_400
VERSIONS = count(1)


def stranger(address: str) -> dict[str, bytes]:
    """One as an item carries it, with hashes that can be read."""
    sealed = seal(KEYS.tenant_keys(TENANT).seal, address.encode(), composite_key("stranger", TENANT))
    domain = address.rpartition("@")[2]
    return {"address": address.encode(), "domain": domain.encode(), "sealed": sealed}


def mail(number: int, *addresses: str, **changes: object) -> Item:
    """An item with these strangers in it."""
    said = {"strangers": [stranger(address) for address in addresses], **changes}
    return item(f"{number:032x}", **said)


def put(tables: ClickHouse, *items: Item) -> None:
    """Writes items as a sink that just started does."""
    opened = [Opened(item_key(one), one, body() if one["synced"] else None, next(VERSIONS)) for one in items]
    Writer(tables).write(opened, [], [], [])


def names(tables: ClickHouse) -> list[tuple[str, str]]:
    """Kind and plain text of every name's hash."""
    rows = tables.rows("SELECT kind, hash FROM stranger_names ORDER BY kind, hash")
    return [(row["kind"], bytes.fromhex(row["hash"]).decode()) for row in rows]


def age(tables: ClickHouse) -> None:
    """Makes every name years old."""
    rows = tables.rows("SELECT * FROM stranger_names FINAL")
    tables.command("TRUNCATE TABLE stranger_names")
    tables.insert(
        STRANGER_NAMES,
        [[row["written_at"].replace(year=2020) if c == "written_at" else row[c] for c in STRANGER_NAMES.columns] for row in rows],
    )  # fmt: skip


def test_names_that_no_item_mentions_go(tables: ClickHouse) -> None:
    """What stands for a domain is no longer the address of one who is forgotten."""
    put(tables, mail(1, "pia@kund.se"), mail(2, "kim@kund.se"), mail(3, "x@nord.no"))
    age(tables)
    put(tables, mail(2, deleted=True, synced=False), mail(3, deleted=True, synced=False))
    asked: list[bytes] = []

    def renamed(sealed: bytes) -> bytes:
        asked.append(sealed)
        return b"only the domain"

    Eraser(tables).forget_names(TENANT, DAY_SECONDS, renamed)
    assert names(tables) == [("address", "pia@kund.se"), ("domain", "kund.se")]
    (domain,) = tables.rows("SELECT sealed FROM stranger_names WHERE kind = 'domain'")
    assert domain["sealed"] == b64encode(b"only the domain").decode()
    assert len(asked) == 1


def test_a_name_that_was_just_written_stays(tables: ClickHouse) -> None:
    """Its item may be about to be."""
    StrangerNames(tables).write([mail(1, "kim@kund.se")])
    Eraser(tables).forget_names(TENANT, DAY_SECONDS, lambda sealed: sealed)
    assert len(names(tables)) == 2


def test_a_sink_writes_a_name_again_before_it_may_be_taken_out(tables: ClickHouse) -> None:
    """It remembers what it wrote, but not for as long as names are kept that nothing mentions."""
    now = [0.0]
    sink = StrangerNames(tables, monotonic=lambda: now[0])
    sink.write([mail(1, "kim@kund.se")])
    tables.command("TRUNCATE TABLE stranger_names")
    sink.write([mail(1, "kim@kund.se")])
    assert not names(tables)
    now[0] += REMEMBERED_SECONDS
    sink.write([mail(1, "kim@kund.se")])
    assert len(names(tables)) == 2


def test_replaced_rows_leave_the_disk(tables: ClickHouse) -> None:
    """Of each key one row is left, and nothing to read of what was deleted."""
    for _ in range(3):
        put(tables, mail(1), mail(2))
    put(tables, mail(2, deleted=True, synced=False))
    Eraser(tables).merge()
    for table in ("items", "thread_items", "decisions"):
        found = tables.rows(f"SELECT count() AS n, uniqExact(item_id) AS u FROM {table}")[0]  # noqa: S608 - our own table names
        assert (found["n"], found["u"]) == (2, 2), table
    assert tables.rows("SELECT subject, author FROM items WHERE is_deleted") == [
        {"subject": "", "author": ""}
    ]
