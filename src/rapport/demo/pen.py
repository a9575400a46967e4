"""How the story's mails spell people and times: the same person and instant in many disguises."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from rapport.demo.company import SHARED_BOX, TIMEZONE, Company, Kind, Person, ascii_address
from rapport.demo.letter import Letter, Mention, StoryCopy, Way

ZONE: Final = ZoneInfo(TIMEZONE)
UNREADABLE_DATES: Final = ("yesterday afternoon", "unknown", "0", "Xxx, 99 Abc 9999 99:99:99")
ANCIENT_DATES: Final = ("Thu, 01 Jan 1970 00:00:00 +0000", "Tue, 12 Mar 1985 10:20:30 +0100")
_MINUTE: Final = 60
_DAY: Final = 86_400
OLDEST: Final = 180 * _DAY
"""Six months are 181 to 184 days: what a provider received later than this is surely read, wherever the clock stands."""


class Pen:
    """Spells addresses and dates. All choices come from the story's random numbers."""

    def __init__(self, company: Company, rng: Random) -> None:
        self._company = company
        self._rng = rng

    def mention(self, person: Person) -> Mention:
        """The person by one of its addresses, in one of the spellings that mean the same."""
        addresses = person.addresses
        address = addresses[0] if self._rng.random() < 0.75 else self._rng.choice(addresses)
        if address in self._company.excluded_addresses:
            return Mention(person, address, ascii_address(address))
        return Mention(person, address, self._spelling(person, address))

    def _spelling(self, person: Person, address: str) -> str:
        chance = self._rng.random()
        if not address.isascii():
            # One in ten writes the domain as people read it, a few with a capital.
            local, _, domain = address.rpartition("@")
            if chance < 0.02:
                return f"{local}@{domain[0].upper()}{domain[1:]}"
            return address if chance < 0.1 else ascii_address(address)
        local, _, domain = address.rpartition("@")
        if domain == "gmail.com" and chance < 0.3:
            return f"{local.replace('.', '')}@{domain}"
        if chance < 0.03:
            return f"{local.title()}@{domain.upper()}"
        # Of a mailbox whose tags belong to different contacts, only the tags in the directory are used.
        if chance < 0.06 and person.kind in (Kind.MEMBER, Kind.CONTACT) and not local.startswith(SHARED_BOX):
            return f"{local}+{self._rng.choice(('crm', 'news', 'x1'))}@{domain}"
        return address

    def dates(self, letter: Letter, now: int) -> str:
        """Write the Date of every copy and settle when the letter counts; returns what was odd about it."""
        plain = letter.message_id is None or not letter.safe
        self._receive(letter, now)
        oddity = "" if plain else self._oddity(letter, now)
        if oddity == "future":
            # A broken clock, some of them by decades: it counts at the time it claims, which no window of today reaches.
            days = self._rng.randrange(1, 400 if self._rng.random() < 0.7 else 15_000)
            text, told = self._text(now + days * _DAY)
        else:
            text, told = self._text(letter.at)
        ancient = self._rng.choice(ANCIENT_DATES) if letter.ancient else None
        for copy in letter.copies:
            copy.date, copy.told = (text, told) if ancient is None else (ancient, None)
        self._disturb(letter, oddity)
        self._settle(letter)
        return oddity

    def _receive(self, letter: Letter, now: int) -> None:
        """When the mail came, as Microsoft says: within a minute; what is very old was put there when the mailbox was made."""
        for copy in letter.copies:
            if copy.owner in self._company.microsoft:
                under_way = 0 if copy.way is Way.SENT else (7 * letter.serial + 13 * copy.owner) % _MINUTE
                copy.received = max(min(letter.at + under_way, now - 1), now - OLDEST)

    def _settle(self, letter: Letter) -> None:
        """See `Letter.counts_at`."""
        for copy in letter.copies:
            self._post(letter, copy)
        told = min((copy.told for copy in letter.copies if copy.told is not None), default=None)
        received = min((copy.received for copy in letter.copies if copy.received is not None), default=None)
        believed = received is None or (told is not None and told <= received + _DAY)
        letter.counts_at = told if believed else received

    @staticmethod
    def _post(letter: Letter, copy: StoryCopy) -> None:
        """Microsoft knows when its own people send, and dates what comes without a date."""
        if copy.received is not None and copy.told is None:
            if copy.way is Way.SENT:
                copy.told = letter.at
            elif copy.date is None:
                copy.told = copy.received

    def _oddity(self, letter: Letter, now: int) -> str:
        chance = self._rng.random()
        several = len(letter.copies) > 1
        if letter.at < now - OLDEST and any(copy.received is not None for copy in letter.copies):
            return ""
        if chance < 0.010:
            return self._without_time(letter, chance)
        if several and chance < 0.025:
            return "dateless_copy"
        if several and chance < 0.12:
            return "skewed"
        if chance > 0.99 and any(self._may_stray(letter, copy) for copy in letter.copies[1:]):
            return "ancient_copy"
        return ""

    @staticmethod
    def _without_time(letter: Letter, chance: float) -> str:
        if chance < 0.005:
            return "dateless"
        # At Microsoft a sent copy has the right time, and would be another mail than those with the wrong one.
        known = any(copy.received is not None and copy.way is Way.SENT for copy in letter.copies)
        return "" if known else "future"

    def _disturb(self, letter: Letter, oddity: str) -> None:
        if oddity == "dateless":
            for copy in letter.copies:
                copy.date, copy.told = self._no_date(), None
        elif oddity == "dateless_copy":
            date = self._no_date()
            copy = self._rng.choice(letter.copies)
            copy.date, copy.told = date, None
        elif oddity == "skewed":
            self._skew(letter)
        elif oddity == "ancient_copy":
            self._date_back(letter)
        letter.safe = letter.safe and oddity in ("", "skewed")

    @staticmethod
    def _may_stray(letter: Letter, copy: StoryCopy) -> bool:
        return copy is not letter.copies[0] and copy.way is not Way.SENT

    def _date_back(self, letter: Letter) -> None:
        """One mailbox's clock stands in another century: dates that far apart make two messages of one id."""
        copy = self._rng.choice([copy for copy in letter.copies[1:] if self._may_stray(letter, copy)])
        copy.date, copy.told = self._rng.choice(ANCIENT_DATES), None
        letter.copies.remove(copy)
        letter.stray = replace(letter, bcc_shown=False, copies=[copy], ancient=True, safe=False, stray=None)
        self._settle(letter.stray)

    def _skew(self, letter: Letter) -> None:
        """Every copy a little later than the one before it: neighbours within two minutes, the ends perhaps not."""
        second = letter.at
        for position, copy in enumerate(letter.copies):
            copy.date, copy.told = rfc_date(second, 3600), second
            # The whole chain stays under ten minutes: a mail sent again under its id comes later than that.
            second += self._rng.randrange(1, 100) if position < 5 else 0

    def _no_date(self) -> str | None:
        return None if self._rng.random() < 0.5 else self._rng.choice(UNREADABLE_DATES)

    def _text(self, at: int) -> tuple[str, int]:
        """A Date header, and the instant it tells."""
        chance = self._rng.random()
        if chance < 0.75:
            return rfc_date(at, _local_offset(at)), at
        if chance < 0.90:
            return rfc_date(at, self._rng.choice((0, -18_000, 19_800, 32_400, -28_800))), at
        utc = datetime.fromtimestamp(at, UTC)
        styles = (
            (f"{utc:%a, %d %b %Y %H:%M:%S}", at),
            (f"{utc:%a, %d %b %Y %H:%M:%S} GMT", at),
            (f"{utc:%a, %d %b %Y %H:%M:%S} -0000", at),
            (f"{utc - timedelta(hours=5):%a, %d %b %Y %H:%M:%S} EST", at),
            (f"{rfc_date(at, 7200)} (CEST)", at),
            (f"{utc:%d %b %Y %H:%M:%S} +0000", at),
            (f"{utc:%a, %d %b %Y %H:%M} +0000", at - at % _MINUTE),
            (f"{utc:%a, %d %b %y %H:%M:%S} GMT", at),
            (f"{utc:%A, %d %B %Y %H:%M:%S} +0000", at),
            (f"{utc:%a, %d %b %Y %H.%M.%S} Z", at),
            (f"{rfc_date(at, 3600)} (Mitteleuropäische Zeit)", at),
            (f"{utc:%a,%d %b %Y  %H:%M:%S}   UT", at),
        )
        return self._rng.choice(styles)


def rfc_date(at: int, offset_seconds: int) -> str:
    """The instant as RFC 5322 has it, told in the zone of the offset."""
    local = datetime.fromtimestamp(at, timezone(timedelta(seconds=offset_seconds)))
    return f"{local:%a, %d %b %Y %H:%M:%S %z}"


def _local_offset(at: int) -> int:
    offset = datetime.fromtimestamp(at, ZONE).utcoffset()
    return int(offset.total_seconds()) if offset else 0
