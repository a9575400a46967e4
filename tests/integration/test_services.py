"""`rapport up`: a real Kafka and stub processes, started, watched, restarted and stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from confluent_kafka import KafkaError, TopicPartition

from local_stack import RAPPORT, RunningStack, bare_environment, stack, start_stack, wait_until, why_no_kafka
from rapport.kafka import consumer, ensure_topics, flush, producer
from rapport.local.ports import free_port
from rapport.settings import Settings, endpoints
from rapport_core.errors import ConfigError
from rapport_schemas.topics import CATALOGUE, DIRECTORY, MAX_MESSAGE_BYTES, Topic

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(why_no_kafka() is not None, reason=str(why_no_kafka())),
]
STUB_UP = (sys.executable, "-m", "stub_processes.up")
SUPPORT = {"PYTHONPATH": str(Path(__file__).parents[1] / "support")}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with stack(tmp_path_factory.mktemp("up"), workers=2, command=STUB_UP, environment=SUPPORT) as found:
        yield found


@pytest.fixture
def with_kafka(kafka: str) -> dict[str, str]:
    """Settings for an instance that uses the test run's broker: it starts faster, and external services are tried."""
    return SUPPORT | {"RAPPORT_KAFKA": kafka}


def order(home: Path) -> list[str]:
    return (home / "order.txt").read_text("utf-8").splitlines()


def test_one_line_when_everything_is_ready(running: RunningStack) -> None:
    lines = running.output.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"rapport is ready: {running.endpoints.dashboard} ")


def test_parts_start_in_order(running: RunningStack) -> None:
    """Whoever needs another part finds it there."""
    started = [line.split()[0] for line in order(running.home) if line.endswith("started")][:5]
    assert started[:2] == ["clickhouse", "sink"]
    assert sorted(started[2:4]) == ["worker-0", "worker-1"]
    assert started[4] == "dashboard"


def test_new_topics_can_be_written_to_at_once(kafka: str, tmp_path: Path) -> None:
    """Every partition has its leader: what a producer sent before that could be lost and called delivered."""
    where = endpoints(Settings(home=tmp_path, kafka=kafka, clickhouse="http://nobody:needs@127.0.0.1:1/this"))
    new = [Topic(f"test.new.{uuid4().hex}.{number}", "page", "key") for number in range(20)]
    ensure_topics(where, new)
    reader = consumer(where, "test-new")
    places = [TopicPartition(topic.name, number) for topic in new for number in range(topic.partitions)]
    assert {reader.get_watermark_offsets(place, timeout=20) for place in places} == {(0, 0)}
    reader.close()


def test_topics_are_there_and_hold_the_largest_record(running: RunningStack) -> None:
    """Every topic takes what a producer of ours may send; creating them again changes nothing."""
    ensure_topics(running.endpoints)
    errors: list[KafkaError | None] = []
    sender = producer(running.endpoints)
    room = MAX_MESSAGE_BYTES - 200
    sender.produce(
        DIRECTORY.name, os.urandom(room), b"key", on_delivery=lambda error, _: errors.append(error)
    )
    flush(sender)
    assert errors == [None]
    reader = consumer(running.endpoints, "test-largest")
    reader.subscribe([DIRECTORY.name])
    message = reader.poll(30)
    reader.close()
    assert message is not None
    assert len(message.value() or b"") == room


def test_another_partition_count_is_refused(running: RunningStack) -> None:
    other = Topic(CATALOGUE[0].name, "page", "key", partitions=CATALOGUE[0].partitions + 1)
    with pytest.raises(ConfigError, match="partition counts are fixed"):
        ensure_topics(running.endpoints, [other])


def test_a_second_instance_runs_beside_the_first(running: RunningStack, tmp_path: Path) -> None:
    with stack(tmp_path, command=STUB_UP, environment=SUPPORT) as second:
        assert second.endpoints.kafka != running.endpoints.kafka
        assert second.endpoints.dashboard != running.endpoints.dashboard


def test_a_second_instance_on_the_same_home_is_refused(running: RunningStack) -> None:
    done = subprocess.run(
        STUB_UP, env=running.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"error: rapport up already runs under {running.home} (process {running.process.pid})"
    )
    assert running.process.poll() is None


@pytest.mark.parametrize("name", ["worker-1", "sink", "clickhouse"])
def test_a_child_that_is_killed_is_started_again(running: RunningStack, name: str) -> None:
    before = running.pid(name)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: f"{name} is back" in running.output, running.process, running.log)
    assert running.pid(name) != before
    assert f"{name} ended (killed by signal 9) and is started again" in running.output


def test_a_killed_kafka_comes_back_with_its_records(running: RunningStack) -> None:
    sender = producer(running.endpoints)
    sender.produce(CATALOGUE[0].name, b"kept", b"key", partition=3)
    flush(sender)
    java = next(child for child in psutil.Process(running.process.pid).children() if "java" in child.name())
    java.kill()
    wait_until(lambda: "kafka is back" in running.output, running.process, running.log)
    reader = consumer(running.endpoints, "test-kept")
    reader.subscribe([CATALOGUE[0].name])
    message = None
    while message is None or message.value() != b"kept":
        message = reader.poll(30)
        assert message is not None
    reader.close()


def test_doctor_names_what_is_missing(running: RunningStack) -> None:
    """Stubs answer nothing, so doctor finds Kafka and topics fine, and says what to do about the rest."""
    done = running.rapport("doctor", "--json")
    assert done.returncode == 69, done.stderr
    parts = {part["part"]: part for part in json.loads(done.stdout)["parts"]}
    assert all(parts[name]["fine"] for name in ("java", "disk", "kafka", "topics"))
    assert not parts["clickhouse"]["fine"]
    assert not parts["workers"]["fine"]
    assert "rapport up starts them" in parts["workers"]["text"]


def test_config_show_masks_secrets(running: RunningStack) -> None:
    done = running.rapport("config", "show", "--json")
    found = json.loads(done.stdout)
    assert found["kafka"] == {"value": running.endpoints.kafka, "origin": "rapport up"}
    assert found["workers"] == {"value": "2", "origin": "RAPPORT_WORKERS"}
    assert found["clickhouse"]["value"].startswith("http://rapport:***@127.0.0.1:")


def test_sigterm_stops_everything_in_reverse_order(tmp_path: Path) -> None:
    """Workers flush to a Kafka that still runs; nothing is left running, and the record of the instance is gone."""
    with stack(tmp_path, workers=2, command=STUB_UP, environment=SUPPORT) as running:
        children = psutil.Process(running.process.pid).children(recursive=True)
        assert running.stop() == 0
        stopped = [line.split()[0] for line in order(running.home) if line.endswith("stopped")]
        assert stopped[0] == "dashboard"
        assert sorted(stopped[1:3]) == ["worker-0", "worker-1"]
        assert stopped[3:] == ["sink", "clickhouse"]
        assert psutil.wait_procs(children, timeout=0)[1] == []
        assert not (running.home / "instance.json").exists()


def test_ctrl_c_at_a_terminal_goes_through_the_supervisor(tmp_path: Path, with_kafka: dict[str, str]) -> None:
    """The terminal signals a whole process group: children must not see it and end in the wrong order."""
    with stack(tmp_path, command=STUB_UP, environment=with_kafka) as running:
        assert os.getpgid(running.pid("sink")) != os.getpgid(running.process.pid)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(60) == 0
        assert not any("interrupted" in line for line in order(running.home))


def test_children_die_with_a_killed_supervisor_and_the_home_starts_again(tmp_path: Path) -> None:
    with stack(tmp_path, command=STUB_UP, environment=SUPPORT) as running:
        children = psutil.Process(running.process.pid).children(recursive=True)
        assert len(children) == 5
        running.process.kill()
        assert psutil.wait_procs(children, timeout=10)[1] == []
    with stack(tmp_path, command=STUB_UP, environment=SUPPORT) as again:
        assert again.process.poll() is None


def refused(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = bare_environment() | SUPPORT | {"RAPPORT_HOME": str(folder / "home")} | environment
    return subprocess.run(STUB_UP, env=variables, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    "setting", ["RAPPORT_KAFKA_PORT", "RAPPORT_CLICKHOUSE_PORT", "RAPPORT_DASHBOARD_PORT"]
)
def test_a_port_in_use_is_one_clear_sentence(setting: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = refused(tmp_path, **{setting: str(port)})
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: port {port} is in use by another program: end that, or set {setting} to another port (0: any free one)"
    ]


def test_a_wanted_port_is_used(tmp_path: Path) -> None:
    port = free_port()
    with stack(tmp_path, command=STUB_UP, environment=SUPPORT | {"RAPPORT_KAFKA_PORT": str(port)}) as running:
        assert running.endpoints.kafka == f"127.0.0.1:{port}"


def test_no_java_is_one_clear_sentence(tmp_path: Path) -> None:
    done = refused(tmp_path, PATH=str(tmp_path), JAVA_HOME="")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "install Java 17 or newer" in done.stderr


def test_an_old_java_is_named(tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    java.chmod(0o755)
    done = refused(tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}", JAVA_HOME="")
    assert done.returncode == 2
    assert "version 8: install Java 17 or newer" in done.stderr


def test_no_maven_is_named_when_kafka_must_be_downloaded(tmp_path: Path) -> None:
    from shutil import which

    (tmp_path / "java").symlink_to(which("java") or "")
    done = refused(tmp_path, PATH=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 2
    assert "no Maven was found" in done.stderr


def test_a_download_that_fails_leaves_nothing_half(tmp_path: Path) -> None:
    maven = tmp_path / "mvn"
    maven.write_text("#!/bin/sh\necho '[ERROR] Could not transfer artifact'\nexit 1\n")
    maven.chmod(0o755)
    cache = tmp_path / "cache"
    done = refused(tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}", XDG_CACHE_HOME=str(cache))
    assert done.returncode == 69
    assert "could not be downloaded" in done.stderr
    assert "Could not transfer artifact" in done.stderr
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Root may write anywhere, so the home is below a file."""
    (tmp_path / "home").write_text("a file")
    done = refused(tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be written" in done.stderr


@pytest.mark.parametrize(("code", "advice"), [(2, "correct that"), (70, "nothing is lost")])
def test_a_part_that_keeps_failing_ends_the_start_with_its_own_words(
    code: int, advice: str, tmp_path: Path, with_kafka: dict[str, str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "fail-sink").write_text(str(code))
    running = start_stack(tmp_path, command=STUB_UP, environment=with_kafka)
    assert running.process.wait(90) == code
    last = running.output.splitlines()[-1]
    assert last.startswith(
        f"error: sink keeps ending (exit {code}): sink was told to fail: change the test ("
    )
    assert advice in last


def test_a_part_that_fails_later_is_reported_and_the_others_go_on(
    tmp_path: Path, with_kafka: dict[str, str]
) -> None:
    with stack(tmp_path, command=STUB_UP, environment=with_kafka) as running:
        (running.home / "fail-worker-0").write_text("70")
        os.kill(running.pid("worker-0"), signal.SIGKILL)
        wait_until(lambda: "worker-0 keeps ending (exit 70)" in running.output, running.process, running.log)
        assert running.process.poll() is None
        (running.home / "fail-worker-0").unlink()
        wait_until(lambda: "worker-0 is back" in running.output, running.process, running.log)


def test_a_real_instance_is_fine_and_stops_in_order(tmp_path: Path) -> None:
    """Everything of ours, as a user runs it: doctor finds nothing, and SIGTERM ends it with 0."""
    with stack(tmp_path / "a home", workers=2) as running:
        done = running.rapport("doctor", "--wait", "60", "--json")
        assert done.returncode == 0, done.stdout
        assert json.loads(done.stdout)["fine"]
        assert running.stop() == 0
        assert len(running.output.splitlines()) == 1


def test_nothing_running_is_said_by_other_commands(tmp_path: Path) -> None:
    variables = bare_environment() | {"RAPPORT_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [*RAPPORT, "doctor"], env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 69
    assert "start it with rapport up" in " ".join(done.stdout.split())
