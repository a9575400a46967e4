"""How far an archive was read: what its cursor holds, and how a second reading finds the place again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import NamedTuple

from rapport_producers.archive.mail import NOTHING, MailText, mail_text
from rapport_producers.archive.ordinals import Ordinals
from rapport_producers.archive.sources import Archive, ArchivedMail


@dataclass(frozen=True, slots=True)
class Position:
    """A place in an archive.

    Attributes:
        count: mails before it.
        chain: a digest over all of them, header by header: a changed archive has another one.
        place: where the last of them stands, for people.
        done: the archive ended here.
        fingerprint: how it looked when it ended here; empty when it must be looked into again.
    """

    count: int = 0
    chain: str = ""
    place: str = ""
    published: int = 0
    dead: int = 0
    done: bool = False
    fingerprint: str = ""

    def to_json(self) -> bytes:
        """The position as it is sealed into a cursor."""
        return json.dumps(asdict(self)).encode()


def position_from_json(data: bytes) -> Position | None:
    """The inverse of `to_json`; None for anything else, such as another version's: then reading starts over."""
    try:
        return Position(**json.loads(data))
    except (ValueError, TypeError):
        return None


class Mark(NamedTuple):
    """A place in a reading: mails before it, the chain over them, and where the last of them stands."""

    mails: int
    chain: bytes
    place: str


class NumberedMail(NamedTuple):
    """A mail with its provider id (digest of its header block, ordinal among equals) and the place before it."""

    mail: ArchivedMail
    text: MailText
    provider_id: str
    before: Mark


class Reading:
    """One reading of an archive from its first mail; a mail that damage cut off does not move it on."""

    def __init__(self, archive: Archive, ordinals: Ordinals) -> None:
        self._mails = archive.mails()
        self._ordinals = ordinals
        self._chain = blake2b(digest_size=16)
        self._mark = Mark(0, self._chain.digest(), "")
        self.unreadable = 0

    @property
    def count(self) -> int:
        """Mails read."""
        return self._mark.mails

    def mark(self) -> Mark:
        """Where the reading is."""
        return self._mark

    def __iter__(self) -> Iterator[NumberedMail]:
        return self

    def __next__(self) -> NumberedMail:
        mail, before = next(self._mails), self._mark
        if not mail.readable:
            self.unreadable += 1
            return NumberedMail(mail, NOTHING, "", before)
        text = mail_text(mail.data)
        digest = text.digest()
        number = self._ordinals.next(digest)
        if mail.complete:
            self._chain.update(digest + mail.folder.encode() + b"\0")
            self._mark = Mark(before.mails + 1, self._chain.digest(), mail.place)
        return NumberedMail(mail, text, f"{digest.hex()}-{number}", before)

    def until(self, count: int) -> Iterator[NumberedMail]:
        """Reads on until `count` mails are read or the archive ends."""
        while self.count < count and (mail := next(self, None)) is not None:
            yield mail

    def is_at(self, known: Position) -> bool:
        """Whether the mails read so far are those before a known position."""
        return self.count == known.count and (known.count == 0 or self._mark.chain.hex() == known.chain)
