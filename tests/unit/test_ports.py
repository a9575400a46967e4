"""Ports for servers that start later."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest

from rapport.local import ports


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_given", set[int]())


def drawn(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> Iterator[int]:
    """Has these be drawn, one after the other."""
    left = iter(numbers)
    monkeypatch.setattr(random, "randint", lambda _first, _last: next(left))
    return left


def test_no_port_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker needs two, and neither is taken when the second is looked for."""
    drawn(monkeypatch, 20_001, 20_001, 20_001, 20_002)
    monkeypatch.setattr(ports, "is_free", lambda _: True)
    assert [ports.free_port(), ports.free_port()] == [20_001, 20_002]


def test_a_port_in_use_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever uses it."""
    with socket.create_server((ports.LOOPBACK, 0)) as listening:
        taken = listening.getsockname()[1]
        drawn(monkeypatch, taken, 20_003)
        monkeypatch.setattr(ports, "is_free", lambda port, real=ports.is_free: port != taken or real(port))
        assert ports.free_port() == 20_003


def test_many_may_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was given long ago may be given again."""
    monkeypatch.setattr(ports, "is_free", lambda _: True)
    assert len({ports.free_port() for _ in range(900)}) == 900
    assert all(ports.free_port() for _ in range(20_000))
