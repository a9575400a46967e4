"""A Microsoft company that lives while the provider stumbles and the connector is killed again and again: every item is right, no token is out."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import psutil
import pytest

from graph.faults import TRANSIENT_KINDS
from local_stack import why_no_kafka
from microsoft_company import TENANT, MicrosoftCompany, address, microsoft_company
from microsoft_life import Item, Life
from rapport.kafka import consumer
from rapport.local.ready import ready_pid
from rapport.store import open_store
from rapport.topic_reader import read_all
from rapport_schemas.topics import CATALOGUE
from rapport_sinks.clickhouse.client import connect

pytestmark = [pytest.mark.stack, pytest.mark.alone, pytest.mark.timeout(600)]
FAULTS = 0.01
MARK = "Brombeerstrauch"
SECRET = re.compile(rb"simulated-(access|refresh|code|client-secret)")
"""What every token, code and secret of the simulated Microsoft begins with."""


@dataclass(frozen=True)
class Story:
    """How much happens. A minute of the story lasts `minute_s` seconds, and in each the connector is killed once."""

    mailboxes: int
    minutes: int
    minute_s: float
    steps_per_s: float
    past: int


def test_twenty_mailboxes_five_minutes(tmp_path: Path) -> None:
    _live(tmp_path, Story(mailboxes=20, minutes=5, minute_s=8.0, steps_per_s=10.0, past=30))


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_hundred_mailboxes_for_an_hour(tmp_path: Path) -> None:
    _live(tmp_path, Story(mailboxes=200, minutes=60, minute_s=30.0, steps_per_s=10.0, past=200))


def _live(folder: Path, story: Story) -> None:
    if reason := why_no_kafka():
        pytest.skip(reason)
    with microsoft_company(folder, story.mailboxes, checked=story.past < 100) as company:
        life = Life(company.simulator, [address(number) for number in range(story.mailboxes)], mark=MARK)
        life.past(story.past)
        _drop_what_is_removed(company)
        company.simulator.faults.rate(FAULTS, *TRANSIENT_KINDS)
        with open_store(company.running.settings, company.running.endpoints) as store:
            for number in range(story.mailboxes):
                company.connect(store, number)
        for minute in range(story.minutes):
            _minute(company, life, story, random.Random(minute))
        company.simulator.faults.clear()
        company.wait_for_first_sync(600)
        _comes_to(company, life, seconds=600)
        assert company.simulator.violations == []
        _nothing_secret_is_out(company)


def _drop_what_is_removed(company: MicrosoftCompany) -> None:
    """So that the end does not depend on what was seen on the way."""
    done = company.running.rapport("settings", "set", "mail_removed", "drop", "--tenant", TENANT, "--wait")
    assert done.returncode == 0, done.stderr


def _minute(company: MicrosoftCompany, life: Life, story: Story, chance: random.Random) -> None:
    begin, killed = time.monotonic(), False
    kill_at = begin + chance.uniform(0.2, 0.9) * story.minute_s
    while (now := time.monotonic()) < begin + story.minute_s:
        life.step()
        if not killed and now >= kill_at and (pid := _connector(company)) is not None:
            os.kill(pid, signal.SIGKILL)
            killed = True
        time.sleep(chance.expovariate(story.steps_per_s))


def _connector(company: MicrosoftCompany) -> int | None:
    """The connector's process id where it is alive and ready."""
    pid = ready_pid(company.running.settings, "connector-0")
    return pid if pid is not None and psutil.pid_exists(pid) else None


def _comes_to(company: MicrosoftCompany, life: Life, seconds: float) -> None:
    """Until exactly what lies in the mailboxes is counted, each item once with everybody who holds it."""
    deadline = time.monotonic() + seconds
    while (found := _items(company)) != (truth := life.truth()):
        missing, more = sorted(truth - found, key=str), sorted(found - truth, key=str)
        assert time.monotonic() < deadline, (
            f"{len(missing)} missing {missing[:5]}, {len(more)} too many {more[:5]}"
        )
        time.sleep(0.5)


def _items(company: MicrosoftCompany) -> set[Item]:
    done = company.running.rapport("items", "--tenant", TENANT, "--days", "40", "--json")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    found = [(row["kind"], _name(row), frozenset(row["members"])) for row in rows]
    assert len(found) == len(set(found)), "an item stands there twice"
    return set(found)


def _name(row: dict[str, Any]) -> str:
    return str(row["message_id"]) if row["kind"] == "email" else f"{row['subject']} {row['at']}"


# -- secrets ----------------------------------------------------------------------------------------------------


def _nothing_secret_is_out(company: MicrosoftCompany) -> None:
    """No token in any log, file, topic or table; no subject or address in any log."""
    token = company.simulator.token(company.mailbox(0))
    assert SECRET.match(token.encode()), "the simulated tokens do not look like what is searched for"
    home = company.running.home
    for file in _files(home):
        data = file.read_bytes()
        assert not SECRET.search(data), f"a token stands in {file.relative_to(home)}"
        if file.parent == home / "logs":
            assert MARK.encode() not in data, f"a subject stands in {file.name}"
            assert not re.search(rb"kund\.se|contoso\.example", data), f"an address stands in {file.name}"
    for place, data in chain(_records(company), _rows(company)):
        assert not SECRET.search(data), f"a token stands in {place}"


def _files(home: Path) -> Iterator[Path]:
    return (file for file in home.rglob("*") if file.is_file() and not file.is_symlink())


def _records(company: MicrosoftCompany) -> Iterator[tuple[str, bytes]]:
    """Every record of every topic, as whoever reads Kafka sees it."""
    for topic in CATALOGUE:
        with closing(consumer(company.running.endpoints, "the-test-that-looks-for-secrets")) as reader:
            for message in read_all(reader, topic):
                yield topic.name, (message.key() or b"") + (message.value() or b"")


def _rows(company: MicrosoftCompany) -> Iterable[tuple[str, bytes]]:
    """Every row of every table."""
    with closing(connect(company.running.endpoints.clickhouse)) as client:
        tables = client.rows("SELECT name FROM system.tables WHERE database = currentDatabase()")
        for table in tables:
            rows = client.rows("SELECT * FROM {table:Identifier}", {"table": table["name"]})
            yield f"table {table['name']}", repr(rows).encode()
