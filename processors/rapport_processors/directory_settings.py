"""A tenant's settings as values: parsed from JSON, with the contract's defaults, errors as one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from rapport_core.errors import ConfigError
from rapport_processors.model import MAIL_CLASSES

HOUR_MS: Final = 3_600_000
DEFAULT_TIMEZONE: Final = "UTC"

OVERRIDABLE: Final[frozenset[str]] = frozenset(
    {"match_by", "sync_unknown_sender", "sync_unknown_organizer", "owner_must_be_listed"}
)
"""What a connection may set for itself (contract 6.8)."""


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """The settings of contract and architecture, with their defaults.

    Attributes:
        contact_history: `current`, `as_of` or `grace_hours`.
        grace_hours: only read when `contact_history` is `grace_hours`.
    """

    match_by: str = "address"
    sync_unknown_sender: bool = False
    sync_unknown_organizer: bool = False
    owner_must_be_listed: bool = False
    count_list_delivery: bool = False
    contact_history: str = "current"
    grace_hours: int = 0
    ambiguous: str = "all"
    mail_removed: str = "keep"
    private_meetings: str = "count"
    history_months: int = 6
    retention_months: int | None = None
    counted_classes: tuple[str, ...] = ("human", "list")
    keep_days: int = 7

    @property
    def grace_ms(self) -> int:
        """How long after an item an entry may begin and still apply to it."""
        return self.grace_hours * HOUR_MS if self.contact_history == "grace_hours" else 0


def _one_of(*words: str) -> tuple[Callable[[object], bool], str]:
    return lambda value: isinstance(value, str) and value in words, " or ".join(words)


def _whole(least: int, most: int) -> tuple[Callable[[object], bool], str]:
    return (
        lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most,
        f"a whole number from {least} to {most}",
    )


def _is_grace(value: object) -> bool:
    return isinstance(value, dict) and list(value) == ["grace_hours"] and _HOURS(value["grace_hours"])


def _is_classes(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(word in MAIL_CLASSES for word in value)


_MONTHS = _whole(1, 1200)
_HOURS = _whole(0, 87_600)[0]
_SWITCH: tuple[Callable[[object], bool], str] = (lambda value: isinstance(value, bool), "true or false")
_RULES: Final[dict[str, tuple[Callable[[object], bool], str]]] = {
    "match_by": _one_of("address", "domain"),
    "sync_unknown_sender": _SWITCH,
    "sync_unknown_organizer": _SWITCH,
    "owner_must_be_listed": _SWITCH,
    "count_list_delivery": _SWITCH,
    "contact_history": (
        lambda value: value in ("current", "as_of") or _is_grace(value),
        'current, as_of or {"grace_hours": hours}',
    ),
    "ambiguous": _one_of("all", "oldest", "review"),
    "mail_removed": _one_of("keep", "drop"),
    "private_meetings": _one_of("count", "skip"),
    "history_months": _MONTHS,
    "retention_months": (lambda value: value is None or _MONTHS[0](value), f"null or {_MONTHS[1]}"),
    "counted_classes": (_is_classes, f"a list of {', '.join(MAIL_CLASSES)}"),
    "keep_days": _whole(0, 3650),
}


def suggestion(word: str, known: Iterable[str]) -> str:
    """`: did you mean X?` for a word that resembles a known one, else what is known."""
    choices = sorted(known)
    close = get_close_matches(word, choices, n=1)
    return f": did you mean {close[0]}?" if close else f"; there are {', '.join(choices)}"


def check_setting(name: str, value: object) -> None:
    """Raises ConfigError, in one sentence, for an unknown setting or a value it cannot have."""
    if name not in _RULES:
        raise ConfigError(f"there is no setting {name}{suggestion(name, _RULES)}")
    accepts, expected = _RULES[name]
    if not accepts(value):
        shown = json.dumps(value, ensure_ascii=False, default=str)
        raise ConfigError(f"the setting {name} must be {expected}, not {shown}")


def _with(base: TenantSettings, values: Mapping[str, object]) -> TenantSettings:
    changes: dict[str, object] = dict(values)
    history = changes.get("contact_history")
    if isinstance(history, dict):
        changes |= {"contact_history": "grace_hours", "grace_hours": history["grace_hours"]}
    classes = changes.get("counted_classes")
    if isinstance(classes, list):
        changes["counted_classes"] = tuple(word for word in MAIL_CLASSES if word in classes)
    return replace(base, **changes)  # type: ignore[arg-type]  # each value was checked by its rule


def parse_settings(values: Mapping[str, object]) -> TenantSettings:
    """Settings from their JSON object; what is missing has its default. Raises ConfigError in one sentence."""
    for name, value in values.items():
        check_setting(name, value)
    return _with(TenantSettings(), values)


def overridden(base: TenantSettings, values: Mapping[str, object]) -> TenantSettings:
    """A connection's settings over its tenant's. Raises ConfigError for one that only a tenant has."""
    for name, value in values.items():
        check_setting(name, value)
        if name not in OVERRIDABLE:
            raise ConfigError(
                f"a connection cannot set {name}: only {', '.join(sorted(OVERRIDABLE))}; set it for the tenant"
            )
    return _with(base, values)


def settings_json(settings: TenantSettings) -> dict[str, object]:
    """The settings that differ from their defaults, as `parse_settings` reads them."""
    default = TenantSettings()
    changed = {
        field.name: getattr(settings, field.name)
        for field in fields(TenantSettings)
        if field.name != "grace_hours" and getattr(settings, field.name) != getattr(default, field.name)
    }
    if settings.contact_history == "grace_hours":
        changed["contact_history"] = {"grace_hours": settings.grace_hours}
    if "counted_classes" in changed:
        changed["counted_classes"] = list(settings.counted_classes)
    return changed


def check_timezone(name: str) -> str:
    """`name` when it is an IANA time zone. Raises ConfigError with the nearest name otherwise."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        close = get_close_matches(name, available_timezones(), n=1)
        hint = f": did you mean {close[0]}?" if close else "; write one such as Europe/Stockholm"
        raise ConfigError(f"there is no time zone {name or 'without a name'}{hint}") from error
    return name


def tenant_json(timezone: str, settings: Mapping[str, object]) -> str:
    """What a tenant's directory entry carries in `settings`; equal values give equal text."""
    return json.dumps({"timezone": timezone, "settings": dict(settings)}, sort_keys=True, ensure_ascii=False)


def connection_json(settings: Mapping[str, object]) -> str:
    """What a connection's directory entry carries in `settings`; equal values give equal text."""
    return json.dumps({"settings": dict(settings)}, sort_keys=True, ensure_ascii=False)


def parse_connection(text: str) -> dict[str, object]:
    """Raw settings of `connection_json`; empty text sets nothing. Raises ConfigError."""
    if not text:
        return {}
    try:
        return dict(json.loads(text)["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            "a connection's settings in the directory topic are not readable: set them again"
        ) from error


def parse_tenant(text: str) -> tuple[str, dict[str, object]]:
    """Time zone and raw settings of `tenant_json`; empty text is a tenant with defaults. Raises ConfigError."""
    if not text:
        return DEFAULT_TIMEZONE, {}
    try:
        value = json.loads(text)
        timezone, settings = value["timezone"], value["settings"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            "a tenant's settings in the directory topic are not readable: load its directory file again"
        ) from error
    return check_timezone(timezone), dict(settings)
