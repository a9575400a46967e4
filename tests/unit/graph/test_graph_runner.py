"""What runs for one connection: duties that do not wait for each other, and what follows when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from memory_connection_log import MemoryLog
from rapport_core.errors import RapportError, UnavailableError
from rapport_producers.connection_log import ConnectionLog, LostError
from rapport_producers.graph.errors import (
    AdminNeeded,
    MailboxUnavailable,
    Rejected,
    SignInNeeded,
    Throttled,
    Transient,
)
from rapport_producers.graph.runner import GraphRunner, Timing
from rapport_producers.graph.standing import standing_of
from rapport_schemas.records import Connection, Wakeup
from rapport_schemas.topics import CONNECTIONS


class Time:
    """Sleeps that end when the test says so; `pass_` moves on by seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleeping: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeping.append((self.now + seconds, done))
        await done

    async def pass_(self, seconds: float) -> None:
        self.now += seconds
        for at, done in self._sleeping[:]:
            if at <= self.now and not done.done():
                done.set_result(None)
        self._sleeping = [one for one in self._sleeping if not one[1].done()]
        await settle()


async def settle() -> None:
    """Lets everything that can go on go on."""
    for _ in range(200):
        await asyncio.sleep(0)


class FakeStream:
    """Counts what it is asked for; raises what stands in `fails`, by duty."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fails: dict[str, RapportError] = {}
        self.waiting = 0
        self.blocked = asyncio.Event()
        self.blocked.set()

    async def changes(self) -> bool:
        self._note("changes")
        self.waiting -= 1
        return self.waiting >= 0

    async def first_sync(self, progress: Callable[[int, int], Awaitable[None]], /) -> None:
        await self.blocked.wait()
        self._note("first_sync")
        await progress(3, 7)

    async def sweep(self) -> None:
        self._note("sweep")

    def _note(self, what: str) -> None:
        if what in self.fails:
            raise self.fails[what]
        self.done.append(what)


class FakePush:
    def __init__(self) -> None:
        self.ensured = 0
        self.told: list[tuple[str, str]] = []

    async def ensure(self) -> bool:
        self.ensured += 1
        return True

    async def lifecycle(self, subscription: str, event: str) -> None:
        self.told.append((subscription, event))


class Lab:
    """A runner with a log in memory and a time of its own."""

    def __init__(self) -> None:
        self.log, self.time, self.stream, self.push = MemoryLog(), Time(), FakeStream(), FakePush()
        self.opened: list[ConnectionLog] = []
        self.failing_opens = 0
        self.runner: GraphRunner | None = None

    def start(self) -> GraphRunner:
        self.runner = GraphRunner(
            self._open,
            self._newest,
            lambda _: [self.stream],
            lambda _: self.push,
            clock=self.log.clock,
            timing=Timing(poll=300, sweep=86_400, push=3_600),
            sleep=self.time.sleep,
            uniform=lambda: 0.5,
        )
        return self.runner

    async def _open(self) -> ConnectionLog:
        if self.failing_opens:
            self.failing_opens -= 1
            raise UnavailableError("Kafka is away")
        self.opened.append(await self.log.open())
        return self.opened[-1]

    async def _newest(self) -> Connection | None:
        found: Connection = self.log.of(CONNECTIONS)[-1]
        return found

    @property
    def record(self) -> Any:
        return self.opened[-1].record


def lab_test(work: Callable[[Lab], Awaitable[None]]) -> None:
    async def run() -> None:
        lab = Lab()
        lab.start()
        try:
            await settle()
            await work(lab)
        finally:
            assert lab.runner is not None
            await lab.runner.stop()

    asyncio.run(run())


def wakeup(kind: str, detail: str = "", subscription: str = "") -> Wakeup:
    return {
        "tenant": "acme",
        "connection": "microsoft-m1",
        "kind": kind,
        "detail": detail,
        "subscription": subscription,
        "at": 0,
    }


def test_it_looks_at_once_and_then_on_its_timer() -> None:
    async def work(lab: Lab) -> None:
        assert lab.stream.done.count("changes") == 1
        await lab.time.pass_(299)
        assert lab.stream.done.count("changes") == 1
        await lab.time.pass_(2)
        assert lab.stream.done.count("changes") == 2
        assert lab.record["last_sync"] is not None

    lab_test(work)


def test_it_looks_again_as_long_as_more_waits() -> None:
    async def work(lab: Lab) -> None:
        assert lab.runner is not None
        lab.stream.waiting = 3
        lab.runner.wake(wakeup("notification"))
        await settle()
        assert lab.stream.done.count("changes") == 5

    lab_test(work)


def test_a_notification_makes_it_look_now() -> None:
    async def work(lab: Lab) -> None:
        assert lab.runner is not None
        lab.runner.wake(wakeup("notification"))
        await settle()
        assert lab.stream.done.count("changes") == 2

    lab_test(work)


def test_the_first_sync_delays_nothing_and_is_done_once() -> None:
    """Live rounds go on while it runs; its progress and end stand in the record."""

    async def run() -> None:
        lab = Lab()
        lab.stream.blocked.clear()
        runner = lab.start()
        await settle()
        runner.wake(wakeup("notification"))
        await settle()
        assert lab.stream.done == ["changes", "changes"]
        lab.stream.blocked.set()
        await settle()
        assert (lab.record["first_done"], lab.record["first_total"]) == (3, 7)
        assert lab.record["first_ended"] is not None
        await runner.stop()
        again = lab.start()
        await settle()
        assert lab.stream.done.count("first_sync") == 1
        await again.stop()

    asyncio.run(run())


def test_a_sweep_comes_daily_and_is_written_down() -> None:
    async def work(lab: Lab) -> None:
        assert "sweep" not in lab.stream.done
        await lab.time.pass_(86_401)
        assert lab.stream.done.count("sweep") == 1
        assert lab.record["last_sweep"] is not None

    lab_test(work)


def test_push_is_kept_up_and_lifecycle_words_are_passed_on() -> None:
    async def work(lab: Lab) -> None:
        assert lab.runner is not None
        assert (lab.push.ensured, lab.record["push"]) == (1, "on")
        await lab.time.pass_(3_601)
        assert lab.push.ensured == 2
        lab.runner.wake(wakeup("lifecycle", "subscriptionRemoved", "s1"))
        await settle()
        assert lab.push.told == [("s1", "subscriptionRemoved")]
        assert lab.stream.done.count("changes") >= 2  # what was missed meanwhile

    lab_test(work)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (SignInNeeded(), "needs_auth"),
        (AdminNeeded(), "needs_admin"),
        (MailboxUnavailable(), "mailbox_unavailable"),
        (Throttled(5.0), "throttled"),
    ],
)
def test_what_keeps_it_from_working_is_its_state_until_it_works_again(
    error: RapportError, state: str
) -> None:
    async def work(lab: Lab) -> None:
        assert lab.runner is not None
        lab.stream.fails["changes"] = error
        lab.runner.wake(wakeup("notification"))
        await settle()
        assert (lab.record["state"], lab.record["reason"]) == (state, str(error))
        lab.stream.fails.clear()
        lab.runner.wake(wakeup("changed"))
        await settle()
        assert (lab.record["state"], lab.record["reason"]) == ("connected", "")

    lab_test(work)


def test_while_a_person_is_needed_notifications_ask_nobody() -> None:
    """A sign-in service that refused once is not asked again with every mail that comes."""

    async def work(lab: Lab) -> None:
        assert lab.runner is not None
        lab.stream.fails["changes"] = SignInNeeded()
        await lab.time.pass_(301)
        lab.stream.fails.clear()
        before = len(lab.stream.done)
        for _ in range(5):
            lab.runner.wake(wakeup("notification"))
            await settle()
        assert len(lab.stream.done) == before
        await lab.time.pass_(3_601)
        assert lab.record["state"] == "connected"

    lab_test(work)


def test_one_duty_that_fails_keeps_no_other_from_its_work() -> None:
    async def run() -> None:
        lab = Lab()
        lab.stream.fails["first_sync"] = Transient()
        runner = lab.start()
        await settle()
        runner.wake(wakeup("notification"))
        await settle()
        assert lab.stream.done == ["changes", "changes"]
        lab.stream.fails.clear()
        await lab.time.pass_(3)
        assert "first_sync" in lab.stream.done
        await runner.stop()

    asyncio.run(run())


def test_kafka_that_is_away_is_waited_for() -> None:
    async def run() -> None:
        lab = Lab()
        lab.failing_opens = 3
        runner = lab.start()
        for _ in range(4):
            await settle()
            await lab.time.pass_(20)
        assert lab.stream.done[:1] == ["changes"]
        await runner.stop()

    asyncio.run(run())


def test_who_lost_the_connection_ends() -> None:
    async def work(lab: Lab) -> None:
        assert lab.runner is not None
        lab.stream.fails["changes"] = LostError("another")
        lab.runner.wake(wakeup("notification"))
        await settle()
        lab.stream.fails.clear()
        lab.runner.wake(wakeup("changed"))
        await lab.time.pass_(100_000)
        assert lab.stream.done.count("changes") == 1

    lab_test(work)


def test_what_a_command_changed_is_learnt_and_kept() -> None:
    """A new sign-in has other scopes; the owner's next word does not bring the old ones back."""

    async def work(lab: Lab) -> None:
        assert lab.runner is not None
        said = {**lab.record, "scopes": ["Mail.Read"], "account": "a1", "first_done": 0}
        await lab.log.send(CONNECTIONS, lab.opened[-1].owner.key, said)
        lab.runner.wake(wakeup("changed"))
        await settle()
        await lab.time.pass_(86_401)
        (*_, last) = lab.log.of(CONNECTIONS)
        assert (last["scopes"], last["account"], last["first_done"]) == (["Mail.Read"], "a1", 3)

    lab_test(work)


def test_a_disconnected_connection_is_left_alone() -> None:
    async def work(lab: Lab) -> None:
        assert lab.runner is not None
        await lab.log.send(CONNECTIONS, lab.opened[-1].owner.key, {**lab.record, "state": "disconnected"})
        lab.runner.wake(wakeup("changed"))
        await settle()
        before = len(lab.log.records)
        lab.runner.wake(wakeup("notification"))
        await lab.time.pass_(100_000)
        assert len(lab.log.records) == before

    lab_test(work)


def test_nothing_is_said_after_stop_has_returned() -> None:
    async def work(lab: Lab) -> None:
        assert lab.runner is not None
        await lab.runner.stop()
        before = len(lab.log.records)
        lab.runner.wake(wakeup("changed"))
        await lab.time.pass_(100_000)
        assert len(lab.log.records) == before

    lab_test(work)


def test_it_waits_longer_each_time_but_not_for_ever() -> None:
    waits = [standing_of(Transient(), failures).again_s for failures in range(12)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (2.0, 300.0)
    assert standing_of(Throttled(1_000.0), 0).again_s == 1_000.0
    assert standing_of(Transient(700.0), 0).again_s == 700.0
    assert standing_of(Rejected(), 0).again_s > 60
