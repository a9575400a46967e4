"""`rapport connect` and `rapport revoke`: whose mailbox may be read, and no longer."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

import typer
from rich.padding import Padding
from rich.text import Text

from rapport import logs
from rapport.cli.changing import progress
from rapport.cli.connections import as_document
from rapport.cli.operator import operator
from rapport.cli.tables import console
from rapport.connecting import revoking
from rapport.connecting.desk import ConnectingDesk, Outcome
from rapport.connecting.loopback import Page, has_browser, loopback, open_browser
from rapport.connecting.opened import open_desk
from rapport.connecting.registry import LogRegistry
from rapport.settings import endpoints, load_settings
from rapport.store import Store, open_store
from rapport.store.sign_ins import LIFETIME
from rapport_core.clock import SystemClock, to_ms
from rapport_core.errors import ConfigError, RapportError, RefusedError
from rapport_schemas.records import Connection

app = typer.Typer()
connect = typer.Typer(no_args_is_help=True, help="Connect a member's mailbox and calendars.")

Tenant = Annotated[str, typer.Option(help="Id of the tenant.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@connect.callback()
def _providers() -> None:
    """Keeps the provider's name in the command."""


@connect.command()
def microsoft(
    *,
    tenant: Tenant,
    member: Annotated[
        str, typer.Option(help="Whose mailbox: the directory's id. Not needed with --application.")
    ] = "",
    connection: Annotated[
        str, typer.Option(help="Id of the connection.", show_default="microsoft-MEMBER")
    ] = "",
    device: Annotated[
        bool, typer.Option("--device", help="Sign in with a code, in a browser on any machine.")
    ] = False,
    features: Annotated[
        list[str] | None, typer.Option(help="An optional permission: out_of_office. May be repeated.")
    ] = None,
    application: Annotated[
        bool,
        typer.Option("--application", help="Connect all members, by an administrator's consent."),
    ] = False,
    microsoft_tenant: Annotated[
        str, typer.Option(help="With --application: the organisation's id or domain.")
    ] = "",
    without: Annotated[
        list[str] | None,
        typer.Option("--except", metavar="MEMBER", help="With --application: leave this member out."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Connects mail and calendars of Microsoft 365: of one member who signs in, or of all by an administrator's consent.

    Repeating it mends whatever an earlier run left half done, and connects again what was revoked.
    """
    logs.configure("error")
    if application:
        if connection or device or features:
            raise ConfigError("--connection, --device and --features are for one member who signs in")
        if not microsoft_tenant:
            raise ConfigError(
                "say whose mailboxes: --microsoft-tenant is the organisation's domain or id at Microsoft"
            )
        _connect_all(tenant, microsoft_tenant, member, without or (), as_json=as_json)
        return
    if microsoft_tenant or without:
        raise ConfigError("--microsoft-tenant and --except go with --application")
    if not member:
        raise ConfigError("say whose mailbox: --member is an id of the directory")
    _connect_one(tenant, member, connection, tuple(features or ()), device=device, as_json=as_json)


@app.command()
def revoke(
    connection: Annotated[
        str, typer.Argument(metavar="ID", help="The connection, as `rapport connections` prints it.")
    ],
    *,
    tenant: Tenant,
) -> None:
    """Forgets what a connection signs in with. What was read is kept; connecting again goes on from there."""
    logs.configure("error")
    settings = load_settings()
    where = endpoints(settings)
    with open_store(settings, where) as store:
        revoking.revoke(store, LogRegistry(where), tenant, connection, to_ms(SystemClock().now()))
        _audit(store, tenant, "connection_revoked", connection)
    typer.echo(
        f"{connection} is revoked: its mailbox is read no more; `rapport disconnect` erases what was read"
    )


def _connect_one(
    tenant: str, member: str, connection: str, features: Sequence[str], *, device: bool, as_json: bool
) -> None:
    with _opened() as (store, desk):
        if not device and not has_browser():
            _tell("This machine has no browser to open, so this goes on with a code, as with --device.")
            device = True
        sign_in = _by_code if device else _by_browser
        made = sign_in(desk, tenant, member, connection, features)
        _audit(store, tenant, "connected", made["connection"])
    if as_json:
        typer.echo(json.dumps(as_document(made), ensure_ascii=False))
        return
    goes_on = "goes on being read" if made["first_ended"] else "is read from now on, newest first"
    _print(
        f"{made['connection']} is connected. The mail of {member} {goes_on}; `rapport connections --tenant {tenant}` says how far it is."
    )


def _by_code(
    desk: ConnectingDesk, tenant: str, member: str, connection: str, features: Sequence[str]
) -> Connection:
    place = desk.place(tenant, member, connection)
    code = desk.begin_device(features)
    _tell(f"Open {code.address} in a browser on any machine and enter the code {code.code}")
    _tell("Waiting for that; Ctrl-C gives up.")
    return desk.finish_device(place, code)


def _by_browser(
    desk: ConnectingDesk, tenant: str, member: str, connection: str, features: Sequence[str]
) -> Connection:
    session, outcome = secrets.token_urlsafe(32), list[Connection | Exception]()
    with loopback() as back:
        target = desk.begin(tenant, member, back.address, session, features, connection, by_admin=True)
        _tell("Sign in at Microsoft in the browser that opens now. If none does, open this there yourself:")
        _tell(f"\n{target}\n")
        open_browser(target)

        def finish(query: Mapping[str, str]) -> Page:
            outcome.append(_finished(desk, session, query))
            return _page_of(outcome[0])

        (state,) = parse_qs(urlsplit(target).query)["state"]
        if not back.wait(state, finish, LIFETIME.total_seconds()):
            raise RefusedError(
                "nobody came back from Microsoft within ten minutes, so nothing was connected: start it again, "
                "with --device where the browser is on another machine"
            )
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


def _finished(desk: ConnectingDesk, session: str, query: Mapping[str, str]) -> Connection | Exception:
    try:
        return desk.finish(session, query)
    except Exception as error:  # noqa: BLE001 - it is raised where the command waits
        return error


def _page_of(outcome: Connection | Exception) -> Page:
    if isinstance(outcome, RapportError):
        text = str(outcome)
        return Page("Not connected", f"{text[:1].upper()}{text[1:].rstrip('.')}.")
    if isinstance(outcome, Exception):
        return Page("Not connected", "Something went wrong here; the command says what.")
    return Page("Connected", "You can close this window.")


def _connect_all(
    tenant: str, microsoft_tenant: str, member: str, without: Sequence[str], *, as_json: bool
) -> None:
    with _opened() as (store, desk), progress("connecting mailboxes") as shown:
        outcomes = desk.connect_tenant(tenant, microsoft_tenant, without=without, only=member, progress=shown)
        for one in outcomes:
            if one.connection is not None and not one.reason:
                _audit(store, tenant, "connected", one.connection["connection"])
    if as_json:
        typer.echo(json.dumps([_as_document(one) for one in outcomes], ensure_ascii=False))
        return
    made = sum(one.connection is not None for one in outcomes)
    _print(
        f"{made} of {len(outcomes)} members connected; `rapport connections --tenant {tenant}` says how far they are."
    )
    for one in outcomes:
        if one.reason:
            _print(f"{one.member}: {one.reason}", indent=2)


def _as_document(one: Outcome) -> dict[str, object]:
    made = one.connection
    return {
        "member": one.member,
        "connection": None if made is None else as_document(made),
        "reason": one.reason,
    }


@contextmanager
def _opened() -> Iterator[tuple[Store, ConnectingDesk]]:
    settings = load_settings()
    where = endpoints(settings)
    with open_store(settings, where) as store:
        yield store, open_desk(settings, where, store)


def _audit(store: Store, tenant: str, action: str, connection: str) -> None:
    store.audit.record(tenant=tenant, user=operator(), action=action, object=connection)


def _print(sentence: str, indent: int = 0) -> None:
    console().print(Padding(Text(sentence), (0, 0, 0, indent)))


def _tell(sentence: str) -> None:
    """Says something to the person, beside what the command prints."""
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201 - it must be seen before the command goes on
