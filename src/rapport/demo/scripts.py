"""What a mailbox or calendar at Microsoft 365 goes through, written down step by step for whoever plays Microsoft.

A script is a file of JSON objects, a line each. `do` says what happens, `as` names what comes of it, `what` and `folder` what was named before
(or a well-known folder); the rest is what it needs. There are two for each mailbox and calendar: what it is at first, and what happens later.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ENDING: Final = ".microsoft.jsonl"
_LATER: Final = ".microsoft-later.jsonl"
_BUFFER: Final = 256


class Script:
    """The two files of one mailbox or calendar, with none of them open between two writes."""

    def __init__(self, path: Path) -> None:
        """`path` ends with ENDING; what was there is gone."""
        self._paths = (path, later_of(path))
        self._lines: tuple[list[str], list[str]] = ([], [])
        for one in self._paths:
            one.write_bytes(b"")

    def first(
        self, do: str, told: bytes = b"{}", /, *, called: str = "", **more: str | int | list[str]
    ) -> None:
        """Something that is so at first. `told` is a JSON object that is part of it; `called` names what comes of it."""
        self._add(0, do, told, called, more)

    def later(
        self, do: str, told: bytes = b"{}", /, *, called: str = "", **more: str | int | list[str]
    ) -> None:
        """Something that happens later."""
        self._add(1, do, told, called, more)

    def close(self) -> None:
        """Write what is still held back."""
        for which in (0, 1):
            self._flush(which)

    def _add(self, which: int, do: str, told: bytes, called: str, more: Mapping[str, object]) -> None:
        named = {"as": called} if called else {}
        begin = json.dumps({"do": do, **named, **more})[:-1]
        rest = told.decode()[1:]
        self._lines[which].append(f"{begin}{'' if rest == '}' else ', '}{rest}\n")
        if len(self._lines[which]) >= _BUFFER:
            self._flush(which)

    def _flush(self, which: int) -> None:
        with self._paths[which].open("a", encoding="utf-8") as file:
            file.writelines(self._lines[which])
        self._lines[which].clear()


def later_of(path: Path) -> Path:
    """Where what happens later stands, beside what is so at first."""
    return path.with_name(path.name.removesuffix(ENDING) + _LATER)
