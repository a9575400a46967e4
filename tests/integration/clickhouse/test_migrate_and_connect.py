"""Making the tables, and what a person reads when the server cannot be used."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from clickhouse import TestServer
from item_records import TENANT, body, entry, item
from rapport.local.ports import free_port
from rapport_core.clock import to_ms
from rapport_core.errors import ConfigError, InvariantError, UnavailableError
from rapport_sinks.clickhouse.client import ClickHouse, connect, in_database
from rapport_sinks.clickhouse.matching_health import MatchingHealth
from rapport_sinks.clickhouse.migrate import migrate, packaged_steps, prepared, steps_of
from rapport_sinks.clickhouse.rows import decision_row, fact_row, place_of, subject_row
from rapport_sinks.clickhouse.tables import DECISIONS, ITEMS, MARKS, SUBJECTS, THREAD_ITEMS

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


def test_tables_from_before_meetings_keep_their_rows_and_grow(server: TestServer) -> None:
    """A database that the first two files made, with mail in it, is brought forward: it reads as before."""
    url = in_database(server.url, "grown")
    connect(server.url).command("CREATE DATABASE grown ENGINE = Atomic")
    client = connect(url)
    try:
        earlier = [step for step in packaged_steps() if step.file < "0003"]
        assert migrate(client, NOW, earlier) == len(earlier) > 0
        mail = item("i1", at=to_ms(NOW) - 1, thread_key="aa")
        old = list(ITEMS.columns).index("people_answers")
        values = fact_row(mail, body(answers=[]), 1)[:old]
        client.insert(SUBJECTS, [subject_row(entry("tenant", TENANT, settings="{}"), 1)])
        known = list(DECISIONS.columns)[: list(DECISIONS.columns).index("stranger_addresses")]
        decided = decision_row(mail, {place_of(mail)}, 1)[: len(known)]
        client.insert(DECISIONS.only(*known), [decided])
        for table in (ITEMS, THREAD_ITEMS):
            client.insert(table.only(*list(ITEMS.columns)[:old]), [values])
        assert migrate(client, NOW) == len(packaged_steps()) - len(earlier) > 0
        impact = MatchingHealth(client)
        assert impact.health(TENANT, NOW)["domains"] == []
        assert impact.counts(TENANT, "customer", 2, None, NOW, planned=True)["total"]["emails"] == 1
        for whole in (impact.item(TENANT, "i1"), *impact.thread(TENANT, "aa")):
            assert whole is not None
            assert (whole["subject"], whole["location"], whole["ends"]) == ("Offer", "", None)
            assert [person["answer"] for person in whole["people"]] == [""]
        meeting = item("i2", kind="meeting", at=to_ms(NOW) - 1, ends=to_ms(NOW))
        client.insert(ITEMS, [fact_row(meeting, body(answers=["accepted"]), 2)])
        assert impact.counts(TENANT, "customer", 2, None, NOW)["total"]["meetings"] == 1
    finally:
        client.command("DROP DATABASE grown SYNC")
        client.close()


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
