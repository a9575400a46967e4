"""The simulator itself: its log, its seed, its schema, and how processes reach it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from graph import Letter, Mailbox, Quirks, Simulator
from graph.clock import instant
from graph.entra import CLIENT_ID, CLIENT_SECRET
from graph.schema import DriftError, GraphSchema
from graph.serving import Served
from graph_asking import (
    ANN,
    DELTA,
    HOUR,
    IMMUTABLE,
    INBOX,
    JO,
    PUBLIC,
    VIEW,
    Asking,
    Receiver,
    deliver,
    needs_schema,
    part,
    subscribe,
    weekly,
)
from rapport_producers.microsoft_sign_in import MicrosoftSignIn


def test_every_request_is_in_the_log_with_all_that_was_said(asking: Asking) -> None:
    asking.ask("GET", f"{INBOX}?$top=3", headers={"client-request-id": "mine"})
    asking.batch({"id": "1", "url": "/me/messages/AAMkNothing"})
    single, inner, outer = asking.simulator.calls
    assert (single.method, single.query, single.status, single.mailbox) == ("GET", {"$top": "3"}, 200, ANN)
    assert (single.headers["prefer"], single.headers["client-request-id"]) == (IMMUTABLE, "mine")
    assert (inner.part, inner.status, outer.part, outer.path) == (True, 404, False, "/v1.0/$batch")


def lived(seed: int) -> list[Any]:
    """A wild mailbox that some things happen to, as its deltas tell them."""
    asking = Asking(seed=seed, quirks=Quirks.wild())
    keys = [asking.deliver(f"{number}") for number in range(30)]
    weekly(asking)
    told: list[Any] = [asking.pages(DELTA), asking.pages(VIEW)]
    link = told[0][-1]["@odata.deltaLink"]
    for key in keys[::3]:
        asking.ann.move(key, "archive")
    asking.clock.advance(60)
    return [*told, asking.pages(link)]


def test_the_same_seed_tells_the_same_story() -> None:
    assert lived(1) == lived(1) != lived(2)


def test_whatever_deltas_say_a_client_that_reads_to_the_end_knows_what_is_there() -> None:
    """Of everything but what Graph itself never tells."""
    for seed in range(20):
        asking = Asking(seed=seed, quirks=Quirks.wild())
        gone, moved, *_ = [asking.deliver(f"{number}") for number in range(20)]
        held: set[str] = set()
        link = _followed(asking, DELTA, held)
        asking.ann.delete(gone)
        link = _followed(asking, link, held)
        asking.ann.move(moved, "archive")
        _followed(asking, link, held)
        inbox = asking.ann.find("inbox").id
        assert held == {key for key, item in asking.ann.items.items() if item.folder == inbox}


def _followed(asking: Asking, link: str, held: set[str]) -> str:
    """Reads a round when everything is visible; the link to the next."""
    asking.clock.advance(60)
    items, following = asking.round(link)
    for one in items:
        (held.discard if "@removed" in one else held.add)(one["id"])
    return following


def test_what_graph_has_no_word_for_is_never_answered(asking: Asking) -> None:
    needs_schema()
    asking.deliver(importance="very high")
    with pytest.raises(DriftError, match="importance"):
        asking.get(INBOX)
    asking.simulator.schema.check({"id": "1", "subject": None}, "message")
    for wrong in ({"uid": "1"}, {"subject": 1}, {"receivedDateTime": "2026-11-24"}):
        with pytest.raises(DriftError):
            asking.simulator.schema.check(wrong, "message")


def test_an_unchecked_simulator_answers_anything() -> None:
    GraphSchema.blind().check({"uid": 1}, "message")
    asking = Asking()
    loose = Simulator(clock=asking.clock, checked=False)
    asking.simulator, asking.ann = loose, loose.mailbox(ANN)
    asking.deliver(importance="very high")
    assert asking.get(INBOX)["value"][0]["importance"] == "very high"


def test_what_the_notifications_say_graph_has_words_for(asking: Asking, receiver: Receiver) -> None:
    needs_schema()
    subscribe(asking)
    asking.deliver()
    deliver(asking)
    told = {name: value for name, value in receiver.told[0].items() if name != "resourceData"}
    asking.simulator.schema.check(told, "changeNotification")


def trusted(ca_file: Path) -> ssl.SSLContext:
    """What trusts the simulated authority alone."""
    return ssl.create_default_context(cafile=str(ca_file))


def test_it_can_be_served_to_processes(tmp_path: Path) -> None:
    """Signing in with msal, many connections, batches, and changes made meanwhile."""
    simulator = Simulator(seed=1)
    ann = simulator.mailbox(ANN)
    simulator.throttle.concurrent = 1000
    with (
        simulator.serve(tmp_path) as served,
        httpx2.Client(verify=trusted(served.ca_file), timeout=120) as browser,
    ):
        signing = MicrosoftSignIn(CLIENT_ID, CLIENT_SECRET, served.authority, browser)
        url, flow = signing.begin("https://rapport.example/done", (), ANN)
        back = dict(parse_qsl(urlsplit(browser.get(url).headers["location"]).query))
        token = signing.token(signing.finish(flow, back).cache).value
        assert asyncio.run(together(served.graph, served.ca_file, token, ann)) == {200}
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(served.graph, verify=trusted(served.ca_file))


async def together(graph: str, ca_file: Path, token: str, ann: Mailbox) -> set[int]:
    """Batches over many connections while mail comes in; their statuses with those of their parts."""
    headers = {"Authorization": f"Bearer {token}", "Prefer": IMMUTABLE}
    requests = [part(id=str(number), url=INBOX) for number in range(20)]
    async with httpx2.AsyncClient(verify=trusted(ca_file), headers=headers, timeout=120) as client:

        async def batch() -> set[int]:
            await asyncio.to_thread(ann.deliver, Letter(JO, (ANN,)))
            answer = await client.post(f"{graph}/$batch", json={"requests": requests})
            return {answer.status_code, *(one["status"] for one in answer.json()["responses"])}

        return set().union(*await asyncio.gather(*(batch() for _ in range(12))))


def test_while_it_is_served_notifications_go_out_by_themselves(tmp_path: Path) -> None:
    simulator = Simulator()
    ann, arrived = simulator.mailbox(ANN), Receiver()
    simulator.push.transport = arrived.transport
    with (
        simulator.serve(tmp_path) as served,
        httpx2.Client(verify=trusted(served.ca_file), timeout=120) as client,
    ):
        headers = {"Authorization": f"Bearer {simulator.token(ann)}", "Prefer": IMMUTABLE}
        body = {
            "changeType": "created",
            "notificationUrl": PUBLIC,
            "resource": "me/messages",
            "expirationDateTime": instant(simulator.clock() + HOUR),
        }
        answer = client.post(f"{served.graph}/subscriptions", headers=headers, json=body)
        assert answer.status_code == 201
        key = ann.deliver(Letter(JO, (ANN,)))
        assert simulator.push.sent_some.wait(120)
    assert [one["resourceData"]["id"] for one in arrived.told] == [key]


def test_a_sender_that_fails_is_no_secret(tmp_path: Path) -> None:
    """It would look like a Graph that tells nothing."""

    async def fails() -> None:
        raise LookupError("beside")

    async def app(scope: object, receive: object, send: object) -> None:
        """Nobody asks."""

    served = Served(app, tmp_path, fails)
    with pytest.raises(LookupError, match="beside"):
        served.close()


def test_the_process_needs_nothing_that_only_tests_have() -> None:
    """The demo starts it where no test tools are installed."""
    support = Path(__file__).parents[1] / "support"
    code = "import sys, graph.process; sys.exit('pytest' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(support)}, check=False
    )
    assert done.returncode == 0


def test_it_can_be_a_process_that_another_one_controls(tmp_path: Path) -> None:
    support = Path(__file__).parents[1] / "support"
    command = [sys.executable, "-m", "graph.process", "--folder", str(tmp_path), "--seed", "1"]
    environment = {**os.environ, "PYTHONPATH": str(support)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout is not None
            where = json.loads(process.stdout.readline())
            with (
                httpx2.Client(base_url=where["control"], timeout=120) as control,
                httpx2.Client(verify=trusted(Path(where["ca_file"])), timeout=120) as client,
            ):
                controlled(control, client, where)
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == -signal.SIGTERM


def controlled(control: httpx2.Client, client: httpx2.Client, where: dict[str, str]) -> None:
    """Everything that the control can do, once."""

    def tell(where_to: str, **body: Any) -> Any:
        answer = control.post(where_to, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    company = tell("/company", name="contoso", users_may_consent=False)
    assert tell("/mailbox", address=ANN)["tenant"] == company["tenant"]
    folder = {"do": "folder", "as": "kunder", "name": "Kunder", "parent": "inbox"}
    tell("/tell", mailbox=ANN, steps=[folder, {"do": "rename", "what": "kunder", "name": "Kunden"}])
    tell("/entra", signs_in=ANN)
    tell("/push", route=[PUBLIC, "http://127.0.0.1:1"], lost=0.5)
    tell("/faults", method="GET", path="messages", mailbox=ANN, kind="error")
    tell("/faults", clear=True)
    assert control.post("/faults", json={"method": "GET", "path": "x", "kind": "flood"}).status_code == 400
    answer = client.get(f"{where['graph']}/me/messages")
    assert answer.status_code == 401
    assert control.get("/calls").json()["calls"] == [["GET", "/v1.0/me/messages", 401, "", False]]
    assert control.get("/truth", params={"mailbox": ANN}).json() == {"mail": {}, "meetings": {}}
    assert control.get("/sent").json() == {"next": 0, "sent": []}
    assert len(control.get("/violations").json()) == 1
