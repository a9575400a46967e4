"""The rows of `reference/peers.md` that speak of matching, part 1 by number, then the cases that peers' bugs hand us."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from directory_entries import NOON, at, chosen, connection, copy, directory, entry, excluded, mail, tenant
from meeting_pages import attendee, event
from rapport_processors.directory import TenantDirectory
from rapport_processors.matching import decide
from rapport_processors.meetings.assemble import meeting_of
from rapport_processors.meetings.parse import parse_event
from rapport_processors.model import Meeting, Message
from rapport_schemas.records import Copy, DirectoryEntry

HOUR = 3_600_000
MONTH = 31 * 24 * HOUR
ANNA, ALIAS, BO = "anna@acme.com", "anna@old.example", "bo@acme.com"
X, STRANGER = "x@kund.se", "who@web.example"
M1 = entry("member", "m1", ANNA)
M1_ALIAS = entry("member", "m1", ANNA, ALIAS)
M2 = entry("member", "m2", BO)
M3 = entry("member", "m3", "cy@acme.com")
C1 = entry("customer", "c1", "kund.se")
C1_BARE = entry("customer", "c1")
P1 = entry("contact", "p1", X, customer="c1")
TWIN = entry("contact", "p2", at(X, recorded=2_000_000), customer="c2")
C2 = entry("customer", "c2", at("kund.se", recorded=2_000_000))
BASE = (M1, M2, C1, P1)
TO_ANNA = mail(X, ANNA)
TO_X = mail(ANNA, X)
TO_Y = mail(ANNA, "y@kund.se")
UNKNOWN = mail(STRANGER, [ANNA, X])
SEEN = ("contact_address", ("m1",), ("c1",), ("p1",))
BY_DOMAIN = ("customer_domain", ("m1",), ("c1",), ())


class Row(NamedTuple):
    """A row of the checklist: what is said in which directory, and what comes of it."""

    row: str
    case: str
    said: Message
    records: tuple[DirectoryEntry, ...]
    settings: dict[str, Any]
    told: tuple[Any, ...]


def out(rule: str) -> tuple[Any, ...]:
    """Not synced."""
    return (rule, (), (), ())


def told(said: Message | Meeting, where: TenantDirectory) -> tuple[Any, ...]:
    """The decision as one comparable line."""
    decision = decide(said, where)
    return decision.rule, decision.members, decision.customers, decision.contacts


ROWS = [
    Row("0-08", "mail from an address of a contact", TO_ANNA, BASE, {}, SEEN),
    Row("0-08", "mail to an address of a contact", TO_X, BASE, {}, SEEN),
    Row(
        "0-08",
        "to a contact's second address",
        mail(ANNA, "x@home.example"),
        (M1, C1, entry("contact", "p1", X, "x@home.example", customer="c1")),
        {},
        SEEN,
    ),
    Row("0-08", "to an address that no contact has", TO_Y, BASE, {}, out("no_customer")),
    Row(
        "0-09",
        "one mail that two colleagues hold is one item",
        mail(X, [ANNA, BO], copies=[copy("m1"), copy("m2")]),
        BASE,
        {},
        ("contact_address", ("m1", "m2"), ("c1",), ("p1",)),
    ),
    Row("0-10", "mail between own members", mail(ANNA, BO), BASE, {}, out("internal")),
    Row(
        "0-11", "the own domain without any setup", mail(ANNA, "printer@acme.com"), BASE, {}, out("internal")
    ),
    Row("0-11", "and what lies below it", mail(ANNA, "x@eu.acme.com"), BASE, {}, out("internal")),
    Row("0-20", "an alias that is entered", mail(ALIAS, X), (M1_ALIAS, C1, P1), {}, SEEN),
    Row("0-20", "an alias that is not", mail(ALIAS, X), BASE, {}, out("unknown_sender")),
    Row("0-21", "by address is the default", TO_Y, BASE, {}, out("no_customer")),
    Row("0-21", "by domain to the customer", TO_Y, BASE, {"match_by": "domain"}, BY_DOMAIN),
    Row(
        "0-21",
        "by domain in one connection",
        TO_Y,
        (*BASE, connection("mailbox-m1", match_by="domain")),
        {},
        BY_DOMAIN,
    ),
    Row(
        "0-22",
        "by domain a customer without a domain is not found",
        TO_X,
        (M1, C1_BARE, P1),
        {"match_by": "domain"},
        out("no_customer"),
    ),
    Row("0-23", "an unknown sender by default", UNKNOWN, BASE, {}, out("unknown_sender")),
    Row(
        "0-23",
        "an unknown sender when allowed",
        UNKNOWN,
        BASE,
        {"sync_unknown_sender": True},
        ("sync_unknown_sender", ("m1",), ("c1",), ("p1",)),
    ),
    Row(
        "0-23",
        "but only with a contact among the recipients",
        mail(STRANGER, ANNA),
        BASE,
        {"sync_unknown_sender": True},
        out("no_customer"),
    ),
    Row(
        "0-23",
        "and only with a member among them",
        mail(STRANGER, X),
        BASE,
        {"sync_unknown_sender": True},
        out("unknown_sender"),
    ),
    Row(
        "0-33",
        "a contact of later, as of then",
        TO_X,
        (M1, C1, entry("contact", "p1", at(X, NOON + 1), customer="c1", recorded_at=NOON + 2)),
        {"contact_history": "as_of"},
        out("no_customer"),
    ),
    Row(
        "0-34",
        "one address on several contacts goes to all",
        TO_X,
        (*BASE, TWIN, C2),
        {},
        ("contact_address", ("m1",), ("c1", "c2"), ("p1", "p2")),
    ),
    Row("0-34", "or to the oldest", TO_X, (*BASE, TWIN, C2), {"ambiguous": "oldest"}, SEEN),
    Row(
        "0-34",
        "or waits for a person",
        TO_X,
        (*BASE, TWIN, C2),
        {"ambiguous": "review"},
        ("contact_address", ("m1",), (), ()),
    ),
    Row(
        "0-34",
        "who decides",
        TO_X,
        (*BASE, TWIN, C2, chosen(X, "p2")),
        {"ambiguous": "review"},
        ("contact_address", ("m1",), ("c2",), ("p2",)),
    ),
    Row(
        "0-35",
        "a colleague's alias among the recipients",
        mail(STRANGER, [ALIAS, X]),
        (M1_ALIAS, C1, P1),
        {"sync_unknown_sender": True},
        ("sync_unknown_sender", ("m1",), ("c1",), ("p1",)),
    ),
    Row(
        "2-10", "a company by its domain", mail("y@eu.kund.se", ANNA), BASE, {"match_by": "domain"}, BY_DOMAIN
    ),
    Row(
        "2-10",
        "never by a public provider's",
        mail("y@gmail.com", ANNA),
        (M1, entry("customer", "c1", "gmail.com")),
        {"match_by": "domain"},
        out("no_customer"),
    ),
    Row("2-11", "neither a member nor a contact sends it", UNKNOWN, BASE, {}, out("unknown_sender")),
    Row(
        "2-11",
        "allowed in one connection",
        UNKNOWN,
        (*BASE, connection("mailbox-m1", sync_unknown_sender=True)),
        {},
        ("sync_unknown_sender", ("m1",), ("c1",), ("p1",)),
    ),
    Row(
        "2-18",
        "a contact of then, who has left",
        TO_X,
        (M1, C1, entry("contact", "p1", at(X, until=NOON + 1), customer="c1", recorded_at=NOON + 2)),
        {"contact_history": "as_of"},
        SEEN,
    ),
    Row(
        "2-19",
        "the contact's address is mistyped",
        TO_X,
        (M1, C1, entry("contact", "p1", "x@kunde.se", customer="c1")),
        {},
        out("no_customer"),
    ),
    Row(
        "2-20",
        "by domain one address on several contacts is one customer",
        TO_X,
        (M1, C1, P1, {**TWIN, "customer": "c1"}),
        {"match_by": "domain"},
        ("customer_domain", ("m1",), ("c1",), ("p1", "p2")),
    ),
    Row("2-21", "mail to an alias that is not entered", mail(X, ALIAS), BASE, {}, SEEN),
    Row(
        "4-08",
        "To, Cc or From",
        mail(BO, "q@web.example", X),
        BASE,
        {},
        ("contact_address", ("m1", "m2"), ("c1",), ("p1",)),
    ),
    Row(
        "4-09",
        "the connecting user is in none of them",
        mail(X, BO),
        BASE,
        {"owner_must_be_listed": True},
        out("owner_not_listed"),
    ),
    Row(
        "4-09",
        "which by default does not matter",
        mail(X, BO),
        BASE,
        {},
        ("contact_address", ("m1", "m2"), ("c1",), ("p1",)),
    ),
    Row(
        "4-09",
        "the connecting user is copied",
        mail(X, BO, ANNA),
        BASE,
        {"owner_must_be_listed": True},
        ("contact_address", ("m1", "m2"), ("c1",), ("p1",)),
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.row} {row.case}" for row in ROWS])
def test_rows_of_the_checklist(row: Row) -> None:
    """Part 1: what the seeds promise, and what they have people look for when mail is missing."""
    assert told(row.said, directory(tenant(**row.settings), *row.records)) == row.told


@pytest.mark.parametrize(
    ("allowed", "invited", "rule"),
    [
        (False, [ANNA, X], "unknown_organizer"),
        (True, [ANNA, X], "sync_unknown_organizer"),
        (True, [X], "unknown_organizer"),
        (True, [ANNA], "no_customer"),
    ],
)
def test_row_0_24_an_event_of_an_unknown_organiser(allowed: bool, invited: list[str], rule: str) -> None:
    """A member and a contact both attend, and nobody knows who organises."""
    where = directory(tenant(sync_unknown_organizer=allowed), *BASE)
    assert decide(meeting(where, STRANGER, *invited), where).rule == rule


@pytest.mark.parametrize(
    ("history", "after", "synced"),
    [
        ("current", HOUR, True),
        ("current", 25 * HOUR, True),
        ("current", 5 * MONTH, True),
        ("as_of", HOUR, False),
        ("as_of", 25 * HOUR, False),
        ("as_of", 5 * MONTH, False),
        ({"grace_hours": 24}, HOUR, True),
        ({"grace_hours": 24}, 24 * HOUR, True),
        ({"grace_hours": 24}, 25 * HOUR, False),
        ({"grace_hours": 24}, 5 * MONTH, False),
    ],
)
def test_row_4_08_a_contact_created_after_the_mail(history: Any, after: int, synced: bool) -> None:
    """Part 4.5: one hour, 25 hours and five months later, in each policy (seeds 0-15, 0-33, 4-08)."""
    where = directory(tenant(contact_history=history), M1, C1)
    assert decide(TO_X, where).rule == "no_customer"
    created = entry("contact", "p1", at(X, NOON + after), customer="c1", recorded_at=NOON + after)
    where.apply(created, 10)
    assert decide(TO_X, where).synced is synced


class TestPeersBugs:
    """Part 4.5: each a fault that a peer had."""

    @pytest.mark.parametrize(("match_by", "customers"), [("address", ("c1", "c2")), ("domain", ("c1", "c2"))])
    def test_one_address_on_two_contacts_and_one_domain_on_two_customers(
        self, match_by: str, customers: tuple[str, ...]
    ) -> None:
        decision = decide(TO_X, directory(tenant(match_by=match_by), *BASE, TWIN, C2))
        assert (decision.customers, decision.contacts, decision.ambiguous) == (customers, ("p1", "p2"), True)

    def test_two_domains_on_one_customer_are_not_ambiguous(self) -> None:
        where = directory(
            tenant(match_by="domain"), M1, entry("customer", "c1", "kund.se", "kund.no", "eu.kund.se")
        )
        decision = decide(mail(ANNA, ["y@kund.no", "y@eu.kund.se"]), where)
        assert (decision.customers, decision.ambiguous) == (("c1",), False)

    def test_internal_mail_over_two_own_domains(self) -> None:
        where = directory(tenant("acme.no"), *BASE, entry("member", "m4", "dag@sub.example"))
        assert decide(mail(ANNA, ["a@acme.no", "b@sub.example"]), where).rule == "internal"

    def test_a_contractor_brings_the_own_domain_along(self) -> None:
        """A member's address makes its domain ours; an end of that entry gives the domain back."""
        other = entry("contact", "p9", "boss@freelance.example", customer="c1")
        where = directory(tenant(), *BASE, other)
        assert decide(mail(ANNA, "boss@freelance.example"), where).synced
        contractor = entry("member", "m4", "eva@freelance.example")
        where.apply(contractor, 10)
        assert decide(mail(ANNA, "boss@freelance.example"), where).rule == "internal"
        where.apply({**contractor, "deleted": True}, 11)
        assert decide(mail(ANNA, "boss@freelance.example"), where).synced

    @pytest.mark.parametrize("match_by", ["address", "domain"])
    def test_an_own_domain_wins_over_a_customers(self, match_by: str) -> None:
        where = directory(tenant("kund.se", match_by=match_by), *BASE)
        assert told(TO_X, where) == out("internal")

    def test_switching_the_unknown_sender_on_and_off_again(self) -> None:
        where = directory(tenant(), *BASE)
        before = decide(UNKNOWN, where)
        where.apply(tenant(sync_unknown_sender=True), 10)
        assert decide(UNKNOWN, where).synced
        where.apply(tenant(), 11)
        assert decide(UNKNOWN, where) == before

    @pytest.mark.parametrize(
        "blocked", [excluded(X), excluded(domain="kund.se"), excluded(pair=("m1", "p1"))], ids=["a", "d", "p"]
    )
    def test_an_exclusion_added_and_removed(self, blocked: DirectoryEntry) -> None:
        where = directory(tenant(), *BASE)
        before = decide(TO_X, where)
        where.apply(blocked, 10)
        assert told(TO_X, where) == out("excluded")
        where.apply({**blocked, "deleted": True}, 11)
        assert decide(TO_X, where) == before

    def test_an_alias_added_later_turns_the_direction(self) -> None:
        """Seed 0-20: what came from a stranger was sent by a member all along."""
        said = mail(ALIAS, X, copies=[copy("m1")])
        where = directory(tenant(sync_unknown_sender=True), *BASE)
        assert decide(said, where).author_members == ()
        where.apply(M1_ALIAS, 10)
        assert decide(said, where).author_members == ("m1",)

    def test_one_mail_in_three_mailboxes_is_three_participations(self) -> None:
        held = [copy("m1"), copy("m2"), copy("m3")]
        assert decide(mail(X, ANNA, copies=held), directory(tenant(), *BASE, M3)).members == (
            "m1",
            "m2",
            "m3",
        )

    def test_the_same_directory_again_changes_nothing(self) -> None:
        records = [tenant(), *BASE]
        where = directory(*records)
        before = [decide(said, where) for said in (TO_X, TO_Y, UNKNOWN)]
        for offset, record in enumerate(records):
            where.apply(record, 10 + offset)
        assert [decide(said, where) for said in (TO_X, TO_Y, UNKNOWN)] == before

    def test_more_than_fifty_recipients(self) -> None:
        """The contact who is the last of them is found; of the strangers the first fifty are named."""
        crowd = [f"p{number:03}@web.example" for number in range(60)]
        decision = decide(mail(ANNA, [*crowd, X]), directory(tenant(), *BASE))
        assert (decision.contacts, decision.strangers) == (("p1",), tuple(crowd[:50]))

    def test_an_address_beyond_ascii(self) -> None:
        where = directory(tenant(), M1, C1, entry("contact", "p1", "björn@xn--kund-5qa.se", customer="c1"))
        assert decide(mail(ANNA, "björn+nytt@xn--kund-5qa.se"), where).contacts == ("p1",)

    def test_an_attendee_without_an_address_is_nobody(self) -> None:
        where = directory(tenant(), *BASE)
        assert decide(meeting(where, ANNA, attendee(""), attendee(X)), where).contacts == ("p1",)


def meeting(where: TenantDirectory, organizer: str, *attendees: Any) -> Meeting:
    """A meeting that stands in the first member's calendar."""
    said = event("u", "2026-03-02T09:00:00Z", *attendees, organizer=organizer)
    origin = {"topic": "", "partition": 0, "offset": 0, "index": 0}
    content = {**parse_event(said), "series_key": b"", "fetched_at": 0, "origin": origin}
    held: Any = {**copy("m1", "cal-m1"), "id": b"", "version": 1, "message": None, "meeting": content}
    one: Copy = held
    found = meeting_of([one], where)
    assert found is not None
    return found
