"""`rapport directory`: who the tenant's people and customers are."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from rapport import logs
from rapport.cli import directory_changes
from rapport.cli.changing import (
    AsJson,
    Tenant,
    Wait,
    as_document,
    lines,
    open_desk,
    progress,
    records_of,
    summary,
    wait_for,
)
from rapport.directory.change import Change
from rapport.directory.change import load as load_file
from rapport.directory.differences import line
from rapport.directory.document import Stated
from rapport.directory.file import notes, read_file, to_document
from rapport.directory.merge import Merge, merge
from rapport.directory.records import Key, entries_of
from rapport_core.clock import SystemClock, to_ms
from rapport_core.errors import ConfigError, RefusedError
from rapport_processors.directory_settings import parse_connection, parse_tenant
from rapport_schemas.records import DirectoryEntry

app = typer.Typer(no_args_is_help=True, help="Who the tenant's people and customers are.")

ASKING_ABOVE: Final = 0.05
"""A prune that deletes a larger part of the directory asks first."""
File = Annotated[
    Path, typer.Argument(metavar="FILE", help="A directory as JSON, or as CSV when it ends in .csv.")
]
_NOUNS: Final = {
    "member": "members",
    "customer": "customers",
    "contact": "contacts",
    "exclusion": "exclusions",
}


@app.command()
def load(
    file: File,
    *,
    tenant: Annotated[str, typer.Option(help="Whose directory it is; must be the file's tenant.id.")],
    prune: Annotated[bool, typer.Option("--prune", help="Delete what the file lacks.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a large prune.")] = False,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Merges a directory file into the tenant's directory. Loading a file twice changes nothing."""
    stated = _read(file, tenant)
    with open_desk() as (settings, desk):
        if prune and not yes:
            _confirm(merge(records_of(tenant), stated, _now_ms(), prune=True))
        with progress("publishing the directory") as shown:
            done = load_file(desk, stated, prune=prune, progress=shown)
    typer.echo(as_document(tenant, done) if as_json else summary(tenant, done.merge))
    if wait:
        wait_for(settings, tenant)


@app.command()
def diff(
    file: File,
    *,
    tenant: Tenant,
    prune: Annotated[bool, typer.Option("--prune", help="As a load with --prune.")] = False,
    as_json: AsJson = False,
) -> None:
    """Says what loading a file would change, entry by entry. Exit 1 when there is a difference."""
    logs.configure("error")
    stated = _read(file, tenant)
    before = records_of(tenant)
    would = Change(before, merge(before, stated, _now_ms(), prune=prune))
    if as_json:
        typer.echo(as_document(tenant, would))
    else:
        for line in lines(would):
            typer.echo(line)
        typer.echo(summary(tenant, would.merge))
    if would.merge.changed:
        raise typer.Exit(RefusedError.exit_code)


@app.command()
def show(
    *,
    tenant: Tenant,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON that `load` reads.")] = False,
) -> None:
    """Shows the tenant's directory."""
    logs.configure("error")
    records = records_of(tenant)
    if ("tenant", tenant) not in records:
        raise ConfigError(
            f"there is no directory of {tenant}: load one with `rapport directory load FILE --tenant {tenant}`"
        )
    if as_json:
        typer.echo(json.dumps(to_document(records, tenant), ensure_ascii=False, indent=1))
    else:
        _print(records, tenant)


def _read(file: Path, tenant: str) -> Stated:
    stated = read_file(file)
    if stated.tenant != tenant:
        raise ConfigError(
            f"{file} is the directory of {stated.tenant}, not of {tenant}: load it with --tenant {stated.tenant}"
        )
    for note in notes(stated):
        typer.echo(f"note: {note}", err=True)
    return stated


def _now_ms() -> int:
    return to_ms(SystemClock().now())


def _confirm(result: Merge) -> None:
    if result.pruned <= ASKING_ABOVE:
        return
    what = f"pruning deletes {result.pruned:.0%} of the directory, {result.deleted:,} entries among it"
    if not sys.stdin.isatty():
        raise RefusedError(f"{what}; nothing was changed: repeat with --yes if that is meant")
    if not typer.confirm(f"{what}. Go on?", err=True):
        raise RefusedError("nothing was changed")


def _print(records: Mapping[Key, DirectoryEntry], tenant: str) -> None:
    console = Console(markup=False, highlight=False)
    tenant_record = records["tenant", tenant]
    timezone, settings = parse_tenant(tenant_record["settings"])
    counts = Counter(kind for kind, _ in records)
    parts = [f"{counts[kind]:,} {noun if counts[kind] != 1 else kind}" for kind, noun in _NOUNS.items()]
    typer.echo(f"{tenant}: {', '.join(parts)}; time zone {timezone}")
    own_domains = ", ".join(line(entry) for entry in tenant_record["domains"])
    typer.echo(f"own domains: {own_domains or 'those of the members'}")
    for name, value in sorted(settings.items()):
        typer.echo(f"{name}: {json.dumps(value, ensure_ascii=False)}")
    for kind in ("member", "customer", "contact"):
        table = Table(title=_NOUNS[kind].capitalize(), title_justify="left", box=None, pad_edge=False)
        for column in ("id", "name", "addresses" if kind != "customer" else "domains"):
            table.add_column(column, overflow="fold")
        for record in _of(records, kind):
            values = [line(entry) for entry in entries_of(record)]
            table.add_row(record["id"], record["name"], "\n".join(values))
        if table.row_count:
            console.print(table)
    for record in _of(records, "exclusion"):
        typer.echo(f"excluded: {_dated(record)}")
    for record in _of(records, "choice"):
        typer.echo(f"chosen: {_dated(record)} is {record['contact'] or record['customer']}")
    for record in _of(records, "connection"):
        own = parse_connection(record["settings"])
        said = ", ".join(f"{name} {json.dumps(value)}" for name, value in sorted(own.items()))
        typer.echo(f"connection {record['id']}: {said}")


def _of(records: Mapping[Key, DirectoryEntry], kind: str) -> list[DirectoryEntry]:
    return [record for key, record in sorted(records.items()) if key[0] == kind]


def _dated(record: DirectoryEntry) -> str:
    """Its id, which says its value, and the validity."""
    validity = (line({**entry, "value": ""}) for entry in entries_of(record))
    return " ".join([record["id"], *filter(None, validity)])


app.registered_commands.extend(directory_changes.app.registered_commands)
