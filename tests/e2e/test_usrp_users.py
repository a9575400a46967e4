"""A public list's archive through everything: exactly the threads that were computed independently."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpora import SEPARATOR, USRP, corpus, usrp_threads

Run = Callable[..., Any]
pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
MAILBOX = ("--tenant", "usrp", "--member", "m0", "--connection", "list")
COUNTS = ("counts", "--tenant", "usrp", "--days", 3650, "--json", "--by")


def test_copies_messages_and_threads_are_exact_and_stay_so(rapport: Run, tmp_path: Path) -> None:
    """11,424 copies are 11,385 messages in 2,846 threads; ingesting again, or shuffled, changes nothing."""
    archive = corpus(USRP)
    rapport("directory", "load", corpus("usrp-users.directory.json"), "--tenant", "usrp")
    said = rapport("ingest", "mbox", archive, *MAILBOX, "--wait", seconds=400)
    assert "11,424 mails read" in said
    threads = rapport("threads", "--tenant", "usrp", "--json")
    assert (sum(map(len, threads)), len(threads)) == (11_385, 2_846)
    assert threads == usrp_threads()
    first = [rapport(*COUNTS, by) for by in ("member", "customer", "contact")]
    assert first[0]["total"]["emails"] > 0

    assert "nothing new" in rapport("ingest", "mbox", archive, *MAILBOX, "--wait")
    rapport("ingest", "mbox", archive, *MAILBOX, "--again", "--wait", seconds=400)
    shuffled = _shuffled(archive, tmp_path / "shuffled.mbox")
    assert "11,424 mails read" in rapport("ingest", "mbox", shuffled, *MAILBOX, "--wait", seconds=400)
    assert rapport("threads", "--tenant", "usrp", "--json") == threads
    again = [rapport(*COUNTS, by) for by in ("member", "customer", "contact")]
    assert [_numbers(board) for board in again] == [_numbers(board) for board in first]


def test_every_number_equals_its_drill_down(rapport: Run) -> None:
    """As many items are listed as the board counts, for members and for customers."""
    for by in ("member", "customer"):
        board = rapport(*COUNTS, by)
        for row in board["rows"][:5]:
            listed = rapport("items", "--tenant", "usrp", f"--{by}", row["id"], "--days", 3650, "--json")
            found = listed["items"] if isinstance(listed, dict) else listed
            assert len(found) == row["emails"], row["name"]


def test_a_message_an_address_and_a_stranger_are_explained(rapport: Run) -> None:
    """Why is this here, and why is that not."""
    message_id = usrp_threads()[0][0]
    assert rapport("explain", message_id, "--tenant", "usrp", "--json")
    assert rapport("explain", "usrp-users@lists.ettus.com", "--tenant", "usrp")


def _shuffled(archive: Path, target: Path) -> Path:
    mails = gzip.decompress(archive.read_bytes()).split(SEPARATOR)[1:]
    random.Random(1).shuffle(mails)
    target.write_bytes(b"".join(SEPARATOR + mail for mail in mails))
    return target


def _numbers(board: dict[str, object]) -> dict[str, object]:
    """A board without its window, which ends now."""
    return {name: value for name, value in board.items() if name != "window"}
