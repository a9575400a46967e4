"""The register of subscriptions on a real database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import create_engine, select, update

from rapport.store import Store
from rapport.store.schema import subscriptions
from rapport_producers.graph import register
from store_processes import HandClock

URL = "https://rapport.example/webhooks/microsoft"
UNTIL = datetime(2026, 12, 1, tzinfo=UTC)


def entry(connection: str = "microsoft-m1", resource: str = "me/messages") -> register.Registered:
    return register.new("acme", connection, resource, URL, UNTIL)


def test_what_was_put_is_found_by_its_reference_and_its_connection(store: Store) -> None:
    """As it was, with its secret."""
    mail, other = entry(), entry("microsoft-m2")
    for one in (mail, other):
        store.subscriptions.put(one)
    assert store.subscriptions.find([mail.reference, "0" * 32]) == {mail.reference: mail}
    assert store.subscriptions.of("acme", "microsoft-m1") == [mail]
    assert store.subscriptions.of("umbrella", "microsoft-m1") == []


def test_a_later_word_replaces_the_earlier_one(store: Store) -> None:
    """Graph's id and the time are kept once they are known."""
    mail = entry()
    store.subscriptions.put(mail)
    said = mail.confirmed("sub-1", UNTIL + timedelta(days=1))
    store.subscriptions.put(said)
    assert store.subscriptions.of("acme", "microsoft-m1") == [said]


def test_a_connection_has_one_for_each_resource(store: Store, clock: HandClock) -> None:
    """A new one for mail ends the old one for mail and leaves the one for events."""
    old, events, new = entry(), entry(resource="me/events"), entry()
    for one in (old, events, new):
        store.subscriptions.put(one)
        clock.move(timedelta(seconds=1))
    assert store.subscriptions.of("acme", "microsoft-m1") == [events, new]
    assert store.subscriptions.find([old.reference]) == {}


def test_what_is_dropped_is_gone_and_may_be_dropped_again(store: Store) -> None:
    """In whatever order things happen."""
    mail = entry()
    store.subscriptions.put(mail)
    for _ in range(2):
        store.subscriptions.drop(mail.reference)
    assert store.subscriptions.of("acme", "microsoft-m1") == []


def test_thousands_are_found_at_once(store: Store) -> None:
    """One request of Graph may mix many."""
    some = [entry(f"c{number}") for number in range(3)]
    for one in some:
        store.subscriptions.put(one)
    asked = [register.new("x", "y", "z", URL, UNTIL).reference for _ in range(3000)]
    found = store.subscriptions.find([*asked, *(one.reference for one in some)])
    assert found == {one.reference: one for one in some}


def test_the_secret_is_sealed_and_opens_nowhere_else(store: Store, url: str) -> None:
    """A row moved to another connection is as good as none."""
    mail = entry()
    store.subscriptions.put(mail)
    engine = create_engine(url)
    with engine.begin() as connection:
        sealed = connection.scalar(select(subscriptions.c.sealed)) or b""
        assert mail.secret.encode() not in sealed
        connection.execute(update(subscriptions).values(connection="microsoft-m2"))
    engine.dispose()
    assert store.subscriptions.of("acme", "microsoft-m2") == []
    assert store.subscriptions.find([mail.reference]) == {}
