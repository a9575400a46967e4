"""From what Graph lists to what is missing, and back: a sweep finds it, healing reads it again, the numbers are whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pytest

from graph_holdings import HeldItems
from graph_lab import ADDRESS, DAY, GraphLab, LabClock
from memory_connection_log import CrashError
from rapport_producers.graph.calendar_sync import CalendarSync
from rapport_producers.graph.healing import Healing
from rapport_producers.graph.mail_sync import MailSync
from rapport_producers.graph.out_of_office import AutomaticReplies
from rapport_schemas.records import Coverage, OutOfOffice
from rapport_schemas.topics import MAIL_RAW, Topic

Days = dict[tuple[str, str], tuple[int, int]]


class Path:
    """A mailbox, its connector, and what is held behind it."""

    def __init__(self) -> None:
        self.lab = GraphLab(seed=3)
        self.held = HeldItems(self.lab.log, seed=3)

    def days(self) -> Days:
        """(listed, present) by stream and day."""
        self.held.catch_up()
        return {
            (one["stream"], day["day"]): (day["listed"], day["present"])
            for one in self.held.coverage()
            for day in one["days"]
        }

    def missing(self) -> Days:
        return {day: counts for day, counts in self.days().items() if counts[0] > counts[1]}

    def expected(self) -> Days:
        """Counted in the simulated mailbox itself, as if all of it were held."""
        found: Days = {}
        for stream in ("inbox", "archive", "sentitems"):
            for item in self.lab.box.listing(self.lab.box.find(stream).id):
                day = datetime.fromtimestamp(item.received, UTC).date().isoformat()
                count = found.get((stream, day), (0, 0))[0] + 1
                found[stream, day] = (count, count)
        return found

    def lose(self, folder: str = "inbox", *, days_ago: float = 1.0) -> str:
        """A mail comes, and what was published of it never arrives. Its id."""
        key, before = (
            self.lab.deliver(f"lost from {folder}", folder, days_ago=days_ago),
            len(self.lab.log.records),
        )
        self.lab.poll_mail()
        names = {topic.name for topic in MAIL_RAW.values()}
        told = [record for record in self.lab.log.records[before:] if record[0] in names]
        assert told
        for record in told:
            self.lab.log.records.remove(record)
        return key

    def heal(self) -> None:
        """One run of healing, by the present owner."""

        async def coverage() -> Sequence[Coverage]:
            self.held.catch_up()
            return self.held.coverage()

        async def work(mail: MailSync, _: CalendarSync) -> None:
            log = mail._log
            if log.record["first_ended"] is None:
                await log.announce(first_ended=1)
            await Healing(coverage, mail, log, LabClock(self.lab.clock)).run()

        self.lab.run(work)


@pytest.fixture
def path() -> Iterator[Path]:
    found = Path()
    yield found
    found.lab.close()


def test_what_was_lost_is_seen_by_the_sweep_and_healed(path: Path) -> None:
    """In several folders and days; the days around it stay as they are, and the next sweep finds nothing."""
    lab = path.lab
    for number in range(6):
        lab.deliver(f"in {number}", days_ago=number / 2)
    lab.connect_mail()
    path.lose(days_ago=2)
    path.lose("archive")
    whole = path.expected()
    lab.sweep_mail()
    assert sorted(stream for stream, _ in path.missing()) == ["archive", "inbox"]
    assert {day: listed for day, (listed, _) in path.days().items()} == {
        day: listed for day, (listed, _) in whole.items()
    }
    path.heal()
    assert path.days() == whole
    lab.sweep_mail()
    assert path.days() == whole


def test_a_day_begins_at_midnight_in_utc_wherever_the_mailbox_is(path: Path) -> None:
    lab = path.lab
    midnight = lab.clock() // DAY * DAY
    for offset in (-2, -1, 0, 1):
        lab.deliver(f"at {offset}", days_ago=(lab.clock() - midnight - offset) / DAY + 1)
    lab.connect_mail()
    lab.sweep_mail()
    assert path.days() == path.expected()
    assert sorted(path.days().values()) == [(2, 2), (2, 2)]


@pytest.mark.parametrize("after", range(1, 12, 2))
def test_a_sweep_that_was_interrupted_finds_the_same(path: Path, after: int) -> None:
    """Its process dies at any of its records; another goes on."""
    lab = path.lab
    for number in range(5):
        lab.deliver(f"in {number}", days_ago=number)
        lab.deliver(f"away {number}", "archive", days_ago=number)
    lab.connect_mail()
    path.lose()
    left = [after]

    def die(_: Topic) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise CrashError

    lab.log.before_send = die
    with pytest.raises(CrashError):
        lab.sweep_mail()
    lab.crash()
    lab.log.before_send = lambda _: None
    lab.sweep_mail()
    assert len(path.missing()) == 1
    path.heal()
    assert path.days() == path.expected()


def test_what_goes_while_it_is_missing_is_missing_no_more(path: Path) -> None:
    lab = path.lab
    lab.deliver("kept", days_ago=1)
    lab.connect_mail()
    key = path.lose()
    lab.sweep_mail()
    assert len(path.missing()) == 1
    lab.box.move(key, "deleteditems")
    lab.poll_mail()
    assert path.missing() == {}


def test_what_is_moved_while_it_is_missing_is_read_where_it_is(path: Path) -> None:
    lab = path.lab
    lab.connect_mail()
    key = path.lose()
    lab.sweep_mail()
    lab.box.move(key, "archive")
    lab.poll_mail()
    assert path.missing() == {}
    lab.sweep_mail()
    assert path.days() == path.expected()


@pytest.mark.parametrize(
    ("status", "expected"),
    [("disabled", "disabled"), ("alwaysEnabled", "always"), ("scheduled", "scheduled")],
)
def test_absence_is_read_as_graph_tells_it(path: Path, status: str, expected: str) -> None:
    """Only with the permission; and an absence that is over is gone from the record."""
    lab, now = path.lab, path.lab.clock()
    lab.box.out_of_office(status, now - DAY, now + DAY, "contactsOnly")

    def read(scopes: list[str]) -> OutOfOffice | None:
        async def work(mail: MailSync, _: CalendarSync) -> OutOfOffice | None:
            log, reader = mail._log, mail._reader
            await log.announce(scopes=scopes)
            await AutomaticReplies(reader._client, reader.mailbox, log).run()
            return log.record["out_of_office"]

        return lab.run(work)

    assert read(["Mail.Read"]) is None
    assert lab.asked("automaticRepliesSetting") == 0
    found = read(["Mail.Read", "MailboxSettings.Read"])
    assert found is not None
    assert (found["status"], found["audience"]) == (expected, "contacts")
    times = (round((now - DAY) * 1000), round((now + DAY) * 1000)) if status == "scheduled" else (None, None)
    assert (found["since"], found["until"]) == times
    assert read(["Mail.Read"]) is None


def test_healing_asks_for_nothing_where_nothing_is_missing(path: Path) -> None:
    lab = path.lab
    lab.deliver("in", days_ago=1)
    lab.connect_mail()
    lab.sweep_mail()
    before = len(lab.simulator.calls)
    path.heal()
    assert len(lab.simulator.calls) == before
    assert lab.asked(ADDRESS) == 0
