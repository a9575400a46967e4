"""Real workers on a real broker: whatever is done to them, the items are those of one undisturbed worker, and the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local_stack import why_no_kafka
from shuffled_mail import Company, MailPage, Truth, directory, truth_of
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


def tell(letters: int, further: int, seed: int = 5) -> Story:
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
    return tell(LETTERS, FURTHER)


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
    """Two workers; a third comes when a quarter of the items are there, and the first is killed at the half."""
    with worker_lab(folder / "disturbed", folder) as lab:
        yield Played(lab, play_with_a_kill(lab, story))


def play_with_a_kill(lab: WorkerLab, story: Story, seconds: float = 120.0) -> Outcome:
    """The first part of the story. Afterwards the second and third worker run."""
    expected = len(story.truth().messages)
    lab.tell(directory(EARLY))
    lab.publish(story.first[: story.half])
    first, second = lab.start(), lab.start()
    lab.until(lambda: are_all_owned(lab, [first, second]), seconds)
    lab.publish(story.first[story.half :])
    lab.until(lambda: len(lab.reader.seen.items) > expected // 4, seconds)
    lab.start()
    lab.tell(directory(LATE))
    lab.until(lambda: len(lab.reader.seen.items) > expected // 2, seconds)
    first.kill()
    return lab.finish(seconds)


def are_all_owned(lab: WorkerLab, workers: list[RealWorker]) -> bool:
    """Each of these workers has partitions, and together they have all, each once."""
    owned = [number for worker in workers for number in worker.partitions]
    return all(worker.partitions for worker in workers) and sorted(owned) == list(range(lab.partitions))


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
    """It stands still in the middle of its work until the others have done it, then goes on where it was."""
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
    assert lab.dead_letters() == 0
