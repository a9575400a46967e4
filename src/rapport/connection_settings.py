"""What the directory says of a connection and its member, read and changed for people at a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from rapport.dashboard.ports import MemberAddress, OwnSettings
from rapport.directory.change import Desk, delete, end
from rapport.directory.edits import Records, configured, said, subject_of
from rapport.directory.merge import Merge
from rapport.directory.records import end_of, key_of
from rapport.newest import Newest, of_kinds
from rapport.settings import Endpoints
from rapport_core.clock import Clock, SystemClock, to_ms
from rapport_core.errors import ConfigError
from rapport_processors.directory_settings import TenantSettings, parse_connection, parse_tenant
from rapport_processors.mail.addresses import comparable
from rapport_schemas.records import DirectoryEntry
from rapport_schemas.topics import DIRECTORY

_KINDS = ("tenant", "connection", "member")


class SettingsDesk:
    """A `rapport.dashboard.ports.ConnectionSettings` over the directory topic."""

    def __init__(self, endpoints: Endpoints, desk: Desk, clock: Clock | None = None) -> None:
        self._desk = desk
        self._directory = Newest(endpoints, DIRECTORY, "rapport-settings-reader", of_kinds(*_KINDS))
        self._clock = clock or SystemClock()

    def read(self, tenant: str, connection: str, member: str) -> OwnSettings:
        """See ConnectionSettings."""
        records = {key_of(one): one for one in self._directory.of(tenant) if not one["deleted"]}
        return own_settings(records, tenant, connection, member, to_ms(self._clock.now()))

    def override(self, tenant: str, connection: str, values: Mapping[str, object]) -> None:
        """See ConnectionSettings. One change of the directory, whatever the number of settings."""
        changes = {name: value for name, value in values.items() if value is not None}
        back = [name for name, value in values.items() if value is None]
        self._desk.change(
            tenant, lambda records, now_ms: configured(records, tenant, connection, changes, back, now_ms)
        )

    def add_address(self, tenant: str, member: str, address: str) -> None:
        """See ConnectionSettings."""
        if comparable(address) is None:
            raise ConfigError("this is no mail address: write one such as anna@your-company.com")
        content = {"id": member, "addresses": [address]}

        def added(records: Records, now_ms: int) -> Merge:
            subject_of(records, "member", member)  # whom nobody knows an address does not make
            return said(records, tenant, "member", content, now_ms)

        self._desk.change(tenant, added)

    def end_address(self, tenant: str, member: str, address: str) -> None:
        """See ConnectionSettings."""
        end(self._desk, tenant, ("member", member), address)

    def delete_address(self, tenant: str, member: str, address: str) -> None:
        """See ConnectionSettings."""
        delete(self._desk, tenant, ("member", member), address)


def own_settings(
    records: Mapping[tuple[str, str], DirectoryEntry], tenant: str, connection: str, member: str, now_ms: int
) -> OwnSettings:
    """What a tenant's records say of one connection and its member. Pure."""
    own, person = records.get(("connection", connection)), records.get(("member", member))
    given = parse_tenant(records[("tenant", tenant)]["settings"])[1] if ("tenant", tenant) in records else {}
    everybody = {one.name: one.default for one in fields(TenantSettings)}
    return {
        "addresses": [] if person is None else _addresses(person, now_ms),
        "everybody": {**everybody, **given},
        "own": parse_connection(own["settings"]) if own else {},
    }


def _addresses(person: DirectoryEntry, now_ms: int) -> list[MemberAddress]:
    return [
        {"address": one["value"], "ended": (over := end_of(one)) is not None and over <= now_ms}
        for one in person["addresses"]
    ]
