"""Whether a broker answers, asked of addresses where none does."""

from __future__ import annotations

import socket

import pytest

from rapport import kafka
from rapport.local.ports import free_port


@pytest.mark.parametrize(
    "bootstrap",
    ["127.0.0.1:{}", "PLAINTEXT://127.0.0.1:{}", "127.0.0.1:{}, localhost:{}", "nowhere.invalid:{}"],
)
def test_an_address_that_refuses_is_asked_once(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client would go on until its time is over."""
    monkeypatch.setattr(kafka, "AdminClient", lambda _: pytest.fail("the client is asked"))
    assert not kafka.is_reachable(bootstrap.replace("{}", str(free_port())), 60.0)


@pytest.mark.parametrize("bootstrap", ["127.0.0.1:x", "", "127.0.0.1:99999999"])
def test_what_is_no_address_is_nothing_that_answers(bootstrap: str) -> None:
    """Settings say elsewhere what is wrong with it."""
    assert not kafka.is_reachable(bootstrap, 0.1)


@pytest.mark.parametrize(
    "bootstrap", ["127.0.0.1:{}", "SASL_PLAINTEXT://127.0.0.1:{}", "127.0.0.1:1,127.0.0.1:{}"]
)
def test_what_listens_is_asked_for_kafka(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where only one of several does."""

    class Broker:
        def __init__(self, settings: object) -> None:
            del settings

        def list_topics(self, timeout: float) -> None:
            del timeout

    monkeypatch.setattr(kafka, "AdminClient", Broker)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert kafka.is_reachable(bootstrap.replace("{}", str(listening.getsockname()[1])))


def test_what_listens_and_is_no_broker_does_not_answer() -> None:
    """Its time is up then."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert not kafka.is_reachable(f"127.0.0.1:{listening.getsockname()[1]}", 0.2)
