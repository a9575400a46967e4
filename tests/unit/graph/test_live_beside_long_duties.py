"""A new mail is published while a page of the first sync, or of a sweep, does not come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from graph_lab import GraphLab, ignore
from rapport_producers.graph.calendar_sync import CalendarSync
from rapport_producers.graph.mail_sync import MailSync
from rapport_schemas.topics import Lane


class Gate:
    """Holds every request for a list of mail by time, as the past and sweeps are read, once it is closed."""

    def __init__(self, lab: GraphLab) -> None:
        self.opened, self.reached, self._app = asyncio.Event(), asyncio.Event(), lab.simulator.app
        self.opened.set()
        lab._http._transport = httpx2.ASGITransport(app=self)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if b"receivedDateTime" in scope["query_string"] and b"filter" in scope["query_string"]:
            self.reached.set() if not self.opened.is_set() else None
            await self.opened.wait()
        await self._app(scope, receive, send)


@pytest.fixture
def lab() -> Iterator[GraphLab]:
    found = GraphLab(seed=11)
    yield found
    found.close()


def told(lab: GraphLab) -> set[str]:
    """Ids of the mails whose content was published live."""
    return {change["provider_id"] for _, change in lab.log.changes(Lane.LIVE) if change["mail"] is not None}


@pytest.mark.parametrize("duty", ["first_sync", "sweep"])
def test_a_new_mail_waits_for_no_page_of_a_long_duty(lab: GraphLab, duty: str) -> None:
    for number in range(30):
        lab.deliver(f"old {number}", days_ago=number)

    async def work(mail: MailSync, _: CalendarSync) -> set[str]:
        gate = Gate(lab)
        if duty == "sweep":
            await mail.first_sync(ignore)
        gate.opened.clear()
        long = asyncio.create_task(mail.sweep() if duty == "sweep" else mail.first_sync(ignore))
        await asyncio.wait_for(gate.reached.wait(), 20)
        new = {lab.deliver("new"), lab.deliver("new, elsewhere", "archive")}
        await asyncio.wait_for(mail.changes(), 20)
        found = new & told(lab)
        assert not long.done()
        gate.opened.set()
        await long
        return new - found

    assert lab.run(work) == set()
