"""From the first click to the connection's record, and the way back, against the simulated Microsoft and a real store."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest

from directory_entries import at, entry
from graph import Mailbox, Simulator
from graph.directory import PERSONAL_TENANT
from graph.entra import AADSTS, CLIENT_SECRET
from rapport.connecting.accounts import Account
from rapport.connecting.credential import Credential
from rapport.connecting.desk import ConnectingDesk
from rapport.connecting.revoking import REVOKED
from rapport.store import Store, database, open_store
from rapport.store.database import TracesLeftError
from rapport_core.clock import to_ms
from rapport_core.errors import ConfigError, RapportError, UnavailableError
from rapport_producers.graph.errors import GraphError
from rapport_producers.microsoft_sign_in_errors import SignInError
from rapport_producers.records import Owner, new_connection
from rapport_schemas.records import Connection
from simulated_sign_in import REDIRECT, MemoryRegistry, accounts_at, browse, sign_in_at
from store_processes import HandClock, StoreSettings

ADDRESS = "anna@acme.example"
SESSION = "the browser's session"
ID = "microsoft-m1"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def store(tmp_path: Path, clock: HandClock) -> Iterator[Store]:
    with open_store(StoreSettings(tmp_path), clock=clock) as opened:
        yield opened


@pytest.fixture
def simulator() -> Simulator:
    simulator = Simulator(seed=7)
    simulator.entra.signs_in = ADDRESS
    simulator.mailbox(ADDRESS)
    return simulator


@pytest.fixture
def anna(simulator: Simulator) -> Mailbox:
    return simulator.mailbox(ADDRESS)


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry(entry("member", "m1", ADDRESS), entry("member", "m2", "bert@acme.example"))


@pytest.fixture
def desk(store: Store, registry: MemoryRegistry, simulator: Simulator, clock: HandClock) -> ConnectingDesk:
    return ConnectingDesk(store, registry, sign_in_at(simulator), accounts_at(simulator), clock)


def connect(
    desk: ConnectingDesk, simulator: Simulator, member: str = "m1", *features: str, connection: str = ""
) -> Connection:
    url = desk.begin("acme", member, REDIRECT, SESSION, features, connection)
    return desk.finish(SESSION, browse(simulator, url))


def credential(store: Store, connection: str = ID) -> Credential | None:
    kept = store.vault.get("acme", connection)
    return None if kept is None else Credential.from_bytes(kept)


def refused(work: Callable[[], object]) -> RapportError:
    with pytest.raises(RapportError) as caught:
        work()
    return caught.value


def test_a_member_connects_the_own_account(
    desk: ConnectingDesk, simulator: Simulator, store: Store, registry: MemoryRegistry, anna: Mailbox
) -> None:
    made = connect(desk, simulator)
    assert registry.said == [made]
    assert (made["connection"], made["member"], made["provider"]) == (ID, "m1", "graph")
    assert (made["state"], made["access"], made["account"]) == ("connected", "delegated", anna.id)
    assert {"Mail.Read", "Calendars.Read"} <= set(made["scopes"])
    assert "MailboxSettings.Read" not in made["scopes"]
    kept = credential(store)
    assert kept is not None
    assert (kept.access, kept.account, kept.microsoft_tenant, kept.root) == (
        *("delegated", anna.id, anna.tenant),
        "/me",
    )


class OneAccount:
    """Accounts where whoever signs in is this one."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def own(self, token: str) -> Account:
        return self.account

    def opens(self, token: str, addresses: Iterable[str]) -> dict[str, RapportError | None]:
        raise NotImplementedError


@pytest.mark.parametrize("organisation", ["acme.example", "id"])
def test_an_alias_of_the_account_is_an_address_as_good_in_the_own_organisation(
    desk: ConnectingDesk, simulator: Simulator, registry: MemoryRegistry, anna: Mailbox, organisation: str
) -> None:
    """The directory may know the member by any of them, however it is written."""
    registry.entries[0] = entry("member", "m1", "Anna.Andersson@ACME.example", "other@acme.example")
    account = Account(anna.id, (ADDRESS, "anna.andersson@acme.example"), ADDRESS)
    only_here = sign_in_at(simulator, organisation=anna.tenant if organisation == "id" else organisation)
    desk = replace(desk, accounts=OneAccount(account), sign_in=only_here)
    assert connect(desk, simulator)["state"] == "connected"


@pytest.mark.parametrize("authority", ["organizations", "common", "Organizations"])
def test_what_another_organisation_says_of_its_account_proves_nothing(
    desk: ConnectingDesk,
    simulator: Simulator,
    store: Store,
    registry: MemoryRegistry,
    authority: str,
) -> None:
    """Its administrators write any address into it; only the domain of the user name is checked by Microsoft."""
    registry.entries[0] = entry("member", "m1", ADDRESS, "anna@old.example")
    stranger = simulator.mailbox("mallory@evil.example")
    simulator.entra.signs_in = "mallory@evil.example"
    forged = Account(stranger.id, (ADDRESS, "mallory@evil.example"), "mallory@evil.example")
    shared = sign_in_at(simulator, organisation=authority)
    error = refused(lambda: connect(replace(desk, accounts=OneAccount(forged), sign_in=shared), simulator))
    assert isinstance(error, ConfigError)
    assert "you signed in as mallory@evil.example" in str(error)
    assert "an operator sets RAPPORT_MICROSOFT_AUTHORITY to your organisation" in str(error)
    assert "directory set" not in str(error)
    assert registry.said == []
    assert credential(store) is None


def test_another_members_account_is_refused_and_whose_it_is_said(
    desk: ConnectingDesk, simulator: Simulator, store: Store, registry: MemoryRegistry
) -> None:
    registry.entries[1] = entry("member", "m2", "bert@acme.example", "bertil@acme.example")
    error = refused(lambda: connect(desk, simulator, "m2"))
    assert isinstance(error, ConfigError)
    assert "which is the account of m1, not of m2" in str(error)
    assert registry.said == []
    assert credential(store, "microsoft-m2") is None


def test_an_account_nobody_knows_is_refused_with_the_command_that_helps(
    desk: ConnectingDesk, simulator: Simulator, store: Store, registry: MemoryRegistry
) -> None:
    registry.entries[0] = entry("member", "m1", "someone@acme.example", "else@acme.example")
    error = refused(lambda: connect(desk, simulator))
    assert f"`rapport directory set member m1 --address {ADDRESS} --tenant acme`" in str(error)
    assert credential(store) is None
    assert registry.said == []


def test_an_address_that_ended_is_none_of_the_members(
    desk: ConnectingDesk, simulator: Simulator, registry: MemoryRegistry, clock: HandClock
) -> None:
    registry.entries[0] = entry("member", "m1", at(ADDRESS, until=to_ms(clock.now()) - 1), "a@b.se", "c@d.se")
    assert "which is no address of m1" in str(refused(lambda: connect(desk, simulator)))


@pytest.mark.parametrize(
    ("member", "words"), [("m9", "the directory of acme has no member m9"), ("", "has no member")]
)
def test_a_member_must_be_in_the_directory(desk: ConnectingDesk, member: str, words: str) -> None:
    """Before anybody is sent anywhere."""
    assert words in str(refused(lambda: desk.begin("acme", member, REDIRECT, SESSION)))


def test_a_sign_in_belongs_to_the_session_that_began_it(
    desk: ConnectingDesk, simulator: Simulator, registry: MemoryRegistry
) -> None:
    """And is used up by whoever tries."""
    query = browse(simulator, desk.begin("acme", "m1", REDIRECT, SESSION))
    assert "began elsewhere" in str(refused(lambda: desk.finish("another session", query)))
    assert "start it again" in str(refused(lambda: desk.finish(SESSION, query)))
    assert registry.said == []


def test_a_sign_in_serves_once_and_for_ten_minutes(
    desk: ConnectingDesk, simulator: Simulator, clock: HandClock
) -> None:
    query = browse(simulator, desk.begin("acme", "m1", REDIRECT, SESSION))
    desk.finish(SESSION, query)
    assert "finished before" in str(refused(lambda: desk.finish(SESSION, query)))
    late = browse(simulator, desk.begin("acme", "m1", REDIRECT, SESSION))
    clock.move(timedelta(minutes=10))
    assert "more than ten minutes" in str(refused(lambda: desk.finish(SESSION, late)))


@pytest.mark.parametrize("query", [{}, {"state": "guessed", "code": "x"}, {"error": "access_denied"}])
def test_what_belongs_to_no_sign_in_is_refused(desk: ConnectingDesk, query: dict[str, str]) -> None:
    assert "start it again" in str(refused(lambda: desk.finish(SESSION, query)))


def test_a_declined_feature_stops_nobody(
    desk: ConnectingDesk, simulator: Simulator, registry: MemoryRegistry
) -> None:
    simulator.entra.declines.add("MailboxSettings.Read")
    error = refused(lambda: connect(desk, simulator, "m1", "out_of_office"))
    assert "declined" in str(error)
    assert "connect without out_of_office, which is optional" in str(error)
    assert connect(desk, simulator)["state"] == "connected"
    assert len(registry.said) == 1


def test_a_feature_is_granted_and_forgotten_when_it_is_not_asked_for_again(
    desk: ConnectingDesk, simulator: Simulator, registry: MemoryRegistry
) -> None:
    made = connect(desk, simulator, "m1", "out_of_office")
    assert "MailboxSettings.Read" in made["scopes"]
    away: Any = {"status": "always", "since": None, "until": None, "audience": "all"}
    registry.announce(cast("Connection", {**made, "out_of_office": away}))
    assert connect(desk, simulator, "m1", "out_of_office")["out_of_office"] == away
    again = connect(desk, simulator)
    assert "MailboxSettings.Read" not in again["scopes"]
    assert again["out_of_office"] is None


def test_a_personal_account_is_told_so(
    desk: ConnectingDesk, simulator: Simulator, registry: MemoryRegistry
) -> None:
    anna = simulator.mailbox(ADDRESS)
    simulator.company("acme").tenant = anna.tenant = PERSONAL_TENANT
    error = refused(lambda: connect(desk, simulator))
    assert isinstance(error, SignInError)
    assert error.code == "work_account"
    assert registry.said == []


def test_where_an_administrator_must_approve_the_link_comes_with_it(
    desk: ConnectingDesk, simulator: Simulator, registry: MemoryRegistry
) -> None:
    """What the administrator's browser brings back is believed in nothing; the member then connects."""
    simulator.company("acme").users_may_consent = False
    error = refused(lambda: connect(desk, simulator))
    assert isinstance(error, SignInError)
    assert (error.kind, error.code) == ("needs_admin", "admin_approval")
    assert error.link in str(error)
    approved = refused(lambda: desk.finish("", browse(simulator, error.link)))
    assert "members can connect now" in str(approved)
    assert registry.said == []
    assert connect(desk, simulator)["state"] == "connected"


def test_an_administrator_who_declines_is_told(desk: ConnectingDesk, simulator: Simulator) -> None:
    simulator.company("acme").users_may_consent = False
    simulator.entra.admin_declines = True
    error = refused(lambda: connect(desk, simulator))
    assert isinstance(error, SignInError)
    assert "declined" in str(refused(lambda: desk.finish("", browse(simulator, error.link))))


@pytest.mark.parametrize("number", [7000215, 7000222, 7000112])
def test_a_fault_of_the_operators_flips_no_connection(
    desk: ConnectingDesk, simulator: Simulator, store: Store, registry: MemoryRegistry, number: int
) -> None:
    made, before = connect(desk, simulator), credential(store)
    simulator.entra.fail(number)
    error = refused(lambda: connect(desk, simulator))
    assert isinstance(error, SignInError)
    assert error.kind == "operator"
    assert registry.said == [made]
    assert credential(store) == before


@pytest.mark.parametrize("number", sorted(AADSTS.keys() - {7000215, 7000222, 7000112, 65004}))
def test_a_refused_sign_in_leaves_what_is_there(
    desk: ConnectingDesk, simulator: Simulator, store: Store, registry: MemoryRegistry, number: int
) -> None:
    connect(desk, simulator)
    before, said = credential(store), list(registry.said)
    simulator.entra.fail(number)
    assert isinstance(refused(lambda: connect(desk, simulator)), SignInError)
    assert credential(store) == before
    assert registry.said == said


def test_graph_that_stumbles_connects_nobody(
    desk: ConnectingDesk, simulator: Simulator, store: Store, registry: MemoryRegistry
) -> None:
    """A mailbox whose owner is not proven is nobody's."""
    simulator.faults.add("GET", r"/me\?", simulator.mailbox(ADDRESS), count=None, kind="no_rights")
    assert isinstance(refused(lambda: connect(desk, simulator)), GraphError)
    assert credential(store) is None
    assert registry.said == []


def test_an_account_is_one_connection(
    desk: ConnectingDesk, simulator: Simulator, store: Store, registry: MemoryRegistry
) -> None:
    connect(desk, simulator)
    error = refused(lambda: connect(desk, simulator, connection="second"))
    assert f"this account is connected already, as {ID}" in str(error)
    assert credential(store, "second") is None
    assert len(registry.said) == 1


def test_a_connection_stays_with_its_account(
    desk: ConnectingDesk, simulator: Simulator, registry: MemoryRegistry
) -> None:
    connect(desk, simulator)
    registry.entries[0] = entry("member", "m1", ADDRESS, "anna@other.example")
    simulator.mailbox("anna@other.example")
    simulator.entra.signs_in = "anna@other.example"
    assert "reads another account" in str(refused(lambda: connect(desk, simulator)))
    assert connect(desk, simulator, connection="other")["connection"] == "other"


@pytest.mark.parametrize(
    ("owner", "words"),
    [
        (Owner("acme", ID, "m2", "graph"), "is of m2: name another with --connection"),
        (Owner("acme", ID, "m1", "archive"), "no account of Microsoft 365 but archive"),
    ],
)
def test_an_id_that_is_taken_is_refused_before_anybody_signs_in(
    desk: ConnectingDesk, registry: MemoryRegistry, owner: Owner, words: str
) -> None:
    registry.announce(new_connection(owner))
    assert words in str(refused(lambda: desk.begin("acme", "m1", REDIRECT, SESSION)))


def test_connecting_again_goes_on_with_what_was_read(
    desk: ConnectingDesk, simulator: Simulator, store: Store, registry: MemoryRegistry
) -> None:
    """After the tokens were dropped: history, progress, oldest day and epoch are as they were."""
    read = {"history_from": 1, "first_total": 9, "first_done": 9, "first_ended": 2, "oldest": 3, "epoch": 4}
    registry.announce(cast("Connection", {**connect(desk, simulator), **read, "last_sync": 5}))
    desk.revoke("acme", ID)
    revoked = registry.said[-1]
    assert (revoked["state"], revoked["reason"], revoked["scopes"]) == ("needs_auth", REVOKED, [])
    assert credential(store) is None
    again = connect(desk, simulator)
    assert (again["state"], again["reason"]) == ("connected", "")
    assert {name: again[name] for name in [*read, "last_sync"]} == {**read, "last_sync": 5}  # type: ignore[literal-required]
    assert credential(store) is not None


def test_what_was_disconnected_begins_anew_above_its_old_numbers(
    desk: ConnectingDesk, simulator: Simulator, store: Store, registry: MemoryRegistry
) -> None:
    made = connect(desk, simulator)
    ended = {"state": "disconnected", "epoch": store.next_assignment(), "history_from": 1, "first_ended": 2}
    registry.announce(cast("Connection", {**made, **ended}))
    again = connect(desk, simulator)
    assert (again["history_from"], again["first_ended"]) == (None, None)
    assert again["epoch"] > cast("int", ended["epoch"])


@pytest.mark.parametrize("connection", ["archive-m1", "nothing", "ended"])
def test_only_what_signs_in_can_be_revoked(
    desk: ConnectingDesk, registry: MemoryRegistry, connection: str
) -> None:
    registry.announce(new_connection(Owner("acme", "archive-m1", "m1", "archive")))
    ended = new_connection(Owner("acme", "ended", "m1", "graph"))
    registry.announce(cast("Connection", {**ended, "state": "disconnected"}))
    said = list(registry.said)
    assert "`rapport connections --tenant acme` lists them" in str(
        refused(lambda: desk.revoke("acme", connection))
    )
    assert registry.said == said


def test_connections_of_another_tenant_are_out_of_reach(desk: ConnectingDesk, simulator: Simulator) -> None:
    connect(desk, simulator)
    assert "has no connection" in str(refused(lambda: desk.revoke("umbrella", ID)))


class Died(BaseException):
    """The process ended here."""


class Fragile(MemoryRegistry):
    """A registry that ends the process before or after it has said something; `away` says that Kafka is."""

    def __init__(self, registry: MemoryRegistry, *, before: bool, away: bool) -> None:
        super().__init__(*registry.entries)
        self.known = registry.known
        self._before, self._away = before, away

    def announce(self, record: Connection) -> None:
        if not self._before:
            super().announce(record)
        if self._away:
            raise UnavailableError("Kafka is away")
        raise Died


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("away", [True, False])
def test_a_crash_while_connecting_is_mended_by_a_repeat(
    desk: ConnectingDesk,
    simulator: Simulator,
    store: Store,
    registry: MemoryRegistry,
    before: bool,
    away: bool,
) -> None:
    """The credential is kept before the record: whoever is woken finds it. Without the record nobody reads with it."""
    with pytest.raises((Died, UnavailableError)):
        connect(replace(desk, registry=Fragile(registry, before=before, away=away)), simulator)
    assert credential(store) is not None
    assert len(registry.known) == (0 if before else 1)
    made = connect(desk, simulator)
    assert registry.said == [made]
    assert made["state"] == "connected"


def test_a_crash_before_the_credential_is_kept_leaves_nothing(
    desk: ConnectingDesk,
    simulator: Simulator,
    store: Store,
    registry: MemoryRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as dying:
        dying.setattr(store.vault, "put", die)
        with pytest.raises(Died):
            connect(desk, simulator)
    assert registry.said == []
    assert connect(desk, simulator)["state"] == "connected"


@pytest.mark.parametrize("before", [True, False])
def test_a_crash_while_revoking_leaves_no_token_and_is_mended_by_a_repeat(
    desk: ConnectingDesk, simulator: Simulator, store: Store, registry: MemoryRegistry, before: bool
) -> None:
    connect(desk, simulator)
    with pytest.raises(Died):
        replace(desk, registry=Fragile(registry, before=before, away=False)).revoke("acme", ID)
    assert credential(store) is None
    desk.revoke("acme", ID)
    assert registry.known["acme", ID]["state"] == "needs_auth"


def test_what_is_revoked_is_that_also_while_another_program_reads_the_store(
    desk: ConnectingDesk,
    simulator: Simulator,
    store: Store,
    registry: MemoryRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only traces are left on the disk then; it is said, and a repeat removes them."""
    connect(desk, simulator)
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 50)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM users").fetchall()
        with pytest.raises(TracesLeftError, match="do the same again"):
            desk.revoke("acme", ID)
    assert credential(store) is None
    assert registry.known["acme", ID]["state"] == "needs_auth"
    desk.revoke("acme", ID)


def test_a_code_on_another_machine_connects_as_well(
    desk: ConnectingDesk, simulator: Simulator, store: Store, anna: Mailbox
) -> None:
    place = desk.place("acme", "m1")
    device = desk.begin_device()
    simulator.entra.enter_device_code(device.code, anna)
    made = desk.finish_device(place, device)
    assert (made["state"], made["account"]) == ("connected", anna.id)
    assert credential(store) is not None


def test_nothing_secret_is_in_reprs_errors_logs_or_the_record(
    desk: ConnectingDesk,
    simulator: Simulator,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the most talkative level, too. The root logger is what a process writes out."""
    log, root = StringIO(), logging.getLogger()
    with monkeypatch.context() as talkative:
        talkative.setattr(root, "handlers", [logging.StreamHandler(log)])
        talkative.setattr(root, "level", logging.DEBUG)
        url = desk.begin("acme", "m1", REDIRECT, SESSION)
        query = browse(simulator, url)
        made = desk.finish(SESSION, query)
        kept = credential(store)
        assert kept is not None
        token = desk.sign_in.token(kept.cache).value
        simulator.entra.revoke(simulator.mailbox(ADDRESS))
        late = browse(simulator, desk.begin("acme", "m1", REDIRECT, SESSION))
        simulator.entra.fail(50173)
        errors = [refused(partial(desk.finish, SESSION, one)) for one in (query, late)]
    refresh = kept.cache.partition("simulated-refresh-")[2][:20]
    assert refresh
    shown = [log.getvalue(), repr(desk), repr(kept), repr(made), *map(repr, errors), *map(str, errors)]
    files = b"".join(file.read_bytes() for file in tmp_path.glob("store.db*"))
    for secret in (token, refresh, CLIENT_SECRET, query["code"], query["state"], SESSION):
        assert not any(secret in text for text in shown)
        assert secret.encode() not in files
