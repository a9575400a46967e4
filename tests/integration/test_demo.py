"""`rapport demo` on the real stack: every cell equal, twice in a row, and a wrong truth is not passed over."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

_LIES = """
import rapport.demo.truth as truth
from dataclasses import replace
judge, attend = truth.judge, truth.attend
truth.judge = lambda letter, company: replace(v, author_member=-1) if (v := judge(letter, company)).author_member == 2 else v
truth.attend = lambda occasion, company: attend(replace(occasion, declined=frozenset()), company)
"""
_NO_CHECKOUT = """
import rapport.demo.microsoft as microsoft
microsoft.simulator_folder = lambda: None
"""
_SMALL = (
    "--copies",
    "1200",
    "--meetings",
    "500",
    "--members",
    "12",
    "--customers",
    "25",
    "--contacts",
    "110",
)


def _demo(home: Path, *options: str, before: str = "") -> subprocess.CompletedProcess[str]:
    code = f"{before}\nfrom rapport.cli.root import main\nmain()"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAPPORT_")} | {
        "RAPPORT_HOME": str(home)
    }
    return subprocess.run(
        [sys.executable, "-c", code, "demo", "--once", *_SMALL, *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def test_demo_finds_every_cell_equal_also_the_second_time(tmp_path: Path) -> None:
    """Two demos in one home, with different stories and settings, end with 0 and say that all cells are equal."""
    for options in (["--seed", "3"], ["--seed", "4", "--match-by", "domain"]):
        done = _demo(tmp_path, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "cells equal" in done.stdout
        assert max(map(cell_len, done.stdout.splitlines())) <= 80
        for shown in (
            "The board",
            "Day by day",
            "meetings, ",
            "Awkward mail",
            "Awkward meetings",
            "conversations, ",
            "6 of 12 members are at the simulated Microsoft 365",
            "first sync of Microsoft 365 has ended",
            "Awkward at Microsoft 365",
        ):
            assert shown in done.stdout


def test_demo_outside_of_a_checkout_says_that_all_mailboxes_are_archives(tmp_path: Path) -> None:
    """Where no simulator is, nothing asks for one, and everything else is as ever."""
    done = _demo(tmp_path, before=_NO_CHECKOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All mailboxes come from archives" in done.stdout
    assert "first sync" not in done.stdout
    assert "cells equal" in done.stdout


def test_demo_with_a_broken_truth_ends_with_one_and_says_where(tmp_path: Path) -> None:
    """A truth that denies what one member wrote and that anybody declined differs, in words, and the command says so."""
    done = _demo(tmp_path, before=_LIES)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "differences in" in done.stdout
    assert "sent is" in done.stdout
    assert "meetings is" in done.stdout
