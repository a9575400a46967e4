"""The settings of the Faust application, and how much it may hold in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mode import CrashingSupervisor
from yarl import URL

from rapport_processors.edge.room import QUEUE_BYTES, QUEUE_RECORDS

MAX_PARTITION_FETCH_BYTES = 1024 * 1024
"""A larger record still arrives, alone: brokers always return the first batch."""
FETCH_MAX_BYTES = 16 * 1024 * 1024
FETCH_MAX_WAIT_MS = 250
"""Short, because aiokafka asks a broker for a drained partition only after the request under way has come back."""


def prefetched_bytes(topics: int, partitions: int, record_bytes: int) -> int:
    """What a worker holds at most before any agent takes it.

    Args:
        topics: it reads, each with an agent of its own.
        partitions: of each, assigned to this worker.
        record_bytes: of the largest record.
    """
    one_fetch = max(MAX_PARTITION_FETCH_BYTES, record_bytes)
    fetched = topics * partitions * one_fetch
    # A queue that is half empty gets one poll more, which empties what was fetched for that topic.
    queued = topics * QUEUE_BYTES // 2
    return 2 * fetched + queued


def app_settings(
    bootstrap: str, *, datadir: Path, session_timeout_s: float = 20.0, instance_id: str | None = None
) -> dict[str, Any]:
    """Keyword settings for `faust.App`; its id is the consumer group.

    Args:
        bootstrap: Kafka's bootstrap servers, `host:port,host:port`.
        datadir: where Faust may make a folder of its own.
        session_timeout_s: after a crash the partitions wait this long for a new owner.
        instance_id: a name that survives restarts, for static membership.
    """
    return {
        "broker": [URL(f"kafka://{server.strip()}") for server in bootstrap.split(",")],
        "datadir": datadir,
        "processing_guarantee": "at_least_once",
        "agent_supervisor": CrashingSupervisor,
        "key_serializer": "raw",
        "value_serializer": "raw",
        "stream_wait_empty": True,
        "stream_buffer_maxsize": QUEUE_RECORDS,
        "consumer_auto_offset_reset": "earliest",
        "consumer_max_fetch_size": MAX_PARTITION_FETCH_BYTES,
        "consumer_group_instance_id": instance_id,
        "broker_commit_interval": 1.0,
        "broker_session_timeout": session_timeout_s,
        "broker_heartbeat_interval": min(3.0, session_timeout_s / 3),
        "broker_rebalance_timeout": 60.0,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "table_standby_replicas": 0,
        "cython_optimizations": True,
        "web_enabled": False,
        "worker_redirect_stdouts": False,
    }
