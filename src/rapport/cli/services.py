"""`rapport up`, `doctor` and `config show`: the services of this machine."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from rapport import logs
from rapport.doctor import Finding, examine
from rapport.local import instance
from rapport.local.parts import MODULES
from rapport.local.supervisor import Supervisor
from rapport.settings import PREFIX, Settings, load_settings
from rapport_core.errors import UnavailableError

app = typer.Typer()
config_app = typer.Typer(no_args_is_help=True, help="The settings in force.")
app.add_typer(config_app, name="config")

_DOCTOR_PAUSE_SECONDS = 0.5
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def up() -> None:
    """Run everything in the foreground: Kafka, ClickHouse, sink, workers, dashboard. Ctrl-C stops it in order."""
    run(load_settings())


def run(settings: Settings, modules: str = MODULES) -> None:
    """Runs an instance until it is told to stop. `modules` is the package of the process modules."""
    logs.configure("error")
    progress = _Progress()
    supervisor = Supervisor(settings, report=_say, progress=progress.show, modules=modules)
    with closing(progress), _stopped_by_signals(supervisor), supervisor:
        progress.close()
        if not supervisor.is_stopping:
            typer.echo(ready_line(supervisor))
        supervisor.wait()


def ready_line(supervisor: Supervisor) -> str:
    """The one line that says that everything is ready, and where."""
    return f"rapport is ready: {supervisor.endpoints.dashboard} (data in {supervisor.settings.home}; Ctrl-C stops it)"


@app.command()
def doctor(
    *,
    wait: Annotated[
        float, typer.Option(help="Wait that many seconds for everything to be fine.", min=0)
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Say for each part: fine, or what to do. Exit 69 when something is not fine."""
    settings = load_settings()
    logs.configure("error")
    findings = _examine_until(settings, time.monotonic() + wait)
    broken = [found for found in findings if not found.is_fine]
    if as_json:
        parts = [{"part": found.part, "fine": found.is_fine, "text": found.text} for found in findings]
        typer.echo(json.dumps({"fine": not broken, "parts": parts}))
    else:
        _print_findings(findings)
    if broken:
        raise typer.Exit(UnavailableError.exit_code)


@config_app.command("show")
def config_show(*, as_json: AsJson = False) -> None:
    """The settings in force, where each comes from, secrets masked."""
    settings = load_settings()
    found = effective(settings)
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("setting", "value", "from"):
        table.add_column(column, overflow="fold")
    for name, one in found.items():
        table.add_row(name, one["value"] or "-", one["origin"])
    Console().print(table)


def effective(settings: Settings) -> dict[str, dict[str, str | None]]:
    """Every setting with its value (secrets masked) and origin: environment, running instance, or default."""
    running = instance.read_running(settings.home)
    recorded = {} if running is None else asdict(running)
    found: dict[str, dict[str, str | None]] = {}
    for name in Settings.model_fields:
        value, origin = getattr(settings, name), "default"
        if os.environ.get(PREFIX + name.upper()):
            origin = PREFIX + name.upper()
        elif recorded.get(name):
            value, origin = recorded[name], "rapport up"
        found[name] = {"value": masked(value), "origin": origin}
    return found


def masked(value: object) -> str | None:
    """A value that may be shown: passwords in addresses and secrets are replaced."""
    if value is None:
        return None
    if isinstance(value, SecretStr):
        return "***"
    text = str(value)
    if "://" in text:
        parts = urlsplit(text)
        if parts.password:
            place = parts.netloc.rpartition("@")[2]
            text = urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{place}"))
    return text


def _say(line: str) -> None:
    """A line about a part, beside whatever the command prints."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the terminal is what this command talks to


class _Progress:
    """What is being waited for, on a terminal only."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._status = console.status("starting") if console.is_terminal else None
        if self._status is not None:
            self._status.start()

    def show(self, text: str) -> None:
        """Replaces the line."""
        if self._status is not None:
            self._status.update(text)

    def close(self) -> None:
        """Removes the line; safe to repeat."""
        if self._status is not None:
            self._status.stop()


@contextmanager
def _stopped_by_signals(supervisor: Supervisor) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal end the instance in order; a second one at once."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: supervisor.request_stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _examine_until(settings: Settings, deadline: float) -> list[Finding]:
    while True:
        findings = examine(settings)
        if all(found.is_fine for found in findings) or time.monotonic() > deadline:
            return findings
        time.sleep(_DOCTOR_PAUSE_SECONDS)


def _print_findings(findings: list[Finding]) -> None:
    console = Console()
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for found in findings:
        mark = "[green]fine[/]" if found.is_fine else "[red]not[/]"
        table.add_row(found.part, mark, found.text)
    console.print(table)
