"""Whatever happens to a mailbox, to Graph and to the connector: in the end what is held is what is there.

The mailbox changes in every way, Graph tells it late, twice, in any order or not at all, answers faults and forgets cursors, and the connector dies
between any two steps. Then it is quiet, and the connector looks once more, without a sweep: so no cursor ever passed a
change that was not published.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from graph.agenda import Event, Guest, Meeting, Recurrence
from graph.faults import TRANSIENT_KINDS
from graph.journal import Quirks
from graph.letters import Letter
from graph_holdings import HeldItems
from graph_lab import ADDRESS, DAY, HISTORY, GraphLab
from memory_connection_log import CrashError
from rapport_producers.graph.calendar_sync import AHEAD_DAYS
from rapport_schemas.calendar_times import instant_ms

EXCLUDED = ("junkemail", "deleteditems")
PLACES = ("inbox", "archive", "sentitems", *EXCLUDED)
DUTIES = ("first", "poll", "sweep", "all")
FAULTS = (
    TRANSIENT_KINDS,
    ("throttled_date", "busy", "store", "bandwidth", "slow"),
    ("no_mailbox", "resource_not_found", "moving", "token"),
)
"""What passes. An item that is refused for itself becomes a dead letter, and is not held until a person or a sweep looks again."""
DAYS = st.sampled_from((-400, -180, -8, -1, 0, 1, 2, 30, 90, 97, 130))
SERIES = st.sampled_from(
    (
        Recurrence("daily", count=4),
        Recurrence("weekly"),
        Recurrence("weekly", interval=2, weekdays=(0, 3), count=6),
        Recurrence("absoluteMonthly", count=5),
    )
)
CURSORS_LOST = ("gone", "gone_with_location", "gone_inside", "sync_state_invalid")


class Countdown:
    """Does something at a step that is still so many steps away."""

    def __init__(self, steps: int, act: Callable[[], None]) -> None:
        self._left, self._act = steps, act

    def step(self, *_: Any) -> None:
        """One request or record more."""
        self._left -= 1
        if self._left == -1:
            self._act()


class Crash(Countdown):
    """Crashes there, and at every step after it: nothing of the process is left."""

    def step(self, *_: Any) -> None:
        """One request or record more."""
        self._left -= 1
        if self._left < 0:
            raise CrashError


def quiet(*_: Any) -> None:
    """Nothing happens at this step."""


class Connector(RuleBasedStateMachine):
    """A connection and whatever may happen to it and to Graph; a rule is one such thing."""

    lab: GraphLab
    held: HeldItems

    def open_lab(self, seed: int, quirks: Quirks) -> None:
        """Everything from nothing."""
        self.lab = GraphLab(seed, quirks)
        self.held = HeldItems(self.lab.log, seed)

    # -- Graph --------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((1.0, 20.0, -3_600.0, 4_000.0, DAY, 8 * DAY)))
    def later(self, seconds: float) -> None:
        self.lab.advance(seconds)

    @rule(how=st.sampled_from(CURSORS_LOST))
    def forget_cursors(self, how: str) -> None:
        self.lab.box.forget_cursors(None, how)

    @rule(share=st.sampled_from((0.0, 0.05, 0.2)), kinds=st.sampled_from(FAULTS))
    def faults(self, share: float, kinds: tuple[str, ...]) -> None:
        self.lab.simulator.faults.rate(share, *kinds)

    # -- the connector ------------------------------------------------------------------------------------------

    @rule(how=st.sampled_from(DUTIES))
    def look(self, how: str) -> None:
        self._attempt(how)

    @rule(how=st.sampled_from(DUTIES), steps=st.integers(0, 120))
    def look_and_crash(self, how: str, steps: int) -> None:
        """Between any two requests or records; of a record that was sent nobody knows whether it arrived."""
        if not self._disturbed(how, Crash(steps, quiet)):
            self.lab.crash()

    @rule(how=st.sampled_from(DUTIES), steps=st.integers(0, 120), lost=st.sampled_from(CURSORS_LOST))
    def look_while_forgetting(self, how: str, steps: int, lost: str) -> None:
        self._disturbed(how, Countdown(steps, lambda: self.forget_cursors(lost)))

    @rule()
    def crash(self) -> None:
        self.lab.crash()

    @rule()
    def fall_asleep(self) -> None:
        self.lab.fall_asleep()

    @rule(how=st.sampled_from(DUTIES), records=st.integers(0, 8))
    def wake_sleeper(self, how: str, records: int) -> None:
        """It believes that the connection is still its own; some of what it says gets through."""
        self.lab.wake_sleeper(records, self._duty(how))

    def _disturbed(self, how: str, steps: Countdown) -> bool:
        """Whether the duty came to an end, in one way or the other."""
        self.lab.before_get = self.lab.log.before_send = steps.step
        try:
            self._attempt(how)
        except CrashError:
            return False
        finally:
            self.lab.before_get = self.lab.log.before_send = quiet
        return True

    def _attempt(self, how: str) -> None:
        self.lab.try_to(self._duty(how))

    def _duty(self, how: str) -> Callable[[], None]:
        raise NotImplementedError

    # -- the end ------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "lab"):
            return
        try:
            self._come_to_rest()
            assert self.lab.simulator.violations == []
        finally:
            self.lab.close()

    def _come_to_rest(self) -> None:
        """Nothing happens any more; the connector looks, and what is held is what is there, without a sweep and with one."""
        self.lab.simulator.faults.clear()
        self.lab.clock.advance(max(0.0, self.lab.box.quiet_at() - self.lab.clock()) + 120.0)
        self._duty("first")()
        self._duty("poll")()
        self.held.catch_up()
        self._compare(swept=False)
        self._duty("sweep")()
        self.held.catch_up()
        self._compare(swept=True)

    def _compare(self, *, swept: bool) -> None:
        raise NotImplementedError


class MailboxMachine(Connector):
    """One mailbox and its connection."""

    messages = Bundle("messages")
    folders = Bundle("folders")

    @initialize(seed=st.integers(0, 1000), wild=st.booleans())
    def begin(self, seed: int, wild: bool) -> None:
        self.open_lab(seed, Quirks.wild() if wild else Quirks())
        self.box, self.count = self.lab.box, 0

    def _letter(self) -> Letter:
        self.count += 1
        name = f"mail {self.count}"
        return Letter("bo@kund.example", (ADDRESS,), name, message_id=f"<{self.count}@kund.example>")

    def _is_there(self, key: str) -> bool:
        return key in self.box.items

    def _folder(self, folder: str) -> str:
        return folder if folder in PLACES or folder in self.box.folders else "inbox"

    # -- the mailbox --------------------------------------------------------------------------------------------

    @rule(target=messages, folder=st.sampled_from(PLACES), days=st.sampled_from((0, 0, 1, 170, 300)))
    def deliver(self, folder: str, days: int) -> str:
        return self.box.deliver(self._letter(), folder, at=self.lab.clock() - days * DAY)

    @rule(target=messages, folder=folders)
    def deliver_to(self, folder: str) -> str:
        return self.box.deliver(self._letter(), self._folder(folder))

    @rule(target=messages)
    def draft(self) -> str:
        return self.box.draft(self._letter())

    @rule(target=messages, key=messages)
    def send(self, key: str) -> str:
        if self._is_there(key) and self.box.items[key].draft:
            return self.box.send_draft(key)
        return key

    @rule(
        key=messages,
        folder=st.one_of(st.sampled_from(PLACES), folders),
        how=st.sampled_from(("told", "quietly", "twice")),
    )
    def move(self, key: str, folder: str, how: str) -> None:
        if self._is_there(key) and not self.box.items[key].draft:
            told = how != "quietly"
            self.box.move(key, self._folder(folder), announce_target=told, twice=how == "twice")

    @rule(key=messages, folder=st.sampled_from(PLACES))
    def move_and_back(self, key: str, folder: str) -> None:
        if self._is_there(key) and not self.box.items[key].draft:
            self.box.move_and_back(key, folder)

    @rule(key=messages, reason=st.sampled_from(("deleted", "changed")))
    def delete(self, key: str, reason: str) -> None:
        if self._is_there(key):
            self.box.delete(key, reason=reason)

    @rule(key=messages)
    def touch(self, key: str) -> None:
        if self._is_there(key):
            self.box.mark_read(key)

    @rule(key=messages)
    def rewrite(self, key: str) -> None:
        """Of a mail that its folder believes to be elsewhere no change is ever told."""
        if self._is_there(key) and key in self.box.folders[self.box.items[key].folder].journal.present:
            self.box.rewrite(key, self._letter())

    @rule(target=folders, parent=st.one_of(st.sampled_from(PLACES), folders))
    def new_folder(self, parent: str) -> str:
        self.count += 1
        return self.box.folder(f"folder {self.count}", self._folder(parent))

    @rule(folder=folders, parent=st.sampled_from(("msgfolderroot", *PLACES)))
    def move_folder(self, folder: str, parent: str) -> None:
        if folder in self.box.folders:
            self.box.move_folder(folder, parent)

    @rule(folder=folders)
    def delete_folder(self, folder: str) -> None:
        if folder in self.box.folders:
            self.box.delete_folder(folder)

    @rule(how=st.sampled_from(CURSORS_LOST))
    def forget_inbox(self, how: str) -> None:
        self.box.forget_cursors("inbox", how)

    @rule(
        how=st.sampled_from(DUTIES), steps=st.integers(0, 120), key=messages, folder=st.sampled_from(PLACES)
    )
    def look_while_moving(self, how: str, steps: int, key: str, folder: str) -> None:
        self._disturbed(how, Countdown(steps, lambda: self.move(key, folder, "told")))

    @rule(how=st.sampled_from(DUTIES), steps=st.integers(0, 120), key=messages)
    def look_while_deleting(self, how: str, steps: int, key: str) -> None:
        self._disturbed(how, Countdown(steps, lambda: self.delete(key, "deleted")))

    def _duty(self, how: str) -> Callable[[], None]:
        duties: dict[str, Callable[[], None]] = {
            "first": self.lab.connect_mail,
            "poll": self.lab.poll_mail,
            "sweep": self.lab.sweep_mail,
            "all": self.lab.all_mail,
        }
        return duties[how]

    def _compare(self, *, swept: bool) -> None:
        found = self.held.all()
        names = {self.held.row(key): item for key, item in self.box.items.items()}
        expected = {row: item.letter.subject for row, item in names.items() if self._is_collected(item)}
        assert {row: _subject(one.change) for row, one in found.items() if not one.gone} == expected
        junk = self.box.find("junkemail").id
        assert {row for row in found if row in names and names[row].folder == junk} <= {
            row for row, one in found.items() if one.gone == "junk"
        }

    def _is_collected(self, item: Any) -> bool:
        """A mail of the last half year in a place that is collected."""
        since = self.lab.since.timestamp()
        return not item.draft and item.received >= since and not self._is_excluded(item.folder)

    def _is_excluded(self, folder: str) -> bool:
        found = self.box.folders[folder]
        while found.parent:
            if found.well_known in (*EXCLUDED, "drafts", "outbox", "conversationhistory", "syncissues"):
                return True
            found = self.box.folders[found.parent]
        return False


def _subject(change: Any) -> str:
    return str(change["mail"]["structured"]["subject"])


class AgendaMachine(Connector):
    """The calendars of one mailbox and their connection."""

    events = Bundle("events")

    @initialize(seed=st.integers(0, 1000), wild=st.booleans(), every=st.booleans())
    def begin(self, seed: int, wild: bool, every: bool) -> None:
        quirks = Quirks.wild() if wild else Quirks()
        self.open_lab(seed, replace(quirks, series_removal="all" if every else "master"))
        self.box, self.count, self.silent = self.lab.box, 0, False

    def _meeting(self, days: int, **more: Any) -> Meeting:
        self.count += 1
        day = datetime.fromtimestamp(self.lab.clock(), UTC).replace(tzinfo=None) + timedelta(days=days)
        start = day.replace(hour=9 + self.count % 8, minute=0, second=0, microsecond=0)
        guests = (Guest("Bo <bo@kund.example>"),)
        return Meeting(f"meeting {self.count}", start, start + timedelta(hours=1), ADDRESS, guests, **more)

    def _find(self, key: str) -> Event | None:
        found = [one.events[key] for one in self.box.calendars.values() if key in one.events]
        return found[0] if found else None

    # -- the calendars ------------------------------------------------------------------------------------------

    @rule(target=events, days=DAYS, which=st.integers(0, 2), zone=st.sampled_from(("UTC", "Europe/Berlin")))
    def event(self, days: int, which: int, zone: str) -> str:
        calendars = [one for one in self.box.calendars.values() if one.owner == ADDRESS]
        return self.box.event(self._meeting(days, zone=zone), None, calendars[which % len(calendars)])

    @rule(target=events, days=DAYS, recurrence=SERIES)
    def series(self, days: int, recurrence: Recurrence) -> str:
        return self.box.event(self._meeting(days), recurrence)

    @rule(key=events, days=DAYS)
    def change(self, key: str, days: int) -> None:
        if self._find(key):
            self.box.change_event(key, self._meeting(days))

    @rule(key=events, days=DAYS, recurrence=SERIES)
    def repeat(self, key: str, days: int, recurrence: Recurrence) -> None:
        """A single event becomes a series, a series another one."""
        if self._find(key):
            self.box.change_event(key, self._meeting(days), recurrence)

    @rule(key=events, nth=st.integers(0, 5), days=DAYS)
    def change_occurrence(self, key: str, nth: int, days: int) -> None:
        day = self._day(key, nth)
        if day is not None:
            self.box.change_occurrence(key, day, self._meeting(days))

    @rule(key=events, nth=st.integers(0, 5))
    def cancel_occurrence(self, key: str, nth: int) -> None:
        day = self._day(key, nth)
        if day is not None:
            self.box.cancel_occurrence(key, day)

    def _day(self, key: str, nth: int) -> date | None:
        event = self._find(key)
        if event is None or event.recurrence is None:
            return None
        return next((one.day for one in islice(event.occurrences(), nth, None)), None)

    @rule(key=events, announced=st.booleans())
    def delete(self, key: str, announced: bool) -> None:
        if self._find(key):
            self.box.delete_event(key, announced=announced)
            self.silent |= not announced

    @rule(key=events, which=st.integers(0, 2))
    def move_event(self, key: str, which: int) -> None:
        """To another own calendar."""
        own = [one for one in self.box.calendars.values() if one.owner == ADDRESS]
        if self._find(key) and key not in own[which % len(own)].events:
            self.box.move_event(key, own[which % len(own)])

    @rule(shared=st.booleans())
    def new_calendar(self, shared: bool) -> None:
        self.count += 1
        made = self.box.add_calendar(f"calendar {self.count}", "eve@contoso.example" if shared else "")
        self.box.event(self._meeting(1), None, made)

    @rule(nth=st.integers(1, 3))
    def delete_calendar(self, nth: int) -> None:
        for calendar in list(self.box.calendars)[nth : nth + 1]:
            del self.box.calendars[calendar]

    @rule(how=st.sampled_from(DUTIES), steps=st.integers(0, 60), key=events, days=DAYS)
    def look_while_changing(self, how: str, steps: int, key: str, days: int) -> None:
        self._disturbed(how, Countdown(steps, lambda: self.change(key, days)))

    @rule(how=st.sampled_from(DUTIES), steps=st.integers(0, 60), key=events)
    def look_while_deleting(self, how: str, steps: int, key: str) -> None:
        self._disturbed(how, Countdown(steps, lambda: self.delete(key, True)))

    @rule(how=st.sampled_from(DUTIES), steps=st.integers(0, 60), key=events, nth=st.integers(0, 5))
    def look_while_cancelling(self, how: str, steps: int, key: str, nth: int) -> None:
        self._disturbed(how, Countdown(steps, lambda: self.cancel_occurrence(key, nth)))

    def _duty(self, how: str) -> Callable[[], None]:
        duties: dict[str, Callable[[], None]] = {
            "first": self.lab.connect_calendar,
            "poll": self.lab.poll_calendar,
            "sweep": self.lab.sweep_calendar,
            "all": self.lab.all_calendar,
        }
        return duties[how]

    def _compare(self, *, swept: bool) -> None:
        if self.silent and not swept:
            return
        now = datetime.fromtimestamp(self.lab.clock(), UTC)
        begin, end = (now - HISTORY).timestamp(), (now + timedelta(days=AHEAD_DAYS)).timestamp()
        true = self.lab.simulator.truth(self.box).meetings(begin, end).values()
        expected = {
            self.held.row(one.id): (one.json["subject"], one.uid, int(one.start))
            for one in true
            if begin <= one.start < end
        }
        found = {row: _meeting(one.change) for row, one in self.held.all().items() if not one.gone}
        assert {row: one for row, one in found.items() if begin <= one[2] < end} == expected


def _meeting(change: Any) -> tuple[str, str, int]:
    event = change["event"]
    return event["title"], event["uid"], instant_ms(event["start"]) // 1000


TestMailbox = MailboxMachine.TestCase
TestMailbox.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestAgenda = AgendaMachine.TestCase
TestAgenda.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
