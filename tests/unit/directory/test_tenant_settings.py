"""A tenant's settings: the contract's defaults, and one clear sentence for everything else."""

from __future__ import annotations

from typing import Any

import pytest

from rapport_core.errors import ConfigError
from rapport_processors.directory_settings import (
    TenantSettings,
    check_timezone,
    overridden,
    parse_settings,
    parse_tenant,
    settings_json,
    tenant_json,
)
from rapport_processors.public_providers import is_public, public_providers, version

GOOD: dict[str, Any] = {
    "match_by": "domain",
    "sync_unknown_sender": True,
    "sync_unknown_organizer": True,
    "owner_must_be_listed": True,
    "count_list_delivery": True,
    "contact_history": {"grace_hours": 24},
    "ambiguous": "review",
    "mail_removed": "drop",
    "private_meetings": "skip",
    "history_months": 120,
    "retention_months": 24,
    "counted_classes": ["human", "bulk"],
    "keep_days": 30,
}


def test_the_defaults_are_those_of_the_architecture() -> None:
    assert parse_settings({}) == TenantSettings(
        match_by="address",
        sync_unknown_sender=False,
        sync_unknown_organizer=False,
        owner_must_be_listed=False,
        count_list_delivery=False,
        contact_history="current",
        ambiguous="all",
        mail_removed="keep",
        private_meetings="count",
        history_months=6,
        retention_months=None,
        counted_classes=("human", "list"),
        keep_days=7,
    )


def test_every_setting_can_be_set_and_written_back() -> None:
    settings = parse_settings(GOOD)
    assert settings.grace_ms == 24 * 3_600_000
    assert settings_json(settings) == GOOD
    assert settings_json(parse_settings({})) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("match_by", "adress"),
        ("match_by", None),
        ("sync_unknown_sender", 1),
        ("sync_unknown_sender", "true"),
        ("contact_history", {"grace_hours": -1}),
        ("contact_history", {"grace_hours": True}),
        ("contact_history", {"grace_hours": 1, "more": 2}),
        ("contact_history", "grace_hours"),
        ("ambiguous", []),
        ("history_months", 0),
        ("history_months", True),
        ("retention_months", 0),
        ("counted_classes", []),
        ("counted_classes", ["human", "junk"]),
        ("counted_classes", "human"),
        ("counted_classes", [["human"]]),
        ("keep_days", 1.5),
    ],
)
def test_a_wrong_value_is_named_with_what_it_must_be(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^the setting {name} must be .+, not "):
        parse_settings({name: value})


def test_an_unknown_setting_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no setting match_on: did you mean match_by\?"):
        parse_settings({"match_on": "domain"})


def test_a_connection_overrides_only_what_it_may() -> None:
    tenant = parse_settings({"ambiguous": "oldest"})
    own = overridden(tenant, {"match_by": "domain"})
    assert (own.match_by, own.ambiguous) == ("domain", "oldest")
    with pytest.raises(ConfigError, match="a connection cannot set ambiguous"):
        overridden(tenant, {"ambiguous": "all"})


def test_the_tenants_record_carries_zone_and_settings() -> None:
    text = tenant_json("Europe/Stockholm", {"match_by": "domain"})
    assert parse_tenant(text) == ("Europe/Stockholm", {"match_by": "domain"})
    assert parse_tenant("") == ("UTC", {})


@pytest.mark.parametrize("zone", ["Europe/Stokholm", "", "../etc/passwd", "Not/There"])
def test_a_time_zone_must_exist(zone: str) -> None:
    with pytest.raises(ConfigError, match="there is no time zone"):
        check_timezone(zone)


def test_the_provider_list_is_versioned_clean_and_knows_the_large_ones() -> None:
    known = public_providers()
    assert version()
    assert {"gmail.com", "outlook.com", "web.de", "qq.com", "orange.fr", "icloud.com", "naver.com"} <= known
    assert all(domain == domain.lower().strip() and "." in domain and domain.isascii() for domain in known)
    assert len(known) > 200
    assert is_public("gmail.com")
    assert not is_public("mail.gmail.com.example")
    assert not is_public("user.fastmail.com")
