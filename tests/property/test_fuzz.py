"""Whatever bytes come: no crash, nothing lost, no neighbour touched, and no input that takes for ever.

Mails and calendars of the corpora, mutated at random, go through connector, pages, route and weave. A failure names the
seed: `run_mails(seed, …)` or `run_calendars(seed, …)` repeats it. 2,000 mutations in `test`; 200,000 in `soak`.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

from calendars import window
from corpora import CORPORA, USRP, header_blocks
from letters import mail as letter
from mutations import mutated_calendar, mutated_mail
from rapport_core.errors import PoisonError
from rapport_processors.mail.parse import parse_mail
from rapport_producers.archive.mail import mail_text
from structured_mail import structured
from whole_path import Found, WholePath

MAILS, CALENDARS = 40, 10
"""Mutated inputs of one seed: mails in one mbox, on few pages; calendars in files of their own."""

NEIGHBOURS = 5
SECONDS = 10.0
"""Processor time of all inputs of one seed, which take a tenth of a second. No measurement, but what tells a search
without end from work; the longest known is 1.7 s, a rule that repeats every second and is followed until it is too much."""

SPRING = window("2026-02-01", "2026-04-01")

REFUSED_MAIL = {"empty", "no_headers", "too_large"}
REFUSED_EVENT = {
    "itip_answer",
    "no_occurrences",
    "too_large",
    "too_many_occurrences",
    "unfinished",
    "unknown_timezone",
    "unreadable_recurrence_id",
    "unreadable_rule",
    "unreadable_start",
    "unreadable_time",
}
"""Every reason that may occur. `unreadable` is none: it says that something was raised that nobody thought of."""


@cache
def corpora_mails() -> list[bytes]:
    """Real mails, or visibly only generated ones."""
    names = (("bounces", "*.txt"), ("tricky-mail", "*.eml"))
    found = [path.read_bytes() for name, kind in names for path in sorted((CORPORA / name).rglob(kind))]
    if (CORPORA / USRP).exists():
        found += [block + b"\n\ntext\n" for block in header_blocks(CORPORA / USRP)[::60]]
    return found or _without_corpora(letter(f"generated-{number}", padding=100) for number in range(20))


@cache
def corpora_calendars() -> list[bytes]:
    """Real calendars, or visibly only generated ones."""
    found = [
        path.read_bytes() for name in ("itip", "ics") for path in sorted((CORPORA / name).rglob("*.ics"))
    ]
    return found or _without_corpora(
        neighbour_calendar(f"generated-{number}", b"RRULE:FREQ=WEEKLY;COUNT=%d\r\n" % (number + 1))
        for number in range(20)
    )


def _without_corpora(made: Iterator[bytes]) -> list[bytes]:
    warnings.warn(
        f"no corpora in {CORPORA}: only generated inputs are mutated (RAPPORT_CORPORA)", stacklevel=2
    )
    return list(made)


def neighbour_mail(number: int) -> bytes:
    """A mail that nothing happens to."""
    return (
        b"From: Xenia <x@kund.se>\nTo: a@acme.com\nDate: Tue, 10 Mar 2026 10:%02d:00 +0100\n"
        b"Message-ID: <neighbour-%d@kund.se>\nSubject: Neighbour %d\n\ntext\n" % (number, number, number)
    )


def neighbour_calendar(name: str, more: bytes = b"") -> bytes:
    """A calendar with one meeting that nothing happens to."""
    return (
        b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:%s\r\nDTSTART:20260310T100000Z\r\nSUMMARY:Plans\r\n"
        b"ORGANIZER:mailto:a@acme.com\r\nATTENDEE:mailto:x@kund.se\r\n%sEND:VEVENT\r\nEND:VCALENDAR\r\n"
    ) % (name.encode(), more)


@contextmanager
def _seed(kind: str, seed: int) -> Iterator[None]:
    """Names the seed in whatever goes wrong, and bounds the processor time."""
    begun = time.process_time()
    try:
        yield
    except Exception as error:
        error.add_note(f"fuzz: {kind} of seed {seed}")
        raise
    spent = time.process_time() - begun
    assert spent < SECONDS, f"{kind} of seed {seed} took {spent:.1f} s"


def _as_it_is(found: Found) -> dict[str, Any]:
    """All that an item says, but where its copies were read."""
    item, body = found
    told: dict[str, Any] = {**item, **body}
    for name in ("copies", "origin", "assignment", "sealed"):
        del told[name]
    return told


def _neighbours(path: WholePath, named: Callable[[str], bool]) -> dict[str, dict[str, Any]]:
    return {
        body["message_id"]: _as_it_is((item, body))
        for item, body in path.items()
        if named(body["message_id"])
    }


def _is_neighbour(message_id: str) -> bool:
    return message_id.startswith("neighbour-")


def run_mails(seed: int, folder: Path) -> None:
    """The mutated mails of one seed, with untouched ones between them."""
    rng = Random(f"mails {seed}")
    pool = corpora_mails()
    with _seed("mails", seed):
        mutants = [mutated_mail(rng, rng.choice(pool), rng.choice(pool)) for _ in range(MAILS)]
        others = [neighbour_mail(number) for number in range(NEIGHBOURS)]
        step = MAILS // NEIGHBOURS
        mails = [one for n in range(NEIGHBOURS) for one in (others[n], *mutants[n * step : (n + 1) * step])]
        path = WholePath()
        outcome = path.mbox(folder / "fuzz.mbox", mails)
        path.run()
        assert outcome.read == len(mails)
        assert outcome.published + outcome.dead + outcome.skipped == outcome.read
        assert path.lost() == []
        assert set(path.reasons()) <= REFUSED_MAIL
        assert _neighbours(path, _is_neighbour) == undisturbed_mails(folder)


def run_calendars(seed: int, folder: Path) -> None:
    """The mutated calendars of one seed, each between two untouched ones in one file."""
    rng = Random(f"calendars {seed}")
    pool = corpora_calendars()
    with _seed("calendars", seed):
        path = WholePath()
        plain: list[tuple[str, str, range]] = []
        for number in range(CALENDARS):
            mutant = mutated_calendar(rng, rng.choice(pool), rng.choice(pool))
            mutant = mutant.lstrip(b" \t")  # or it would go on with its neighbour's last line
            file = folder / f"fuzz-{number}.ics"
            before, after = (neighbour_calendar(f"neighbour-{2 * number + n}") for n in (0, 1))
            file.write_bytes(before + mutant + after)
            path.calendar(file, SPRING)
            plain += [(file.name, uid, places) for uid, places in plain_events(mutant, len(before))]
        said = path.uids()
        dead = {letter["origin"] for letter in path.refused()}
        for name, uid, places in plain:
            assert (name, uid) in said or dead & {f"{name}:{place}" for place in places}, (
                f"{uid} of {name} is nowhere"
            )
        path.run()
        assert path.lost() == []
        assert set(path.reasons()) <= REFUSED_EVENT
        assert _neighbours(path, _is_neighbour) == undisturbed_calendars(folder)


_WHOLE_EVENT = re.compile(
    rb"(?m)^BEGIN:VEVENT\r?\n((?:(?!BEGIN:|END:)[A-Z-]+[:;][ -~]*\r?\n)+)END:VEVENT\r?$"
)
_PLAIN_UID = re.compile(rb"UID:([A-Za-z][A-Za-z0-9@.-]*)")
_PLAIN_START = re.compile(
    rb"DTSTART:20\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|1\d|2[0-8])(?:T(?:0\d|1\d|2[0-3])[0-5]\d[0-5]\dZ?)?"
)
_TELLING = re.compile(rb"(?im)^(?:UID|DTSTART|RRULE|RDATE|EXDATE|RECURRENCE-ID)\b.*[:;].*\S")


def plain_events(calendar: bytes, before: int) -> Iterator[tuple[str, range]]:
    """The single events in which anybody can read the one id and the one start, found without the connector's reading."""
    for event in _WHOLE_EVENT.finditer(calendar):
        telling = sorted(
            line.strip() for line in _TELLING.findall(event[1]) if not line.strip().endswith(b":")
        )
        if len(telling) == 2:
            start, uid = _PLAIN_START.fullmatch(telling[0]), _PLAIN_UID.fullmatch(telling[1])
            if start and uid:
                yield uid[1].decode(), range(before + event.start(), before + event.end())


@cache
def undisturbed_mails(folder: Path) -> dict[str, dict[str, Any]]:
    """What the untouched mails are among themselves."""
    path = WholePath()
    path.mbox(folder / "fuzz.mbox", [neighbour_mail(number) for number in range(NEIGHBOURS)])
    path.run()
    found = _neighbours(path, _is_neighbour)
    assert len(found) == NEIGHBOURS
    assert all(told["synced"] for told in found.values())
    return found


@cache
def undisturbed_calendars(folder: Path) -> dict[str, dict[str, Any]]:
    """What the untouched calendars are among themselves."""
    path = WholePath()
    for number in range(CALENDARS):
        file = folder / f"fuzz-{number}.ics"
        file.write_bytes(b"".join(neighbour_calendar(f"neighbour-{2 * number + n}") for n in (0, 1)))
        path.calendar(file, SPRING)
    path.run()
    found = _neighbours(path, _is_neighbour)
    assert len(found) == 2 * CALENDARS
    assert all(told["synced"] for told in found.values())
    return found


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_mutated_mails(first: int, tmp_path: Path) -> None:
    """1,600 of the 2,000."""
    for seed in range(first, first + 10):
        run_mails(seed, tmp_path)


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_mutated_calendars(first: int, tmp_path: Path) -> None:
    """400 of the 2,000."""
    for seed in range(first, first + 10):
        run_calendars(seed, tmp_path)


@pytest.mark.parametrize("seed", range(5))
def test_mutated_mails_as_fields_say_the_same(seed: int) -> None:
    """As a provider gives them that says most of a mail in fields; where nothing is left to say, that is the reason."""
    rng = Random(f"mails {seed}")
    pool = corpora_mails()
    for number in range(MAILS):
        raw = mutated_mail(rng, rng.choice(pool), rng.choice(pool))
        with suppress(PoisonError):
            fields = mail_text(raw).fields(len(raw))
            parsed = parse_mail(fields)
            assert parse_mail(structured(fields)) == parsed, f"mail {number} of seed {seed}"


@pytest.mark.soak
@pytest.mark.parametrize("first", range(0, 4000, 500))
def test_very_many_mutated_mails(first: int, tmp_path: Path) -> None:
    """160,000 of the 200,000."""
    for seed in range(first, first + 500):
        run_mails(seed, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(0, 4000, 500))
def test_very_many_mutated_calendars(first: int, tmp_path: Path) -> None:
    """40,000 of the 200,000."""
    for seed in range(first, first + 500):
        run_calendars(seed, tmp_path)
