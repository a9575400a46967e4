"""The Faust application: two stages over two lanes, and the directory's fan-out. Built by a factory, never at import."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import faust
import structlog
from confluent_kafka import Consumer
from confluent_kafka import Producer as NativeProducer
from faust.types import TP

from rapport_core.clock import Clock, to_ms
from rapport_core.keys import KeyRing
from rapport_processors.edge.app_settings import app_settings
from rapport_processors.edge.assignment import copartition_check
from rapport_processors.edge.batches import run_batches
from rapport_processors.edge.lanes import LaneGate
from rapport_processors.edge.leaving import Leave, leave_now, stop_worker
from rapport_processors.edge.recovery import Abandoned
from rapport_processors.edge.runner import Assignment, Outlet, StageRunner
from rapport_processors.edge.transport import attach
from rapport_processors.edge.trimming import DeleteBelow, Trimmer
from rapport_processors.edge.watchdog import Watchdog, progress_of
from rapport_processors.fanout import fan_out
from rapport_processors.records import InRecord
from rapport_processors.route import RouteStage
from rapport_processors.weave import DirectoryView, WeaveStage
from rapport_schemas import topics
from rapport_schemas.topics import DIRECTORY, RAW, ROUTED, WORKERS_GROUP, Lane, Topic
from rapport_schemas.wire import Wire

_log = structlog.get_logger(__name__)
_WOVEN = {lane: (topic,) for lane, topic in ROUTED.items()}
_ROUTED_NAMES = frozenset(topic.name for topic in ROUTED.values())
_ROUTE_RECORDS = 16
_WEAVE_RECORDS = 64
"""Pages are large; many routed records hold a few labels only."""
_BATCH_WITHIN_SECONDS = 0.02
_FANOUT_RECORDS = 1000
_TIDY_SECONDS = 60.0
"""How often is looked whether something was erased."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the roof hands in.

    Attributes:
        new_producer: makes the worker's one librdkafka producer (idempotent, murmur2).
        new_consumer: makes a plain consumer without commits, for recovery.
        next_assignment: draws a number above every number drawn before; blocks on the store.
        delete_below: deletes the beginnings of partitions.
        on_ready: called after every take-over: this worker is processing.
    """

    wire: Wire
    keys: KeyRing
    clock: Clock
    directory: DirectoryView
    new_producer: Callable[[], NativeProducer]
    new_consumer: Callable[[], Consumer]
    next_assignment: Callable[[], int]
    delete_below: DeleteBelow
    on_ready: Callable[[], None] = lambda: None
    leave: Leave = leave_now


class WorkerApp:
    """One worker: its Faust app, the two stage runners, and what happens when partitions come and go."""

    def __init__(self, bootstrap: str, folder: Path, ports: Ports) -> None:
        self._ports = ports
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.app = faust.App(WORKERS_GROUP, **app_settings(bootstrap, datadir=folder / "faust"))
        self._trimmer = Trimmer(ports.delete_below)
        attach(self.app, ports.new_producer, leave=ports.leave, on_committed=self._trim_routed)
        route = RouteStage(ports.wire, ports.keys)
        weave = WeaveStage(ports.wire, ports.keys, ports.directory)
        self._route = self._runner(route, topics.ROUTE_CHANGELOG, folder)
        self._weave = self._runner(weave, topics.WEAVE_CHANGELOG, folder)
        self._assignment = Assignment(0, frozenset())
        self._watchdog = Watchdog(progress_of(self.app), leave=ports.leave)
        stages = ((self._route, RAW, _ROUTE_RECORDS), (self._weave, _WOVEN, _WEAVE_RECORDS))
        self._gates: list[tuple[StageRunner, LaneGate]] = []
        for runner, inputs, max_records in stages:
            gate = LaneGate()
            self._gates.append((runner, gate))
            for lane, lane_topics in inputs.items():
                for topic in lane_topics:
                    self._agent(topic, lane, gate, self._batches_of(runner, lane), max_records)
        self._agent(DIRECTORY, Lane.LIVE, LaneGate(), self._fan_out, _FANOUT_RECORDS)
        self.app.on_rebalance_complete.connect(self._take_over)
        self.app.on_before_shutdown.connect(self._close)
        self.app.task(self._watch)
        self.app.task(self._trim)
        self.app.task(self._tidy)

    def _runner(self, stage: Any, changelog: Topic, folder: Path) -> StageRunner:
        return StageRunner(
            stage,
            changelog,
            wire=self._ports.wire,
            clock=self._ports.clock,
            state_dir=folder / "state",
            new_consumer=self._ports.new_consumer,
            trim=self._trimmer.below,
        )

    @property
    def _outlet(self) -> Outlet:
        return cast("Outlet", self.app.producer)

    def _agent(
        self,
        topic: Topic,
        lane: Lane,
        gate: LaneGate,
        handle: Callable[[Sequence[Any]], Awaitable[None]],
        max_records: int,
    ) -> None:
        async def body(stream: Any) -> None:
            await run_batches(
                stream,
                handle,
                max_records=max_records,
                within_s=_BATCH_WITHIN_SECONDS,
                gate=gate,
                lane=lane,
                leave=self._ports.leave,
            )

        source = self.app.topic(
            topic.name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            internal=False,
        )
        self.app.agent(source, name=topic.name)(body)

    def _batches_of(self, runner: StageRunner, lane: Lane) -> Callable[[Sequence[Any]], Awaitable[None]]:
        async def handle(events: Sequence[Any]) -> None:
            await runner.handle(lane, _in_records(events), self._outlet)

        return handle

    async def _fan_out(self, events: Sequence[Any]) -> None:
        now_ms = to_ms(self._ports.clock.now())
        outputs = fan_out(
            self._ports.wire,
            self._ports.keys,
            _in_records(events),
            assignment=self._assignment.number,
            now_ms=now_ms,
        )
        await self._outlet.publish(outputs)

    async def _take_over(self, app: Any, /, *_: Any, signal: Any = None, **__: Any) -> None:  # noqa: ARG002
        """Runs before the first record of a new assignment is delivered; see StageRunner.take_over."""
        generation = app.consumer_generation_id
        try:
            assigned = frozenset(app.consumer.assignment())
            inputs = [topic.name for lanes in (RAW, _WOVEN) for each in lanes.values() for topic in each]
            copartition_check(assigned, [inputs])
            partitions = frozenset(tp.partition for tp in assigned if tp.topic in inputs)
            number = await asyncio.to_thread(self._ports.next_assignment)
            self._assignment = Assignment(number, partitions)
            # To its end: of what others decided with, compaction may have removed records that this copy never read.
            await asyncio.to_thread(self._ports.directory.catch_up)
            for runner in (self._route, self._weave):
                await runner.take_over(
                    self._assignment, self._outlet, lambda: app.consumer_generation_id == generation
                )
        except Abandoned:
            _log.info("take_over_abandoned", generation=generation)
            return
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - an exception here would let Faust shut down and commit
            stop_worker(error, leave=self._ports.leave)
            return
        _log.info("partitions_taken_over", assignment=number, partitions=sorted(partitions))
        self._ports.on_ready()

    async def _watch(self) -> None:
        await self._watchdog.run()

    async def _trim(self) -> None:
        await self._trimmer.run()

    async def _tidy(self) -> None:
        """Sees to it that what was erased leaves the disk. Live changes pass between two steps."""
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            try:
                await self._tidy_stages()
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001 - as in an agent's body
                stop_worker(error, leave=self._ports.leave)
                return

    async def _tidy_stages(self) -> None:
        for runner, gate in self._gates:
            more = True
            while more:
                async with gate.turn(Lane.BACKFILL):
                    more = await runner.tidy(self._outlet)

    def _trim_routed(self, committed: Mapping[TP, int]) -> None:
        """What weave committed stands in its state and in what it published; the log is kept in `RAW`, not here."""
        for tp, offset in committed.items():
            if tp.topic in _ROUTED_NAMES:
                self._trimmer.below(tp.topic, tp.partition, offset)

    async def _close(self, *_: Any, **__: Any) -> None:
        self._route.close()
        self._weave.close()


def _in_records(events: Sequence[Any]) -> list[InRecord]:
    return [
        InRecord(message.topic, message.partition, message.offset, message.key, message.value)
        for message in (event.message for event in events)
    ]
