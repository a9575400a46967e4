"""Mounts every command and turns errors into one sentence and an exit code."""

from __future__ import annotations

import sys
from importlib.metadata import version

import typer

from rapport import logs
from rapport.cli import (
    completeness,
    connecting,
    connections,
    dead_letters,
    demo,
    directory,
    disconnecting,
    ingest,
    keys,
    matching,
    people,
    results,
    services,
    settings_command,
    status,
)
from rapport.local import instance
from rapport.settings import load_settings
from rapport_core.errors import RapportError, UnavailableError

app = typer.Typer(
    name="rapport",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Mail and calendars in, one correct and explained record of customer relationships out.",
)
app.add_typer(directory.app, name="directory")
app.add_typer(settings_command.app, name="settings")
app.add_typer(people.app, name="user")
app.add_typer(dead_letters.app, name="dlq")
app.add_typer(ingest.app, name="ingest")
app.add_typer(connecting.connect, name="connect")
app.add_typer(keys.app, name="keys")
for flat in (
    services.app,
    status.app,
    matching.app,
    connections.app,
    completeness.app,
    connecting.app,
    disconnecting.app,
    results.app,
    demo.app,
):
    app.registered_commands.extend(flat.registered_commands)
    app.registered_groups.extend(flat.registered_groups)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("rapport"))
        raise typer.Exit


@app.callback()
def root(
    *,
    _: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Mail and calendars in, one correct and explained record of customer relationships out."""


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 difference or refusal, 2 wrong use, 69 a service is away, 70 invariant."""
    logs.configure("error")
    try:
        app()
    except RapportError as error:
        print(f"error: {_sentence(error)}", file=sys.stderr)  # noqa: T201 - the one place that speaks for all commands
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _sentence(error: RapportError) -> str:
    """What went wrong and what to do. Behind a service that is away there may be a full disk, which nothing else tells."""
    if not isinstance(error, UnavailableError) or "is full" in str(error):
        return str(error)
    try:
        home = load_settings().home
    except RapportError:
        return str(error)
    return (
        f"{error}; the disk under {home} is full: free some space first"
        if instance.is_full(home)
        else str(error)
    )
