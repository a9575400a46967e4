"""Notifications of Microsoft Graph: what they say, whether they are true, and whom they wake. Pure.

A notification only wakes: what has changed is asked for by delta. So nothing of it is kept but whose it is.
"""

from __future__ import annotations

import hmac
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rapport_core.errors import PoisonError
from rapport_producers.graph.register import Registered, reference_of
from rapport_schemas.records import Wakeup

NOTIFICATION_PATH: Final = "/webhooks/microsoft"
LIFECYCLE_PATH: Final = "/webhooks/microsoft/lifecycle"
"""Where the receiver is asked, below the public address."""

MISSED: Final = "missed"
REMOVED: Final = "subscriptionRemoved"
REAUTHORIZE: Final = "reauthorizationRequired"
LIFECYCLE_EVENTS: Final = frozenset({MISSED, REMOVED, REAUTHORIZE})
"""The events that mean something to do; any other is ignored."""

MOST: Final = 2_000
"""Notifications in one request. Graph sends fewer by far; without a bound a forged request could keep the receiver busy."""

UNKNOWN: Final = "unknown"
FORGED: Final = "forged"
IGNORED: Final = "ignored"
"""Why a notification wakes nobody: no such subscription, not its secret or not its id, or an event without meaning here."""

_NOBODY = "0" * 76
"""Compared in place of an unknown subscription's secret, so that both take equally long."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One notification as it came; empty where it lacks something.

    Attributes:
        subscription: Graph's id of the subscription.
        client_state: what should be our secret.
        lifecycle: the event in the life of the subscription, empty for a change of what it watches.
    """

    subscription: str
    client_state: str = field(repr=False)
    lifecycle: str

    @property
    def reference(self) -> str | None:
        """Our name for the subscription it claims to come from; None when it cannot be one."""
        return reference_of(self.client_state)


@dataclass(frozen=True, slots=True)
class Sorted:
    """What follows from one request: whom to wake, and how many notifications were refused, by reason."""

    wakeups: list[Wakeup]
    refused: Counter[str]


def parse(body: bytes) -> list[Notification]:
    """The notifications of one request.

    Raises:
        PoisonError: `malformed`; this is no collection of notifications.
    """
    try:
        read = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _malformed() from error
    found = read.get("value") if isinstance(read, dict) else None
    if not isinstance(found, list) or len(found) > MOST:
        raise _malformed()
    return [_notification(one if isinstance(one, dict) else {}) for one in found]


def sort(notifications: Iterable[Notification], known: Mapping[str, Registered], at: int) -> Sorted:
    """Whom the notifications wake: each connection once for mail, once for calendar, once for each lifecycle event.

    Args:
        notifications: of one request; they may belong to many subscriptions and tenants.
        known: the subscriptions of their references, as far as there are such.
        at: when the request came, in milliseconds.
    """
    woken: dict[tuple[str, ...], Wakeup] = {}
    refused: Counter[str] = Counter()
    for notification in notifications:
        entry = known.get(notification.reference or "")
        reason = _refusal(notification, entry)
        if entry is None or reason is not None:
            refused[reason or UNKNOWN] += 1
            continue
        wakeup = _wakeup(notification, entry, at)
        woken.setdefault(
            (wakeup["tenant"], wakeup["connection"], wakeup["detail"], wakeup["subscription"]), wakeup
        )
    return Sorted(list(woken.values()), refused)


def _refusal(notification: Notification, entry: Registered | None) -> str | None:
    expected = _NOBODY if entry is None else entry.client_state
    given = notification.client_state.encode("utf-8", "surrogatepass")
    is_true = hmac.compare_digest(expected.encode(), given)
    if entry is None:
        return UNKNOWN
    # Until Graph has told its own id, any id goes with the right secret: the first notification may come before.
    if not is_true or entry.remote not in ("", notification.subscription):
        return FORGED
    if notification.lifecycle and notification.lifecycle not in LIFECYCLE_EVENTS:
        return IGNORED
    return None


def _wakeup(notification: Notification, entry: Registered, at: int) -> Wakeup:
    return {
        "tenant": entry.tenant,
        "connection": entry.connection,
        "kind": "lifecycle" if notification.lifecycle else "notification",
        "detail": notification.lifecycle or entry.kind,
        "subscription": notification.subscription,
        "at": at,
    }


def _notification(read: dict[str, Any]) -> Notification:
    return Notification(
        _text(read, "subscriptionId"), _text(read, "clientState"), _text(read, "lifecycleEvent")
    )


def _text(read: dict[str, Any], name: str) -> str:
    value = read.get(name)
    return value if isinstance(value, str) else ""


def _malformed() -> PoisonError:
    return PoisonError("malformed", "this is no collection of notifications")
