"""What `rapport up` runs for these settings, in which order, with which ports."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from rapport.kafka import is_reachable
from rapport.local import kafka as local_kafka
from rapport.local.child import Part
from rapport.local.instance import Instance
from rapport.local.ports import LOOPBACK, accepts, chosen_port
from rapport.local.ready import ready_pid
from rapport.settings import PREFIX, Settings, to_environment

MODULES = "rapport.processes"
KAFKA, CLICKHOUSE, SINK, WORKERS, WEBHOOKS, CONNECTORS, DASHBOARD = range(7)
"""The stages: each needs the ones before it. Microsoft calls the receiver before it answers a connector that subscribes."""


def choose(settings: Settings) -> Instance:
    """Ports and the password of a new instance. Raises ConfigError for a wanted port that is in use."""
    kafka = clickhouse = ""
    controller = 0
    if settings.kafka is None:
        local_kafka.find_java()
        kafka = f"{LOOPBACK}:{chosen_port(settings.kafka_port, 'RAPPORT_KAFKA_PORT')}"
        controller = chosen_port(0, "")
    if settings.clickhouse is None:
        port = chosen_port(settings.clickhouse_port, "RAPPORT_CLICKHOUSE_PORT")
        clickhouse = f"http://rapport:{secrets.token_urlsafe(24)}@{LOOPBACK}:{port}/rapport"
    dashboard = f"http://{LOOPBACK}:{chosen_port(settings.dashboard_port, 'RAPPORT_DASHBOARD_PORT')}"
    webhooks = ""
    if _has_push(settings):
        webhooks = f"http://{LOOPBACK}:{chosen_port(settings.webhook_port, 'RAPPORT_WEBHOOK_PORT')}"
    return Instance(kafka, controller, clickhouse, dashboard, webhooks)


def parts(settings: Settings, found: Instance, modules: str = MODULES) -> list[Part]:
    """Everything to run. `modules` is the package of the process modules; tests have one of their own."""
    wanted: list[Part] = []
    if found.kafka:
        wanted.append(_kafka(settings, found))
    if found.clickhouse:
        wanted.append(_module(settings, found, modules, "clickhouse", CLICKHOUSE, found.clickhouse))
    wanted.append(_module(settings, found, modules, "sink", SINK))
    wanted += [
        _numbered(settings, found, modules, "worker", number, WORKERS) for number in range(settings.workers)
    ]
    if found.webhooks:
        wanted.append(_module(settings, found, modules, "webhooks", WEBHOOKS, found.webhooks))
    if settings.microsoft_client_id is not None:
        wanted += [
            _numbered(settings, found, modules, "connector", number, CONNECTORS)
            for number in range(settings.connectors)
        ]
    wanted.append(_module(settings, found, modules, "dashboard", DASHBOARD, found.dashboard))
    return wanted


def _has_push(settings: Settings) -> bool:
    """Whether providers can tell us of changes: one is configured, and knows an address of ours."""
    return settings.microsoft_client_id is not None and settings.public_url is not None


def broker(settings: Settings, found: Instance) -> local_kafka.Broker:
    """The local broker of an instance."""
    port = int(found.kafka.rpartition(":")[2])
    return local_kafka.Broker(settings.home / "kafka", port, found.kafka_controller_port, settings.kafka_heap)


def _kafka(settings: Settings, found: Instance) -> Part:
    config = broker(settings, found)

    def command() -> Sequence[str]:
        local_kafka.fetch()
        local_kafka.prepare(config)
        return local_kafka.start_command(config)

    return Part(
        name="kafka",
        stage=KAFKA,
        command=command,
        is_ready=lambda _: accepts(config.port) and is_reachable(config.address),
        environment=_environment(settings, found),
        stop_seconds=30.0,
    )


def _numbered(
    settings: Settings, found: Instance, modules: str, module: str, number: int, stage: int
) -> Part:
    """One of several processes of a module, told its number."""
    part = _module(settings, found, modules, module, stage)
    name = f"{module}-{number}"
    return Part(
        name=name,
        stage=stage,
        command=part.command,
        is_ready=_announced(settings, name),
        environment={**part.environment, f"{PREFIX}{module.upper()}": str(number)},
        stop_seconds=30.0,
    )


def _module(
    settings: Settings, found: Instance, modules: str, name: str, stage: int, address: str | None = None
) -> Part:
    announced = _announced(settings, name)
    port = urlsplit(address).port if address else None
    # -P: a file in the folder the user happens to be in must not stand in for one of ours.
    command = [sys.executable, "-P", "-m", f"{modules}.{name}"]
    return Part(
        name=name,
        stage=stage,
        command=lambda: command,
        is_ready=lambda pid: announced(pid) and (port is None or accepts(port)),
        environment=_environment(settings, found),
    )


def _announced(settings: Settings, name: str) -> Callable[[int], bool]:
    return lambda pid: ready_pid(settings, name) == pid


def _environment(settings: Settings, found: Instance) -> dict[str, str]:
    """This process' environment, with the settings in force and the ports that were chosen."""
    own = {PREFIX + name.upper() for name in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name not in own}
    ports = {
        "KAFKA_PORT": found.kafka.rpartition(":")[2],
        "CLICKHOUSE_PORT": str(urlsplit(found.clickhouse).port or ""),
        "DASHBOARD_PORT": str(urlsplit(found.dashboard).port or ""),
        "WEBHOOK_PORT": str(urlsplit(found.webhooks).port or ""),
    }
    chosen = {PREFIX + name: value for name, value in ports.items() if value}
    return kept | to_environment(settings) | chosen | {"PYTHONUNBUFFERED": "1"}
