"""`rapport matching`: what the directory misses, what is ambiguous, which contact floods."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from rapport.cli.operator import operator
from rapport.cli.tables import console, giving_way
from rapport.matching_report import AUDITED, Missed, Report, Undecided, report
from rapport.settings import Endpoints, Settings, endpoints, load_settings
from rapport.store import open_store
from rapport_core.clock import SystemClock
from rapport_core.errors import ConfigError, UnavailableError
from rapport_sinks.clickhouse.client import connect
from rapport_sinks.clickhouse.matching_health import (
    FLOOD_DAYS,
    HEALTH_DAYS,
    HEALTH_ROWS,
    Flood,
    MatchingHealth,
)

app = typer.Typer()
_HEADLINES = 3
_UNREADABLE = "(its name cannot be opened)"


@app.command()
def matching(
    *,
    tenant: Annotated[str, typer.Option("--tenant", help="The directory's id of the tenant.")],
    days: Annotated[
        int, typer.Option("--days", help="Count what matches nothing over so many days.")
    ] = HEALTH_DAYS,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Lines of each list.")] = HEALTH_ROWS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Who is met often and matches nothing, what is ambiguous, and which contact suddenly floods. It is audited."""
    settings = load_settings()
    found = read_report(settings, endpoints(settings), tenant, days, limit)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        _print(found, tenant, days)


def read_report(
    settings: Settings, where: Endpoints, tenant: str, days: int = HEALTH_DAYS, limit: int = HEALTH_ROWS
) -> Report:
    """The tenant's report, with an audit entry for it.

    Raises ConfigError for a tenant without a directory and UnavailableError while ClickHouse or the store is away.
    """
    with closing(connect(where.clickhouse)) as client:
        health = MatchingHealth(client).health(tenant, SystemClock().now(), days, limit)
    with open_store(settings, where) as store:
        store.audit.record(tenant=tenant, user=operator(), action=AUDITED, object=tenant)
        return report(health, tenant, store.keys.tenant_keys(tenant))


def headlines(settings: Settings, where: Endpoints, tenant: str) -> dict[str, Any]:
    """The first lines of the report: domains with their items, ambiguous values, names of floods. It is audited, too.

    `problem` instead, in a sentence, where they cannot be read: that must stop nothing else.
    """
    try:
        found = read_report(settings, where, tenant, limit=_HEADLINES)
    except (UnavailableError, ConfigError) as error:
        return {"problem": str(error)}
    return {
        "domains": [
            {"domain": one["name"], "items": one["items"]} for one in found["domains"] if one["name"]
        ],
        "ambiguous": [one["value"] for one in found["ambiguous"]],
        "floods": [one["name"] for one in found["floods"]],
    }


def headline(tenant: str, found: dict[str, Any]) -> str:
    """The same in one line."""
    if "problem" in found:
        return f"Matching of {tenant}: {found['problem']}"
    missed = [f"{one['domain']} ({one['items']})" for one in found["domains"]]
    lists = {"matches nothing": missed, "ambiguous": found["ambiguous"], "a flood": found["floods"]}
    said = "; ".join(f"{what}: {', '.join(names)}" for what, names in lists.items() if names)
    if not said:
        return f"Matching of {tenant}: nothing to do"
    return f"Matching of {tenant}: {said} (rapport matching --tenant {tenant})"


def _print(found: Report, tenant: str, days: int) -> None:
    out = console()
    first, last = found["window"]["from"][:10], found["window"]["to"][:10]
    out.print(f"{days} days, {first} to {last}. Items in bulk mail and what you excluded are not counted.\n")
    _print_missed(out, "domain", found["domains"])
    _print_missed(out, "address", found["addresses"])
    if found["domains"] or found["addresses"]:
        out.print(
            "Is one a customer? rapport directory set customer ID --name NAME --domain DOMAIN\n"
            f"Why is one left out? rapport explain ADDRESS --tenant {tenant}\n",
            markup=False,
        )
    _print_undecided(out, found["ambiguous"])
    _print_floods(out, found["floods"])


def _print_missed(out: Console, what: str, missed: Sequence[Missed]) -> None:
    if not missed:
        out.print(f"No external {what} matches nothing.\n")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{what} that matches nothing")
    table.add_column("items", justify="right", no_wrap=True)
    table.add_column("left out", justify="right", no_wrap=True)
    table.add_column("last", no_wrap=True)
    for one in missed:
        name = giving_way(one["name"] or _UNREADABLE)
        table.add_row(name, str(one["items"]), str(one["left_out"]), one["last"][:10])
    out.print(table)
    out.print()


def _print_undecided(out: Console, undecided: Sequence[Undecided]) -> None:
    if not undecided:
        out.print("Nothing is ambiguous.")
    for one in undecided:
        out.print(
            f"{one['value']} is ambiguous. It touches {_many(one['items'], 'item')}, "
            f"{_many(one['members'], 'member')} and {_many(one['customers'], 'customer')}. It may be:",
            markup=False,
        )
        for option in one["candidates"]:
            # Not wrapped: a person copies it.
            out.print(f"  {option['name']}: {option['command']}", markup=False, soft_wrap=True)


def _print_floods(out: Console, floods: Sequence[Flood]) -> None:
    for one in floods:
        out.print(
            f"A flood: {one['name']} ({one['contact']}) wrote {one['items']} items in {FLOOD_DAYS} days, usually "
            f"{one['before']:.0f} a week, touching {_many(one['customers'], 'customer')}.",
            markup=False,
        )
    if not floods:
        out.print("No contact floods.")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
