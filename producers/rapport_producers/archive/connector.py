"""The archive connector: reads an archive, publishes its mails as pages, keeps a cursor that a repeat continues from.

The order that loses nothing: connection record and a block of fetch numbers, confirmed; pages and dead letters; a
cursor only up to what is confirmed. A crash anywhere repeats some pages with the same provider ids and the same
content, which changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from rapport_core.errors import ConfigError, PoisonError, UnavailableError
from rapport_core.keys import KeyRing
from rapport_producers.archive.labels import is_left_out
from rapport_producers.archive.opening import TruncatedError
from rapport_producers.archive.ordinals import Ordinals
from rapport_producers.archive.position import Mark, NumberedMail, Position, Reading, position_from_json
from rapport_producers.archive.sources import Archive
from rapport_producers.ledger import Ledger
from rapport_producers.pages import Pager, Sized, fitting
from rapport_producers.records import Owner
from rapport_producers.session import Link, Session, StoppedError, check_owner, saved_position
from rapport_schemas.changes import mail_change
from rapport_schemas.topics import MAIL_RAW, Lane

PROVIDER = "archive"
_SAVE_MAILS = 4000
_SAVE_SECONDS = 2.0
_STOP_PATIENCE_SECONDS = 10.0
_REPORT_MAILS = 500
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Outcome:
    """What one run did. `read` counts the archive's mails, `before` those that earlier runs had published already."""

    read: int = 0
    before: int = 0
    published: int = 0
    dead: int = 0
    skipped: int = 0
    cut: int = 0
    held_back: int = 0
    changed: bool = False
    consumed: int = field(default=0, repr=False)
    total: int = field(default=0, repr=False)


Watch = Callable[[Outcome], None]


def ingest(
    archive: Archive,
    owner: Owner,
    ledger: Ledger,
    link: Link,
    *,
    again: bool = False,
    watch: Watch = lambda _: None,
) -> Outcome:
    """Publishes what the log lacks of `archive`. An archive that nobody touched since it was read costs nothing.

    Args:
        archive: what is read.
        owner: the connection that the mails belong to.
        link: clients and keys.
        ledger: what the log knows of the connection.
        again: publish everything once more, with the same provider ids.
        watch: called now and then with the outcome so far.

    Raises:
        ConfigError: the archive cannot be read, is damaged, or the connection belongs to somebody else. What could be
            read of a damaged archive is published.
        RefusedError: the connection was disconnected.
        UnavailableError: Kafka is gone. Nothing is lost when the run is repeated.
        StoppedError: Ctrl-C.
    """
    check_owner(owner, ledger)
    run = _Run(archive, owner, ledger, link, watch)
    known = None if again else run.known
    if known is not None and known.done and known.fingerprint and known.fingerprint == archive.fingerprint():
        run.session.touch()
        return Outcome(read=known.count, before=known.count)
    return run.all(known)


def known_position(ledger: Ledger, stream: str, owner: Owner, keys: KeyRing) -> Position | None:
    """The position in the stream's cursor; None without one, or when its key was destroyed."""
    saved = saved_position(ledger, stream, owner, keys)
    return position_from_json(saved) if saved is not None else None


class _Run:
    """One run over one archive."""

    def __init__(self, archive: Archive, owner: Owner, ledger: Ledger, link: Link, watch: Watch) -> None:
        self._archive = archive
        self._watch = watch
        self._stream = archive.stream()
        self.session: Session[Position] = Session(link, owner, ledger, MAIL_RAW[Lane.BACKFILL], self._stream)
        self._pager = Pager()
        self._start = self._saved = Position()
        self._saved_at = time.monotonic()
        self._outcome = Outcome()
        self._left_out = 0
        self.known = known_position(ledger, self._stream, owner, link.keys)

    def all(self, known: Position | None) -> Outcome:
        """Reads, publishes, saves. See `ingest`."""
        fingerprint = self._archive.fingerprint()
        try:
            with Ordinals() as ordinals:
                reading = Reading(self._archive, ordinals)
                if known is None or self._finds(reading, known):
                    return self._from(reading, known or Position(), fingerprint)
            _log.info("archive_changed", stream=self._stream)
            self._outcome.changed = True
            with Ordinals() as ordinals:
                return self._from(Reading(self._archive, ordinals), Position(), fingerprint)
        except KeyboardInterrupt:
            raise self._stopped() from None

    def _finds(self, reading: Reading, known: Position) -> bool:
        """Reads on to where the last run ended. False when the archive is not what it was, or is damaged before."""
        try:
            for _ in reading.until(known.count):
                if reading.count % _REPORT_MAILS == 0:
                    self._report(reading)
        except TruncatedError:
            return False
        return reading.is_at(known)

    def _from(self, reading: Reading, start: Position, fingerprint: str) -> Outcome:
        self._start = self._saved = start
        self._outcome.before = start.count
        damage = None
        try:
            for mail in reading:
                self._take(mail, reading)
        except TruncatedError as error:
            damage = error
        if self._pager:
            self._publish(self._position(reading.mark()))
        if damage is not None and not reading.count:
            raise ConfigError(f"{damage}: nothing in it can be read; fetch the file again") from damage
        whole = not damage and not reading.unreadable
        self._finish(
            replace(self._position(reading.mark()), done=not damage, fingerprint=fingerprint if whole else "")
        )
        self._report(reading)
        if damage is not None:
            raise ConfigError(
                f"{damage} after {reading.count:,} whole mails, which are published: fetch the file again "
                "and run the same command again"
            ) from damage
        return self._outcome

    def _take(self, numbered: NumberedMail, reading: Reading) -> None:
        mail = numbered.mail
        if not mail.complete and not numbered.text.whole:
            self._outcome.held_back += 1
            return
        if is_left_out(numbered.text.labels()):
            self._left_out += 1
            return
        try:
            change = _change(numbered)
        except PoisonError as poison:
            self._bury(mail.place, poison)
            return
        self._outcome.cut += numbered.text.cut
        if not self._pager.takes(change):
            self._publish(self._position(numbered.before))
        self._pager.add(change)
        if reading.count % _REPORT_MAILS == 0:
            self._report(reading)

    def _position(self, mark: Mark) -> Position:
        return Position(
            count=mark.mails,
            chain=mark.chain.hex(),
            place=mark.place,
            published=self._start.published + self._outcome.published + len(self._pager),
            dead=self._start.dead + self._outcome.dead,
        )

    def _publish(self, position: Position) -> None:
        """Sends the filled page; `position` is the place behind its last mail."""
        self._outcome.published += len(self._pager)
        self.session.page(self._pager.take(), position, self._saved.to_json())
        confirmed = self.session.confirmed
        if confirmed is not None and self._due(confirmed):
            self._save(confirmed)

    def _due(self, confirmed: Position) -> bool:
        behind = confirmed.count - self._saved.count
        return behind >= _SAVE_MAILS or (behind > 0 and time.monotonic() - self._saved_at > _SAVE_SECONDS)

    def _finish(self, position: Position) -> None:
        self.session.drain()
        if position != self.known or self._outcome.published:
            self.session.save_last(position.to_json())
        self.session.touch()

    def _stopped(self) -> StoppedError:
        try:
            self.session.drain(_STOP_PATIENCE_SECONDS)
            if self.session.confirmed is not None:
                self._save(self.session.confirmed)
                self.session.drain(_STOP_PATIENCE_SECONDS)
        except UnavailableError:
            _log.warning("cursor_not_saved", stream=self._stream)
        return StoppedError(
            f"stopped after {self._saved.count:,} mails of {self._archive.name}: "
            "run the same command again and it continues there"
        )

    def _save(self, position: Position) -> None:
        self.session.save(position.to_json())
        self._saved, self._saved_at = position, time.monotonic()

    def _bury(self, place: str, poison: PoisonError) -> None:
        self.session.bury(f"{self._archive.name}:{place}", poison)
        self._outcome.dead += 1

    def _report(self, reading: Reading) -> None:
        outcome, archive = self._outcome, self._archive
        outcome.read, outcome.skipped = reading.count + reading.unreadable, archive.skipped + self._left_out
        outcome.consumed, outcome.total = archive.consumed, archive.total
        self._watch(outcome)


def _change(numbered: NumberedMail) -> Sized:
    mail = numbered.mail
    if not mail.readable:
        raise PoisonError("unreadable", "this file cannot be read: check its permissions, or fetch it again")
    fields = numbered.text.fields(mail.size, mail.folder)
    return fitting(mail_change(numbered.provider_id, fields))
