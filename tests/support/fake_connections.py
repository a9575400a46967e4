"""Everything behind the pages about connections, in memory: records, settings, a Microsoft that agrees, and an eraser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, cast

from rapport.connecting.desk import ADMIN_CONSENTED
from rapport.dashboard.parts import ConnectionParts
from rapport.dashboard.ports import OwnSettings
from rapport_core.clock import to_ms
from rapport_core.errors import ConfigError
from rapport_producers.microsoft_sign_in_errors import SignInError
from rapport_producers.records import Owner, new_connection
from rapport_schemas.records import Connection
from rapport_sinks.clickhouse.completeness import Completeness, CoveredDay, Gap

AUTHORITY = "https://login.microsoft.example/authorize"


def ms(*when: int) -> int:
    """Milliseconds of a UTC time."""
    return to_ms(datetime(*when, tzinfo=UTC))  # type: ignore[misc,arg-type]  # year, month, day, perhaps hour and minute


def record(member: str, tenant: str = "acme", **said: Any) -> Connection:
    """A Microsoft account of a member that was read through and compared this morning."""
    connection = said.get("connection", f"microsoft-{member}")
    usual = {
        "access": "delegated",
        "last_sync": ms(2026, 11, 23, 11, 59),
        "oldest": ms(2026, 5, 24),
        "history_from": ms(2026, 5, 23),
        "first_total": 1200,
        "first_done": 1200,
        "first_ended": ms(2026, 11, 22),
        "last_sweep": ms(2026, 11, 23, 6),
        "push": "on",
        "updated_at": ms(2026, 11, 23, 11, 59),
    }
    owner = Owner(tenant, connection, member, said.get("provider", "graph"))
    return cast("Connection", {**new_connection(owner), **usual, **said})


def compared(day: str, listed: int, present: int, matched: int = 0) -> CoveredDay:
    """One day of a comparison."""
    return {"day": day, "listed": listed, "present": present, "missing": listed - present, "matched": matched}


@dataclass
class FakeConnections:
    """A whole back room. `did` is what it was told to do; `refuse` is what signing in raises, `fail` what reading does."""

    records: list[Connection] = field(default_factory=list)
    days: dict[str, list[CoveredDay]] = field(default_factory=dict)
    counted_at: str = "2026-11-23T06:00:10Z"
    addresses: dict[str, list[str]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    own: dict[str, dict[str, object]] = field(default_factory=dict)
    items: int = 1234
    is_queued: bool = False
    did: list[tuple[Any, ...]] = field(default_factory=list)
    refuse: Exception | None = None
    fail: Exception | None = None
    flows: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    asked_by_admin: list[bool] = field(default_factory=list)

    def parts(self, **without: None) -> ConnectionParts:
        """For an application; what is named has no port behind it."""
        given: dict[str, Any] = {
            "settings": self,
            "microsoft": self,
            "disconnecting": self,
            "comparisons": lambda: self,
        }
        return ConnectionParts(read=self.read_records, **(given | without))

    def read_records(self, tenant: str) -> Sequence[Connection]:
        """See ConnectionReader."""
        if self.fail is not None:
            raise self.fail
        return [one for one in self.records if one["tenant"] == tenant]

    def completeness(self, tenant: str, connection: str, since: date) -> Completeness:
        """See Comparisons."""
        days = [one for one in self.days.get(connection, []) if one["day"] >= since.isoformat()]
        return {"connection": connection, "days": days, "last_sweep": None}

    def gaps(self, tenant: str, since: date) -> dict[str, Gap]:
        """See Comparisons."""
        asked = {name: self.completeness(tenant, name, since)["days"] for name in self.days}
        return {
            name: {"missing": sum(one["missing"] for one in days), "compared_at": self.counted_at}
            for name, days in asked.items()
        }

    # -- settings

    def read(self, tenant: str, connection: str, member: str) -> OwnSettings:
        """See ConnectionSettings."""
        return {
            "addresses": [
                {"address": one, "ended": one in self.ended} for one in self.addresses.get(member, [])
            ],
            "everybody": {
                "sync_unknown_sender": False,
                "sync_unknown_organizer": False,
                "match_by": "address",
            },
            "own": self.own.get(connection, {}),
        }

    def override(self, tenant: str, connection: str, values: Mapping[str, object]) -> None:
        """See ConnectionSettings."""
        self.did.append(("override", tenant, connection, dict(values)))
        self.own[connection] = {name: value for name, value in values.items() if value is not None}

    def add_address(self, tenant: str, member: str, address: str) -> None:
        """See ConnectionSettings."""
        if "@" not in address:
            raise ConfigError("this is no mail address: write one such as anna@your-company.com")
        self.did.append(("add", tenant, member, address))
        self.addresses.setdefault(member, []).append(address)

    def end_address(self, tenant: str, member: str, address: str) -> None:
        """See ConnectionSettings."""
        self.did.append(("end", tenant, member, address))
        self.ended.add(address)

    def delete_address(self, tenant: str, member: str, address: str) -> None:
        """See ConnectionSettings."""
        self.did.append(("delete", tenant, member, address))
        self.addresses[member].remove(address)

    # -- Microsoft

    def begin(
        self,
        tenant: str,
        member: str,
        redirect: str,
        session: str,
        features: Sequence[str],
        *,
        by_admin: bool,
    ) -> str:
        """See Connecting. The page to go to sends the browser straight back where `redirect` leads."""
        if self.refuse is not None:
            raise self.refuse
        self.asked_by_admin.append(by_admin)
        self.did.append(("begin", tenant, member, redirect, tuple(features)))
        state = f"state{len(self.flows)}"
        self.flows[state] = (tenant, member, session)
        return f"{AUTHORITY}?state={state}&redirect_uri={redirect}"

    def finish(self, session: str, query: Mapping[str, str]) -> Connection:
        """See Connecting."""
        if self.refuse is not None:
            raise self.refuse
        if "admin_consent" in query:
            raise SignInError("needs_auth", ADMIN_CONSENTED, "an administrator has approved Rapport")
        tenant, member, begun_by = self.flows.pop(query.get("state", ""), ("", "", ""))
        if not member or begun_by != session:
            raise ConfigError("this sign-in was begun elsewhere or is over: start it again")
        made = record(member, tenant)
        self._put(made)
        return made

    def revoke(self, tenant: str, connection: str) -> None:
        """See Connecting."""
        self.did.append(("revoke", tenant, connection))
        self._put({**self._of(connection), "state": "needs_auth", "reason": "You took the consent back."})

    # -- the end

    def touched(self, tenant: str, connection: str) -> int:
        """See Disconnecting."""
        return self.items

    def disconnect(self, tenant: str, connection: str, *, keep_counts: bool, user: str) -> bool:
        """See Disconnecting."""
        self.did.append(("disconnect", tenant, connection, keep_counts, user))
        self._put({**self._of(connection), "state": "disconnected", "reason": ""})
        return not self.is_queued

    def _of(self, connection: str) -> Connection:
        return next(one for one in self.records if one["connection"] == connection)

    def _put(self, made: Connection) -> None:
        self.records = [one for one in self.records if one["connection"] != made["connection"]] + [made]
