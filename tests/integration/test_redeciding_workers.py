"""Real workers decide some thousands of items again while they are killed, moved and told the contrary: nothing is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from changing_directory import with_former
from local_stack import why_no_kafka
from rapport_schemas.records import DirectoryEntry
from shuffled_mail import TENANT, Company, MailPage, directory, truth_of
from worker_lab import Outcome, WorkerLab, worker_lab

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
LETTERS = 6_000
ALL = range(60)
SEED = 11


class Story:
    """Customers come and go; their mail stays."""

    def __init__(self, lab: WorkerLab, pages: list[MailPage]) -> None:
        self.lab, self.pages = lab, pages
        self._hash_key = lab.keys.tenant_keys(TENANT).hash
        self._known = {(record["kind"], record["id"]): record for record in directory(ALL)}
        self._there = set(ALL)
        self._time = 1
        lab.tell(list(self._known.values()))

    def tell(self, customers: Iterable[int]) -> None:
        """From now on the directory has these customers and their contacts."""
        after = set(customers)
        self._time += 1
        wanted = {(record["kind"], record["id"]): record for record in directory(after ^ self._there)}
        changed = [
            self._changed(record, after)
            for key, record in wanted.items()
            if key[0] in ("customer", "contact")
        ]
        self._there = after
        self.lab.tell(changed)

    def _changed(self, record: DirectoryEntry, after: set[int]) -> DirectoryEntry:
        key = record["kind"], record["id"]
        is_there = int(record["id"][1:]) in after
        said: DirectoryEntry = {**record, "recorded_at": self._time, "deleted": not is_there}
        if not is_there:
            said = {**said, "addresses": [], "domains": []}
        self._known[key] = with_former(self._known[key], said, self._hash_key)
        return self._known[key]

    def is_true(self, outcome: Outcome) -> None:
        """Every letter is there once, and is decided by the customers that are there."""
        truth = truth_of(self.pages, self._there)
        assert outcome.messages.keys() == truth.messages.keys()
        for name, said in truth.messages.items():
            found = outcome.messages[name]
            expected = said if said["synced"] else {**said, "members": [], "customers": []}
            assert {key: found[key] for key in expected} == expected, name
        assert outcome.threads == truth.threads

    def re_decided(self, since: int, count: int) -> bool:
        """Whether so many records came since."""
        return self.lab.reader.records >= since + count


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Two workers, and everything read."""
    reason = why_no_kafka()
    if reason:
        pytest.skip(reason)
    folder: Path = tmp_path_factory.mktemp("redeciding")
    with worker_lab(folder / "lab", folder) as lab:
        company = Company(SEED)
        found = Story(lab, company.shuffled(company.write(LETTERS)))
        lab.publish(found.pages)
        lab.start()
        lab.start()
        yield found


def test_a_worker_killed_halfway_and_a_second_change_lose_nothing(story: Story) -> None:
    """Of sixty customers most go, half of those come back before that is done; one worker is killed and one comes."""
    lab = story.lab
    before = lab.finish()
    story.is_true(before)
    since = lab.reader.records
    story.tell(range(10))
    lab.until(lambda: story.re_decided(since, LETTERS // 10))
    max(lab.workers, key=lambda worker: len(worker.partitions)).kill()
    story.tell(range(40))
    lab.start()
    lab.until(lambda: story.re_decided(since, LETTERS // 2))
    story.tell([*range(20), *range(50, 60)])
    story.is_true(lab.finish())
    story.tell(ALL)
    after = lab.finish()
    assert after.items.keys() == before.items.keys()
    for item_id, item in before.items.items():
        assert after.items[item_id] == item
    assert lab.dead_letters() == 0
