"""`rapport status`: how far everything is, in one screen."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import typer
from confluent_kafka import Consumer
from rich.console import Console
from rich.table import Table

from rapport.cli.dead_letters import dead_letters
from rapport.cli.matching import headline, headlines
from rapport.kafka import committed, consumer, wire
from rapport.settings import Endpoints, endpoints, load_settings
from rapport.topic_reader import end_offsets, read_all
from rapport_core.clock import from_ms
from rapport_schemas.records import Connection
from rapport_schemas.topics import (
    CONNECTIONS,
    DIRECTORY,
    ITEMS,
    RAW_TOPICS,
    ROUTED,
    SINK_GROUP,
    THREAD_ALIAS,
    WORKERS_GROUP,
    Topic,
)

app = typer.Typer()
_STEPS: tuple[tuple[str, str, tuple[Topic, ...]], ...] = (
    ("route", WORKERS_GROUP, RAW_TOPICS),
    ("weave", WORKERS_GROUP, tuple(ROUTED.values())),
    ("directory", WORKERS_GROUP, (DIRECTORY,)),
    ("sink", SINK_GROUP, (ITEMS, THREAD_ALIAS)),
)


def backlog(where: Endpoints) -> dict[str, int]:
    """Records that wait, per step of the pipeline."""
    waiting: dict[str, int] = {}
    for step, group, step_topics in _STEPS:
        reader = consumer(where, group)
        try:
            waiting[step] = sum(_lag(reader, topic) for topic in step_topics)
        finally:
            reader.close()
    return waiting


def _lag(reader: Consumer, topic: Topic) -> int:
    ends = end_offsets(reader, topic)
    if not ends:
        return 0
    done = committed(reader, topic.name, ends)
    return sum(max(end - done.get(partition, 0), 0) for partition, end in ends.items())


def connections(where: Endpoints, tenant: str | None) -> list[Connection]:
    """The newest record of every connection."""
    reader, decode = consumer(where, "rapport-status-reader"), wire(where)
    newest: dict[tuple[str, str], Connection] = {}
    try:
        for message in read_all(reader, CONNECTIONS):
            if message.value() is not None:
                connection: Connection = decode.decode("connection", message.value())
                newest[connection["tenant"], connection["connection"]] = connection
    finally:
        reader.close()
    return [one for _, one in sorted(newest.items()) if tenant is None or one["tenant"] == tenant]


@app.command()
def status(
    *,
    tenant: str | None = typer.Option(None, "--tenant", help="Only this tenant."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """How far everything is: what waits in each step, the connections, what could not be processed or matches nothing.

    Reading the names of what matches nothing is audited.
    """
    settings = load_settings()
    where = endpoints(settings)
    dead = Counter(letter["reason"] for letter in dead_letters(tenant))
    found: dict[str, Any] = {
        "backlog": backlog(where),
        "connections": [
            {key: one[key] for key in ("tenant", "connection", "member", "provider", "state", "last_sync")}
            for one in connections(where, tenant)
        ],
        "dead_letters": dict(sorted(dead.items())),
    }
    tenants = {one["tenant"] for one in found["connections"]} if tenant is None else {tenant}
    found["matching"] = {one: headlines(settings, where, one) for one in sorted(tenants)}
    if as_json:
        typer.echo(json.dumps(found))
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    waiting = ", ".join(f"{step} {count}" for step, count in found["backlog"].items())
    typer.echo(f"Records waiting: {waiting}")
    dead = ", ".join(f"{reason} {count}" for reason, count in found["dead_letters"].items())
    typer.echo(f"Not processable: {dead or 'none'}" + (" (rapport dlq list)" if dead else ""))
    table = Table(box=None, pad_edge=False)
    for column in ("connection", "member", "provider", "state", "last sync"):
        table.add_column(column, overflow="fold")
    for one in found["connections"]:
        last = from_ms(one["last_sync"]).strftime("%Y-%m-%d %H:%M") if one["last_sync"] else "never"
        table.add_row(one["connection"], one["member"], one["provider"], one["state"], last)
    if found["connections"]:
        Console().print(table)
    else:
        typer.echo("No connections yet: `rapport ingest mbox FILE --tenant T --member M` makes one.")
    for tenant, matching in found["matching"].items():
        typer.echo(headline(tenant, matching))
