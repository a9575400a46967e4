"""Single changes of a directory: set, end, delete, choose, settings; what each publishes and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from rapport.directory.differences import differences, text
from rapport.directory.document import parse_document
from rapport.directory.edits import chosen, configured, deleted, ended, said
from rapport.directory.merge import Merge, merge, with_former
from rapport.directory.records import Key, key_of
from rapport_core.errors import ConfigError
from rapport_processors.terms import address_term, member_term
from rapport_schemas.records import DirectoryEntry

Records = dict[Key, DirectoryEntry]
KEY = b"k" * 32
DAY = 86_400_000
BASE: dict[str, Any] = {
    "tenant": {"id": "acme", "timezone": "Europe/Stockholm", "own_domains": ["acme.com"]},
    "members": [{"id": "m1", "name": "Anna", "addresses": ["a@acme.com"]}],
    "customers": [
        {"id": "c1", "name": "Kund AB", "domains": ["kund.se"]},
        {"id": "c2", "name": "Other", "domains": ["kund.se"]},
    ],
    "contacts": [
        {"id": "p1", "name": "Xi", "customer": "c1", "addresses": ["x@kund.se", "y@kund.se"]},
        {"id": "p2", "name": "Yi", "customer": "c2", "addresses": ["x@kund.se"]},
    ],
    "exclusions": [{"member": "m1", "contact": "p2"}],
}


@pytest.fixture
def base() -> Records:
    """The directory that is changed."""
    return after({}, merge({}, parse_document(BASE), 10, prune=False))


def after(before: Records, result: Merge) -> Records:
    """The directory once the changes are published."""
    gone = {key_of(record) for record in result.changed if record["deleted"]}
    new = {key_of(record): record for record in result.changed if not record["deleted"]}
    return {key: record for key, record in before.items() if key not in gone} | new


def lines(before: Records, result: Merge) -> list[str]:
    """What a person is told."""
    return [text(one) for one in differences(before, result.changed)]


def test_set_makes_an_entry_or_adds_to_one(base: Records) -> None:
    """What is not named stays; times without an offset are in the tenant's zone."""
    made = said(base, "acme", "contact", {"id": "p3", "name": "Zi", "customer": "c1"}, DAY)
    assert lines(base, made) == ["+ contact p3: name Zi, customer c1"]
    address = {"address": "z@kund.se", "valid_from": "1970-01-03"}
    added = said(base, "acme", "contact", {"id": "p1", "addresses": [address]}, DAY)
    assert lines(base, added) == ["~ contact p1: + z@kund.se from 1970-01-02T23:00:00Z"]
    assert len(after(base, added)["contact", "p1"]["addresses"]) == 3


def test_a_bound_that_was_reached_meanwhile_is_told_too(base: Records) -> None:
    """Whoever changes the directory first publishes it."""
    later = {"id": "c1", "domains": [{"domain": "kund.com", "valid_from": "1970-01-03T00:00Z"}]}
    base = after(base, said(base, "acme", "customer", later, DAY))
    result = said(base, "acme", "customer", {"id": "c3"}, 2 * DAY)
    assert lines(base, result) == [
        "~ customer c1: a validity that was given before begins or ends",
        "+ customer c3",
    ]


def test_set_twice_is_set_once(base: Records) -> None:
    """Repeating a change changes nothing."""
    for kind, content in (("exclusion", {"domain": "bank.example"}), ("tenant", {"own_domains": ["x.se"]})):
        once = after(base, said(base, "acme", kind, content, 20))
        assert said(once, "acme", kind, content, 30).changed == []


@pytest.mark.parametrize(
    ("kind", "content", "sentence"),
    [
        ("contact", {"id": "p3", "customer": "C1"}, r"no customer C1: did you mean c1 \(Kund AB\)"),
        ("contact", {"id": "p3", "customer": "kund ab"}, r"did you mean c1 \(Kund AB\)"),
        ("exclusion", {"member": "m9", "contact": "p1"}, "the directory has no member m9"),
        ("contact", {"id": "p3", "addresses": ["nonsense"]}, "is no mail address"),
        ("member", {"id": "m2", "addresses": ["a@acme.com"]}, "belongs to the members m1 and m2"),
    ],
)
def test_set_refuses_what_does_not_hold_together(
    base: Records, kind: str, content: dict[str, Any], sentence: str
) -> None:
    """With the names that are near."""
    with pytest.raises(ConfigError, match=sentence):
        said(base, "acme", kind, content, 20)


def test_nothing_is_set_in_a_directory_that_is_not_there() -> None:
    """A mistyped tenant would otherwise become one; only the tenant's own entry makes one."""
    with pytest.raises(ConfigError, match="there is no directory of acme"):
        said({}, "acme", "customer", {"id": "c1"}, 20)
    assert [record["kind"] for record in said({}, "acme", "tenant", {"id": "acme"}, 20).changed] == ["tenant"]


def test_end_closes_an_address_or_all_of_them(base: Records) -> None:
    """At a time or now; what ended keeps its record and its end."""
    one = ended(base, ("contact", "p1"), "x@kund.se", "", DAY)
    assert lines(base, one) == ["~ contact p1: - x@kund.se, + x@kund.se until 1970-01-02T00:00:00Z"]
    [closed, other] = after(base, one)["contact", "p1"]["addresses"]
    assert (closed["valid_to"], closed["ended_at"], closed["recorded_at"]) == (DAY, DAY, 10)
    assert other["ended_at"] is None
    both = ended(after(base, one), ("contact", "p1"), "", "", 2 * DAY)
    assert [entry["ended_at"] for entry in both.changed[0]["addresses"]] == [DAY, 2 * DAY]


def test_an_end_in_the_future_is_not_yet_reached(base: Records) -> None:
    """It closes by the timer."""
    [record] = ended(base, ("customer", "c1"), "kund.se", "1970-01-06T00:00Z", DAY).changed
    assert (record["domains"][0]["valid_to"], record["domains"][0]["ended_at"]) == (5 * DAY, None)


def test_ending_again_changes_nothing_unless_at_another_time(base: Records) -> None:
    """What is over stays as it ended."""
    key = ("exclusion", "pair:m1/p2")
    once = after(base, ended(base, key, "", "", DAY))
    assert ended(once, key, "", "", 2 * DAY).changed == []
    assert ended(once, key, "", "1970-01-02T00:00Z", 2 * DAY).changed == []
    assert (
        ended(once, key, "", "1970-01-01T13:00", 2 * DAY).changed[0]["addresses"][0]["valid_to"] == DAY // 2
    )


def test_delete_takes_out_a_value_or_the_entry(base: Records) -> None:
    """As if it had never been true."""
    assert lines(base, deleted(base, ("contact", "p1"), "y@kund.se", 20)) == ["~ contact p1: - y@kund.se"]
    assert lines(base, deleted(base, ("contact", "p1"), "", 20)) == ["- contact p1"]
    assert lines(base, deleted(base, ("tenant", "acme"), "ACME.com", 20)) == ["~ tenant acme: - acme.com"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda it: deleted(it, ("customer", "c1"), "", 20), "customer c1 is named by contact p1: change"),
        (lambda it: deleted(it, ("member", "m1"), "", 20), "member m1 is named by exclusion pair:m1/p2"),
        (lambda it: deleted(it, ("tenant", "acme"), "", 20), "cannot be deleted"),
        (lambda it: deleted(it, ("contact", "p9"), "", 20), r"has no contact p9: did you mean p\d"),
        (lambda it: deleted(it, ("contact", "p1"), "z@kund.se", 20), "contact p1 has no z@kund.se: did you"),
        (lambda it: ended(it, ("contact", "p1"), "w@other.org", "", 20), "it has x@kund.se, y@kund.se"),
    ],
)
def test_what_is_unknown_or_still_named_is_refused(
    base: Records, change: Callable[[Records], Merge], sentence: str
) -> None:
    """One sentence that says what to do."""
    with pytest.raises(ConfigError, match=sentence):
        change(base)


def test_an_end_before_the_begin_is_refused(base: Records) -> None:
    """It would be no validity at all."""
    address = {"address": "z@kund.se", "valid_from": "1970-01-03T00:00:00Z"}
    later = after(base, said(base, "acme", "contact", {"id": "p1", "addresses": [address]}, DAY))
    with pytest.raises(ConfigError, match=r"z@kund\.se of contact p1 begins later than that"):
        ended(later, ("contact", "p1"), "z@kund.se", "", DAY)


def test_a_choice_names_one_who_has_the_address_or_domain(base: Records) -> None:
    """Another would do nothing, silently. A tag makes no difference."""
    by_address = chosen(base, "acme", {"address": "X+news@kund.se", "contact": "p2"}, 20)
    assert lines(base, by_address) == ["+ choice address:x+news@kund.se: + x+news@kund.se, contact p2"]
    assert lines(base, chosen(base, "acme", {"domain": "kund.se", "customer": "c1"}, 20)) == [
        "+ choice domain:kund.se: + kund.se, customer c1"
    ]
    with pytest.raises(ConfigError, match=r"contact p2 has no address y@kund\.se"):
        chosen(base, "acme", {"address": "y@kund.se", "contact": "p2"}, 20)
    once = after(base, by_address)
    other = chosen(once, "acme", {"address": "x+news@kund.se", "contact": "p1"}, 30)
    assert lines(once, other) == ["~ choice address:x+news@kund.se: contact p2 → p1"]
    with pytest.raises(
        ConfigError, match=r"contact p2 is named by choice address:x\+news@kund.se, exclusion"
    ):
        deleted(once, ("contact", "p2"), "", 30)


def test_settings_of_the_tenant_and_of_a_connection(base: Records) -> None:
    """Set one by one and taken back; a connection without any has no entry."""
    on = {"sync_unknown_sender": True}
    tenant = configured(base, "acme", "", on, [], 20)
    assert lines(base, tenant) == ["~ tenant acme: sync_unknown_sender true"]
    assert lines(after(base, tenant), configured(after(base, tenant), "acme", "", {}, list(on), 30)) == [
        "~ tenant acme: sync_unknown_sender true → none"
    ]
    own = configured(base, "acme", "mbox-m1", {"match_by": "domain"}, [], 20)
    assert lines(base, own) == ["+ connection mbox-m1: match_by domain"]
    back = configured(after(base, own), "acme", "mbox-m1", {}, ["match_by"], 30)
    assert lines(after(base, own), back) == ["- connection mbox-m1"]
    assert configured(base, "acme", "mbox-m1", {}, ["match_by"], 30).changed == []


@pytest.mark.parametrize(
    ("connection", "changes", "unset", "sentence"),
    [
        ("", {"match_bye": "domain"}, [], "did you mean match_by"),
        ("", {"match_by": "phone"}, [], "must be address or domain"),
        ("", {}, ["match_bye"], "did you mean match_by"),
        ("mbox-m1", {"ambiguous": "all"}, [], "a connection cannot set ambiguous"),
    ],
)
def test_wrong_settings_are_refused(
    base: Records, connection: str, changes: Mapping[str, object], unset: list[str], sentence: str
) -> None:
    """Before anything is published."""
    with pytest.raises(ConfigError, match=sentence):
        configured(base, "acme", connection, changes, unset, 20)


def test_a_record_remembers_what_it_had(base: Records) -> None:
    """By terms, in every change after, deleted or back again, until the value is back."""
    x, y, own = (address_term(KEY, value) for value in ("x@kund.se", "y@kund.se", "a@acme.com"))
    base = {key_of(one): one for one in with_former(base.values(), {}, KEY)}
    assert all(record["former"] == [] for record in base.values())
    less = deleted(base, ("contact", "p1"), "y@kund.se", 20)
    [once] = with_former(less.changed, base, KEY)
    assert once["former"] == [y]
    now = base | {key_of(once): once}
    [gone] = with_former(deleted(now, ("contact", "p1"), "", 30).changed, now, KEY)
    assert (gone["deleted"], gone["customer"], gone["former"]) == (True, "c1", sorted([x, y]))
    del now["contact", "p1"]
    again = said(now, "acme", "contact", {"id": "p1", "addresses": ["y@kund.se"]}, 40)
    [back] = with_former(again.changed, now | {key_of(gone): gone}, KEY)
    assert back["former"] == [x]
    [pair] = with_former(deleted(base, ("exclusion", "pair:m1/p2"), "", 30).changed, base, KEY)
    assert (pair["member"], pair["contact"], pair["former"]) == ("m1", "p2", [])
    lonely = after(base, Merge(changed=[pair]))
    [nobody] = with_former(deleted(lonely, ("member", "m1"), "", 40).changed, lonely, KEY)
    assert nobody["former"] == sorted([own, member_term(KEY, "m1")])
