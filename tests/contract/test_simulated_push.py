"""Subscriptions at the simulated Graph, and notifications as unreliable as Graph's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import httpx2
import pytest

from graph import Letter, PushQuirks
from graph.clock import instant
from graph_asking import (
    BOB,
    DAY,
    HOST,
    HOUR,
    JO,
    MINUTE,
    Asking,
    Receiver,
    code,
    deliver,
    ids,
    subscribe,
    wanted,
    weekly,
)

# -- subscriptions -----------------------------------------------------------------------------------------------------


def test_both_addresses_are_asked_before_a_subscription_is_there(asking: Asking, receiver: Receiver) -> None:
    answer = asking.ask("POST", "/subscriptions", body=wanted(asking))
    assert answer.status_code == 201
    assert len(receiver.tokens) == 2
    assert all(set("+&<>% ") <= set(token) for token in receiver.tokens)
    assert set(receiver.kinds) == {"text/plain; charset=utf-8"}
    assert answer.json()["clientState"] is None
    assert answer.json()["expirationDateTime"] == wanted(asking)["expirationDateTime"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda token: httpx2.Response(200, headers={"Content-Type": "text/html"}, content=token.encode()),
        lambda token: httpx2.Response(202, headers={"Content-Type": "text/plain"}, content=token.encode()),
        lambda _: httpx2.Response(200, headers={"Content-Type": "text/plain"}, content=b"%2B"),
        lambda token: httpx2.Response(404, headers={"Content-Type": "text/plain"}, content=token.encode()),
    ],
    ids=["as a page", "with another status", "other words", "as a refusal"],
)
def test_an_address_that_does_not_repeat_the_token_is_refused(
    asking: Asking, receiver: Receiver, wrong: Callable[[str], httpx2.Response]
) -> None:
    receiver.repeats = wrong
    answer = asking.ask("POST", "/subscriptions", body=wanted(asking))
    assert code(answer) == (400, "ValidationError")
    assert asking.simulator.subscriptions.of(asking.ann) == []


@pytest.mark.parametrize(
    ("fails", "said"),
    [(httpx2.ConnectError("nobody"), "failed"), (TimeoutError(), "timed out")],
)
def test_an_address_where_nobody_is_is_refused(
    asking: Asking, receiver: Receiver, fails: Exception, said: str
) -> None:
    def nobody(_: str) -> httpx2.Response:
        raise fails

    receiver.repeats = nobody
    answer = asking.ask("POST", "/subscriptions", body=wanted(asking))
    assert code(answer) == (400, "ValidationError")
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "changed",
    [
        {"changeType": "created,moved"},
        {"notificationUrl": "http://rapport.example/hooks"},
        {"lifecycleNotificationUrl": "http://rapport.example/hooks"},
        {"resource": "me/people"},
        {"expirationDateTime": "2026-11-25T09:00:00"},
        {"expirationDateTime": "2026-11-24T08:00:00Z"},
        {"clientState": "x" * 129},
        {"somethingNew": True},
        {"includeResourceData": True},
    ],
)
def test_a_payload_that_graph_does_not_take_is_refused_before_anybody_is_asked(
    asking: Asking, receiver: Receiver, changed: dict[str, Any]
) -> None:
    answer = asking.ask("POST", "/subscriptions", body=wanted(asking, **changed))
    assert code(answer) == (400, "InvalidRequest")
    assert receiver.tokens == []


@pytest.mark.parametrize(("limit", "rich"), [(10_080, False), (4_230, False), (1_440, True)])
def test_a_life_that_is_too_long_is_refused_with_the_limit(
    asking: Asking, receiver: Receiver, limit: int, rich: bool
) -> None:
    if not rich:
        asking.simulator.subscriptions.longest_minutes = limit
    more = {
        "resource": "me/messages?$select=subject",
        "includeResourceData": True,
        "encryptionCertificate": "x",
        "encryptionCertificateId": "y",
    }
    changed = more if rich else {}
    answer = asking.ask("POST", "/subscriptions", body=wanted(asking, minutes=limit + 1, **changed))
    assert code(answer) == (400, "ExtensionError")
    assert f"only be {limit} minutes" in answer.json()["error"]["message"]
    assert receiver.tokens == []
    assert subscribe(asking, minutes=limit, **changed).expires == asking.clock() + limit * MINUTE


def test_a_short_life_is_raised(asking: Asking, receiver: Receiver) -> None:
    del receiver
    assert subscribe(asking, minutes=5).expires == asking.clock() + 45 * MINUTE


def test_the_same_changes_are_told_once_wherever_they_are_told(asking: Asking, receiver: Receiver) -> None:
    del receiver
    subscribe(asking)
    twin = wanted(asking, notificationUrl="https://staging.example/hooks", resource="/Me/Messages")
    assert code(asking.ask("POST", "/subscriptions", body=twin)) == (409, "Conflict")
    subscribe(asking, resource="me/events")
    subscribe(asking, changeType="created")
    subscribe(asking, resource="me/mailFolders('inbox')/messages")


def test_a_mailbox_has_room_for_so_many(asking: Asking, receiver: Receiver) -> None:
    del receiver
    asking.simulator.subscriptions.most = 1
    subscribe(asking)
    more = asking.ask("POST", "/subscriptions", body=wanted(asking, resource="me/events"))
    assert code(more) == (403, "quotaLimitReached")


def test_a_subscription_is_renewed_until_its_time_is_over(asking: Asking, receiver: Receiver) -> None:
    del receiver
    made = subscribe(asking)
    path = f"/subscriptions/{made.id}"
    asking.clock.advance(6 * DAY)
    renewal = {"expirationDateTime": instant(asking.clock() + 7 * DAY)}
    assert (
        asking.ask("PATCH", path, body=renewal).json()["expirationDateTime"] == renewal["expirationDateTime"]
    )
    asking.clock.advance(7 * DAY)
    renewal = {"expirationDateTime": instant(asking.clock() + DAY)}
    assert code(asking.ask("PATCH", path, body=renewal)) == (404, "ResourceNotFound")
    assert asking.get("/subscriptions")["value"] == []


def test_only_the_time_of_a_subscription_can_be_changed(asking: Asking, receiver: Receiver) -> None:
    del receiver
    made = subscribe(asking)
    late = {"expirationDateTime": instant(asking.clock() + 8 * DAY)}
    assert code(asking.ask("PATCH", f"/subscriptions/{made.id}", body=late)) == (400, "ExtensionError")
    other = {"notificationUrl": "https://elsewhere.example"}
    assert code(asking.ask("PATCH", f"/subscriptions/{made.id}", body=other)) == (400, "InvalidRequest")


def test_an_ended_subscription_tells_nothing_more(asking: Asking, receiver: Receiver) -> None:
    made = subscribe(asking)
    assert asking.ask("DELETE", f"/subscriptions/{made.id}").status_code == 204
    assert asking.ask("DELETE", f"/subscriptions/{made.id}").status_code == 404
    asking.deliver()
    assert (deliver(asking), receiver.told) == (0, [])


def test_subscriptions_are_listed_to_whoever_made_them(asking: Asking, receiver: Receiver) -> None:
    del receiver
    made = subscribe(asking)
    asking.ask("POST", "/subscriptions", of=asking.bob, body=wanted(asking))
    assert ids(asking.get("/subscriptions")["value"]) == [made.id]
    assert asking.ask("GET", f"/subscriptions/{made.id}", of=asking.bob).status_code == 404
    token = asking.simulator.application_token(asking.simulator.company("contoso"))
    assert asking.get("/subscriptions", token=token)["value"] == []


def test_nobody_subscribes_to_another_mailbox_but_the_application(asking: Asking, receiver: Receiver) -> None:
    del receiver
    theirs = wanted(asking, resource=f"users/{asking.bob.id}/messages")
    assert code(asking.ask("POST", "/subscriptions", body=theirs)) == (403, "ErrorAccessDenied")
    token = asking.simulator.application_token(asking.simulator.company("contoso"))
    assert asking.ask("POST", "/subscriptions", body=theirs, token=token).status_code == 201
    mine = asking.ask("POST", "/subscriptions", body=wanted(asking), token=token)
    assert mine.status_code == 400


def test_a_subscription_needs_the_scope_of_what_it_watches(asking: Asking, receiver: Receiver) -> None:
    del receiver
    token = asking.simulator.token(asking.ann, {"Mail.Read"})
    assert asking.ask("POST", "/subscriptions", token=token, body=wanted(asking)).status_code == 201
    events = wanted(asking, resource="me/events")
    assert asking.ask("POST", "/subscriptions", token=token, body=events).status_code == 403


def test_a_subscription_without_immutable_ids_tells_the_others_and_is_noted(asking: Asking) -> None:
    receiver = Receiver()
    asking.simulator.push.transport = receiver.transport
    assert asking.ask("POST", "/subscriptions", body=wanted(asking), prefer=()).status_code == 201
    assert len(asking.simulator.violations) == 1
    key = asking.deliver()
    deliver(asking)
    assert receiver.told[0]["resourceData"]["id"] == asking.ann.items[key].shown != key


# -- notifications -----------------------------------------------------------------------------------------------------


def test_every_change_is_told_with_the_secret(asking: Asking, receiver: Receiver) -> None:
    made = subscribe(asking)
    key = asking.deliver()
    asking.ann.mark_read(key)
    asking.ann.delete(key)
    assert deliver(asking) == 1
    assert [one["changeType"] for one in receiver.told] == ["created", "updated", "deleted"]
    first = receiver.told[0]
    assert (first["subscriptionId"], first["clientState"]) == (made.id, "secret")
    assert first["tenantId"] == asking.ann.tenant
    assert first["resource"] == f"Users/{asking.ann.id}/Messages/{key}"
    assert first["resourceData"]["id"] == key


def test_a_series_is_told_by_its_master(asking: Asking, receiver: Receiver) -> None:
    subscribe(asking, resource="me/events")
    key = weekly(asking)
    asking.ann.cancel_occurrence(key, date(2026, 11, 9))
    deliver(asking)
    assert {one["resourceData"]["id"] for one in receiver.told} == {key}


def test_only_the_changes_that_were_asked_for_are_told(asking: Asking, receiver: Receiver) -> None:
    subscribe(asking, changeType="deleted")
    subscribe(asking, changeType="created", resource="me/mailFolders('archive')/messages")
    key = asking.deliver()
    archived = asking.deliver("old", "archive")
    asking.ann.delete(key)
    deliver(asking)
    assert [one["resourceData"]["id"] for one in receiver.told] == [archived, key]


def test_one_request_may_tell_of_several_people(asking: Asking, receiver: Receiver) -> None:
    subscribe(asking)
    assert asking.ask("POST", "/subscriptions", of=asking.bob, body=wanted(asking)).status_code == 201
    asking.deliver()
    asking.bob.deliver(Letter(JO, (BOB,)))
    assert deliver(asking) == 1
    assert len({one["subscriptionId"] for one in receiver.told}) == 2


def test_one_request_tells_no_more_than_it_may(asking: Asking, receiver: Receiver) -> None:
    asking.simulator.push.quirks = PushQuirks(together=3)
    subscribe(asking)
    for number in range(7):
        asking.deliver(f"{number}")
    assert deliver(asking) == 3
    assert sorted(len(values) for _, values in receiver.posts) == [1, 3, 3]


def test_a_notification_may_be_lost_without_a_word(asking: Asking, receiver: Receiver) -> None:
    asking.simulator.push.quirks = PushQuirks(lost=1.0)
    subscribe(asking)
    asking.deliver()
    assert (deliver(asking), receiver.told) == (0, [])


def test_a_notification_may_be_lost_and_the_loss_told(asking: Asking, receiver: Receiver) -> None:
    asking.simulator.push.quirks = PushQuirks(missed=1.0)
    made = subscribe(asking)
    asking.deliver()
    deliver(asking)
    ((path, (told,)),) = receiver.posts
    assert path == "/hooks/lifecycle"
    assert (told["lifecycleEvent"], told["subscriptionId"]) == ("missed", made.id)


def test_a_notification_may_come_twice(asking: Asking, receiver: Receiver) -> None:
    asking.simulator.push.quirks = PushQuirks(doubled=1.0)
    subscribe(asking)
    asking.deliver()
    deliver(asking)
    first, second = receiver.told
    assert first == second


def test_notifications_come_late_and_out_of_order(asking: Asking, receiver: Receiver) -> None:
    asking.simulator.push.quirks = PushQuirks(late=(1.0, 60.0))
    subscribe(asking)
    keys = [asking.deliver(f"{number}") for number in range(10)]
    assert deliver(asking) == 0
    asking.clock.advance(60)
    deliver(asking)
    told = [one["resourceData"]["id"] for one in receiver.told]
    assert sorted(told) == sorted(keys)
    assert told != keys


def test_a_notification_may_come_before_the_answer_that_subscribes(
    asking: Asking, receiver: Receiver
) -> None:
    """The client learns of the change before it learns the subscription's id."""
    asking.simulator.subscriptions.answers_late = 5.0
    came: list[list[dict[str, Any]]] = []

    async def subscribing(client: httpx2.AsyncClient) -> httpx2.Response:
        simulator = asking.simulator

        async def meanwhile(seconds: float) -> None:
            asking.clock.advance(seconds)
            asking.deliver()
            await simulator.push.deliver()
            came.append(receiver.told)

        simulator.app.sleep = meanwhile
        url = f"{HOST}/v1.0/subscriptions"
        return await client.post(url, headers=asking.headers(), json=wanted(asking))

    answer = asking.run(subscribing)
    assert answer.status_code == 201
    assert [one["subscriptionId"] for one in came[0]] == [answer.json()["id"]]


@pytest.mark.parametrize("says", [500, 429, 404, 302])
def test_what_is_not_taken_is_told_again(asking: Asking, receiver: Receiver, says: int) -> None:
    receiver.says = lambda: says
    subscribe(asking)
    asking.deliver()
    assert [deliver(asking), deliver(asking)] == [1, 0]
    receiver.says = lambda: 200
    asking.clock.advance(asking.simulator.push.again_after)
    assert [deliver(asking), deliver(asking)] == [1, 0]
    assert [one.status for one in asking.simulator.push.sent] == [says, 200]
    assert receiver.told[0] == receiver.told[1]


def test_what_is_answered_too_late_counts_as_not_taken(asking: Asking, receiver: Receiver) -> None:
    def too_late() -> int:
        raise TimeoutError

    receiver.says = too_late
    subscribe(asking)
    asking.deliver()
    deliver(asking)
    assert asking.simulator.push.waiting() == 1


def test_after_four_hours_it_is_given_up(asking: Asking, receiver: Receiver) -> None:
    receiver.says = lambda: 503
    subscribe(asking)
    asking.deliver()
    deliver(asking)
    asking.clock.advance(4 * HOUR)
    deliver(asking)
    assert asking.simulator.push.waiting() == 0


def test_forged_notifications_look_like_true_ones(asking: Asking, receiver: Receiver) -> None:
    made = subscribe(asking)
    asking.simulator.subscriptions.forge(made, clientState="guessed")
    asking.simulator.subscriptions.forge(made, subscriptionId="00000000-0000-0000-0000-000000000000")
    deliver(asking)
    wrong, unknown = receiver.told
    assert wrong.keys() == unknown.keys()
    assert (wrong["subscriptionId"], wrong["clientState"]) == (made.id, "guessed")
    assert (unknown["subscriptionId"][:8], unknown["clientState"]) == ("00000000", "secret")


def test_notifications_can_be_turned_off(asking: Asking, receiver: Receiver) -> None:
    subscribe(asking)
    asking.simulator.push.on = False
    asking.deliver("silent")
    asking.simulator.push.on = True
    loud = asking.deliver("loud")
    deliver(asking)
    assert [one["resourceData"]["id"] for one in receiver.told] == [loud]


@pytest.mark.parametrize("event", ["missed", "somethingNew"])
def test_the_life_of_a_subscription_is_told_to_its_own_address(
    asking: Asking, receiver: Receiver, event: str
) -> None:
    made = subscribe(asking)
    asking.simulator.subscriptions.lifecycle(made, event)
    deliver(asking)
    ((path, (told,)),) = receiver.posts
    assert (path, told["lifecycleEvent"], told["clientState"]) == ("/hooks/lifecycle", event, "secret")
    assert "changeType" not in told


def test_without_an_address_for_it_nothing_is_told_of_its_life(asking: Asking, receiver: Receiver) -> None:
    body = wanted(asking)
    del body["lifecycleNotificationUrl"]
    assert asking.ask("POST", "/subscriptions", body=body).status_code == 201
    (made,) = asking.simulator.subscriptions.of(asking.ann)
    asking.simulator.subscriptions.remove(made)
    assert (deliver(asking), receiver.told) == (0, [])


def test_graph_removes_a_subscription_and_says_so(asking: Asking, receiver: Receiver) -> None:
    made = subscribe(asking)
    asking.simulator.subscriptions.remove(made)
    asking.deliver()
    deliver(asking)
    assert [one.get("lifecycleEvent") for one in receiver.told] == ["subscriptionRemoved"]
    assert asking.ask("GET", f"/subscriptions/{made.id}").status_code == 404


@pytest.mark.parametrize("way", ["reauthorize", "patch"])
def test_nothing_is_told_until_a_demanded_authorization_is_there(
    asking: Asking, receiver: Receiver, way: str
) -> None:
    made = subscribe(asking)
    asking.simulator.subscriptions.demand(made)
    asking.deliver("silent")
    if way == "reauthorize":
        assert asking.ask("POST", f"/subscriptions/{made.id}/reauthorize").status_code == 204
    else:
        body = {"expirationDateTime": instant(asking.clock() + DAY)}
        assert asking.ask("PATCH", f"/subscriptions/{made.id}", body=body).status_code == 200
    loud = asking.deliver("loud")
    deliver(asking)
    told = {one.get("lifecycleEvent") or one["resourceData"]["id"] for one in receiver.told}
    assert told == {"reauthorizationRequired", loud}
