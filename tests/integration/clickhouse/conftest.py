"""One engine and one database for all tests here; every test finds the tables empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clickhouse import TestServer, clickhouse_server, emptied
from rapport_sinks.clickhouse.client import ClickHouse


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """The engine."""
    with clickhouse_server(tmp_path_factory.mktemp("clickhouse")) as running:
        yield running


@pytest.fixture(scope="session")
def migrated(server: TestServer) -> Iterator[ClickHouse]:
    """A migrated database."""
    with server.database() as client:
        yield client


@pytest.fixture
def tables(migrated: ClickHouse) -> ClickHouse:
    """The same database, empty: making one takes longer than most tests."""
    emptied(migrated)
    return migrated
