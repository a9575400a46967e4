"""`rapport demo` on the real stack: every cell equal, twice in a row, and a wrong truth is not passed over."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

_LIE = """
import rapport.demo.truth as truth
from dataclasses import replace
real = truth.judge
truth.judge = lambda letter, company: replace(v, author_member=-1) if (v := real(letter, company)).author_member == 2 else v
"""


def _demo(home: Path, *options: str, before: str = "") -> subprocess.CompletedProcess[str]:
    code = f"{before}\nfrom rapport.cli.root import main\nmain()"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAPPORT_")} | {
        "RAPPORT_HOME": str(home)
    }
    return subprocess.run(
        [sys.executable, "-c", code, "demo", "--once", "--copies", "1200", *options],
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
        assert max(map(len, done.stdout.splitlines())) <= 80


def test_demo_with_a_broken_truth_ends_with_one_and_says_where(tmp_path: Path) -> None:
    """A truth that denies what one member wrote differs, in words, and the command says so."""
    done = _demo(tmp_path, before=_LIE)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "differences in" in done.stdout
    assert "sent is" in done.stdout
