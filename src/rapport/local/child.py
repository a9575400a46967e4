"""One supervised process: its command, its log, whether it is ready, and why it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_KEPT_LOGS = 3
_TAIL_BYTES = 16 * 1024
_SENTENCE = "error: "


@dataclass(frozen=True, slots=True)
class Part:
    """What is to run. Parts of one stage start together; the stages start in order and stop in reverse.

    Attributes:
        command: makes what must be there first and returns the command; may raise a RapportError.
        is_ready: whether the process of this id does its work.
        environment: all of the process' environment.
        stop_seconds: how long it may take to end in order.
    """

    name: str
    stage: int
    command: Callable[[], Sequence[str]]
    is_ready: Callable[[int], bool]
    environment: Mapping[str, str] = field(repr=False)
    stop_seconds: float = 20.0


class Child:
    """A part that is kept running. Used by one thread, which must live as long as the process should."""

    def __init__(self, part: Part, log: Path) -> None:
        """The log of the last run is kept beside the new one."""
        self.part = part
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.is_ready = False
        self.was_ready = False
        self.started_at = 0.0
        self.next_start_at = 0.0
        self.failures = 0
        self._log_from = 0
        _rotate(log)

    @property
    def name(self) -> str:
        """The part's name."""
        return self.part.name

    def start(self) -> None:
        """Starts the process. Raises what the part's command raises, and OSError."""
        command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py")), str(os.getpid())]
        command += self.part.command()
        self.is_ready = False
        self.started_at = time.monotonic()
        with self.log.open("ab") as log:
            self._log_from = log.tell()
            self.process = subprocess.Popen(
                command,
                env=dict(self.part.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C at a terminal goes to a whole group; the order of stopping is ours to keep.
                start_new_session=True,
            )

    def check_ready(self) -> bool:
        """Whether it has become ready since it was asked last."""
        if self.is_ready or self.process is None or not self.part.is_ready(self.process.pid):
            return False
        self.is_ready = True
        return True

    def ended(self) -> int | None:
        """The exit code when the process has ended since it was asked last, else None."""
        if self.process is None:
            return None
        code = self.process.poll()
        if code is not None:
            self.process = None
            self.is_ready = False
        return code

    def ask_to_stop(self) -> None:
        """SIGTERM; nothing when it does not run."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.terminate()

    def wait_briefly(self, seconds: float) -> bool:
        """Whether it does not run, waiting that long for it."""
        if self.process is not None:
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                return False
            self.process = None
        return True

    def kill(self) -> None:
        """SIGKILL to it and everything it started."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def last_words(self) -> str:
        """Its last error sentence since it was started, else its last line."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(self._log_from, self.log.stat().st_size - _TAIL_BYTES))
                lines = [
                    line.strip()
                    for line in log.read().decode("utf-8", "replace").splitlines()
                    if line.strip()
                ]
        except OSError:
            lines = []
        sentences = [line.removeprefix(_SENTENCE) for line in lines if line.startswith(_SENTENCE)]
        return (sentences or lines or ["it wrote nothing"])[-1][:400]


def how_it_ended(code: int) -> str:
    """An exit code for people."""
    if code < 0:
        return f"killed by signal {-code}"
    return f"exit {code}"


def _rotate(log: Path) -> None:
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = [log, *(log.with_name(f"{log.name}.{number}") for number in range(1, _KEPT_LOGS + 1))]
    for older, newer in reversed(list(zip(names[1:], names, strict=False))):
        if newer.exists():
            newer.replace(older)
