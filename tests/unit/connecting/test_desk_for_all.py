"""All members by one administrator's consent, and those who are left out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from directory_entries import entry
from graph import Simulator
from rapport.connecting.credential import Credential
from rapport.connecting.desk import ADMINS_CHOICE, LEFT_OUT, MOVED, ConnectingDesk, Outcome
from rapport.connecting.revoking import REVOKED
from rapport.store import Store, open_store
from rapport_core.errors import ConfigError
from rapport_producers.microsoft_sign_in_errors import SignInError
from rapport_schemas.records import DirectoryEntry
from simulated_sign_in import REDIRECT, MemoryRegistry, accounts_at, browse, sign_in_at
from store_processes import StoreSettings

PEOPLE = {"m1": "anna", "m2": "bert", "m3": "cleo"}
GRANTED = {"Mail.Read", "Calendars.Read"}
TENANT = "acme.example"


@pytest.fixture
def simulator() -> Simulator:
    simulator = Simulator(seed=7)
    for name in PEOPLE.values():
        simulator.mailbox(f"{name}@{TENANT}")
    simulator.company("acme").application_scopes = set(GRANTED)
    return simulator


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(StoreSettings(tmp_path)) as opened:
        yield opened


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry(*(entry("member", one, f"{name}@{TENANT}") for one, name in PEOPLE.items()))


@pytest.fixture
def desk(store: Store, registry: MemoryRegistry, simulator: Simulator) -> ConnectingDesk:
    return ConnectingDesk(store, registry, sign_in_at(simulator), accounts_at(simulator))


def told(outcomes: list[Outcome]) -> dict[str, str]:
    """What became of each member: the connection's state, or why there is none."""
    return {one.member: one.connection["state"] if one.connection else one.reason for one in outcomes}


def states(registry: MemoryRegistry) -> dict[str, tuple[str, str]]:
    return {one["member"]: (one["state"], one["access"]) for one in registry.known.values()}


def test_every_member_with_a_mailbox_is_connected(
    desk: ConnectingDesk, store: Store, registry: MemoryRegistry
) -> None:
    """By the address that opens; who has none there is told and stops nobody."""
    registry.entries[1] = entry("member", "m2", f"old.bert@{TENANT}", f"bert@{TENANT}")
    registry.entries += [entry("member", "m4", "dora@elsewhere.example"), entry("member", "m5")]
    steps: list[tuple[int, int]] = []
    found = told(desk.connect_tenant("acme", TENANT, progress=lambda *step: steps.append(step)))
    assert {one: found[one] for one in PEOPLE} == dict.fromkeys(PEOPLE, "connected")
    assert "the directory has no address of this member" in found["m5"]
    assert found["m4"] not in ("", "connected")
    assert states(registry) == dict.fromkeys(PEOPLE, ("connected", "application"))
    assert steps == [(done, 5) for done in range(5)]
    kept = Credential.from_bytes(store.vault.get("acme", "microsoft-m2") or b"")
    assert (kept.access, kept.account, kept.cache) == ("application", f"bert@{TENANT}", "")
    assert kept.root == "/users/bert%40acme.example"


def test_without_consent_the_link_comes(
    desk: ConnectingDesk, simulator: Simulator, registry: MemoryRegistry
) -> None:
    simulator.company("acme").application_scopes = set()
    with pytest.raises(SignInError) as caught:
        desk.connect_tenant("acme", TENANT)
    assert caught.value.kind == "needs_admin"
    assert f"/{TENANT}/adminconsent?" in caught.value.link
    assert registry.said == []


def test_a_consent_to_something_else_is_none(
    desk: ConnectingDesk, simulator: Simulator, registry: MemoryRegistry
) -> None:
    """The token comes then, and no mailbox opens with it."""
    simulator.company("acme").application_scopes = {"User.Read.All"}
    with pytest.raises(SignInError, match="no consent") as caught:
        desk.connect_tenant("acme", TENANT)
    assert "/adminconsent?" in caught.value.link
    assert registry.said == []


def test_a_policy_leaves_the_others_out(
    desk: ConnectingDesk, simulator: Simulator, registry: MemoryRegistry
) -> None:
    simulator.company("acme").application_reaches = {f"anna@{TENANT}"}
    found = told(desk.connect_tenant("acme", TENANT))
    assert found["m1"] == "connected"
    assert found["m2"] == found["m3"] != "connected"
    assert states(registry) == {"m1": ("connected", "application")}


def test_who_is_left_out_stays_left_out(
    desk: ConnectingDesk, store: Store, registry: MemoryRegistry, simulator: Simulator
) -> None:
    """From the first run on, and in later ones that do not name the member; until somebody wants it back."""
    assert told(desk.connect_tenant("acme", TENANT, without=["m2"]))["m2"] == "left out, as was asked"
    assert states(registry)["m2"] == ("paused", "application")
    asked = len(simulator.calls)
    assert "--member connects it again" in told(desk.connect_tenant("acme", TENANT))["m2"]
    assert store.vault.get("acme", "microsoft-m2") is None
    assert len(simulator.calls) > asked
    assert told(desk.connect_tenant("acme", TENANT, only="m2")) == {"m2": "connected"}
    assert told(desk.connect_tenant("acme", TENANT))["m2"] == "connected"


def test_who_is_connected_can_be_left_out_later(
    desk: ConnectingDesk, store: Store, registry: MemoryRegistry
) -> None:
    """Access ends; what was read, and how far, is kept."""
    desk.connect_tenant("acme", TENANT)
    record = registry.known["acme", "microsoft-m3"]
    registry.announce({**record, "history_from": 1, "first_done": 5})
    desk.connect_tenant("acme", TENANT, without=["m3"], only="m1")
    left = registry.known["acme", "microsoft-m3"]
    assert (left["state"], left["reason"], left["first_done"]) == ("paused", LEFT_OUT, 5)
    assert store.vault.get("acme", "microsoft-m3") is None


def test_what_was_revoked_is_not_taken_up_by_the_next_run(
    desk: ConnectingDesk, registry: MemoryRegistry
) -> None:
    desk.connect_tenant("acme", TENANT)
    desk.revoke("acme", "microsoft-m1")
    assert "was left out or revoked" in told(desk.connect_tenant("acme", TENANT))["m1"]
    assert registry.known["acme", "microsoft-m1"]["reason"] == REVOKED


def test_a_crash_between_credential_and_record_is_mended_by_the_next_run(
    desk: ConnectingDesk, registry: MemoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as dying:
        dying.setattr(registry, "announce", die)
        with pytest.raises(Died):
            desk.connect_tenant("acme", TENANT)
    assert set(told(desk.connect_tenant("acme", TENANT)).values()) == {"connected"}


def test_a_members_own_sign_in_stays(
    desk: ConnectingDesk, simulator: Simulator, store: Store, registry: MemoryRegistry
) -> None:
    """Neither taken over nor ended; once the member is signed out, the organisation's consent takes its place."""
    desk.finish("s", browse(simulator, desk.begin("acme", "m1", REDIRECT, "s")))
    outcomes = desk.connect_tenant("acme", TENANT, without=["m1"])
    assert next(one for one in outcomes if one.member == "m1").reason == "has signed in before; left as it is"
    outcomes = desk.connect_tenant("acme", TENANT)
    assert next(one for one in outcomes if one.member == "m1").reason == "has signed in before; left as it is"
    assert states(registry)["m1"] == ("connected", "delegated")
    desk.revoke("acme", "microsoft-m1")
    desk.connect_tenant("acme", TENANT)
    assert states(registry)["m1"] == ("connected", "application")
    assert Credential.from_bytes(store.vault.get("acme", "microsoft-m1") or b"").access == "application"


def test_an_own_sign_in_under_another_name_is_one_too(
    desk: ConnectingDesk, simulator: Simulator, registry: MemoryRegistry
) -> None:
    """Nobody's mailbox is read twice."""
    desk.finish("s", browse(simulator, desk.begin("acme", "m1", REDIRECT, "s", (), "annas")))
    desk.connect_tenant("acme", TENANT)
    assert [name for _, name in registry.known] == ["annas", "microsoft-m2", "microsoft-m3"]


@pytest.mark.parametrize(("without", "only"), [(["m9"], ""), ([], "m9")])
def test_a_name_that_nobody_has_changes_nothing(
    desk: ConnectingDesk, registry: MemoryRegistry, without: list[str], only: str
) -> None:
    with pytest.raises(ConfigError, match="no member m9"):
        desk.connect_tenant("acme", TENANT, without=without, only=only)
    assert registry.said == []


@pytest.mark.parametrize("without", [(), ("m1",)])
def test_a_member_does_not_replace_what_was_chosen_for_everybody(
    desk: ConnectingDesk,
    store: Store,
    registry: MemoryRegistry,
    simulator: Simulator,
    without: tuple[str, ...],
) -> None:
    """Neither the organisation's access nor that there is none; not even where the choice came after the sign-in began."""
    early = browse(simulator, desk.begin("acme", "m1", REDIRECT, "s"))
    desk.connect_tenant("acme", TENANT, without=without)
    kept, said = store.vault.get("acme", "microsoft-m1"), list(registry.said)
    with pytest.raises(ConfigError, match=ADMINS_CHOICE):
        desk.finish("s", early)
    with pytest.raises(ConfigError, match=ADMINS_CHOICE):
        desk.begin("acme", "m1", REDIRECT, "s")
    assert store.vault.get("acme", "microsoft-m1") == kept
    assert registry.said == said


def test_an_admin_and_the_operator_may_replace_what_was_chosen_for_everybody(
    desk: ConnectingDesk, registry: MemoryRegistry, simulator: Simulator
) -> None:
    desk.connect_tenant("acme", TENANT, without=["m2"])
    for member in ("m1", "m2"):
        url = desk.begin("acme", member, REDIRECT, "s", by_admin=True)
        assert desk.finish("s", browse(simulator, url))["state"] == "connected"
    place, device = desk.place("acme", "m3"), desk.begin_device()
    simulator.entra.enter_device_code(device.code, simulator.mailbox(f"cleo@{TENANT}"))
    desk.finish_device(place, device)
    assert states(registry) == dict.fromkeys(PEOPLE, ("connected", "delegated"))


@pytest.mark.parametrize("entries", [[entry("member", "m2", "new@elsewhere.example")], []])
def test_access_ends_where_the_mailbox_is_no_longer_the_members(
    desk: ConnectingDesk, store: Store, registry: MemoryRegistry, entries: list[DirectoryEntry]
) -> None:
    """The address may be somebody else's by now, or nobody's. Who has it back is taken in again by name."""
    desk.connect_tenant("acme", TENANT)
    before = registry.entries[1]
    registry.entries[1:2] = entries
    found = told(desk.connect_tenant("acme", TENANT))
    assert found == {"m1": "connected", "m2": MOVED, "m3": "connected"}
    assert store.vault.get("acme", "microsoft-m2") is None
    assert store.vault.get("acme", "microsoft-m1") is not None
    ended = registry.known["acme", "microsoft-m2"]
    assert (ended["state"], ended["reason"], ended["scopes"]) == ("paused", MOVED, [])
    said = list(registry.said)
    desk.connect_tenant("acme", TENANT)
    assert [one["member"] for one in registry.said[len(said) :]] == ["m1", "m3"]
    registry.entries.append(before)
    registry.entries = [one for one in registry.entries if one["id"] != "m2" or one is before]
    assert told(desk.connect_tenant("acme", TENANT, only="m2")) == {"m2": "connected"}


def test_a_mailbox_that_went_to_another_member_is_told_until_the_first_is_disconnected(
    desk: ConnectingDesk, store: Store, registry: MemoryRegistry
) -> None:
    """What was read of it stays the first one's, and nobody goes on reading for them. Who was left out is not told of again."""
    desk.connect_tenant("acme", TENANT, without=["m3"])
    registry.entries = [entry("member", "m1"), entry("member", "m2", f"bert@{TENANT}")]
    registry.entries.append(entry("member", "m4", f"anna@{TENANT}"))
    found = told(desk.connect_tenant("acme", TENANT))
    assert (found["m1"], found["m2"]) == (MOVED, "connected")
    assert "this account is connected already, as microsoft-m1" in found["m4"]
    assert "m3" not in found
    assert store.vault.get("acme", "microsoft-m1") is None


def test_one_member_connected_by_name_ends_nobody_elses_access(
    desk: ConnectingDesk, store: Store, registry: MemoryRegistry
) -> None:
    desk.connect_tenant("acme", TENANT)
    registry.entries.pop(1)
    assert told(desk.connect_tenant("acme", TENANT, only="m1")) == {"m1": "connected"}
    assert store.vault.get("acme", "microsoft-m2") is not None


@pytest.mark.parametrize("entries", [[entry("member", "m1", "new@elsewhere.example")], []])
def test_who_signed_in_is_not_looked_at(
    desk: ConnectingDesk,
    store: Store,
    registry: MemoryRegistry,
    simulator: Simulator,
    entries: list[DirectoryEntry],
) -> None:
    desk.finish("s", browse(simulator, desk.begin("acme", "m1", REDIRECT, "s")))
    registry.entries[:1] = entries
    desk.connect_tenant("acme", TENANT)
    assert store.vault.get("acme", "microsoft-m1") is not None
