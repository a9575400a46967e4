"""`rapport counts`, `items`, `threads`, `explain`: the results, for people as tables and for programs as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Annotated, Any

import typer

from rapport.cli.dead_letters import dead_letters
from rapport.cli.explaining import print_explanation
from rapport.cli.operator import operator
from rapport.cli.tables import print_counts, print_items, print_threads
from rapport.collected import Collected
from rapport.explaining.explainer import Explainer
from rapport.explaining.log import SealedLog
from rapport.kafka import consumer, is_reachable, wire
from rapport.settings import Endpoints, Settings, endpoints, load_settings
from rapport.store import Store, open_store
from rapport.topic_reader import read_all
from rapport.waiting import wait_for_visible
from rapport_core.clock import SystemClock
from rapport_schemas.topics import ITEMS, THREAD_ALIAS, Topic
from rapport_sinks.clickhouse.batch import Partition, Record
from rapport_sinks.clickhouse.client import connect
from rapport_sinks.clickhouse.predicate import By, Direction, Kind
from rapport_sinks.clickhouse.queries import Impact
from rapport_sinks.clickhouse.window import DEFAULT_DAYS

app = typer.Typer()

_READER_GROUP = "rapport-threads-reader"

Tenant = Annotated[str, typer.Option("--tenant", help="The directory's id of the tenant.")]
Days = Annotated[
    int, typer.Option("--days", help="Calendar days in the tenant's time zone, the last one included.")
]
Until = Annotated[
    datetime | None, typer.Option("--until", formats=["%Y-%m-%d"], help="End with this day instead of now.")
]
Planned = Annotated[
    bool, typer.Option("--planned", help="Meetings that lie ahead, in the same number of days from today on.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def counts(
    tenant: Tenant,
    by: Annotated[By, typer.Option("--by", help="Whose numbers.")],
    days: Days = DEFAULT_DAYS,
    until: Until = None,
    planned: Planned = False,
    as_json: AsJson = False,
) -> None:
    """The numbers of the last 30 days, by member, customer or contact. Planned meetings are in JSON when asked for."""
    with _impact(endpoints(load_settings())) as impact:
        asked = planned or not as_json
        result = impact.counts(tenant, by, days, _day(until), SystemClock().now(), planned=asked)
    if as_json:
        _print_json(result)
    else:
        print_counts(result, by, days)


@app.command()
def items(
    *,
    tenant: Tenant,
    member: Annotated[
        str | None, typer.Option("--member", help="Only items this member takes part in.")
    ] = None,
    customer: Annotated[str | None, typer.Option("--customer", help="Only items of this customer.")] = None,
    contact: Annotated[str | None, typer.Option("--contact", help="Only items of this contact.")] = None,
    kind: Annotated[Kind | None, typer.Option("--kind", help="Only this kind.")] = None,
    direction: Annotated[
        Direction | None, typer.Option("--direction", help="Only e-mails of this direction.")
    ] = None,
    planned: Planned = False,
    days: Days = DEFAULT_DAYS,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """What is behind a number: exactly the items that it counts, newest first; planned meetings the next one first."""
    with _impact(endpoints(load_settings())) as impact:
        page = impact.items(
            tenant,
            now=SystemClock().now(),
            member=member,
            customer=customer,
            contact=contact,
            kind=kind,
            direction=direction,
            planned=planned,
            days=days,
            until=_day(until),
        )
    if as_json:
        _print_json(page["items"])
    else:
        print_items(page)


@app.command()
def threads(tenant: Tenant, as_json: AsJson = False) -> None:
    """Every conversation of everything collected, matched or not, as lists of Message-IDs. It is audited."""
    settings = load_settings()
    where = endpoints(settings)
    with _impact(where) as impact:
        gen = impact.scope(tenant, SystemClock().now()).gen
    with _store(settings, where) as store:
        store.audit.record(tenant=tenant, user=operator(), action="threads_listed", object=tenant)
        codec = wire(where)
        collected = Collected(tenant, gen, store.keys.tenant_keys(tenant), codec)
        # Items first: an alias that came since then only joins what is one thread.
        collected.add_items(_records(where, ITEMS))
        collected.add_aliases(_records(where, THREAD_ALIAS))
    if as_json:
        _print_json(collected.threads())
    else:
        print_threads(collected.threads(), collected.unreadable)


@app.command()
def explain(
    what: Annotated[
        str, typer.Argument(metavar="ID|MESSAGE-ID|ADDRESS", help="An item's id, a Message-ID, an address.")
    ],
    tenant: Tenant,
    wait: Annotated[
        bool, typer.Option("--wait", help="First wait until everything is decided and visible.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Why something is in the numbers, or why it is not. It is audited. Exits with 1 when nothing is known."""
    settings = load_settings()
    where = endpoints(settings)
    with _impact(where) as impact, _store(settings, where) as store:
        now = SystemClock().now()
        impact.scope(tenant, now)  # before keys are made for a tenant that is only misspelt
        if wait:
            wait_for_visible(settings, tenant)

        def audited(action: str, about: str) -> None:
            store.audit.record(tenant=tenant, user=operator(), action=action, object=about)

        with _sealed(where, store) as sealed:
            found = Explainer(
                impact,
                tenant,
                store.keys.tenant_keys(tenant),
                now,
                sealed=sealed,
                audited=audited,
                letters=lambda: dead_letters(tenant),
            ).explain(what)
        # Addresses and Message-IDs are content; what they led to is not.
        audited("explained", ",".join(item["id"] for item in found["items"]))
    if as_json:
        _print_json(found)
    else:
        print_explanation(found)
    if not found["known"]:
        raise typer.Exit(1)


@contextmanager
def _sealed(where: Endpoints, store: Store) -> Iterator[SealedLog | None]:
    """The log, or None while Kafka does not answer: what is stored is told all the same."""
    if not is_reachable(where.kafka):
        yield None
        return
    with SealedLog(where, store.keys) as log:
        yield log


@contextmanager
def _impact(where: Endpoints) -> Iterator[Impact]:
    client = connect(where.clickhouse)
    try:
        yield Impact(client)
    finally:
        client.close()


@contextmanager
def _store(settings: Settings, where: Endpoints) -> Iterator[Store]:
    store = open_store(settings, where)
    try:
        yield store
    finally:
        store.close()


def _records(where: Endpoints, topic: Topic) -> Iterator[Record]:
    reader = consumer(where, _READER_GROUP)
    try:
        for message in read_all(reader, topic):
            partition, offset, value = message.partition(), message.offset(), message.value()
            if partition is not None and offset is not None:
                yield Record(
                    Partition(topic.name, partition), offset, None if value is None else bytes(value)
                )
    finally:
        reader.close()


def _day(until: datetime | None) -> date | None:
    return None if until is None else until.date()


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False))
