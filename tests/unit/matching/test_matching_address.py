"""Contract 6.10 for an address: everything that it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from directory_entries import NOON, at, chosen, directory, entry, excluded, tenant
from rapport_processors.directory import TenantDirectory
from rapport_processors.matching_address import explain_address

M1 = entry("member", "m1", "anna@acme.com", at("anna@old.example", until=NOON), name="Anna", recorded_at=NOON)
C1 = entry("customer", "c1", "kund.se", name="Kund AB")
P1 = entry("contact", "p1", "x@kund.se", customer="c1", name="Xenia")
P2 = entry("contact", "p2", "x@kund.se", at("y@kund.se", NOON), customer="c9")
LISTS = ("members", "contacts", "customers", "own_domains", "exclusions", "choices")


def told(address: str, where: TenantDirectory, when: int | None = None) -> dict[str, Any]:
    """The answer, after a round through JSON."""
    answer: dict[str, Any] = json.loads(json.dumps(explain_address(address, where, when)))
    return answer


def sentences(answer: dict[str, Any]) -> list[str]:
    """Every sentence, the whole's first."""
    return [answer["sentence"], *(part["sentence"] for name in LISTS for part in answer[name])]


def test_a_members_address_is_internal_and_makes_its_domain_ours() -> None:
    answer = told("anna@acme.com", directory(tenant(), M1))
    assert (answer["standing"], answer["known"]) == ("internal", True)
    assert sentences(answer) == [
        "It is a team member's.",
        "It belongs to the team member Anna (m1).",
        "Its domain acme.com is ours through the team member Anna (m1).",
    ]


def test_a_configured_own_domain_holds_below_it() -> None:
    assert sentences(told("q@eu.acme.no", directory(tenant("acme.no"), M1))) == [
        "It is internal: in an own domain, and no member's.",
        "Its domain acme.no is configured as ours.",
    ]


def test_an_ended_alias_is_told_with_its_time() -> None:
    where = directory(tenant(contact_history="as_of"), M1)
    now, then = told("anna@old.example", where), told("anna@old.example", where, NOON - 1)
    assert [part["applies"] for part in now["members"] + then["members"]] == [False, True]
    assert now["members"][0]["valid_to"] == "2025-10-09T08:53:20+00:00"
    assert now["members"][0]["sentence"] == (
        "It belongs to the team member Anna (m1), valid until 2025-10-09 10:53, but not now."
    )
    assert now["sentence"] == "At this time nothing about it applies to a member, contact or customer."
    assert then["sentence"] == "It is a team member's."


def test_a_contact_and_the_customer_of_its_domain() -> None:
    answer = told("x+news@kund.se", directory(tenant(), M1, C1, P1))
    assert sentences(answer) == [
        "It is a contact's.",
        "It is the mailbox x@kund.se, which belongs to the contact Xenia (p1) of the customer Kund AB (c1).",
        "Its domain lies in kund.se of the customer Kund AB (c1). It counts with match_by: domain only.",
    ]
    assert [answer[name][0]["decides"] for name in ("contacts", "customers")] == [True, False]


@pytest.mark.parametrize("policy", ["all", "oldest", "review"])
def test_an_ambiguous_address_says_what_the_tenant_makes_of_it(policy: str) -> None:
    answer = told("x@kund.se", directory(tenant(ambiguous=policy), M1, C1, P1, P2))
    assert answer["ambiguous"] is True
    assert f"(ambiguous is {policy})" in answer["sentence"]
    assert [part["decides"] for part in answer["contacts"]] == {
        "all": [True, True],
        "oldest": [True, False],
        "review": [False, False],
    }[policy]


def test_a_choice_ends_the_ambiguity() -> None:
    answer = told("x@kund.se", directory(tenant(), M1, C1, P1, P2, chosen("x@kund.se", "p1")))
    assert (answer["ambiguous"], answer["sentence"]) == (False, "It is a contact's.")
    assert [part["sentence"] for part in (*answer["contacts"], *answer["choices"])] == [
        "It belongs to the contact Xenia (p1) of the customer Kund AB (c1).",
        "It belongs to the contact p2 of a customer c9 who is not there. A person chose another.",
        "A person decided that x@kund.se is the contact Xenia (p1).",
    ]


def test_a_choice_of_nobody_who_has_it_decides_nothing() -> None:
    answer = told("x@kund.se", directory(tenant(), M1, C1, P1, P2, chosen("x@kund.se", "p7")))
    assert answer["choices"][0]["sentence"] == (
        "A person decided that x@kund.se is contact p7. It decides nothing: it names none of several whom this may be."
    )


def test_a_future_entry_and_the_domain() -> None:
    answer = told("y@kund.se", directory(tenant(match_by="domain"), M1, C1, P2))
    assert [part["applies"] for part in answer["contacts"]] == [False]
    assert answer["customers"][0]["decides"] is True
    assert answer["sentence"] == "No contact has it, but its domain is a customer's."


def test_exclusions_of_the_address_its_domain_and_with_a_member() -> None:
    gone = [excluded("x@kund.se"), excluded(domain="kund.se"), excluded(pair=("m1", "p1"))]
    answer = told("x@kund.se", directory(tenant(), M1, C1, P1, *gone))
    assert answer["excluded"] is True
    assert sorted(part["sentence"] for part in answer["exclusions"]) == [
        "Mail of the member m1 with the contact p1 is excluded.",
        "The exclusion address:x@kund.se covers it.",
        "The exclusion domain:kund.se covers it.",
    ]


def test_a_public_provider_is_nobodys() -> None:
    shop = entry("customer", "c2", "gmail.com")
    answer = told("q@gmail.com", directory(tenant(match_by="domain"), M1, shop))
    assert answer["public_provider"] is True
    assert answer["customers"][0]["sentence"] == (
        "Its domain lies in gmail.com of the customer c2. It does not count: a public mail provider's domain never matches."
    )


def test_of_an_address_nobody_knows_that_is_said() -> None:
    answer = told("who@web.example", directory(tenant(), M1, C1, P1))
    assert (answer["known"], sentences(answer)) == (False, ["The directory does not know this address."])


def test_a_shorter_domain_and_an_internal_contact_are_told_why_they_do_not_count() -> None:
    longer = entry("customer", "c2", "eu.kund.se")
    inside = entry("contact", "p8", "z@acme.com", customer="c1")
    where = directory(tenant(match_by="domain"), M1, C1, longer, inside)
    found = {part["id"]: part["sentence"] for part in told("q@eu.kund.se", where)["customers"]}
    assert found["c1"].endswith("Another entry fits better.")
    assert told("z@acme.com", where)["contacts"][0]["sentence"].endswith(
        "an internal address is never a contact."
    )


@pytest.mark.parametrize(
    ("known", "asked", "resembles"),
    [
        pytest.param("anders@kund.se", "andres@kund.se", True, id="a slip in the name (2-19)"),
        pytest.param("anders@kunde.se", "anders@kund.se", True, id="a slip in the domain (2-19)"),
        pytest.param("anders@other.example", "anders@kund.se", False, id="another company"),
        pytest.param("maria@kund.se", "anders@kund.se", False, id="a colleague"),
        pytest.param(
            "anders@gmail.com", "anders@gmial.com", False, id="a public provider's name says nothing"
        ),
    ],
)
def test_a_contacts_address_with_a_slip_is_named(known: str, asked: str, resembles: bool) -> None:
    answer = told(asked, directory(tenant(), M1, entry("contact", "p1", known, name="Anders")))
    assert [part["address"] for part in answer["resembling"]] == ([known] if resembles else [])
    assert (f"{known} of the contact Anders (p1) resembles it." in answer["sentence"]) is resembles
