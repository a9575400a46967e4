"""Who is out of office has a badge beside the name, on the board of members alone."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from fake_impact import FakeImpact

SignIn = Callable[[str], TestClient]


@pytest.fixture(autouse=True)
def _away(impact: FakeImpact) -> None:
    impact.tenants["acme"].away = {
        "m1": {"member": "m1", "until": "2026-11-30T23:30:00Z"},
        "m2": {"member": "m2", "until": None},
    }


def badges(page: str) -> list[str]:
    """What stands beside names, without markup."""
    found = re.findall(r'<span class="state ahead">(.*?)</span>', page.split("<tbody>")[1])
    return [re.sub(r"<[^>]+>", "", one) for one in found]


def test_members_who_are_away_have_a_badge_with_the_day_of_their_return(sign_in: SignIn) -> None:
    """In the tenant's zone; without a day where the end is open."""
    assert sorted(badges(sign_in("admin").get("/").text)) == [
        "out of office",
        "out of office until 1 Dec 2026",
    ]


def test_customers_have_none(sign_in: SignIn) -> None:
    assert badges(sign_in("admin").get("/?by=customer").text) == []


def test_nobody_away_has_no_badge(sign_in: SignIn, impact: FakeImpact) -> None:
    impact.tenants["acme"].away = {}
    assert badges(sign_in("admin").get("/").text) == []


def test_the_numbers_stay_as_they_are(sign_in: SignIn, impact: FakeImpact) -> None:
    """A badge is beside a name and changes nothing else."""
    client = sign_in("admin")
    with_badges = client.get("/").text
    impact.tenants["acme"].away = {}
    numbers = [re.findall(r">([\d\s\u202f]+)</a>", page) for page in (with_badges, client.get("/").text)]
    assert numbers[0] == numbers[1] != []
