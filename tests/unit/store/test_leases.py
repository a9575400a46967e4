"""Leases: one at a time, free again when its owner is done or dead."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest

from rapport.store import Store
from rapport.store.leases import LIFETIME_SECONDS
from rapport_core.errors import UnavailableError
from store_processes import HandClock

NAME = "directory of acme"
LIFETIME = timedelta(seconds=LIFETIME_SECONDS)


def test_a_second_waits_and_is_told_who_has_it(store: Store) -> None:
    """It names the process that holds the lease."""
    with (
        store.leases.held(NAME),
        pytest.raises(UnavailableError, match=r"the directory of acme is being changed by process \d+ on "),
        store.leases.held(NAME, patience_seconds=0.2),
    ):
        pass


def test_it_is_free_when_the_block_ends_however_it_ends(store: Store) -> None:
    """An error in the block gives it back too."""
    with pytest.raises(ZeroDivisionError), store.leases.held(NAME):
        raise ZeroDivisionError
    with (
        store.leases.held(NAME, patience_seconds=0),
        store.leases.held("another", patience_seconds=0) as lease,
    ):
        lease.renew()


def test_a_waiting_one_goes_on_once_the_first_is_done(store: Store) -> None:
    """Two threads never stand in the block together."""
    order: list[str] = []
    inside = threading.Event()

    def first() -> None:
        with store.leases.held(NAME):
            inside.set()
            time.sleep(0.3)
            order.append("first done")

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(10)
    with store.leases.held(NAME):
        order.append("second begins")
    thread.join()
    assert order == ["first done", "second begins"]


def test_the_lease_of_a_dead_process_expires(store: Store, clock: HandClock) -> None:
    """Nobody renews it: after its lifetime it can be had."""
    assert store.leases.take(NAME, "process 1 on gone/x")
    assert not store.leases.take(NAME, "process 2 on here/y")
    clock.move(LIFETIME)
    assert store.leases.take(NAME, "process 2 on here/y")


def test_an_owner_that_slept_too_long_is_told_before_it_acts(store: Store, clock: HandClock) -> None:
    """Another took the lease over meanwhile."""
    with store.leases.held(NAME) as lease:
        lease.renew()
        clock.move(LIFETIME)
        with store.leases.held(NAME, patience_seconds=0):
            pass
        with pytest.raises(UnavailableError, match="another process took over the directory of acme"):
            lease.renew()
