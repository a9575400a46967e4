"""Bad input and broken services of a real instance: one sentence each, and after the cure nothing is lost or doubled."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from letters import DIRECTORY, FROM, TENANT, mail, mbox
from local_stack import RAPPORT, RunningStack, stack, wait_until, why_no_kafka
from rapport.kafka import flush, producer
from rapport_producers import session
from rapport_producers.publisher import Publisher
from rapport_schemas.topics import MAIL_RAW, Lane
from spoken import Spoken

pytestmark = [pytest.mark.stack, pytest.mark.alone, pytest.mark.timeout(300)]
OWNER = ("--tenant", TENANT, "--member", "m1")
ENOUGH_PAGES = 200
"""So many mails of 20 KB headers are nine pages."""


@pytest.fixture
def say(
    instance: RunningStack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Spoken:
    """Commands of the shared instance, whose directory is loaded."""
    names = {name: value for name, value in instance.environment.items() if name.startswith("RAPPORT_")}
    say = Spoken(monkeypatch, capsys, names)
    say(
        "directory", "load", written(tmp_path / "directory.json", json.dumps(DIRECTORY)), *OWNER[:2]
    ).is_done()
    return say


@pytest.fixture
def grown(say: Spoken) -> Callable[[], int]:
    """Says how many mails the board counts more than when the test began."""
    before = _emails(say)
    return lambda: _emails(say) - before


def _emails(say: Spoken) -> int:
    counted = json.loads(say("counts", "--tenant", TENANT, "--by", "member", "--json").is_done())
    return int(counted["total"]["emails"])


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def ingest(say: Spoken, path: Path, kind: str = "mbox", *more: str) -> Any:
    return say("ingest", kind, path, *OWNER, *more)


def test_an_unknown_tenant_is_one_sentence(say: Spoken) -> None:
    for command in (("counts", "--by", "member"), ("items",), ("threads",), ("explain", "x@kund.se")):
        say(*command, "--tenant", "acme2").is_refusal(2, "no tenant 'acme2'", "rapport directory load")
    say("directory", "show", "--tenant", "acme2").is_refusal(2, "rapport directory load FILE --tenant acme2")


def test_an_unknown_member_is_one_sentence_and_works_once_it_is_loaded(
    say: Spoken, tmp_path: Path, grown: Callable[[], int]
) -> None:
    box = written(tmp_path / "m9.mbox", mbox(3, "m9"))
    command = ("ingest", "mbox", box, "--tenant", TENANT, "--member", "m9")
    say(*command).is_refusal(2, "no member m9", f"rapport directory load FILE --tenant {TENANT}")
    more = {**DIRECTORY, "members": [*DIRECTORY["members"], {"id": "m9", "addresses": ["nine@acme.com"]}]}
    file = written(tmp_path / "more.json", json.dumps(more))
    say("directory", "load", file, "--tenant", TENANT).is_done()
    assert "3 published" in say(*command, "--wait").is_done()
    assert grown() == 3


def test_a_large_prune_without_a_terminal_asks_for_yes(say: Spoken, tmp_path: Path) -> None:
    """Nothing is changed before it is said."""
    two = {**DIRECTORY, "contacts": [*DIRECTORY["contacts"], {"id": "p2", "addresses": ["y@kund.se"]}]}
    say("directory", "load", written(tmp_path / "two.json", json.dumps(two)), *OWNER[:2]).is_done()
    show = ("directory", "show", "--tenant", TENANT, "--json")
    before = say(*show).is_done()
    prune = (
        "directory",
        "load",
        written(tmp_path / "one.json", json.dumps(DIRECTORY)),
        *OWNER[:2],
        "--prune",
    )
    say(*prune).is_refusal(1, "% of the directory", "nothing was changed", "repeat with --yes")
    assert say(*show).is_done() == before
    assert "deleted" in say(*prune, "--yes").is_done()
    assert "p2" not in say(*show).is_done()


def test_what_is_no_mbox_is_one_sentence_and_its_right_command_works(
    say: Spoken, tmp_path: Path, grown: Callable[[], int]
) -> None:
    one = written(tmp_path / "one.eml", mail("single"))
    ingest(say, one).is_refusal(2, str(one), "is not an mbox", "rapport ingest eml")
    assert "1 published" in ingest(say, one, "eml", "--wait").is_done()
    assert grown() == 1


def test_a_file_that_cannot_be_read_is_one_sentence(say: Spoken, tmp_path: Path) -> None:
    """Permissions stop root nowhere, so it is a file whose reading fails, and one that permissions do stop."""
    ingest(say, Path("/proc/self/mem")).is_refusal(2, "cannot read /proc/self/mem", "check the path")
    if os.geteuid() != 0:
        locked = written(tmp_path / "locked.mbox", mbox(1))
        locked.chmod(0)
        ingest(say, locked).is_refusal(2, "cannot read", "permissions")


def test_a_truncated_gzip_is_read_as_far_as_it_goes_and_the_whole_file_adds_the_rest(
    say: Spoken, tmp_path: Path, grown: Callable[[], int]
) -> None:
    whole = gzip.compress(mbox(40, "packed", padding=3000))
    box = written(tmp_path / "packed.mbox.gz", whole[: len(whole) // 2])
    sentence = ingest(say, box, "mbox", "--wait").is_refusal(2, "ends too early", "fetch the file again")
    assert "whole mails, which are published" in sentence
    written(box, whole)
    ingest(say, box, "mbox", "--wait").is_done()
    assert grown() == 40
    assert "nothing new" in ingest(say, box).is_done()


def test_poison_is_set_aside_with_origin_and_reason_and_the_rest_goes_on(
    say: Spoken, instance: RunningStack, tmp_path: Path, grown: Callable[[], int]
) -> None:
    """Bytes that are no page, a mail without a header, a mail file that cannot be unpacked."""
    before = _dead(say)
    client = producer(instance.endpoints)
    for value in (b"", b"no avro", b"\x00\x00\x00\x00\x01broken", b"\x00\x00\x00\x00\x63other schema"):
        client.produce(MAIL_RAW[Lane.LIVE].name, value, key=b"poison", partition=2)
    flush(client)
    box = mbox(2, "before-poison") + FROM + b"\nno header at all, just text\n\n" + mbox(2, "after-poison")
    files = tmp_path / "files"
    files.mkdir()
    written(files / "sound.eml", mail("sound"))
    written(files / "cut.eml.gz", gzip.compress(mail("cut"))[:-20])
    assert "5 mails read" in ingest(say, written(tmp_path / "poison.mbox", box), "mbox", "--wait").is_done()
    assert "1 dead-lettered" in ingest(say, files, "eml", "--wait").is_done()
    assert grown() == 5
    letters = [letter for key, letter in _dead(say).items() if key not in before]
    reasons = sorted(letter["reason"] for letter in letters)
    assert len(letters) == 6, reasons
    assert {"no_headers", "unreadable"} <= set(reasons)
    live = MAIL_RAW[Lane.LIVE].name
    assert sum(letter["origin"].startswith(f"{live}:2:") for letter in letters) == 4, letters
    told = json.loads(say("status", "--json").is_done())["dead_letters"]
    assert sum(told.values()) == len(before) + len(letters)
    for letter in letters:
        shown = say("dlq", "show", letter["id"]).is_done()
        assert letter["origin"] in shown
        assert letter["reason"] in shown
        assert "just text" not in shown
    say("dlq", "show", "unknown").is_refusal(2, "rapport dlq list")


def _dead(say: Spoken) -> dict[str, Any]:
    return {letter["id"]: letter for letter in json.loads(say("dlq", "list", "--json").is_done())}


def test_a_kafka_that_stops_answering_in_the_middle_ends_an_ingest_and_a_repeat_continues(
    say: Spoken,
    instance: RunningStack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    grown: Callable[[], int],
) -> None:
    """The broker is frozen behind the second page. The patience of a minute is cut to seconds."""
    box = written(tmp_path / "frozen.mbox", mbox(ENOUGH_PAGES, "frozen", padding=20_000))
    broker = _broker(instance)

    class Freezing(Publisher[Any]):
        """Freezes the broker behind its second page."""

        def page(self, *arguments: Any) -> None:
            super().page(*arguments)
            self.pages = getattr(self, "pages", 0) + 1
            if self.pages == 2:
                self._patience = 2.0
                broker.suspend()

    try:
        with monkeypatch.context() as patch:
            patch.setattr(session, "Publisher", Freezing)
            said = ingest(say, box)
    finally:
        broker.resume()
    said.is_refusal(69, "Kafka does not take records", "rapport doctor", "run the same command again")
    assert f"{ENOUGH_PAGES} mails read" in ingest(say, box, "mbox", "--wait").is_done()
    assert grown() == ENOUGH_PAGES


def test_a_clickhouse_killed_during_a_wait_ends_it_and_a_repeat_waits_again(
    say: Spoken, instance: RunningStack, tmp_path: Path, grown: Callable[[], int]
) -> None:
    """The sink is frozen meanwhile, so that the wait cannot be over before the kill."""
    box = written(tmp_path / "waited.mbox", mbox(20, "waited"))
    sink = psutil.Process(instance.pid("sink"))
    command = [*RAPPORT, "ingest", "mbox", str(box), *OWNER, "--wait"]
    sink.suspend()
    try:
        with subprocess.Popen(
            command, env=instance.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as waiting:
            assert waiting.stdout is not None
            assert "20 mails read" in waiting.stdout.readline()
            os.kill(instance.pid("clickhouse"), signal.SIGKILL)
            _, error = waiting.communicate(timeout=120)
    finally:
        sink.resume()
    assert waiting.returncode == 69, error
    assert error.startswith("error: ClickHouse ")
    assert "rapport doctor" in error
    assert len(error.splitlines()) == 1
    healthy = instance.rapport("doctor", "--wait", "60")
    assert healthy.returncode == 0, healthy.stdout
    assert "nothing new" in ingest(say, box, "mbox", "--wait").is_done()
    assert grown() == 20


def test_a_second_up_on_the_same_home_is_refused(instance: RunningStack) -> None:
    """The first goes on."""
    second = instance.rapport("up")
    assert second.returncode == 2
    assert second.stderr.startswith(f"error: rapport up already runs under {instance.home}")
    assert len(second.stderr.splitlines()) == 1
    assert instance.process.poll() is None


def _broker(running: RunningStack) -> psutil.Process:
    children = psutil.Process(running.process.pid).children(recursive=True)
    return next(child for child in children if child.name() == "java")


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 400 MiB in memory; skips where none can be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(folder)]
    done = (
        subprocess.run(mount, capture_output=True, text=True, check=False) if shutil.which("mount") else None
    )
    if done is None or done.returncode != 0:
        pytest.skip("no small file system can be mounted here: a full disk is not tried")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(folder: Path) -> Path:
    """Leaves no room at all; returns the file that takes it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - 65536)
            file.seek(0, os.SEEK_END)
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return filler


def test_a_full_disk_is_said_and_heals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Kafka stops where it cannot write; when there is room again it comes back, and a repeat adds what is missing."""
    if reason := why_no_kafka():
        pytest.skip(reason)
    first, second = (written(tmp_path / f"{name}.mbox", mbox(50, name)) for name in ("first", "second"))
    directory = written(tmp_path / "directory.json", json.dumps(DIRECTORY))
    with small_disk(tmp_path / "disk") as disk, stack(disk) as running:
        say = Spoken(monkeypatch, capsys, {"RAPPORT_HOME": str(running.home)})
        say("directory", "load", directory, "--tenant", TENANT).is_done()
        ingest(say, first, "mbox", "--wait").is_done()
        filler = fill(disk)
        with monkeypatch.context() as patch:
            # Minutes of patience, cut to seconds.
            patch.setattr("rapport.kafka._ADMIN_SECONDS", 3.0)
            patch.setattr(session, "Publisher", partial(Publisher, patience=3.0))
            said = ingest(say, second)
        assert said.is_refusal(69, f"the disk under {running.home} is full: free some space")
        assert _emails(say) == 50, "what was there stays readable"
        wait_until(lambda: "is full: free some space" in running.output, running.process, running.log)
        filler.unlink()
        wait_until(lambda: "kafka is back" in running.output, running.process, running.log, seconds=90)
        assert "50 mails read" in ingest(say, second, "mbox", "--wait").is_done()
        assert _emails(say) == 100
