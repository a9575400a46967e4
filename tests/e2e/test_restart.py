"""An instance that is stopped and started again goes on where it was, also without its workers' disks."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local_stack import RunningStack, stack, why_no_kafka
from rapport.demo.company import TENANT, CompanySize
from rapport.demo.mailboxes import GeneratedCompany, generate
from rapport.demo.steps import compare_conversations, compare_numbers

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
SIZE = CompanySize(members=6, customers=15, contacts=60, copies=2_000)


def test_state_is_rebuilt_from_kafka_on_an_empty_disk(tmp_path: Path) -> None:
    """Half of the mailboxes, a stop, the state deleted, other workers, the other half: every number is right."""
    reason = why_no_kafka()
    if reason:
        pytest.skip(reason)
    made = generate(tmp_path / "mailboxes", seed=3, now=datetime.now(UTC), size=SIZE, keep_message_ids=True)
    with stack(tmp_path / "instance", workers=1) as first:
        _run(first, "directory", "load", str(made.directory), "--tenant", TENANT)
        _ingest(first, made, slice(0, 3))
        assert first.stop() == 0
    shutil.rmtree(first.home / "workers")
    with stack(tmp_path / "instance", workers=2) as second:
        _ingest(second, made, slice(3, None))
        numbers = compare_numbers(second.endpoints, made)
        numbers.add(compare_conversations(second.settings, second.endpoints, made))
        assert numbers.equal, numbers.differences[:10]


def _ingest(instance: RunningStack, made: GeneratedCompany, which: slice) -> None:
    for member, mailbox in list(made.mailboxes.items())[which]:
        _run(instance, "ingest", "mbox", str(mailbox), "--tenant", TENANT, "--member", member, "--wait")


def _run(instance: RunningStack, *arguments: str) -> None:
    done = instance.rapport(*arguments, seconds=200)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
