"""Calendars and events as Graph v1.0 answers them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from graph.agenda import EVERY, Calendar, Event, Guest, Meeting, Occurrence, local, occurrence_id
from graph.clock import instant, seconds_of
from graph.delta import Cursors
from graph.journal import Entry, Journal, Quirks, Step
from graph.letters import person
from graph.mailbox import Mailbox
from graph.paging import paged, wants_immutable
from graph.query import LIST_PAGE, names, only, page_size, selected
from graph.wire import Answer, Ask, Json, Refusal

NEVER: Final = "0001-01-01T00:00:00Z"
_WINDOW: Final = ("startDateTime", "endDateTime")
_ON_REQUEST: Final = frozenset({"cancelledOccurrences"})
_WINDOWS_ZONES: Final = {
    "UTC": "UTC",
    "W. Europe Standard Time": "Europe/Berlin",
    "GMT Standard Time": "Europe/London",
    "Pacific Standard Time": "America/Los_Angeles",
    "Eastern Standard Time": "America/New_York",
    "India Standard Time": "Asia/Kolkata",
    "Tokyo Standard Time": "Asia/Tokyo",
}
_OLSON: Final = {olson: windows for windows, olson in _WINDOWS_ZONES.items()}


@dataclass(frozen=True)
class CalendarApi:
    """The calendar half of one mailbox, as one request sees it. `root` is `me` or `users('…')`."""

    mailbox: Mailbox
    cursors: Cursors
    root: str

    def calendars(self, ask: Ask) -> Answer:
        """All calendars, shared ones too."""
        parameters = only(ask, ("select", "top", "skip", "count"))
        values = [_calendar_json(self.mailbox, one, parameters) for one in self.mailbox.calendars.values()]
        return paged(ask, parameters, values, page_size(ask, parameters))

    def calendar(self, ask: Ask, identifier: str = "") -> Answer:
        """One calendar, the default one without an id."""
        parameters = only(ask, ("select",))
        return Answer(200, _calendar_json(self.mailbox, self._calendar(identifier), parameters))

    def view(self, ask: Ask, identifier: str = "") -> Answer:
        """Everything that happens in a window, each occurrence whole."""
        parameters = only(ask, (*_WINDOW, "select", "top", "skip", "count", "orderby"))
        found = self._calendar(identifier).within(*_window(parameters))
        return self._listed(ask, parameters, found)

    def view_delta(self, ask: Ask, identifier: str = "") -> Answer:
        """What changed of what happens in a window."""
        calendar = self._calendar(identifier)
        below = f"calendars('{calendar.id}')/" if identifier else ""
        stream = _ViewStream(self.mailbox, calendar, f"{self.root}/{below}calendarView/delta")
        return self.cursors.answer(stream, ask, self.mailbox.clock())

    def events(self, ask: Ask, identifier: str = "") -> Answer:
        """Single events and masters."""
        parameters = only(ask, ("select", "top", "skip", "count"))
        values = [
            selected(event_json(self.mailbox, one, ask), names(parameters.get("select")), _ON_REQUEST)
            for one in self._calendar(identifier).events.values()
        ]
        return paged(ask, parameters, values, page_size(ask, parameters))

    def event(self, ask: Ask, identifier: str) -> Answer:
        """A single event, a master or an occurrence."""
        parameters = only(ask, ("select",))
        whole = self._event_json(identifier, ask)
        return Answer(200, selected(whole, names(parameters.get("select")), _ON_REQUEST))

    def _event_json(self, identifier: str, ask: Ask) -> Json:
        try:
            event = self.mailbox.find_event(identifier)[1]
        except Refusal:
            return occurrence_json(self.mailbox, self.mailbox.find_occurrence(identifier), ask)
        return event_json(self.mailbox, event, ask)

    def instances(self, ask: Ask, identifier: str) -> Answer:
        """The occurrences of a series in a window, those cancelled left out."""
        parameters = only(ask, (*_WINDOW, "select", "top", "skip", "count"))
        begin, end = _window(parameters)
        event = self.mailbox.find_event(identifier)[1]
        found = [one for one in event.occurrences() if event.recurrence and one.within(begin, end)]
        return self._listed(ask, parameters, found)

    def settings(self, ask: Ask) -> Answer:
        """The settings of the mailbox."""
        only(ask, ("select",))
        return Answer(200, dict(self.mailbox.settings))

    def automatic_replies(self, ask: Ask) -> Answer:
        """Whether the person is away."""
        only(ask, ())
        return Answer(200, dict(self.mailbox.settings["automaticRepliesSetting"]))

    def _calendar(self, identifier: str) -> Calendar:
        return self.mailbox.find_calendar(identifier) if identifier else self.mailbox.calendar

    def _listed(self, ask: Ask, parameters: Mapping[str, str], found: Iterable[Occurrence]) -> Answer:
        select = names(parameters.get("select"))
        values = [selected(occurrence_json(self.mailbox, one, ask), select, _ON_REQUEST) for one in found]
        return paged(ask, parameters, values, page_size(ask, parameters))


@dataclass(frozen=True)
class _ViewStream:
    mailbox: Mailbox
    calendar: Calendar
    path: str
    default_page: int = LIST_PAGE

    @property
    def resource(self) -> str:
        return f"{self.mailbox.id}/calendarView/{self.calendar.id}"

    @property
    def journal(self) -> Journal:
        return self.calendar.journal

    def options(self, ask: Ask) -> Mapping[str, str]:
        parameters = only(ask, _WINDOW)
        _window(parameters)
        return parameters

    def steps(self, options: Mapping[str, str], since: int | None, quirks: Quirks) -> list[Step]:
        begin, end = _window(options)
        if since is None:
            return [
                step
                for event in self.calendar.events.values()
                for step in _inside(event, begin, end, {EVERY})
            ]
        runs: dict[str, list[Entry]] = {}
        for entry in self.journal.entries[since:]:
            runs.setdefault(entry.key, []).append(entry)
        return [step for run in runs.values() for step in self._changed(run, begin, end, quirks)]

    def _changed(self, run: list[Entry], begin: float, end: float, quirks: Quirks) -> list[Step]:
        event = self.calendar.events.get(run[-1].key)
        if event is None:
            return _removal(run[-1], quirks)
        steps = _inside(event, begin, end, set().union(*(entry.fields for entry in run)))
        return steps or [Step(event.key, event.shown, removed="deleted")]

    def render(self, step: Step, options: Mapping[str, str], ask: Ask) -> Json | None:
        key, _, day = step.key.partition("|")
        if step.removed:
            gone = key if wants_immutable(ask) else step.shown
            if day:
                gone = _former(step, ask)
            return {"@odata.type": "#microsoft.graph.event", "id": gone, "@removed": {"reason": step.removed}}
        event = self.calendar.events.get(key)
        if event is None:
            return None
        if not day:
            return {
                "@odata.type": "#microsoft.graph.event",
                **self._without(event_json(self.mailbox, event, ask)),
            }
        occurrence = next((one for one in event.occurrences() if str(one.day) == day), None)
        if occurrence is None:
            return None
        whole = occurrence_json(self.mailbox, occurrence, ask)
        if occurrence.exception:
            return {"@odata.type": "#microsoft.graph.event", **self._without(whole)}
        thin = ("@odata.etag", "seriesMasterId", "type", "id", "start", "end")
        return {"@odata.type": "#microsoft.graph.event", **{name: whole[name] for name in thin}}

    @staticmethod
    def _without(whole: Json) -> Json:
        return selected(whole, None, _ON_REQUEST)


def _inside(event: Event, begin: float, end: float, days: set[str]) -> list[Step]:
    """What a window shows of an event: a master with the occurrences that changed; one that left it as removed."""
    if event.recurrence is None:
        single = next(event.occurrences())
        return [Step(event.key, event.shown)] if single.within(begin, end) else []
    steps: list[Step] = []
    seen = False
    for one in event.occurrences():
        inside = one.within(begin, end)
        seen = seen or inside
        if inside and (EVERY in days or str(one.day) in days):
            steps.append(Step(one.key, event.shown))
        elif str(one.day) in days:
            steps.append(Step(one.key, event.shown, removed="deleted"))
        if one.original_start() > end and not event.exceptions:
            break
    return [Step(event.key, event.shown), *steps] if seen else steps


def _removal(entry: Entry, quirks: Quirks) -> list[Step]:
    steps = [Step(entry.key, entry.shown, removed="deleted")]
    if quirks.series_removal == "all":
        steps += [Step(key, entry.shown, removed="deleted") for key in sorted(entry.fields) if "|" in key]
    return steps


def _former(step: Step, ask: Ask) -> str:
    """The id of an occurrence whose series may be gone."""
    key, _, day = step.key.partition("|")
    return occurrence_id(key if wants_immutable(ask) else step.shown, day, immutable=wants_immutable(ask))


def event_json(mailbox: Mailbox, event: Event, ask: Ask) -> Json:
    """A single event or a master, whole."""
    single = event.recurrence is None
    whole = _json(mailbox, event, event.meeting, ask)
    first = event.meeting.start.date()
    return {
        **whole,
        "id": event.key if wants_immutable(ask) else event.shown,
        "iCalUId": event.uid,
        "type": "singleInstance" if single else "seriesMaster",
        "recurrence": event.recurrence.json(first, _windows(event.meeting.zone))
        if event.recurrence
        else None,
        **({} if single else {"cancelledOccurrences": _cancelled(event, ask)}),
    }


def occurrence_json(mailbox: Mailbox, one: Occurrence, ask: Ask) -> Json:
    """An occurrence, whole; a single event is its own."""
    event = one.event
    if event.recurrence is None:
        return event_json(mailbox, event, ask)
    return {
        **_json(mailbox, event, one.meeting, ask),
        "id": one.id(immutable=wants_immutable(ask)),
        "iCalUId": one.uid(),
        "type": "exception" if one.exception else "occurrence",
        "seriesMasterId": event.key if wants_immutable(ask) else event.shown,
        "originalStart": instant(one.original_start()),
    }


def _json(mailbox: Mailbox, event: Event, meeting: Meeting, ask: Ask) -> Json:
    change_key = base64.b64encode(f"{event.key[-8:]}{event.version}".encode()).decode()
    mine = person(meeting.organizer)["emailAddress"]["address"].lower() == mailbox.address.lower()
    zone = ask.prefers().get("outlook.timezone", "UTC")
    return {
        "@odata.etag": f'W/"{change_key}"',
        "changeKey": change_key,
        "createdDateTime": instant(event.created),
        "lastModifiedDateTime": instant(event.modified),
        "categories": [],
        "transactionId": None,
        "subject": f"Canceled: {meeting.subject}" if meeting.cancelled else meeting.subject,
        "body": {"contentType": "html", "content": meeting.text},
        "bodyPreview": meeting.text[:255],
        "start": _moment(meeting, meeting.start, meeting.begins(), zone),
        "end": _moment(meeting, meeting.end, meeting.ends(), zone),
        "originalStartTimeZone": _windows(meeting.zone),
        "originalEndTimeZone": _windows(meeting.zone),
        "isAllDay": meeting.all_day,
        "isCancelled": meeting.cancelled,
        "isDraft": False,
        "isOrganizer": mine,
        "isOnlineMeeting": meeting.online,
        "onlineMeetingProvider": "teamsForBusiness" if meeting.online else "unknown",
        "onlineMeeting": {"joinUrl": f"https://teams.microsoft.com/l/{event.uid[-8:]}"}
        if meeting.online
        else None,
        "onlineMeetingUrl": None,
        "isReminderOn": True,
        "reminderMinutesBeforeStart": 15,
        "hasAttachments": False,
        "hideAttendees": False,
        "importance": "normal",
        "allowNewTimeProposals": True,
        "responseRequested": True,
        "responseStatus": {"response": "organizer" if mine else meeting.response, "time": NEVER},
        "sensitivity": meeting.sensitivity,
        "showAs": meeting.show_as,
        "seriesMasterId": None,
        "originalStart": None,
        "recurrence": None,
        "location": {"displayName": meeting.location, "locationType": "default"},
        "locations": [{"displayName": meeting.location}] if meeting.location else [],
        "organizer": person(meeting.organizer),
        "attendees": [_guest(one) for one in meeting.guests],
        "webLink": f"https://outlook.office365.com/owa/?itemid={event.shown}",
    }


def _guest(guest: Guest) -> Json:
    answered = NEVER if guest.answered is None else instant(guest.answered)
    return {**person(guest.who), "type": guest.kind, "status": {"response": guest.response, "time": answered}}


def _moment(meeting: Meeting, written: datetime, seconds: float, zone: str) -> Json:
    """Seven digits of a second and no offset; an all-day event begins at midnight wherever one is."""
    try:
        shown = written if meeting.all_day else local(seconds, str(ZoneInfo(_WINDOWS_ZONES.get(zone, zone))))
    except ZoneInfoNotFoundError as error:
        raise Refusal(400, "ErrorInvalidTimeZone", f"The time zone is not known: {zone}") from error
    return {"dateTime": f"{shown:%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": zone}


def _windows(zone: str) -> str:
    return _OLSON.get(zone, zone)


def _cancelled(event: Event, ask: Ask) -> list[str]:
    """Not ids of events: the master's with the day in the series' own zone."""
    master = event.key if wants_immutable(ask) else event.shown
    return [f"OID.{master}.{day.isoformat()}" for day in sorted(event.cancelled)]


def _window(parameters: Mapping[str, str]) -> tuple[float, float]:
    try:
        return seconds_of(parameters["startdatetime"]), seconds_of(parameters["enddatetime"])
    except (KeyError, ValueError) as error:
        raise Refusal(400, "ErrorInvalidRequest", "startDateTime and endDateTime are required.") from error


def _calendar_json(mailbox: Mailbox, calendar: Calendar, parameters: Mapping[str, str]) -> Json:
    whole = {
        "id": calendar.id,
        "name": calendar.name,
        "color": "auto",
        "hexColor": "",
        "isDefaultCalendar": calendar.default,
        "changeKey": "1",
        "canShare": calendar.owner == mailbox.address,
        "canViewPrivateItems": calendar.owner == mailbox.address,
        "canEdit": calendar.owner == mailbox.address,
        "isRemovable": not calendar.default,
        "isTallyingResponses": calendar.default,
        "allowedOnlineMeetingProviders": ["teamsForBusiness"],
        "defaultOnlineMeetingProvider": "teamsForBusiness",
        "owner": {"name": calendar.owner, "address": calendar.owner},
    }
    return selected(whole, names(parameters.get("select")), frozenset())
