"""Where letters are written: drafted, given their ids, times and oddities, and handed to delivery."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from rapport.demo import words
from rapport.demo.letter import Letter, Mention, Way
from rapport.demo.pen import ZONE, Pen
from rapport.demo.post import Post
from rapport.demo.talk import Talk
from rapport.demo.threads import ThreadBook

_DAY: Final = 86_400


class Desk:
    """Writes the letters of one story.

    Attributes:
        today: a second of the story's present day; the story moves it.
        awkward: how often each awkward thing was put in.
    """

    def __init__(
        self,
        rng: Random,
        pen: Pen,
        post: Post,
        threads: ThreadBook,
        *,
        seed: int,
        now: int,
        microsoft: frozenset[int] = frozenset(),
    ) -> None:
        self.today = now
        self.awkward: Counter[str] = Counter()
        self._rng = rng
        self._pen = pen
        self._post = post
        self._threads = threads
        self._seed = seed
        self._now = now
        self._microsoft = microsoft
        self._serial = 0

    def draft(
        self, author: Mention, to: list[Mention], cc: list[Mention], subject: str, thread: int | None = None
    ) -> Letter:
        """A letter of today that nobody has got yet, in a conversation of its own unless one is given."""
        self._serial += 1
        return Letter(
            serial=self._serial,
            thread=self._threads.new() if thread is None else thread,
            nature="human",
            message_id=self._message_id(author),
            author=author,
            to=to,
            cc=cc,
            bcc=[],
            subject=subject,
            at=self._moment(),
            body="\n".join(self._rng.choices(words.SENTENCES, k=self._rng.randrange(1, 5))),
        )

    def finish(self, letter: Letter, hidden_owners: tuple[int, ...] = (), *, twice: bool = True) -> Letter:
        """Deliver it, date it, and give it its last oddities."""
        if letter.at >= self._now:
            letter.at = self._now - 1 - self._rng.randrange(7200)
        self._lose_id(letter)
        self._post.deliver(letter, hidden_owners)
        self._ornament(letter)
        self.note(self._pen.dates(letter, self._now))
        if twice and self._rng.random() < 0.012:
            self.note("twice_in_one_mailbox")
            letter.copies.append(letter.copies[-1])
        return letter

    def _lose_id(self, letter: Letter) -> None:
        if letter.bcc or not letter.safe or self._rng.random() > 0.008:
            return
        self.note("no_message_id")
        letter.message_id = None
        # Nothing else tells such mails apart.
        letter.subject = f"{letter.subject} order {letter.serial}"

    def _ornament(self, letter: Letter) -> None:
        chance = self._rng.random()
        if letter.nature == "human" and chance < 0.02:
            letter.form = "ics_attached"
        elif letter.nature == "human" and chance < 0.04:
            letter.headers.append(("Auto-Submitted", "no"))
        elif letter.nature == "human" and chance < 0.07:
            letter.headers.append(("X-Auto-Response-Suppress", "OOF, AutoReply"))
        elif letter.nature == "human" and chance < 0.17:
            letter.form = "html" if chance < 0.12 else "attached"
        if letter.message_id is not None and letter.safe and self._rng.random() < 0.02:
            self._replace_id(letter)

    def _replace_id(self, letter: Letter) -> None:
        copy = letter.copies[-1]
        # A sent copy at Microsoft has no headers, and so nothing that could say which id was replaced.
        if copy.way is not Way.SENT or copy.owner not in self._microsoft:
            self.note("id_replaced_by_provider")
            copy.replaced_id = f"replaced.{letter.serial}.{self._seed}@provider.example"

    def _message_id(self, author: Mention) -> str:
        token = f"{self._rng.getrandbits(64):016x}.{self._serial}"
        chance = self._rng.random()
        if chance < 0.01:
            return f"{token.upper()}-without-domain"
        if chance < 0.02:
            return f"[{token}]@{author.written.rpartition('@')[2] if author.written.isascii() else 'mail.example'}"
        return f"{token}@{'mail.gmail.com' if chance < 0.3 else 'mail.example'}"

    def subject(self, subjects: tuple[str, ...]) -> str:
        """One of the subjects, with a number of its own."""
        return self._rng.choice(subjects).format(n=self._rng.randrange(1000, 9999))

    def reply_subject(self, talk: Talk) -> str:
        """An answer's subject, in any language."""
        prefix = self._rng.choice(
            words.FORWARD_PREFIXES if self._rng.random() < 0.06 else words.REPLY_PREFIXES
        )
        if self._rng.random() < 0.03:
            # A changed subject does not split.
            return f"{prefix}{self.subject(words.SUBJECTS)} (was: {talk.subject})"
        return prefix + talk.subject

    def _moment(self) -> int:
        """A second of today, in working hours mostly."""
        day = self.today - self.today % _DAY
        hour = (
            self._rng.choice((7, 8, 8, 9, 9, 10, 11, 12, 13, 13, 14, 15, 16, 18, 21))
            if self._rng.random() < 0.95
            else 2
        )
        return day + hour * 3600 + self._rng.randrange(3600)

    def midnight(self) -> int:
        """The border of two days in the company's zone, or the second before it."""
        local = datetime.fromtimestamp(self.today, UTC).astimezone(ZONE).date() + timedelta(
            days=self._rng.randrange(2)
        )
        border = int(datetime(local.year, local.month, local.day, tzinfo=ZONE).timestamp())
        return border - self._rng.randrange(2)

    def note(self, oddity: str) -> None:
        """Count something awkward; the empty text is nothing."""
        if oddity:
            self.awkward[oddity] += 1
