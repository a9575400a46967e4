"""A mailbox is erased from a running instance: of what only it held nothing is found anywhere, and what others hold stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final

import pytest

from local_stack import RunningStack, stack, wait_until, why_no_kafka
from rapport.erasing.order import KIND
from rapport.kafka import consumer
from rapport.kafka import wire as new_wire
from rapport.store import open_store
from rapport.topic_reader import read_all
from rapport_schemas.sealing import unseal
from rapport_schemas.topics import ITEMS, composite_key
from rapport_sinks.clickhouse.client import connect

pytestmark = [pytest.mark.stack, pytest.mark.timeout(420)]

TENANT: Final = "acme"
MEMBERS: Final = ("m1", "m2", "m3")
MARKS: Final = {"m1": "zq7plantedone3kx", "m2": "wv4plantedtwo8py"}
"""Stand in the addresses, names, subjects and texts of what only these mailboxes hold. The third one's stay."""
GONE_SECONDS: Final = 60.0
SUPPORT: Final = Path(__file__).resolve().parents[1] / "support"
UP: Final = (sys.executable, "-m", "hasty_processes.up")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[RunningStack]:
    """An instance in which nothing waits for an hour, with a directory of two members and a customer."""
    reason = why_no_kafka()
    if reason:
        pytest.skip(reason)
    path = os.pathsep.join(filter(None, (str(SUPPORT), os.environ.get("PYTHONPATH"))))
    with stack(tmp_path / "instance", command=UP, environment={"PYTHONPATH": path}, seconds=200.0) as running:
        directory = tmp_path / "directory.json"
        directory.write_text(json.dumps(_directory()), "utf-8")
        _done(running, "directory", "load", str(directory), "--tenant", TENANT)
        for member in ("m1", "m2", "m3"):
            mails = [*_own(member), _shared(member)]
            box = tmp_path / f"{member}.mbox"
            box.write_bytes(b"".join(mails))
            _done(
                running,
                "ingest",
                "mbox",
                str(box),
                "--tenant",
                TENANT,
                "--member",
                member,
                "--connection",
                member,
            )
        yield running


def _directory() -> dict[str, Any]:
    return {
        "tenant": {"id": TENANT, "timezone": "UTC", "own_domains": ["acme.com"], "settings": {}},
        "members": [
            {"id": f"m{n}", "name": f"Member {n}", "addresses": [f"m{n}@acme.com"]} for n in (1, 2, 3)
        ],
        "customers": [{"id": "c1", "name": "Kund", "domains": ["kund.se"]}],
        "contacts": [{"id": "p1", "name": "Xenia", "customer": "c1", "addresses": ["x@kund.se"]}],
    }


def _mail(name: str, sender: str, to: str, subject: str, text: str = "Hello", *, cc: str = "") -> bytes:
    at = format_datetime(datetime.now(UTC) - timedelta(days=2))
    copied = f"Cc: {cc}\n" if cc else ""
    return (
        f"From x@y Thu Jan  1 00:00:00 1970\nFrom: {sender}\nTo: {to}\n{copied}Subject: {subject}\n"
        f"Date: {at}\nMessage-ID: <{name}@mail.example>\n\n{text}\n\n"
    ).encode()


def _own(member: str) -> list[bytes]:
    """A mail that counts, one of a stranger, and one with a contact's colleague; each only in this mailbox."""
    mark, owner = MARKS.get(member, "plain"), f"{member}@acme.com"
    return [
        _mail(f"{member}-1", f"{mark} <x@kund.se>", owner, f"About {mark}", f"Text {mark}"),
        _mail(f"{member}-2", f"A <{mark}@stranger.example>", owner, f"Unknown {mark}"),
        _mail(f"{member}-3", "x@kund.se", owner, f"Copied {mark}", cc=f"{mark} <{mark}@kund.se>"),
    ]


def _shared(member: str) -> bytes:
    """One mail that is in all mailboxes; how a copy names its owner differs."""
    to = [f"{MARKS.get(one, 'Member') if one == member else one} <{one}@acme.com>" for one in MEMBERS]
    return _mail("shared", "x@kund.se", ", ".join(to), "To all")


def _run(running: RunningStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hasty_processes.command", *arguments]
    return subprocess.run(
        command, env=running.environment, capture_output=True, text=True, timeout=120, check=False
    )


def _done(running: RunningStack, *arguments: str) -> str:
    done = _run(running, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_erased_mailbox_is_nowhere_and_kept_counts_stay(instance: RunningStack) -> None:
    """Topics, state, tables, store and logs are searched, as files, for what was readable and for what was sealed."""
    before = _counts(instance)
    assert _emails(before) == {"m1": 3, "m2": 3, "m3": 3, "c1": 7}
    sealed = _sealed_rows(instance)
    planted = [mark.encode() for mark in MARKS.values()]
    found = _where(instance, [*planted, *sealed])
    assert {path.relative_to(instance.home).parts[0] for path in found} >= {"kafka", "clickhouse"}
    keys = _page_keys(instance)
    assert set(keys) == set(MEMBERS)

    said = json.loads(_disconnect(instance, "m1", "--erase"))
    assert (said["items"], said["done"]) == (3, True)
    erased = _counts(instance)
    assert _emails(erased) == {"m1": 1, "m2": 3, "m3": 3, "c1": 5}

    assert json.loads(_disconnect(instance, "m2", "--keep-counts"))["done"]
    assert _counts(instance) == erased
    assert [_is_readable(instance, key) for key in (keys["m1"], keys["m2"], keys["m3"])] == [
        False,
        False,
        True,
    ]
    _done(instance, "directory", "set", "contact", "p1", "--name", "Renamed", "--tenant", TENANT, "--wait")
    assert _counts(instance)["m2"] == erased["m2"]

    def is_gone() -> bool:
        time.sleep(0.5)
        return not _where(instance, [*planted, *sealed])

    try:
        wait_until(is_gone, instance.process, instance.log, GONE_SECONDS)
    except AssertionError:
        left = [path.relative_to(instance.home) for path in _where(instance, [*planted, *sealed])]
        pytest.fail(f"left in {left}")
    wait_until(lambda: not _jobs(instance), instance.process, instance.log)
    refused = _run(instance, "disconnect", "m1", "--tenant", TENANT, "--erase", "--yes")
    assert refused.returncode != 0
    assert "disconnected already" in refused.stderr


def _disconnect(running: RunningStack, connection: str, how: str) -> str:
    return _done(running, "disconnect", connection, "--tenant", TENANT, how, "--yes", "--json")


def _counts(running: RunningStack) -> dict[str, dict[str, Any]]:
    """The numbers of each member and of the customer."""
    found: dict[str, dict[str, Any]] = {}
    for kind in ("member", "customer"):
        said = json.loads(_done(running, "counts", "--tenant", TENANT, "--by", kind, "--json"))
        found |= {row["id"]: {**row, "name": ""} for row in said["rows"]}
    return found


def _emails(counts: dict[str, dict[str, Any]]) -> dict[str, int]:
    return {name: row["emails"] for name, row in counts.items()}


def _sealed_rows(running: RunningStack) -> list[bytes]:
    """The beginnings of what is sealed of mails that only the two mailboxes hold: random bytes, which nothing else has."""
    wire = new_wire(running.endpoints)
    with open_store(running.settings, running.endpoints) as store:
        key = store.keys.tenant_keys(TENANT).seal
    found = []
    with closing(consumer(running.endpoints, "test-erasing")) as reader:
        for message in read_all(reader, ITEMS):
            item = None if message.value() is None else wire.decode("item", message.value())
            if item is None or item["mark"] is not None or not item["sealed"]:
                continue
            context = composite_key("item", TENANT, item["item_id"])
            if any(mark.encode() in unseal(key, item["sealed"], context) for mark in MARKS.values()):
                found.append(item["sealed"][1:25])
    assert len(found) >= 6
    return found


_EMPTY: Final = (".index", ".timeindex", ".lock")
"""Kafka's indexes hold offsets, in ten megabytes each."""


def _where(running: RunningStack, patterns: Sequence[bytes]) -> list[Path]:
    """The files in which one of the patterns stands. Parts that ClickHouse has merged into others are left to ClickHouse."""
    with closing(connect(running.endpoints.clickhouse)) as client:
        merged = {row["name"] for row in client.rows("SELECT name FROM system.parts WHERE NOT active")}
    found = []
    for path in running.home.rglob("*"):
        if path.suffix in _EMPTY or (path.parent.name in merged and "clickhouse" in path.parts):
            continue
        try:
            content = path.read_bytes() if path.is_file() else b""
        except OSError:  # gone meanwhile
            continue
        if any(pattern in content for pattern in patterns):
            found.append(path)
    return found


def _page_keys(running: RunningStack) -> dict[str, str]:
    with open_store(running.settings, running.endpoints) as store:
        return {member: store.keys.new_page_key(TENANT, member) for member in MEMBERS}


def _is_readable(running: RunningStack, key_id: str) -> bool:
    with open_store(running.settings, running.endpoints) as store:
        return store.keys.page_key(key_id) is not None


def _jobs(running: RunningStack) -> list[str]:
    with open_store(running.settings, running.endpoints) as store:
        return [member for member in MEMBERS if store.jobs.of(TENANT, member, KIND) is not None]
