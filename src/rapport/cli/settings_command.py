"""`rapport settings`: a tenant's settings, and what its connections have of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, TypedDict

import typer
from rich.markup import escape
from rich.table import Table

from rapport.cli.changing import AsJson, Tenant, Wait, change, records_of
from rapport.cli.tables import console
from rapport.directory.change import configure
from rapport.directory.csv_form import plain
from rapport.directory.edits import subject_of
from rapport.directory.records import Key
from rapport_processors.directory_settings import TenantSettings, parse_connection, parse_tenant
from rapport_schemas.records import DirectoryEntry

app = typer.Typer(
    no_args_is_help=True, help="A tenant's settings, and what its connections have of their own."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A setting, such as match_by.")]
Connection = Annotated[str, typer.Option(help="Of this connection only.")]


@app.command("set")
def set_(
    name: Name,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="A word, a number, true, false, or JSON.")],
    *,
    tenant: Tenant,
    connection: Connection = "",
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Sets one. Everything that it can affect is decided again."""
    said = {name: plain(value)}
    change(tenant, lambda desk: configure(desk, tenant, connection, said), wait=wait, as_json=as_json)


@app.command()
def unset(
    name: Name, *, tenant: Tenant, connection: Connection = "", wait: Wait = False, as_json: AsJson = False
) -> None:
    """Takes one back: the tenant has its default again, a connection what the tenant has."""
    change(tenant, lambda desk: configure(desk, tenant, connection, unset=name), wait=wait, as_json=as_json)


@app.command()
def show(*, tenant: Tenant, as_json: AsJson = False) -> None:
    """Shows the settings in force, and those of connections."""
    found = in_force(records_of(tenant), tenant)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    _print(found)


class InForce(TypedDict):
    """A tenant's settings.

    `settings` has all of them, `set` those that the directory gives, `connections` what each has of its own.
    """

    tenant: str
    timezone: str
    settings: dict[str, object]
    set: dict[str, object]
    connections: dict[str, dict[str, object]]


def in_force(records: Mapping[Key, DirectoryEntry], tenant: str) -> InForce:
    """What the tenant's records say, with the defaults. Raises ConfigError when there is no such tenant."""
    timezone, given = parse_tenant(subject_of(records, "tenant", tenant)["settings"])
    defaults = {field.name: field.default for field in fields(TenantSettings) if field.name != "grace_hours"}
    defaults["counted_classes"] = list(TenantSettings().counted_classes)
    connections = {
        record_id: parse_connection(record["settings"])
        for (kind, record_id), record in sorted(records.items())
        if kind == "connection"
    }
    return {
        "tenant": tenant,
        "timezone": timezone,
        "settings": {**defaults, **given},
        "set": given,
        "connections": connections,
    }


def _print(found: InForce) -> None:
    typer.echo(f"{found['tenant']}: time zone {found['timezone']}")
    table = Table(box=None, pad_edge=False)
    for column in ("setting", "value", "from"):
        table.add_column(column, overflow="fold")
    for name, value in found["settings"].items():
        table.add_row(name, _shown(value), "the tenant" if name in found["set"] else "default")
    for connection, own in found["connections"].items():
        for name, value in own.items():
            table.add_row(name, _shown(value), escape(f"connection {connection}"))
    console().print(table)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else escape(json.dumps(value, ensure_ascii=False))
