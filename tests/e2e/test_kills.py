"""Every process is killed in the middle of an ingest, one after the other: the numbers end as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from local_stack import RAPPORT, RunningStack, stack, wait_until
from rapport.demo.company import TENANT, CompanySize
from rapport.demo.mailboxes import GeneratedCompany, generate
from rapport.demo.steps import compare_conversations, compare_numbers
from rapport.local.ready import ready_pid
from rapport.waiting import wait_for_visible

pytestmark = [pytest.mark.stack, pytest.mark.alone, pytest.mark.timeout(900)]
ROUNDS = 20
VICTIMS = ("worker-0", "sink", "kafka", "clickhouse", "worker-1", "dashboard", "ingest")
SIZE = CompanySize(members=len(VICTIMS), customers=20, contacts=80, copies=6_000)


def test_kill_9_of_each_process_changes_no_number(instance: RunningStack, tmp_path: Path) -> None:
    """One mailbox per victim; the victim dies while its mailbox is read, and the ingest is repeated where it failed."""
    made = generate(tmp_path / "mailboxes", seed=7, now=datetime.now(UTC), size=SIZE, keep_message_ids=True)
    _feed(instance, made, VICTIMS)
    _everything_is_right(instance, made)
    for victim in VICTIMS[:-1]:
        assert f"{victim} ended" in instance.output, "the supervisor reports what it restarts"


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_many_kills_in_random_order(tmp_path: Path) -> None:
    """Twenty mailboxes of 60,000 mails, a random process killed in each, by three workers: no differing cell."""
    size = CompanySize(members=ROUNDS, copies=60_000)
    made = generate(tmp_path / "mailboxes", seed=11, now=datetime.now(UTC), size=size, keep_message_ids=True)
    chosen = random.Random(11)
    with stack(tmp_path / "instance", workers=3) as instance:
        _feed(instance, made, [chosen.choice(VICTIMS) for _ in range(ROUNDS)])
        _everything_is_right(instance, made)


def _feed(instance: RunningStack, made: GeneratedCompany, victims: Sequence[str]) -> None:
    loaded = instance.rapport("directory", "load", str(made.directory), "--tenant", TENANT)
    assert loaded.returncode == 0, loaded.stderr
    for victim, (member, mailbox) in zip(victims, made.mailboxes.items(), strict=True):
        ingest = ["ingest", "mbox", str(mailbox), "--tenant", TENANT, "--member", member]
        wait_until(lambda name=victim: _is_alive(instance, name), seconds=120)  # type: ignore[misc]
        _ingest_and_kill(instance, ingest, victim)
        repeated = instance.rapport(*ingest, seconds=200)
        assert repeated.returncode == 0, f"{victim}: {repeated.stderr}"


def _everything_is_right(instance: RunningStack, made: GeneratedCompany) -> None:
    _wait_until_alive(instance)
    wait_for_visible(instance.settings, TENANT, timeout_seconds=1200)
    numbers = compare_numbers(instance.endpoints, made)
    numbers.add(compare_conversations(instance.settings, instance.endpoints, made))
    assert numbers.equal, numbers.differences[:10]


def _is_alive(instance: RunningStack, name: str) -> bool:
    """Announced and running: one that was killed a moment ago has announced itself, too."""
    if name in ("ingest", "kafka"):
        return True
    pid = ready_pid(instance.settings, name)
    return pid is not None and psutil.pid_exists(pid)


def _ingest_and_kill(instance: RunningStack, ingest: list[str], victim: str) -> None:
    """Starts the ingest and kills the victim as soon as the log has grown by what this run published."""
    pid = None if victim == "ingest" else _pid(instance, victim)
    command = [*RAPPORT, *ingest]
    before = _raw_bytes(instance)
    running = subprocess.Popen(
        command, env=instance.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    wait_until(lambda: _raw_bytes(instance) > before or running.poll() is not None, seconds=120)
    if pid is None:
        running.kill()
    else:
        os.kill(pid, signal.SIGKILL)
    running.communicate(timeout=200)


def _pid(instance: RunningStack, name: str) -> int:
    if name != "kafka":
        return instance.pid(name)
    children = psutil.Process(instance.process.pid).children(recursive=True)
    return next(child.pid for child in children if child.name() == "java")


def _raw_bytes(instance: RunningStack) -> int:
    """Bytes of the raw log on disk: grows as soon as a page is published."""
    folders = (instance.home / "kafka").rglob("rapport.mail.raw.backfill.v1-*/*.log")
    return sum(path.stat().st_size for path in folders)


def _wait_until_alive(instance: RunningStack) -> None:
    doctor = instance.rapport("doctor", "--wait", "120", seconds=200)
    assert doctor.returncode == 0, doctor.stdout
