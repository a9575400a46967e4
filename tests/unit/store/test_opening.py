"""Opening: migrations give today's tables, counters rise, bad addresses are said."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

import rapport.store.migrating
from rapport.store import Store, open_store
from rapport.store.database import Database
from rapport.store.migrating import exclusive
from rapport.store.schema import HEAD_REVISION, metadata
from rapport_core.errors import ConfigError, UnavailableError
from store_processes import StoreSettings


def test_migrations_make_the_tables_the_code_uses(store: Store) -> None:
    """Neither a table nor a column, index or constraint differs."""
    with store._database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_head_revision_is_the_newest_script() -> None:
    """The constant that saves loading Alembic names the last migration."""
    config = Config()
    config.set_main_option(
        "script_location", str(Path(rapport.store.migrating.__file__).parent / "migrations")
    )
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD_REVISION


def test_a_store_of_a_newer_rapport_is_refused(store: Store, settings: StoreSettings) -> None:
    """An old program must not write what it does not understand."""
    with store._database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="newer Rapport"):
        open_store(settings)


def test_opening_waits_for_whoever_is_at_it(settings: StoreSettings) -> None:
    """While one process prepares the store, others stand before it, for as long as that takes."""
    done = threading.Event()

    def opening() -> None:
        open_store(settings).close()
        done.set()

    database = Database(str(settings.store))
    with exclusive(database):
        thread = threading.Thread(target=opening, daemon=True)
        thread.start()
        assert not done.wait(0.3)
    assert done.wait(30)
    thread.join(30)
    database.close()


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/rapport", "sqlite://", "sqlite:///:memory:"])
def test_an_impossible_address_is_wrong_settings(tmp_path: Path, url: str) -> None:
    """One sentence, exit 2."""
    with pytest.raises(ConfigError, match="RAPPORT_STORE"):
        open_store(StoreSettings(tmp_path, store=url))


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    """One sentence, exit 69; trying again later is safe."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot be written"):
        open_store(StoreSettings(tmp_path / "file" / "home"))


def test_postgresql_runs_the_same_tests(url: str) -> None:
    """Where a server is given, every test of this folder runs on it too; where none is, this line says so."""
    if not os.environ.get("RAPPORT_TEST_POSTGRES"):
        pytest.skip(
            "set RAPPORT_TEST_POSTGRES to a server's URL and install psycopg to test the store on PostgreSQL"
        )
    assert url
