"""Looks at every part of an instance and says: fine, or what to do."""

from __future__ import annotations

import http.client
import os
import shutil
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # public, not listed

from rapport import kafka
from rapport.local import instance
from rapport.local import kafka as local_kafka
from rapport.local.ports import LOOPBACK
from rapport.settings import Endpoints, Settings, endpoints
from rapport.store import open_store
from rapport.store.database import Database
from rapport_core.errors import ConfigError, RapportError, UnavailableError
from rapport_schemas.topics import CATALOGUE, CONNECTORS_GROUP, SINK_GROUP, WORKERS_GROUP

_SECONDS = 10.0
_LEAST_FREE_BYTES = 1024**3
_NEED_KAFKA = frozenset({"topics", "workers", "sink", "connectors"})
_Found = TypeVar("_Found")
_LIVELY = frozenset({ConsumerGroupState.STABLE, ConsumerGroupState.PREPARING_REBALANCING})


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one part; `text` says what is there, or what to do."""

    part: str
    is_fine: bool
    text: str


Check = Callable[[], str]
"""Says what is there; raises RapportError with what to do."""


def examine(settings: Settings) -> list[Finding]:
    """One finding for each part, in the order in which they depend on each other. Never raises for a broken part."""
    findings = []
    if settings.kafka is None:
        findings.append(_finding("java", _java))
    findings.append(_finding("disk", lambda: _disk(settings.home)))
    try:
        where = endpoints(settings)
    except RapportError as error:
        return [*findings, Finding("services", is_fine=False, text=str(error))]
    checks: dict[str, Check] = {
        "kafka": lambda: _kafka(where),
        "topics": lambda: _topics(where),
        "clickhouse": lambda: _clickhouse(where.clickhouse),
        "store": lambda: _store(settings, where),
        "workers": lambda: _group(where, WORKERS_GROUP, "workers"),
        "sink": lambda: _group(where, SINK_GROUP, "the sink"),
        "dashboard": lambda: _dashboard(where.dashboard),
    }
    if settings.microsoft_client_id is not None:
        if settings.public_url is not None:
            checks["webhooks"] = lambda: _webhooks(settings)
        checks["connectors"] = lambda: _group(where, CONNECTORS_GROUP, "the connectors")
        checks["microsoft"] = lambda: _microsoft(settings)
    for part, check in checks.items():
        # Without Kafka each of these would wait for its own time-out to say the same.
        if part in _NEED_KAFKA and not all(found.is_fine for found in findings if found.part == "kafka"):
            findings.append(Finding(part, is_fine=False, text="cannot be seen without Kafka"))
        else:
            findings.append(_finding(part, check))
    return findings


def _finding(part: str, check: Check) -> Finding:
    try:
        return Finding(part, is_fine=True, text=check())
    except RapportError as error:
        return Finding(part, is_fine=False, text=str(error))


def _java() -> str:
    java = local_kafka.find_java()
    if not local_kafka.is_fetched():
        if shutil.which("mvn") is None:
            raise UnavailableError(
                "Kafka is not downloaded yet and Maven is missing: install Maven 3.6 or newer"
            )
        return f"{java}; Kafka {local_kafka.KAFKA_VERSION} will be downloaded at the first start"
    return f"{java}, with Kafka {local_kafka.KAFKA_VERSION} in the cache"


def _disk(home: Path) -> str:
    """Looks at the folder, or at the one in which it would be made: an examination changes nothing."""
    there = next(place for place in (home.absolute(), *home.absolute().parents) if place.exists())
    if home.exists():
        instance.make_private_folder(home)
    elif not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise ConfigError(
            f"{home} cannot be made, because {there} cannot be written: choose another folder with RAPPORT_HOME"
        )
    free = shutil.disk_usage(there).free
    if free < _LEAST_FREE_BYTES:
        raise UnavailableError(f"only {free // 1024**2} MiB are free under {home}: free some space")
    made = "" if home.exists() else ", which the first start makes"
    return f"{free / 1024**3:.0f} GiB free under {home}{made}"


def _kafka(where: Endpoints) -> str:
    if not kafka.is_reachable(where.kafka, _SECONDS):
        raise UnavailableError(
            f"Kafka at {where.kafka} does not answer: is it running, and is the address right?"
        )
    return f"answers at {where.kafka}"


def _topics(where: Endpoints) -> str:
    present = _asked(where, lambda admin: kafka.partition_counts(admin, where.kafka))
    missing = [topic.name for topic in CATALOGUE if topic.name not in present]
    if missing:
        raise UnavailableError(f"{len(missing)} topics are missing ({missing[0]} …): rapport up creates them")
    wrong = [topic.name for topic in CATALOGUE if present[topic.name] != topic.partitions]
    if wrong:
        raise UnavailableError(
            f"topic {wrong[0]} has {present[wrong[0]]} partitions: partition counts must not change"
        )
    return f"all {len(CATALOGUE)} are there"


def _clickhouse(address: str) -> str:
    parts = urlsplit(address)
    place = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    target = urlunsplit((parts.scheme, place, "/", "query=SELECT%20version()", ""))
    login = f"{unquote(parts.username or 'default')}:{unquote(parts.password or '')}"
    headers = {"Authorization": "Basic " + b64encode(login.encode()).decode()}
    try:
        version = _get(target, headers).decode("utf-8", "replace").strip()
    except urllib.error.HTTPError as error:
        raise UnavailableError(
            f"ClickHouse at {place} refuses with status {error.code}: check its password"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(f"ClickHouse at {place} does not answer: is it running?") from error
    return f"{version} answers at {place}"


def _store(settings: Settings, where: Endpoints) -> str:
    file = Database(where.store).file
    if file is not None and not file.exists():
        raise UnavailableError(f"there is no store at {file} yet: rapport up makes it")
    open_store(settings, where).close()
    return f"opens with its master key ({where.store.partition(':')[0]})"


def _group(where: Endpoints, group: str, who: str) -> str:
    members, lag = _asked(where, lambda admin: _members_and_lag(admin, group))
    if not members:
        raise UnavailableError(
            f"{who} do not take part in group {group}: rapport up starts them; see their logs"
        )
    return f"{members} in group {group}, {lag} records waiting"


def _members_and_lag(admin: AdminClient, group: str) -> tuple[int, int]:
    try:
        described = admin.describe_consumer_groups([group], request_timeout=_SECONDS)[group].result(_SECONDS)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return 0, 0
        raise
    members = len(described.members) if described.state in _LIVELY else 0
    wanted = [ConsumerGroupTopicPartitions(group)]
    found = admin.list_consumer_group_offsets(wanted, request_timeout=_SECONDS)[group].result(_SECONDS)
    places = [place for place in found.topic_partitions if place.offset >= 0]
    return members, _lag(admin, places)


def _lag(admin: AdminClient, places: list[TopicPartition]) -> int:
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # ships no types
    asked = {TopicPartition(place.topic, place.partition): latest for place in places}
    if not asked:
        return 0
    ends = admin.list_offsets(asked, request_timeout=_SECONDS)
    known = {(at.topic, at.partition): future.result(_SECONDS).offset for at, future in ends.items()}
    return sum(max(known[place.topic, place.partition] - place.offset, 0) for place in places)


def _asked(where: Endpoints, question: Callable[[AdminClient], _Found]) -> _Found:
    try:
        return question(kafka.admin(where))
    except KafkaException as error:
        raise kafka.unreachable(where.kafka) from error


def _microsoft(settings: Settings) -> str:
    from rapport.connecting.registration import sign_in_of  # noqa: PLC0415 - only who connects Microsoft 365 loads msal

    is_tried = sign_in_of(settings).check()
    said = (
        "takes the client secret" if is_tried else "answers; a client secret is tried when somebody connects"
    )
    return f"{settings.microsoft_authority} {said}"


def _status(address: str) -> int | None:
    """What HTTP answers there; None where nobody does."""
    try:
        _get(address, {})
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, http.client.HTTPException):
        return None
    return 200


def _dashboard(address: str | None) -> str:
    if address is None:
        return "runs elsewhere"
    status = _status(address)
    if status is None:
        raise UnavailableError(f"the dashboard at {address} does not answer: see logs/dashboard.log")
    if status >= 500:
        raise UnavailableError(f"the dashboard fails with status {status}: see logs/dashboard.log")
    return f"answers at {address}"


def _webhooks(settings: Settings) -> str:
    """Looks at the receiver itself: whether Microsoft reaches it through the proxy cannot be seen from here."""
    address = _receiver_address(settings)
    if address is None:
        return "run elsewhere"
    status = _status(f"{address}/readyz")
    if status is None:
        raise UnavailableError(
            f"the receiver of notifications at {address} does not answer, so changes show within minutes only: "
            "see logs/webhooks.log"
        )
    if status >= 300:
        raise UnavailableError(
            f"the receiver of notifications at {address} is not ready (status {status}): see logs/webhooks.log"
        )
    moves = "" if settings.webhook_port else "; it moves at each start unless RAPPORT_WEBHOOK_PORT is set"
    return f"answer at {address}{moves}"


def _receiver_address(settings: Settings) -> str | None:
    """Where the receiver of this machine listens; None where it is on another one. Raises UnavailableError if it was not started."""
    running = instance.read_running(settings.home)
    if running is not None and not running.webhooks:
        raise UnavailableError(
            "rapport up was started without RAPPORT_PUBLIC_URL or RAPPORT_MICROSOFT_CLIENT_ID, so nobody receives "
            "notifications: start it again with both"
        )
    if running is not None:
        return running.webhooks
    return f"http://{LOOPBACK}:{settings.webhook_port}" if settings.webhook_port else None


def _get(address: str, headers: dict[str, str]) -> bytes:
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - settings allow http(s) only
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
        found: bytes = answer.read(65536)
        return found
