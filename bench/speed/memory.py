"""How much memory every process of an instance has had."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import psutil

from speed.background import Background

_SAMPLE_SECONDS: Final = 0.25
THIS: Final = "this command"


class PeakMemory(Background):
    """Samples the resident memory of this process and of everything it started, by name."""

    def __init__(self) -> None:
        super().__init__(_SAMPLE_SECONDS)
        self.peaks: dict[str, int] = defaultdict(int)

    def look(self) -> None:
        """Takes one sample."""
        for name, size in _sizes():
            self.peaks[name] = max(self.peaks[name], size)

    def now(self, name: str) -> int:
        """What it has at this moment; 0 where it is not there."""
        return next((memory for found, memory in _sizes() if found == name), 0)


def _sizes() -> Iterator[tuple[str, int]]:
    """Every process by its name, with its resident bytes."""
    own = psutil.Process()
    for process in [own, *own.children(recursive=True)]:
        with suppress(psutil.Error):
            yield THIS if process.pid == own.pid else _name(process), process.memory_info().rss


def _name(process: psutil.Process) -> str:
    line = process.cmdline()
    for word in line:
        if word.startswith("rapport.processes."):
            part = word.rpartition(".")[2]
            return f"worker-{process.environ().get('RAPPORT_WORKER', '0')}" if part == "worker" else part
    return "kafka" if process.name() == "java" else process.name()
