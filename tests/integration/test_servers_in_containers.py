"""The same program against server images of Kafka and ClickHouse; needs a Docker engine and says so where there is none."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from testcontainers.community.clickhouse import ClickHouseContainer
from testcontainers.community.kafka import KafkaContainer

from local_stack import stack
from rapport.demo.company import TENANT, CompanySize
from rapport.demo.mailboxes import generate
from rapport.demo.steps import compare_numbers

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
KAFKA_IMAGE = "apache/kafka:4.1.1"
CLICKHOUSE_IMAGE = "clickhouse/clickhouse-server:25.8"
SIZE = CompanySize(members=4, customers=10, contacts=40, copies=1_000)


@pytest.fixture
def _engine() -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no Docker engine: the server images of Kafka and ClickHouse are not tried")


@pytest.mark.usefixtures("_engine")
def test_a_company_is_counted_right_on_real_servers(tmp_path: Path) -> None:
    """Only addresses change between one machine and many."""
    made = generate(tmp_path / "mailboxes", seed=5, now=datetime.now(UTC), size=SIZE)
    with KafkaContainer(KAFKA_IMAGE) as kafka, ClickHouseContainer(CLICKHOUSE_IMAGE, port=8123) as clickhouse:
        host, port = clickhouse.get_container_host_ip(), clickhouse.get_exposed_port(8123)
        servers = {
            "RAPPORT_KAFKA": kafka.get_bootstrap_server(),
            "RAPPORT_CLICKHOUSE": f"http://{clickhouse.username}:{clickhouse.password}@{host}:{port}/rapport",
        }
        with stack(tmp_path / "instance", workers=2, environment=servers) as running:
            commands = [["directory", "load", str(made.directory), "--tenant", TENANT]]
            commands += [
                ["ingest", "mbox", str(mailbox), "--tenant", TENANT, "--member", member, "--wait"]
                for member, mailbox in made.mailboxes.items()
            ]
            for command in commands:
                done = running.rapport(*command)
                assert done.returncode == 0, done.stderr
            assert not compare_numbers(running.endpoints, made).differences
