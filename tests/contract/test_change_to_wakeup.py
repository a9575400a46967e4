"""From a change at the simulated Graph to the wake-up: the product subscribes and receives, nothing between them is a fake."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx2
import pytest

from graph import Letter, ManualClock, PushQuirks, Simulator
from graph.mailbox import Mailbox
from graph_asking import ANN, DAY, HOUR, JO, MINUTE, meeting
from push_service import MemoryRegister
from rapport.webhooks import create_app
from rapport_producers.graph.client import GraphClient
from rapport_producers.graph.errors import GraphError
from rapport_producers.graph.limits import Limits
from rapport_producers.graph.subscriptions import TRIED_AGAIN_AFTER, Subscriptions
from receiver_place import MemoryOutlet

T = TypeVar("T")
PUBLIC = "https://rapport.example"
GRAPH = "https://graph.microsoft.com/v1.0"


@dataclass
class Account:
    """Ann's connection."""

    simulator: Simulator
    ann: Mailbox
    tenant: str = "acme"
    connection: str = "microsoft-m1"
    root: str = "/me"

    async def token(self, *, refused: str | None = None, claims: str | None = None) -> str:
        """A good one."""
        return self.simulator.token(self.ann)


@dataclass
class Whole:
    """The simulated Microsoft, the product's two halves of push, and what they wake."""

    clock: ManualClock = field(default_factory=ManualClock)
    outlet: MemoryOutlet = field(default_factory=MemoryOutlet)
    register: MemoryRegister = field(default_factory=MemoryRegister)

    def __post_init__(self) -> None:
        self._runner = asyncio.Runner()
        self.simulator = Simulator(clock=self.clock, sleep=self.clock.sleep)
        self.ann = self.simulator.mailbox(ANN)
        self.account = Account(self.simulator, self.ann)
        self.receiver = create_app(self.register.find, self.outlet, self)
        self.simulator.push.transport = httpx2.ASGITransport(app=self.receiver)
        self.restart()

    def now(self) -> datetime:
        """The simulator's time, for the product."""
        return datetime.fromtimestamp(self.clock.now, UTC)

    def restart(self) -> None:
        """The connector is a new process."""
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self.simulator.app))
        client = GraphClient(http, GRAPH, Limits(self.clock, self.clock.sleep), self, self.clock.sleep)
        self.subscriptions = Subscriptions(client, self.register, PUBLIC, self)

    def close(self) -> None:
        """Nothing is asked any more."""
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What a coroutine comes to."""
        return self._runner.run(work)

    def ensure(self) -> bool:
        """As the connector does it every hour."""
        return self.run(self.subscriptions.ensure(self.account))

    def woken(self) -> list[tuple[str, str]]:
        """`wakeups`, waited for."""
        return self.run(self.wakeups())

    async def wakeups(self) -> list[tuple[str, str]]:
        """Kind and detail of everything that is new in the log, after Graph sent what is due."""
        self.outlet.sent.clear()
        await self.simulator.push.deliver()
        assert {key for _, key, _ in self.outlet.sent} <= {b"acme\0microsoft-m1"}
        return sorted((record["kind"], record["detail"]) for _, _, record in self.outlet.sent)

    def living(self) -> list[str]:
        """What Graph tells of."""
        return sorted(str(one.body["resource"]) for one in self.simulator.subscriptions.of(self.ann))


@pytest.fixture
def whole() -> Any:
    """A connection that nobody subscribed for yet."""
    made = Whole()
    yield made
    made.close()
    assert made.simulator.violations == []


def test_mail_and_events_wake_the_connection(whole: Whole) -> None:
    assert whole.ensure()
    assert whole.living() == ["me/events", "me/messages"]
    whole.ann.deliver(Letter(JO, (ANN,)))
    assert whole.woken() == [("notification", "messages")]
    whole.ann.event(meeting())
    assert whole.woken() == [("notification", "events")]
    assert whole.woken() == []


def test_many_changes_in_one_request_wake_once(whole: Whole) -> None:
    whole.ensure()
    whole.simulator.push.quirks = PushQuirks(doubled=0.5)
    for _ in range(6):
        whole.ann.deliver(Letter(JO, (ANN,)))
    assert whole.woken() == [("notification", "messages")]


def test_push_lives_for_weeks_with_an_hourly_look(whole: Whole) -> None:
    for _ in range(15 * 24):
        assert whole.ensure()
        whole.clock.advance(HOUR)
    whole.ann.deliver(Letter(JO, (ANN,)))
    assert whole.woken() == [("notification", "messages")]
    made = [call for call in whole.simulator.calls if call.method == "POST"]
    assert len(made) == 2


def test_a_limit_of_former_years_is_met(whole: Whole) -> None:
    whole.simulator.subscriptions.longest_minutes = 4_230
    assert whole.ensure()
    longest = max(one.expires for one in whole.simulator.subscriptions.of(whole.ann))
    assert longest == whole.clock() + 4_200 * MINUTE


@pytest.mark.parametrize("said", [True, False])
def test_a_subscription_that_graph_removed_is_made_again(whole: Whole, said: bool) -> None:
    """Told, at once; untold, when it is looked after next."""
    whole.ensure()
    (gone,) = [one for one in whole.simulator.subscriptions.of(whole.ann) if one.kind == "messages"]
    whole.simulator.subscriptions.remove(gone, said=said)
    assert whole.woken() == ([("lifecycle", "subscriptionRemoved")] if said else [])
    if said:
        whole.run(whole.subscriptions.lifecycle(whole.account, gone.id, "subscriptionRemoved"))
    else:
        whole.clock.advance(6 * HOUR)
        assert whole.ensure()
    assert whole.living() == ["me/events", "me/messages"]


def test_a_demanded_authorization_is_given(whole: Whole) -> None:
    whole.ensure()
    (asked,) = [one for one in whole.simulator.subscriptions.of(whole.ann) if one.kind == "messages"]
    whole.simulator.subscriptions.demand(asked)
    whole.ann.deliver(Letter(JO, (ANN,)))
    assert whole.woken() == [("lifecycle", "reauthorizationRequired")]
    whole.run(whole.subscriptions.lifecycle(whole.account, asked.id, "reauthorizationRequired"))
    whole.ann.deliver(Letter(JO, (ANN,)))
    assert whole.woken() == [("notification", "messages")]


def test_a_loss_that_graph_tells_wakes_and_one_it_does_not_know_does_nothing(whole: Whole) -> None:
    whole.ensure()
    whole.simulator.push.quirks = PushQuirks(missed=1.0)
    whole.ann.deliver(Letter(JO, (ANN,)))
    assert whole.woken() == [("lifecycle", "missed")]
    (mail,) = [one for one in whole.simulator.subscriptions.of(whole.ann) if one.kind == "messages"]
    whole.simulator.subscriptions.lifecycle(mail, "somethingNew")
    assert whole.woken() == []


@pytest.mark.parametrize(
    "changed",
    [
        {"clientState": "guessed"},
        {"clientState": None},
        {"subscriptionId": "00000000-0000-0000-0000-000000000000"},
    ],
)
def test_forged_notifications_wake_nobody_and_are_not_sent_again(
    whole: Whole, changed: dict[str, Any]
) -> None:
    whole.ensure()
    for one in whole.simulator.subscriptions.of(whole.ann):
        whole.simulator.subscriptions.forge(one, **changed)
    assert whole.woken() == []
    assert [one.status for one in whole.simulator.push.sent] == [202]
    assert whole.simulator.push.waiting() == 0


def test_what_kafka_could_not_take_graph_sends_again(whole: Whole) -> None:
    whole.ensure()
    whole.outlet.refuses = True
    whole.ann.deliver(Letter(JO, (ANN,)))
    assert whole.woken() == []
    assert whole.simulator.push.waiting() == 1
    whole.outlet.refuses = False
    whole.clock.advance(whole.simulator.push.again_after)
    assert whole.woken() == [("notification", "messages")]


def test_a_notification_before_the_answer_that_subscribes_wakes(whole: Whole) -> None:
    """The register knows the secret before Graph does."""
    whole.simulator.subscriptions.answers_late = 5.0
    woken: list[tuple[str, str]] = []

    async def meanwhile(seconds: float) -> None:
        whole.clock.advance(seconds)
        whole.ann.deliver(Letter(JO, (ANN,)))
        woken.extend(await whole.wakeups())

    whole.simulator.app.sleep = meanwhile
    assert whole.ensure()
    assert ("notification", "messages") in woken


def test_an_answer_that_is_lost_leaves_no_second_subscription(whole: Whole) -> None:
    """A new process finds what the old one left without knowing its id."""
    for _ in range(40):
        whole.simulator.faults.add("GET", "subscriptions", kind="error")
    whole.simulator.subscriptions.answers_late = 1.0

    async def lost(seconds: float) -> None:
        del seconds
        raise httpx2.ReadError("the answer is lost")

    whole.simulator.app.sleep = lost
    assert not whole.ensure()
    assert whole.living() == ["me/events", "me/messages"]
    whole.simulator.faults.clear()
    whole.simulator.app.sleep = whole.clock.sleep
    whole.simulator.subscriptions.answers_late = 0.0
    whole.clock.advance(HOUR)
    whole.restart()
    assert whole.ensure()
    assert whole.living() == ["me/events", "me/messages"]
    whole.ann.deliver(Letter(JO, (ANN,)))
    assert whole.woken() == [("notification", "messages")]


def test_a_receiver_that_is_not_there_yet_costs_speed_only(whole: Whole) -> None:
    """Graph asks the address first; push is on a quarter of an hour after that, which is when the connector asks again."""

    def away(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("nobody")

    transport = whole.simulator.push.transport
    whole.simulator.push.transport = httpx2.MockTransport(away)
    assert not whole.ensure()
    whole.simulator.push.transport = transport
    whole.clock.advance(TRIED_AGAIN_AFTER.total_seconds())
    assert whole.ensure()
    whole.ann.deliver(Letter(JO, (ANN,)))
    assert whole.woken() == [("notification", "messages")]


def test_ended_at_graph_too(whole: Whole) -> None:
    whole.ensure()
    whole.simulator.faults.add("DELETE", "subscriptions", count=None, kind="error")
    with pytest.raises(GraphError):
        whole.run(whole.subscriptions.end(whole.account))
    whole.simulator.faults.clear()
    whole.run(whole.subscriptions.end(whole.account))
    assert whole.living() == []
    whole.ann.deliver(Letter(JO, (ANN,)))
    assert whole.woken() == []


def test_after_a_week_of_sleep_everything_is_made_again(whole: Whole) -> None:
    whole.ensure()
    whole.clock.advance(8 * DAY)
    whole.ann.deliver(Letter(JO, (ANN,)))
    assert whole.woken() == []
    assert whole.ensure()
    whole.ann.deliver(Letter(JO, (ANN,)))
    assert whole.woken() == [("notification", "messages")]
