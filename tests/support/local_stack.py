"""Real services for tests: a throwaway Kafka broker, and a whole instance. Each is ended by its pid."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from rapport.local import kafka as local_kafka
from rapport.local.ports import free_port
from rapport.local.ready import ready_pid
from rapport.settings import Endpoints, Settings, endpoints

_START_SECONDS = 60.0
RAPPORT = (sys.executable, "-c", "from rapport.cli.root import main; main()")
"""The `rapport` command of this interpreter."""


def why_no_kafka() -> str | None:
    """Why a local broker cannot run here, or None when it can."""
    if shutil.which("java") is None:
        return "no Java on the PATH: the local Kafka cannot run"
    if not local_kafka.is_fetched() and shutil.which("mvn") is None:
        return "no Maven on the PATH and no Kafka in the cache: the local Kafka cannot run"
    return None


@dataclass
class TestBroker:
    """A broker of one test: `start`, `stop` and `kill` may be repeated; data survives until the test ends."""

    __test__ = False

    config: local_kafka.Broker
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def bootstrap(self) -> str:
        """Bootstrap servers, the same over restarts."""
        return self.config.address

    def start(self) -> None:
        """Starts the broker and returns when it answers."""
        with (self.config.folder / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(local_kafka.start_command(self.config), stdout=log, stderr=log)
        self._wait_until_it_answers()

    def stop(self) -> None:
        """Ends the broker in order."""
        self._end(kill=False)

    def kill(self) -> None:
        """Ends the broker at once, as a power cut of the process would."""
        self._end(kill=True)

    def _end(self, *, kill: bool) -> None:
        if self.process is None:
            return
        self.process.kill() if kill else self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _wait_until_it_answers(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + _START_SECONDS
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        while True:
            try:
                admin.list_topics(timeout=1)
            except KafkaException:
                assert self.process.poll() is None, f"the broker ended: {self._log_tail()}"
                assert time.monotonic() < deadline, f"the broker does not answer: {self._log_tail()}"
            else:
                return

    def _log_tail(self) -> str:
        return (self.config.folder / "broker.log").read_text("utf-8", "replace")[-2000:]


@contextmanager
def kafka_broker(folder: Path) -> Iterator[TestBroker]:
    """A real broker with its data under `folder`, on free ports, stopped at the end."""
    local_kafka.fetch()
    broker = TestBroker(local_kafka.Broker(folder / "kafka", free_port(), free_port()))
    local_kafka.prepare(broker.config)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


@contextmanager
def clickhouse_server(folder: Path) -> Iterator[str]:
    """The local ClickHouse as a process with its data under `folder`; its address with user, password and database."""
    port = free_port()
    address = f"http://rapport:s3cret@127.0.0.1:{port}/rapport"
    environment = bare_environment() | {
        "RAPPORT_HOME": str(folder / "home"),
        "RAPPORT_CLICKHOUSE": address,
        "RAPPORT_KAFKA": "127.0.0.1:1",
    }
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "clickhouse.log"
    with log.open("ab") as output:
        command = [sys.executable, "-m", "rapport.processes.clickhouse"]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        ready = folder / "home" / "run" / "clickhouse.ready"
        wait_until(ready.exists, process, log)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def bare_environment() -> dict[str, str]:
    """This process' environment without any setting of Rapport."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}


def wait_until(
    is_so: Callable[[], bool],
    process: subprocess.Popen[bytes] | None = None,
    log: Path | None = None,
    seconds: float = _START_SECONDS,
) -> None:
    """Polls until it is so. Fails when the process ends first or the time is over, with the end of its log."""
    deadline = time.monotonic() + seconds
    while not is_so():
        tail = log.read_text("utf-8", "replace")[-2000:] if log and log.exists() else ""
        assert process is None or process.poll() is None, f"it ended: {tail}"
        assert time.monotonic() < deadline, f"not within {seconds} s: {tail}"
        time.sleep(0.02)


@dataclass
class RunningStack:
    """An instance as its user sees it: `rapport up` in the foreground, its home, its output."""

    home: Path
    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    log: Path

    @property
    def settings(self) -> Settings:
        """Settings that find this instance; read once from its environment."""
        names = {
            name.removeprefix("RAPPORT_").lower() for name in self.environment if name.startswith("RAPPORT_")
        }
        return Settings(**{name: self.environment[f"RAPPORT_{name.upper()}"] for name in names})  # type: ignore[arg-type]

    @property
    def endpoints(self) -> Endpoints:
        """Where the services are."""
        return endpoints(self.settings)

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self.log.read_text("utf-8", "replace")

    def rapport(self, *arguments: str, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Runs another command against this instance."""
        return subprocess.run(
            [*RAPPORT, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def pid(self, name: str) -> int:
        """The process id of a part that announced itself: `sink`, `worker-0`, `dashboard`, `clickhouse`."""
        found = ready_pid(self.settings, name)
        assert found is not None, f"{name} is not ready"
        return found

    def stop(self, seconds: float = 60.0) -> int:
        """SIGTERM, and the exit code."""
        self.process.terminate()
        return self.process.wait(seconds)


@contextmanager
def stack(
    folder: Path,
    workers: int = 1,
    *,
    command: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    seconds: float = 120.0,
) -> Iterator[RunningStack]:
    """A whole instance as a subprocess, ready, stopped in order at the end.

    `environment` adds settings; `command` runs something else than `rapport up` that behaves like it.
    """
    running = start_stack(folder, workers, command=command, environment=environment)
    try:
        wait_until(lambda: "rapport is ready" in running.output, running.process, running.log, seconds)
        yield running
    finally:
        if running.process.poll() is None:
            running.process.terminate()
        try:
            running.process.wait(90)
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait()


def start_stack(
    folder: Path,
    workers: int = 1,
    *,
    command: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> RunningStack:
    """Starts an instance and does not wait for it."""
    if not local_kafka.is_fetched():
        local_kafka.fetch()
    home = folder / "home"
    folder.mkdir(parents=True, exist_ok=True)
    variables = (
        bare_environment()
        | {"RAPPORT_HOME": str(home), "RAPPORT_WORKERS": str(workers)}
        | dict(environment or {})
    )
    log = folder / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*(command or (*RAPPORT, "up"))], env=variables, stdout=output, stderr=output
        )
    return RunningStack(home, process, variables, log)
