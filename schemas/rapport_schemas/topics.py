"""The topic catalogue: names, keys, partition counts, retention. Nothing else spells a topic name."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

PARTITIONS = 8
MAX_MESSAGE_BYTES = 2 * 1024 * 1024
_HOUR_MS = 3_600_000


class Lane(StrEnum):
    """Live goes first; backfill has a minimum share, so that neither starves the other."""

    LIVE = "live"
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as it is created. `config` holds Kafka's own setting names."""

    name: str
    schema: str
    key: str
    partitions: int = PARTITIONS
    config: dict[str, str] = field(default_factory=dict)


_FOREVER = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
_TRIMMED = {**_FOREVER, "segment.bytes": str(64 * 1024 * 1024), "segment.ms": str(_HOUR_MS)}
"""Its beginning is deleted by workers; the broker gives the room back segment by segment, and of no segment that may still grow."""
_COMPACT = {
    "cleanup.policy": "compact",
    "segment.ms": str(_HOUR_MS),
    "max.compaction.lag.ms": str(12 * _HOUR_MS),
    "min.cleanable.dirty.ratio": "0.3",
}


def _lanes(domain: str, schema: str, key: str, config: dict[str, str]) -> dict[Lane, Topic]:
    return {
        Lane.LIVE: Topic(f"rapport.{domain}.v1", schema, key, config=config),
        Lane.BACKFILL: Topic(f"rapport.{domain}.backfill.v1", schema, key, config=config),
    }


MAIL_RAW = _lanes("mail.raw", "page", "connection", _FOREVER)
CALENDAR_RAW = _lanes("calendar.raw", "page", "connection", _FOREVER)
RAW = {lane: (MAIL_RAW[lane], CALENDAR_RAW[lane]) for lane in Lane}
"""The log, and with it everything that route reads."""
RAW_TOPICS = tuple(topic for lane_topics in RAW.values() for topic in lane_topics)
ROUTED = _lanes("routed", "routed", "tenant, generation (partition set by shard)", _TRIMMED)
"""Kept until weave has committed it: a time limit would lose mail while workers are down."""
ITEMS = Topic(
    "rapport.items.v1",
    "item",
    "tenant, generation, item, assignment (partition set by shard)",
    config=_COMPACT,
)
THREAD_ALIAS = Topic(
    "rapport.thread_alias.v1",
    "thread_alias",
    "tenant, generation, thread key, assignment (by shard)",
    config=_COMPACT,
)
"""A worker that lost its partition may wake and write once more. Its keys are its own, so compaction never takes a late
record for a newer version of a good one; readers ignore it by its number (docs/decisions/0014). Tombstones are no poison."""
DIRECTORY = Topic(
    "rapport.directory.v1", "directory_entry", "tenant, kind, id", partitions=1, config=_COMPACT
)
CURSORS = Topic("rapport.cursors.v1", "cursor", "tenant, connection, stream", config=_COMPACT)
CONNECTIONS = Topic("rapport.connections.v1", "connection", "tenant, connection", config=_COMPACT)
WAKEUPS = Topic(
    "rapport.wakeups.v1",
    "wakeup",
    "tenant, connection",
    config={"cleanup.policy": "delete", "retention.ms": str(24 * _HOUR_MS)},
)
"""Reasons to look at a connection now. Whoever holds a partition owns the connections whose keys fall into it."""
COVERAGE = Topic(
    "rapport.coverage.v1",
    "coverage",
    "tenant, connection, stream (partition of the connection)",
    config=_COMPACT,
)
DEAD = Topic("rapport.dead.v1", "dead_letter", "origin", config=_COMPACT)
ROUTE_CHANGELOG = Topic("rapport.route.changelog.v1", "changelog", "tenant (partition set)", config=_TRIMMED)
WEAVE_CHANGELOG = Topic("rapport.weave.changelog.v1", "changelog", "tenant (partition set)", config=_TRIMMED)

CATALOGUE: tuple[Topic, ...] = (
    *MAIL_RAW.values(),
    *CALENDAR_RAW.values(),
    *ROUTED.values(),
    ITEMS,
    THREAD_ALIAS,
    DIRECTORY,
    CURSORS,
    CONNECTIONS,
    WAKEUPS,
    COVERAGE,
    DEAD,
    ROUTE_CHANGELOG,
    WEAVE_CHANGELOG,
)


def composite_key(*parts: str | int) -> bytes:
    """A record key of several parts; the parts may hold any text but NUL."""
    return "\0".join(map(str, parts)).encode("utf-8", "surrogateescape")


def partition_of(key: bytes, partitions: int = PARTITIONS) -> int:
    """The partition that Kafka's clients give a key: murmur2, as the Java client computes it."""
    return (_murmur2(key) & 0x7FFFFFFF) % partitions


def _murmur2(data: bytes) -> int:
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    found = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        found = (found * multiplier & mask) ^ word
    if rest := data[whole:]:
        found = (found ^ int.from_bytes(rest, "little")) * multiplier & mask
    found = (found ^ found >> 13) * multiplier & mask
    return found ^ found >> 15


WORKERS_GROUP = "rapport-workers"
SINK_GROUP = "rapport-sink"
CONNECTORS_GROUP = "rapport-connectors"
"""Consumer groups: the Faust application's id, the ClickHouse sink's, and the one of those who own connections."""
