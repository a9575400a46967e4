"""Users, sessions, throttle, audit."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rapport.store import Store
from rapport.store import users as users_module
from rapport.store.sessions import LIFETIME
from rapport.store.throttle import FORGET_AFTER, FREE_FAILURES, LONGEST_WAIT
from rapport.store.users import User, generate_password
from rapport_core.errors import ConfigError
from store_processes import CHEAP_HASHER, HandClock

PASSWORD = "correct horse battery"


REAL_HASHER = users_module._HASHER


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a password costs has a test of its own."""
    monkeypatch.setattr("rapport.store.users._HASHER", CHEAP_HASHER)


@pytest.fixture
def anna(store: Store) -> User:
    """A user of role admin."""
    return store.users.add("Anna@Acme.com ", tenant="acme", role="admin", password=PASSWORD)


def test_a_user_is_verified_by_any_spelling_of_the_address(store: Store, anna: User) -> None:
    """E-mail addresses compare without case and surrounding space."""
    assert store.users.verify(" ANNA@acme.com", PASSWORD) == anna


def test_wrong_passwords_and_unknown_users_are_refused(store: Store, anna: User) -> None:
    """Nothing but the right pair signs in; an overlong password is not cut to fit."""
    assert anna.email == "anna@acme.com"
    for email, password in [
        ("anna@acme.com", PASSWORD + "x"),
        ("anna@acme.com", ""),
        ("anna@acme.com", PASSWORD * 200),
        ("bo@acme.com", PASSWORD),
        ("", ""),
    ]:
        assert store.users.verify(email, password) is None


def test_an_unknown_user_costs_as_much_as_a_known_one() -> None:
    """The stand-in hash has today's parameters, so time tells nobody which addresses exist."""
    assert (REAL_HASHER.memory_cost, REAL_HASHER.time_cost) >= (65_536, 3)
    assert not REAL_HASHER.check_needs_rehash(users_module._NOBODY)


def test_no_password_is_stored(store: Store, anna: User) -> None:
    """Only an argon2id hash is."""
    with store._database.read() as connection:
        stored = connection.exec_driver_sql("SELECT password FROM users").scalar_one()
    assert anna.tenant == "acme"
    assert stored.startswith("$argon2id$")
    assert PASSWORD not in stored


def test_users_are_listed_by_tenant(store: Store, anna: User) -> None:
    """A tenant sees its own users only."""
    bo = store.users.add("bo@umbrella.com", tenant="umbrella", role="member", password=PASSWORD, member="m1")
    assert store.users.list("acme") == [anna]
    assert store.users.list("umbrella") == [bo]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"email": "anna@acme.com"}, "is a user already"),
        ({"email": "anna"}, "no e-mail address"),
        ({"role": "owner"}, "no role owner"),
        ({"role": "member"}, "--member ID"),
        ({"member": "m1"}, "--member goes with --role member only"),
        ({"password": "short"}, "10 to 1024 characters"),
    ],
)
def test_a_wrong_user_is_said_in_one_sentence(
    store: Store, anna: User, changes: dict[str, str], sentence: str
) -> None:
    """Each mistake has its own message, and no user is added."""
    values = {"email": "bo@acme.com", "role": "admin", "password": PASSWORD} | changes
    with pytest.raises(ConfigError, match=sentence):
        store.users.add(
            values["email"],
            tenant="acme",
            role=values["role"],
            password=values["password"],
            member=values.get("member"),
        )
    assert store.users.list("acme") == [anna]


def test_removing_a_user_ends_his_sessions(store: Store, anna: User) -> None:
    """At once, not when the session expires; another tenant cannot remove him."""
    token = store.sessions.open(anna)
    with pytest.raises(ConfigError, match="has no user"):
        store.users.remove("anna@acme.com", tenant="umbrella")
    assert store.sessions.find(token) is not None
    assert store.users.remove("ANNA@acme.com", tenant="acme") == anna
    assert store.sessions.find(token) is None
    assert store.users.verify("anna@acme.com", PASSWORD) is None


def test_a_session_lives_until_it_is_ended_or_expires(store: Store, anna: User, clock: HandClock) -> None:
    """Each token is its own session."""
    first, second = store.sessions.open(anna), store.sessions.open(anna)
    store.sessions.end(first)
    assert store.sessions.find(first) is None
    found = store.sessions.find(second)
    assert found is not None
    assert found.user == anna
    clock.move(LIFETIME)
    assert store.sessions.find(second) is None


def test_the_store_holds_no_token(store: Store, anna: User) -> None:
    """A copy of the database signs nobody in."""
    token = store.sessions.open(anna)
    with store._database.read() as connection:
        stored = connection.exec_driver_sql("SELECT token_hash FROM sessions").scalar_one()
    assert token.encode() not in bytes(stored)
    assert store.sessions.find(bytes(stored).hex()) is None
    assert store.sessions.find("") is None


def test_guessing_gets_slower(store: Store, clock: HandClock) -> None:
    """A few attempts are free; then the wait doubles up to its longest, and the right password ends it."""
    waits: list[float] = []
    for _ in range(FREE_FAILURES + 8):
        assert store.throttle.admit("Anna@acme.com", "192.0.2.1") == timedelta(0)
        wait = (
            store.throttle.admit("anna@acme.com", "192.0.2.1")
            if len(waits) >= FREE_FAILURES - 1
            else timedelta(0)
        )
        waits.append(wait.total_seconds())
        clock.move(wait)
    assert waits[: FREE_FAILURES + 2] == [0, 0, 0, 0, 30, 60, 120]
    assert waits[-1] == LONGEST_WAIT.total_seconds()
    assert store.throttle.admit("anna@acme.com", "192.0.2.1") == timedelta(0)
    assert store.throttle.admit("anna@acme.com", "192.0.2.1") > timedelta(0)
    assert store.throttle.admit("anna@acme.com", "192.0.2.2") == timedelta(0)
    assert store.throttle.admit("bo@acme.com", "192.0.2.1") == timedelta(0)
    store.throttle.succeeded("anna@acme.com", "192.0.2.1")
    assert store.throttle.admit("anna@acme.com", "192.0.2.1") == timedelta(0)


def test_old_failures_are_forgotten(store: Store, clock: HandClock) -> None:
    """Yesterday's typing errors count for nothing today."""
    for _ in range(FREE_FAILURES - 1):
        store.throttle.admit("anna@acme.com", "192.0.2.1")
    clock.move(FORGET_AFTER)
    for _ in range(FREE_FAILURES):
        assert store.throttle.admit("anna@acme.com", "192.0.2.1") == timedelta(0)


def test_audit_entries_belong_to_their_tenant(store: Store) -> None:
    """Newest first, the other tenant's never."""
    store.audit.record(tenant="acme", user="u1", action="user_added", object="u2")
    store.audit.record(tenant="umbrella", user="u9", action="user_added", object="u8")
    store.audit.record(tenant="acme", user="u1", action="user_removed", object="x" * 2000)
    entries = store.audit.entries("acme")
    assert [(entry.action, len(entry.object)) for entry in entries] == [
        ("user_removed", 512),
        ("user_added", 2),
    ]


def test_generated_passwords_are_long_and_differ() -> None:
    """Sixteen letters and digits in groups that can be read aloud."""
    made = {generate_password() for _ in range(50)}
    assert len(made) == 50
    assert all(len(password) == 19 for password in made)
