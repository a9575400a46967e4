"""One Faust worker of the failure tests, run as a program: `python edge_worker.py '{"variant": "ours", …}'`.

It copies records from `inputs` to `output`, with the fault it is told to have, once on Faust as it comes (`stock`) and once
on our transport (`ours`). What it learns it prints as JSON lines.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faust
import uvloop
from confluent_kafka import Producer

from rapport_core.errors import RapportError
from rapport_processors.edge.app_settings import app_settings
from rapport_processors.edge.assignment import copartition_check
from rapport_processors.edge.batches import run_batches
from rapport_processors.edge.lanes import LaneGate
from rapport_processors.edge.leaving import leave_now, stop_worker
from rapport_processors.edge.transport import attach, consumer_of, producer_of
from rapport_processors.edge.watchdog import Watchdog, progress_of
from rapport_processors.outbox import OutRecord
from rapport_schemas.topics import Lane

FAULTY_OFFSET = 13
OVERSIZE = os.urandom(5_000)  # does not compress


@dataclass(frozen=True)
class Plan:
    """What a test asks of a worker."""

    bootstrap: str
    group: str
    datadir: str
    variant: str = "ours"
    fault: str = "none"
    inputs: Sequence[str] = ()
    backfill: Sequence[str] = ()
    output: str = ""
    groups: Sequence[Sequence[str]] = field(default_factory=list)
    max_records: int = 50
    handle_s: float = 0.0
    drain_limit_s: float = 5.0
    session_s: float = 3.0
    watchdog_s: float = 0.0


def tell(event: str, **fields: Any) -> None:
    """One line for the test."""
    print(json.dumps({"event": event, **fields}), flush=True)  # noqa: T201


def build(plan: Plan) -> faust.App:
    """The application of a plan."""
    settings = app_settings(
        plan.bootstrap, datadir=Path(plan.datadir) / plan.group, session_timeout_s=plan.session_s
    )
    settings["broker_commit_interval"] = 0.3
    app = faust.App(plan.group, **settings)
    if plan.variant == "ours":
        attach(app, lambda: _producer(plan), drain_limit_s=plan.drain_limit_s)
    gate = LaneGate()
    for name in plan.inputs:
        _agent(app, plan, name, gate, Lane.LIVE)
    for name in plan.backfill:
        _agent(app, plan, name, gate, Lane.BACKFILL)

    @app.on_rebalance_complete.connect
    async def _assigned(*_: Any, **__: Any) -> None:
        assigned = app.consumer.assignment()
        numbers: dict[str, list[int]] = {}
        for tp in sorted(assigned):
            numbers.setdefault(tp.topic, []).append(tp.partition)
        tell("assigned", generation=app.consumer_generation_id, partitions=numbers)
        try:
            copartition_check(assigned, plan.groups)
        except RapportError as error:
            stop_worker(error, leave=leave_now)

    if plan.watchdog_s:
        app.task(Watchdog(progress_of(app), limit_s=plan.watchdog_s).run)
    return app


def _producer(plan: Plan) -> Producer:
    return Producer(
        {
            "bootstrap.servers": plan.bootstrap,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": 5,
            "log_level": 0,
        }
    )


def _agent(app: faust.App, plan: Plan, name: str, gate: LaneGate, lane: Lane) -> None:
    topic = _topic(app, name)
    body = STOCK[plan.fault] if plan.variant == "stock" else OURS.get(plan.fault, _copy_batches)

    async def agent(stream: Any) -> None:
        await body(app, plan, stream, gate, lane)

    agent.__name__ = f"agent_{name.replace('.', '_').replace('-', '_')}"
    app.agent(topic, name=agent.__name__)(agent)


def _topic(app: faust.App, name: str) -> Any:
    return app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


# --- ours ---------------------------------------------------------------------------------------------------------


async def _copy_batches(app: faust.App, plan: Plan, stream: Any, gate: LaneGate, lane: Lane) -> None:
    async def handle(events: Sequence[Any]) -> None:
        tell("batch", lane=lane, records=len(events), first=events[0].message.offset)
        await asyncio.sleep(plan.handle_s)
        out = [OutRecord(plan.output, None, event.key, _result(plan, event)) for event in events]
        await producer_of(app).publish(out)

    await run_batches(stream, handle, max_records=plan.max_records, within_s=0.05, gate=gate, lane=lane)


async def _confirm_all_but_one(app: faust.App, plan: Plan, stream: Any, _gate: LaneGate, _lane: Lane) -> None:
    async for events in stream.noack_take(plan.max_records, within=0.05):
        for event in events:
            if event.value != b"held":
                consumer_of(app).confirm([event.message])
                event.ack()
            else:
                _HELD.append(event)


async def _hang(_app: faust.App, plan: Plan, stream: Any, gate: LaneGate, lane: Lane) -> None:
    async def handle(events: Sequence[Any]) -> None:
        tell("batch", lane=lane, records=len(events), first=events[0].message.offset)
        await asyncio.Event().wait()

    await run_batches(stream, handle, max_records=plan.max_records, within_s=0.05, gate=gate, lane=lane)


def _result(plan: Plan, event: Any) -> bytes:
    if event.message.offset == FAULTY_OFFSET and event.message.partition == 0:
        if plan.fault == "exception":
            raise ValueError("a bug in the body")
        if plan.fault == "oversize":
            return OVERSIZE
    return bytes(event.value)


# --- Faust as it comes --------------------------------------------------------------------------------------------


async def _stock_send(app: faust.App, plan: Plan, stream: Any, *_: Any) -> None:
    output = _topic(app, plan.output)
    async for event in stream.events():
        await output.send(key=event.key, value=_result(plan, event))


async def _stock_send_soon(app: faust.App, plan: Plan, stream: Any, *_: Any) -> None:
    output = _topic(app, plan.output)
    async for event in stream.events():
        output.send_soon(key=event.key, value=bytes(event.value))


async def _stock_ack_all_but_one(_app: faust.App, _plan: Plan, stream: Any, *_: Any) -> None:
    async for event in stream.noack().events():
        if event.value != b"held":
            event.ack()
        else:
            _HELD.append(event)


_HELD: list[Any] = []
OURS = {"order": _confirm_all_but_one, "hang": _hang}
STOCK = {
    "exception": _stock_send,
    "oversize": _stock_send,
    "slow": _stock_send_soon,
    "stop": _stock_send_soon,
    "order": _stock_ack_all_but_one,
}


def main() -> None:
    """Runs the worker until it is told to stop, or its fault ends it."""
    uvloop.install()
    app = build(Plan(**json.loads(sys.argv[1])))
    app.finalize()
    worker = app.Worker(loglevel="WARNING", redirect_stdouts=False, quiet=True)
    tell("starting")
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
