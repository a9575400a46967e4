"""Which path of Graph v1.0 is answered by what."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from graph.calendar_api import CalendarApi
from graph.mail_api import MailApi
from graph.wire import Answer, Ask, Refusal


@dataclass(frozen=True)
class Apis:
    """What answers for one mailbox."""

    mail: MailApi
    calendar: CalendarApi


Handler = Callable[[Apis, Ask, list[str]], Answer]

_PARENTHESES: Final = re.compile(r"\('([^']*)'\)")
_ROUTES: Final[list[tuple[str, str, Handler, str, str]]] = [
    ("GET", "mailfolders", lambda api, ask, _: api.mail.folders(ask), "mailFolder", "Mail.Read"),
    ("GET", "mailfolders/delta", lambda api, ask, _: api.mail.folder_delta(ask), "mailFolder", "Mail.Read"),
    ("GET", "mailfolders/*", lambda api, ask, ids: api.mail.folder(ask, *ids), "mailFolder", "Mail.Read"),
    (
        "GET",
        "mailfolders/*/childfolders",
        lambda api, ask, ids: api.mail.folders(ask, *ids),
        "mailFolder",
        "Mail.Read",
    ),
    (
        "GET",
        "mailfolders/*/messages",
        lambda api, ask, ids: api.mail.messages(ask, *ids),
        "message",
        "Mail.Read",
    ),
    (
        "GET",
        "mailfolders/*/messages/delta",
        lambda api, ask, ids: api.mail.message_delta(ask, *ids),
        "message",
        "Mail.Read",
    ),
    (
        "GET",
        "mailfolders/*/messages/*",
        lambda api, ask, ids: api.mail.message(ask, ids[1], ids[0]),
        "message",
        "Mail.Read",
    ),
    ("GET", "messages", lambda api, ask, _: api.mail.messages(ask), "message", "Mail.Read"),
    ("GET", "messages/*", lambda api, ask, ids: api.mail.message(ask, *ids), "message", "Mail.Read"),
    ("POST", "messages/*/move", lambda api, ask, ids: api.mail.move(ask, *ids), "message", "Mail.ReadWrite"),
    ("POST", "sendmail", lambda api, ask, _: api.mail.send_mail(ask), "message", "Mail.Send"),
    ("POST", "translateexchangeids", lambda api, ask, _: api.mail.translate(ask), "", "Mail.Read"),
    ("GET", "calendars", lambda api, ask, _: api.calendar.calendars(ask), "calendar", "Calendars.Read"),
    (
        "GET",
        "calendars/*",
        lambda api, ask, ids: api.calendar.calendar(ask, *ids),
        "calendar",
        "Calendars.Read",
    ),
    ("GET", "calendar", lambda api, ask, _: api.calendar.calendar(ask), "calendar", "Calendars.Read"),
    ("GET", "calendarview", lambda api, ask, _: api.calendar.view(ask), "event", "Calendars.Read"),
    ("GET", "calendar/calendarview", lambda api, ask, _: api.calendar.view(ask), "event", "Calendars.Read"),
    (
        "GET",
        "calendars/*/calendarview",
        lambda api, ask, ids: api.calendar.view(ask, *ids),
        "event",
        "Calendars.Read",
    ),
    (
        "GET",
        "calendarview/delta",
        lambda api, ask, _: api.calendar.view_delta(ask),
        "event",
        "Calendars.Read",
    ),
    (
        "GET",
        "calendars/*/calendarview/delta",
        lambda api, ask, ids: api.calendar.view_delta(ask, *ids),
        "event",
        "Calendars.Read",
    ),
    ("GET", "events", lambda api, ask, _: api.calendar.events(ask), "event", "Calendars.Read"),
    (
        "GET",
        "calendars/*/events",
        lambda api, ask, ids: api.calendar.events(ask, *ids),
        "event",
        "Calendars.Read",
    ),
    ("GET", "events/*", lambda api, ask, ids: api.calendar.event(ask, *ids), "event", "Calendars.Read"),
    (
        "GET",
        "calendars/*/events/*",
        lambda api, ask, ids: api.calendar.event(ask, ids[1]),
        "event",
        "Calendars.Read",
    ),
    (
        "GET",
        "events/*/instances",
        lambda api, ask, ids: api.calendar.instances(ask, *ids),
        "event",
        "Calendars.Read",
    ),
    (
        "GET",
        "mailboxsettings",
        lambda api, ask, _: api.calendar.settings(ask),
        "mailboxSettings",
        "MailboxSettings.Read",
    ),
    (
        "GET",
        "mailboxsettings/automaticrepliessetting",
        lambda api, ask, _: api.calendar.automatic_replies(ask),
        "automaticRepliesSetting",
        "MailboxSettings.Read",
    ),
]


def segments(path: str) -> list[str]:
    """The parts of a path below the version; `mailFolders('x')` is `mailFolders/x`."""
    return [part for part in _PARENTHESES.sub(r"/\1", path).split("/") if part][1:]


def route(method: str, parts: list[str]) -> tuple[Handler, list[str], str, str]:
    """(handler, ids, entity, scope) of a path below a mailbox; `Refusal` for one that the simulator does not have."""
    for wanted, pattern, handler, entity, scope in _ROUTES:
        ids = _match(pattern.split("/"), parts) if wanted == method else None
        if ids is not None:
            return handler, ids, entity, scope
    raise Refusal(400, "BadRequest", f"Resource not found for the segment '{parts[-1] if parts else ''}'.")


def _match(pattern: list[str], parts: list[str]) -> list[str] | None:
    if len(pattern) != len(parts):
        return None
    ids: list[str] = []
    for wanted, part in zip(pattern, parts, strict=True):
        if wanted == "*":
            ids.append(part)
        elif wanted != part.lower():
            return None
    return ids
