"""What the tests of the simulated Microsoft begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from graph_asking import Asking, Receiver


@pytest.fixture
def asking() -> Asking:
    """A calm Graph with two people of one company."""
    return Asking()


@pytest.fixture
def receiver(asking: Asking) -> Iterator[Receiver]:
    """One that takes everything."""
    made = Receiver()
    asking.simulator.push.transport = made.transport
    yield made
    assert asking.simulator.violations == []
