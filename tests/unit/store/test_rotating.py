"""A new master key: everything opens as before, the old key opens nothing, and a crash anywhere costs a repeat."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import LargeBinary

from rapport.store import Store, open_store, rotating
from rapport.store.database import TracesLeftError
from rapport.store.master_key import next_file, read_file
from rapport.store.rotating import SEALED, rotate
from rapport.store.schema import metadata, subscriptions
from rapport.store.sealer import LocalKey
from rapport_core.errors import ConfigError, PoisonError
from rapport_producers.graph.register import Registered, new
from store_processes import (
    MASTER_KEY,
    StoreSettings,
    in_processes,
    seal_while_the_key_changes,
    use_keys,
)

UNTIL = datetime(2027, 1, 1, tzinfo=UTC)
NEVER_SEALED = {"sessions.token_hash", "login_failures.who", "sign_ins.state_hash", "jobs.sealed"}
"""Hashes; and what a key of the tenant seals."""


@pytest.fixture
def settings(tmp_path: Path) -> StoreSettings:
    """A local store, whose key lies in a file."""
    return StoreSettings(tmp_path)


def fill(store: Store, name: str = "c1") -> dict[str, Any]:
    """One of everything that is sealed; returns what comes back of it."""
    store.vault.put("acme", name, "graph", b"refresh token")
    store.sign_ins.begin("acme", f"state of {name}", b"flow")
    store.subscriptions.put(subscription(name))
    store.jobs.put("acme", name, "disconnect", {"keep": True})
    store.destroy_page_key(store.keys.new_page_key("acme", f"gone {name}"))
    return seen(store, name)


def subscription(name: str) -> Registered:
    return new("acme", name, "me/messages", "https://rapport.example/webhooks/microsoft", UNTIL)


def seen(store: Store, name: str = "c1") -> dict[str, Any]:
    """What a store gives out; sign-ins apart, which are given out once."""
    job = store.jobs.of("acme", name, "disconnect")
    return {
        "keys": use_keys(store),
        "credential": store.vault.get("acme", name),
        "subscriptions": [one.secret for one in store.subscriptions.of("acme", name)],
        "job": None if job is None else job.order,
    }


@contextmanager
def opened(settings: StoreSettings) -> Iterator[Store]:
    with open_store(settings) as store:
        yield store


def test_everything_that_is_sealed_is_known() -> None:
    """A new column of bytes must say which it is."""
    binary = {
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    assert {one.name() for one in SEALED} == binary - NEVER_SEALED
    assert SEALED[-1].name() == "facts.value"


def test_everything_opens_with_the_new_key_and_nothing_with_the_old(settings: StoreSettings) -> None:
    file = settings.home / "master.key"
    with open_store(settings) as store:
        before = fill(store)
    old = file.read_text()
    done = rotate(settings)
    assert (done.file, done.in_place) == (file, True)
    assert done.count == 6  # a page key, two of the tenant, credential, sign-in, subscription; none destroyed
    assert file.read_text() != old
    assert file.stat().st_mode & 0o777 == 0o600
    assert not next_file(file).exists()
    with open_store(settings) as store:
        assert seen(store) == before
        assert store.sign_ins.take("state of c1") == ("acme", b"flow")
    file.write_text(old)
    with pytest.raises(ConfigError, match="does not open this store"):
        open_store(settings)


def test_what_the_old_key_sealed_is_in_no_file_any_more(settings: StoreSettings) -> None:
    with open_store(settings) as store:
        fill(store)
        with store._database.read() as connection:
            (row,) = connection.execute(subscriptions.select()).all()
    rotate(settings)
    wrapped = bytes(row.sealed)[3:60]
    assert wrapped not in b"".join(file.read_bytes() for file in settings.home.glob("store.db*"))


def test_what_the_old_key_sealed_goes_with_a_repeat_where_another_program_kept_it(
    settings: StoreSettings, read_by_another: Callable[[], AbstractContextManager[None]]
) -> None:
    """The new key is in place all the same. With a file of one's own the repeat finds nothing else to do."""
    to = settings.home / "mine.key"
    with open_store(settings) as store:
        before = fill(store)
        with store._database.read() as connection:
            (row,) = connection.execute(subscriptions.select()).all()
        with read_by_another(), pytest.raises(TracesLeftError, match="end that program"):
            rotate(settings, to=to)
        assert rotate(settings, to=to).count == 0
        wrapped = bytes(row.sealed)[3:60]
        assert not any(wrapped in file.read_bytes() for file in settings.home.glob("store.db*"))
    with open_store(StoreSettings(settings.home, master_key_file=to)) as store:
        assert seen(store) == before


def test_a_store_that_is_open_goes_on(settings: StoreSettings) -> None:
    """Reading and sealing, with what it remembers and without, and another time after that."""
    with ExitStack() as stack:
        reading, sealing, remembering = (stack.enter_context(opened(settings)) for _ in range(3))
        before = fill(remembering)
        for _ in range(2):
            rotate(settings)
            assert seen(reading) == before
            sealing.vault.put("acme", "c2", "graph", secrets.token_bytes(16))
            assert reading.vault.get("acme", "c2") == sealing.vault.get("acme", "c2")
            assert seen(remembering) == before


def test_a_store_that_is_open_goes_on_before_the_file_is_in_place(
    settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the store and its key there is a moment in which the new one lies beside the old one."""
    with open_store(settings) as store:
        before = fill(store)
        with monkeypatch.context() as dying:
            dying.setattr(rotating, "put_in_place", die)
            with pytest.raises(Died):
                rotate(settings)
        store.vault.put("acme", "c2", "graph", b"second")
        assert store.vault.get("acme", "c2") == b"second"
        assert seen(store) == before
    with open_store(settings) as store:
        assert seen(store) == before
        assert not next_file(settings.home / "master.key").exists()


class Died(BaseException):
    """The process ended here."""


def die(*_: object, **__: object) -> Any:
    raise Died


STEPS = ["make_file", "_reseal", "put_in_place", *(f"column {number}" for number in range(len(SEALED)))]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_is_mended_by_a_repeat(
    settings: StoreSettings, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    """The store opens in between, with all that it had."""
    file = settings.home / "master.key"
    with open_store(settings) as store:
        before = fill(store)
    old = file.read_text()
    name = "_reseal_column" if step.startswith("column") else step
    work, left = getattr(rotating, name), [int(step.split()[1]) if step.startswith("column") else 0]

    def dying(*arguments: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            return work(*arguments, **options)
        if after:
            work(*arguments, **options)
        raise Died

    with monkeypatch.context() as crashing:
        crashing.setattr(rotating, name, dying)
        with pytest.raises(Died):
            rotate(settings)
    with open_store(settings) as store:
        assert seen(store) == before
    rotate(settings)
    assert file.read_text() != old
    assert not next_file(file).exists()
    with open_store(settings) as store:
        assert seen(store) == before
        assert store.sign_ins.take("state of c1") == ("acme", b"flow")
    file.write_text(old)
    with pytest.raises(ConfigError, match="does not open this store"):
        open_store(settings)


def test_a_key_in_the_environment_needs_a_place_for_the_new_one(tmp_path: Path) -> None:
    """Nothing can change an environment from here; the file is made, and the rest is said."""
    old = StoreSettings(tmp_path, master_key=SecretStr(MASTER_KEY))
    with open_store(old) as store:
        before = fill(store)
    with pytest.raises(ConfigError, match="--to FILE"):
        rotate(old)
    to = tmp_path / "new.key"
    done = rotate(old, to=to)
    assert (done.file, done.in_place, done.count) == (to, False, 6)
    with pytest.raises(ConfigError, match="does not open this store"):
        open_store(old)
    assert rotate(old, to=to).count == 0  # the same again changes nothing
    with open_store(StoreSettings(tmp_path, master_key_file=to)) as store:
        assert seen(store) == before


def test_a_key_of_ones_own_is_taken(settings: StoreSettings) -> None:
    with open_store(settings) as store:
        before = fill(store)
    to = settings.home / "mine.key"
    to.write_text("ab" * 32)
    rotate(settings, to=to)
    with open_store(StoreSettings(settings.home, master_key=SecretStr("ab" * 32))) as store:
        assert seen(store) == before
    assert (settings.home / "master.key").exists()


def test_the_file_of_the_present_key_may_be_named(settings: StoreSettings) -> None:
    with open_store(settings) as store:
        before = fill(store)
    assert rotate(settings, to=settings.home / "master.key").in_place
    with open_store(settings) as store:
        assert seen(store) == before


def test_what_is_no_key_is_not_taken_and_nothing_changes(settings: StoreSettings) -> None:
    with open_store(settings) as store:
        before = fill(store)
    to = settings.home / "mine.key"
    to.write_text("secret")
    with pytest.raises(ConfigError, match="does not hold a master key"):
        rotate(settings, to=to)
    with open_store(settings) as store:
        assert seen(store) == before


def test_a_wrong_key_rotates_nothing(tmp_path: Path) -> None:
    right = StoreSettings(tmp_path, master_key=SecretStr(MASTER_KEY))
    with open_store(right) as store:
        before = fill(store)
    with pytest.raises(ConfigError, match="does not open this store"):
        rotate(StoreSettings(tmp_path, master_key=SecretStr("22" * 32)), to=tmp_path / "new.key")
    with open_store(right) as store:
        assert seen(store) == before


def test_processes_that_run_meanwhile_lose_nothing(settings: StoreSettings) -> None:
    """Three processes open the store and seal, while the key changes under them again and again."""
    with open_store(settings) as store:
        before = fill(store)
    found = in_processes(settings, seal_while_the_key_changes)
    with open_store(settings) as store:
        assert seen(store) == before
        for names in found:
            assert [store.vault.get("acme", name) for name in names] == [name.encode() for name in names]


class FakeKms:
    """A key management service: it has the key, and shows it to nobody."""

    def __init__(self) -> None:
        self._key = LocalKey(secrets.token_bytes(32))
        self.asked = 0

    def wrap(self, key: bytes, context: bytes, /) -> bytes:
        self.asked += 1
        return b"kms:" + self._key.wrap(key, context)

    def unwrap(self, wrapped: bytes, context: bytes, /) -> bytes:
        self.asked += 1
        if not wrapped.startswith(b"kms:"):
            raise PoisonError("invalid", "not wrapped here")
        return self._key.unwrap(wrapped.removeprefix(b"kms:"), context)


def test_a_key_management_service_stands_in_for_the_master_key(settings: StoreSettings) -> None:
    """No key is made, and no other service opens what it wrapped."""
    service = FakeKms()
    with open_store(settings, master=service) as store:
        before = fill(store)
    assert service.asked > 0
    assert not (settings.home / "master.key").exists()
    with open_store(settings, master=service) as store:
        assert seen(store) == before
    with pytest.raises(ConfigError, match="does not open this store"):
        open_store(settings, master=FakeKms())


def test_no_key_is_in_an_error_or_a_repr(settings: StoreSettings) -> None:
    open_store(settings).close()
    key = (settings.home / "master.key").read_text().strip()
    done = rotate(settings)
    shown = [repr(done), repr(read_file(done.file)), str(done)]
    assert not any(key in text or done.file.read_text().strip() in text for text in shown)
