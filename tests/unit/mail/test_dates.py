"""Dates become milliseconds in UTC, or None."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rapport_core.clock import to_ms
from rapport_processors.mail.dates import parse_date


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("Tue, 4 Dec 2001 19:27:33 -0500", (2001, 12, 5, 0, 27, 33)),
        ("4 Dec 2001 19:27:33 +0530 (IST)", (2001, 12, 4, 13, 57, 33)),
        ("Sun, 28 Apr 2019 20:00:00", (2019, 4, 28, 20, 0, 0)),
        ("Sun, 28 Apr 2019 20:00:00 -0000", (2019, 4, 28, 20, 0, 0)),
        ("21 Nov 97 09:55:06 GMT", (1997, 11, 21, 9, 55, 6)),
        ("21 Nov 49 09:55:06 GMT", (2049, 11, 21, 9, 55, 6)),
        ("Tue, 22 Jan 2002 14:35 UT", (2002, 1, 22, 14, 35, 0)),
        ("Wed, 9 Jan 2002 19:47:50 MST", (2002, 1, 10, 2, 47, 50)),
        ("Tue, 12 Oct 2010 16:21:05 H0500", (2010, 10, 12, 16, 21, 5)),
        ("Tue, 12 Oct 2010 16:21:05 +9900", (2010, 10, 12, 16, 21, 5)),
        ("Thu Jan  2 03:04:05 1997", (1997, 1, 2, 3, 4, 5)),
        ("Wed Jan 02 03:04:05 PST 2019", (2019, 1, 2, 11, 4, 5)),
        ("2019-01-02T03:04:05Z", (2019, 1, 2, 3, 4, 5)),
        ("2019-01-02 03:04:05.123 +0200", (2019, 1, 2, 1, 4, 5)),
        ("Mon, 6-Jan-03 10:11:12 +0100", (2003, 1, 6, 9, 11, 12)),
        ("Wed, January 2, 2019 3:04 PM", (2019, 1, 2, 15, 4, 0)),
        ("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", (1997, 11, 21, 15, 55, 6)),
        ("Thu, 13 Feb 1969 23:32:54 -0330", (1969, 2, 14, 3, 2, 54)),
        ("Sat, 31 Dec 2016 23:59:60 +0000", (2017, 1, 1, 0, 0, 0)),
    ],
)
def test_readable_dates(text: str, at: tuple[int, int, int, int, int, int]) -> None:
    """RFC 5322, its obsolete forms, and what mailers write instead; no zone or an unknown one means UTC."""
    assert parse_date(text) == to_ms(datetime(*at, tzinfo=UTC))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "Wed, 15 Dec 2010    59:10 -0500",
        "Fri, 31 Feb 2019 00:00:00 +0000",
        "Pn, 29 paX 2007 21:13:00",
        "Mon, 30 Jun 3609 15:33:50 +0600",
        "1 Jan 2020 25:00:00 +0000",
        "1 Jan 2020",
    ],
)
def test_unreadable_dates(text: str) -> None:
    """What the calendar or the clock does not have is no date."""
    assert parse_date(text) is None
