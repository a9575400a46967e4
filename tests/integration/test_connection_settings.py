"""What the pages about connections read and change, against a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from fake_connections import record
from rapport.connection_settings import SettingsDesk
from rapport.directory.change import Desk, say
from rapport.kafka import ensure_topics, flush, producer, wire
from rapport.newest import Newest
from rapport.settings import Endpoints, endpoints, load_settings
from rapport.store import Store, open_store
from rapport_core.errors import ConfigError, UnavailableError
from rapport_schemas.records import Connection
from rapport_schemas.topics import CONNECTIONS, composite_key

pytestmark = pytest.mark.stack


@pytest.fixture
def where(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Endpoints:
    """The broker of this test run."""
    monkeypatch.setenv("RAPPORT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RAPPORT_KAFKA", kafka)
    monkeypatch.setenv("RAPPORT_CLICKHOUSE", "http://u:p@127.0.0.1:1/rapport")
    found = endpoints(load_settings())
    ensure_topics(found)
    return found


@pytest.fixture
def store(where: Endpoints) -> Iterator[Store]:
    """Has the lease of the directory."""
    with open_store(load_settings(), where) as opened:
        yield opened


def publish(where: Endpoints, tenant: str, *records: Connection | None) -> None:
    """Records of microsoft-m1, then of others, in this order; None deletes microsoft-m1."""
    sender, encode = producer(where), wire(where)
    for one in records:
        key = composite_key(tenant, one["connection"] if one else "microsoft-m1")
        sender.produce(CONNECTIONS.name, key=key, value=encode.encode("connection", one) if one else None)
    flush(sender)


def test_the_newest_record_of_each_connection_is_followed(where: Endpoints) -> None:
    """From the beginning, then what comes, also after leaving Kafka; a deleted one is gone; no other tenant's."""
    tenant, other = f"t-{uuid4().hex}", f"t-{uuid4().hex}"
    publish(
        where, tenant, record("m1", tenant, state="needs_auth"), record("m2", tenant), record("m1", tenant)
    )
    publish(where, other, record("m9", other))
    newest = Newest(where, CONNECTIONS, "rapport-test-reader")
    found = newest.of(tenant)
    assert [(one["connection"], one["state"]) for one in found] == [
        ("microsoft-m1", "connected"),
        ("microsoft-m2", "connected"),
    ]
    publish(where, tenant, record("m2", tenant, state="throttled"))
    assert newest.of(tenant)[1]["state"] == "throttled"
    newest.close()
    publish(where, tenant, None)
    assert [one["connection"] for one in newest.of(tenant)] == ["microsoft-m2"]
    newest.close()


def test_kafka_away_is_said_at_once(where: Endpoints) -> None:
    away = replace(where, kafka="127.0.0.1:1")
    with pytest.raises(UnavailableError, match="rapport doctor"):
        Newest(away, CONNECTIONS, "rapport-test-reader").of("t")


def test_settings_and_addresses_go_into_the_directory_and_come_back(where: Endpoints, store: Store) -> None:
    """Set, taken back, all at once; an alias comes, ends and goes; what a command had set stays."""
    tenant = f"t-{uuid4().hex}"
    directory = Desk(where, store)
    say(directory, tenant, "tenant", {"id": tenant, "settings": {"match_by": "domain"}})
    say(directory, tenant, "member", {"id": "m1", "name": "Anna", "addresses": ["anna@acme.com"]})
    desk = SettingsDesk(where, directory)

    def held() -> tuple[object, object, list[tuple[str, bool]]]:
        found = desk.read(tenant, "microsoft-m1", "m1")
        addresses = [(one["address"], one["ended"]) for one in found["addresses"]]
        return found["everybody"]["match_by"], found["own"], addresses

    assert held() == ("domain", {}, [("anna@acme.com", False)])
    desk.override(tenant, "microsoft-m1", {"owner_must_be_listed": True})
    desk.override(tenant, "microsoft-m1", {"sync_unknown_sender": True, "match_by": "address"})
    desk.override(tenant, "microsoft-m1", {"sync_unknown_sender": False, "match_by": None})
    assert held()[1] == {"owner_must_be_listed": True, "sync_unknown_sender": False}
    desk.add_address(tenant, "m1", "An@ACME.com")
    desk.end_address(tenant, "m1", "anna@acme.com")
    assert held()[2] == [("an@acme.com", False), ("anna@acme.com", True)]
    desk.delete_address(tenant, "m1", "an@acme.com")
    assert held()[2] == [("anna@acme.com", True)]
    with pytest.raises(ConfigError, match="no mail address"):
        desk.add_address(tenant, "m1", "nonsense")
    with pytest.raises(ConfigError, match="no member"):
        desk.add_address(tenant, "m7", "x@acme.com")
    assert desk.read(tenant, "unknown", "unknown") == {
        **desk.read(tenant, "microsoft-m1", "m1"),
        "addresses": [],
        "own": {},
    }
