"""Real workers on a real broker: whatever is done to them, the items are those of one undisturbed worker, and the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local_stack import why_no_kafka
from rapport_schemas.topics import Lane
from shuffled_mail import (
    START_MS,
    Company,
    Letter,
    MailPage,
    Truth,
    Word,
    contact_address,
    directory,
    member_address,
    truth_of,
)
from worker_lab import Outcome, RealWorker, WorkerLab, forget_state, worker_lab

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
LETTERS, FURTHER = 20_000, 2_000
EARLY, LATE = range(50), range(50, 60)
"""Customers that the directory knows from the beginning, and those it is told of while mail is worked off."""


@dataclass
class Story:
    """What is published: at first, and later on."""

    first: list[MailPage]
    further: list[MailPage]

    @property
    def half(self) -> int:
        """So many of the first pages are there before any worker is."""
        return len(self.first) // 2

    def truth(self) -> Truth:
        """What the first pages must become."""
        return truth_of(self.first)

    def whole_truth(self) -> Truth:
        """What all pages must become."""
        return truth_of([*self.first, *self.further])


def tell_story(letters: int, further: int, seed: int = 5) -> Story:
    """A story of so many letters, its pages shuffled."""
    company = Company(seed)
    first = company.write(letters)
    return Story(company.shuffled(first), company.shuffled(company.write(further)))


def is_true(outcome: Outcome, truth: Truth) -> None:
    """Every message is there once and as it was generated, and the threads are those of the union-find."""
    messages = outcome.messages
    assert messages.keys() == truth.messages.keys()
    for name, said in truth.messages.items():
        assert {key: messages[name][key] for key in said} == said, name
    assert outcome.threads == truth.threads


def are_equal(outcome: Outcome, other: Outcome) -> None:
    """All items and all labels; field by field, for their whole difference is too long to print."""
    assert outcome.items.keys() == other.items.keys()
    for item_id, item in outcome.items.items():
        assert item == other.items[item_id]
    assert outcome.labels == other.labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where everything of this file lies."""
    reason = why_no_kafka()
    if reason:
        pytest.skip(reason)
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def story() -> Story:
    """What all tests of this file publish."""
    return tell_story(LETTERS, FURTHER)


@dataclass
class Played:
    """A lab in which the first part of the story was played, and what came out."""

    lab: WorkerLab
    outcome: Outcome


@pytest.fixture(scope="module")
def undisturbed(folder: Path, story: Story) -> Iterator[Played]:
    """One worker, to which nothing happens."""
    with worker_lab(folder / "undisturbed", folder) as lab:
        lab.tell(directory(EARLY))
        lab.publish(story.first)
        lab.start()
        lab.tell(directory(LATE))
        yield Played(lab, lab.finish())


@pytest.fixture(scope="module")
def recovered(undisturbed: Played, story: Story) -> Outcome:
    """The same, and its state is deleted before the rest is published; what comes out in the end."""
    lab = undisturbed.lab
    assert lab.workers[0].stop() == 0
    forget_state(lab.workers[0])
    lab.start_on(lab.workers[0].folder)
    lab.publish(story.further)
    return lab.finish()


@pytest.fixture(scope="module")
def disturbed(folder: Path, story: Story) -> Iterator[Played]:
    """Two workers; a third comes when a quarter of the items are there, and one is killed at the half."""
    with worker_lab(folder / "disturbed", folder) as lab:
        yield Played(lab, play_with_a_kill(lab, story))


def play_with_a_kill(lab: WorkerLab, story: Story, seconds: float = 200.0) -> Outcome:
    """The first part of the story. Afterwards one of the two workers and the third run."""
    expected = len(story.truth().messages)
    lab.tell(directory(EARLY))
    lab.publish(story.first[: story.half])
    pair = [lab.start(), lab.start()]
    lab.until(lambda: are_all_owned(lab, pair), seconds)
    lab.publish(story.first[story.half :])
    lab.until(lambda: len(lab.reader.seen.items) > expected // 4, seconds)
    lab.start()
    lab.tell(directory(LATE))
    lab.until(lambda: len(lab.reader.seen.items) > expected // 2, seconds)
    max(pair, key=lambda worker: len(worker.partitions)).kill()
    return lab.finish(seconds)


def are_all_owned(lab: WorkerLab, workers: list[RealWorker]) -> bool:
    """Each of these workers had its assignment, and together they have all partitions, each once."""
    owned = [number for worker in workers for number in worker.partitions]
    return all(worker.assignments for worker in workers) and sorted(owned) == list(range(lab.partitions))


def test_one_worker_tells_the_truth(undisturbed: Played, story: Story) -> None:
    is_true(undisturbed.outcome, story.truth())
    are_equal(undisturbed.lab.reader.compacted_outcome(), undisturbed.outcome)
    assert undisturbed.lab.dead_letters() == 0


def test_a_kill_and_a_newcomer_change_no_item(disturbed: Played, undisturbed: Played, story: Story) -> None:
    is_true(disturbed.outcome, story.truth())
    are_equal(disturbed.outcome, undisturbed.outcome)
    are_equal(disturbed.lab.reader.compacted_outcome(), undisturbed.outcome)
    assert disturbed.lab.dead_letters() == 0


def test_state_that_was_deleted_comes_back_from_kafka(recovered: Outcome, story: Story) -> None:
    is_true(recovered, story.whole_truth())


def test_a_worker_that_wakes_without_its_partitions_overwrites_nothing(
    disturbed: Played, recovered: Outcome, story: Story
) -> None:
    """It stands still in the middle of its work until the other has done it, then goes on where it was.

    It may take partitions again, or end itself and be started anew; the other goes on all the while.
    """
    lab = disturbed.lab
    lab.supervises = True
    sleeper, other = [worker for worker in lab.workers if worker.runs]
    before = lab.reader.records
    lab.publish(story.further)
    lab.until(lambda: lab.reader.records > before + FURTHER // 4)
    sleeper.pause()
    lab.until(lambda: other.partitions == list(range(lab.partitions)))
    are_equal(lab.finish(), recovered)
    taken = len(sleeper.assignments)
    sleeper.wake()
    lab.until(lambda: not sleeper.runs or len(sleeper.assignments) > taken)
    are_equal(lab.finish(), recovered)
    are_equal(lab.reader.compacted_outcome(), recovered)
    assert other.runs
    assert lab.dead_letters() == 0


@pytest.mark.parametrize("partitions", [1, 3])
def test_the_partition_count_changes_no_item(folder: Path, partitions: int) -> None:
    short = tell_story(2_000, 0, seed=6)
    with worker_lab(folder / f"of-{partitions}", folder, partitions) as lab:
        is_true(play_with_a_kill(lab, short), short.truth())
        assert lab.dead_letters() == 0


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("letters", [100_000, 500_000])
def test_a_kill_and_a_newcomer_in_a_long_run(folder: Path, letters: int) -> None:
    """The same with more mail than any cache holds, and the state comes back from Kafka in the end."""
    story = tell_story(letters, letters // 100, seed=7)
    with worker_lab(folder / f"long-{letters}", folder) as lab:
        disturbed = play_with_a_kill(lab, story, seconds=3600)
        is_true(disturbed, story.truth())
        for worker in [worker for worker in lab.workers if worker.runs]:
            assert worker.stop() == 0
            forget_state(worker)
        lab.publish(story.further)
        lab.start()
        is_true(lab.finish(3600), story.whole_truth())
        assert lab.dead_letters() == 0
    with worker_lab(folder / f"long-{letters}-undisturbed", folder) as lab:
        lab.tell(directory())
        lab.publish(story.first)
        lab.start()
        are_equal(lab.finish(3600), disturbed)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("mails", [100_000, 1_000_000])
def test_memory_does_not_grow_with_the_data(folder: Path, mails: int) -> None:
    """After so many small mails, and after twice as many more, a worker has needed about the same memory."""
    with worker_lab(folder / f"memory-{mails}", folder) as lab:
        lab.reader.remembers = False
        lab.tell(directory())
        worker = lab.start()
        lab.publish(small_mails(range(mails)))
        lab.finish(3600)
        before = worker.most_memory
        lab.publish(small_mails(range(mails, 3 * mails)))
        lab.finish(3600)
        assert lab.reader.records > 3 * mails
        assert worker.most_memory < 1.2 * before, (before, worker.most_memory)


def small_mails(numbers: range) -> Iterator[MailPage]:
    """Single mails between one member and one contact, in pages of 150."""
    inside, outside = member_address(0), contact_address(0)
    for start in range(numbers.start, numbers.stop, 150):
        letters = [
            Letter(n, f"{n}@kund0.example", outside, (inside,), START_MS + n * 1000, "Matter", prefixed=False)
            for n in range(start, min(start + 150, numbers.stop))
        ]
        words = tuple(Word(str(letter.number), letter) for letter in letters)
        yield MailPage(start // 150 % 40, "inbox", start, Lane.BACKFILL, words)
