"""Automatic replies: what Graph's setting means, and who may be asked."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from memory_connection_log import MemoryLog
from rapport_core.errors import RapportError
from rapport_producers.graph.client import GraphClient
from rapport_producers.graph.errors import AdminNeeded, NotFound, Transient
from rapport_producers.graph.out_of_office import AutomaticReplies, may_be_read, replies_of
from rapport_schemas.records import OutOfOffice
from rapport_schemas.topics import CONNECTIONS

ALWAYS = {
    "status": "alwaysEnabled",
    "externalAudience": "contactsOnly",
    "externalReplyMessage": "Gone fishing",
}


def at(text: str, zone: str = "UTC") -> dict[str, str]:
    return {"dateTime": text, "timeZone": zone}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"status": "disabled", "externalAudience": "all"}, ("disabled", None, None, "all")),
        (ALWAYS, ("always", None, None, "contacts")),
        (
            {
                "status": "scheduled",
                "externalAudience": "none",
                "scheduledStartDateTime": at("2026-11-24T00:00:00.0000000"),
                "scheduledEndDateTime": at("2026-11-25T00:00:00.0000000"),
            },
            ("scheduled", 1_795_478_400_000, 1_795_564_800_000, "none"),
        ),
        (
            {
                "status": "scheduled",
                "scheduledStartDateTime": at("2026-11-24T01:00:00.0000000", "W. Europe Standard Time"),
                "scheduledEndDateTime": None,
            },
            ("scheduled", 1_795_478_400_000, None, "none"),
        ),
        (
            {"status": "scheduled", "scheduledStartDateTime": at("soon"), "externalAudience": "everybody"},
            ("scheduled", None, None, "none"),
        ),
    ],
)
def test_a_setting_is_read(setting: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert tuple((replies_of(setting) or {}).values()) == expected


@pytest.mark.parametrize("setting", [None, [], {}, {"status": "sometimes"}, {"status": None}])
def test_what_says_nothing_that_is_known_is_not_known(setting: object) -> None:
    assert replies_of(setting) is None


def test_a_disabled_schedule_has_no_times() -> None:
    """Graph keeps those of the last one."""
    found = replies_of({"status": "disabled", "scheduledStartDateTime": at("2026-11-24T00:00:00.0000000")})
    assert found is not None
    assert found["since"] is None


class _Graph:
    """Answers the one question."""

    def __init__(self, answer: dict[str, Any] | RapportError) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def get(self, mailbox: object, path: str) -> dict[str, Any]:
        self.asked.append(path)
        if isinstance(self.answer, RapportError):
            raise self.answer
        return self.answer


class _Mailbox:
    tenant, connection, root = "acme", "microsoft-m1", "/me"

    async def token(self, *, refused: str | None = None, claims: str | None = None) -> str:
        return "token"


def looked(
    log: MemoryLog, graph: _Graph, scopes: list[str], before: OutOfOffice | None = None
) -> OutOfOffice | None:
    async def work() -> OutOfOffice | None:
        opened = await log.open()
        await opened.announce(scopes=scopes, out_of_office=before)
        await AutomaticReplies(cast("GraphClient", graph), _Mailbox(), opened).run()
        return opened.record["out_of_office"]

    return asyncio.run(work())


def test_it_is_written_into_the_connections_record() -> None:
    log, graph = MemoryLog(), _Graph(ALWAYS)
    found = looked(log, graph, ["Mail.Read", "MailboxSettings.Read"])
    assert found == {"status": "always", "since": None, "until": None, "audience": "contacts"}
    assert graph.asked == ["/me/mailboxSettings/automaticRepliesSetting"]
    assert log.of(CONNECTIONS)[-1]["out_of_office"] == found
    assert not any(b"fishing" in (value or b"") for _, _, value in log.records)


def test_who_did_not_allow_it_is_not_asked() -> None:
    """And what was known before a permission was taken back is forgotten."""
    graph = _Graph(ALWAYS)
    before: OutOfOffice = {"status": "always", "since": None, "until": None, "audience": "all"}
    assert looked(MemoryLog(), graph, ["Mail.Read"], before) is None
    assert graph.asked == []


@pytest.mark.parametrize("refusal", [AdminNeeded(), NotFound()])
def test_a_refusal_of_this_alone_is_no_fault_of_the_connection(refusal: RapportError) -> None:
    assert looked(MemoryLog(), _Graph(refusal), ["MailboxSettings.Read"]) is None


def test_what_passes_is_left_to_the_next_try() -> None:
    with pytest.raises(Transient):
        looked(MemoryLog(), _Graph(Transient()), ["MailboxSettings.Read"])


def test_scopes_are_known_however_they_are_written() -> None:
    log = MemoryLog()
    record = asyncio.run(log.open()).record
    for scope in ("mailboxsettings.read", "https://graph.microsoft.com/MailboxSettings.Read"):
        assert may_be_read({**record, "scopes": [scope]})
    assert not may_be_read({**record, "scopes": ["Mail.Read", "MailboxSettings.ReadWrite.Shared"]})
