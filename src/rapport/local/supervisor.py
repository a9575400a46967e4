"""Runs an instance: starts its parts in order, keeps them running, stops them in reverse.

One thread does all of it, because the kernel ties a child's life to the thread that started it. `with
Supervisor(settings) as up:` returns when everything is ready and stops everything at the end; `rapport up` and
`rapport demo` are two users of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from rapport.kafka import ensure_topics
from rapport.local import instance, parts, ready
from rapport.local.child import Child, how_it_ended
from rapport.settings import Endpoints, Settings, endpoints
from rapport_core.errors import ConfigError, InvariantError, RapportError, UnavailableError

_TICK_SECONDS = 0.05
_STEADY_TICK_SECONDS = 0.2
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 60.0
_PATIENCE = 3
"""A part that ended so often in a row is reported with its reason; while starting, that ends the start."""

Report = Callable[[str], None]


class Supervisor:
    """An instance under one home folder.

    Args:
        settings: what to run and where.
        report: told in one line when a part ends, comes back or does not start.
        progress: told what is being waited for during the start.
        modules: package of the process modules; tests have one of their own.
    """

    def __init__(
        self,
        settings: Settings,
        report: Report = lambda _: None,
        progress: Report = lambda _: None,
        modules: str = parts.MODULES,
    ) -> None:
        self.settings = settings
        self._report = report
        self._progress = progress
        self._modules = modules
        self._lock: IO[str] | None = None
        self._children: list[Child] = []
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._hurrying = threading.Event()
        self._failure: RapportError | None = None
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        """Returns when every part is ready, or when it was asked to stop meanwhile.

        Raises:
            ConfigError: another instance has this home, a port is taken, Java is missing, the home cannot be written.
            UnavailableError: the disk is full, an external service is away, or a part does not start.
        """
        self._prepare()
        self._thread.start()
        try:
            # In short waits, so that a signal reaches this thread.
            while not self._ready.wait(0.2):
                pass
        except BaseException:
            self.close()
            raise
        if self._failure is not None:
            self.close()
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def endpoints(self) -> Endpoints:
        """Where the services are."""
        return endpoints(self.settings)

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping.is_set()

    def request_stop(self) -> None:
        """Asks for an end, in order; may be called from a signal handler. A second time: at once."""
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()

    def wait(self) -> None:
        """Returns when the instance has been asked to stop and everything has ended.

        Raises what ended it otherwise.
        """
        self._join()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Stops everything and gives the home free. Safe to repeat."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._join()
        if self._lock is not None:
            instance.forget(self.settings.home)
            self._lock.close()
            self._lock = None

    def _join(self) -> None:
        while self._thread.is_alive():
            # In short waits, so that a signal reaches this thread.
            self._thread.join(0.2)

    def _prepare(self) -> None:
        home = self.settings.home
        instance.make_private_folder(home)
        _check_space(home)
        self._lock = instance.take_lock(home)
        try:
            ready.forget_all(self.settings)
            found = parts.choose(self.settings)
            instance.write(home, found)
            self._children = [
                Child(part, home / "logs" / f"{part.name}.log")
                for part in parts.parts(self.settings, found, self._modules)
            ]
        except OSError as error:
            self.close()
            raise instance.folder_error(home, error) from error
        except BaseException:
            self.close()
            raise

    def _run(self) -> None:
        """The supervising thread: its end is the end of every child."""
        try:
            self._start_all()
            self._ready.set()
            while not self._stopping.wait(_STEADY_TICK_SECONDS):
                self._tend(self._children, is_starting=False)
        except RapportError as error:
            self._failure = error
        except OSError as error:
            self._failure = instance.folder_error(self.settings.home, error)
        finally:
            self._stop_all()
            self._ready.set()

    def _start_all(self) -> None:
        for stage in sorted({child.part.stage for child in self._children} | {parts.SINK}):
            if stage == parts.SINK:
                self._progress("creating topics")
                ensure_topics(self.endpoints)
            starting = [child for child in self._children if child.part.stage == stage]
            self._progress("starting " + ", ".join(child.name for child in starting))
            while not all(child.is_ready for child in starting):
                earlier = [child for child in self._children if child.part.stage <= stage]
                self._tend(earlier, is_starting=True)
                if self._stopping.wait(_TICK_SECONDS):
                    return

    def _tend(self, children: list[Child], *, is_starting: bool) -> None:
        """One look at each: start what is due, note what is ready, decide about what ended."""
        for child in children:
            code = child.ended()
            if code is not None:
                self._note_end(child, code, is_starting=is_starting)
            elif child.process is None:
                if time.monotonic() >= child.next_start_at:
                    self._start(child)
            elif child.check_ready():
                if child.was_ready:
                    self._report(f"{child.name} is back")
                child.was_ready = True

    def _start(self, child: Child) -> None:
        try:
            child.start()
        except (RapportError, OSError) as error:
            if not child.was_ready:
                raise
            child.next_start_at = time.monotonic() + _LONGEST_PAUSE_SECONDS
            self._report(f"{child.name} cannot be started again: {error}")

    def _note_end(self, child: Child, code: int, *, is_starting: bool) -> None:
        lived = time.monotonic() - child.started_at
        child.failures = child.failures + 1 if lived < _STEADY_SECONDS else 1
        pause = min(_FIRST_PAUSE_SECONDS * 2.0 ** (child.failures - 1), _LONGEST_PAUSE_SECONDS)
        child.next_start_at = time.monotonic() + pause
        if child.failures >= _PATIENCE:
            if is_starting and not child.was_ready:
                raise self._refusal(child, code)
            self._report(self._explained(child, code))
        else:
            self._report(f"{child.name} ended ({how_it_ended(code)}) and is started again")

    def _explained(self, child: Child, code: int) -> str:
        advice = "see " + str(child.log)
        if instance.is_full(self.settings.home):
            advice = f"the disk under {self.settings.home} is full: free some space"
        elif code == InvariantError.exit_code:
            advice = f"it stopped rather than damage anything; nothing is lost; {advice}"
        elif code == ConfigError.exit_code:
            advice = f"correct that, then start rapport up again; {advice}"
        return f"{child.name} keeps ending ({how_it_ended(code)}): {child.last_words()} ({advice})"

    def _refusal(self, child: Child, code: int) -> RapportError:
        kind = {ConfigError.exit_code: ConfigError, InvariantError.exit_code: InvariantError}.get(
            code, UnavailableError
        )
        return kind(self._explained(child, code))

    def _stop_all(self) -> None:
        for stage in sorted({child.part.stage for child in self._children}, reverse=True):
            ending = [child for child in self._children if child.part.stage == stage]
            for child in ending:
                child.ask_to_stop()
            for child in ending:
                self._wait_for(child)

    def _wait_for(self, child: Child) -> None:
        deadline = time.monotonic() + child.part.stop_seconds
        while time.monotonic() < deadline and not self._hurrying.is_set():
            if child.wait_briefly(_TICK_SECONDS):
                return
        child.kill()
        self._report(f"{child.name} did not end in time and was killed; nothing confirmed is lost")


def _check_space(home: Path) -> None:
    if instance.is_full(home):
        raise UnavailableError(f"the disk under {home} is full: free some space and start again")
