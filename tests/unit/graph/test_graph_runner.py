"""What runs for one connection: duties that do not wait for each other, and what follows when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from memory_connection_log import MemoryLog
from rapport_core.clock import to_ms
from rapport_core.errors import InvariantError, RapportError, UnavailableError
from rapport_producers.connection_log import ConnectionLog, LostError
from rapport_producers.graph.errors import (
    AdminNeeded,
    MailboxUnavailable,
    Rejected,
    SignInNeeded,
    Throttled,
    Transient,
)
from rapport_producers.graph.runner import Extra, GraphRunner, Reading, Timing
from rapport_producers.graph.standing import standing_of
from rapport_producers.graph.subscriptions import TRIED_AGAIN_AFTER
from rapport_schemas.records import Connection, Wakeup
from rapport_schemas.topics import CONNECTIONS, Topic

BEGIN = datetime(2026, 11, 24, tzinfo=UTC)


class Time:
    """A clock, and sleeps that end when it is moved on by `pass_`, each in its turn."""

    def __init__(self) -> None:
        self.passed = 0.0
        self._sleeping: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.passed)

    async def sleep(self, seconds: float) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeping.append((self.passed + seconds, done))
        await done

    async def pass_(self, seconds: float) -> None:
        end = self.passed + seconds
        while True:
            await settle()
            self._sleeping = [one for one in self._sleeping if not one[1].done()]
            at = min((one[0] for one in self._sleeping), default=end)
            self.passed = max(self.passed, min(at, end))
            due = [done for at, done in self._sleeping if at <= self.passed]
            for done in due:
                done.set_result(None)
            if not due:
                self.passed = end
                return


async def settle() -> None:
    """Lets everything that can go on go on."""
    for _ in range(60):
        await asyncio.sleep(0)


class FakeStream:
    """Counts what it is asked for; raises what stands in `fails`, by duty, and waits for what stands in `holds`."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fails: dict[str, Exception] = {}
        self.holds: dict[str, asyncio.Event] = {}
        self.waiting = 0

    async def changes(self) -> bool:
        await self._note("changes")
        self.waiting -= 1
        return self.waiting >= 0

    async def first_sync(self, progress: Callable[[int, int], Awaitable[None]], /) -> None:
        await self._note("first_sync")
        await progress(3, 7)
        if (held := self.holds.get("end of first_sync")) is not None:
            await held.wait()

    async def sweep(self) -> None:
        await self._note("sweep")

    def hold(self, what: str) -> asyncio.Event:
        """From now on it does not come back from this before the event is set."""
        self.holds[what] = asyncio.Event()
        return self.holds[what]

    async def _note(self, what: str) -> None:
        if what in self.holds:
            self.done.append(f"begun {what}")
            await self.holds[what].wait()
        if what in self.fails:
            raise self.fails[what]
        self.done.append(what)


class FakePush:
    def __init__(self) -> None:
        self.ensured = 0
        self.is_on = True
        self.told: list[tuple[str, str]] = []
        self.fails: Exception | None = None

    async def ensure(self) -> bool:
        self.ensured += 1
        return self.is_on

    async def lifecycle(self, subscription: str, event: str) -> None:
        if self.fails is not None:
            raise self.fails
        self.told.append((subscription, event))


class Lab:
    """A runner with a log in memory and a time of its own; `stream` is the mail, `calendar` there only if asked for."""

    def __init__(self) -> None:
        self.time = Time()
        self.log, self.stream, self.push = MemoryLog(self.time), FakeStream(), FakePush()
        self.streams = [self.stream]
        self.extras: list[Extra] = []
        self.has_push = True
        self.opened: list[ConnectionLog] = []
        self.failing_opens: list[Exception] = []
        self.failing_questions: list[Exception] = []
        self.runner: GraphRunner | None = None

    def start(self) -> GraphRunner:
        self.runner = GraphRunner(
            self._open,
            self._newest,
            lambda _: Reading(self.streams, self.extras),
            (lambda _: self.push) if self.has_push else None,
            clock=self.time,
            timing=Timing(poll=300, sweep=86_400, push=3_600),
            sleep=self.time.sleep,
            uniform=lambda: 0.5,
        )
        return self.runner

    async def _open(self) -> ConnectionLog:
        if self.failing_opens:
            raise self.failing_opens.pop()
        self.opened.append(await self.log.open())
        return self.opened[-1]

    async def _newest(self) -> Connection | None:
        if self.failing_questions:
            raise self.failing_questions.pop()
        found: Connection = self.log.of(CONNECTIONS)[-1]
        return found

    async def command(self, **fields: Any) -> None:
        """What a command does: writes the record, and wakes whoever runs the connection."""
        said = {**self.log.of(CONNECTIONS)[-1], **fields}
        await self.log.send(CONNECTIONS, self.opened[-1].owner.key, said)
        await self.wake("changed", said["state"])

    async def wake(self, kind: str, detail: str = "", subscription: str = "") -> None:
        assert self.runner is not None
        self.runner.wake(wakeup(kind, detail, subscription))
        await settle()

    @property
    def record(self) -> Any:
        return self.opened[-1].record

    @property
    def states(self) -> list[str]:
        """The states that were written, without repetitions."""
        said = [record["state"] for record in self.log.of(CONNECTIONS)]
        return [state for before, state in zip([None, *said], said, strict=False) if state != before]


def lab_test(
    work: Callable[[Lab], Awaitable[None]], before: Callable[[Lab], object] = lambda _: None
) -> None:
    async def run() -> None:
        lab = Lab()
        before(lab)
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
        assert lab.stream.done[0] == "changes"
        before = lab.stream.done.count("changes")
        await lab.time.pass_(299)
        assert lab.stream.done.count("changes") == before
        await lab.time.pass_(2)
        assert lab.stream.done.count("changes") == before + 1
        assert lab.record["last_sync"] is not None

    lab_test(work)


def test_it_looks_again_soon_as_long_as_more_waits() -> None:
    """But not in a circle without a pause: what is always ready would ask Graph for ever."""

    async def work(lab: Lab) -> None:
        lab.stream.waiting = 3
        before = lab.stream.done.count("changes")
        await lab.wake("notification")
        assert lab.stream.done.count("changes") == before + 1
        await lab.time.pass_(10)
        assert lab.stream.done.count("changes") == before + 4

    lab_test(work)


def test_a_notification_makes_it_look_now() -> None:
    async def work(lab: Lab) -> None:
        before = lab.stream.done.count("changes")
        await lab.wake("notification")
        assert lab.stream.done.count("changes") == before + 1

    lab_test(work)


def test_what_is_told_during_a_look_is_looked_for_afterwards() -> None:
    """It may have happened behind the place that was just read."""

    async def work(lab: Lab) -> None:
        held = lab.stream.hold("changes")
        await lab.wake("notification")
        await lab.wake("notification")
        lab.stream.holds.clear()
        before = lab.stream.done.count("changes")
        held.set()
        await settle()
        assert lab.stream.done.count("changes") == before + 2

    lab_test(work)


def test_what_is_told_during_a_look_that_fails_is_not_forgotten() -> None:
    async def work(lab: Lab) -> None:
        held = lab.stream.hold("changes")
        lab.stream.fails["changes"] = Transient()
        await lab.wake("notification")
        await lab.wake("notification")
        lab.stream.holds.clear()
        lab.stream.fails.clear()
        before = lab.stream.done.count("changes")
        lab.stream.fails["changes"] = Transient()
        held.set()
        await asyncio.sleep(0)
        lab.stream.fails.clear()
        await settle()
        assert lab.stream.done.count("changes") == before + 1

    lab_test(work)


@pytest.mark.parametrize("duty", ["first_sync", "sweep"])
def test_a_change_waits_for_nothing_that_takes_long(duty: str) -> None:
    """Live rounds go on beside it, and once more when it is over: it may have left some of them to that."""

    async def work(lab: Lab) -> None:
        assert lab.stream.done.count(f"begun {duty}") == 1
        for _ in range(3):
            before = lab.stream.done.count("changes")
            await lab.wake("notification")
            assert lab.stream.done.count("changes") == before + 1
        before = lab.stream.done.count("changes")
        lab.stream.holds.pop(duty).set()
        await settle()
        assert lab.stream.done.count("changes") > before

    lab_test(work, before=lambda lab: lab.stream.hold(duty))


def test_a_change_in_one_stream_waits_for_no_other_stream() -> None:
    """Mail that does not come back, as Graph has us wait, holds no calendar up."""

    async def work(lab: Lab) -> None:
        calendar = lab.streams[1]
        before = calendar.done.count("changes")
        await lab.wake("notification")
        assert calendar.done.count("changes") == before + 1
        assert "changes" not in lab.stream.done

    def before(lab: Lab) -> None:
        lab.streams.append(FakeStream())
        lab.stream.hold("changes")

    lab_test(work, before=before)


def test_the_first_sync_is_written_down_and_done_once() -> None:
    async def run() -> None:
        lab = Lab()
        lab.streams.append(FakeStream())
        held = lab.stream.hold("first_sync")
        runner = lab.start()
        await settle()
        assert (lab.record["first_done"], lab.record["first_total"], lab.record["backlog"]) == (3, 7, 4)
        assert lab.record["first_ended"] is None
        held.set()
        await settle()
        assert (lab.record["first_done"], lab.record["first_total"], lab.record["backlog"]) == (6, 14, 0)
        assert lab.record["first_ended"] is not None
        await runner.stop()
        again = lab.start()
        await settle()
        assert [stream.done.count("first_sync") for stream in lab.streams] == [1, 1]
        await again.stop()

    asyncio.run(run())


def test_the_end_of_the_first_sync_is_written_down_though_kafka_was_away_just_then() -> None:
    """Without reading everything once more."""

    async def work(lab: Lab) -> None:
        refusals = [UnavailableError("Kafka is away")] * 3

        def refuse(topic: Topic) -> None:
            if refusals and topic is CONNECTIONS:
                raise refusals.pop()

        lab.log.before_send = refuse
        lab.stream.holds.pop("end of first_sync").set()
        await lab.time.pass_(60)
        assert lab.record["first_ended"] is not None
        assert (lab.stream.done.count("first_sync"), refusals) == (1, [])

    lab_test(work, before=lambda lab: lab.stream.hold("end of first_sync"))


def test_a_sweep_follows_the_first_sync_then_comes_daily_and_is_written_down() -> None:
    """Only then what is missing is really missing."""

    async def work(lab: Lab) -> None:
        assert "sweep" not in lab.stream.done
        lab.stream.holds.pop("first_sync").set()
        await settle()
        assert lab.stream.done.count("sweep") == 1
        first = lab.record["last_sweep"]
        assert first == to_ms(lab.time.now())
        await lab.time.pass_(86_000)
        assert lab.stream.done.count("sweep") == 1
        await lab.time.pass_(401)
        assert lab.stream.done.count("sweep") == 2
        assert lab.record["last_sweep"] > first

    lab_test(work, before=lambda lab: lab.stream.hold("first_sync"))


def test_a_sweep_comes_daily_however_often_the_process_begins_anew() -> None:
    async def run() -> None:
        lab = Lab()
        for _ in range(11):
            runner = lab.start()
            await lab.time.pass_(6 * 3600)
            await runner.stop()
        assert lab.stream.done.count("sweep") == 3

    asyncio.run(run())


def test_what_a_person_changes_makes_no_sweep_come_early() -> None:
    async def work(lab: Lab) -> None:
        for _ in range(3):
            await lab.command(settings="{}")
        assert lab.stream.done.count("sweep") == 1

    lab_test(work)


def test_a_stream_that_cannot_be_swept_keeps_no_other_from_it_and_is_not_called_swept() -> None:
    async def work(lab: Lab) -> None:
        calendar = lab.streams[1]
        await lab.time.pass_(3 * 86_401)
        assert lab.stream.done.count("sweep") == 4
        assert lab.record["last_sweep"] is None
        calendar.fails.clear()
        await lab.time.pass_(901)
        assert (calendar.done.count("sweep"), lab.stream.done.count("sweep")) == (1, 4)
        assert lab.record["last_sweep"] is not None

    def before(lab: Lab) -> None:
        lab.streams.append(FakeStream())
        lab.streams[1].fails["sweep"] = Rejected()

    lab_test(work, before=before)


def test_push_is_kept_up_and_lifecycle_words_are_passed_on() -> None:
    async def work(lab: Lab) -> None:
        assert (lab.push.ensured, lab.record["push"]) == (1, "on")
        await lab.time.pass_(3_601)
        assert lab.push.ensured == 2
        before = lab.stream.done.count("changes")
        await lab.wake("lifecycle", "subscriptionRemoved", "s1")
        assert lab.push.told == [("s1", "subscriptionRemoved")]
        assert lab.stream.done.count("changes") == before + 1  # what was missed meanwhile

    lab_test(work)


def test_push_that_is_off_is_tried_again_when_it_may_be_and_not_an_hour_later() -> None:
    """A receiver that came after the connector, say. Not a moment sooner: nothing would be asked then."""

    async def work(lab: Lab) -> None:
        assert (lab.push.ensured, lab.record["push"]) == (1, "off")
        lab.push.is_on = True
        await lab.time.pass_(TRIED_AGAIN_AFTER.total_seconds() - 1)
        assert lab.push.ensured == 1
        await lab.time.pass_(100)
        assert (lab.push.ensured, lab.record["push"]) == (2, "on")
        await lab.time.pass_(3_500)
        assert lab.push.ensured == 2

    def before(lab: Lab) -> None:
        lab.push.is_on = False

    lab_test(work, before=before)


def test_a_lifecycle_word_that_could_not_be_heeded_is_kept_and_kept_once() -> None:
    async def work(lab: Lab) -> None:
        lab.push.fails = UnavailableError("the store is away")
        for _ in range(3):
            await lab.wake("lifecycle", "reauthorizationRequired", "s1")
        lab.push.fails = None
        await lab.time.pass_(300)
        assert lab.push.told == [("s1", "reauthorizationRequired")]

    lab_test(work)


def test_a_lifecycle_word_that_breaks_something_does_not_end_the_upkeep() -> None:
    async def work(lab: Lab) -> None:
        lab.push.fails = KeyError("s1")
        await lab.wake("lifecycle", "subscriptionRemoved", "s1")
        before = lab.push.ensured
        await lab.time.pass_(10)
        assert lab.push.ensured == before + 1

    lab_test(work)


def test_where_nobody_can_be_told_push_is_off() -> None:
    async def run() -> None:
        lab = Lab()
        first = lab.start()
        await settle()
        await first.stop()
        lab.has_push = False
        again = lab.start()
        await settle()
        assert lab.record["push"] == "off"
        await lab.wake("lifecycle", "missed", "s1")
        await again.stop()

    asyncio.run(run())


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
        synced = lab.record["last_sync"]
        await lab.time.pass_(60)
        lab.stream.fails["changes"] = error
        await lab.wake("notification")
        assert (lab.record["state"], lab.record["reason"]) == (state, str(error))
        assert lab.record["last_sync"] == synced
        lab.stream.fails.clear()
        await lab.command(state="connected", reason="")
        assert (lab.record["state"], lab.record["reason"]) == ("connected", "")
        assert lab.record["last_sync"] > synced

    lab_test(work)


def test_while_a_person_is_needed_notifications_ask_nobody() -> None:
    """A sign-in service that refused once is not asked again with every mail that comes."""

    async def work(lab: Lab) -> None:
        lab.stream.fails["changes"] = SignInNeeded()
        await lab.time.pass_(301)
        lab.stream.fails.clear()
        before = lab.stream.done.count("changes")
        for _ in range(5):
            await lab.wake("notification")
        assert lab.stream.done.count("changes") == before
        await lab.time.pass_(3_601)
        assert lab.record["state"] == "connected"

    lab_test(work)


def test_notifications_shorten_no_wait_that_graph_asked_for() -> None:
    async def work(lab: Lab) -> None:
        lab.stream.fails["changes"] = Throttled(120.0)
        await lab.wake("notification")
        lab.stream.fails.clear()
        before = lab.stream.done.count("changes")
        await lab.wake("notification")
        await lab.time.pass_(119)
        assert lab.stream.done.count("changes") == before
        await lab.time.pass_(2)
        assert lab.stream.done.count("changes") == before + 1

    lab_test(work)


def test_notifications_shorten_the_wait_after_a_fault_that_passes() -> None:
    async def work(lab: Lab) -> None:
        lab.stream.fails["changes"] = Transient()
        await lab.time.pass_(1_000)
        lab.stream.fails.clear()
        before = lab.stream.done.count("changes")
        await lab.wake("notification")
        assert lab.stream.done.count("changes") == before + 1

    lab_test(work)


def test_a_state_does_not_go_back_and_forth_between_two_duties() -> None:
    """The past is throttled for an hour while live rounds go well: one state, until the past goes on."""

    async def work(lab: Lab) -> None:
        for _ in range(12):
            await lab.wake("notification")
            await lab.time.pass_(300)
        assert lab.states == ["connected", "throttled"]
        assert lab.record["last_sync"] > to_ms(BEGIN) + 3_000_000  # it is read all the same
        lab.stream.fails.clear()
        await lab.time.pass_(301)
        assert lab.states == ["connected", "throttled", "connected"]

    lab_test(work, before=lambda lab: lab.stream.fails.update(first_sync=Throttled(30.0)))


def test_the_gravest_is_what_people_are_told() -> None:
    async def work(lab: Lab) -> None:
        lab.stream.fails["changes"] = AdminNeeded()
        lab.streams[1].fails["changes"] = Throttled(10.0)
        await lab.wake("notification")
        await lab.time.pass_(100)
        assert lab.states[-1] == "needs_admin"
        lab.stream.fails.clear()
        await lab.time.pass_(3_601)
        assert lab.states[-1] == "throttled"

    lab_test(work, before=lambda lab: lab.streams.append(FakeStream()))


def test_progress_of_the_past_ends_its_being_throttled() -> None:
    async def work(lab: Lab) -> None:
        lab.stream.fails["first_sync"] = Throttled(10.0)
        lab.stream.holds.pop("first_sync").set()
        await settle()
        assert lab.record["state"] == "throttled"
        lab.stream.fails.clear()
        held = lab.stream.hold("end of first_sync")
        await lab.time.pass_(20)
        assert lab.record["state"] == "connected"
        assert lab.record["first_ended"] is None
        held.set()

    lab_test(work, before=lambda lab: lab.stream.hold("first_sync"))


def test_what_nobody_waits_for_does_not_change_the_state() -> None:
    async def work(lab: Lab) -> None:
        await lab.time.pass_(90_000)
        assert lab.states == ["connected"]
        assert lab.record["last_sweep"] is None

    lab_test(work, before=lambda lab: lab.stream.fails.update(sweep=Throttled(30.0)))


def test_what_waited_for_the_sign_in_goes_on_with_it() -> None:
    """Not an hour after live rounds found that it works again."""

    async def work(lab: Lab) -> None:
        lab.stream.fails.clear()
        await lab.wake("notification")
        assert lab.record["state"] == "connected"
        assert "first_sync" in lab.stream.done

    lab_test(work, before=lambda lab: lab.stream.fails.update(first_sync=SignInNeeded()))


def test_one_duty_that_fails_keeps_no_other_from_its_work() -> None:
    async def work(lab: Lab) -> None:
        await lab.wake("notification")
        assert lab.stream.done == ["changes", "changes"]
        lab.stream.fails.clear()
        await lab.time.pass_(3)
        assert "first_sync" in lab.stream.done

    lab_test(work, before=lambda lab: lab.stream.fails.update(first_sync=Transient()))


@pytest.mark.parametrize("duty", ["changes", "first_sync", "sweep", "extra"])
def test_a_fault_of_ours_is_an_alarm_with_its_place_and_is_tried_again(
    duty: str,
) -> None:
    """Nobody thought of it, and what it says may hold anything: its kind and place are told, and the rest goes on."""

    async def work(lab: Lab) -> None:
        await lab.time.pass_(10)
        broken = [event for event in logged if event["event"] == "connection_broken"]
        assert {event["log_level"] for event in broken} == {"error"}
        assert {event["error"] for event in broken} == {"KeyError"}
        assert "test_graph_runner.py" in broken[0]["places"][-1]
        assert not any("anna@kund.se" in str(event) for event in logged)
        is_vital = duty in ("changes", "first_sync")
        assert lab.record["state"] == ("mailbox_unavailable" if is_vital else "connected")
        lab.stream.fails.clear()
        await lab.time.pass_(301)
        assert {"changes", "first_sync", "sweep", "extra"} <= set(lab.stream.done)
        assert (lab.record["state"], lab.record["reason"]) == ("connected", "")

    def before(lab: Lab) -> None:
        lab.stream.fails[duty] = KeyError("anna@kund.se")
        lab.extras.append(Extra("extra", lambda: lab.stream._note("extra"), 100.0))

    with structlog.testing.capture_logs() as logged:
        lab_test(work, before=before)


def test_a_fault_of_ours_while_it_is_opened_is_tried_again() -> None:
    async def work(lab: Lab) -> None:
        await lab.time.pass_(100)
        assert "changes" in lab.stream.done

    lab_test(work, before=lambda lab: lab.failing_opens.extend([KeyError("x"), InvariantError("y")]))


def test_a_fault_of_ours_when_it_learns_what_a_command_wrote_is_tried_again() -> None:
    async def work(lab: Lab) -> None:
        lab.failing_questions += [KeyError("x"), UnavailableError("Kafka is away")]
        await lab.command(scopes=["Mail.Read"])
        await lab.time.pass_(20)
        assert lab.record["scopes"] == ["Mail.Read"]

    lab_test(work)


def test_further_duties_are_done_at_once_and_on_their_timers_and_when_a_person_changed_something() -> None:
    async def work(lab: Lab) -> None:
        assert lab.stream.done.count("extra") == 1
        await lab.wake("notification")
        assert lab.stream.done.count("extra") == 1
        await lab.time.pass_(1_801)
        assert lab.stream.done.count("extra") == 2
        await lab.command(scopes=["MailboxSettings.Read"])
        assert lab.stream.done.count("extra") == 3

    lab_test(
        work,
        before=lambda lab: lab.extras.append(Extra("extra", lambda: lab.stream._note("extra"), 1_800.0)),
    )


def test_kafka_that_is_away_is_waited_for() -> None:
    async def work(lab: Lab) -> None:
        await lab.time.pass_(60)
        assert "changes" in lab.stream.done

    lab_test(work, before=lambda lab: lab.failing_opens.extend([UnavailableError("Kafka is away")] * 3))


def test_a_state_that_could_not_be_written_is_written_later() -> None:
    async def work(lab: Lab) -> None:
        def refuse(_: Topic) -> None:
            raise UnavailableError("Kafka is away")

        lab.log.before_send = refuse
        lab.stream.fails["changes"] = Throttled(10.0)
        await lab.wake("notification")
        lab.log.before_send = lambda _: None
        await lab.time.pass_(11)
        assert lab.record["state"] == "throttled"

    lab_test(work)


def test_who_lost_the_connection_ends() -> None:
    async def work(lab: Lab) -> None:
        lab.stream.fails["changes"] = LostError("another")
        await lab.wake("notification")
        lab.stream.fails.clear()
        before = list(lab.stream.done)
        await lab.command()
        await lab.time.pass_(100_000)
        assert lab.stream.done == before

    lab_test(work)


def test_what_a_command_changed_is_learnt_and_kept() -> None:
    """A new sign-in has other scopes; the owner's next word does not bring the old ones back."""

    async def work(lab: Lab) -> None:
        await lab.command(scopes=["Mail.Read"], account="a1", first_done=0)
        await lab.time.pass_(86_401)
        (*_, last) = lab.log.of(CONNECTIONS)
        assert (last["scopes"], last["account"], last["first_done"]) == (["Mail.Read"], "a1", 3)

    lab_test(work)


def test_a_command_that_comes_before_it_is_opened_is_learnt() -> None:
    async def run() -> None:
        lab = Lab()
        lab.failing_opens = [UnavailableError("Kafka is away")]
        runner = lab.start()
        await settle()
        runner.wake(wakeup("changed", "paused"))
        await lab.time.pass_(10)
        assert lab.record["state"] == "paused"
        await runner.stop()

    asyncio.run(run())


@pytest.mark.parametrize("state", ["needs_auth", "paused"])
def test_what_a_person_put_to_rest_rests_until_a_person_wakes_it(state: str) -> None:
    """Even where the owner's own word was written over the command's at the same moment."""

    async def work(lab: Lab) -> None:
        held = lab.stream.hold("changes")
        await lab.wake("notification")
        await lab.command(state=state, reason="")
        await lab.opened[-1].announce(state="connected")
        await lab.wake("changed", state)
        lab.stream.holds.clear()
        held.set()
        await settle()
        before = list(lab.stream.done)
        await lab.wake("notification")
        await lab.time.pass_(100_000)
        assert lab.stream.done == before
        assert lab.record["state"] == state
        await lab.command(state="connected")
        assert lab.stream.done.count("changes") == before.count("changes") + 1
        assert lab.record["state"] == "connected"

    lab_test(work)


def test_a_paused_connection_stays_paused_when_the_process_begins_anew() -> None:
    async def run() -> None:
        lab = Lab()
        runner = lab.start()
        await settle()
        await lab.command(state="paused")
        await runner.stop()
        before = list(lab.stream.done)
        again = lab.start()
        await lab.time.pass_(100_000)
        assert lab.stream.done == before
        assert lab.record["state"] == "paused"
        await again.stop()

    asyncio.run(run())


def test_a_disconnected_connection_is_left_alone() -> None:
    async def work(lab: Lab) -> None:
        await lab.command(state="disconnected")
        before = len(lab.log.records)
        await lab.wake("notification")
        await lab.time.pass_(100_000)
        assert len(lab.log.records) == before

    lab_test(work)


def test_nothing_is_said_after_stop_has_returned() -> None:
    async def work(lab: Lab) -> None:
        assert lab.runner is not None
        await lab.runner.stop()
        before = len(lab.log.records)
        await lab.wake("changed")
        await lab.time.pass_(100_000)
        assert len(lab.log.records) == before

    lab_test(work)


@pytest.mark.parametrize("duty", ["changes", "first_sync", "sweep"])
def test_it_stops_in_the_middle_of_anything(duty: str) -> None:
    async def work(lab: Lab) -> None:
        assert lab.runner is not None
        await asyncio.wait_for(lab.runner.stop(), timeout=5)

    lab_test(work, before=lambda lab: lab.stream.hold(duty))


def test_it_waits_longer_each_time_but_not_for_ever() -> None:
    waits = [standing_of(Transient(), failures).again_s for failures in range(12)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (2.0, 300.0)
    assert standing_of(Throttled(1_000.0), 0).again_s == 1_000.0
    assert standing_of(Transient(700.0), 0).again_s == 700.0
    assert standing_of(Rejected(), 0).again_s > 60
