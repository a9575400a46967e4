"""Templates, and how numbers, times and addresses of files are written in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from rapport.dashboard.crosssite import session_csrf
from rapport.dashboard.guard import SignedIn
from rapport.spans import Span

STATIC_FOLDER: Final = Path(__file__).parent / "static"
_ADDRESS: Final = re.compile(r"(https://[^\s<>\"]*[^\s<>\".,;:)])")
_TO: Final = "\N{EN DASH}"
_NARROW_SPACE: Final = "\N{NARROW NO-BREAK SPACE}"


def page(
    request: Request,
    template: str,
    values: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """One rendered page. Every value is escaped; a name the template misses is an error, not an empty place."""
    signed_in: SignedIn | None = getattr(request.state, "signed_in", None)
    shared = {
        "user": signed_in.session.user if signed_in else None,
        "csrf": session_csrf(signed_in.token) if signed_in else "",
        "has_connections": _has_connections(request),
    }
    return HTMLResponse(
        _environment().get_template(template).render({**shared, **values}),
        status_code=status,
        headers=headers,
    )


def _has_connections(request: Request) -> bool:
    """Whether there are pages about connections; none where a request broke before it reached the application."""
    app = request.scope.get("app")
    return app is not None and app.state.parts.connections is not None


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rapport.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number,
        moment=moment,
        span=span,
        day=day,
        linked=linked,
        day_in=day_in,
        last_day_in=last_day_in,
    )
    environment.globals["static"] = static_address
    return environment


@cache
def static_address(name: str) -> str:
    """The address of a file, which changes with its content, so that browsers may keep it for ever."""
    return f"/static/{name}?v={sha256((STATIC_FOLDER / name).read_bytes()).hexdigest()[:12]}"


def number(value: int) -> str:
    """A count with its thousands apart: 12 345."""
    return f"{value:,}".replace(",", _NARROW_SPACE)


def moment(value: str | None, timezone: str) -> Markup:
    """A time as people of that zone read it, with the exact one for machines; a dash for none."""
    if value is None:
        return Markup('<span class="none">&ndash;</span>')
    at = _local(value, timezone)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.isoformat(timespec="seconds"),
        f"{at:%A} {at.day} {at:%B %Y, %H:%M:%S} {timezone}",
        f"{at.day} {at:%b %Y, %H:%M}",
    )


def linked(text: str) -> Markup:
    """A sentence whose https addresses are links."""
    pieces = _ADDRESS.split(text)
    link = Markup('<a href="{0}" rel="noreferrer">{0}</a>')
    return Markup("").join(link.format(one) if at % 2 else escape(one) for at, one in enumerate(pieces))


def day(value: date) -> Markup:
    """A calendar day: 3 Nov 2026."""
    return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), f"{value.day} {value:%b %Y}")


def day_in(value: str, timezone: str) -> Markup:
    """The day in that zone on which an instant lies."""
    return day(_local(value, timezone).date())


def last_day_in(value: str, timezone: str) -> Markup:
    """The last day of a window that ends before an instant."""
    return day((_local(value, timezone) - timedelta(microseconds=1)).date())


def span(item: Mapping[str, Any], timezone: str) -> Markup:
    """When an item is: a moment, or from when to when, or which days; a dash for a time that nobody can read."""
    found = Span.of(item, ZoneInfo(timezone))
    if found is None:
        return moment(None, timezone)
    if found.all_day:
        text = _days_of(found.start.date(), found.last_day)
    elif found.end is not None:
        text = _times_of(found.start, found.end, found.last_day)
    else:
        return moment(item["at"], timezone)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        found.start.date().isoformat() if found.all_day else found.start.isoformat(timespec="seconds"),
        f"{found.start:%A} {found.start.day} {found.start:%B %Y} {timezone}",
        text,
    )


def _days_of(first: date, last: date) -> str:
    until = f"{_beginning(first, last)} {_TO} " if last > first else ""
    return f"{until}{last.day} {last:%b %Y}, all day"


def _times_of(start: datetime, end: datetime, last_day: date) -> str:
    if last_day == start.date():
        return f"{start.day} {start:%b %Y, %H:%M}{_TO}{end:%H:%M}"
    return f"{_beginning(start, end)}, {start:%H:%M} {_TO} {end.day} {end:%b %Y, %H:%M}"


def _beginning(first: date, last: date) -> str:
    """The day that begins a span; its year only where the end's differs."""
    return f"{first.day} {first:%b}" + (f" {first:%Y}" if first.year != last.year else "")


def _local(value: str, timezone: str) -> datetime:
    return datetime.fromisoformat(value).astimezone(ZoneInfo(timezone))
