"""Health of matching for people who may read it: sealed names opened, and the command that settles each line beside it."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from shlex import join
from typing import TypedDict

from rapport_core.errors import PoisonError
from rapport_core.keys import TenantKeys
from rapport_processors.mail.addresses import domain_of
from rapport_schemas.sealing import unseal
from rapport_schemas.topics import composite_key
from rapport_sinks.clickhouse.matching_health import Ambiguity, Candidate, Flood, Health, Unmatched

AUDITED = "unmatched_listed"
"""The action under which an audit entry says that somebody read names out of unmatched mail."""


class Missed(TypedDict):
    """One external domain or address that matches nothing; `name` is empty where it cannot be opened any more.

    For the other fields see `Unmatched`.
    """

    name: str
    items: int
    left_out: int
    example: str
    rule: str
    last: str


class Option(Candidate):
    """One way to settle an ambiguity, with the command that does it."""

    command: str


class Undecided(TypedDict):
    """One ambiguous address or domain; for the numbers see `Ambiguity`."""

    what: str
    value: str
    candidates: list[Option]
    items: int
    members: int
    customers: int


class Report(TypedDict):
    """What `rapport matching --json` prints and the page shows."""

    window: dict[str, str]
    domains: list[Missed]
    addresses: list[Missed]
    ambiguous: list[Undecided]
    floods: list[Flood]


def report(health: Health, tenant: str, keys: TenantKeys) -> Report:
    """The same with readable names. It opens content of unmatched mail: for entitled roles, audited by the caller."""
    return {
        "window": health["window"],
        "domains": _missed(health["domains"], tenant, keys, of_domains=True),
        "addresses": _missed(health["addresses"], tenant, keys, of_domains=False),
        "ambiguous": [_undecided(one, tenant) for one in health["ambiguous"]],
        "floods": health["floods"],
    }


def choice_command(tenant: str, what: str, value: str, candidate: Candidate) -> str:
    """The command that says who an ambiguous address or domain is. Values are quoted: they came with mail."""
    chosen = [f"--{candidate['kind']}", candidate["id"]]
    return join(["rapport", "directory", "set", "choice", f"--{what}", value, *chosen, "--tenant", tenant])


def _missed(found: Sequence[Unmatched], tenant: str, keys: TenantKeys, *, of_domains: bool) -> list[Missed]:
    opened: list[Missed] = []
    for one in found:
        address = _opened(one["sealed"], tenant, keys)
        opened.append(
            {
                "name": domain_of(address) if of_domains else address,
                "items": one["items"],
                "left_out": one["left_out"],
                "example": one["example"],
                "rule": one["rule"],
                "last": one["last"],
            }
        )
    return opened


def _opened(sealed: str, tenant: str, keys: TenantKeys) -> str:
    try:
        return unseal(keys.seal, b64decode(sealed), composite_key("stranger", tenant)).decode()
    except PoisonError:
        return ""


def _undecided(one: Ambiguity, tenant: str) -> Undecided:
    options: list[Option] = [
        {**candidate, "command": choice_command(tenant, one["what"], one["value"], candidate)}
        for candidate in one["candidates"]
    ]
    return {**one, "candidates": options}
