"""Real services, shared by the tests that need them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_stack import kafka_broker, why_no_kafka


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of a broker that lives as long as the test run: use topic and group names of your own."""
    reason = why_no_kafka()
    if reason:
        pytest.skip(reason)
    with kafka_broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker.bootstrap
