"""Where members connect their accounts: from the first click to the connection's record, and the way back."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from rapport.connecting.accounts import Account, Accounts
from rapport.connecting.credential import PROVIDER, Access, Credential
from rapport.connecting.registry import Registry
from rapport.connecting.revoking import end_access, revoke
from rapport.directory.records import end_of
from rapport.erasing.order import KIND as DISCONNECT
from rapport.erasing.order import Order
from rapport.store import Store
from rapport_core.clock import Clock, SystemClock, to_ms
from rapport_core.errors import ConfigError, RapportError
from rapport_processors.mail.addresses import comparable
from rapport_producers.graph.errors import AdminNeeded
from rapport_producers.microsoft_sign_in import FEATURE_SCOPES, DeviceCode, MicrosoftSignIn, SignedIn
from rapport_producers.microsoft_sign_in_errors import SignInError, sign_in_error
from rapport_producers.records import Owner, new_connection
from rapport_schemas.records import Connection, DirectoryEntry

OVER: Final = (
    "this sign-in was finished before, took more than ten minutes, or began elsewhere: start it again"
)
ADMINS_CHOICE: Final = "an administrator decides for everybody whether this mailbox is read: ask an admin of Rapport to change that"
LEFT_OUT: Final = "this mailbox is left out, as was asked; what was read before is kept"
MOVED: Final = (
    "this mailbox is no address of its member in the directory any more; what was read is kept. "
    "Give the member the address back and connect with --member, or disconnect"
)
ADMIN_CONSENTED: Final = "admin_consented"
"""Code of the SignInError that says that an administrator has just approved."""
_LONGEST_ID: Final = 200


@dataclass(frozen=True, slots=True)
class Place:
    """The connection that is to be: whose, and under which id."""

    tenant: str
    member: str
    connection: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one member of a whole Microsoft tenant: the connection, or why there is none."""

    member: str
    connection: Connection | None
    reason: str


@dataclass(frozen=True, slots=True)
class ConnectingDesk:
    """See the module. Blocks; safe from several threads.

    Every call may raise ConfigError for what cannot be, SignInError when Microsoft refuses, errors of
    `rapport_producers.graph.errors`, and UnavailableError. Nothing is connected then.
    """

    store: Store
    registry: Registry
    sign_in: MicrosoftSignIn = field(repr=False)
    accounts: Accounts
    clock: Clock = field(default_factory=SystemClock)

    # -- by the member's own sign-in ------------------------------------------------------------------------------

    def begin(
        self,
        tenant: str,
        member: str,
        redirect: str,
        session: str,
        features: Sequence[str] = (),
        connection: str = "",
        *,
        by_admin: bool = False,
    ) -> str:
        """Begins a sign-in that only this session can finish. Returns Microsoft's page to go to.

        Args:
            tenant: whose member.
            member: whose mailbox.
            redirect: where Microsoft sends the browser back to, as the app registration has it.
            session: what is known to the browser's session alone.
            features: optional ones that were chosen, each with a permission of its own.
            connection: the connection's id; `microsoft-MEMBER` when empty.
            by_admin: whether an admin or the operator asks, who may replace what was chosen for everybody.
        """
        place = self.place(tenant, member, connection)
        if not by_admin:
            _refuse_overriding(self._record(tenant, place.connection))
        addresses = _addresses(self._member(place), self._now_ms())
        hint = addresses[0] if len(addresses) == 1 else None
        url, flow = self.sign_in.begin(redirect, features, hint)
        kept = {
            "flow": flow,
            "session": session,
            "member": place.member,
            "connection": place.connection,
            "features": list(features),
            "by_admin": by_admin,
        }
        self.store.sign_ins.begin(tenant, str(flow["state"]), json.dumps(kept).encode())
        return url

    def finish(self, session: str, query: Mapping[str, str]) -> Connection:
        """Takes what Microsoft sent back, connects, and returns the connection's record.

        Args:
            session: the one that began.
            query: the parameters of the redirect.
        """
        if "admin_consent" in query:
            raise _admin_answer(query)
        taken = self.store.sign_ins.take(query.get("state", ""))
        if taken is None:
            raise ConfigError(OVER)
        tenant, kept = taken[0], json.loads(taken[1])
        if not hmac.compare_digest(str(kept["session"]).encode(), session.encode()):
            raise ConfigError(OVER)
        try:
            signed_in = self.sign_in.finish(kept["flow"], query)
        except SignInError as error:
            raise _without(kept["features"], error) from None
        place = Place(tenant, kept["member"], kept["connection"])
        return self.connect(place, signed_in, by_admin=kept["by_admin"])

    def begin_device(self, features: Iterable[str] = ()) -> DeviceCode:
        """A code to type on another machine; `finish_device` waits for that."""
        return self.sign_in.begin_device(features)

    def finish_device(self, place: Place, device: DeviceCode) -> Connection:
        """Waits until the code was typed, connects, and returns the connection's record. For the operator."""
        return self.connect(place, self.sign_in.finish_device(device), by_admin=True)

    def place(self, tenant: str, member: str, connection: str = "") -> Place:
        """The connection of a member that may be made or connected again. Raises ConfigError when it may not."""
        place = Place(tenant, member, connection or f"microsoft-{member}")
        if len(place.connection) > _LONGEST_ID or "\0" in place.connection:
            raise ConfigError(f"the id of a connection has at most {_LONGEST_ID} characters: choose another")
        self._member(place)
        self._refuse_while_erased(place)
        _refuse_anothers(place, self._record(tenant, place.connection))
        return place

    def connect(self, place: Place, signed_in: SignedIn, *, by_admin: bool) -> Connection:
        """Makes the account the connection's, after checking that it is the member's; `by_admin` as in `begin`."""
        token = self.sign_in.token(signed_in.cache)
        account = self.accounts.own(token.value)
        self._check_owner(place, account)
        known = {one["connection"]: one for one in self.registry.connections(place.tenant)}
        _refuse_anothers(place, known.get(place.connection))
        if not by_admin:  # again: what was chosen may be newer than the sign-in
            _refuse_overriding(known.get(place.connection))
        _refuse_other_account(place, account.id, "delegated", known)
        credential = Credential(
            "delegated",
            account.id,
            signed_in.microsoft_tenant,
            signed_in.scopes,
            token.cache_changed or signed_in.cache,
        )
        return self._save(place, known.get(place.connection), credential)

    # -- by an administrator for everybody ------------------------------------------------------------------------

    def connect_tenant(
        self,
        tenant: str,
        microsoft_tenant: str,
        *,
        without: Collection[str] = (),
        only: str = "",
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> list[Outcome]:
        """Connects every member of the directory whose mailbox the application may open; by member id.

        Access that was given this way ends where the mailbox is no longer an address of its member.

        Args:
            tenant: whose directory.
            microsoft_tenant: the organisation's id or one of its domains.
            without: members that are left out, now and in every later run, until one names them in `only`. Access to the mailbox
                of one who was connected this way ends; what was read is kept.
            only: this member alone, also one whose access was revoked or who was left out.
            progress: told how many of how many members are done.

        Raises:
            SignInError: an administrator has not consented yet; `link` is where.
        """
        token = self.sign_in.application_token(microsoft_tenant)
        members = {one["id"]: one for one in self.registry.members(tenant)}
        if unknown := sorted({*without, *([only] if only else [])} - members.keys()):
            raise ConfigError(_no_member(tenant, unknown[0]))
        known = {one["connection"]: one for one in self.registry.connections(tenant)}
        wanted = {
            name: members[name] for name in sorted(members) if name not in without and only in ("", name)
        }
        addresses = {name: _addresses(entry, self._now_ms()) for name, entry in wanted.items()}
        found = self.accounts.opens(token.value, [one for some in addresses.values() for one in some])
        self._check_consent(found, microsoft_tenant)
        outcomes: list[Outcome] = []
        gone = set() if only else self._gone(known.values(), members)
        names = sorted({*wanted, *without, *gone})
        for name in names:
            progress(len(outcomes), len(names))
            place = Place(tenant, name, f"microsoft-{name}")
            record = known.get(place.connection)
            if name in without:
                outcomes.append(self._leave_out(place, known))
            elif name != only and self._is_left_out(record):
                outcomes.append(Outcome(name, None, "was left out or revoked; --member connects it again"))
            elif record is not None and self._has_moved(record, members.get(name)):
                end_access(self.store, self.registry, record, "paused", MOVED, self._now_ms())
                outcomes.append(Outcome(name, None, MOVED))
            else:
                mine = {address: found[address] for address in addresses[name]}
                outcomes.append(self._connect_mailbox(place, known, mine, microsoft_tenant))
        return outcomes

    def _check_consent(self, found: Mapping[str, RapportError | None], microsoft_tenant: str) -> None:
        """Where nothing at all may be opened, nobody consented; where something may, a policy leaves the others out."""
        refused = [isinstance(error, AdminNeeded) for error in found.values()]
        if refused and all(refused):
            link = self.sign_in.admin_consent_url(microsoft_tenant=microsoft_tenant, application=True)
            raise sign_in_error({"error_codes": [65001]}, link=link)

    def _connect_mailbox(
        self,
        place: Place,
        known: Mapping[str, Connection],
        opened: Mapping[str, RapportError | None],
        microsoft_tenant: str,
    ) -> Outcome:
        """`opened`: for each of the member's addresses None, or why its mailbox does not open."""
        record = known.get(place.connection)
        for own in known.values():
            if own["member"] == place.member and _is_signed_in(own):
                return Outcome(place.member, own, "has signed in before; left as it is")
        address = next((one for one, error in opened.items() if error is None), None)
        if address is None:
            why = next(
                (str(error) for error in opened.values()), "the directory has no address of this member"
            )
            return Outcome(place.member, None, why)
        credential = Credential("application", address, microsoft_tenant, ("Mail.Read", "Calendars.Read"))
        try:
            _refuse_anothers(place, record)
            _refuse_other_account(place, address, "application", known)
            return Outcome(place.member, self._save(place, record, credential), "")
        except ConfigError as error:
            return Outcome(place.member, None, str(error))

    def _gone(self, known: Iterable[Connection], members: Mapping[str, DirectoryEntry]) -> set[str]:
        """Whom the directory has no longer, and whose mailbox may still be opened."""
        return {
            one["member"]
            for one in known
            if one["member"] not in members and self._has_moved(one, None) and not self._is_left_out(one)
        }

    def _has_moved(self, record: Connection, member: DirectoryEntry | None) -> bool:
        """Whether a mailbox that is opened for the whole organisation is by now nobody's or somebody else's."""
        if (record["access"], record["state"] == "disconnected") != ("application", False):
            return False
        addresses = [] if member is None else _comparables(member, self._now_ms())
        return bool(record["account"]) and comparable(record["account"]) not in addresses

    def _is_left_out(self, record: Connection | None) -> bool:
        """Whether somebody ended the organisation's access to this mailbox."""
        return (
            record is not None
            and record["access"] == "application"
            and record["state"] != "disconnected"
            and self.store.vault.get(record["tenant"], record["connection"]) is None
        )

    def _leave_out(self, place: Place, known: Mapping[str, Connection]) -> Outcome:
        """Ends the access, or writes down that there is to be none. A member's own sign-in is the member's business."""
        record = known.get(place.connection)
        if record is None or record["state"] == "disconnected":
            record = {**_known_before(place, record), "access": "application"}
        elif record["access"] != "application":
            return Outcome(place.member, record, "has signed in before; left as it is")
        end_access(self.store, self.registry, record, "paused", LEFT_OUT, self._now_ms())
        return Outcome(place.member, None, "left out, as was asked")

    # -- back -----------------------------------------------------------------------------------------------------

    def revoke(self, tenant: str, connection: str) -> None:
        """See `rapport.connecting.revoking`."""
        revoke(self.store, self.registry, tenant, connection, self._now_ms())

    # -- shared ---------------------------------------------------------------------------------------------------

    def _save(self, place: Place, record: Connection | None, credential: Credential) -> Connection:
        """The credential first: whoever is woken by the record must find it."""
        self._refuse_while_erased(place)
        if record is not None and record["state"] == "disconnected":
            # Above the number of the disconnect, so that what is left to be done of that leaves this one alone.
            record = {**record, "epoch": self.store.next_assignment()}
        self.store.vault.put(place.tenant, place.connection, PROVIDER, credential.to_bytes())
        connected = _connected(place, record, credential, self._now_ms())
        self.registry.announce(connected)
        return connected

    def _refuse_while_erased(self, place: Place) -> None:
        job = self.store.jobs.of(place.tenant, place.connection, DISCONNECT)
        if job is not None and not Order.of(job.order).is_erased:
            raise ConfigError(
                f"the connection {place.connection} is just being disconnected: wait until that is done, then connect again"
            )

    def _check_owner(self, place: Place, account: Account) -> None:
        """Anybody has an organisation made in minutes and gives its accounts any address; only its user names are checked."""
        proven = account.addresses if self.sign_in.organisation else (account.user_name,)
        owners = self._owners(place.tenant, proven)
        if place.member in owners:
            return
        shown = next(filter(None, proven), "an account without an address")
        if not owners and place.member in self._owners(place.tenant, account.addresses):
            raise ConfigError(
                f"you signed in as {shown}, and the address of {place.member} is only another name of that account, which "
                "proves nothing while accounts of any organisation may sign in: an operator sets "
                "RAPPORT_MICROSOFT_AUTHORITY to your organisation, then every address of its accounts counts"
            )
        if owners:
            other = min(owners)
            raise ConfigError(
                f"you signed in as {shown}, which is the account of {other}, not of {place.member}: "
                "sign in with the other account, or connect that member"
            )
        raise ConfigError(
            f"you signed in as {shown}, which is no address of {place.member} in the directory: sign in with another "
            f"account, or add it: `rapport directory set member {place.member} --address {shown} --tenant {place.tenant}`"
        )

    def _owners(self, tenant: str, addresses: Iterable[str]) -> set[str]:
        """The members who have one of these addresses today."""
        theirs = {found for one in addresses if (found := comparable(one)) is not None}
        members = self.registry.members(tenant)
        return {one["id"] for one in members if theirs & {*_comparables(one, self._now_ms())}}

    def _member(self, place: Place) -> DirectoryEntry:
        for entry in self.registry.members(place.tenant):
            if entry["id"] == place.member:
                return entry
        raise ConfigError(_no_member(place.tenant, place.member))

    def _record(self, tenant: str, connection: str) -> Connection | None:
        return next(
            (one for one in self.registry.connections(tenant) if one["connection"] == connection), None
        )

    def _now_ms(self) -> int:
        return to_ms(self.clock.now())


def _connected(place: Place, record: Connection | None, credential: Credential, now_ms: int) -> Connection:
    """The record from now on. What may no longer be read of a member is not shown any more."""
    access: Access = credential.access
    known = _known_before(place, record)
    may_see_replies = FEATURE_SCOPES["out_of_office"] in credential.scopes
    said = {
        "out_of_office": known["out_of_office"] if may_see_replies else None,
        "state": "connected",
        "reason": "",
        "account": credential.account,
        "access": access,
        "scopes": list(credential.scopes),
        "updated_at": now_ms,
    }
    return cast("Connection", {**known, **said})


def _known_before(place: Place, record: Connection | None) -> Connection:
    """What the record says already. What an erased connection knew is gone; its epoch still counts what it said before."""
    new = new_connection(Owner(place.tenant, place.connection, place.member, PROVIDER))
    if record is None:
        return new
    return {**new, "epoch": record["epoch"]} if record["state"] == "disconnected" else record


def _is_signed_in(record: Connection) -> bool:
    return (record["provider"], record["access"], record["state"]) == (PROVIDER, "delegated", "connected")


def _refuse_anothers(place: Place, record: Connection | None) -> None:
    if record is None:
        return
    if record["member"] != place.member:
        raise ConfigError(
            f"the connection {place.connection} is of {record['member']}: name another with --connection"
        )
    if record["provider"] != PROVIDER:
        raise ConfigError(
            f"the connection {place.connection} is no account of Microsoft 365 but {record['provider']}: "
            "name another with --connection"
        )


def _refuse_overriding(record: Connection | None) -> None:
    """Who was connected or left out for the whole organisation is that until an admin wants it otherwise."""
    if record is not None and record["access"] == "application":
        raise ConfigError(ADMINS_CHOICE)


def _refuse_other_account(
    place: Place, account: str, access: Access, known: Mapping[str, Connection]
) -> None:
    """Ids of accounts compare within one kind of access only; the member's addresses were checked in any case."""
    living = {name: one for name, one in known.items() if one["state"] != "disconnected" and one["account"]}
    mine = living.get(place.connection)
    if mine is not None and mine["access"] == access and mine["account"] != account:
        raise ConfigError(
            f"the connection {place.connection} reads another account: sign in with that one, "
            "or name a new connection with --connection"
        )
    for name, one in living.items():
        if name != place.connection and one["provider"] == PROVIDER and one["account"] == account:
            raise ConfigError(f"this account is connected already, as {name}: nothing was changed")


def _without(features: Sequence[str], error: SignInError) -> SignInError:
    """Says that an optional permission need not stop anybody."""
    if not features or error.kind not in ("needs_auth", "needs_admin"):
        return error
    reason = f"{error.reason}; or connect without {', '.join(features)}, which is optional"
    return SignInError(error.kind, error.code, reason, link=error.link, after_s=error.after_s)


def _admin_answer(query: Mapping[str, str]) -> SignInError:
    """What came of an administrator's consent, told to whoever's browser came back. Nothing of it is believed."""
    if "error" in query:
        return sign_in_error(query)
    return SignInError(
        "needs_auth", ADMIN_CONSENTED, "an administrator has approved Rapport; members can connect now"
    )


def _no_member(tenant: str, member: str) -> str:
    return (
        f"the directory of {tenant} has no member {member}: "
        f"load it with `rapport directory load FILE --tenant {tenant}`"
    )


def _addresses(member: DirectoryEntry, now_ms: int) -> list[str]:
    """A member's addresses of today."""
    return [
        one["value"]
        for one in member["addresses"]
        if (one["valid_from"] or 0) <= now_ms and ((end := end_of(one)) is None or end > now_ms)
    ]


def _comparables(member: DirectoryEntry, now_ms: int) -> list[str]:
    return [found for one in _addresses(member, now_ms) if (found := comparable(one)) is not None]
