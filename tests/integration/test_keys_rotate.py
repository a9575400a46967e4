"""A new master key while everything runs: mail goes on being read, sealed, counted, and nothing has to be started again."""

from __future__ import annotations

from pathlib import Path

import pytest

from graph.entra import CLIENT_SECRET
from local_stack import why_no_kafka
from microsoft_company import address, letter, microsoft_company
from rapport.store import open_store

pytestmark = pytest.mark.stack


def test_everything_goes_on_with_a_new_master_key(tmp_path: Path) -> None:
    """Also what needs secrets that nobody remembers: tokens that ended, subscriptions, a connection that is new."""
    if reason := why_no_kafka():
        pytest.skip(reason)
    with microsoft_company(tmp_path, members=2) as company:
        running, simulator = company.running, company.simulator
        with open_store(running.settings, running.endpoints) as store:
            company.deliver(0, letter("before", address(0)))
            company.connect(store, 0)
            company.wait_for_first_sync()
            company.wait_for_push()
            company.wait_until(lambda: company.received().get("m0") == 1)
            key = (running.home / "master.key").read_bytes()
            for _ in range(2):
                done = running.rapport("keys", "rotate", "--yes")
                assert done.returncode == 0, done.stderr
            assert (running.home / "master.key").read_bytes() != key
            with simulator.lock:
                simulator.directory.revoke(company.mailbox(0))  # so the connector needs its refresh token
            company.deliver(0, letter("after", address(0)))
            company.deliver(1, letter("another", address(1)))
            company.connect(store, 1)
            company.wait_until(lambda: company.received() == {"m0": 2, "m1": 1})
        assert {one["state"] for one in company.connections().values()} == {"connected"}
        assert running.rapport("doctor").returncode == 0
        assert " ended (" not in running.output
        logs = b"".join(file.read_bytes() for file in (running.home / "logs").iterdir())
        for secret in ("simulated-access-", "simulated-refresh-", CLIENT_SECRET, address(0)):
            assert secret.encode() not in logs
