"""`rapport completeness`: what providers show, what of it is here, what is missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rapport import logs
from rapport.cli.tables import console
from rapport.completeness import Compared, compared
from rapport.connecting.registry import LogRegistry
from rapport.settings import endpoints, load_settings
from rapport_core.clock import SystemClock
from rapport_sinks.clickhouse.client import connect
from rapport_sinks.clickhouse.completeness import ConnectionNumbers

app = typer.Typer()
_DEFAULT_DAYS: Final = 200
_NUMBERS: Final = ("listed", "present", "missing", "matched")
_NO_DAY: Final = "no time"


@app.command()
def completeness(
    *,
    tenant: Annotated[str, typer.Option(help="Id of the tenant.")],
    connection: Annotated[str, typer.Option(help="Only this connection, day by day.")] = "",
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="From this day on, in UTC.", show_default="200 days ago"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compares connections with their providers: what these show, what of that is here, what is missing, what is matched."""
    logs.configure("error")
    where = endpoints(load_settings())
    begin = since or SystemClock().now().astimezone(UTC) - timedelta(days=_DEFAULT_DAYS)
    records = LogRegistry(where).connections(tenant)
    with closing(connect(where.clickhouse)) as client:
        found = compared(ConnectionNumbers(client), records, tenant, begin.date(), connection)
    if as_json:
        since_day = begin.date().isoformat()
        document = {"tenant": tenant, "since": since_day, "timezone": "UTC", "connections": found}
        typer.echo(json.dumps(document, ensure_ascii=False))
    elif not found:
        typer.echo(
            "There is nothing to compare: "
            f"`rapport connect microsoft --tenant {tenant} --member M` connects a mailbox."
        )
    elif connection:
        print_days(console(), found[0])
    else:
        print_connections(console(), found)


def print_connections(out: Console, found: Sequence[Compared]) -> None:
    """A row for each connection."""
    table = Table(box=None, pad_edge=False)
    table.add_column("connection", min_width=18, overflow="fold")
    for name in _NUMBERS:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("compared, UTC", no_wrap=True)
    for one in found:
        numbers = [f"{one['listed']:,}", f"{one['present']:,}", _missing(one["missing"])]
        table.add_row(escape(one["connection"]), *numbers, f"{one['matched']:,}", _moment(one["last_sweep"]))
    out.print(table)


def print_days(out: Console, found: Compared) -> None:
    """A row for each day of one connection, and below it what is to be known of it."""
    table = Table(box=None, pad_edge=False)
    table.add_column("day, UTC", no_wrap=True)
    for name in _NUMBERS:
        table.add_column(name, justify="right", no_wrap=True)
    for day in found["days"]:
        numbers = [f"{day['listed']:,}", f"{day['present']:,}", _missing(day["missing"])]
        table.add_row(day["day"] or _NO_DAY, *numbers, f"{day['matched']:,}")
    if found["days"]:
        out.print(table)
    if found["last_sweep"] is None:
        out.print("It was not compared yet: that follows the first sync.")
        return
    what = (
        f"{found['missing']:,} missing: their days are read again by themselves; "
        "what cannot be read stands in `rapport dlq list`."
    )
    said = what if found["missing"] else "Nothing is missing."
    out.print(f"Compared {_moment(found['last_sweep'])} UTC. {said}")


def _missing(count: int) -> str:
    return f"[bold]{count:,}[/]" if count else "0"


def _moment(iso: str | None) -> str:
    return "never" if iso is None else f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d %H:%M}"
