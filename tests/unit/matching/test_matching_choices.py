"""What persons decided about the ambiguous, connections' own settings as records, and what decisions say beside their reason."""

from __future__ import annotations

from typing import Any

import pytest

from directory_entries import NOON, at, chosen, connection, directory, entry, excluded, mail, tenant
from rapport_core.errors import ConfigError
from rapport_processors.directory import TenantDirectory
from rapport_processors.matching import decide
from rapport_schemas.records import DirectoryEntry, Entry

HOUR = 3_600_000
M1 = entry("member", "m1", "anna@acme.com")
C1, C2 = entry("customer", "c1", "kund.se"), entry("customer", "c2", "kund.se")
P1 = entry("contact", "p1", "x@kund.se", customer="c1")
P2 = entry("contact", "p2", "x@kund.se", customer="c2")
P3 = entry("contact", "p3", "x@kund.se")
TO_X = mail("anna@acme.com", "x@kund.se")


def company(*more: DirectoryEntry, **settings: Any) -> TenantDirectory:
    """An address of three contacts and a domain of two customers."""
    return directory(tenant(**settings), M1, C1, C2, P1, P2, P3, *more)


class TestChoices:
    """A person says who an ambiguous address or domain is (6.7)."""

    @pytest.mark.parametrize("policy", ["all", "oldest", "review"])
    def test_an_address_is_whom_a_person_chose_whatever_the_rule(self, policy: str) -> None:
        decision = decide(TO_X, company(chosen("x@kund.se", "p2"), ambiguous=policy))
        assert (decision.contacts, decision.customers, decision.ambiguous) == (("p2",), ("c2",), False)
        assert decision.reason["entries"] == [
            {"kind": "contact", "id": "p2", "address": "x@kund.se", "choice": "address:x@kund.se"}
        ]
        candidates: Any = decision.reason["candidates"]
        assert [other["id"] for other in candidates["x@kund.se"]] == ["p1", "p3"]

    @pytest.mark.parametrize("policy", ["all", "oldest", "review"])
    def test_a_domain_is_whose_a_person_chose(self, policy: str) -> None:
        where = company(chosen("kund.se", "c2"), ambiguous=policy, match_by="domain")
        decision = decide(mail("anna@acme.com", "y@eu.kund.se"), where)
        assert (decision.customers, decision.ambiguous) == (("c2",), False)

    def test_a_choice_of_a_domain_says_nothing_of_an_address(self) -> None:
        where = company(chosen("kund.se", "c2"), match_by="domain")
        decision = decide(TO_X, where)
        assert (decision.customers, decision.contacts, decision.ambiguous) == (
            ("c2",),
            ("p1", "p2", "p3"),
            True,
        )

    @pytest.mark.parametrize(
        ("value", "written", "contacts"),
        [
            pytest.param("x@kund.se", "x+1@kund.se", ("p2",), id="the mailbox, whatever the tag"),
            pytest.param("x+1@kund.se", "x+1@kund.se", ("p2",), id="that tag"),
            pytest.param("x+2@kund.se", "x+1@kund.se", ("p1", "p2", "p3"), id="another tag"),
            pytest.param("x+1@kund.se", "x@kund.se", ("p1", "p2", "p3"), id="the tag alone"),
        ],
    )
    def test_of_a_tagged_address_that_tag_of_any_other_the_mailbox(
        self, value: str, written: str, contacts: tuple[str, ...]
    ) -> None:
        where = company(chosen(value, "p2"))
        assert decide(mail("anna@acme.com", written), where).contacts == contacts

    def test_the_very_address_is_asked_first(self) -> None:
        where = company(chosen("x@kund.se", "p1"), chosen("x+1@kund.se", "p2"))
        assert decide(mail("anna@acme.com", "x+1@kund.se"), where).contacts == ("p2",)
        assert decide(TO_X, where).contacts == ("p1",)

    def test_dots_at_gmail_are_no_part_of_it(self) -> None:
        twins = [entry("contact", id_, "q.r@gmail.com", customer="c1") for id_ in ("g1", "g2")]
        where = company(*twins, chosen("q.r@gmail.com", "g2"))
        assert decide(mail("anna@acme.com", "qr+a@gmail.com"), where).contacts == ("g2",)

    @pytest.mark.parametrize("who", ["p9", "c1", ""])
    def test_one_that_names_nobody_among_the_candidates_does_nothing(self, who: str) -> None:
        assert decide(TO_X, company(chosen("x@kund.se", who))) == decide(TO_X, company())

    def test_where_nothing_is_ambiguous_it_does_nothing(self) -> None:
        where = directory(tenant(), M1, C1, P1)
        before = decide(TO_X, where)
        where.apply(chosen("x@kund.se", "p1"), 10)
        assert decide(TO_X, where) == before

    def test_it_has_validity_like_any_entry(self) -> None:
        until = at("x@kund.se", until=NOON)
        where = company(chosen(until, "p2"), contact_history="as_of")
        assert decide(mail("anna@acme.com", "x@kund.se", at_ms=NOON - 1), where).contacts == ("p2",)
        assert decide(TO_X, where).contacts == ("p1", "p2", "p3")

    def test_taking_it_back_restores_everything(self) -> None:
        where = company()
        before = decide(TO_X, where)
        where.apply(chosen("x@kund.se", "p2"), 10)
        assert decide(TO_X, where) != before
        where.apply({**chosen("x@kund.se", "p2"), "deleted": True}, 11)
        assert decide(TO_X, where) == before

    def test_who_was_not_chosen_does_not_leave_the_item_out(self) -> None:
        pair = excluded(pair=("m1", "p1"))
        assert decide(TO_X, company(pair)).rule == "excluded"
        assert decide(TO_X, company(pair, chosen("x@kund.se", "p2"))).synced
        assert decide(TO_X, company(pair, chosen("x@kund.se", "p1"))).rule == "excluded"


class TestConnectionRecords:
    """A connection's own settings stand in the directory (6.8)."""

    def test_they_come_before_or_after_the_tenants(self) -> None:
        own = connection("mailbox-m1", match_by="domain")
        for records in ([tenant(sync_unknown_sender=True), own], [own, tenant(sync_unknown_sender=True)]):
            settings = directory(*records).settings_of("mailbox-m1")
            assert (settings.match_by, settings.sync_unknown_sender) == ("domain", True)

    @pytest.mark.parametrize(
        "back", [connection("mailbox-m1"), {**connection("mailbox-m1", match_by="domain"), "deleted": True}]
    )
    def test_an_empty_object_and_a_deletion_take_them_back(self, back: DirectoryEntry) -> None:
        where = directory(tenant(), connection("mailbox-m1", match_by="domain"))
        assert where.overrides() == {"mailbox-m1": {"match_by": "domain"}}
        where.apply(back, 10)
        assert (where.overrides(), where.has_overrides) == ({}, False)
        assert where.settings_of("mailbox-m1") == where.settings

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"settings": {"ambiguous": "all"}}', "a connection cannot set ambiguous"),
            ('{"settings": {"match_bye": "domain"}}', "did you mean match_by"),
            ("{}", "not readable"),
        ],
    )
    def test_what_cannot_be_is_refused(self, text: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            directory(tenant(), {**connection("mailbox-m1"), "settings": text})


class TestOwnDomains:
    """Fingerprints: equal ones make the same addresses internal at the same times."""

    def own(self, *domains: str | Entry, members: tuple[DirectoryEntry, ...] = (M1,)) -> dict[str, bytes]:
        return directory(tenant(*domains), *members).own_domains()

    def test_each_own_domain_has_one(self) -> None:
        assert self.own("acme.no") == {"acme.no": b"always", "acme.com": b"always"}

    def test_one_more_colleague_is_no_difference(self) -> None:
        assert self.own(members=(M1, entry("member", "m2", "bo@acme.com"))) == self.own()

    def test_times_are(self) -> None:
        found = [
            self.own(at("acme.no", *bounds), members=())["acme.no"]
            for bounds in ((None, None), (NOON, None), (None, NOON), (NOON, NOON + 1))
        ]
        assert len(set(found)) == len(found)

    def test_where_one_entry_is_always_valid_others_do_not_matter(self) -> None:
        late = entry("member", "m2", at("bo@acme.com", NOON))
        assert self.own(members=(M1, late)) == self.own()
        assert self.own(members=(late,)) != self.own()

    def test_a_public_provider_is_none(self) -> None:
        assert self.own(members=(entry("member", "m1", "anna@gmail.com"),)) == {}


class TestNearAndStrangers:
    """Whom a decision came near to, and of whom nothing is known."""

    @pytest.mark.parametrize(
        ("to", "near"),
        [
            pytest.param("x@kund.se", ("", "c1", "c2"), id="contacts and domains, also without a customer"),
            pytest.param("y@kund.se", ("c1", "c2"), id="a domain that does not decide"),
            pytest.param("z@gone.example", ("c9",), id="a customer who is not there"),
            pytest.param("q@web.example", (), id="nobody"),
            pytest.param("bo@acme.com", (), id="among us"),
        ],
    )
    def test_near_names_the_customers_of_every_candidate(self, to: str, near: tuple[str, ...]) -> None:
        where = company(entry("contact", "p9", "z@gone.example", customer="c9"))
        assert decide(mail("anna@acme.com", to), where).near == near

    def test_an_excluded_item_is_near_as_well(self) -> None:
        assert decide(TO_X, company(excluded(domain="kund.se"))).near == ("", "c1", "c2")

    def test_strangers_are_external_participants_of_whom_nothing_is_known(self) -> None:
        people = [("sender", "s@web.example"), ("reply_to", "r@web.example"), ("bcc", "b@web.example")]
        said = mail(
            "q@web.example", ["anna@acme.com", "x@kund.se", "no@acme.com", "ex@web.example"], others=people
        )
        decision = decide(said, company(excluded("ex@web.example"), match_by="domain"))
        assert decision.strangers == ("b@web.example", "q@web.example")

    @pytest.mark.parametrize(("mode", "strangers"), [("address", ("new@kund.se",)), ("domain", ())])
    def test_in_a_customers_domain_is_who_matches_by_it(self, mode: str, strangers: tuple[str, ...]) -> None:
        decision = decide(mail("anna@acme.com", ["new@kund.se"]), company(match_by=mode))
        assert decision.strangers == strangers

    def test_a_synced_item_has_them_too(self) -> None:
        decision = decide(mail("anna@acme.com", ["x@kund.se", "q@web.example"]), company())
        assert (decision.synced, decision.strangers) == (True, ("q@web.example",))
