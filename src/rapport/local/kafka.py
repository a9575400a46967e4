"""A real Apache Kafka on this machine: one KRaft node from Maven artifacts, bound to loopback.

The jars live once per user under the cache folder; data and configuration live under the instance's home.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rapport_core.errors import ConfigError, UnavailableError
from rapport_schemas.topics import MAX_MESSAGE_BYTES

KAFKA_VERSION = "4.1.1"
MINIMUM_JAVA = 17
LOOPBACK = "127.0.0.1"
BATCH_OVERHEAD_BYTES = 64 * 1024
"""Room the broker leaves above the largest record, for the batch around it."""

_MAIN_JAR = f"kafka_2.13-{KAFKA_VERSION}.jar"
_JAVA_WANTED = f"install Java {MINIMUM_JAVA} or newer (any JDK or JRE) and put it on the PATH"


@dataclass(frozen=True, slots=True)
class Broker:
    """One local broker: where it keeps its files and where it listens."""

    folder: Path
    port: int
    controller_port: int
    heap: str = "512m"

    @property
    def address(self) -> str:
        """Bootstrap servers of this broker."""
        return f"{LOOPBACK}:{self.port}"


def libs_folder() -> Path:
    """Where the broker's jars are, or will be after `fetch`."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "rapport" / f"kafka-{KAFKA_VERSION}" / "libs"


def is_fetched() -> bool:
    """Whether the jars are in the cache; they arrive whole or not at all."""
    return (libs_folder() / _MAIN_JAR).is_file()


def find_java() -> str:
    """The path of a Java that can run the broker. Raises ConfigError naming the version that is needed."""
    java = _java_candidate()
    if java is None:
        raise ConfigError(f"no Java was found: {_JAVA_WANTED}")
    version = _java_version(java)
    if version is None:
        raise ConfigError(f"the Java on the PATH does not start: {_JAVA_WANTED}")
    if version < MINIMUM_JAVA:
        raise ConfigError(f"the Java on the PATH is version {version}: {_JAVA_WANTED}")
    return java


def fetch() -> Path:
    """The folder with the broker's jars, downloading them once. Safe to call from several processes at once.

    Raises:
        ConfigError: Maven or Java is missing.
        UnavailableError: the download failed; repeating it is safe.
    """
    target = libs_folder()
    if is_fetched():
        return target
    find_java()
    maven = shutil.which("mvn")
    if maven is None:
        raise ConfigError("no Maven was found: install Maven 3.6 or newer, it downloads the local Kafka once")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetching-", dir=target.parent) as staging:
            libs = Path(staging) / "libs"
            _download(maven, libs)
            _publish(libs, target)
    except OSError as error:
        raise ConfigError(f"the cache folder {target.parent} cannot be written: {error.strerror}") from error
    return target


def prepare(broker: Broker) -> None:
    """Writes the broker's configuration and formats its storage once. Needs the jars.

    Raises ConfigError when the storage belongs to another version or cannot be formatted.
    """
    broker.folder.mkdir(parents=True, exist_ok=True)
    _properties_file(broker).write_text(_server_properties(broker), "utf-8")
    _logging_file(broker).write_text(_LOGGING, "utf-8")
    if (broker.folder / "data" / "meta.properties").exists():
        return
    done = subprocess.run(_format_command(broker), check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise ConfigError(f"Kafka's storage in {broker.folder} cannot be formatted: {_last_line(done)}")


def start_command(broker: Broker) -> list[str]:
    """The command that runs the broker in the foreground until SIGTERM. Needs `prepare`."""
    return [*_java(broker, broker.heap), "kafka.Kafka", str(_properties_file(broker))]


def _java_candidate() -> str | None:
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / "bin" / "java").is_file():
        return str(Path(home) / "bin" / "java")
    return shutil.which("java")


def _java_version(java: str) -> int | None:
    """The feature release: 8 for `1.8.0_402`, 17 for `17.0.15`. None when it does not start."""
    try:
        done = subprocess.run([java, "-version"], check=False, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(found.group(1)) if done.returncode == 0 and found else None


def _pom() -> Path:
    """The list of artifacts: in the checkout's infra folder, or beside this file in an installed wheel."""
    here = Path(__file__).resolve()
    for candidate in (here.parents[3] / "infra" / "kafka" / "pom.xml", here.parent / "kafka-pom.xml"):
        if candidate.is_file():
            return candidate
    raise ConfigError("this installation lacks kafka-pom.xml: install rapport again")


def _download(maven: str, libs: Path) -> None:
    command = [maven, "-B", "-q", "-f", str(_pom()), "dependency:copy-dependencies"]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={libs}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0 or not (libs / _MAIN_JAR).is_file():
        reason = _last_line(done, having="ERROR")
        raise UnavailableError(
            f"Kafka {KAFKA_VERSION} could not be downloaded with Maven; check the network and run this again ({reason})"
        )


def _publish(libs: Path, target: Path) -> None:
    """One rename, so that nobody ever sees half a folder; another process may have been faster."""
    try:
        libs.rename(target)
    except OSError:
        if not is_fetched():
            raise


def _last_line(done: subprocess.CompletedProcess[str], having: str = "") -> str:
    lines = [
        line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip() and having in line
    ]
    first = lines[0] if having and lines else (lines[-1] if lines else f"exit {done.returncode}")
    return first[:300]


def _java(broker: Broker, heap: str) -> list[str]:
    return [
        find_java(),
        f"-Xmx{heap}",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={_logging_file(broker)}",
        "-cp",
        str(libs_folder() / "*"),
    ]


def _format_command(broker: Broker) -> Sequence[str]:
    # An id that starts with a dash would be read as an option.
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode().replace("-", "A")
    tool = [*_java(broker, "64m"), "kafka.tools.StorageTool"]
    return [*tool, "format", "-t", cluster, "-c", str(_properties_file(broker))]


def _properties_file(broker: Broker) -> Path:
    return broker.folder / "server.properties"


def _logging_file(broker: Broker) -> Path:
    return broker.folder / "log4j2.properties"


def _server_properties(broker: Broker) -> str:
    listeners = f"PLAINTEXT://{broker.address},CONTROLLER://{LOOPBACK}:{broker.controller_port}"
    values = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{broker.controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": listeners,
        "advertised.listeners": f"PLAINTEXT://{broker.address}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(broker.folder / "data"),
        "auto.create.topics.enable": "false",
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "4",
        # The first worker gets its partitions at once instead of waiting three seconds for others.
        "group.initial.rebalance.delay.ms": "0",
        # Committed offsets outlive a long holiday of the instance; the default is seven days.
        "offsets.retention.minutes": str(365 * 24 * 60),
        "message.max.bytes": str(MAX_MESSAGE_BYTES + BATCH_OVERHEAD_BYTES),
        "num.network.threads": "2",
        "num.io.threads": "4",
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


_LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSSX} %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""
