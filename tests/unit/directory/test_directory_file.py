"""Directory files: what they may say, and one clear sentence for what they may not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from corpora import corpus
from rapport.directory.document import parse_document
from rapport.directory.file import notes, read_file, to_document
from rapport.directory.merge import merge
from rapport.directory.records import key_of
from rapport_core.errors import ConfigError

GOOD: dict[str, Any] = {
    "tenant": {
        "id": "acme",
        "timezone": "Europe/Stockholm",
        "own_domains": ["acme.com", {"domain": "Acme.NO", "valid_from": "2026-01-05"}],
        "settings": {"match_by": "domain"},
    },
    "members": [
        {
            "id": "m1",
            "name": "Anna",
            "addresses": ["A@acme.com", {"address": "alias@acme.com", "valid_from": "2026-01-05T00:00:00Z"}],
        }
    ],
    "customers": [{"id": "c1", "name": "Kund AB", "domains": ["KUND.se", "bücher.example"]}],
    "contacts": [{"id": "p1", "name": "Xi", "customer": "c1", "addresses": ["x@kund.se"]}],
    "exclusions": [
        {"address": "boss@kund.se"},
        {"domain": "bank.example"},
        {"member": "m1", "contact": "p1"},
    ],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """GOOD with one place replaced, or added to a list with `+`."""
    document: dict[str, Any] = json.loads(json.dumps(GOOD))
    place: Any = document
    *way, last = path.split(".")
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    if last == "+":
        place.append(value)
    else:
        place[int(last) if last.isdigit() else last] = value
    return document


def test_the_form_of_the_architecture_is_read_into_comparable_records() -> None:
    stated = parse_document(GOOD)
    assert (stated.tenant, stated.timezone, stated.settings) == (
        "acme",
        "Europe/Stockholm",
        {"match_by": "domain"},
    )
    values = {
        key: [e["value"] for e in (*r["addresses"], *r["domains"])] for key, r in stated.records.items()
    }
    assert values == {
        ("tenant", "acme"): ["acme.com", "acme.no"],
        ("member", "m1"): ["a@acme.com", "alias@acme.com"],
        ("customer", "c1"): ["kund.se", "xn--bcher-kva.example"],
        ("contact", "p1"): ["x@kund.se"],
        ("exclusion", "address:boss@kund.se"): ["boss@kund.se"],
        ("exclusion", "domain:bank.example"): ["bank.example"],
        ("exclusion", "pair:m1/p1"): [""],
    }
    [_, alias] = stated.records["member", "m1"]["addresses"]
    assert alias["valid_from"] == 1_767_571_200_000
    [_, acme_no] = stated.records["tenant", "acme"]["domains"]
    assert acme_no["valid_from"] == 1_767_567_600_000, "a date is midnight in the tenant's zone"


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "the directory must be an object in braces"),
        ({}, 'the directory has no tenant: begin it with {"tenant": {"id": "…"}, …}'),
        (changed("tenant.id", " "), "tenant: id must be a text"),
        (changed("member", []), "the directory has an unknown field member: did you mean members?"),
        (
            changed("tenant.own_domain", []),
            "tenant has an unknown field own_domain: did you mean own_domains?",
        ),
        (
            changed("members.0.adresses", []),
            "member m1 has an unknown field adresses: did you mean addresses?",
        ),
        (
            changed("contacts.0.company", ""),
            "contact p1 has an unknown field company; there are addresses, customer, id, name",
        ),
        (changed("members.0.id", 7), "members, number 1: id must be a text"),
        (changed("members.0.name", 7), "member m1: name must be text in quotes"),
        (changed("members.0.name", "a\0b"), "member m1: name has a control character"),
        (changed("members.0", "m1"), "members, number 1 must be an object in braces"),
        (changed("members.0.addresses", "a@acme.com"), "member m1: addresses must be a list in brackets"),
        (
            changed("members.0.addresses.+", "a@ACME.com"),
            "member m1 has the address a@acme.com twice: remove one",
        ),
        (
            changed("customers.0.domains.+", "kund.SE."),
            "customer c1 has the domain kund.se twice: remove one",
        ),
        (changed("members.+", {"id": "m1"}), "two members have the id m1: give one of them another id"),
        (
            changed("exclusions.+", {"domain": "Bank.example"}),
            "the same exclusion stands twice: domain:bank.example",
        ),
        (changed("contacts.0.addresses.+", "Xi"), "contact p1: 'Xi' is no mail address"),
        (
            changed("contacts.0.addresses.+", {}),
            "contact p1: one address is an object without the field address",
        ),
        (
            changed("contacts.0.addresses.+", None),
            "contact p1: each address must be text in quotes, or an object with a field address",
        ),
        (changed("customers.0.domains.+", "se"), "customer c1: 'se' is no domain such as kund.se"),
        (
            changed("customers.0.domains.+", "https://a.se/"),
            "customer c1: 'https://a.se/' is no domain such as kund.se",
        ),
        (changed("customers.0.domains.+", "x@a.se"), "customer c1: 'x@a.se' is no domain such as kund.se"),
        (
            changed("exclusions.+", {"member": "m1"}),
            "exclusion number 4 must have an address, or a domain, or a member and a contact",
        ),
        (
            changed("tenant.timezone", "Europe/Stokholm"),
            "there is no time zone Europe/Stokholm: did you mean Europe/Stockholm?",
        ),
        (changed("tenant.settings.match_by", "x"), 'the setting match_by must be address or domain, not "x"'),
        (
            changed("members.0.addresses.1.valid_from", "soon"),
            "member m1: valid_from must be a time such as 2026-01-05T00:00:00Z, a date, or null",
        ),
        (
            changed("members.0.addresses.1.valid_to", "2025-01-01"),
            "member m1: valid_to must be later than valid_from",
        ),
        (changed("members.0.addresses.1.since", None), "member m1, address has an unknown field since"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(document: object, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_document(document)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "line 1, column 2 is no JSON"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b'{"tenant": {"id": "a"}, "tenant": {}}', "one object has the field tenant twice"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_broken_file_is_named_with_the_place(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "d.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_file(path)
    assert str(path) in str(caught.value)
    assert sentence in str(caught.value)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json cannot be read: No such file"):
        read_file(tmp_path / "none.json")


def test_what_may_not_be_meant_is_noted() -> None:
    document = changed("contacts.+", {"id": "p2", "addresses": ["X@kund.se"]})
    document["customers"].append({"id": "c2", "domains": ["kund.se", "gmail.com"]})
    document["tenant"]["own_domains"].append("web.de")
    assert notes(parse_document(document)) == [
        "1 address stands on several contacts, decided by the setting ambiguous: x@kund.se",
        "1 domain stands on several customers, decided by the setting ambiguous: kund.se",
        "public mail providers never match by domain: gmail.com",
        "own_domains has a public mail provider, so everybody there counts as internal: web.de",
    ]
    assert notes(parse_document(GOOD)) == []


def test_what_show_prints_can_be_loaded_and_changes_nothing() -> None:
    records = {
        key_of(record): record for record in merge({}, parse_document(GOOD), 5_000, prune=False).changed
    }
    again = parse_document(json.loads(json.dumps(to_document(records, "acme"))))
    assert merge(records, again, 6_000, prune=True).changed == []


def test_the_corpus_directory_loads() -> None:
    """39 members, 815 customers and 943 contacts of a real list."""
    stated = read_file(corpus("usrp-users.directory.json"))
    kinds = [kind for kind, _ in stated.records]
    assert [kinds.count(kind) for kind in ("member", "customer", "contact")] == [39, 815, 943]


CSV = """\
kind,id,name,customer,address,domain,member,contact,timezone,setting,value,valid_from,valid_to
tenant,acme,,,,acme.com,,,Europe/Stockholm,match_by,domain,,
tenant,acme,,,,acme.no,,,,contact_history,"{""grace_hours"": 24}",2026-01-05,
member,m1,"Anna, boss",,A@acme.com,,,,,,,,
member,m1,,,alias@acme.com,,,,,,,2026-01-05T00:00:00Z,2026-02-05T00:00:00Z

customer,c1,Kund AB,,,kund.se,,,,,,,
contact,p1,Xi,c1,x@kund.se,,,,,,,,
contact,p2,,c1,,,,,,,,,
exclusion,,,,boss@kund.se,,,,,,,,
exclusion,,,,,bank.example,,,,,,2026-01-05,
exclusion,,,,,,m1,p1,,,,,
"""


def test_csv_says_the_same_as_json(tmp_path: Path) -> None:
    path = tmp_path / "d.CSV"
    path.write_text("\ufeff" + CSV, "utf-8")
    expected = {
        "tenant": {
            "id": "acme",
            "timezone": "Europe/Stockholm",
            "own_domains": ["acme.com", {"domain": "acme.no", "valid_from": "2026-01-05"}],
            "settings": {"match_by": "domain", "contact_history": {"grace_hours": 24}},
        },
        "members": [
            {
                "id": "m1",
                "name": "Anna, boss",
                "addresses": [
                    "a@acme.com",
                    {
                        "address": "alias@acme.com",
                        "valid_from": "2026-01-05T00:00:00Z",
                        "valid_to": "2026-02-05T00:00:00Z",
                    },
                ],
            }
        ],
        "customers": [{"id": "c1", "name": "Kund AB", "domains": ["kund.se"]}],
        "contacts": [
            {"id": "p1", "name": "Xi", "customer": "c1", "addresses": ["x@kund.se"]},
            {"id": "p2", "customer": "c1"},
        ],
        "exclusions": [
            {"address": "boss@kund.se"},
            {"domain": "bank.example", "valid_from": "2026-01-05"},
            {"member": "m1", "contact": "p1"},
        ],
    }
    assert read_file(path) == parse_document(expected)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the first line must name the columns"),
        ("kind,adress\n", "there is no column adress: did you mean address?"),
        ("kind,id,id\n", "the column id stands twice"),
        ("kind,id\n", "no line has the kind tenant"),
        ("kind,id\ntenant,a\ntenant,b\n", "a file is the directory of one tenant, and b is a second one"),
        (
            "kind,id\nperson,p\n",
            "line 2: kind must be one of tenant, member, customer, contact, exclusion, choice, connection, not person",
        ),
        ("kind,id\ntenant,a\nmember,\n", "line 3: a member needs an id"),
        ("kind,id,domain\ntenant,a,\nmember,m,a.se\n", "line 3: a member has no domain: empty that field"),
        ("kind,id\ntenant,a,b\n", "line 2 has more fields than the first line has columns"),
        (
            "kind,id,name\ntenant,a\nmember,m,A\nmember,m,B\n",
            "line 4: member m has another name than in an earlier line",
        ),
        ("kind,id,setting\ntenant,a,match_by\n", "line 2: setting and value go together"),
        ("kind,id,setting,value\ntenant,a,x,1\ntenant,a,x,1\n", "line 3: the setting x stands twice"),
        (
            "kind,id,valid_to\ntenant,a\nmember,m,2026-01-01\n",
            "line 3: valid_from and valid_to need an address",
        ),
        ('kind,id\ntenant,"a\n', "is no CSV"),
        (
            "kind,id,address\ntenant,a\nmember,m,a@b.se\nmember,m,a@B.se\n",
            "member m has the address a@b.se twice",
        ),
    ],
)
def test_wrong_csv_is_named_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "d.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        read_file(path)
    assert sentence in str(caught.value)
