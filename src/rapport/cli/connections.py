"""`rapport connections`: how each mailbox stands, how far it was read, what a person must do."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rapport import logs
from rapport.cli.tables import console, giving_way
from rapport.connecting.registry import LogRegistry
from rapport.dashboard.standing import PACE_WINDOW, Pace, progress_of
from rapport.settings import endpoints, load_settings
from rapport_core.clock import SystemClock, from_ms, to_ms
from rapport_schemas.records import Connection

app = typer.Typer()
_SHOWN = {"mailbox_unavailable": "unavailable"}


@app.command()
def connections(
    *,
    tenant: Annotated[str, typer.Option(help="Id of the tenant.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Lists the mailboxes and calendars of a tenant: how each stands, how far it was read, what a person must do."""
    logs.configure("error")
    window_ms = to_ms(SystemClock().now() - PACE_WINDOW)
    found, marks = LogRegistry(endpoints(load_settings())).connections_and_marks(tenant, window_ms)
    pace = Pace()
    for mark in marks:
        pace.left(mark)
    if as_json:
        typer.echo(json.dumps([as_document(one) for one in found], ensure_ascii=False))
    elif found:
        print_connections(console(), found, pace)
    else:
        typer.echo(
            f"No connections yet: `rapport connect microsoft --tenant {tenant} --member M` makes one, "
            "and so does `rapport ingest`."
        )


def as_document(one: Connection) -> dict[str, Any]:
    """A connection for programs. Times are ISO 8601 in UTC, or null."""
    away = one["out_of_office"]
    return {
        "id": one["connection"],
        "member": one["member"],
        "provider": one["provider"],
        "access": one["access"],
        "state": one["state"],
        "reason": one["reason"],
        "scopes": one["scopes"],
        "last_sync": _iso(one["last_sync"]),
        "history_from": _iso(one["history_from"]),
        "oldest": _iso(one["oldest"]),
        "first_sync": {
            "done": one["first_done"],
            "total": one["first_total"],
            "ended": _iso(one["first_ended"]),
        },
        "backlog": one["backlog"],
        "last_sweep": _iso(one["last_sweep"]),
        "push": one["push"],
        "out_of_office": None
        if away is None
        else {**away, "since": _iso(away["since"]), "until": _iso(away["until"])},
    }


def print_connections(out: Console, found: list[Connection], pace: Pace) -> None:
    """A table of at most 80 columns; below it, what is under way or waits for a person. `pace` knows earlier marks of first syncs."""
    table = Table(box=None, pad_edge=False)
    # These two give way, to 18 and 10 columns; an id is never cut, for other commands want to be told it.
    table.add_column("connection", min_width=18, overflow="fold")
    table.add_column("member", max_width=10)
    for heading in ("state", "synced, UTC", "back to"):
        table.add_column(heading, no_wrap=True)
    table.add_column("waiting", justify="right", no_wrap=True)
    for one in found:
        table.add_row(
            escape(one["connection"]),
            giving_way(one["member"]),
            _SHOWN.get(one["state"], one["state"]),
            _written(one["last_sync"], "%m-%d %H:%M") or "never",
            _written(one["oldest"], "%Y-%m-%d"),
            f"{one['backlog']:,}",
        )
    out.print(table)
    for one in found:
        for note in notes(one, pace):
            sentence, _, link = note.partition(": https://")
            out.print(Padding(Text(f"{one['connection']}: {sentence}"), (0, 0, 0, 2)))
            if link:  # whole, whatever its length: cut in two nobody can follow it
                out.print(Text(f"https://{link}"), soft_wrap=True)


def notes(one: Connection, pace: Pace) -> list[str]:
    """What is to be said of a connection besides its row."""
    found = [one["reason"]] if one["reason"] else []
    reading = None if one["history_from"] is None else progress_of(one, pace)
    if reading is not None:
        done, total = reading.done, reading.total
        share = f" of {total:,} ({100 * done // total} %)" if total else ""
        left = f", {reading.left} left" if reading.left else ""
        found.append(f"first sync, {done:,}{share} read{left}")
    return found


def _iso(ms: int | None) -> str | None:
    return None if ms is None else from_ms(ms).isoformat(timespec="seconds")


def _written(ms: int | None, form: str) -> str:
    return "" if ms is None else f"{from_ms(ms):{form}}"
