"""Merging a file into the directory: idempotent, keeping times, deleting only when told to."""

from __future__ import annotations

from typing import Any

import pytest

from rapport.directory.document import parse_document
from rapport.directory.merge import Merge, merge, reached
from rapport.directory.records import Key, key_of
from rapport_core.errors import ConfigError
from rapport_processors.directory_settings import parse_tenant
from rapport_schemas.records import DirectoryEntry

Records = dict[Key, DirectoryEntry]
DAY = 86_400_000
BASE: dict[str, Any] = {
    "members": [{"id": "m1", "name": "Anna", "addresses": ["a@acme.com"]}],
    "customers": [{"id": "c1", "name": "Kund", "domains": ["kund.se"]}],
    "contacts": [{"id": "p1", "name": "Xi", "customer": "c1", "addresses": ["x@kund.se"]}],
    "exclusions": [{"member": "m1", "contact": "p1"}],
}


def load(before: Records, now_ms: int, *, prune: bool = False, **lists: Any) -> tuple[Merge, Records]:
    """The merge and the directory after it."""
    result = merge(before, parse_document({"tenant": {"id": "acme"}, **lists}), now_ms, prune=prune)
    after = dict(before)
    for record in result.changed:
        if record["deleted"]:
            del after[key_of(record)]
        else:
            after[key_of(record)] = record
    return result, after


def values(records: Records, kind: str, id_: str) -> list[str]:
    """Addresses and domains of a record."""
    record = records[kind, id_]
    return [entry["value"] for entry in (*record["addresses"], *record["domains"])]


def test_references_come_first_in_what_is_published() -> None:
    first, _ = load({}, 10, **BASE)
    assert [record["kind"] for record in first.changed] == [
        "tenant",
        "customer",
        "member",
        "contact",
        "exclusion",
    ]
    assert (first.added, first.updated, first.deleted, first.unchanged) == (5, 0, 0, 0)


@pytest.mark.parametrize("prune", [False, True])
def test_loading_twice_is_loading_once(prune: bool) -> None:
    _, once = load({}, 10, **BASE)
    again, twice = load(once, 20, prune=prune, **BASE)
    assert (again.changed, again.unchanged, twice) == ([], 5, once)


def test_what_is_new_is_recorded_now_and_the_rest_keeps_its_time() -> None:
    _, once = load({}, 10, **BASE)
    contacts = [{"id": "p1", "customer": "c1", "addresses": ["new@kund.se", "x@kund.se"]}]
    second, after = load(once, 20, contacts=contacts)
    [changed] = second.changed
    assert [(entry["value"], entry["recorded_at"]) for entry in changed["addresses"]] == [
        ("new@kund.se", 20),
        ("x@kund.se", 10),
    ]
    assert (changed["recorded_at"], changed["name"], len(after)) == (20, "Xi", 5)


def test_without_prune_nothing_is_deleted() -> None:
    _, once = load({}, 10, **BASE)
    second, after = load(once, 20, contacts=[{"id": "p1", "addresses": ["other@kund.se"]}])
    assert values(after, "contact", "p1") == ["other@kund.se", "x@kund.se"]
    assert (after["contact", "p1"]["customer"], second.deleted, second.pruned) == ("c1", 0, 0.0)


def test_prune_deletes_what_the_file_lacks_but_never_the_tenant() -> None:
    _, once = load({}, 10, **BASE)
    second, after = load(once, 20, prune=True, members=[{"id": "m1", "addresses": ["b@acme.com"]}])
    assert set(after) == {("tenant", "acme"), ("member", "m1")}
    assert (values(after, "member", "m1"), after["member", "m1"]["name"]) == (["b@acme.com"], "")
    assert [record["kind"] for record in second.changed if record["deleted"]] == [
        "exclusion",
        "contact",
        "customer",
    ]
    assert all(
        not record["name"] and not record["addresses"] for record in second.changed if record["deleted"]
    )


@pytest.mark.parametrize(
    ("contacts", "addresses", "part"),
    [(100, 1, 0.0), (96, 1, 0.04), (94, 1, 0.06), (0, 1, 1.0), (100, 0, 1.0)],
)
def test_how_much_a_prune_deletes_is_measured_in_records_and_in_entries(
    contacts: int, addresses: int, part: float
) -> None:
    def crowd(count: int, each: int) -> list[dict[str, Any]]:
        return [{"id": f"p{n}", "addresses": [f"x{n}@kund.se"][:each]} for n in range(count)]

    _, before = load({}, 10, contacts=crowd(100, 1))
    result, _ = load(before, 20, prune=True, contacts=crowd(contacts, addresses))
    assert result.pruned == pytest.approx(part)


def test_settings_merge_one_by_one_and_prune_resets_the_rest() -> None:
    def with_tenant(before: Records, prune: bool, **tenant: Any) -> tuple[str, dict[str, object], Records]:
        stated = parse_document({"tenant": {"id": "acme", **tenant}})
        after = before | {key_of(record): record for record in merge(before, stated, 10, prune=prune).changed}
        return *parse_tenant(after["tenant", "acme"]["settings"]), after

    zone, settings, once = with_tenant({}, False, timezone="Europe/Oslo", settings={"match_by": "domain"})
    assert (zone, settings) == ("Europe/Oslo", {"match_by": "domain"})
    zone, settings, twice = with_tenant(once, False, settings={"ambiguous": "oldest"})
    assert (zone, settings) == ("Europe/Oslo", {"match_by": "domain", "ambiguous": "oldest"})
    zone, settings, _ = with_tenant(twice, True, settings={"keep_days": 9})
    assert (zone, settings) == ("UTC", {"keep_days": 9})


def test_a_validity_that_changes_is_recorded_anew() -> None:
    _, once = load({}, 10, **BASE)
    ended = [{"id": "m1", "addresses": [{"address": "a@acme.com", "valid_to": "1970-01-02T00:00:00Z"}]}]
    _, after = load(once, 2 * DAY, members=ended)
    [entry] = after["member", "m1"]["addresses"]
    assert (entry["valid_to"], entry["recorded_at"], entry["ended_at"]) == (DAY, 2 * DAY, 2 * DAY)
    _, same = load(after, 3 * DAY, members=ended)
    assert same == after
    _, reopened = load(after, 3 * DAY, **BASE)
    [entry] = reopened["member", "m1"]["addresses"]
    assert (entry["valid_to"], entry["recorded_at"], entry["ended_at"]) == (None, 3 * DAY, None)


def test_reaching_a_bound_is_a_change_of_its_own() -> None:
    """Contract 6.6: published once when it is reached, with its end recorded, and not again."""
    future = [
        {
            "id": "p1",
            "customer": "c1",
            "addresses": [{"address": "x@kund.se", "valid_from": "1970-01-03T00:00:00Z"}],
        },
        {"id": "p2", "addresses": [{"address": "y@kund.se", "valid_to": "1970-01-03T00:00:00Z"}]},
    ]
    _, once = load({}, DAY, **BASE | {"contacts": future})
    assert reached(once, 2 * DAY - 1) == []
    due = reached(once, 2 * DAY)
    assert [(record["id"], record["recorded_at"]) for record in due] == [("p1", 2 * DAY), ("p2", 2 * DAY)]
    assert due[1]["addresses"][0]["ended_at"] == 2 * DAY
    assert reached(once | {key_of(record): record for record in due}, 9 * DAY) == []


@pytest.mark.parametrize(
    ("lists", "sentence"),
    [
        ({"contacts": [{"id": "p1", "customer": "c9"}]}, "contact p1 names the customer c9"),
        ({"exclusions": [{"member": "m9", "contact": "p1"}]}, "exclusion pair:m9/p1 names the member m9"),
        (
            {"members": [{"id": "m2", "addresses": ["A@acme.com"]}]},
            "the address a@acme.com belongs to the members m1 and m2",
        ),
    ],
)
def test_the_whole_must_hold_together(lists: dict[str, Any], sentence: str) -> None:
    _, once = load({}, 10, **BASE)
    with pytest.raises(ConfigError, match=sentence):
        load(once, 20, **lists)


def test_pruning_a_customer_under_its_contact_is_refused() -> None:
    _, once = load({}, 10, **BASE)
    with pytest.raises(ConfigError, match="contact p1 names the customer c1"):
        load(once, 20, prune=True, contacts=BASE["contacts"])


@pytest.mark.parametrize(
    ("until", "since"), [("1970-01-01T00:00:00.005Z", None), ("2100-01-01T00:00:00Z", "2100-01-01T00:00:00Z")]
)
def test_an_address_may_pass_from_one_member_to_another(until: str, since: str | None) -> None:
    """One address is one person at one time: an ended entry, or one that ends where the other begins, is free."""
    members = [
        {"id": "m1", "addresses": [{"address": "desk@acme.com", "valid_to": until}]},
        {"id": "m2", "addresses": [{"address": "desk@acme.com", "valid_from": since}]},
    ]
    result, _ = load({}, 20, members=members)
    assert result.added == 3
