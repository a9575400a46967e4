"""Which connections this process owns, and what runs for each of them.

Wake-ups are keyed by connection, and whoever holds a partition of their topic owns the connections whose keys fall into it. What is woken
early, twice or for nothing only looks once more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

import structlog

from rapport_producers.ledger import Ledger
from rapport_producers.records import Owner
from rapport_schemas.records import Wakeup
from rapport_schemas.topics import partition_of

_log = structlog.get_logger(__name__)


class Runner(Protocol):
    """What runs for one connection from its making until `stop` has returned."""

    def wake(self, wakeup: Wakeup) -> None:
        """There is reason to look now."""
        ...

    async def stop(self) -> None:
        """Ends it; nothing more is said of the connection once this has returned."""
        ...


class Ledgers(Protocol):
    """What the log knows of connections."""

    async def read(self, wanted: Callable[[str, str], bool], /) -> Mapping[tuple[str, str], Ledger]:
        """Ledgers of the connections, by (tenant, connection), of which `wanted` holds. Raises UnavailableError."""
        ...


NewRunner = Callable[[Owner, Ledger, Callable[[], bool]], Runner | None]
"""Makes the runner of a connection; gets what the log knows of it, and whether it is still owned. None for one that nothing runs for, as archives."""


class Owners:
    """See the module. All methods belong to one event loop, one call at a time."""

    def __init__(self, ledgers: Ledgers, new_runner: NewRunner, *, partitions: int) -> None:
        self._ledgers, self._new_runner, self._count = ledgers, new_runner, partitions
        self._partitions: frozenset[int] = frozenset()
        self._runners: dict[tuple[str, str], Runner] = {}
        self._unread: dict[tuple[str, str], Wakeup] = {}

    @property
    def partitions(self) -> frozenset[int]:
        """What is held now."""
        return self._partitions

    @property
    def owned(self) -> list[tuple[str, str]]:
        """The connections that something runs for, sorted."""
        return sorted(self._runners)

    @property
    def has_unread(self) -> bool:
        """Whether there are connections that the log could not be asked for yet: call `woken` again, if with nothing."""
        return bool(self._unread)

    async def assigned(self, partitions: Iterable[int]) -> None:
        """Takes further partitions: starts what runs for their connections. Raises UnavailableError; repeat it then."""
        self._partitions |= frozenset(partitions)
        await self._start(self._owns)

    async def revoked(self, partitions: Iterable[int]) -> None:
        """Gives partitions back: when this has returned nothing is said of their connections any more."""
        self._partitions -= frozenset(partitions)
        lost = [name for name in self._runners if not self._owns(*name)]
        await _all(self._runners.pop(name).stop() for name in lost)

    async def woken(self, wakeups: Iterable[Wakeup]) -> None:
        """Passes wake-ups on, in order. That a connection was changed makes it known where it is not yet.

        What is not known and was not changed has ended: notifications may still come for it, and need no look into the log. Those that became
        known together are read together, for the log is read from its beginning.

        Raises:
            UnavailableError: the log cannot be read. Whatever can be passed on was; the next call reads it.
        """
        for wakeup in wakeups:
            name = wakeup["tenant"], wakeup["connection"]
            if not self._owns(*name):
                continue
            is_changed = wakeup["kind"] == "changed"
            if is_changed and wakeup["detail"] == "disconnected":
                # Not asked of the record, which whoever runs it may have overwritten at the same moment.
                self._unread.pop(name, None)
                await _all(runner.stop() for runner in [self._runners.pop(name, None)] if runner is not None)
            elif name in self._runners:
                self._runners[name].wake(wakeup)
            elif is_changed:
                self._unread[name] = wakeup
        if self._unread:
            await self._start(lambda *name: name in self._unread)
            for name, wakeup in self._unread.items():
                if name in self._runners:
                    self._runners[name].wake(wakeup)
            self._unread = {}

    async def close(self) -> None:
        """Ends everything."""
        await self.revoked(self._partitions)

    def _owns(self, tenant: str, connection: str) -> bool:
        return partition_of(_key(tenant, connection), self._count) in self._partitions

    async def _start(self, wanted: Callable[[str, str], bool]) -> None:
        found = await self._ledgers.read(wanted)
        for name, ledger in found.items():
            record = ledger.connection
            if record is None or name in self._runners or not self._owns(*name):
                continue
            owner = Owner(*name, record["member"], record["provider"])
            runner = self._new_runner(owner, ledger, lambda name=name: self._owns(*name))  # type: ignore[misc]
            if runner is not None:
                self._runners[name] = runner


def _key(tenant: str, connection: str) -> bytes:
    return Owner(tenant, connection, "", "").key


async def _all(works: Iterable[Awaitable[None]]) -> None:
    """Runs them one after the other; one that fails does not keep the others from being run."""
    for work in works:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - each ends on its own
            _log.warning("runner_ended_badly", error=type(error).__name__)
