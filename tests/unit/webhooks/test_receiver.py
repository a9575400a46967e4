"""What the receiver answers to Microsoft, and whom it wakes."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Collection, Coroutine
from typing import Any
from urllib.parse import quote_plus

import pytest
from structlog.testing import capture_logs

from rapport.webhooks import app as webhooks_app
from rapport.webhooks import receiving
from rapport_core.clock import to_ms
from rapport_producers.graph.register import Registered
from rapport_schemas.topics import WAKEUPS
from receiver_place import NOW, Place, told

BOTH_ADDRESSES = pytest.mark.parametrize("path", ["/webhooks/microsoft", "/webhooks/microsoft/lifecycle"])


def in_a_loop(work: Coroutine[Any, Any, None]) -> None:
    """Runs a test that waits."""
    asyncio.run(work)


@BOTH_ADDRESSES
@pytest.mark.parametrize(
    "token",
    ["Validation: Testing client application reachability for subscription", "a+b &c<d>\"e'=ü", "plain", ""],
)
def test_a_handshake_repeats_the_decoded_token(path: str, token: str) -> None:
    """Letter by letter, as text, whatever characters it has; without knowing any subscription."""
    place = Place()

    async def test() -> None:
        headers = {"content-type": "text/plain"}
        answer = await place.client.post(f"{path}?validationToken={quote_plus(token)}", headers=headers)
        assert (answer.status_code, answer.text) == (200, token)
        assert answer.headers["content-type"].startswith("text/plain")

    in_a_loop(test())
    assert place.asked == []
    assert place.counted == {"handshake": 1}


def test_no_browser_takes_a_handshake_for_a_page() -> None:
    """The token is not escaped, because Microsoft compares it; so nothing in the answer may run."""
    place = Place()

    async def test() -> None:
        answer = await place.client.post("/webhooks/microsoft?validationToken=%3Cscript%3E")
        assert answer.text == "<script>"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "sandbox" in answer.headers["content-security-policy"]

    in_a_loop(test())


def test_a_handshake_is_answered_while_everything_is_down() -> None:
    """Store and Kafka are not asked."""
    place = Place(store_is_away=True)
    place.outlet.refuses = True

    async def test() -> None:
        assert (await place.client.post("/webhooks/microsoft?validationToken=t")).status_code == 200

    in_a_loop(test())


@BOTH_ADDRESSES
def test_a_true_notification_wakes_its_connection(path: str) -> None:
    """The answer comes after the log has the wake-up, under the connection's key."""
    place = Place()
    entry = place.subscribed()

    async def test() -> None:
        assert (await place.post(told(entry), path=path)).status_code == 202

    in_a_loop(test())
    assert place.outlet.sent == [
        (
            WAKEUPS.name,
            b"acme\0microsoft-m1",
            {
                "tenant": "acme",
                "connection": "microsoft-m1",
                "kind": "notification",
                "detail": "messages",
                "subscription": "sub-1",
                "at": to_ms(NOW),
            },
        )
    ]


@pytest.mark.parametrize("event", ["missed", "subscriptionRemoved", "reauthorizationRequired"])
def test_a_lifecycle_event_is_passed_on(event: str) -> None:
    """With its name and Graph's id of the subscription."""
    place = Place()
    entry = place.subscribed()

    async def test() -> None:
        await place.post(told(entry, lifecycleEvent=event, changeType=None))

    in_a_loop(test())
    [(_, _, wakeup)] = place.outlet.sent
    assert (wakeup["kind"], wakeup["detail"], wakeup["subscription"]) == ("lifecycle", event, "sub-1")


def test_one_request_may_mix_connections_and_repeat_itself() -> None:
    """Each connection is woken once for mail, once for events, once for each lifecycle event."""
    place = Place()
    mail = place.subscribed("microsoft-m1", "sub-1")
    events = place.subscribed("microsoft-m1", "sub-2", "me/events")
    other = place.subscribed("microsoft-m2", "sub-3")

    async def test() -> None:
        items = [told(mail), told(mail), told(events), told(other), told(mail, lifecycleEvent="missed")] * 3
        assert (await place.post(*items)).status_code == 202

    in_a_loop(test())
    woken = [(sent["connection"], sent["detail"]) for _, _, sent in place.outlet.sent]
    assert woken == [
        ("microsoft-m1", "messages"),
        ("microsoft-m1", "events"),
        ("microsoft-m2", "messages"),
        ("microsoft-m1", "missed"),
    ]


def test_the_first_notification_may_come_before_graph_has_told_its_id() -> None:
    """Its secret is enough then."""
    place = Place()
    entry = place.subscribed(remote="")

    async def test() -> None:
        await place.post(told(entry, subscriptionId="brand-new"))

    in_a_loop(test())
    assert len(place.outlet.sent) == 1


@pytest.mark.parametrize(
    ("changes", "counted"),
    [
        ({"clientState": None}, "unknown"),
        ({"clientState": "secret"}, "unknown"),
        ({"clientState": "0" * 32 + ".secret"}, "unknown"),
        ({"clientState": "\ud800" * 32}, "unknown"),
        ({"subscriptionId": "another"}, "forged"),
        ({"subscriptionId": None}, "forged"),
        ({"lifecycleEvent": "somethingNew"}, "ignored"),
    ],
)
def test_what_is_not_true_wakes_nobody(changes: dict[str, Any], counted: str) -> None:
    """It is answered like any other, and counted."""
    place = Place()
    entry = place.subscribed()

    async def test() -> None:
        assert (await place.post(told(entry, **changes))).status_code == 202

    in_a_loop(test())
    assert place.outlet.sent == []
    assert place.counted == {counted: 1}


def test_the_right_name_with_a_wrong_secret_is_forged() -> None:
    """Somebody who saw a subscription's name knows nothing yet."""
    place = Place()
    entry = place.subscribed()
    wrong = [
        f"{entry.reference}.{'x' * len(entry.secret)}",
        f"{entry.reference}.",
        entry.reference,
        entry.client_state + "x",
        entry.client_state[:-1],
    ]

    async def test() -> None:
        await place.post(*(told(entry, clientState=one) for one in wrong))

    in_a_loop(test())
    assert place.outlet.sent == []
    assert place.counted == {"forged": len(wrong)}


def test_forged_ones_do_not_stop_true_ones_beside_them() -> None:
    """A request is not judged as a whole."""
    place = Place()
    entry = place.subscribed()

    async def test() -> None:
        await place.post(told(entry, clientState="no"), told(entry), 7, None, {}, "text", ["list"])

    in_a_loop(test())
    assert len(place.outlet.sent) == 1
    assert place.counted == {"woken": 1, "unknown": 6}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"7", b'{"value": {}}', b'{"value": null}', b"\xff\xfe", b"[" * 100_000],
)
def test_what_is_no_collection_of_notifications_is_refused(body: bytes) -> None:
    """In a word, and counted."""
    place = Place()

    async def test() -> None:
        assert (await place.client.post("/webhooks/microsoft", content=body)).status_code == 400

    in_a_loop(test())
    assert place.counted == {"malformed": 1}


def test_a_body_larger_than_any_that_is_meant_is_refused_unread() -> None:
    """Also where it does not say its length beforehand."""
    place = Place()
    taken = 0

    async def test() -> None:
        async def endless() -> Any:
            nonlocal taken
            for _ in range(1000):
                taken += 1
                yield b" " * 65_536

        assert (await place.client.post("/webhooks/microsoft", content=endless())).status_code == 413

    in_a_loop(test())
    assert place.counted == {"malformed": 1}


def test_more_notifications_than_graph_ever_sends_are_refused() -> None:
    """They would keep everybody else waiting."""
    place = Place()

    async def test() -> None:
        body = json.dumps({"value": [0] * 10_001})
        assert (await place.client.post("/webhooks/microsoft", content=body)).status_code == 400

    in_a_loop(test())


def test_what_cannot_be_stored_is_asked_for_again() -> None:
    """Kafka refuses, or the store cannot say whose it is: 503, and Microsoft repeats it."""
    place = Place()
    entry = place.subscribed()

    async def test() -> None:
        place.outlet.refuses = True
        answer = await place.post(told(entry))
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        place.outlet.refuses, place.store_is_away, place.seconds = False, True, 61.0
        assert (await place.post(told(entry))).status_code == 503
        place.store_is_away = False
        assert (await place.post(told(entry))).status_code == 202

    in_a_loop(test())
    assert len(place.outlet.sent) == 1
    assert place.counted == {"deferred": 2, "woken": 1}


def test_a_log_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer comes before Microsoft's patience ends."""
    monkeypatch.setattr(receiving, "SECONDS_TO_ANSWER", 0.01)
    place = Place()
    entry = place.subscribed()

    async def test() -> None:
        place.outlet.holds = asyncio.Event()
        assert (await place.post(told(entry))).status_code == 503

    in_a_loop(test())
    assert place.counted == {"deferred": 1}


def test_a_crowd_is_sent_away_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes when enough are served hears so immediately; those who are served are served."""
    monkeypatch.setattr(receiving, "MOST_AT_ONCE", 3)
    place = Place()
    entry = place.subscribed()

    async def test() -> None:
        gate = place.outlet.holds = asyncio.Event()
        served = [asyncio.ensure_future(place.post(told(entry))) for _ in range(3)]
        for _ in served:
            await place.outlet.arrived.acquire()
        assert (await place.post(told(entry))).status_code == 503
        assert (await place.client.post("/webhooks/microsoft?validationToken=t")).status_code == 200
        gate.set()
        assert [(await one).status_code for one in served] == [202, 202, 202]
        assert (await place.post(told(entry))).status_code == 202

    in_a_loop(test())


def test_the_store_is_asked_once_a_minute_for_a_subscription() -> None:
    """A busy mailbox is no load on it; one that has no id yet is asked for again, and so is an unknown one."""
    place = Place()
    entry, pending = place.subscribed(), place.subscribed("microsoft-m2", "")

    async def test() -> None:
        for _ in range(3):
            await place.post(told(entry))
        assert place.asked == [[entry.reference]]
        place.seconds = 61.0
        await place.post(told(entry))
        assert len(place.asked) == 2
        for _ in range(2):
            await place.post(told(entry), told(pending))
        assert place.asked[2:] == [[pending.reference]] * 2

    in_a_loop(test())


def test_only_posts_are_taken() -> None:
    """A person who opens the address sees no page."""
    place = Place()

    async def test() -> None:
        assert (await place.client.get("/webhooks/microsoft?validationToken=t")).status_code == 405
        assert (await place.client.post("/webhooks/other")).status_code == 404

    in_a_loop(test())


def test_it_is_alive_and_says_when_it_cannot_check_anything() -> None:
    """For whoever watches over it."""
    place = Place()

    async def test() -> None:
        assert (await place.client.get("/livez")).status_code == 200
        assert (await place.client.get("/readyz")).status_code == 200
        place.store_is_away = True
        assert (await place.client.get("/readyz")).text == "not ready: store\n"

    in_a_loop(test())


def test_the_log_has_numbers_and_nothing_else() -> None:
    """One line a minute; no secret, no id, no token."""
    place = Place()
    entry = place.subscribed()

    async def test() -> None:
        await place.client.post("/webhooks/microsoft?validationToken=planted")
        for _ in range(50):
            await place.post(told(entry), told(entry, clientState="planted"))
        place.seconds = 60.0
        await place.post(told(entry))

    with capture_logs() as lines:
        in_a_loop(test())
    assert [line["event"] for line in lines] == ["notifications_counted"] * 2
    assert lines[-1] == {"event": "notifications_counted", "log_level": "info", "unknown": 50, "woken": 51}
    assert entry.secret not in repr(lines)
    assert entry.secret not in repr(entry)
    assert "planted" not in repr(lines)


def test_a_store_that_does_not_answer_is_not_waited_for_by_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever watches over it has patience for a moment, too."""
    monkeypatch.setattr(webhooks_app, "SECONDS_TO_ANSWER", 0.01)
    place, answers = Place(), threading.Event()

    def slow(_: Collection[str]) -> dict[str, Registered]:
        assert answers.wait(60)
        return {}

    monkeypatch.setattr(place.app.state.known, "_find", slow)

    async def test() -> None:
        try:
            assert (await place.client.get("/readyz")).text == "not ready: store\n"
        finally:
            answers.set()

    in_a_loop(test())
