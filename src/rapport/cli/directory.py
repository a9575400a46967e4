"""`rapport directory`: who the tenant's people and customers are."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from rapport import logs
from rapport.directory.file import notes, read_file, to_document
from rapport.directory.merge import Merge, merge
from rapport.directory.publish import publish
from rapport.directory.read import read_directory
from rapport.directory.records import Key
from rapport.kafka import consumer, ensure_topics, producer, wire
from rapport.settings import Settings, endpoints, load_settings
from rapport_core.clock import SystemClock, to_ms
from rapport_core.errors import ConfigError, RefusedError
from rapport_processors.directory_settings import parse_tenant
from rapport_schemas.records import DirectoryEntry

app = typer.Typer(no_args_is_help=True, help="Who the tenant's people and customers are.")

ASKING_ABOVE: Final = 0.05
"""A prune that deletes a larger part of the directory asks first."""
_GROUP = "rapport-directory-reader"
_QUIET_SECONDS = 2.0
_NOUNS: Final = {
    "member": "members",
    "customer": "customers",
    "contact": "contacts",
    "exclusion": "exclusions",
}


@app.command()
def load(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A directory as JSON, or as CSV when it ends in .csv.")
    ],
    *,
    tenant: Annotated[str, typer.Option(help="Whose directory it is; must be the file's tenant.id.")],
    prune: Annotated[bool, typer.Option("--prune", help="Delete what the file lacks.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a large prune.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when everything is decided by it.")] = False,
) -> None:
    """Merges a directory file into the tenant's directory. Loading a file twice changes nothing."""
    logs.configure("error")
    stated = read_file(file)
    if stated.tenant != tenant:
        raise ConfigError(
            f"{file} is the directory of {stated.tenant}, not of {tenant}: load it with --tenant {stated.tenant}"
        )
    for note in notes(stated):
        typer.echo(f"note: {note}", err=True)
    settings = load_settings()
    where = endpoints(settings)
    ensure_topics(where)
    decode = wire(where)
    with closing(consumer(where, _GROUP)) as reader:
        existing = read_directory(reader, decode, tenant).records
    result = merge(existing, stated, to_ms(SystemClock().now()), prune=prune)
    _confirm(result, asked=prune and not yes)
    with _progress("publishing the directory") as progress:
        publish(producer(where), decode, result.changed, progress)
    typer.echo(summary(tenant, result))
    if wait:
        _wait(settings, tenant)


@app.command()
def show(
    *,
    tenant: Annotated[str, typer.Option(help="Whose directory.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON that `load` reads.")] = False,
) -> None:
    """Shows the tenant's directory."""
    logs.configure("error")
    where = endpoints(load_settings())
    with closing(consumer(where, _GROUP)) as reader:
        records = read_directory(reader, wire(where), tenant).records
    if ("tenant", tenant) not in records:
        raise ConfigError(
            f"there is no directory of {tenant}: load one with `rapport directory load FILE --tenant {tenant}`"
        )
    if as_json:
        typer.echo(json.dumps(to_document(records, tenant), ensure_ascii=False, indent=1))
    else:
        _print(records, tenant)


def summary(tenant: str, result: Merge) -> str:
    """The one line that says what a load did."""
    if not result.changed:
        return f"directory of {tenant}: nothing new, {result.unchanged:,} entries as before"
    parts = {
        "added": result.added,
        "changed": result.updated,
        "deleted": result.deleted,
        "as before": result.unchanged,
    }
    return f"directory of {tenant}: " + ", ".join(
        f"{count:,} {what}" for what, count in parts.items() if count
    )


def _confirm(result: Merge, *, asked: bool) -> None:
    if not asked or result.pruned <= ASKING_ABOVE:
        return
    what = f"pruning deletes {result.pruned:.0%} of the directory, {result.deleted:,} entries among it"
    if not sys.stdin.isatty():
        raise RefusedError(f"{what}; nothing was changed: repeat with --yes if that is meant")
    if not typer.confirm(f"{what}. Go on?", err=True):
        raise RefusedError("nothing was changed")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal for what takes longer than two seconds; silence otherwise."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task(what, total=None)
    begun = time.monotonic()

    def advance(done: int, total: int) -> None:
        if not bar.live.is_started and time.monotonic() - begun > _QUIET_SECONDS:
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield advance
    finally:
        bar.stop()


def _wait(settings: Settings, tenant: str) -> None:
    """Imported here: waiting needs ClickHouse's client, loading does not."""
    from rapport.waiting import wait_for_visible  # noqa: PLC0415

    with _progress("waiting until everything is visible") as progress:
        wait_for_visible(settings, tenant, progress)


def _print(records: Mapping[Key, DirectoryEntry], tenant: str) -> None:
    console = Console(markup=False, highlight=False)
    own = records["tenant", tenant]
    timezone, settings = parse_tenant(own["settings"])
    counts = Counter(kind for kind, _ in records)
    parts = [f"{counts[kind]:,} {noun if counts[kind] != 1 else kind}" for kind, noun in _NOUNS.items()]
    typer.echo(f"{tenant}: {', '.join(parts)}; time zone {timezone}")
    typer.echo(
        f"own domains: {', '.join(entry['value'] for entry in own['domains']) or 'those of the members'}"
    )
    for name, value in sorted(settings.items()):
        typer.echo(f"{name}: {json.dumps(value, ensure_ascii=False)}")
    for kind in ("member", "customer", "contact"):
        table = Table(title=_NOUNS[kind].capitalize(), title_justify="left", box=None, pad_edge=False)
        for column in ("id", "name", "addresses" if kind != "customer" else "domains"):
            table.add_column(column, overflow="fold")
        for _, record in sorted(item for item in records.items() if item[0][0] == kind):
            values = record["domains"] if kind == "customer" else record["addresses"]
            table.add_row(
                record["id"],
                record["name"],
                "\n".join(_dated(entry["value"], entry["ended_at"]) for entry in values),
            )
        if table.row_count:
            console.print(table)
    for kind, record_id in sorted(records):
        if kind == "exclusion":
            typer.echo(f"excluded: {record_id}")


def _dated(value: str, ended_at: int | None) -> str:
    return value if ended_at is None else f"{value} (ended)"
