"""`rapport directory set`, `end` and `delete`: one entry at a time."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from rapport.cli.changing import AsJson, Tenant, Wait, change
from rapport.directory.change import delete as delete_entry
from rapport.directory.change import end as end_entry
from rapport.directory.change import say
from rapport.directory.records import ORDER, Key, choice_id, exclusion_id
from rapport_core.errors import ConfigError
from rapport_processors.directory_settings import suggestion
from rapport_processors.mail.addresses import comparable, comparable_domain

app = typer.Typer()

_LISTS: Final = {
    "tenant": "own_domains",
    "member": "addresses",
    "customer": "domains",
    "contact": "addresses",
}
_VALUES: Final = {"tenant": "domain", "member": "address", "customer": "domain", "contact": "address"}
_BY_CONTENT: Final = ("exclusion", "choice")
_KIND: Final = f"One of {', '.join(ORDER)}."
Kind = Annotated[str, typer.Argument(metavar="KIND", help=_KIND)]
Id = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="Left out for the tenant, and where an exclusion or choice is named by what it says.",
    ),
]
Address = Annotated[str, typer.Option(help="Of that address.")]
Domain = Annotated[str, typer.Option(help="Of that domain.")]
Member = Annotated[str, typer.Option(help="Id of the member of an excluded pair.")]
Contact = Annotated[str, typer.Option(help="Id of the contact of an excluded pair, or who an address is.")]


@app.command("set")
def set_(
    kind: Kind,
    entry: Id = "",
    *,
    tenant: Tenant,
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    address: Annotated[list[str] | None, typer.Option(help="An address; may be repeated.")] = None,
    domain: Annotated[list[str] | None, typer.Option(help="A domain; may be repeated.")] = None,
    customer: Annotated[str, typer.Option(help="Id of a contact's customer, or whose a domain is.")] = "",
    member: Member = "",
    contact: Contact = "",
    timezone: Annotated[str, typer.Option(help="The tenant's, such as Europe/Stockholm.")] = "",
    valid_from: Annotated[str, typer.Option("--from", metavar="ISO", help="Valid from this time.")] = "",
    valid_to: Annotated[str, typer.Option("--to", metavar="ISO", help="Valid until before this time.")] = "",
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Makes an entry, or adds to one: what is not named stays as it is."""
    _check_kind(kind)
    if kind == "connection":
        raise ConfigError(
            f"a connection has settings only: rapport settings set NAME VALUE --tenant {tenant} --connection {entry or 'ID'}"
        )
    texts = {"name": name, "customer": customer, "member": member, "contact": contact, "timezone": timezone}
    content: dict[str, object] = {field: value for field, value in texts.items() if value}
    validity = {field: at for field, at in (("valid_from", valid_from), ("valid_to", valid_to)) if at}
    values = [("address", one) for one in address or []] + [("domain", one) for one in domain or []]
    if kind in _BY_CONTENT:
        content |= {**dict(_one(kind, [*values, *_said_by(entry)])), **validity}
    else:
        content["id"] = _id(kind, entry, tenant)
        if validity and not values:
            raise ConfigError("--from and --to are of an address or a domain: name one")
        if wrong := [what for what, _ in values if what != _VALUES[kind]]:
            raise ConfigError(f"a {kind} has no {wrong[0]}: use --{_VALUES[kind]}")
        if values:
            content[_LISTS[kind]] = [{what: value, **validity} for what, value in values]
    change(tenant, lambda desk: say(desk, tenant, kind, content), wait=wait, as_json=as_json)


@app.command()
def end(
    kind: Kind,
    entry: Id = "",
    *,
    tenant: Tenant,
    address: Address = "",
    domain: Domain = "",
    member: Member = "",
    contact: Contact = "",
    at: Annotated[
        str, typer.Option(metavar="ISO", help="The first instant at which it is no longer valid; now.")
    ] = "",
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Closes an address or a domain of an entry, or all of them: it was true until then."""
    key, value = _key(kind, entry, tenant, address=address, domain=domain, member=member, contact=contact)
    change(tenant, lambda desk: end_entry(desk, tenant, key, value, at), wait=wait, as_json=as_json)


@app.command()
def delete(
    kind: Kind,
    entry: Id = "",
    *,
    tenant: Tenant,
    address: Address = "",
    domain: Domain = "",
    member: Member = "",
    contact: Contact = "",
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Takes out an address or a domain of an entry, or the whole entry: it was never true."""
    key, value = _key(kind, entry, tenant, address=address, domain=domain, member=member, contact=contact)
    change(tenant, lambda desk: delete_entry(desk, tenant, key, value), wait=wait, as_json=as_json)


def _check_kind(kind: str) -> None:
    if kind not in ORDER:
        raise ConfigError(f"there is no kind {kind}{suggestion(kind, ORDER)}")


def _id(kind: str, entry: str, tenant: str) -> str:
    if kind != "tenant":
        if not entry:
            raise ConfigError(
                f"name the {kind} by its id: it stands in `rapport directory show --tenant {tenant}`"
            )
        return entry
    if entry not in ("", tenant):
        raise ConfigError(f"the tenant is {tenant}, not {entry}: name it once, with --tenant")
    return tenant


def _said_by(entry: str) -> list[tuple[str, str]]:
    """The content of an id such as `address:x@kund.se`, as lists and pages show it."""
    what, _, value = entry.partition(":")
    return [(what, value)] if what in ("address", "domain") and value else []


def _one(kind: str, values: list[tuple[str, str]]) -> list[tuple[str, str]]:
    if len(values) > 1:
        raise ConfigError(f"name one address or one domain: each {kind} is an entry of its own")
    return values


def _key(kind: str, entry: str, tenant: str, **said: str) -> tuple[Key, str]:
    """Which entry, and which of its values, empty for all of it."""
    _check_kind(kind)
    values = [(what, said[what]) for what in ("address", "domain") if said[what]]
    if len(values) > 1:
        raise ConfigError("name an address or a domain, not both")
    if kind not in _BY_CONTENT:
        return (kind, _id(kind, entry, tenant)), values[0][1] if values else ""
    if entry:
        return (kind, entry), ""
    if values:
        [(what, value)] = values
        named = {what: (comparable(value) if what == "address" else comparable_domain(value)) or value}
        return (kind, exclusion_id(**named) if kind == "exclusion" else choice_id(**named)), ""
    if kind == "exclusion" and said["member"] and said["contact"]:
        return (kind, exclusion_id(member=said["member"], contact=said["contact"])), ""
    pair = ", or --member with --contact" if kind == "exclusion" else ""
    raise ConfigError(f"name the {kind} by its id, or by --address or --domain{pair}")
