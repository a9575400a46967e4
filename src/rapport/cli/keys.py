"""`rapport keys`: the key that opens the store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rapport import logs
from rapport.local import instance
from rapport.settings import load_settings
from rapport.store.master_key import key_file
from rapport.store.rotating import Rotated, rotate
from rapport_core.errors import ConfigError, RefusedError

app = typer.Typer(no_args_is_help=True, help="The master key, which opens everything secret in the store.")
_WARNING = "earlier backups of the store open with the present master key only; keep a copy of it as long as you keep them"


@app.callback()
def _keys() -> None:
    """Keeps `rotate` in the command."""


@app.command("rotate")
def rotate_(
    *,
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File for the new key; it may hold one of yours.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Makes a new master key and gives it to everything that the old one sealed. Safe to repeat after a crash.

    Where the key lies in a file, it works while Rapport runs. Nothing else is sealed anew, so it takes seconds.
    """
    logs.configure("error")
    settings = load_settings()
    file, target = key_file(settings), None if to is None else to.absolute()
    if target not in (None, file) or file is None:
        _refuse_while_running(settings.home)
    if not yes:
        _confirm()
    typer.echo(_sentence(rotate(settings, to=target)))


def _refuse_while_running(home: Path) -> None:
    """What runs looks for a new key where the old one was, and in no other place."""
    if instance.is_running(home):
        raise ConfigError(
            f"Rapport runs under {home}, and its processes would not find the new key in another place: "
            "stop it, rotate, and start it with RAPPORT_MASTER_KEY_FILE set to the new file"
        )


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise RefusedError(f"{_WARNING}; nothing was changed: repeat with --yes if that is done")
    if not typer.confirm(f"{_WARNING[:1].upper()}{_WARNING[1:]}. Go on?", err=True):
        raise RefusedError("nothing was changed")


def _sentence(done: Rotated) -> str:
    if done.in_place:
        return f"the master key in {done.file} is new; {done.count:,} secrets were given to it"
    return (
        f"the master key of this store is in {done.file} now: set RAPPORT_MASTER_KEY_FILE to it, "
        "unset RAPPORT_MASTER_KEY, and remove the old one"
    )
