"""From a mailbox at Microsoft 365 to the numbers: the connector, the receiver and the pipeline as processes, the provider over TLS."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from local_stack import why_no_kafka
from microsoft_company import DAY, TENANT, MicrosoftCompany, address, letter, microsoft_company
from rapport.store import Store, open_store

pytestmark = pytest.mark.stack
MEMBERS = 2


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MicrosoftCompany]:
    """Members with mail of the last weeks, nobody connected."""
    if reason := why_no_kafka():
        pytest.skip(reason)
    with microsoft_company(tmp_path_factory.mktemp("microsoft"), MEMBERS) as found:
        noon = found.simulator.clock() // DAY * DAY + DAY / 2
        for number in range(MEMBERS):
            for day in range(1, 41):
                mail = letter(f"old-{number}-{day}", address(number))
                found.deliver(number, mail, at=noon - day * DAY)
        yield found


@pytest.fixture(scope="module")
def store(company: MicrosoftCompany) -> Iterator[Store]:
    """The instance's store."""
    with open_store(company.running.settings, company.running.endpoints) as found:
        yield found


def test_the_past_is_read_and_counted(company: MicrosoftCompany, store: Store) -> None:
    for number in range(MEMBERS):
        company.connect(store, number)
    company.wait_for_first_sync()
    company.wait_until(lambda: company.received() == {"m0": 29, "m1": 29})
    assert company.received(60) == {"m0": 40, "m1": 40}
    assert {one["state"] for one in company.connections().values()} == {"connected"}
    assert company.simulator.violations == []


def test_what_was_read_is_compared_with_the_provider(company: MicrosoftCompany) -> None:
    """Right after the first sync: every day is whole, and what is matched is told beside it."""

    def compared() -> list[dict[str, Any]]:
        done = company.running.rapport("completeness", "--tenant", TENANT, "--json")
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)["connections"]
        return found

    company.wait_until(lambda: [one["present"] for one in compared()] == [40, 40])
    for one in compared():
        assert (one["listed"], one["missing"], one["matched"]) == (40, 0, 40)
        assert one["last_sweep"] is not None
        assert len(one["days"]) == 40


def test_a_new_mail_is_told_and_counted(company: MicrosoftCompany) -> None:
    company.wait_for_push()
    company.deliver(0, letter("new", address(0)))
    company.wait_until(lambda: company.received()["m0"] == 30)


def test_what_goes_leaves_the_numbers(company: MicrosoftCompany) -> None:
    key = company.deliver(1, letter("spam", address(1)))
    company.wait_until(lambda: company.received()["m1"] == 30)
    with company.simulator.lock:
        company.mailbox(1).move(key, "junkemail")
    company.wait_until(lambda: company.received()["m1"] == 29)


def test_a_connector_that_is_killed_loses_and_doubles_nothing(company: MicrosoftCompany) -> None:
    before = company.received()["m0"]
    for number in range(20):
        company.deliver(0, letter(f"burst-{number}", address(0)))
        if number == 10:
            os.kill(company.running.pid("connector-0"), signal.SIGKILL)
    company.wait_until(lambda: company.received()["m0"] == before + 20)
    assert company.simulator.violations == []


def test_who_takes_the_consent_back_is_told_and_goes_on_where_it_was(
    company: MicrosoftCompany, store: Store
) -> None:
    company.revoke(store, 1)
    company.wait_until(lambda: company.connections()["m1"]["state"] == "needs_auth")
    before = company.received()["m1"]
    company.deliver(1, letter("meanwhile", address(1)))
    company.connect(store, 1)
    company.wait_until(lambda: company.received()["m1"] == before + 1)
    assert company.connections()["m1"]["state"] == "connected"


def test_nothing_of_that_was_a_fault_of_ours(company: MicrosoftCompany) -> None:
    """What a runner did not foresee is an alarm in the connector's log."""
    said = (company.running.settings.home / "logs" / "connector-0.log").read_text("utf-8")
    assert "connections_taken" in said
    assert [line for line in said.splitlines() if "connection_broken" in line] == []
    assert "connection_stopped" not in said
