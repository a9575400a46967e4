"""Faust's consumer, mended: offsets move by confirmation only, and partitions go by ranges.

Private parts of Faust are overridden here; `transport.check_faust_version` pins them.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any, Protocol

from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from mode.utils.futures import notify

from rapport_core.errors import RapportError, UnavailableError
from rapport_processors.edge.client import ConsumerThread, RecordMap
from rapport_processors.edge.leaving import Leave, stop_worker
from rapport_processors.edge.offsets import OffsetTracker
from rapport_processors.edge.room import NO_ROOM_WAIT_S, free_records


class Limits(Protocol):
    """What the transport lays down for its consumer."""

    leave: Leave
    on_committed: Callable[[Mapping[TP, int]], None]
    """Told what was committed."""

    def patience_s(self) -> float:
        """How long to wait now for batches in flight."""
        ...

    async def outputs_settled(self) -> None:
        """Returns when all outputs are at the broker; raises a RapportError when one is lost."""
        ...


class Consumer(driver.Consumer):
    """Faust's consumer, whose offsets move by `confirm` alone.

    Faust acknowledges in many places: when an exception leaves an agent, when a generator closes, for records it skips.
    Here its acknowledgements only tell it that a record no longer occupies an agent.
    """

    _thread: ConsumerThread

    def __init__(self, transport: Any, callback: Callable[[Message], Awaitable[Any]], **options: Any) -> None:
        self._trackers: dict[TP, OffsetTracker] = {}
        self._limits: Limits = transport

        def deliver(message: Message) -> Awaitable[Any]:
            if self.app.topics.acks_enabled_for(message.topic):
                self._trackers.setdefault(message.tp, OffsetTracker()).delivered(message.offset)
            return callback(message)

        super().__init__(transport, deliver, **options)

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def confirm(self, messages: Iterable[Message]) -> None:
        """Everything that follows from these records is at the broker: their offsets may be committed.

        Records of an earlier assignment are passed over; whoever owns the partition now repeats them.
        """
        generation = self.app.consumer_generation_id
        for message in messages:
            tracker = self._trackers.get(message.tp)
            if (
                tracker is not None
                and message.generation_id == generation
                and tracker.confirm(message.offset)
            ):
                self._n_acked += 1

    def ack(self, message: Message) -> bool:
        """Notes for Faust that a record left its agent. Commits nothing."""
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        return True

    @property
    def open_records(self) -> dict[TP, int]:
        """How many records of each partition are handed out and not confirmed."""
        return {tp: tracker.open_records for tp, tracker in self._trackers.items()}

    def committed_offset(self, tp: TP) -> int | None:
        """The offset this worker knows to be committed."""
        return self._committed_offset[tp]

    async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:  # noqa: ASYNC109
        """Faust hands out each record so, beside a wait for the end of the flow: four tasks for every record.

        `_getmany` asks for no more than queues can take, so while records flow handing one out waits for nothing.
        """
        handing_out, *others = coros
        if asyncio.iscoroutine(handing_out) and others and timeout is None and self._flows():
            for other in others:
                other.close()
            return await handing_out
        return await super().wait_first(*coros, timeout=timeout)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> RecordMap:  # noqa: ASYNC109
        """Asks each topic for no more than its agent's queue can take.

        Faust would poll everything and then block on the first full queue: a live record would stand in line behind a
        whole poll of backfill.
        """
        rooms = self._rooms(active_partitions or set())
        wanted = [(tps, records) for tps, records in rooms if records > 0]
        if not wanted:
            await asyncio.sleep(NO_ROOM_WAIT_S)
            return {}
        wait_s = timeout if len(wanted) == len(rooms) else NO_ROOM_WAIT_S
        return await self._thread.fetch(wanted, wait_s)

    def _flows(self) -> bool:
        """Whether records may be handed out, as they may not while partitions change owners."""
        return bool(self.flow_active and self.app.flow_control.is_active())

    def _rooms(self, active: set[TP]) -> list[tuple[set[TP], int]]:
        """The active partitions by topic, with the number of records that topic may be asked for."""
        by_topic: dict[str, set[TP]] = {}
        for tp in active:
            by_topic.setdefault(tp.topic, set()).add(tp)
        channels = self.app.topics._tp_index  # type: ignore[attr-defined]  # noqa: SLF001 - pinned
        rooms = []
        for tps in by_topic.values():
            queues = [channel.queue for channel in channels[next(iter(tps))]]
            rooms.append((tps, min((free_records(queue) for queue in queues), default=0)))
        return rooms

    def on_buffer_full(self, tp: TP) -> None:
        """Nothing: `_getmany` looks at the queues itself."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Nothing: `_getmany` looks at the queues itself."""

    async def ends_and_positions(self, tps: Sequence[TP]) -> dict[TP, tuple[int, int | None]]:
        """For each partition its end at the broker, and the next offset to be read here."""
        return await self._thread.ends_and_positions(tps)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Waits for batches in flight and commits them; the partitions are forgotten after that, not before."""
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._trackers.pop(tp, None)
            self._committed_offset.pop(tp, None)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Starts every partition afresh."""
        self._trackers.clear()
        await super().on_partitions_assigned(assigned, generation_id)

    async def wait_empty(self) -> None:
        """Waits, with patience, for batches in flight, and commits what is confirmed."""
        if not await self._drained() and not self.app.should_stop:
            late = UnavailableError("a batch did not finish before its partitions had to be handed over")
            stop_worker(late, leave=self._limits.leave)
        try:
            async with asyncio.timeout(self._limits.patience_s()):
                await self.maybe_wait_for_commit_to_finish()
                await self.commit_and_end_transactions()
        except (TimeoutError, RapportError) as error:
            self.log.warning("Went on without a last commit: %s", type(error).__name__)

    async def _drained(self) -> bool:
        deadline = monotonic() + self._limits.patience_s()
        while not self.should_stop and any(not message.acked for message in self._unacked_messages):
            if monotonic() > deadline:
                return False
            await self._wait_for_ack(timeout=1)
            gc.collect()  # the set is weak: records dropped unprocessed leave it here
        return True

    async def _commit_offsets(
        self,
        offsets: Mapping[TP, int],
        start_new_transaction: bool = True,  # noqa: ARG002 - Faust's contract
    ) -> bool:
        await self._flush_outputs()
        assigned = self.assignment()
        current = {tp: offset for tp, offset in offsets.items() if tp in assigned}
        if not current or not await self._commit(current):
            return False
        for tp, offset in current.items():
            if tp in self._trackers:
                self._trackers[tp].committed(offset)
        self._committed_offset.update(current)
        self._limits.on_committed(current)
        self.app.monitor.on_tp_commit(current)
        return True

    async def _flush_outputs(self) -> None:
        try:
            await self._limits.outputs_settled()
        except RapportError as error:
            stop_worker(error, leave=self._limits.leave)
            raise

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in list(self._trackers) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._trackers[tp].committable()

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Gaps need no bookkeeping: see OffsetTracker."""
