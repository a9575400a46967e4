"""Keys: made once, sealed by the master key, destroyed for good."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from rapport.store import Store, open_store
from rapport.store.database import Database, TracesLeftError
from rapport.store.keyring import SECONDS_UNTIL_DESTRUCTION_IS_NOTICED, StoreKeyRing
from rapport_core.errors import InvariantError, UnavailableError
from rapport_core.keys import KeyRing
from store_processes import HandClock, StoreSettings, in_processes, use_keys, use_keys_and_numbers


def test_the_store_is_a_key_ring(store: Store) -> None:
    """Rooms take the protocol; the store's implementation fits it."""
    ring: KeyRing = store.keys
    assert ring.tenant_keys("acme") == ring.tenant_keys("acme")


def test_keys_are_the_same_after_reopening(settings: StoreSettings) -> None:
    """What was sealed yesterday opens today."""
    with open_store(settings) as first:
        before = use_keys(first)
    with open_store(settings) as second:
        assert use_keys(second) == before


def test_every_key_is_its_own(store: Store) -> None:
    """No two connections, tenants or purposes share a key, and each has 32 bytes."""
    ids = [store.keys.new_page_key(*pair) for pair in (("acme", "c1"), ("acme", "c2"), ("umbrella", "c1"))]
    keys = [store.keys.page_key(key_id) for key_id in ids]
    for tenant in ("acme", "umbrella"):
        keys += [store.keys.tenant_keys(tenant).seal, store.keys.tenant_keys(tenant).hash]
    assert len(set(ids)) == 3
    assert len(set(keys)) == 7
    assert {len(key or b"") for key in keys} == {32}


def test_a_destroyed_key_is_gone_and_a_new_one_takes_its_place(store: Store) -> None:
    """Destroying is for ever; the connection gets another key."""
    old = store.keys.new_page_key("acme", "c1")
    store.destroy_page_key(old)
    store.destroy_page_key(old)
    assert store.keys.page_key(old) is None
    new = store.keys.new_page_key("acme", "c1")
    assert new != old
    assert store.keys.page_key(new) is not None


def test_a_key_destroyed_elsewhere_is_refused_within_seconds(store: Store, settings: StoreSettings) -> None:
    """A process that remembers a key looks again after the stated time."""
    now = [0.0]
    key_id = store.keys.new_page_key("acme", "c1")
    url = str(settings.store)
    with open_store(settings) as other:
        ring = StoreKeyRing(Database(url), other.keys._sealer, HandClock(), monotonic=lambda: now[0])
        assert ring.page_key(key_id) is not None
        other.destroy_page_key(key_id)
    now[0] += SECONDS_UNTIL_DESTRUCTION_IS_NOTICED + 0.1
    assert ring.page_key(key_id) is None


def test_a_remembered_key_is_not_trusted_when_the_store_is_gone(tmp_path: Path) -> None:
    """Without the store nobody can say that the key still lives."""
    now = [0.0]
    settings = StoreSettings(tmp_path)
    with open_store(settings) as store:
        key_id = store.keys.new_page_key("acme", "c1")
        database = Database(f"sqlite:///{tmp_path / 'store.db'}")
        ring = StoreKeyRing(database, store.keys._sealer, HandClock(), monotonic=lambda: now[0])
        ring.page_key(key_id)
    database.close()
    for file in tmp_path.glob("store.db*"):
        file.unlink()
    (tmp_path / "store.db").mkdir()
    now[0] += SECONDS_UNTIL_DESTRUCTION_IS_NOTICED + 0.1
    with pytest.raises(UnavailableError, match="store"):
        ring.page_key(key_id)


def test_an_id_never_handed_out_is_a_broken_invariant(store: Store) -> None:
    """Skipping it as destroyed would lose pages silently."""
    with pytest.raises(InvariantError, match="never handed out"):
        store.keys.page_key("unknown")
    with pytest.raises(InvariantError, match="never handed out"):
        store.destroy_page_key("unknown")


def test_no_file_holds_a_key_in_the_clear_nor_a_destroyed_one_sealed(tmp_path: Path) -> None:
    """The database, its log and its index hold sealed bytes only, and none of destroyed keys."""

    def files() -> bytes:
        return b"".join(file.read_bytes() for file in tmp_path.glob("store.db*"))

    with open_store(StoreSettings(tmp_path)) as store:
        ids = [store.keys.new_page_key("acme", f"c{number}") for number in range(40)]
        keys = [store.keys.page_key(key_id) or b"" for key_id in ids]
        with store._database.read() as connection:
            rows = connection.exec_driver_sql("SELECT id, sealed FROM page_keys").all()
        sealed = {row[0]: row[1] for row in rows}
        assert all(sealed[key_id] in files() for key_id in ids)
        for key_id in ids[::2]:
            store.destroy_page_key(key_id)
        left = files()
    assert not any(key in left for key in keys)
    assert not any(sealed[key_id] in left for key_id in ids[::2])
    assert all(sealed[key_id] in left for key_id in ids[1::2])


def test_a_key_that_another_program_keeps_in_the_log_is_refused_and_goes_with_a_repeat(
    tmp_path: Path, read_by_another: Callable[[], AbstractContextManager[None]]
) -> None:
    """As erasing repeats it."""
    with open_store(StoreSettings(tmp_path)) as store:
        key_id = store.keys.new_page_key("acme", "c1")
        assert store.keys.page_key(key_id) is not None
        with store._database.read() as connection:
            sealed = connection.exec_driver_sql("SELECT sealed FROM page_keys").scalar_one()
        with read_by_another():
            with pytest.raises(TracesLeftError, match="do the same again"):
                store.destroy_page_key(key_id)
            assert store.keys.page_key(key_id) is None
        store.destroy_page_key(key_id)
        assert not any(sealed in file.read_bytes() for file in tmp_path.glob("store.db*"))


def test_processes_that_start_together_share_one_store(settings: StoreSettings) -> None:
    """Tables, master key and keys are made once, whoever comes first; no assignment number is given twice."""
    results = in_processes(settings, use_keys_and_numbers)
    keys = {tuple(result[:4]) for result in results}
    drawn = [[int(number) for number in result[4:]] for result in results]
    assert len(keys) == 1
    assert all(len(bytes.fromhex(key)) == 32 for key in next(iter(keys))[1:])
    assert sorted(number for numbers in drawn for number in numbers) == list(range(1, 61))
    assert all(numbers == sorted(numbers) for numbers in drawn)
