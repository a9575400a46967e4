"""The screen of `rapport explain`: plain sentences, at most eighty columns, nothing from outside becomes markup."""

from __future__ import annotations

from typing import Any, cast

import pytest

from directory_entries import directory, entry, tenant
from rapport.cli.explaining import print_explanation
from rapport.cli.operator import operator
from rapport.explaining.answer import ExplainedItem, Explanation
from rapport_processors.matching_address import explain_address

EVIL = "[bold]Offer[/] [red] " + "long " * 40


OWN = {"match_by": "domain", "sync_unknown_sender": True}


def item(**changes: Any) -> ExplainedItem:
    """A mail that matches nothing, in full."""
    plain: dict[str, Any] = {
        "id": "ab" * 16,
        "kind": "email",
        "at": "2026-11-20T10:00:00Z",
        "matched": False,
        "rule": "no_customer",
        "mail_class": "human",
        "ambiguous": False,
        "thread": "cd" * 16,
        "origin": "rapport.mail.raw.v1:3:17:2",
        "ver": 7,
        "sentence": "It is left out: nobody in it is a contact.",
        "counted": False,
        "subject": EVIL,
        "message_id": "1@web.example",
        "author": "new@web.example",
        "members": [],
        "declined_members": [],
        "customers": [],
        "contacts": [],
        "reason": {},
        "people": [
            {"address": "new@web.example", "roles": ["author", "from"], "standing": "external"},
            {"address": "a@acme.com", "roles": ["to"], "standing": "internal", "members": ["m1"]},
        ],
        "copies": [
            {
                "connection": "box",
                "member": "m1",
                "rule": "no_customer",
                "settings": OWN,
                "overrides": ["match_by"],
            },
            {"connection": "old", "member": "", "rule": "no_customer", "settings": OWN, "overrides": []},
        ],
        "settings": {"ambiguous": "all"},
        "losing": [
            {"kind": "customer", "id": "c1", "domain": "kund.se", "for": "x@kund.se", "why": "it lost"}
        ],
        "would_turn": [{"changes": [], "sentence": "add new@web.example to a contact"}],
        "fresh": None,
        "page": "opened",
        "dead_letters": ["route:x"],
        "notes": ["A note."],
    }
    return cast("ExplainedItem", {**plain, **changes})


def found(*items: ExplainedItem, **changes: Any) -> Explanation:
    """An answer with these items."""
    plain: dict[str, Any] = {
        "query": "what",
        "known": True,
        "found_as": "item",
        "decisions": [{"matched": False, "rule": "no_customer", "items": len(items)}],
        "items": list(items),
        "address": None,
        "advice": None,
        "notes": [],
    }
    return cast("Explanation", {**plain, **changes})


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """What is printed for an answer, line by line."""
    monkeypatch.setenv("COLUMNS", "200")

    def printed(answer: Explanation) -> list[str]:
        print_explanation(answer)
        lines = capsys.readouterr().out.splitlines()
        assert all(len(line) <= 80 for line in lines)
        return lines

    return printed


def test_an_item_is_one_screen(told: Any) -> None:
    lines = told(found(item()))
    assert lines[2].startswith("[bold]Offer[/] [red]")
    for line in (
        "It is left out: nobody in it is a contact.",
        "  new@web.example (author): nobody the directory knows",
        "  a@acme.com (to): internal; member m1",
        "  box of m1: no_customer (its own settings: match_by domain)",
        "  old of an unknown holder: no_customer",
        "Settings: match_by domain, sync_unknown_sender on, ambiguous all",
        "  customer c1 (kund.se) for x@kund.se: it lost",
        "What would bring it in:",
        "  - add new@web.example to a contact",
        "  Something of it could not be processed: rapport dlq show route:x",
        "A note.",
    ):
        assert line in lines
    assert len(lines) <= 24


def test_long_lists_are_cut_and_counted(told: Any) -> None:
    crowd = [
        {"address": f"p{number}@web.example", "roles": ["to"], "standing": "external"} for number in range(50)
    ]
    assert "  and 38 more (--json)" in told(found(item(people=crowd)))


def test_changes_that_turn_follow_the_directory_of_now(told: Any) -> None:
    fresh = {"synced": True, "rule": "contact_address", "sentence": "It is here: so be it."}
    lines = told(found(item(fresh=fresh)))
    assert "It is here: so be it." in lines
    assert "What would change it:" in lines
    assert any("--wait" in line for line in lines)


def test_entries_and_candidates_are_named(told: Any) -> None:
    used = {"kind": "contact", "id": "p1", "address": "x@kund.se"}
    reason = {
        "rule": "contact_address",
        "entries": [used, used],
        "candidates": {"x@kund.se": [used, {**used, "id": "p2"}]},
    }
    lines = told(found(item(matched=True, ambiguous=True, reason=reason)))
    assert lines.count("  contact p1 (x@kund.se)") == 1
    assert "  x@kund.se: contact p1, contact p2" in lines


def test_an_address_has_one_line_for_each_of_its_items(told: Any) -> None:
    tally = [{"matched": False, "rule": "no_customer", "items": 30}]
    says = explain_address("x@kund.se", directory(tenant("acme.com"), entry("customer", "c1", "kund.se")))
    answer = found(item(), item(subject=None), found_as="address", decisions=tally, address=says)
    lines = told(answer)
    assert lines[0].startswith("x@kund.se  external")
    assert any("kund.se of the customer c1" in line for line in lines)
    assert "30 items name this address:" in lines
    assert sum(line.startswith("abab") for line in lines) == 2
    assert "Those were the newest 2 of 30." in lines


def test_an_address_without_items_is_told_by_the_directory_alone(told: Any) -> None:
    says = explain_address("a@acme.com", directory(tenant(), entry("member", "m1", "a@acme.com")))
    assert told(found(found_as="address", address=says))[-1] == "Nothing that was read names this address."


def test_what_is_unknown_is_only_advice(told: Any) -> None:
    assert told(found(known=False, advice="Check the spelling.")) == ["Check the spelling."]


def test_the_operator_has_a_name_or_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "anna")
    assert operator() == "cli:anna"

    def nobody() -> str:
        raise KeyError("no such account")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert operator().removeprefix("cli:").isdigit()
