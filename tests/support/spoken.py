"""Runs `rapport` commands in this process and holds what they say to the rule: one sentence, the right exit code."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import pytest

from rapport.cli.root import main


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    error: str

    def is_refusal(self, code: int, *words: str) -> str:
        """Checks that it ended with this code and one sentence that holds these words; returns the sentence."""
        lines = self.error.strip().splitlines()
        assert len(lines) == 1, f"not one sentence: {self.error!r} {self.out!r}"
        assert lines[0].startswith("error: "), lines[0]
        assert self.code == code, f"exit {self.code}: {lines[0]}"
        assert "Traceback" not in self.out + self.error
        for word in words:
            assert word in lines[0], f"{word!r} is not in {lines[0]!r}"
        return lines[0].removeprefix("error: ")

    def is_done(self) -> str:
        """Checks that it did what it was told, without a word on stderr; returns what it printed."""
        assert (self.code, self.error) == (0, ""), f"exit {self.code}: {self.error} {self.out}"
        return self.out


@dataclass(frozen=True)
class Spoken:
    """The command line of one home. In this process, so that many refusals cost little."""

    patch: pytest.MonkeyPatch
    captured: pytest.CaptureFixture[str]
    environment: dict[str, str]

    def __call__(self, *arguments: object) -> Said:
        """Runs one command."""
        self.captured.readouterr()
        with self.patch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["rapport", *map(str, arguments)])
            code = _code_of_main()
        printed = self.captured.readouterr()
        return Said(code, printed.out, printed.err)


def _code_of_main() -> int:
    try:
        main()
    except SystemExit as ended:
        code: Any = ended.code
        return code if isinstance(code, int) else int(code is not None)
    return 0
