"""Who owns a connection: exactly one process runs it, and whoever gives a partition back is silent first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport_core.errors import UnavailableError
from rapport_producers.ledger import Ledger
from rapport_producers.owners import Owners
from rapport_producers.records import Owner, new_connection
from rapport_schemas.records import Wakeup
from rapport_schemas.topics import partition_of

PARTITIONS = 8


class World:
    """The log's connections, and who runs them now."""

    def __init__(self, names: list[str]) -> None:
        self.known = [Owner("acme", name, "m1", "graph") for name in names]
        self.running: dict[str, list[object]] = {}
        self.woken: list[str] = []
        self.most = self.reads = 0
        self.is_away = False

    async def read(self, wanted: Callable[[str, str], bool], /) -> Mapping[tuple[str, str], Ledger]:
        await asyncio.sleep(0)
        self.reads += 1
        if self.is_away:
            raise UnavailableError("Kafka is away")
        return {
            (owner.tenant, owner.connection): Ledger(new_connection(owner))
            for owner in self.known
            if wanted(owner.tenant, owner.connection)
        }

    def new(self, owner: Owner, _: Ledger, is_ours: Callable[[], bool]) -> FakeRunner | None:
        assert is_ours()
        return FakeRunner(self, owner.connection) if owner.connection != "archive" else None


class FakeRunner:
    def __init__(self, world: World, name: str) -> None:
        self._world, self._name = world, name
        world.running.setdefault(name, []).append(self)
        world.most = max(world.most, len(world.running[name]))

    def wake(self, _: Wakeup) -> None:
        self._world.woken.append(self._name)

    async def stop(self) -> None:
        await asyncio.sleep(0)
        self._world.running[self._name].remove(self)


def wakeup(name: str) -> Wakeup:
    return {
        "tenant": "acme",
        "connection": name,
        "kind": "changed",
        "detail": "",
        "subscription": "",
        "at": 0,
    }


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, PARTITIONS - 1)), max_size=8),
    st.lists(st.sampled_from([f"c{number}" for number in range(12)]), max_size=6),
)
def test_each_connection_is_run_once_wherever_its_partition_goes(
    moves: list[set[int]], wakeups: list[str]
) -> None:
    """Two processes; partitions go from one to the other and back, as Kafka does it: revoked first, assigned then."""

    async def work() -> None:
        world = World([f"c{number}" for number in range(12)])
        one, other = (Owners(world, world.new, partitions=PARTITIONS) for _ in range(2))
        await one.assigned(range(PARTITIONS))
        for moved in moves:
            there, back = moved & one.partitions, moved & other.partitions
            await one.revoked(there)
            await other.revoked(back)
            await other.assigned(there)
            await one.assigned(back)
            assert all(len(runners) == 1 for runners in world.running.values())
        for name in wakeups:
            await one.woken([wakeup(name)])
            await other.woken([wakeup(name)])
        assert world.most == 1
        assert world.woken == wakeups
        assert sorted([*one.owned, *other.owned]) == sorted(
            ("acme", owner.connection) for owner in world.known
        )
        await one.close()
        await other.close()
        assert not any(world.running.values())

    asyncio.run(work())


def test_a_wake_up_makes_a_new_connection_known() -> None:
    async def work() -> None:
        world = World([])
        owners = Owners(world, world.new, partitions=PARTITIONS)
        await owners.assigned(range(PARTITIONS))
        world.known.append(Owner("acme", "new", "m1", "graph"))
        await owners.woken([wakeup("new")])
        await owners.woken([wakeup("nobody")])
        assert owners.owned == [("acme", "new")]
        assert world.woken == ["new"]

    asyncio.run(work())


def test_connections_that_are_made_together_are_read_together() -> None:
    """The log is read from its beginning each time."""

    async def work() -> None:
        world = World(["old"])
        owners = Owners(world, world.new, partitions=PARTITIONS)
        await owners.assigned(range(PARTITIONS))
        names = [f"c{number}" for number in range(100)]
        world.known += [Owner("acme", name, "m1", "graph") for name in names]
        await owners.woken(wakeup(name) for name in [*names, "old", *names])
        assert (world.reads, len(owners.owned)) == (2, 101)
        assert sorted(world.woken) == sorted([*names, "old"])

    asyncio.run(work())


def test_a_log_that_is_away_is_read_later() -> None:
    """Nothing else would ever look for a connection that was just made; those that run are woken meanwhile."""

    async def work() -> None:
        world = World(["old"])
        owners = Owners(world, world.new, partitions=PARTITIONS)
        await owners.assigned(range(PARTITIONS))
        world.known.append(Owner("acme", "new", "m1", "graph"))
        world.is_away = True
        for woken in ([wakeup("new"), wakeup("old")], []):
            with pytest.raises(UnavailableError):
                await owners.woken(woken)
        assert (world.woken, owners.has_unread) == (["old"], True)
        world.is_away = False
        await owners.woken([])
        assert (world.woken, owners.has_unread) == (["old", "new"], False)

    asyncio.run(work())


def test_notifications_of_what_has_ended_cost_no_look_into_the_log() -> None:
    """They may come for hours, until Microsoft could be asked to stop."""

    async def work() -> None:
        world = World(["c1"])
        owners = Owners(world, world.new, partitions=PARTITIONS)
        await owners.assigned(range(PARTITIONS))
        await owners.woken([{**wakeup("c1"), "detail": "disconnected"}])
        before = world.reads
        await owners.woken([{**wakeup("c1"), "kind": "notification", "detail": "messages"}] * 5)
        assert (world.reads, owners.owned, world.woken) == (before, [], [])

    asyncio.run(work())


def test_a_disconnected_connection_is_let_go_whatever_its_record_says() -> None:
    """Its owner may have said something about it at the same moment; connecting again is a wake-up of its own."""

    async def work() -> None:
        world = World(["c1", "c2"])
        owners = Owners(world, world.new, partitions=PARTITIONS)
        await owners.assigned(range(PARTITIONS))
        for _ in range(2):
            await owners.woken([{**wakeup("c1"), "detail": "disconnected"}])
            assert owners.owned == [("acme", "c2")]
        assert (world.running["c1"], world.woken) == ([], [])
        await owners.woken([{**wakeup("c1"), "detail": "connected"}])
        assert owners.owned == [("acme", "c1"), ("acme", "c2")]

    asyncio.run(work())


def test_nothing_runs_for_an_archive() -> None:
    async def work() -> None:
        world = World(["archive"])
        owners = Owners(world, world.new, partitions=PARTITIONS)
        await owners.assigned(range(PARTITIONS))
        await owners.woken([wakeup("archive")])
        assert owners.owned == []

    asyncio.run(work())


def test_a_connection_belongs_to_the_partition_of_its_pages() -> None:
    """So that whoever reads the coverage of a partition reads that of its own connections."""

    async def work() -> None:
        world = World(["c1"])
        owners = Owners(world, world.new, partitions=PARTITIONS)
        home = partition_of(world.known[0].key)
        await owners.assigned(set(range(PARTITIONS)) - {home})
        assert owners.owned == []
        await owners.assigned({home})
        assert owners.owned == [("acme", "c1")]

    asyncio.run(work())
