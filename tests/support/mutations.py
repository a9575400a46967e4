"""What goes wrong with mails and calendars on their way, at random but by a seed."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

ODD = (
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"\xed\xa0\x80",
    b"\x85",
    b"\x0b\x0c",
    b"\x1b$B",
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b"\n ",
    b"=?utf-8?B?",
    b"=?utf-8?Q?=FF=?=",
    b"=?x-unknown*en?q?a_b?=",
    b"?=",
    b"<",
    b">",
    b"<<>>",
    b"(",
    b")",
    b'"',
    b"\\",
    b",",
    b";",
    b":",
    b"@",
    b"a@b",
    b"%",
    b"--",
    b"From ",
    b"9" * 30,
    b"-",
    b"\t",
)
LINE_ENDS = (b"\n", b"\r\n", b"\r", b"\r\r\n", b"\n\r", b"\n\n", b"\x0b\n", b" \n", b"\0\n")
_LONGEST = 60_000
_HUGE = (
    lambda rng: b"To: " + b", ".join(b"p%d@x%d.example" % (n, n % 7) for n in range(rng.choice((300, 5000)))),
    lambda rng: b"References: " + b" ".join(b"<%d@huge.example>" % n for n in range(rng.choice((300, 3000)))),
    lambda rng: b"Subject: " + rng.choice((b"Re: ", b"[x] ", b"Re[2]: [a] ", b"=?utf-8?q?", b"\xe5")) * 4000,
    lambda rng: b"From: " + rng.choice((b"(", b'"', b"<", b"a@", b"\\", b"(a)", b":;", b"=?")) * 8000,
    lambda rng: b"Date: " + rng.choice((b"1 ", b"Mon, ", b"(", b"12:", b"+0000 ", b"Jan ")) * 4000,
    lambda rng: b"Message-ID: <" + rng.choice((b"x", b"<", b" ", b"@")) * 30_000 + b">",
    lambda rng: b"In-Reply-To: " + rng.choice((b"a@b ", b"<", b"<a>", b"=?utf-8?q?")) * 6000,
    lambda rng: b"Content-Type: multipart/mixed; " + rng.choice((b"a=b; ", b'"', b"boundary=", b";")) * 3000,
    lambda rng: b"List-Post: " + rng.choice((b"<mailto:", b"mailto:a@b,")) * 4000,
    lambda rng: b"X-Long: " + rng.choice((b"y", b" ", b"\n ")) * 300_000,
    lambda rng: rng.choice((b"X-N: 1\n", b"\xff:\n", b"Received: x\n")) * 20_000,
)
_HEADERS = (
    b"From: \xe5\xe4\xf6 <x@kund.se>",
    b"From: ",
    b"From: MAILER-DAEMON",
    b"To: undisclosed-recipients:;",
    b"Cc: a@x b@y, <c@z>, =?utf-8?q?d=40e=2Ef?=",
    b"Date: Thu, 32 Foo 20266 99:99:99 +9999",
    b"Date: Fri, 01 Jan 0000 00:00:00 -0000",
    b"Message-ID: <>",
    b"Message-ID: <yes>",
    b"References: <a@b <c@d> e@f",
    b"Subject: \xff\xfe \x1b$B$\x1b(B",
    b"Content-Type: multipart/report",
    b"Content-Type: text/calendar; method=",
    b"Content-Type: multipart/mixed; boundary=",
    b"Content-Transfer-Encoding: base64",
    b"List-Id: <",
    b"List-Post: <mailto:a@acme.com>",
    b"X-Gmail-Labels: =?utf-8?q?Inbox",
    b"Return-Path: <",
)


def _place(rng: Random, data: bytes) -> int:
    """Anywhere; more often in the first lines, where headers are."""
    return rng.randrange(len(data) + 1) if rng.random() < 0.4 else rng.randrange(min(len(data), 1500) + 1)


def _flip(rng: Random, data: bytes, _: bytes) -> bytes:
    out = bytearray(data)
    for _n in range(rng.choice((1, 3, 20))):
        if data:
            out[_place(rng, data[:-1])] ^= 1 << rng.randrange(8)
    return bytes(out)


def _put(rng: Random, data: bytes, _: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + rng.choice(ODD) * rng.choice((1, 1, 2, 40)) + data[at:]


def _overwrite(rng: Random, data: bytes, _: bytes) -> bytes:
    at, odd = _place(rng, data), rng.choice(ODD)
    return data[:at] + odd + data[at + len(odd) :]


def _cut(rng: Random, data: bytes, _: bytes) -> bytes:
    at = _place(rng, data)
    return rng.choice((data[:at], data[at:], data[:at] + data[at + rng.choice((1, 7, 200)) :]))


def _splice(rng: Random, data: bytes, other: bytes) -> bytes:
    return data[: _place(rng, data)] + other[_place(rng, other) :]


def _lines(rng: Random, data: bytes, other: bytes) -> bytes:
    """Lines repeated, dropped, moved, or taken from elsewhere."""
    lines = data.split(b"\n")
    for _n in range(rng.choice((1, 2, 5))):
        at = rng.randrange(min(len(lines), 40))
        kind = rng.randrange(5)
        if kind == 0:
            lines[at:at] = [lines[at]] * rng.choice((1, 2, 50))
        elif kind == 1 and len(lines) > 1:
            del lines[at]
        elif kind == 2:
            lines[at : at + 8] = rng.sample(lines[at : at + 8], len(lines[at : at + 8]))
        elif kind == 3:
            lines.insert(at, rng.choice(other.split(b"\n")))
        else:
            lines[at] = rng.choice(
                (lines[at].upper(), lines[at].lower(), lines[at].swapcase(), b" " + lines[at])
            )
    return b"\n".join(lines)


def _ends(rng: Random, data: bytes, _: bytes) -> bytes:
    lines = re.split(rb"\r?\n", data)
    if rng.random() < 0.5:
        return rng.choice(LINE_ENDS).join(lines)
    return b"".join(line + rng.choice(LINE_ENDS) for line in lines)


def _nuls(rng: Random, data: bytes, _: bytes) -> bytes:
    step = rng.choice((1, 2, 3, 50))
    return b"\0".join(data[at : at + step] for at in range(0, min(len(data), 4000), step)) + data[4000:]


def _encoded(rng: Random, data: bytes, _: bytes) -> bytes:
    """As another encoding would have it, or with its words broken."""
    kind = rng.randrange(4)
    if kind == 0:
        text = data[:20_000].decode("latin-1")
        return text.encode(rng.choice(("utf-16", "utf-16-le", "utf-8-sig", "utf-7", "utf-32")), "replace")
    if kind == 1:
        return re.sub(rb"=\?([^?]*)\?", lambda m: rng.choice((b"=?x?", b"=?utf-16?", m[0][::-1])), data)
    if kind == 2:
        return re.sub(rb"[aeiou]", lambda m: rng.choice((m[0], m[0], b"\xe5", b"\xc3\xa9")), data)
    return re.sub(
        rb"charset=\S+", b"charset=" + rng.choice((b"idna", b"utf-7", b"hex", b'""', b"\xff")), data
    )


def _common(rng: Random, data: bytes, other: bytes) -> bytes:
    kinds: tuple[Callable[[Random, bytes, bytes], bytes], ...] = (
        _flip,
        _put,
        _put,
        _overwrite,
        _cut,
        _splice,
        _lines,
        _lines,
        _ends,
        _nuls,
        _encoded,
    )
    return rng.choice(kinds)(rng, data, other)


def mutated_mail(rng: Random, data: bytes, other: bytes) -> bytes:
    """A mail to which one to four things happened; `other` is a mail of which a part may get into it."""
    data, other = data[:_LONGEST], other[:_LONGEST]
    for _ in range(rng.choice((1, 1, 2, 4))):
        chance = rng.random()
        if chance < 0.03:
            data = rng.choice(_HUGE)(rng) + b"\n" + data
        elif chance < 0.06:
            data = _nested(rng) + data
        elif chance < 0.2:
            at = data.find(b"\n", _place(rng, data)) + 1
            data = data[:at] + rng.choice(_HEADERS) + b"\n" + data[at:]
        else:
            data = _common(rng, data, other)
    return data + b"\n"


def _nested(rng: Random) -> bytes:
    """Multiparts in each other, or one with very many parts."""
    depth = rng.choice((5, 30, 300))
    opened = (b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(depth))
    many = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\nContent-Type: text/x\n\n" * (depth * 10)
    return b"Subject: nested\n" + rng.choice((b"".join(opened), many))


_CALENDAR_LINES = (
    b"DTSTART:20260310T100000",
    b"DTSTART;TZID=Nowhere/At All:20260310T100000",
    b"DTSTART;TZID=W. Europe Standard Time:20260310T100000Z",
    b"DTSTART;VALUE=DATE:20260230",
    b"DTSTART:99991231T235959Z",
    b"DTSTART:00000101T000000",
    b"DTEND:19700101",
    b"DURATION:P99999999999W",
    b"DURATION:-P1D",
    b"RRULE:FREQ=SECONDLY;COUNT=20000",
    b"RRULE:FREQ=DAILY;INTERVAL=0",
    b"RRULE:FREQ=DAILY;INTERVAL=99999999999",
    b"RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    b"RRULE:FREQ=WEEKLY;BYDAY=0MO,8XX;UNTIL=1",
    b"RRULE:FREQ=DAILY;COUNT=999999999",
    b"RRULE:FREQ=MINUTELY;BYSECOND=0,1,2,3;BYSETPOS=-1",
    b"RDATE;VALUE=PERIOD:20260101T000000Z/P1D,x",
    b"EXDATE:" + b"20260310T100000Z," * 2000,
    b"RECURRENCE-ID;RANGE=THISANDFUTURE:20260310T100000Z",
    b"UID:",
    b"UID:040000008200E00074C5B7101A82E008" + b"F" * 64,
    b"SEQUENCE:-99999999999999999999",
    b"LAST-MODIFIED:x",
    b"ORGANIZER:",
    b'ATTENDEE;CN="a:b;c:mailto:x@kund.se',
    b"ATTENDEE;PARTSTAT=DECLINED;CUTYPE=ROOM:MAILTO:a@acme.com",
    b"STATUS:CANCELLED",
    b"CLASS:PRIVATE",
    b"SUMMARY;ENCODING=QUOTED-PRINTABLE:=FF=",
    b"SUMMARY:" + b"\\n" * 5000,
    b"DESCRIPTION:" + b"\xf0\x9f\x98\x80" * 5000,
    b"BEGIN:VALARM",
    b"BEGIN:VEVENT",
    b"END:VEVENT",
    b"END:VALARM",
    b"END:VCALENDAR",
    b"BEGIN:VTIMEZONE",
    b"BEGIN:X\n" * 100,
    b"METHOD:REPLY",
    b"X-WR-TIMEZONE:Customized Time Zone",
)


def mutated_calendar(rng: Random, data: bytes, other: bytes) -> bytes:
    """A calendar to which one to four things happened."""
    data, other = data[:_LONGEST], other[:_LONGEST]
    for _ in range(rng.choice((1, 1, 2, 4))):
        if rng.random() < 0.4:
            at = data.find(b"\n", rng.randrange(len(data) + 1)) + 1
            data = data[:at] + rng.choice(_CALENDAR_LINES) + b"\n" + data[at:]
        else:
            data = _common(rng, data, other)
    return data + b"\n"
