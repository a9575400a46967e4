"""Every mail and calendar of the corpora by the whole way: connector, pages, route, weave.

What anybody can read with a regular expression in the raw bytes stands in the result, however broken the rest is. The
search here knows nothing of the parser's own code.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from calendars import window
from corpora import corpus, whole_mails
from rapport_core.clock import to_ms
from rapport_processors.mail.parse import ParsedMail, parse_mail
from rapport_producers.calendar_archive.series import Window
from whole_path import WholePath

MAILS = [("tricky-mail", "*.eml"), ("bounces", "*.txt")]
NAMING = ("from", "to", "cc", "bcc", "sender", "reply-to")
LINKING = ("message-id", "references", "in-reply-to")

_FIELD = re.compile(r"(?m)^([!-9;-~]+)[ \t]*:(.*(?:\n[ \t]+.*)*)")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")


def headers_of(raw: bytes) -> dict[str, list[str]]:
    """The fields of the first block of lines, unfolded."""
    text = re.sub(rb"\r\n|\r", b"\n", raw).lstrip(b"\n").decode("latin-1")
    block = re.sub(r"\A>?From [^\n]*\n", "", text).partition("\n\n")[0]
    found: dict[str, list[str]] = {}
    for name, value in _FIELD.findall(block):
        found.setdefault(name.lower(), []).append(" ".join(value.split()))
    return found


def addresses_in(values: Iterable[str]) -> set[str]:
    """Whatever looks like an address outside of quoted names and comments."""
    found: set[str] = set()
    for value in values:
        before, text = "", re.sub(r'"(?:[^"\\]|\\.)*"(?!@)', " ", value)
        while text != before:
            before, text = text, re.sub(r"\([^()]*\)", " ", text)
        found |= {address.lower().rstrip(".") for address in _ADDRESS.findall(text)}
    return found


def ids_in(values: Iterable[str]) -> set[str]:
    """Whatever stands in angle brackets."""
    return {"".join(id_.split()) for value in values for id_ in re.findall(r"<([^<>]+)>", value)}


def date_in(values: list[str]) -> int | None:
    """As the standard library reads it; None where it does not."""
    try:
        found = parsedate_to_datetime(values[0])
    except (ValueError, IndexError):
        return None
    return to_ms(found if found.tzinfo else found.replace(tzinfo=UTC))


def read(tmp_path: Path, raw: bytes) -> ParsedMail:
    """The copy that a mail became, after it was seen to be an item."""
    path = WholePath()
    path.mbox(tmp_path / "one.mbox", [raw])
    path.run()
    assert (path.reasons(), path.lost(), len(path.items())) == ([], [], 1)
    [(_, change)] = path.shown()
    assert change["mail"] is not None
    return parse_mail(change["mail"])


# What the search finds and the parser does not, or the other way round, and why the parser is right.
ADDRESSES = {
    "raw_email_with_at_display_name.eml": ({"mikel@lindsaar"}, set()),  # a display name without quotes
    "example10.eml": (set(), {"c@public.example", "pete@silly.test"}),  # comments inside of the addresses
    "example11.eml": ({"jdoe@test"}, {"jdoe@test.example"}),  # white space around the dot
    "example13.eml": (set(), {"jdoe@machine.example", "mary@example.net"}),  # both of it
    "utf8_headers.eml": ({"e@m", "ry@ex"}, {"jdöe@xn--mchine-bua.example", "märy@xn--exmple-cua.net"}),
    "simple_35.txt": ({"example.com@xxx.com"}, {'"postmaster@example.com"@xxx.com'}),  # the first @ is quoted
    "simple_36.txt": (set(), {'"system administrator"@example.com'}),  # a space in a quoted local part
}
IDS = {  # Message-IDs without brackets
    "mix_caps_content_type.eml": {"201002191008.30117.foo.bar@company.com"},
    "simple_13.txt": {"N77056c0a550a010202b5c"},
}
DATES = {
    "raw_email_bad_time.eml": None,  # the year 3609, which no table holds
    "example13.eml": 880_127_706_000,  # a comment inside of the time
    "smtp32_01.txt": 986_206_810_000,  # the year 101: a hundred and one years after 1900
}


@pytest.mark.parametrize(("name", "pattern"), MAILS)
def test_what_can_be_read_in_a_mail_is_read(name: str, pattern: str, tmp_path: Path) -> None:
    """Every mail is an item, and no address, id or date that stands in its headers is lost or made up."""
    for file, raw in whole_mails(name, pattern):
        said, parsed = headers_of(raw), read(tmp_path, raw)
        wanted = addresses_in(value for field in NAMING for value in said.get(field, []))
        found = {person["address"] for person in parsed.message["people"]}
        assert (wanted - found, found - wanted) == ADDRESSES.get(file, (set(), set())), file
        linked = set(parsed.links) - {parsed.message["fallback_id"]}
        stated = ids_in(value for field in LINKING for value in said.get(field, []))
        assert (stated - linked, linked - stated) == (set(), IDS.get(file, set())), file
        assert parsed.message["date"] == DATES.get(file, date_in(said.get("date", []))), file


_EVENT = re.compile(rb"(?ims)^BEGIN:VEVENT[ \t]*\r?$(.*?)^END:VEVENT[ \t]*\r?$")
_UID = re.compile(rb"(?im)^UID(?:;[^:\r\n]*)?:(.*?)\r?$")
_START = re.compile(rb"(?im)^DTSTART(?:;[^:\r\n]*)?:(\d{8})(?:T\d{6}Z?)?\r?$")
CALENDAR_REASONS = {"itip_answer", "unknown_timezone", "unreadable_rule", "unreadable_start"}


def readable_events(text: bytes) -> Iterator[tuple[str, datetime, range]]:
    """UID, day and place of each event that has an id and a start which exists."""
    for event in _EVENT.finditer(text):
        unfolded = re.sub(rb"\r?\n[ \t]", b"", event[1])
        uid, start = _UID.search(unfolded), _START.search(unfolded)
        if uid is None or start is None:
            continue
        try:
            day = datetime.strptime(start[1].decode(), "%Y%m%d").replace(tzinfo=UTC)
        except ValueError:
            continue
        yield uid[1].decode("utf-8", "replace").strip(), day, range(event.start(), event.end())


def around(days: Iterable[datetime]) -> Window:
    """A window that holds the first occurrences of all of them."""
    found = sorted(days) or [datetime(2020, 1, 1, tzinfo=UTC)]
    later = min(found[-1], datetime(2100, 1, 1, tzinfo=UTC)) + timedelta(days=60)
    return window((found[0] - timedelta(days=2)).date().isoformat(), later.date().isoformat())


@pytest.mark.parametrize("name", ["itip", "ics"])
def test_every_event_that_can_be_read_is_a_meeting_or_named(name: str) -> None:
    """By UID among what was published, or by its place in a dead letter; and what was published is an item."""
    reasons: Counter[str] = Counter()
    for file in sorted(corpus(name).rglob("*.ics")):
        events = list(readable_events(file.read_bytes()))
        path = WholePath()
        path.calendar(file, around(day for _, day, _ in events))
        path.run()
        said = {change["event"]["uid"] for _, change in path.shown() if change["event"]}
        dead = [int(letter["origin"].rpartition(":")[2]) for letter in path.refused()]
        for uid, _, places in events:
            assert uid in said or any(place in places for place in dead), f"{file.name}: {uid}"
        assert path.lost() == [], file.name
        reasons.update(path.reasons())
    assert set(reasons) <= CALENDAR_REASONS


def test_the_files_that_are_no_calendars_are_told_as_such() -> None:
    """Five of 487, none of which has a component of a calendar; the command ends with words about it."""
    path = WholePath()
    ended = [path.calendar(file) for name in ("itip", "ics") for file in sorted(corpus(name).rglob("*.ics"))]
    assert sum("is no calendar" in said for said in ended) == 5
    assert sum("cut off or damaged" in said for said in ended) == 8
