"""`rapport directory` and `rapport settings` before they reach a service: what they are told, and how it is named."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from directory_entries import TENANT, connection, tenant
from rapport.cli import directory_changes
from rapport.cli.directory import app
from rapport.cli.settings_command import in_force
from rapport.directory.records import Key, key_of
from rapport_core.errors import ConfigError
from rapport_schemas.records import DirectoryEntry


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What would be changed, in place of changing it."""
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(directory_changes, "change", lambda _tenant, work, **_: work(None))
    for name in ("say", "end_entry", "delete_entry"):
        monkeypatch.setattr(
            directory_changes, name, lambda _desk, _tenant, *arguments: found.append(arguments)
        )
    return found


def run(line: str) -> None:
    """Runs a command; raises what it raises."""
    result = CliRunner().invoke(app, [*line.split(), "--tenant", TENANT])
    if result.exception is not None:
        raise result.exception


@pytest.mark.parametrize(
    ("line", "change"),
    [
        ("set customer c1 --name Kund", ("customer", {"id": "c1", "name": "Kund"})),
        (
            "set contact p1 --customer c1 --address x@kund.se --from 2026-01-05",
            (
                "contact",
                {
                    "id": "p1",
                    "customer": "c1",
                    "addresses": [{"address": "x@kund.se", "valid_from": "2026-01-05"}],
                },
            ),
        ),
        (
            "set tenant --domain acme.org --timezone Europe/Oslo",
            ("tenant", {"id": TENANT, "timezone": "Europe/Oslo", "own_domains": [{"domain": "acme.org"}]}),
        ),
        ("set exclusion address:x@kund.se", ("exclusion", {"address": "x@kund.se"})),
        (
            "set exclusion --member m1 --contact p1 --to 2026-01-05",
            ("exclusion", {"member": "m1", "contact": "p1", "valid_to": "2026-01-05"}),
        ),
        ("set choice --domain kund.se --customer c1", ("choice", {"domain": "kund.se", "customer": "c1"})),
        ("end contact p1 --address x@kund.se", (("contact", "p1"), "x@kund.se", "")),
        ("end member m1 --at 2026-01-05", (("member", "m1"), "", "2026-01-05")),
        ("delete tenant --domain acme.org", (("tenant", TENANT), "acme.org")),
        ("delete exclusion --address X@Kund.SE", (("exclusion", "address:x@kund.se"), "")),
        ("delete exclusion --member m1 --contact p1", (("exclusion", "pair:m1/p1"), "")),
        ("delete choice domain:kund.se", (("choice", "domain:kund.se"), "")),
        ("delete connection mbox-m1", (("connection", "mbox-m1"), "")),
    ],
)
def test_what_a_line_means(said: list[tuple[Any, ...]], line: str, change: tuple[Any, ...]) -> None:
    """Entries are named by kind and id, exclusions and choices also by what they say."""
    run(line)
    assert said == [change]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("set contcat p1", "there is no kind contcat: did you mean contact"),
        ("set contact", "name the contact by its id"),
        ("set contact p1 --domain kund.se", "a contact has no domain: use --address"),
        ("set contact p1 --from 2026-01-05", "--from and --to are of an address or a domain"),
        ("set exclusion --address a@b.se --address c@d.se", "name one address or one domain"),
        ("set connection mbox-m1", "rapport settings set NAME VALUE --tenant acme --connection mbox-m1"),
        ("set tenant other --name Other", "the tenant is acme, not other"),
        ("end exclusion", "name the exclusion by its id, or by --address or --domain, or --member"),
        ("delete contact p1 --address a@b.se --domain b.se", "an address or a domain, not both"),
    ],
)
def test_what_is_meant_wrong_is_said(said: list[tuple[Any, ...]], line: str, sentence: str) -> None:
    """One sentence, and nothing is asked of any service."""
    with pytest.raises(ConfigError, match=sentence):
        run(line)
    assert said == []


def test_settings_in_force_are_those_of_the_tenant_over_the_defaults() -> None:
    """Connections have what is their own beside them."""
    given = [tenant(match_by="domain"), connection("mbox-m1", sync_unknown_sender=True)]
    records: dict[Key, DirectoryEntry] = {key_of(record): record for record in given}
    found = in_force(records, TENANT)
    assert (found["timezone"], found["set"]) == ("Europe/Stockholm", {"match_by": "domain"})
    assert found["settings"]["match_by"] == "domain"
    assert found["settings"]["counted_classes"] == ["human", "list"]
    assert "grace_hours" not in found["settings"]
    assert found["connections"] == {"mbox-m1": {"sync_unknown_sender": True}}
    with pytest.raises(ConfigError, match="the directory has no tenant other"):
        in_force(records, "other")
