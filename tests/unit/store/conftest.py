"""A store on SQLite and, where RAPPORT_TEST_POSTGRES names a server and psycopg is installed, one on PostgreSQL."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from rapport.store import Store, database, open_store
from store_processes import HandClock, StoreSettings, settings_for

POSTGRES = "RAPPORT_TEST_POSTGRES"
HAS_POSTGRES = bool(os.environ.get(POSTGRES)) and find_spec("psycopg") is not None


@pytest.fixture(params=["sqlite", *(["postgresql"] if HAS_POSTGRES else [])])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A new, empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    server = os.environ[POSTGRES]
    name = f"test_{secrets.token_hex(6)}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield admin.url.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def settings(tmp_path: Path, url: str) -> StoreSettings:
    """Settings that open the new database."""
    return settings_for(tmp_path, url)


@pytest.fixture
def clock() -> HandClock:
    """A clock the test moves."""
    return HandClock()


@pytest.fixture
def store(settings: StoreSettings, clock: HandClock) -> Iterator[Store]:
    """An open store."""
    with open_store(settings, clock=clock) as opened:
        yield opened


@pytest.fixture
def read_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], AbstractContextManager[None]]:
    """Within it another program has the store open in the middle of a transaction. The store's patience is short."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 50)

    @contextmanager
    def reading() -> Iterator[None]:
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        try:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM users").fetchall()
            yield
        finally:
            other.close()

    return reading
