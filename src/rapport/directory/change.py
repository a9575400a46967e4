"""Changing a tenant's directory in the topic: one writer at a time, read, changed and confirmed under one lease.

Commands, the dashboard and the workers' timer all change it here. Every function may raise ConfigError for what is wrong, and
UnavailableError when a service is away or another writer is at it for half a minute; repeating is safe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from rapport.directory import edits
from rapport.directory.document import Stated
from rapport.directory.edits import Edit
from rapport.directory.merge import Merge, merge, reached, with_former
from rapport.directory.publish import publish
from rapport.directory.read import read_directory
from rapport.directory.records import Key
from rapport.kafka import consumer, producer, wire
from rapport.settings import Endpoints
from rapport.store import Store
from rapport_core.clock import Clock, SystemClock, to_ms
from rapport_schemas.records import DirectoryEntry

GROUP: Final = "rapport-directory-reader"
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Change:
    """What a change did: the tenant's records before it, none deleted, and what was published."""

    before: Mapping[Key, DirectoryEntry]
    merge: Merge


@dataclass(frozen=True, slots=True)
class Desk:
    """Where directories are changed.

    Attributes:
        where: the services.
        store: has the lease, and the keys behind what records remember.
        clock: says since when a change is recorded.
    """

    where: Endpoints
    store: Store
    clock: Clock = field(default_factory=SystemClock)

    def change(self, tenant: str, edit: Edit, progress: Progress | None = None) -> Change:
        """Reads the directory, changes it, and returns once the broker has what changed. `progress` is told of publishing."""
        with self.store.leases.held(f"directory of {tenant}") as lease:
            decode = wire(self.where)
            with closing(consumer(self.where, GROUP)) as reader:
                found = read_directory(reader, decode, tenant)
            result = edit(found.records, to_ms(self.clock.now()))
            key = self.store.keys.tenant_keys(tenant).hash
            changed = with_former(result.changed, {**found.gone, **found.records}, key)
            lease.renew()
            publish(producer(self.where), decode, changed, progress)
        return Change(found.records, result)


def load(desk: Desk, stated: Stated, *, prune: bool, progress: Progress | None = None) -> Change:
    """Merges what a file says."""
    return desk.change(
        stated.tenant, lambda records, now_ms: merge(records, stated, now_ms, prune=prune), progress
    )


def say(desk: Desk, tenant: str, kind: str, content: Mapping[str, object]) -> Change:
    """Makes an entry, or adds to it, what an object of a directory file says: `{"id": "p1", "addresses": ["x@kund.se"]}`."""
    edit = edits.chosen if kind == "choice" else partial(edits.said, kind=kind)
    return desk.change(tenant, lambda records, now_ms: edit(records, tenant, content=content, now_ms=now_ms))


def choose(
    desk: Desk, tenant: str, *, address: str = "", contact: str = "", domain: str = "", customer: str = ""
) -> Change:
    """Says which contact an ambiguous address is, or which customer an ambiguous domain is of."""
    named = {"address": address, "contact": contact, "domain": domain, "customer": customer}
    return say(desk, tenant, "choice", {name: value for name, value in named.items() if value})


def end(desk: Desk, tenant: str, key: Key, value: str = "", at: str = "") -> Change:
    """Closes an address or domain of an entry, or all of them, at a time as files have it or now."""
    return desk.change(tenant, lambda records, now_ms: edits.ended(records, key, value, at, now_ms))


def delete(desk: Desk, tenant: str, key: Key, value: str = "") -> Change:
    """Takes out an address or domain of an entry, or the whole entry: it was never true."""
    return desk.change(tenant, lambda records, now_ms: edits.deleted(records, key, value, now_ms))


def configure(
    desk: Desk,
    tenant: str,
    connection: str = "",
    changes: Mapping[str, object] | None = None,
    unset: str = "",
) -> Change:
    """Sets settings, or takes one back, of the tenant or of one of its connections."""
    gone = [unset] if unset else []
    return desk.change(
        tenant,
        lambda records, now_ms: edits.configured(records, tenant, connection, changes or {}, gone, now_ms),
    )


def reach(desk: Desk, tenant: str) -> Change:
    """Publishes again what began or ended since it was published (contract 6.6)."""
    return desk.change(tenant, lambda records, now_ms: Merge(changed=reached(records, now_ms)))
