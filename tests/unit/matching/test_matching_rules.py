"""Contract part 6, rule by rule. Names give the rule; rows of `reference/peers.md` stand in brackets."""

from __future__ import annotations

from typing import Any

import pytest

from directory_entries import NOON, at, connection, copy, directory, entry, excluded, mail, tenant
from rapport_processors.directory import TenantDirectory
from rapport_processors.matching import decide
from rapport_processors.model import Decision, Message
from rapport_schemas.records import DirectoryEntry

HOUR = 3_600_000
M1 = entry("member", "m1", "anna@acme.com", "anna.alias@acme.com")
M2 = entry("member", "m2", "bo@acme.com")
C1 = entry("customer", "c1", "kund.se")
P1 = entry("contact", "p1", "x@kund.se", customer="c1")
BASE = (M1, M2, C1, P1)


def company(*more: DirectoryEntry, **settings: Any) -> TenantDirectory:
    """Two members, a customer with a domain, its contact, and more."""
    return directory(tenant(**settings), *BASE, *more)


def told(message: Message, where: TenantDirectory) -> tuple[Any, ...]:
    """The decision as one comparable line."""
    decision = decide(message, where)
    return decision.rule, decision.members, decision.customers, decision.contacts


class TestInternal:
    """Mail among colleagues stays out (6.1)."""

    @pytest.mark.parametrize(
        "to",
        [
            pytest.param("bo@acme.com", id="a colleague (0-10)"),
            pytest.param("printer@acme.com", id="an address of the own domain, nobody's (0-11)"),
            pytest.param("help@eu.labs.acme.com", id="a subdomain of an own domain"),
            pytest.param("bo@acme.no", id="a configured own domain"),
        ],
    )
    def test_among_colleagues_nothing_is_synced(self, to: str) -> None:
        where = directory(tenant("acme.no"), *BASE)
        assert decide(mail("anna@acme.com", to), where) == Decision(
            synced=False, rule="internal", reason={"rule": "internal", "entries": []}
        )

    def test_an_own_domain_address_is_never_a_contact(self) -> None:
        where = company(entry("contact", "p2", "x@acme.com", customer="c1"))
        assert decide(mail("anna@acme.com", "x@acme.com"), where).rule == "internal"

    def test_a_member_at_a_public_provider_does_not_make_the_provider_ours(self) -> None:
        where = company(
            entry("member", "m3", "cy@gmail.com"), entry("contact", "p2", "x@gmail.com", customer="c1")
        )
        assert told(mail("cy@gmail.com", "x@gmail.com"), where) == (
            "contact_address",
            ("m1", "m3"),
            ("c1",),
            ("p2",),
        )

    def test_a_similar_domain_is_not_a_subdomain(self) -> None:
        where = company(entry("contact", "p2", "x@notacme.com", customer="c1"))
        assert decide(mail("anna@acme.com", "x@notacme.com"), where).synced

    def test_one_external_hidden_recipient_makes_it_external(self) -> None:
        message = mail("anna@acme.com", "bo@acme.com", others=[("bcc", "x@kund.se")])
        assert told(message, company()) == ("contact_address", ("m1", "m2"), ("c1",), ("p1",))

    def test_a_hidden_author_may_be_from_anywhere(self) -> None:
        assert decide(mail("", "bo@acme.com"), company()).rule == "no_customer"


class TestExclusions:
    """What a person excluded stays out (6.2)."""

    @pytest.mark.parametrize(
        ("exclusion", "others"),
        [
            pytest.param(excluded("x@kund.se"), [], id="the matching address"),
            pytest.param(
                excluded("boss@bank.example"), [("cc", "boss@bank.example")], id="anybody else in it"
            ),
            pytest.param(
                excluded("boss@bank.example"), [("bcc", "boss+2@bank.example")], id="a tag of the mailbox"
            ),
            pytest.param(excluded("b.oss@gmail.com"), [("to", "boss@gmail.com")], id="dots at Gmail"),
            pytest.param(excluded(domain="bank.example"), [("cc", "a@eu.bank.example")], id="a subdomain"),
            pytest.param(excluded("bo@acme.com"), [("to", "bo@acme.com")], id="a colleague"),
            pytest.param(excluded(pair=("m1", "p1")), [], id="a member with a contact"),
        ],
    )
    def test_an_item_with_an_excluded_participant_is_left_out(
        self, exclusion: DirectoryEntry, others: list[tuple[str, str]]
    ) -> None:
        message = mail("anna@acme.com", "x@kund.se", others=others)
        assert decide(message, company()).synced
        decision = decide(message, company(exclusion))
        assert (decision.synced, decision.rule) == (False, "excluded")
        assert decision.reason["entries"][0]["id"] == exclusion["id"]  # type: ignore[index]

    @pytest.mark.parametrize(
        ("exclusion", "others"),
        [
            pytest.param(
                excluded("boss+private@bank.example"), [("cc", "boss@bank.example")], id="another tag"
            ),
            pytest.param(excluded(domain="ank.example"), [("cc", "a@bank.example")], id="no label border"),
            pytest.param(
                excluded("s@bank.example"), [("reply_to", "s@bank.example")], id="not a participant"
            ),
            pytest.param(excluded(pair=("m2", "p1")), [], id="the pair's other member"),
        ],
    )
    def test_others_are_not_touched(self, exclusion: DirectoryEntry, others: list[tuple[str, str]]) -> None:
        assert decide(mail("anna@acme.com", "x@kund.se", others=others), company(exclusion)).synced

    def test_a_pair_counts_a_hidden_copy_but_no_list_copy(self) -> None:
        where = company(excluded(pair=("m2", "p1")))
        hidden = mail("anna@acme.com", "x@kund.se", copies=[copy("m1"), copy("m2")])
        through_list = mail("anna@acme.com", "x@kund.se", copies=[copy("m1"), copy("m2", mail_class="list")])
        assert [decide(message, where).rule for message in (hidden, through_list)] == [
            "excluded",
            "contact_address",
        ]

    def test_removing_one_brings_everything_back(self) -> None:
        where = company(excluded("x@kund.se"))
        message = mail("anna@acme.com", "x@kund.se")
        assert not decide(message, where).synced
        where.apply({**excluded("x@kund.se"), "deleted": True}, 100)
        assert decide(message, where) == decide(message, company())


class TestMemberSide:
    """Who of us takes part (6.3)."""

    def test_the_owner_of_a_hidden_copy_takes_part(self) -> None:
        message = mail("x@kund.se", "anna@acme.com", copies=[copy("m1"), copy("m2")])
        assert decide(message, company()).members == ("m1", "m2")

    def test_a_colleague_who_is_named_takes_part_without_a_copy(self) -> None:
        assert decide(mail("x@kund.se", "anna@acme.com", "bo@acme.com"), company()).members == ("m1", "m2")

    def test_an_alias_is_the_same_person(self) -> None:
        decision = decide(mail("anna.alias@acme.com", "x@kund.se", "anna@acme.com"), company())
        assert (decision.members, decision.author_members) == (("m1",), ("m1",))

    def test_without_the_alias_mail_from_it_is_missed(self) -> None:
        """Rows 0-20 and 0-35."""
        message = mail("anna@old.example", "x@kund.se")
        assert decide(message, company()).rule == "unknown_sender"
        assert decide(
            message, company({**M1, "addresses": [*M1["addresses"], at("anna@old.example")]})
        ).synced

    @pytest.mark.parametrize(("count", "members"), [(False, ("m1",)), (True, ("m1", "m2"))])
    def test_a_list_copy_is_no_part_of_an_unnamed_owner(self, count: bool, members: tuple[str, ...]) -> None:
        message = mail("x@kund.se", "anna@acme.com", copies=[copy("m1"), copy("m2", mail_class="list")])
        decision = decide(message, company(count_list_delivery=count))
        assert (decision.members, decision.customers) == (members, ("c1",))

    def test_a_list_copy_is_a_part_of_an_owner_who_is_named(self) -> None:
        message = mail("x@kund.se", "bo@acme.com", copies=[copy("m2", mail_class="list")])
        assert decide(message, company()).members == ("m2",)

    def test_mail_that_reaches_only_a_list_counts_for_the_customer(self) -> None:
        message = mail("x@kund.se", "support@acme.com", copies=[copy("m1", mail_class="list")])
        assert told(message, company()) == ("contact_address", (), ("c1",), ("p1",))

    def test_the_owner_can_be_required_to_be_listed(self) -> None:
        """Row 4-09."""
        message = mail("x@kund.se", "bo@acme.com", copies=[copy("m1")])
        where = company(owner_must_be_listed=True)
        assert decide(message, company()).synced
        assert decide(message, where).rule == "owner_not_listed"
        assert decide(mail("x@kund.se", cc="anna.alias@acme.com", copies=[copy("m1")]), where).synced

    def test_hidden_copies_are_not_listed(self) -> None:
        message = mail("x@kund.se", "bo@acme.com", copies=[copy("m1")], others=[("bcc", "anna@acme.com")])
        assert decide(message, company(owner_must_be_listed=True)).rule == "owner_not_listed"

    def test_an_owner_who_is_not_in_the_directory_is_not_counted(self) -> None:
        assert decide(mail("x@kund.se", "a@b.example", copies=[copy("m9")]), company()).members == ()


class TestCustomerSide:
    """Who of the customers takes part (6.4)."""

    def test_by_contact_address_by_default(self) -> None:
        """Rows 0-08, 0-21 and 2-19."""
        assert told(mail("x@kund.se", "anna@acme.com"), company()) == (
            "contact_address",
            ("m1",),
            ("c1",),
            ("p1",),
        )
        assert decide(mail("y@kund.se", "anna@acme.com"), company()).rule == "no_customer"

    def test_an_exact_match_wins_over_one_without_the_tag(self) -> None:
        where = company(entry("contact", "p2", "x+news@kund.se", customer="c1"))
        assert decide(mail("anna@acme.com", "x+news@kund.se"), where).contacts == ("p2",)
        assert decide(mail("anna@acme.com", "x@kund.se"), where).contacts == ("p1",)

    @pytest.mark.parametrize(
        ("known", "written", "same"),
        [
            ("x@kund.se", "x+offer@kund.se", True),
            ("x+crm@kund.se", "x@kund.se", True),
            ("x.y@kund.se", "xy@kund.se", False),
            ("x.y@gmail.com", "xy+a@gmail.com", True),
        ],
    )
    def test_tags_and_gmail_dots_are_not_part_of_an_address(
        self, known: str, written: str, same: bool
    ) -> None:
        where = directory(tenant(), M1, C1, entry("contact", "p1", known, customer="c1"))
        assert decide(mail("anna@acme.com", written), where).synced is same

    @pytest.mark.parametrize(
        ("address", "customers"),
        [
            pytest.param("y@kund.se", ("c1",), id="the domain itself (2-10)"),
            pytest.param("y@a.b.kund.se", ("c1",), id="below it"),
            pytest.param("y@lab.eu.kund.se", ("c2",), id="the longest suffix alone"),
            pytest.param("y@notkund.se", (), id="no label border"),
            pytest.param("y@gmail.com", (), id="a public provider, whatever a customer says"),
        ],
    )
    def test_by_the_longest_customer_domain(self, address: str, customers: tuple[str, ...]) -> None:
        where = company(entry("customer", "c2", "eu.kund.se", "gmail.com"), match_by="domain")
        assert decide(mail("anna@acme.com", address), where).customers == customers

    def test_by_domain_contacts_are_still_named(self) -> None:
        p2 = entry("contact", "p2", "z@gmail.com", customer="c1")
        message = mail("anna@acme.com", ["x@kund.se", "y@kund.se"], "z@gmail.com")
        assert told(message, company(p2, match_by="domain")) == (
            "customer_domain",
            ("m1",),
            ("c1",),
            ("p1", "p2"),
        )

    def test_by_domain_an_address_alone_matches_nothing(self) -> None:
        p2 = entry("contact", "p2", "z@gmail.com", customer="c1")
        assert (
            decide(mail("anna@acme.com", "z@gmail.com"), company(p2, match_by="domain")).rule == "no_customer"
        )

    def test_a_deleted_customer_is_nobodys(self) -> None:
        where = company()
        where.apply({**C1, "deleted": True}, 100)
        assert told(mail("x@kund.se", "anna@acme.com"), where) == ("contact_address", ("m1",), (), ("p1",))

    def test_one_item_counts_for_every_customer_in_it(self) -> None:
        where = company(entry("customer", "c2"), entry("contact", "p2", "q@other.org", customer="c2"))
        decision = decide(mail("q@other.org", ["anna@acme.com", "x@kund.se"]), where)
        assert (decision.customers, decision.author_customers, decision.author_contacts) == (
            ("c1", "c2"),
            ("c2",),
            ("p2",),
        )


class TestSenderRule:
    """Whose mail it has to be (6.5; 0-23, 2-11)."""

    ON = company(sync_unknown_sender=True)

    @pytest.mark.parametrize("author", ["stranger@web.example", "support@acme.com", ""])
    def test_an_unknown_author_needs_the_switch(self, author: str) -> None:
        message = mail(author, "anna@acme.com", "x@kund.se")
        assert decide(message, company()).rule == "unknown_sender"
        assert told(message, self.ON) == ("sync_unknown_sender", ("m1",), ("c1",), ("p1",))

    @pytest.mark.parametrize(
        ("to", "others"),
        [
            pytest.param(["x@kund.se"], [], id="the member only holds a delivered copy"),
            pytest.param(["x@kund.se"], [("bcc", "anna@acme.com")], id="the member is hidden"),
            pytest.param(["anna@acme.com"], [("bcc", "x@kund.se")], id="the customer is hidden"),
            pytest.param(["anna@acme.com"], [("reply_to", "x@kund.se")], id="nobody from the customer"),
            pytest.param(["support@acme.com", "x@kund.se"], [], id="our domain, but no member"),
        ],
    )
    def test_both_must_be_listed_recipients(self, to: list[str], others: list[tuple[str, str]]) -> None:
        assert not decide(mail("stranger@web.example", to, others=others), self.ON).synced

    def test_a_member_writing_to_nobody_known_is_not_synced(self) -> None:
        assert decide(mail("anna@acme.com", "stranger@web.example"), self.ON).rule == "no_customer"


class TestValidity:
    """When an entry applies (6.6; 0-33, 2-18, 4-08)."""

    LATER = (NOON + 20 * HOUR, None)
    EARLIER = (None, NOON - HOUR)
    GRACE = {"grace_hours": 24}  # noqa: RUF012 - never changed

    @pytest.mark.parametrize(
        ("history", "bounds", "synced"),
        [
            ("current", (None, None), True),
            ("as_of", (None, None), True),
            ("current", (NOON - HOUR, None), True),
            ("as_of", (NOON, None), True),
            ("current", LATER, True),
            ("as_of", LATER, False),
            (GRACE, LATER, True),
            (GRACE, (NOON + 25 * HOUR, None), False),
            ("current", EARLIER, False),
            ("as_of", EARLIER, False),
            (GRACE, EARLIER, False),
            ("as_of", (None, NOON), False),
            ("as_of", (None, NOON + 1), True),
            ("current", (None, NOON + 1), False),
        ],
    )
    def test_which_entries_apply(
        self, history: Any, bounds: tuple[int | None, int | None], synced: bool
    ) -> None:
        """`current` asks whether an entry is open in its newest record, the others whether it was at the item's time."""
        p1 = entry("contact", "p1", at("x@kund.se", *bounds), customer="c1", recorded_at=NOON + 1000 * HOUR)
        where = directory(tenant(contact_history=history), M1, C1, p1)
        assert decide(mail("x@kund.se", "anna@acme.com"), where).synced is synced

    def test_a_future_entry_waits_for_the_change_that_opens_it(self) -> None:
        """`current` reads no clock: the record published when `valid_from` is reached opens the entry."""
        p1 = entry("contact", "p1", at("x@kund.se", NOON), customer="c1", recorded_at=NOON - HOUR)
        where = directory(tenant(), M1, C1, p1)
        message = mail("x@kund.se", "anna@acme.com", at_ms=NOON + HOUR)
        assert not decide(message, where).synced
        where.apply({**p1, "recorded_at": NOON}, 100)
        assert decide(message, where).synced

    def test_a_recorded_end_closes_and_a_missing_time_is_judged_as_today(self) -> None:
        ended = entry("contact", "p1", at("x@kund.se", ended=NOON), customer="c1")
        where = directory(tenant(contact_history="as_of"), M1, C1, ended)
        assert decide(mail("x@kund.se", at_ms=NOON - 1), where).synced
        assert not decide(mail("x@kund.se", at_ms=NOON), where).synced
        assert not decide(mail("x@kund.se", at_ms=None), where).synced

    def test_every_kind_of_entry_has_validity(self) -> None:
        over = (None, NOON - HOUR)
        where = directory(
            tenant(at("acme.no", *over), contact_history="as_of", match_by="domain"),
            entry("member", "m1", "anna@acme.com", at("anna@alias.example", *over)),
            entry("customer", "c1", at("kund.se", *over), "other.org"),
            excluded(at("x@other.org", *over)),
            {**excluded(pair=("m1", "p1")), "addresses": [at("", *over)]},
            entry("contact", "p1", "x@other.org", customer="c1"),
        )
        then, now = NOON - 2 * HOUR, NOON
        assert decide(mail("anna@acme.com", "q@kund.se", at_ms=then), where).customers == ("c1",)
        assert decide(mail("anna@acme.com", "q@kund.se", at_ms=now), where).rule == "no_customer"
        assert decide(mail("anna@acme.com", "q@acme.no", at_ms=then), where).rule == "internal"
        assert decide(mail("anna@acme.com", "q@acme.no", at_ms=now), where).rule == "no_customer"
        assert decide(mail("anna@acme.com", "x@other.org", at_ms=then), where).rule == "excluded"
        assert decide(mail("anna@acme.com", "x@other.org", at_ms=now), where).rule == "customer_domain"
        assert decide(mail("anna@alias.example", "z@other.org", at_ms=then), where).author_members == ("m1",)
        assert decide(mail("anna@alias.example", "z@other.org", at_ms=now), where).rule == "unknown_sender"


class TestAmbiguity:
    """One address, several people (6.7; 0-34, 2-20)."""

    P0 = entry("contact", "p0", at("x@kund.se", recorded=2_000_000), customer="c2")
    C2 = entry("customer", "c2", at("kund.se", since=5))

    @pytest.mark.parametrize(
        ("policy", "contacts", "customers"),
        [("all", ("p0", "p1"), ("c1", "c2")), ("oldest", ("p1",), ("c1",)), ("review", (), ())],
    )
    def test_one_address_on_several_contacts(
        self, policy: str, contacts: tuple[str, ...], customers: tuple[str, ...]
    ) -> None:
        decision = decide(mail("anna@acme.com", "x@kund.se"), company(self.C2, self.P0, ambiguous=policy))
        assert (decision.synced, decision.ambiguous) == (True, True)
        assert (decision.contacts, decision.customers) == (contacts, customers)
        candidates: Any = decision.reason["candidates"]
        assert [found["id"] for found in candidates["x@kund.se"]] == ["p1", "p0"]

    @pytest.mark.parametrize(
        ("policy", "customers"), [("all", ("c1", "c2")), ("oldest", ("c2",)), ("review", ())]
    )
    def test_one_domain_on_several_customers(self, policy: str, customers: tuple[str, ...]) -> None:
        decision = decide(
            mail("anna@acme.com", "y@kund.se"), company(self.C2, match_by="domain", ambiguous=policy)
        )
        assert (decision.customers, decision.ambiguous) == (customers, True)

    def test_review_keeps_the_customer_that_all_candidates_share(self) -> None:
        where = company({**self.P0, "customer": "c1"}, ambiguous="review")
        decision = decide(mail("anna@acme.com", "x@kund.se"), where)
        assert (decision.contacts, decision.customers, decision.ambiguous) == ((), ("c1",), True)

    def test_the_smallest_id_is_the_oldest_of_equals(self) -> None:
        twin = entry("contact", "p0", "x@kund.se", customer="c1")
        assert decide(mail("anna@acme.com", "x@kund.se"), company(twin, ambiguous="oldest")).contacts == (
            "p0",
        )

    def test_one_contact_with_two_addresses_is_not_ambiguous(self) -> None:
        where = directory(
            tenant(), M1, C1, entry("contact", "p1", "x+a@kund.se", "x+b@kund.se", customer="c1")
        )
        assert not decide(mail("anna@acme.com", "x@kund.se"), where).ambiguous


class TestConnections:
    """Connections with settings of their own (6.8)."""

    def test_the_item_is_synced_when_one_copy_is(self) -> None:
        where = company()
        where.apply(connection("mailbox-m2", sync_unknown_sender=True), 50)
        message = mail("who@web.example", ["anna@acme.com", "x@kund.se"], copies=[copy("m1"), copy("m2")])
        assert told(message, where) == ("sync_unknown_sender", ("m1", "m2"), ("c1",), ("p1",))
        assert decide(mail("who@web.example", ["anna@acme.com", "x@kund.se"]), where).rule == "unknown_sender"

    def test_a_delivered_part_counts_only_when_its_own_copy_is_synced(self) -> None:
        where = company(sync_unknown_sender=True)
        where.apply(connection("mailbox-m2", sync_unknown_sender=False), 50)
        message = mail("who@web.example", ["anna@acme.com", "x@kund.se"], copies=[copy("m1"), copy("m2")])
        assert decide(message, where).members == ("m1",)

    def test_named_people_take_part_when_any_copy_is_synced(self) -> None:
        where = company(sync_unknown_sender=True)
        where.apply(connection("mailbox-m2", sync_unknown_sender=False), 50)
        message = mail(
            "who@web.example", ["anna@acme.com", "bo@acme.com", "x@kund.se"], copies=[copy("m1"), copy("m2")]
        )
        assert decide(message, where).members == ("m1", "m2")

    def test_each_copy_matches_in_its_own_way(self) -> None:
        p2 = entry("contact", "p2", "q@gmail.com", customer="c2")
        where = company(entry("customer", "c2"), p2)
        where.apply(connection("mailbox-m2", match_by="domain"), 50)
        message = mail("anna@acme.com", ["y@kund.se", "q@gmail.com"], copies=[copy("m1"), copy("m2")])
        assert told(message, where) == ("contact_address", ("m1", "m2"), ("c1", "c2"), ("p2",))

    def test_taking_the_settings_back_restores_the_tenants(self) -> None:
        where = company()
        where.apply(connection("mailbox-m1", match_by="domain"), 50)
        message = mail("anna@acme.com", "y@kund.se")
        assert decide(message, where).synced
        where.apply(connection("mailbox-m1"), 51)
        assert not decide(message, where).synced

    def test_an_override_outlives_a_change_of_the_tenant(self) -> None:
        where = company()
        where.apply(connection("mailbox-m1", match_by="domain"), 50)
        where.apply(tenant(ambiguous="oldest", sync_unknown_sender=True), 100)
        assert where.settings_of("mailbox-m1").match_by == "domain"
        assert where.settings_of("mailbox-m1").sync_unknown_sender
