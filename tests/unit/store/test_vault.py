"""The vault and sign-ins under way: sealed for their place, replaced, forgotten, given out once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import update

from rapport.store import Store, open_store
from rapport.store.database import TracesLeftError
from rapport.store.schema import credentials, sign_ins
from rapport.store.sealer import LocalKey
from rapport_core.errors import ConfigError, InvariantError
from store_processes import MASTER_KEY, HandClock, StoreSettings

SECRET = b"refresh-token-of-anna-0123456789"


def test_a_secret_is_kept_replaced_and_forgotten(store: Store) -> None:
    """One for each connection; tenants with the same connection id keep apart."""
    store.vault.put("acme", "microsoft-m1", "graph", b"first")
    store.vault.put("acme", "microsoft-m1", "graph", SECRET)
    store.vault.put("umbrella", "microsoft-m1", "graph", b"other")
    assert store.vault.get("acme", "microsoft-m1") == SECRET
    assert store.vault.drop("acme", "microsoft-m1")
    assert not store.vault.drop("acme", "microsoft-m1")
    assert store.vault.get("acme", "microsoft-m1") is None
    assert store.vault.get("umbrella", "microsoft-m1") == b"other"


def test_a_secret_is_replaced_only_where_it_is_the_one_that_was_read(store: Store) -> None:
    """What was dropped or put anew meanwhile stays so."""
    store.vault.put("acme", "c1", "graph", b"first")
    assert store.vault.replace("acme", "c1", b"first", b"second")
    assert not store.vault.replace("acme", "c1", b"first", b"third")
    assert store.vault.get("acme", "c1") == b"second"
    store.vault.drop("acme", "c1")
    assert not store.vault.replace("acme", "c1", b"second", b"third")
    assert store.vault.get("acme", "c1") is None


def test_a_secret_is_there_after_reopening(settings: StoreSettings) -> None:
    with open_store(settings) as first:
        first.vault.put("acme", "c1", "graph", SECRET)
    with open_store(settings) as second:
        assert second.vault.get("acme", "c1") == SECRET


def test_a_secret_moved_to_another_connection_does_not_open(store: Store) -> None:
    """Who can write the database but lacks the master key gives nobody another one's mailbox."""
    store.vault.put("acme", "c1", "graph", SECRET)
    with store._database.write() as connection:
        connection.execute(update(credentials).values(connection="c2"))
    with pytest.raises(InvariantError, match="belongs elsewhere") as caught:
        store.vault.get("acme", "c2")
    assert SECRET.decode() not in repr(caught.value)


def test_no_file_holds_a_secret_in_the_clear_nor_a_dropped_one_sealed(tmp_path: Path) -> None:
    def files() -> bytes:
        return b"".join(file.read_bytes() for file in tmp_path.glob("store.db*"))

    with open_store(StoreSettings(tmp_path)) as store:
        store.vault.put("acme", "c1", "graph", SECRET)
        store.sign_ins.begin("acme", "state", SECRET)
        with store._database.read() as connection:
            sealed = bytes(connection.execute(credentials.select()).one().sealed)
        assert SECRET not in files()
        assert sealed in files()
        store.vault.drop("acme", "c1")
        assert sealed not in files()


Reading = Callable[[], AbstractContextManager[None]]


def sealed_of(store: Store) -> bytes:
    with store._database.read() as connection:
        return bytes(connection.execute(credentials.select()).one().sealed)


def test_what_another_program_keeps_in_the_log_is_said_and_goes_with_a_repeat(
    tmp_path: Path, read_by_another: Reading
) -> None:
    """The log cannot be emptied while somebody reads. The secret itself is gone all the same."""
    with open_store(StoreSettings(tmp_path)) as store:
        store.vault.put("acme", "c1", "graph", SECRET)
        sealed = sealed_of(store)
        with read_by_another():
            with pytest.raises(TracesLeftError, match="end that program"):
                store.vault.drop("acme", "c1")
            assert store.vault.get("acme", "c1") is None
        assert not store.vault.drop("acme", "c1")
        assert not any(sealed in file.read_bytes() for file in tmp_path.glob("store.db*"))


def test_a_process_that_dies_before_the_log_is_emptied_is_mended_by_a_repeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def die() -> None:
        raise Died

    with open_store(StoreSettings(tmp_path)) as store:
        store.vault.put("acme", "c1", "graph", SECRET)
        sealed = sealed_of(store)
        with monkeypatch.context() as dying:
            dying.setattr(store._database, "forget_deleted", die)
            with pytest.raises(Died):
                store.vault.drop("acme", "c1")
        assert not store.vault.drop("acme", "c1")
        assert not any(sealed in file.read_bytes() for file in tmp_path.glob("store.db*"))


def test_another_master_key_opens_nothing(tmp_path: Path) -> None:
    """Even where somebody takes the proof out of the database."""
    with open_store(StoreSettings(tmp_path)) as store:
        store.vault.put("acme", "c1", "graph", SECRET)
    wrong = Store(f"sqlite:///{tmp_path / 'store.db'}", LocalKey(b"\1" * 32))
    with pytest.raises(ConfigError, match="master key does not open"):
        wrong.vault.get("acme", "c1")
    with pytest.raises(ConfigError, match="master key does not open"):
        wrong.vault.put("acme", "c2", "graph", SECRET)
    wrong.close()


def test_a_sign_in_is_given_out_once(store: Store) -> None:
    store.sign_ins.begin("acme", "state-1", b"flow")
    assert store.sign_ins.take("state-2") is None
    assert store.sign_ins.take("state-1") == ("acme", b"flow")
    assert store.sign_ins.take("state-1") is None


def test_a_sign_in_ends_after_ten_minutes(store: Store, clock: HandClock) -> None:
    store.sign_ins.begin("acme", "state-1", b"flow")
    store.sign_ins.begin("acme", "state-2", b"flow")
    clock.move(timedelta(minutes=9, seconds=59))
    assert store.sign_ins.take("state-1") is not None
    clock.move(timedelta(seconds=1))
    assert store.sign_ins.take("state-2") is None


def test_sign_ins_nobody_finished_are_forgotten(store: Store, clock: HandClock) -> None:
    store.sign_ins.begin("acme", "old", b"flow")
    clock.move(timedelta(minutes=10))
    store.sign_ins.begin("acme", "new", b"flow")
    with store._database.read() as connection:
        assert len(connection.execute(sign_ins.select()).all()) == 1


def test_nothing_secret_is_in_a_repr(tmp_path: Path) -> None:
    with open_store(StoreSettings(tmp_path, master_key=SecretStr(MASTER_KEY))) as store:
        for thing in (store, store.vault, store.sign_ins, store.vault._sealer, store.vault._sealer._wrapper):
            assert MASTER_KEY not in repr(thing)
