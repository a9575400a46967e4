"""`rapport disconnect`: ends a connection for good, and erases what it brought."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from rapport import logs
from rapport.cli.changing import progress
from rapport.cli.operator import operator
from rapport.erasing.opened import items_touched, open_desk
from rapport.settings import Endpoints, endpoints, load_settings
from rapport.store import open_store
from rapport_core.errors import ConfigError, RefusedError, UnavailableError

app = typer.Typer()


@app.command()
def disconnect(
    connection: Annotated[
        str, typer.Argument(metavar="ID", help="The connection, as `rapport status` prints it.")
    ],
    *,
    tenant: Annotated[str, typer.Option(help="Id of the tenant.")],
    erase: Annotated[
        bool, typer.Option("--erase", help="Take its copies out of every item and every number.")
    ] = False,
    keep_counts: Annotated[
        bool, typer.Option("--keep-counts", help="Erase the content, and leave every number as it is.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ends a connection and erases what it brought. The mailbox at the provider stays as it is.

    What is away meanwhile is waited for in the background: the command then says that it is queued.
    """
    logs.configure("error")
    if erase == keep_counts:
        raise ConfigError(
            "say what becomes of the numbers: --keep-counts leaves them, --erase takes them back"
        )
    settings = load_settings()
    where = endpoints(settings)
    touched = _touched(where, tenant, connection)
    if not yes:
        _confirm(connection, touched, keep_counts=keep_counts)
    with open_store(settings, where) as store, progress("waiting until it is out of every answer") as shown:
        desk = open_desk(settings, where, store, progress=shown)
        is_done = desk.disconnect(tenant, connection, keep_counts=keep_counts, user=operator())
    said = {
        "tenant": tenant,
        "connection": connection,
        "counts": "kept" if keep_counts else "erased",
        "items": touched,
        "done": is_done,
    }
    typer.echo(json.dumps(said) if as_json else _sentence(connection, is_done=is_done))


def _touched(where: Endpoints, tenant: str, connection: str) -> int | None:
    """Items in the numbers that have a copy of it; None while nobody can say."""
    try:
        return items_touched(where, tenant, connection)
    except UnavailableError:
        return None


def _confirm(connection: str, touched: int | None, *, keep_counts: bool) -> None:
    items = (
        "an unknown number of items (the tables do not answer)" if touched is None else f"{touched:,} items"
    )
    what = (
        f"{connection} is in {items}; its content is erased for good and every number stays"
        if keep_counts
        else f"{connection} is in {items}; its copies are erased for good and no longer count"
    )
    if not sys.stdin.isatty():
        raise RefusedError(f"{what}; nothing was changed: repeat with --yes if that is meant")
    if not typer.confirm(f"{what}. Go on?", err=True):
        raise RefusedError("nothing was changed")


def _sentence(connection: str, *, is_done: bool) -> str:
    if is_done:
        return (
            f"{connection} is disconnected: nothing of it is in any answer, and its pages cannot be read any more; "
            "the rest leaves the disks within a day"
        )
    return (
        f"{connection} is queued to be disconnected: something it needs is away, and it goes on by itself; "
        "`rapport doctor` says what"
    )
