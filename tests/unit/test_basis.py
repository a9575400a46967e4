"""Which items a change of settings or own domains can affect."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from directory_entries import connection, directory, entry, tenant
from memory_keys import MemoryKeyRing
from rapport_processors.basis import affected, basis_of
from rapport_processors.sweeps import EVERYTHING
from rapport_processors.terms import domain_term, near_term
from rapport_schemas.records import DirectoryEntry

KEY = MemoryKeyRing().tenant_keys("acme").hash


def difference(before: list[DirectoryEntry], after: list[DirectoryEntry]) -> set[bytes]:
    return affected(basis_of(directory(*before), KEY), basis_of(directory(*after), KEY), KEY)


@pytest.mark.parametrize(
    "settings",
    [{"counted_classes": ["human"]}, {"history_months": 3}, {"keep_days": 1}, {"retention_months": 12}],
)
def test_what_decides_nothing_affects_nothing(settings: dict[str, object]) -> None:
    assert difference([tenant()], [tenant(**settings)]) == set()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        {"match_by": "domain"},
        {"sync_unknown_sender": True},
        {"sync_unknown_organizer": True},
        {"owner_must_be_listed": True},
        {"count_list_delivery": True},
        {"ambiguous": "review"},
    ],
)
def test_how_customers_are_found_affects_items_near_to_any(settings: dict[str, object]) -> None:
    """Newsletters and mail with strangers, most of a mailbox, need no look."""
    assert difference([tenant()], [tenant(**settings)]) == {near_term(KEY)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed",
    [
        tenant(contact_history="as_of"),
        tenant(contact_history={"grace_hours": 24}),
        tenant(mail_removed="drop"),
        tenant(private_meetings="skip"),
        tenant(timezone="Asia/Tokyo"),
    ],
)
def test_what_reaches_further_affects_everything(changed: DirectoryEntry) -> None:
    assert difference([tenant()], [changed]) == {EVERYTHING}


def test_a_connections_own_settings_affect_items_near_to_any_customer() -> None:
    assert difference([tenant()], [tenant(), connection("box", match_by="domain")]) == {near_term(KEY)}


def test_an_own_domain_affects_who_has_an_address_in_it() -> None:
    assert difference([tenant("acme.com")], [tenant("acme.com", "acme.de")]) == {domain_term(KEY, "acme.de")}
    assert difference([tenant("acme.com")], [tenant()]) == {domain_term(KEY, "acme.com")}


def test_the_second_member_of_a_domain_affects_nobody_else() -> None:
    one, two = entry("member", "m1", "a@acme.com"), entry("member", "m2", "b@acme.com")
    assert difference([tenant(), one], [tenant(), one, two]) == set()
    assert difference([tenant()], [tenant(), one]) == {domain_term(KEY, "acme.com")}


def test_another_list_of_public_providers_affects_everything() -> None:
    basis = basis_of(directory(tenant()), KEY)
    assert affected(replace(basis, providers="of before"), basis, KEY) == {EVERYTHING}


def test_names_without_a_dot_do_not_hide_each_other() -> None:
    assert difference([tenant("one", "two")], [tenant("two")]) == {EVERYTHING}
    assert difference([tenant("one", "two")], [tenant("one")]) == {EVERYTHING}
