"""An event as Graph shows it becomes an occurrence as the raw log keeps it. Pure.

Ask for events with `Prefer: outlook.timezone="UTC"`. What Graph leaves out of an occurrence of a series is as its master has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from rapport_core.errors import PoisonError
from rapport_producers.archive.mime import clean
from rapport_producers.calendar_archive.events import PREVIEW_CHARS, TEXT_CHARS
from rapport_producers.graph.times import day_text, instant_ms, original_text, time_text
from rapport_schemas.changes import event_change
from rapport_schemas.records import Change, EventAttendee, EventFields

Json = dict[str, Any]

_OF_INSTANCES = (
    "id",
    "iCalUId",
    "type",
    "seriesMasterId",
    "start",
    "end",
    "originalStart",
    "originalStartTimeZone",
    "isAllDay",
    "isCancelled",
    "showAs",
    "subject",
    "bodyPreview",
    "location",
    "locations",
    "isOnlineMeeting",
    "onlineMeetingProvider",
    "organizer",
    "isOrganizer",
    "attendees",
    "responseStatus",
    "sensitivity",
)
INSTANCE_PARAMS: Final = {"$select": ",".join(_OF_INSTANCES)}
"""What instances of a series are listed with: views of a calendar do not let one select when an event was last changed."""

EVENT_PARAMS: Final = {"$select": ",".join((*_OF_INSTANCES, "lastModifiedDateTime", "recurrence"))}
"""What a single event or a master is asked for with."""

_OWN = frozenset({"id", "type", "seriesMasterId", "start", "end", "originalStart", "iCalUId", "recurrence"})
"""What an occurrence never has from its master."""

_MASTER = "seriesMaster"
_RESPONSES = {
    "accepted": "accepted",
    "organizer": "accepted",
    "tentativelyAccepted": "tentative",
    "declined": "declined",
    "none": "none",
    "notResponded": "none",
}
_ANSWERS = frozenset({"accepted", "tentative", "declined"})
_ROLES = {"required": "required", "optional": "optional", "resource": "none"}
_VISIBILITY = {"": "public", "normal": "public", "confidential": "confidential"}
_KINDS = {"oof": "outOfOffice", "workingElsewhere": "workingLocation"}
_ONLINE = {"teamsForBusiness": "Microsoft Teams", "skypeForBusiness": "Skype", "skypeForConsumer": "Skype"}


def graph_event_change(event: Json, master: Json | None = None) -> Change | None:
    """One occurrence, or a single event, whole; None for the master of a series, which is no meeting itself.

    Args:
        event: asked for with EVENT_PARAMS or INSTANCE_PARAMS, or a thin one of a round of changes.
        master: of its series; None for a single event, or where the event is whole and nothing more is known.

    Raises PoisonError for an event without an id (`no_id`) or a readable start (`unreadable_start`).
    """
    id_ = event.get("id")
    if not isinstance(id_, str) or not id_:
        raise PoisonError("no_id", "Microsoft Graph showed an event without an id")
    if event.get("type") == _MASTER:
        return None
    return event_change(id_, _fields(event, master))


def _fields(event: Json, master: Json | None) -> EventFields:
    whole = {**_shared(master), **event}
    start, end = _times(whole)
    series = _text(event, "seriesMasterId")
    organizer = _mailbox(whole.get("organizer"))
    rooms = _rooms(whole)
    attendees = [_attendee(one, rooms) for one in _dicts(whole.get("attendees"))]
    return {
        "uid": _clean(master or {}, "iCalUId") or _clean(event, "iCalUId"),
        "original_start": (_original(whole, master) or start) if series else "",
        "series": series,
        "start": start,
        "end": end or start,
        "status": "cancelled" if whole.get("isCancelled") else "confirmed",
        "kind": _kind(whole, attendees),
        "title": _clean(whole, "subject")[:TEXT_CHARS],
        "location": _location(whole)[:TEXT_CHARS],
        "preview": " ".join(_clean(whole, "bodyPreview").split())[:PREVIEW_CHARS],
        "organizer": _clean(organizer, "address").strip()[:TEXT_CHARS],
        "organizer_name": _name(organizer),
        "attendees": attendees,
        "owner_response": _owner_response(whole),
        "owner_organizes": whole.get("isOrganizer") is True,
        "visibility": _VISIBILITY.get(_text(whole, "sensitivity"), "private"),
        "sequence": None,
        "updated": instant_ms(whole.get("lastModifiedDateTime")),
    }


def _shared(master: Json | None) -> Json:
    return {name: value for name, value in (master or {}).items() if name not in _OWN}


# -- times ------------------------------------------------------------------------------------------------------


def _times(event: Json) -> tuple[str, str]:
    made_in = event.get("originalStartTimeZone")
    if event.get("isAllDay"):
        start, end = (day_text(event.get(name), made_in) for name in ("start", "end"))
    else:
        start, end = (time_text(event.get(name)) for name in ("start", "end"))
    if not start:
        raise PoisonError("unreadable_start", "Microsoft Graph showed an event whose start is no time")
    return start, end


def _original(event: Json, master: Json | None) -> str:
    """When the series wanted it to begin; a thin occurrence does not say so, because it does begin then.

    It is a day where the series is of whole days, whatever became of the occurrence.
    """
    whole_day = bool((master or event).get("isAllDay"))
    return original_text(event.get("originalStart"), event.get("originalStartTimeZone"), whole_day=whole_day)


# -- people -----------------------------------------------------------------------------------------------------


def _attendee(attendee: Json, rooms: frozenset[str]) -> EventAttendee:
    mailbox, kind = _mailbox(attendee), _text(attendee, "type")
    address = _clean(mailbox, "address").strip()[:TEXT_CHARS]
    is_place = kind == "resource" or address.casefold() in rooms
    return {
        "address": address,
        "name": _name(mailbox),
        "kind": "resource" if is_place else "individual",
        "role": "none" if is_place else _ROLES.get(kind, "required"),
        "response": _RESPONSES.get(_text(_dict(attendee.get("status")), "response"), ""),
    }


def _rooms(event: Json) -> frozenset[str]:
    """The addresses of places: a room that was invited like a person is still none."""
    places = [_dict(event.get("location")), *_dicts(event.get("locations"))]
    return frozenset(filter(None, (_text(one, "locationEmailAddress").casefold() for one in places)))


def _owner_response(event: Json) -> str:
    """The owner's answer; who organises was not asked."""
    said = _text(_dict(event.get("responseStatus")), "response")
    answer = "" if said == "organizer" else _RESPONSES.get(said, "")
    return answer if answer in _ANSWERS else ""


# -- the rest ---------------------------------------------------------------------------------------------------


def _kind(event: Json, attendees: Iterable[EventAttendee]) -> str:
    """What it is instead of a meeting. Who visits a customer is out of office too: with others in it, it is a meeting."""
    owner = _clean(_mailbox(event.get("organizer")), "address").strip().casefold()
    others = [one for one in attendees if one["kind"] != "resource" and one["address"].casefold() != owner]
    return "" if others else _KINDS.get(_text(event, "showAs"), "")


def _location(event: Json) -> str:
    """The place; of several all. A meeting online without one takes place there."""
    named = [_clean(one, "displayName").strip() for one in _dicts(event.get("locations"))]
    found = _clean(_dict(event.get("location")), "displayName").strip() or "; ".join(filter(None, named))
    if not found and event.get("isOnlineMeeting"):
        return _ONLINE.get(_text(event, "onlineMeetingProvider"), "Online")
    return found


def _mailbox(recipient: Any) -> Json:
    return _dict(_dict(recipient).get("emailAddress"))


def _name(mailbox: Json) -> str:
    """The display name; who has none is called by his address by Graph."""
    name = _clean(mailbox, "name").strip()
    return "" if name.casefold() == _clean(mailbox, "address").strip().casefold() else name[:TEXT_CHARS]


def _clean(of: Json, name: str) -> str:
    return clean(_text(of, name))


def _text(of: Json, name: str) -> str:
    value = of.get(name)
    return value if isinstance(value, str) else ""


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
