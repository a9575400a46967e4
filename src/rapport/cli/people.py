"""`rapport user`: who may sign in to the dashboard."""

from __future__ import annotations

import json
import sys

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rapport.cli.operator import operator
from rapport.settings import load_settings
from rapport.store import Store, open_store
from rapport.store.users import ROLES, User, check_user, generate_password
from rapport_core.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Who may sign in to the dashboard.")
_TENANT = typer.Option(..., "--tenant", help="The tenant the user belongs to.")


@app.command("add")
def add(
    email: str = typer.Argument(..., help="The address the user signs in with."),
    *,
    tenant: str = _TENANT,
    role: str = typer.Option(..., "--role", help=f"One of {', '.join(ROLES)}."),
    member: str | None = typer.Option(
        None, "--member", help="With role member: the directory's id of this team member."
    ),
    password_stdin: bool = typer.Option(
        False, "--password-stdin", help="Read the password from standard input."
    ),
) -> None:
    """Adds a user. Asks for the password on a terminal; otherwise makes one and prints it once."""
    check_user(email, tenant, role, member)
    with _store() as store:
        password, made = _password(password_stdin)
        user = store.users.add(email, tenant=tenant, role=role, password=password, member=member)
        store.audit.record(tenant=tenant, user=operator(), action="user_added", object=user.id)
    typer.echo(f"added {user.email} ({user.role}) to tenant {user.tenant}")
    if made:
        typer.echo(f"password: {password}   (shown once; it is stored nowhere)")


@app.command("list")
def list_(
    *,
    tenant: str = _TENANT,
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Lists the users of a tenant."""
    with _store() as store:
        users = store.users.list(tenant)
    if as_json:
        typer.echo(json.dumps([_as_json(user) for user in users]))
    elif not users:
        typer.echo(
            f"Tenant {tenant} has no users: add one with rapport user add EMAIL --tenant {tenant} --role admin"
        )
    else:
        _print(users)


@app.command("remove")
def remove(
    email: str = typer.Argument(..., help="The user's address."),
    *,
    tenant: str = _TENANT,
) -> None:
    """Removes a user; whoever is signed in as him is signed out at once."""
    with _store() as store:
        user = store.users.remove(email, tenant=tenant)
        store.audit.record(tenant=tenant, user=operator(), action="user_removed", object=user.id)
    typer.echo(f"removed {user.email} from tenant {user.tenant}")


def _store() -> Store:
    """The store needs no running services."""
    return open_store(load_settings())


def _password(from_stdin: bool) -> tuple[str, bool]:
    """The password, and whether it was made here."""
    if from_stdin:
        line = sys.stdin.readline().rstrip("\r\n")
        if not line:
            raise ConfigError(
                "no password came on standard input: pipe one in, or leave out --password-stdin"
            )
        return line, False
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True)), False
    return generate_password(), True


def _as_json(user: User) -> dict[str, str | None]:
    return {
        "email": user.email,
        "role": user.role,
        "member": user.member,
        "created_at": user.created_at.isoformat(timespec="seconds"),
    }


def _print(users: list[User]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("email", "role", "member", "created"):
        table.add_column(column, overflow="fold")
    for user in users:
        table.add_row(escape(user.email), user.role, escape(user.member or ""), f"{user.created_at:%Y-%m-%d}")
    Console().print(table)
