"""Subscriptions at Graph: made, renewed in time, made again, ended; and never in the way of anything else."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from itertools import cycle, pairwise
from typing import Any, TypeVar

import pytest
from structlog.testing import capture_logs

from push_service import PUBLIC, START, PushService, Refusal
from rapport_producers.graph.errors import GraphError
from rapport_producers.graph.notifications import Notification, sort
from rapport_producers.graph.subscriptions import LIFE, SHORTER_LIFE, TRIED_AGAIN_AFTER

HOUR = timedelta(hours=1)
BOTH = ["me/events", "me/messages"]
T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


@pytest.fixture
def service() -> PushService:
    return PushService()


def ensure(service: PushService) -> bool:
    return run(service.subscriptions.ensure(service.mailbox))


def test_mail_and_events_are_subscribed_to(service: PushService) -> None:
    """With both addresses, every kind of change, and a little less than the longest life."""
    assert ensure(service)
    assert service.resources == BOTH
    _, path, body = service.asked("POST")[0]
    assert path == "/subscriptions"
    assert body | {"clientState": ""} == {
        "changeType": "created,updated,deleted",
        "notificationUrl": f"{PUBLIC}/webhooks/microsoft",
        "lifecycleNotificationUrl": f"{PUBLIC}/webhooks/microsoft/lifecycle",
        "resource": "me/messages",
        "expirationDateTime": (START + LIFE).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "clientState": "",
    }


def test_with_application_permissions_the_users_own_id_is_named(service: PushService) -> None:
    """`/me` is nobody there."""
    service.mailbox.root = "/users/0f1e"
    assert ensure(service)
    assert service.resources == ["users/0f1e/events", "users/0f1e/messages"]


def test_a_mailbox_named_by_its_address_is_not_quoted(service: PushService) -> None:
    """The resource stands in a body, not in a path: there `%40` is nobody."""
    service.mailbox.root = "/users/ann%40contoso.example"
    assert ensure(service)
    assert service.resources == ["users/ann@contoso.example/events", "users/ann@contoso.example/messages"]


def test_every_subscription_has_a_secret_of_its_own(service: PushService) -> None:
    """One that leaks tells nothing of the others."""
    ensure(service)
    states = [body["clientState"] for _, _, body in service.asked("POST")]
    assert len(set(states)) == 2


def test_a_notification_that_comes_before_the_answer_is_known(service: PushService) -> None:
    """The register has the secret before Graph hears it."""
    ensure(service)
    assert service.known_at_post == [True, True]
    pending = service.register.history[0]
    early = Notification("whatever-it-will-be", pending.client_state, "")
    assert len(sort([early], {pending.reference: pending}, 0).wakeups) == 1


def test_nothing_is_asked_while_nothing_is_due(service: PushService) -> None:
    """So it may be called often."""
    ensure(service)
    service.calls.clear()
    for _ in range(4):
        service.clock.move(HOUR)
        assert ensure(service)
    assert service.calls == []


@pytest.mark.parametrize("minutes", [(66,), (54,), (59, 59, 59, 59, 59, 66)])
def test_an_hourly_call_renews_at_least_every_six_hours(
    service: PushService, minutes: tuple[int, ...]
) -> None:
    """For two weeks, twice as long as any subscription lives, however the hours are spread; and nothing is ever made again."""
    renewed, steps = [START], cycle(minutes)
    for _ in range(14 * 24):
        assert ensure(service)
        if service.asked("PATCH"):
            renewed.append(service.clock.now())
            service.calls = [call for call in service.calls if call[0] != "PATCH"]
        service.clock.move(timedelta(minutes=next(steps)))
    gaps = [later - earlier for earlier, later in pairwise(renewed)]
    assert max(gaps) <= 6 * HOUR
    assert len(service.asked("POST")) == 2


def test_what_graph_grants_counts_not_what_was_asked_for(service: PushService) -> None:
    """A subscription that Graph gives two hours only is renewed after one, and push is off when it is over."""
    service.grants = 2 * HOUR
    ensure(service)
    service.clock.move(HOUR)
    assert ensure(service)
    assert len(service.asked("PATCH")) == 2
    service.refusals.append(Refusal("PATCH", 500, "UnknownError", times=99))
    service.clock.move(HOUR)
    assert ensure(service)
    service.clock.move(HOUR)
    service.refusals.append(Refusal("POST", 500, "UnknownError", times=99))
    assert not ensure(service)


def test_a_new_process_asks_at_once_whether_its_subscriptions_are_there(service: PushService) -> None:
    """They may have ended while nobody looked."""
    ensure(service)
    service.restarted()
    assert ensure(service)
    assert [len(service.asked(method)) for method in ("POST", "PATCH")] == [2, 2]


def test_one_that_vanished_is_made_again(service: PushService) -> None:
    """With a new secret; the old one is worth nothing from then on."""
    ensure(service)
    old = dict(service.register.entries)
    service.living.clear()
    service.restarted()
    assert ensure(service)
    assert service.resources == BOTH
    assert not old.keys() & service.register.entries.keys()


def test_after_a_week_of_sleep_they_are_made_again(service: PushService) -> None:
    """Expired ones are no obstacle."""
    ensure(service)
    service.clock.move(timedelta(days=8))
    assert ensure(service)
    assert service.resources == BOTH


def test_a_limit_of_former_years_is_met(service: PushService) -> None:
    """ExtensionError: asked again with 4,200 minutes, and with these at once from then on."""
    service.limit = timedelta(minutes=4_230)
    assert ensure(service)
    untils = [body["expirationDateTime"] for _, _, body in service.asked("POST")]
    assert len(untils) == 3
    assert untils[1] == untils[2] == (START + SHORTER_LIFE).strftime("%Y-%m-%dT%H:%M:%SZ")
    service.clock.move(6 * HOUR)
    service.calls.clear()
    assert ensure(service)
    assert [call[0] for call in service.calls] == ["PATCH", "PATCH"]


def test_a_limit_that_shrinks_is_met_at_renewal(service: PushService) -> None:
    """The same where the subscription is there already."""
    ensure(service)
    service.limit = timedelta(minutes=4_230)
    service.clock.move(6 * HOUR)
    assert ensure(service)
    assert len(service.asked("PATCH")) == 3
    assert len(service.asked("POST")) == 2


def test_a_twin_that_nobody_knows_is_replaced(service: PushService) -> None:
    """409: what an earlier attempt left is ended, since nobody knows its secret; what others made is not touched."""
    other = {
        "id": "staging",
        "resource": "me/messages",
        "notificationUrl": "https://staging.example/webhooks/microsoft",
    }
    far = {"expirationDateTime": "2026-11-30T00:00:00Z"}
    service.living = {
        "left": {
            "id": "left",
            "resource": "me/messages",
            "notificationUrl": f"{PUBLIC}/webhooks/microsoft",
            **far,
        },
        "calendar": {**other, "id": "calendar", "resource": "me/contacts", **far},
    }
    assert ensure(service)
    assert service.resources == ["me/contacts", *BOTH]
    assert "left" not in service.living


def test_a_twin_of_somebody_else_is_left_alone(service: PushService) -> None:
    """Another installation under the same application: push stays off here rather than there."""
    theirs = {
        "id": "theirs",
        "resource": "me/messages",
        "notificationUrl": "https://staging.example/webhooks/microsoft",
        "expirationDateTime": "2026-11-30T00:00:00Z",
    }
    service.living["theirs"] = theirs
    assert not ensure(service)
    assert "theirs" in service.living


def test_an_answer_that_was_lost_leaves_no_second_subscription(service: PushService) -> None:
    """Graph has made it, and the connector never heard: the next attempt ends that one and makes another."""
    service.refusals.append(Refusal("POST", 504, "UnknownError", times=99, after_all=True))
    assert not ensure(service)
    assert len(service.living) == 2
    service.refusals.clear()
    service.restarted()
    assert ensure(service)
    assert service.resources == BOTH
    assert {one.remote for one in service.register.entries.values()} == service.living.keys()


def test_a_new_public_address_is_told_to_graph(service: PushService) -> None:
    """The old subscriptions would go on calling where nobody is."""
    ensure(service)
    service.public_url = "https://new.example"
    service.restarted()
    assert ensure(service)
    urls = {one["notificationUrl"] for one in service.living.values()}
    assert urls == {"https://new.example/webhooks/microsoft"}
    assert service.resources == BOTH


def test_without_a_public_address_nothing_is_asked(service: PushService) -> None:
    """The sweep alone finds changes then."""
    service.public_url = None
    service.restarted()
    assert not ensure(service)
    assert service.calls == []


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "ErrorQuotaExceeded"),
        (403, "ErrorAccessDenied"),
        (400, "InvalidRequest"),
        (400, "ValidationError"),
        (404, "MailboxNotEnabledForRESTAPI"),
        (503, "ErrorServerBusy"),
    ],
)
def test_a_refusal_costs_speed_and_nothing_else(service: PushService, status: int, code: str) -> None:
    """It is no error of the connection, is not asked about all the time, and is over when it is over."""
    service.refusals.append(Refusal("POST", status, code, times=99))
    assert not ensure(service)
    service.refusals.clear()
    service.calls.clear()
    assert not ensure(service)
    assert service.calls == []
    service.clock.move(TRIED_AGAIN_AFTER)
    assert ensure(service)
    assert service.resources == BOTH


def test_events_alone_may_be_out_of_reach(service: PushService) -> None:
    """A member who keeps the calendar private still has push for mail."""
    ensure(service)
    events = next(name for name, one in service.living.items() if one["resource"] == "me/events")
    del service.living[events]
    service.restarted()
    service.refusals.append(Refusal("POST", 403, "ErrorAccessDenied"))
    assert not ensure(service)
    assert service.resources == ["me/messages"]


def test_a_renewal_that_fails_leaves_push_on_while_the_subscription_lives(service: PushService) -> None:
    """There are days left, and it is tried again."""
    ensure(service)
    service.clock.move(6 * HOUR)
    service.refusals.append(Refusal("PATCH", 500, "UnknownError", times=99))
    assert ensure(service)
    service.clock.move(timedelta(days=8))
    assert not ensure(service)


def test_a_removed_subscription_is_made_again(service: PushService) -> None:
    """`subscriptionRemoved` (a new password, a disabled account): the other one is left as it is."""
    ensure(service)
    gone = service.register.of("acme", "microsoft-m1")[0]
    del service.living[gone.remote]
    run(service.subscriptions.lifecycle(service.mailbox, gone.remote, "subscriptionRemoved"))
    assert service.resources == BOTH
    assert len(service.asked("POST")) == 3
    assert service.asked("PATCH") == []


def test_a_demand_to_reauthorize_is_met_by_renewing(service: PushService) -> None:
    """That one at once; never by both ways that Graph knows."""
    ensure(service)
    asked = service.register.of("acme", "microsoft-m1")[1]
    for _ in range(2):
        run(service.subscriptions.lifecycle(service.mailbox, asked.remote, "reauthorizationRequired"))
    assert [path for _, path, _ in service.asked("PATCH")] == [f"/subscriptions/{asked.remote}"] * 2
    assert len(service.asked("POST")) == 2


@pytest.mark.parametrize("event", ["missed", "somethingNew", "subscriptionRemoved"])
def test_what_concerns_nothing_here_asks_nothing(service: PushService, event: str) -> None:
    """A miss is for delta to find; an unknown subscription may be one that was replaced."""
    ensure(service)
    service.calls.clear()
    known = service.register.of("acme", "microsoft-m1")[0].remote
    subscription = "replaced long ago" if event == "subscriptionRemoved" else known
    run(service.subscriptions.lifecycle(service.mailbox, subscription, event))
    assert service.calls == []


def test_ending_ends_them_at_graph_first(service: PushService) -> None:
    """Then here. A repeat does nothing, and so does ending what never began."""
    ensure(service)
    for _ in range(2):
        run(service.subscriptions.end(service.mailbox))
        assert service.living == {}
        assert service.register.entries == {}


def test_an_end_that_fails_is_repeated(service: PushService) -> None:
    """What could not be ended is not forgotten."""
    ensure(service)
    service.refusals.append(Refusal("DELETE", 503, "ErrorServerBusy", times=99))
    with pytest.raises(GraphError):
        run(service.subscriptions.end(service.mailbox))
    assert len(service.register.entries) == 2
    service.refusals.clear()
    run(service.subscriptions.end(service.mailbox))
    assert (service.living, service.register.entries) == ({}, {})


def test_who_is_signed_out_can_still_be_ended(service: PushService) -> None:
    """Nobody can end the subscription at Graph then; it ends by itself, and its notifications wake nobody."""
    ensure(service)
    service.mailbox.signed_out = True
    run(service.subscriptions.end(service.mailbox))
    assert service.register.entries == {}


def test_an_end_finds_what_an_answer_that_was_lost_left(service: PushService) -> None:
    """An erased mailbox has no subscription, also not one that nobody knows the id of."""
    service.refusals.append(Refusal("POST", 504, "UnknownError", times=99, after_all=True))
    ensure(service)
    service.refusals.clear()
    run(service.subscriptions.end(service.mailbox))
    assert (service.living, service.register.entries) == ({}, {})


def test_nothing_secret_is_logged(service: PushService) -> None:
    """Neither secrets nor tokens nor Graph's ids, whatever goes wrong."""
    service.refusals.append(Refusal("POST", 400, "InvalidRequest"))
    with capture_logs() as lines:
        ensure(service)
        service.living.clear()
        service.restarted()
        ensure(service)
        service.mailbox.signed_out = True
        run(service.subscriptions.end(service.mailbox))
    assert {line["event"] for line in lines} >= {"subscription_failed", "subscription_vanished"}
    for one in service.register.history:
        assert one.secret not in repr(lines)
        assert one.remote == "" or one.remote not in repr(lines)
