"""Opens the store: tables brought up to date, master key proven, once, whoever comes first."""

from __future__ import annotations

from typing import Protocol

from rapport.store.database import Database
from rapport.store.master_key import MasterKeySettings, obtain, prove, renewed
from rapport.store.migrating import exclusive, migrate
from rapport.store.sealer import KeyWrapper
from rapport.store.store import Store
from rapport_core.clock import Clock


class StoreSettings(MasterKeySettings, Protocol):
    """The part of the settings the store needs."""

    @property
    def store(self) -> str | None:
        """The database URL; None: SQLite under home."""
        ...


class StoreEndpoint(Protocol):
    """Where a running instance has its store."""

    @property
    def store(self) -> str:
        """The database URL."""
        ...


def open_store(
    settings: StoreSettings,
    endpoints: StoreEndpoint | None = None,
    *,
    clock: Clock | None = None,
    master: KeyWrapper | None = None,
) -> Store:
    """The store, ready. Several processes may call it at the same time, also for a store that is not there yet.

    Args:
        settings: home, master key and, without `endpoints`, the store's URL.
        endpoints: where a running instance has its store; None when none need run (`rapport user add`).
        clock: the machine's when None.
        master: what wraps keys, such as a key management service; None: the master key of the settings.

    Raises:
        ConfigError: no or a wrong master key, an impossible URL, a store of a newer Rapport.
        UnavailableError: the database cannot be reached.
    """
    database = Database(endpoints.store if endpoints is not None else store_url(settings))
    try:
        with exclusive(database):
            migrate(database)
            if master is None:
                key = obtain(settings, database)
            else:
                prove(master, database)
    except BaseException:
        database.close()
        raise
    if master is not None:
        return Store(database, master, clock=clock)
    return Store(database, key, clock=clock, renewed=lambda: renewed(settings, database))


def store_url(settings: StoreSettings) -> str:
    """The configured URL, else SQLite under home."""
    return settings.store or f"sqlite:///{settings.home.absolute() / 'store.db'}"
