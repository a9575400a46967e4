"""Automatic replies: whether a member's mailbox answers by itself, and until when. Only where the member allowed it to be read.

The texts of the replies are never kept.
"""

from __future__ import annotations

from typing import Any, Final

from rapport_core.errors import PoisonError
from rapport_producers.connection_log import ConnectionLog
from rapport_producers.graph.client import GraphClient, Mailbox, path_of
from rapport_producers.graph.errors import AdminNeeded, NotFound, Rejected
from rapport_producers.graph.times import time_text
from rapport_schemas.calendar_times import instant_ms
from rapport_schemas.records import Connection, OutOfOffice

SCOPE: Final = "MailboxSettings.Read"
"""The permission it takes."""

EVERY_S: Final = 1800.0
"""Graph tells nobody when it changes, so it is asked for."""

_STATUS: Final = {"disabled": "disabled", "alwaysEnabled": "always", "scheduled": "scheduled"}
_AUDIENCE: Final = {"none": "none", "contactsOnly": "contacts", "all": "all"}


def may_be_read(record: Connection) -> bool:
    """Whether the connection was granted the permission, however the scope is written."""
    return any(scope.rpartition("/")[2].lower() == SCOPE.lower() for scope in record["scopes"])


def replies_of(setting: Any) -> OutOfOffice | None:
    """Reads an automaticRepliesSetting; None for one that says nothing that is known. Times only where they are scheduled."""
    status = _STATUS.get(str(setting.get("status"))) if isinstance(setting, dict) else None
    if status is None:
        return None
    is_scheduled = status == "scheduled"
    return {
        "status": status,
        "since": _ms(setting.get("scheduledStartDateTime")) if is_scheduled else None,
        "until": _ms(setting.get("scheduledEndDateTime")) if is_scheduled else None,
        "audience": _AUDIENCE.get(str(setting.get("externalAudience")), "none"),
    }


def _ms(value: Any) -> int | None:
    try:
        return instant_ms(time_text(value))
    except PoisonError:
        return None


class AutomaticReplies:
    """Keeps the connection's record level with them."""

    def __init__(self, client: GraphClient, mailbox: Mailbox, log: ConnectionLog) -> None:
        self._client, self._mailbox, self._log = client, mailbox, log

    async def run(self) -> None:
        """Asks once. A refusal of this alone is no fault of the connection; other errors are raised."""
        found = await self._replies() if may_be_read(self._log.record) else None
        await self._log.announce(out_of_office=found)

    async def _replies(self) -> OutOfOffice | None:
        path = path_of(self._mailbox, "mailboxSettings", "automaticRepliesSetting")
        try:
            return replies_of(await self._client.get(self._mailbox, path))
        except (AdminNeeded, NotFound, Rejected):
            return None
