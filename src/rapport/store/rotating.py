"""A new master key: everything that was sealed with the old one is re-wrapped, in one transaction.

The order makes a crash anywhere harmless: the new key is on the disk first, then the store is sealed with it, as a whole or not
at all, then its file takes the place of the old one. Processes that run meanwhile find the new key by themselves where it
comes from a file (`rapport.store.master_key.renewed`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Table, select, update

from rapport.store.database import Database
from rapport.store.keyring import key_context
from rapport.store.master_key import (
    key_file,
    make_file,
    next_file,
    obtain,
    opens,
    put_in_place,
    read_check,
    read_file,
)
from rapport.store.migrating import exclusive, migrate
from rapport.store.opening import StoreEndpoint, StoreSettings, store_url
from rapport.store.schema import credentials, facts, page_keys, sign_ins, subscriptions, tenant_keys
from rapport.store.sealer import CHECK, CHECK_CONTEXT, KeyWrapper, LocalKey, Sealer, rewrapped
from rapport_core.errors import ConfigError

_Context = Callable[[Mapping[Any, Any]], bytes]


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A column that the master key seals: keys by what they are bound to, envelopes where `context` is None."""

    table: Table
    column: str
    context: _Context | None = None

    def name(self) -> str:
        """Table and column."""
        return f"{self.table.name}.{self.column}"


SEALED: Final = (
    _Sealed(page_keys, "sealed", lambda row: key_context("page_key", row["id"])),
    _Sealed(tenant_keys, "sealed_seal", lambda row: key_context("tenant_seal", row["tenant"])),
    _Sealed(tenant_keys, "sealed_hash", lambda row: key_context("tenant_hash", row["tenant"])),
    _Sealed(credentials, "sealed"),
    _Sealed(sign_ins, "sealed"),
    _Sealed(subscriptions, "sealed"),
    _Sealed(facts, "value", lambda _: CHECK_CONTEXT),
)
"""Everything that is sealed with the master key itself. The check comes last; what jobs hold is sealed with keys of tenants."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did: `file` holds the new key, `count` secrets were re-wrapped, `in_place` where nothing else need be done."""

    file: Path
    count: int
    in_place: bool


def rotate(
    settings: StoreSettings, endpoints: StoreEndpoint | None = None, to: Path | None = None
) -> Rotated:
    """Gives the store a new master key. After a crash the same call finishes it.

    Args:
        settings: as for `open_store`.
        endpoints: as for `open_store`.
        to: the file for the new key: one that holds a key already, or one that is made. None: that of the present key.

    Raises:
        ConfigError: the present key stands in the environment and there is no `to`, a file cannot be written, or the
            present key is wrong. The store is as it was.
        UnavailableError: the database cannot be reached; it is as it was, or done: repeat it.
    """
    database = Database(endpoints.store if endpoints is not None else store_url(settings))
    try:
        with exclusive(database):
            migrate(database)
            done = _rotate(settings, database, to)
        database.forget_deleted()  # what the old key sealed, also where an earlier run did the rest
        return done
    finally:
        database.close()


def _rotate(settings: StoreSettings, database: Database, to: Path | None) -> Rotated:
    file = key_file(settings)
    if to is None and file is None:
        raise ConfigError(
            "RAPPORT_MASTER_KEY holds the key itself: name the file for the new one with --to FILE, "
            "and set RAPPORT_MASTER_KEY_FILE to it afterwards"
        )
    check = read_check(database)
    if to is not None and to != file and to.exists() and check is not None and opens(read_file(to), check):
        return Rotated(to, 0, in_place=False)  # an earlier run got so far
    before = obtain(settings, database)
    if to is None or to == file:
        assert file is not None  # noqa: S101 - one of the two is there
        count = _reseal(database, before, _new_key(next_file(file)))
        put_in_place(file)
        return Rotated(file, count, in_place=True)
    return Rotated(to, _reseal(database, before, _new_key(to)), in_place=False)


def _new_key(file: Path) -> LocalKey:
    """The key in the file, where an earlier run or a person has put one."""
    return read_file(file) if file.exists() else make_file(file)


def _reseal(database: Database, before: LocalKey, after: KeyWrapper) -> int:
    with database.write() as transaction:
        # Whoever seals something on PostgreSQL waits from here on, and then finds another check.
        transaction.execute(select(facts.c.value).where(facts.c.name == CHECK).with_for_update())
        count = sum(_reseal_column(transaction, one, Sealer(before), after) for one in SEALED)
    return count - 1  # the check is no secret


def _reseal_column(transaction: Connection, one: _Sealed, before: Sealer, after: KeyWrapper) -> int:
    column = one.table.c[one.column]
    query = select(one.table).where(column.is_not(None))
    if one.table is facts:
        query = query.where(facts.c.name == CHECK)
    rows = transaction.execute(query).mappings().all()
    for row in rows:
        sealed = bytes(row[column])
        if one.context is None:
            fresh = rewrapped(sealed, before, after)
        else:
            context = one.context(row)
            fresh = after.wrap(before.unwrap(sealed, context), context)
        # What was destroyed or dropped meanwhile stays so.
        same = [key == row[key] for key in one.table.primary_key] + [column == row[column]]
        transaction.execute(update(one.table).where(*same).values({one.column: fresh}))
    return len(rows)
