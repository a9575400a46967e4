"""`rapport ingest`: reads a mailbox archive into the raw log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from confluent_kafka import Consumer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from rapport import logs
from rapport.ingest_lock import only_reader
from rapport.kafka import consumer, ensure_topics, producer, wire
from rapport.settings import Endpoints, Settings, endpoints, load_settings
from rapport.store import open_store
from rapport.topic_reader import read_all
from rapport_core.clock import SystemClock
from rapport_core.errors import ConfigError
from rapport_producers.archive.connector import PROVIDER, Link, Outcome, Watch, ingest
from rapport_producers.archive.sources import Archive, EmlArchive, MaildirArchive, MboxArchive, folder_option
from rapport_producers.ledger import Ledger, fold
from rapport_producers.publisher import Owner
from rapport_schemas.topics import CONNECTIONS, CURSORS, DIRECTORY, composite_key
from rapport_schemas.wire import Wire

app = typer.Typer(
    no_args_is_help=True,
    help="Reads a mailbox archive. Interrupt it and run it again: nothing is lost and nothing comes twice.",
)
_GROUP = "rapport-ingest-reader"
_SUFFIX = re.compile(r"(\.(mbox|mbx|eml))?(\.gz)?$", re.IGNORECASE)
_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

PathArgument = Annotated[Path, typer.Argument(metavar="PATH", help="The archive; gzip is recognised.")]
TenantOption = Annotated[str, typer.Option("--tenant", help="Id of the tenant.")]
MemberOption = Annotated[str, typer.Option("--member", help="Id of the team member whose mail this is.")]
ConnectionOption = Annotated[
    str | None,
    typer.Option("--connection", help="Name of the connection; else archive-MEMBER-NAME of the file."),
]
FolderOption = Annotated[str, typer.Option("--folder", help="What the archive is: inbox, sent or archive.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Return when everything ingested is visible.")]
AgainOption = Annotated[bool, typer.Option("--again", help="Read everything again; this changes no number.")]


@dataclass(frozen=True, slots=True)
class _Order:
    """What the command line asked for, besides the archive."""

    tenant: str
    member: str
    connection: str | None
    wait: bool
    again: bool


@app.command()
def mbox(
    path: PathArgument,
    *,
    tenant: TenantOption,
    member: MemberOption,
    connection: ConnectionOption = None,
    folder: FolderOption = "",
    wait: WaitOption = False,
    again: AgainOption = False,
) -> None:
    """Reads an mbox file, plain or gzip."""
    _run(MboxArchive(path, folder_option(folder)), _Order(tenant, member, connection, wait, again))


@app.command()
def maildir(
    path: PathArgument,
    *,
    tenant: TenantOption,
    member: MemberOption,
    connection: ConnectionOption = None,
    folder: FolderOption = "",
    wait: WaitOption = False,
    again: AgainOption = False,
) -> None:
    """Reads a Maildir with its subfolders, without drafts, junk and trash. --folder names the top folder."""
    _run(MaildirArchive(path, folder_option(folder)), _Order(tenant, member, connection, wait, again))


@app.command()
def eml(
    path: PathArgument,
    *,
    tenant: TenantOption,
    member: MemberOption,
    connection: ConnectionOption = None,
    folder: FolderOption = "",
    wait: WaitOption = False,
    again: AgainOption = False,
) -> None:
    """Reads one .eml file, or all in a folder and the folders below it."""
    _run(EmlArchive(path, folder_option(folder)), _Order(tenant, member, connection, wait, again))


def default_connection(member: str, path: Path) -> str:
    """The connection of an archive when none is named: `archive-MEMBER-STEM`, the same for a packed or moved file."""
    stem = _NAME.sub("-", _SUFFIX.sub("", path.resolve().name)).strip("-.")
    return f"archive-{member}-{stem or 'mail'}"


def summary(name: str, outcome: Outcome) -> str:
    """The one line that says what a run did."""
    if not outcome.published and not outcome.dead and outcome.before == outcome.read:
        return f"{name}: already ingested {outcome.read:,} mails; nothing new"
    parts = [
        f"{outcome.read:,} mails read",
        f"{outcome.published:,} published",
        f"{outcome.dead:,} dead-lettered",
    ]
    if outcome.before:
        parts.append(f"{outcome.before:,} were ingested before")
    if outcome.skipped:
        parts.append(f"{outcome.skipped:,} drafts, junk or trash left out")
    if outcome.cut:
        parts.append(f"{outcome.cut:,} with a header block cut at 256 KiB")
    line = f"{name}: {', '.join(parts)}"
    return (
        f"{line}; it changed since the last time and was read from its beginning" if outcome.changed else line
    )


def _run(archive: Archive, order: _Order) -> None:
    logs.configure("error")
    settings = load_settings()
    where = endpoints(settings)
    owner = _owner(archive, order)
    ensure_topics(where)
    # What the log knows is looked up under the lock: two runs from one cursor would use the same fetch numbers.
    with only_reader(settings.home, owner.tenant, owner.connection):
        outcome = _ingest(archive, owner, order, settings, where)
    typer.echo(summary(archive.name, outcome))
    if order.wait:
        _wait(settings, order.tenant)


def _ingest(archive: Archive, owner: Owner, order: _Order, settings: Settings, where: Endpoints) -> Outcome:
    with closing(consumer(where, _GROUP)) as reader:
        ledger = _look_up(where, reader, owner)
    with closing(open_store(settings, where)) as store, _watching(archive.name) as watch:
        link = Link(producer(where), wire(where), store.keys, SystemClock())
        return ingest(archive, owner, ledger, link, again=order.again, watch=watch)


def _owner(archive: Archive, order: _Order) -> Owner:
    connection = order.connection or default_connection(order.member, archive.path)
    for what, name in (("--tenant", order.tenant), ("--member", order.member), ("--connection", connection)):
        if not name.strip() or _CONTROL.search(name):
            raise ConfigError(f"{what} needs a name without control characters")
    return Owner(order.tenant, connection, order.member, PROVIDER)


def _look_up(where: Endpoints, reader: Consumer, owner: Owner) -> Ledger:
    """What the log knows of the connection, after making sure that its member is in the directory."""
    decode = wire(where)
    if not _is_member(reader, decode, owner):
        raise ConfigError(
            f"the directory of {owner.tenant} has no member {owner.member}: "
            f"load it with `rapport directory load FILE --tenant {owner.tenant}`"
        )
    records = (
        (topic.name, message.key(), message.value())
        for topic in (CONNECTIONS, CURSORS)
        for message in read_all(reader, topic)
    )
    return fold(records, decode, owner.tenant, owner.connection)


def _is_member(reader: Consumer, decode: Wire, owner: Owner) -> bool:
    key = composite_key(owner.tenant, "member", owner.member)
    newest = None
    for message in read_all(reader, DIRECTORY):
        if message.key() == key:
            newest = message.value()
    return newest is not None and not decode.decode("directory_entry", newest)["deleted"]


@contextmanager
def _watching(name: str) -> Iterator[Watch]:
    """A progress bar over the archive's bytes, with mails per second, where there is a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TextColumn("{task.fields[mails]:,} mails"),
        TextColumn("{task.fields[rate]:,}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None, mails=0, rate=0)

        def watch(outcome: Outcome) -> None:
            rate = int(outcome.read / max(bar.tasks[0].elapsed or 0, 0.001))
            bar.update(
                task, completed=outcome.consumed, total=outcome.total or None, mails=outcome.read, rate=rate
            )

        yield watch


def _wait(settings: Settings, tenant: str) -> None:
    """Imported here: waiting needs ClickHouse's client, ingesting does not."""
    from rapport.waiting import wait_for_visible  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (TextColumn("waiting until everything is visible"), BarColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("wait", total=None)
        wait_for_visible(
            settings, tenant, lambda arrived, expected: bar.update(task, completed=arrived, total=expected)
        )
