"""What the commands that change a directory share: the services, progress, waiting, and how a change is told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from rapport import logs
from rapport.directory.change import GROUP, Change, Desk
from rapport.directory.differences import differences, text
from rapport.directory.merge import Merge
from rapport.directory.read import read_directory
from rapport.directory.records import Key
from rapport.kafka import consumer, ensure_topics, wire
from rapport.settings import Settings, endpoints, load_settings
from rapport.store import open_store
from rapport_schemas.records import DirectoryEntry

Tenant = Annotated[str, typer.Option(help="Whose directory.")]
Wait = Annotated[bool, typer.Option("--wait", help="Return when everything is decided by it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_QUIET_SECONDS: Final = 2.0


@contextmanager
def open_desk() -> Iterator[tuple[Settings, Desk]]:
    """The settings of this process, and where directories are changed."""
    logs.configure("error")
    settings = load_settings()
    where = endpoints(settings)
    ensure_topics(where)
    with open_store(settings, where) as store:
        yield settings, Desk(where, store)


def records_of(tenant: str) -> dict[Key, DirectoryEntry]:
    """The tenant's records as the topic has them now, none deleted. Needs Kafka alone."""
    logs.configure("error")
    where = endpoints(load_settings())
    with closing(consumer(where, GROUP)) as reader:
        return read_directory(reader, wire(where), tenant).records


def change(tenant: str, work: Callable[[Desk], Change], *, wait: bool, as_json: bool) -> None:
    """Does a change of some entries, tells what it was, and waits for it if asked."""
    with open_desk() as (settings, desk):
        done = work(desk)
    if as_json:
        typer.echo(as_document(tenant, done))
    else:
        for line in lines(done):
            typer.echo(line)
        typer.echo(summary(tenant, done.merge))
    if wait:
        wait_for(settings, tenant)


def lines(done: Change) -> list[str]:
    """A line for each entry that changes."""
    return [text(one) for one in differences(done.before, done.merge.changed)]


def as_document(tenant: str, done: Change) -> str:
    """The same for programs."""
    said = done.merge
    counts = {
        "added": said.added,
        "changed": said.updated,
        "deleted": said.deleted,
        "as_before": said.unchanged,
    }
    entries = differences(done.before, said.changed)
    return json.dumps({"tenant": tenant, **counts, "entries": entries}, ensure_ascii=False)


def summary(tenant: str, result: Merge) -> str:
    """The one line that says what a change did."""
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


def wait_for(settings: Settings, tenant: str) -> None:
    """Imported here: waiting needs ClickHouse's client, changing does not."""
    from rapport.waiting import wait_for_visible  # noqa: PLC0415

    with progress("waiting until everything is visible") as shown:
        wait_for_visible(settings, tenant, shown)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
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
