"""Contract 6.10: the answer to why a mail is here, or is not."""

from __future__ import annotations

import json
from typing import Any

from directory_entries import NOON, at, chosen, connection, directory, entry, excluded, mail, tenant
from rapport_processors.directory import TenantDirectory
from rapport_processors.matching_explain import explain
from rapport_processors.model import Message

M1 = entry("member", "m1", "anna@acme.com")
C1 = entry("customer", "c1", "kund.se")
P1 = entry("contact", "p1", "x@kund.se", customer="c1")


def told(message: Message, where: TenantDirectory) -> dict[str, Any]:
    """The answer, after a round through JSON."""
    answer: dict[str, Any] = json.loads(json.dumps(explain(message, where)))
    return answer


def turns(answer: dict[str, Any]) -> list[str]:
    """The sentences of what would turn it."""
    return [proposal["sentence"] for proposal in answer["would_turn"]]


def test_a_synced_mail_names_its_entries_and_what_would_remove_it() -> None:
    answer = told(mail("x@kund.se", "anna@acme.com"), directory(tenant(), M1, C1, P1))
    assert (answer["synced"], answer["rule"]) == (True, "contact_address")
    assert answer["entries"] == [{"kind": "contact", "id": "p1", "address": "x@kund.se"}]
    assert turns(answer) == ["exclude x@kund.se"]


def test_an_unknown_author_may_be_added_or_allowed() -> None:
    answer = told(mail("who@web.example", ["anna@acme.com", "x@kund.se"]), directory(tenant(), M1, C1, P1))
    assert answer["rule"] == "unknown_sender"
    assert turns(answer) == [
        "add who@web.example to a team member",
        "add who@web.example to a contact",
        "turn on sync_unknown_sender",
    ]


def test_nobody_from_a_customer_may_be_a_missing_contact_or_the_other_way_of_matching() -> None:
    answer = told(mail("anna@acme.com", "new@kund.se"), directory(tenant(), M1, C1, P1))
    assert turns(answer) == ["add new@kund.se to a contact of c1", "set match_by to domain"]
    assert {"kind": "customer", "id": "c1", "domain": "kund.se", "for": "new@kund.se"}.items() <= answer[
        "losing"
    ][0].items()


def test_where_no_single_change_helps_pairs_are_tried() -> None:
    answer = told(mail("help@acme.com", "new@kund.se"), directory(tenant(), M1))
    assert "add help@acme.com to a team member and add new@kund.se to a contact" in turns(answer)


def test_an_exclusion_is_named_and_can_be_lifted() -> None:
    answer = told(
        mail("x@kund.se", "anna@acme.com"), directory(tenant(), M1, C1, P1, excluded(domain="kund.se"))
    )
    assert answer["entries"] == [{"kind": "exclusion", "id": "domain:kund.se", "domain": "kund.se"}]
    assert turns(answer) == ["delete the exclusion domain:kund.se"]


def test_an_entry_of_another_time_is_a_losing_candidate() -> None:
    late = entry("contact", "p1", at("x@kund.se", NOON + 1), customer="c1", recorded_at=NOON + 2)
    answer = told(
        mail("x@kund.se", "anna@acme.com"), directory(tenant(contact_history="as_of"), M1, C1, late)
    )
    assert [(found["id"], found["why"]) for found in answer["losing"] if found["kind"] == "contact"] == [
        ("p1", "not valid for this item's time")
    ]
    assert "set contact_history to current" in turns(answer)


def test_internal_mail_stays_out_whatever_is_switched() -> None:
    answer = told(mail("anna@acme.com", "bo@acme.com"), directory(tenant(), M1))
    assert (answer["rule"], answer["would_turn"]) == ("internal", [])


def test_a_mail_to_thousands_is_explained_in_reasonable_time() -> None:
    """Tried changes are bounded, however many people a mail has."""
    crowd = [f"p{number}@web.example" for number in range(3000)]
    answer = told(mail("help@acme.com", crowd), directory(tenant(), M1))
    assert len(answer["people"]) == 3001
    assert len(answer["would_turn"]) <= 40


def test_a_customer_whose_contacts_share_the_domain_is_named() -> None:
    """Kund AB has no domain in the directory, but people there."""
    named = entry("customer", "c1", name="Kund AB")
    other = entry("contact", "p2", "y@kund.se", customer="c1")
    where = directory(tenant(), M1, named, other)
    assert turns(told(mail("anna@acme.com", "x@kund.se"), where)) == ["add x@kund.se to a contact of Kund AB"]
    by_domain = directory(tenant(match_by="domain"), M1, named, other)
    answer = told(mail("anna@acme.com", "x@kund.se"), by_domain)
    assert turns(answer) == ["give Kund AB the domain kund.se"]
    assert answer["would_turn"][0]["changes"] == [
        {"do": "add", "kind": "customer", "domain": "kund.se", "id": "c1"}
    ]


def test_neighbours_at_a_public_provider_are_no_hint() -> None:
    other = entry("contact", "p2", "y@gmail.com", customer="c1")
    where = directory(tenant(), M1, C1, other)
    assert turns(told(mail("anna@acme.com", "x@gmail.com"), where)) == ["add x@gmail.com to a contact"]


def test_a_connection_with_a_setting_of_its_own_is_tried() -> None:
    where = directory(
        tenant(sync_unknown_sender=True), M1, C1, P1, connection("mailbox-m1", sync_unknown_sender=False)
    )
    answer = told(mail("who@web.example", ["anna@acme.com", "x@kund.se"]), where)
    assert "turn on sync_unknown_sender for the connection mailbox-m1" in turns(answer)
    assert "turn off sync_unknown_sender" not in turns(answer)
    assert {
        "do": "set",
        "setting": "sync_unknown_sender",
        "value": "true",
        "connection": "mailbox-m1",
    } in [change for proposal in answer["would_turn"] for change in proposal["changes"]]


def test_an_ambiguous_address_can_be_decided() -> None:
    twin = entry("contact", "p2", "x@kund.se", customer="c1", name="Xaver")
    answer = told(mail("anna@acme.com", "x@kund.se"), directory(tenant(ambiguous="review"), M1, C1, P1, twin))
    assert turns(answer) == [
        "exclude x@kund.se",
        "decide that x@kund.se is p1 (contact p1)",
        "decide that x@kund.se is Xaver (contact p2)",
    ]
    assert answer["would_turn"][1]["changes"] == [{"do": "choose", "address": "x@kund.se", "contact": "p1"}]


def test_who_was_passed_over_for_a_choice_is_told() -> None:
    twin = entry("contact", "p2", "x@kund.se", customer="c1")
    where = directory(tenant(), M1, C1, P1, twin, chosen("x@kund.se", "p2"))
    answer = told(mail("anna@acme.com", "x@kund.se"), where)
    assert [found["why"] for found in answer["losing"] if found["id"] == "p1"] == ["a person chose another"]


def test_the_settings_part_in_a_decision_is_told() -> None:
    """The tenant's, and for each copy those of its connection."""
    where = directory(
        tenant(contact_history={"grace_hours": 24}), M1, C1, P1, connection("mailbox-m1", match_by="domain")
    )
    answer = told(mail("x@kund.se", "anna@acme.com"), where)
    assert answer["settings"] == {
        "ambiguous": "all",
        "contact_history": {"grace_hours": 24},
        "count_list_delivery": False,
        "private_meetings": "count",
    }
    [held] = answer["copies"]
    assert (held["rule"], held["overrides"]) == ("customer_domain", ["match_by"])
    assert held["settings"] == {
        "match_by": "domain",
        "owner_must_be_listed": False,
        "sync_unknown_organizer": False,
        "sync_unknown_sender": False,
    }
