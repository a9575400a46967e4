"""Any history of single changes: what records remember, and that what was added can be taken back."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.directory.document import parse_document
from rapport.directory.edits import configured, deleted, ended, said
from rapport.directory.file import to_document
from rapport.directory.merge import Merge, merge, reached, with_former
from rapport.directory.records import Key, entries_of, key_of
from rapport_core.errors import ConfigError
from rapport_processors.terms import value_terms
from rapport_schemas.records import DirectoryEntry

KEY = b"k" * 32
TENANT = "acme"
HOUR = 3_600_000
ADDRESSES = ("x@kund.se", "x+news@kund.se", "y@eu.kund.se")
DOMAINS = ("kund.se", "eu.kund.se")
TIMES = (None, "1970-01-01T05:00:00Z", "1970-01-01T10:00:00Z")

_validity = st.fixed_dictionaries({"valid_from": st.sampled_from(TIMES)})
_addresses = st.lists(
    st.builds(lambda value, more: {"address": value, **more}, st.sampled_from(ADDRESSES), _validity),
    max_size=2,
    unique_by=lambda one: str(one["address"]),
)
_domains = st.lists(st.sampled_from(DOMAINS), max_size=2, unique=True)
_contact = st.builds(
    lambda id_, addresses: ("contact", {"id": id_, "addresses": addresses}), st.sampled_from("pq"), _addresses
)
_customer = st.builds(
    lambda id_, domains: ("customer", {"id": id_, "domains": domains}), st.sampled_from("cd"), _domains
)
_exclusion = st.sampled_from(ADDRESSES).map(lambda value: ("exclusion", {"address": value}))
_keys = st.sampled_from(
    [
        ("contact", "p"),
        ("contact", "q"),
        ("customer", "c"),
        ("customer", "d"),
        ("exclusion", "address:x@kund.se"),
    ]
)
_values = st.sampled_from(("", *ADDRESSES, *DOMAINS))
_steps = st.one_of(
    st.tuples(st.just("set"), st.one_of(_contact, _customer, _exclusion)),
    st.tuples(st.sampled_from(("end", "delete")), st.tuples(_keys, _values)),
    st.tuples(st.just("settings"), st.tuples(st.sampled_from(("", "mbox")), st.booleans())),
)


class Topic:
    """The newest record of each key, as a reader finds them."""

    def __init__(self) -> None:
        self.newest: dict[Key, DirectoryEntry] = {}
        self.ever: dict[Key, set[bytes]] = {}
        self.publish(said({}, TENANT, "tenant", {"id": TENANT}, 0))

    @property
    def records(self) -> dict[Key, DirectoryEntry]:
        """Those that are not deleted."""
        return {key: record for key, record in self.newest.items() if not record["deleted"]}

    def publish(self, result: Merge) -> None:
        """With what each record remembers."""
        for record in with_former(result.changed, self.newest, KEY):
            self.newest[key_of(record)] = record
            self.ever.setdefault(key_of(record), set()).update(value_terms(KEY, record))

    def do(self, step: tuple[str, Any], now_ms: int) -> None:
        """One change; what is refused changes nothing."""
        verb, (one, other) = step
        try:
            if verb == "set":
                self.publish(said(self.records, TENANT, one, other, now_ms))
            elif verb == "end":
                self.publish(ended(self.records, one, other, "", now_ms))
            elif verb == "delete":
                self.publish(deleted(self.records, one, other, now_ms))
            else:
                changes, unset = ({"match_by": "domain"}, []) if other else ({}, ["match_by"])
                self.publish(configured(self.records, TENANT, one, changes, unset, now_ms))
        except ConfigError:
            return


def content(records: dict[Key, DirectoryEntry]) -> dict[Key, Any]:
    """What records say, without when it was said."""
    return {
        key: (
            record["name"],
            record["settings"],
            [(one["value"], one["valid_from"]) for one in entries_of(record)],
        )
        for key, record in records.items()
    }


@given(st.lists(_steps, max_size=12))
@settings(deadline=None)
def test_a_record_remembers_every_value_that_it_ever_had(steps: list[tuple[str, Any]]) -> None:
    """Now or formerly, and never both; deleted ones too: the records before may be compacted away."""
    topic = Topic()
    for number, step in enumerate(steps, 1):
        topic.do(step, number * HOUR)
        topic.publish(Merge(changed=reached(topic.records, number * HOUR + 1)))
    for key, record in topic.newest.items():
        now = set(value_terms(KEY, record))
        assert sorted(topic.ever[key] - now) == record["former"]


@given(st.lists(_steps, max_size=6), st.one_of(_contact, _customer, _exclusion))
@settings(deadline=None)
def test_deleting_what_was_added_leaves_what_was_there(
    steps: list[tuple[str, Any]], added: tuple[str, Any]
) -> None:
    """An entry that was not there is gone again, and nothing else changed."""
    topic = Topic()
    for number, step in enumerate(steps, 1):
        topic.do(step, number * HOUR)
    before = content(topic.records)
    result = said(topic.records, TENANT, *added, 20 * HOUR)
    if result.added:
        topic.publish(result)
        [new] = [key for key in topic.records if key not in before]
        topic.publish(deleted(topic.records, new, "", 20 * HOUR))
        assert content(topic.records) == before


@given(st.lists(_steps, max_size=10))
@settings(deadline=None)
def test_what_is_shown_is_loaded_without_a_change(steps: list[tuple[str, Any]]) -> None:
    """With pruning or without: the file says everything that single changes made."""
    topic = Topic()
    for number, step in enumerate(steps, 1):
        topic.do(step, number * HOUR)
    now = (len(steps) + 1) * HOUR
    topic.publish(Merge(changed=reached(topic.records, now)))
    stated = parse_document(to_document(topic.records, TENANT))
    for prune in (False, True):
        assert merge(topic.records, stated, now, prune=prune).changed == []
