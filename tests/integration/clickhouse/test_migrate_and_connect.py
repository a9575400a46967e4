"""Making the tables, and what a person reads when the server cannot be used."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from clickhouse import TestServer
from rapport.local.ports import free_port
from rapport_core.errors import ConfigError, InvariantError, UnavailableError
from rapport_sinks.clickhouse.client import ClickHouse, connect, in_database
from rapport_sinks.clickhouse.migrate import migrate, packaged_steps, prepared, steps_of
from rapport_sinks.clickhouse.tables import MARKS

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_migrating_again_does_nothing(migrated: ClickHouse) -> None:
    """Every start of the sink does it."""
    assert migrate(migrated, NOW) == 0


def test_a_step_that_was_applied_but_not_recorded_is_repeated(server: TestServer) -> None:
    """The process died between the two."""
    with server.database() as client:
        client.command("TRUNCATE TABLE schema_migrations")
        assert migrate(client, NOW) == len(packaged_steps())


def test_a_new_step_is_applied_alone(server: TestServer) -> None:
    with server.database() as client:
        more = steps_of(
            "9999_more.sql",
            "CREATE TABLE IF NOT EXISTS more (a String) ENGINE = ${replicated}MergeTree ORDER BY a",
        )
        assert migrate(client, NOW, packaged_steps() + more) == 1
        assert client.rows("SELECT a FROM more") == []
        with pytest.raises(ConfigError, match="newer Rapport"):
            migrate(client, NOW)


def test_a_step_that_was_changed_afterwards_is_refused(migrated: ClickHouse) -> None:
    first, *rest = packaged_steps()
    with pytest.raises(ConfigError, match=r"0001_facts_and_decisions\.sql was changed"):
        migrate(migrated, NOW, [replace(first, checksum="other"), *rest])


def test_our_database_is_an_atomic_one(migrated: ClickHouse) -> None:
    assert migrated.rows("SELECT engine FROM system.databases WHERE name = currentDatabase()") == [
        {"engine": "Atomic"}
    ]


def test_nobody_there_is_said_in_one_sentence() -> None:
    with pytest.raises(UnavailableError, match=r"does not answer at 127\.0\.0\.1:\d+: is it running"):
        connect(f"http://rapport:secret@127.0.0.1:{free_port()}/rapport")


def test_a_wrong_password_is_a_matter_of_settings(server: TestServer) -> None:
    """And neither password stands in the sentence."""
    with pytest.raises(ConfigError, match="RAPPORT_CLICKHOUSE") as caught:
        connect(server.url.replace("secret", "guessed"))
    assert "guessed" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "localhost:8123", "ftp://host/x", "http:///x"])
def test_another_kind_of_address_is_a_matter_of_settings(url: str) -> None:
    with pytest.raises(ConfigError, match="http://user:password@host:port/database"):
        connect(url)


def test_tables_that_are_not_there_yet_are_waited_for(server: TestServer) -> None:
    """The sink makes them; a command that comes earlier says so."""
    with pytest.raises(UnavailableError, match="not there yet"):
        connect(in_database(server.url, "nowhere")).rows("SELECT 1 FROM items")


def test_values_that_do_not_fit_are_our_fault(tables: ClickHouse) -> None:
    """They must not be repeated for ever as if the server were away."""
    with pytest.raises(InvariantError):
        tables.insert(MARKS, [("w", "t", "topic", "not a number", NOW)])


def test_a_database_is_made_when_it_is_missing_and_found_again(server: TestServer) -> None:
    url = in_database(server.url, "made_here")
    first, second = prepared(url, NOW), prepared(url, NOW)
    assert first.rows("SELECT item_id FROM items") == second.rows("SELECT item_id FROM items") == []
    first.command("DROP DATABASE made_here SYNC")
    first.close()
    second.close()
