"""`rapport dlq`: what could not be processed, where it came from and why."""

from __future__ import annotations

import json
from collections.abc import Iterator

import typer
from rich.console import Console
from rich.table import Table

from rapport.kafka import consumer, wire
from rapport.settings import endpoints, load_settings
from rapport.topic_reader import read_all
from rapport_core.clock import from_ms
from rapport_core.errors import ConfigError
from rapport_schemas.records import DeadLetter
from rapport_schemas.topics import DEAD

app = typer.Typer(no_args_is_help=True, help="What could not be processed: origin and reason, never content.")
_GROUP = "rapport-dlq-reader"


def dead_letters(tenant: str | None) -> list[DeadLetter]:
    """Open dead letters, oldest first; the newest record of each id counts. All tenants where none is named."""
    newest: dict[str, DeadLetter] = {}
    for letter in _letters():
        newest[letter["id"]] = letter
    wanted = [letter for letter in newest.values() if tenant is None or letter["tenant"] in ("", tenant)]
    return sorted((letter for letter in wanted if letter["state"] == "open"), key=lambda letter: letter["at"])


def _letters() -> Iterator[DeadLetter]:
    where = endpoints(load_settings())
    reader, decode = consumer(where, _GROUP), wire(where)
    try:
        for message in read_all(reader, DEAD):
            if (value := message.value()) is not None:  # those of a connection that was erased are taken back
                yield decode.decode("dead_letter", value)
    finally:
        reader.close()


@app.command("list")
def list_(
    *,
    tenant: str | None = typer.Option(
        None, "--tenant", help="Only this tenant and what has no known tenant."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Lists what could not be processed."""
    letters = dead_letters(tenant)
    if as_json:
        typer.echo(json.dumps(letters))
        return
    if not letters:
        typer.echo("Nothing is in the dead-letter topic.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("when", "stage", "reason", "id"):
        table.add_column(column, overflow="fold")
    for letter in letters:
        when = from_ms(letter["at"]).strftime("%Y-%m-%d %H:%M")
        table.add_row(when, letter["stage"], letter["reason"], letter["id"])
    Console().print(table)
    typer.echo("`rapport dlq show ID` tells one in full.")


@app.command()
def show(
    letter_id: str = typer.Argument(metavar="ID", help="As `rapport dlq list` prints it."),
    *,
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Shows one dead letter: where it came from, why, and what that means."""
    found = next((letter for letter in dead_letters(None) if letter["id"] == letter_id), None)
    if found is None:
        raise ConfigError(f"no open dead letter has the id {letter_id}; `rapport dlq list` prints them")
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(f"{found['reason']}: {found['detail']}")
    typer.echo(f"stage:      {found['stage']}")
    typer.echo(f"origin:     {found['origin']}")
    typer.echo(f"tenant:     {found['tenant'] or 'unknown'}")
    typer.echo(f"connection: {found['connection'] or 'unknown'}")
    typer.echo(f"when:       {from_ms(found['at']).isoformat(timespec='seconds')}")
