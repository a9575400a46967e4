"""What the store's tests run in processes of their own, and the settings they open it with."""

from __future__ import annotations

import multiprocessing
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from argon2 import PasswordHasher
from pydantic import SecretStr

from rapport.store import Store, open_store
from rapport.store.rotating import rotate

MASTER_KEY = "11" * 32
CHEAP_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""For passwords that protect nothing."""


@dataclass(frozen=True)
class StoreSettings:
    """The part of the settings the store reads."""

    home: Path
    store: str | None = None
    master_key: SecretStr | None = None
    master_key_file: Path | None = None


@dataclass
class HandClock:
    """A clock that stands until it is moved."""

    at: datetime = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        """Where the hand stands."""
        return self.at

    def move(self, by: timedelta) -> None:
        """Moves the hand."""
        self.at += by


def settings_for(home: Path, url: str) -> StoreSettings:
    """Settings for a store at `url`; a server's needs its key given."""
    key = None if url.startswith("sqlite") else SecretStr(MASTER_KEY)
    return StoreSettings(home=home, store=url, master_key=key)


def use_keys(store: Store) -> list[str]:
    """Makes the same page key and the same tenant's keys as everybody else does."""
    key_id = store.keys.new_page_key("acme", "c1")
    page_key = store.keys.page_key(key_id) or b""
    tenant = store.keys.tenant_keys("acme")
    return [key_id, page_key.hex(), tenant.seal.hex(), tenant.hash.hex()]


def use_keys_and_numbers(store: Store) -> list[str]:
    """The four keys, then twenty assignment numbers."""
    return [*use_keys(store), *(str(store.next_assignment()) for _ in range(20))]


def seal_while_the_key_changes(store: Store) -> list[str]:
    """A secret, a new master key, a secret, and so on. Returns their connections; each holds its own name."""
    file = store._database.file
    assert file is not None
    names: list[str] = []
    for _ in range(5):
        names.append(secrets.token_hex(8))
        store.vault.put("acme", names[-1], "graph", names[-1].encode())
        rotate(StoreSettings(file.parent))
        assert store.vault.get("acme", names[0]) == names[0].encode()
    return names


def in_processes(
    settings: StoreSettings, work: Callable[[Store], list[str]], count: int = 3
) -> list[list[str]]:
    """Opens the store in `count` processes at the same moment, does `work` in each, returns what each got."""
    context = multiprocessing.get_context("spawn")
    results: Queue[list[str]] = context.Queue()
    barrier = context.Barrier(count)
    processes = [
        context.Process(target=_run, args=(settings, work, barrier, results), daemon=True)
        for _ in range(count)
    ]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(timeout=60)
        if process.exitcode != 0:
            raise AssertionError(f"a process ended with {process.exitcode}")
    return found


def _run(
    settings: StoreSettings,
    work: Callable[[Store], list[str]],
    barrier: Barrier,
    results: Queue[list[str]],
) -> None:
    barrier.wait(timeout=60)
    with open_store(settings) as store:
        results.put(work(store))
