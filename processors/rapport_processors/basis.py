"""The basis of a partition's decisions: settings and own domains, as they stood when it last heard of a change.

Of an address or a domain the directory's record itself says which items a change can affect. Of settings it does not: what they were
before decides. So each partition keeps what it decided with, and a difference says what has to be swept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from rapport_core.ids import HASH_BYTES
from rapport_processors.directory import TenantDirectory
from rapport_processors.directory_settings import settings_json
from rapport_processors.public_providers import version
from rapport_processors.state import StateBatch, group
from rapport_processors.sweeps import EVERYTHING
from rapport_processors.terms import domain_term, near_term

_WITHOUT_EFFECT: Final = frozenset({"counted_classes", "history_months", "retention_months", "keep_days"})
"""Settings that decide nothing about an item."""

_NEAR_ONLY: Final = frozenset(
    {
        "match_by",
        "sync_unknown_sender",
        "sync_unknown_organizer",
        "owner_must_be_listed",
        "count_list_delivery",
        "ambiguous",
    }
)
"""Settings that decide nothing about items in which no contact and no customer's domain was found."""


class Basis(msgspec.Struct, frozen=True):
    """What decisions rest on beside single entries.

    Attributes:
        settings: of the tenant, where they differ from their defaults.
        overrides: of each connection that has settings of its own.
        own: a fingerprint of each own domain's validity, by the domain's term.
        providers: the version of the list of public mail providers; a new program may bring another.
    """

    settings: dict[str, Any]
    timezone: str
    overrides: dict[str, dict[str, Any]]
    own: dict[bytes, bytes]
    providers: str


def basis_of(directory: TenantDirectory, hash_key: bytes) -> Basis:
    """The basis that this directory is."""
    return Basis(
        settings_json(directory.settings),
        directory.timezone,
        {connection: dict(values) for connection, values in directory.overrides().items()},
        _own(directory.own_domains(), hash_key),
        version(),
    )


def _own(domains: Mapping[str, bytes], hash_key: bytes) -> dict[bytes, bytes]:
    own = {domain_term(hash_key, domain): said for domain, said in domains.items() if "." in domain}
    # A name without a dot is nobody's domain but a mistake: no item has a term for it.
    names = [domain.encode() + said for domain, said in sorted(domains.items()) if "." not in domain]
    return {**own, EVERYTHING: b" ".join(names)} if names else own


def affected(before: Basis, after: Basis, hash_key: bytes) -> set[bytes]:
    """The terms of all items that the difference can affect."""
    settings = _differing(before.settings, after.settings) - _WITHOUT_EFFECT
    reaching = before.timezone, before.providers
    if settings - _NEAR_ONLY or reaching != (after.timezone, after.providers):
        return {EVERYTHING}
    terms = _differing(before.own, after.own)
    if settings or before.overrides != after.overrides:
        terms.add(near_term(hash_key))
    return terms


def _differing(before: dict[Any, Any], after: dict[Any, Any]) -> set[Any]:
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def is_outdated(basis: Basis | None) -> bool:
    """Whether it has to be taken anew although no directory change says so: at first, and where the program is another one."""
    return basis is None or basis.providers != version()


def load(state: StateBatch, space: bytes) -> Basis | None:
    """What this generation of the tenant was last decided with here; None before the first decision."""
    stored = state.get(_rows(space))
    return msgspec.msgpack.decode(stored, type=Basis) if stored is not None else None


def save(state: StateBatch, space: bytes, basis: Basis) -> None:
    """Notes it. The caller raises the partition's floor to the directory it was taken from: nobody may decide with an older one."""
    state.put(_rows(space), b"", msgspec.msgpack.encode(basis))


def _rows(space: bytes) -> bytes:
    return group(space, b"b", bytes(HASH_BYTES))
