"""Waiting until everything published so far is visible: writes a mark behind it and follows it to ClickHouse."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

from confluent_kafka import KafkaError, Message

from rapport.kafka import producer as new_producer
from rapport.kafka import wire as new_wire
from rapport.settings import Endpoints, Settings, endpoints
from rapport_core.clock import SystemClock, to_ms
from rapport_core.errors import UnavailableError
from rapport_schemas.delivery import refusal
from rapport_schemas.records import Mark
from rapport_schemas.topics import DIRECTORY, ITEMS, PARTITIONS, RAW_TOPICS, THREAD_ALIAS, composite_key
from rapport_schemas.wire import blank
from rapport_sinks.clickhouse.client import connect
from rapport_sinks.clickhouse.queries import Impact

_POLL_SECONDS = 0.1
_DELIVERY_SECONDS = 60.0
EXPECTED = ITEMS.partitions + THREAD_ALIAS.partitions
"""A mark is visible when the sink has inserted what stood before it in every partition of items and thread_alias."""

Progress = Callable[[int, int], None]


def wait_for_visible(
    settings: Settings, tenant: str, progress: Progress | None = None, timeout_seconds: float | None = None
) -> None:
    """Returns when everything that was in the input topics when it was called is in the tables.

    Works while live changes flow. `progress` gets (arrived, expected) now and then. Raises UnavailableError when Kafka
    or ClickHouse is gone, or when `timeout_seconds` pass.
    """
    where = endpoints(settings)
    mark_id = uuid4().hex
    _write_marks(where, tenant, mark_id)
    impact = Impact(connect(where.clickhouse))
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    arrived = 0
    while arrived < EXPECTED:
        arrived = impact.marks_arrived(tenant, mark_id)
        if progress:
            progress(arrived, EXPECTED)
        if deadline is not None and time.monotonic() > deadline:
            raise UnavailableError(
                f"not visible after {timeout_seconds:.0f} s ({arrived} of {EXPECTED} partitions); "
                "nothing is lost, the pipeline goes on: see `rapport doctor`"
            )
        time.sleep(_POLL_SECONDS if arrived < EXPECTED else 0)


def _write_marks(where: Endpoints, tenant: str, mark_id: str) -> None:
    wire, producer = new_wire(where), new_producer(where)
    mark: Mark = {"id": mark_id, "tenant": tenant, "round": 0, "source": "command", "dirty": False}
    now_ms = to_ms(SystemClock().now())
    mine = {"tenant": tenant, "mark": mark}
    page = wire.encode("page", {**blank("page"), **mine, "type": "mark", "published_at": now_ms})
    key = composite_key("mark", tenant)
    confirmed: list[Message] = []

    def confirm(error: KafkaError | None, message: Message) -> None:
        if refusal(error, message) is None:
            confirmed.append(message)

    for topic in RAW_TOPICS:
        for partition in range(topic.partitions):
            producer.produce(topic.name, page, key=key, partition=partition, on_delivery=confirm)
    said = {**blank("directory_entry"), **mine, "kind": "mark", "recorded_at": now_ms}
    entry = wire.encode("directory_entry", said)
    producer.produce(DIRECTORY.name, entry, key=key, partition=0, on_delivery=confirm)
    producer.flush(_DELIVERY_SECONDS)
    if len(confirmed) < len(RAW_TOPICS) * PARTITIONS + 1:
        raise UnavailableError(
            "Kafka does not confirm records; see `rapport doctor`, then repeat the command"
        )
