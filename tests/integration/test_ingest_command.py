"""`rapport ingest` against a real broker."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from local_stack import TestBroker, kafka_broker, why_no_kafka
from rapport.kafka import consumer, ensure_topics, producer, wire
from rapport.settings import Endpoints
from rapport.topic_reader import read_all
from rapport_processors.directory_settings import tenant_json
from rapport_schemas.records import DirectoryEntry
from rapport_schemas.topics import CALENDAR_RAW, CURSORS, DIRECTORY, MAIL_RAW, Lane, Topic, composite_key

pytestmark = pytest.mark.stack
FROM = b"From someone@example.com Thu Jan  1 00:00:00 1970\n"
MAILS = 40_000


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestBroker]:
    """A broker of its own: these tests kill it."""
    reason = why_no_kafka()
    if reason:
        pytest.skip(reason)
    with kafka_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def where(broker: TestBroker) -> Endpoints:
    """The broker with topics, a tenant that looks one month back, and one member in the directory."""
    found = Endpoints(broker.bootstrap, "http://127.0.0.1:9/none", None, "", None)
    ensure_topics(found)
    settings = tenant_json("Europe/Stockholm", {"history_months": 1})
    member: DirectoryEntry = {
        "tenant": "acme",
        "kind": "member",
        "id": "m1",
        "name": "",
        "customer": "",
        "addresses": [],
        "domains": [],
        "member": "",
        "contact": "",
        "settings": "",
        "recorded_at": 0,
        "deleted": False,
        "mark": None,
        "former": [],
    }
    tenant: DirectoryEntry = {**member, "kind": "tenant", "id": "acme", "settings": settings}
    client, encode = producer(found), wire(found).encode
    for entry in (member, tenant):
        key = composite_key("acme", entry["kind"], entry["id"])
        client.produce(DIRECTORY.name, encode("directory_entry", entry), key=key)
    assert client.flush(30) == 0
    return found


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An mbox of many small mails."""
    path = tmp_path / "box.mbox"
    path.write_bytes(
        b"".join(FROM + b"Subject: %d\nX: %s\n\ntext\n\n" % (n, b"y" * 300) for n in range(MAILS))
    )
    return path


def command(where: Endpoints, archive: Path, *options: str, kind: str = "mbox") -> subprocess.Popen[str]:
    variables = {
        "RAPPORT_KAFKA": where.kafka,
        "RAPPORT_CLICKHOUSE": where.clickhouse,
        "RAPPORT_HOME": str(archive.parent),
    }
    # A test run in the background ignores Ctrl-C, and would hand that on.
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from rapport.cli import ingest as it\n"
    code += "from rapport_core.errors import RapportError\n"
    code += (
        "try: it.app()\nexcept RapportError as e: print('error:', e, file=sys.stderr); sys.exit(e.exit_code)"
    )
    line = [sys.executable, "-c", code, kind, str(archive), "--tenant", "acme", *options]
    return subprocess.Popen(
        line, env={**os.environ, **variables}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=120)
    return process.returncode, out.strip(), error.strip()


def published(where: Endpoints, connection: str, topic: Topic = MAIL_RAW[Lane.BACKFILL]) -> int:
    """Changes in the pages of a connection."""
    decode = wire(where)
    key = composite_key("acme", connection)
    with closing(consumer(where, "test")) as reader:
        pages = [message.value() for message in read_all(reader, topic) if message.key() == key]
    return sum(decode.decode("page", page)["count"] for page in pages)


def until_a_cursor(where: Endpoints, connection: str, process: subprocess.Popen[str]) -> None:
    """Waits until the run has saved how far it is, so that there is something to continue."""
    deadline = time.monotonic() + 60
    key = composite_key("acme", connection)
    with closing(consumer(where, "test")) as reader:
        while sum((message.key() or b"").startswith(key) for message in read_all(reader, CURSORS)) < 2:
            assert process.poll() is None, "it ended before it could be interrupted"
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_an_archive_is_ingested_once(where: Endpoints, archive: Path) -> None:
    """The second time there is nothing to do; --again repeats; the connection's name comes from member and file."""
    code, out, error = finish(command(where, archive, "--member", "m1"))
    assert (code, error) == (0, "")
    assert out == f"box.mbox: {MAILS:,} mails read, {MAILS:,} published, 0 dead-lettered"
    assert published(where, "archive-m1-box") == MAILS
    assert finish(command(where, archive, "--member", "m1")) == (
        0,
        f"box.mbox: already ingested {MAILS:,} mails; nothing new",
        "",
    )
    assert published(where, "archive-m1-box") == MAILS
    code, out, _ = finish(command(where, archive, "--member", "m1", "--again"))
    assert (code, published(where, "archive-m1-box")) == (0, 2 * MAILS)


def test_a_calendar_is_ingested_in_the_window_of_its_tenant(where: Endpoints, tmp_path: Path) -> None:
    """One month back by its setting, six ahead; the connection is the calendar's own."""
    path = tmp_path / "elin.ics"
    rule = "DTSTART;VALUE=DATE:20200101\nRRULE:FREQ=DAILY"
    path.write_text(f"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\n{rule}\nEND:VEVENT\nEND:VCALENDAR\n")
    code, out, error = finish(command(where, path, "--member", "m1", kind="ics"))
    assert (code, error) == (0, "")
    [shown] = re.findall(
        r"^elin\.ics: 1 events read, (\d+) meetings published, 0 dead-lettered$", out, re.MULTILINE
    )
    assert 28 + 181 < int(shown) < 32 + 186
    # Besides them one change says that the single event of that UID is a series now.
    assert published(where, "calendar-m1-elin", CALENDAR_RAW[Lane.BACKFILL]) == int(shown) + 1
    again = finish(command(where, path, "--member", "m1", kind="ics"))
    assert again == (0, "elin.ics: already ingested 1 events; nothing new", "")


def test_an_unknown_member_is_wrong_use(where: Endpoints, archive: Path) -> None:
    """The sentence says how to load the directory."""
    code, out, error = finish(command(where, archive, "--member", "nobody"))
    assert (code, out) == (2, "")
    assert error == (
        "error: the directory of acme has no member nobody: load it with `rapport directory load FILE --tenant acme`"
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_ingest_continues(where: Endpoints, archive: Path, how: signal.Signals) -> None:
    """By Ctrl-C, which says so, or by a kill: a repeat publishes the rest."""
    name = f"interrupted-{how.name}"
    process = command(where, archive, "--member", "m1", "--connection", name)
    until_a_cursor(where, name, process)
    process.send_signal(how)
    code, _, error = finish(process)
    assert code == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert ("run the same command again" in error) == (how == signal.SIGINT)
    code, out, error = finish(command(where, archive, "--member", "m1", "--connection", name))
    assert (code, error) == (0, "")
    assert "were ingested before" in out
    assert MAILS <= published(where, name) < MAILS * 1.5


def test_kafka_killed_in_the_middle_and_back_loses_nothing(
    broker: TestBroker, where: Endpoints, archive: Path
) -> None:
    """A broker that comes back within a minute is waited for."""
    process = command(where, archive, "--member", "m1", "--connection", "restart")
    until_a_cursor(where, "restart", process)
    broker.kill()
    broker.start()
    code, _, error = finish(process)
    assert code == 0, error
    assert published(where, "restart") == MAILS
