"""The plot: what mail a company gets and writes in six months, one letter after the other, in constant memory."""

from __future__ import annotations

from bisect import bisect
from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Final

from rapport.demo import words
from rapport.demo.company import EXCLUDED_DOMAIN, HOLDING_DOMAIN, OWN_DOMAIN, Company, Kind, Person
from rapport.demo.letter import Letter, Mention, Way
from rapport.demo.pen import ZONE, Pen
from rapport.demo.post import Post
from rapport.demo.talk import Linker, Talk
from rapport.demo.threads import ThreadBook

DAYS: Final = 183
_DAY: Final = 86_400
_TALKS: Final = 400


class Story:
    """All letters of a company over the six months before `now`.

    Reading `letters` once tells the story; a second Story of the same company, seed, copies and now tells the same.

    Attributes:
        threads: the conversations, complete when all letters were read.
        awkward: how often each awkward thing happened.
    """

    def __init__(self, company: Company, seed: int, now: datetime) -> None:
        self.company = company
        self.threads = ThreadBook()
        self.awkward: Counter[str] = Counter()
        self._seed = seed
        self._now = int(now.timestamp())
        self._rng = Random(f"story {seed}")  # noqa: S311 - a story, not a secret
        self._pen = Pen(company, self._rng)
        self._post = Post(company, self._rng)
        self._linker = Linker(self.threads, self._rng)
        self._talks: deque[Talk] = deque(maxlen=_TALKS)
        self._serial = 0
        self._today = self._now
        plots = self._plots()
        self._scenes = [scene for scene, _ in plots]
        self._weights = list(accumulate(weight for _, weight in plots))

    def letters(self) -> Iterator[Letter]:
        """The letters in about the order they were written, until the company's number of copies is reached exactly."""
        done, target = 0, self.company.size.copies
        while done < target:
            self._today = self._now - DAYS * _DAY + DAYS * _DAY * done // target
            room = target - done > self._post.most_copies + 1
            letter = self._next() if room else self._newsletter(single=True)
            done += len(letter.copies)
            yield letter

    def _plots(self) -> list[tuple[Callable[[], Letter], int]]:
        return [
            (self._reply, 440),
            (self._contact_writes, 140),
            (self._member_writes, 100),
            (self._support_case, 70),
            (self._internal, 60),
            (self._private, 35),
            (self._newsletter, 55),
            (self._auto_reply, 25),
            (self._bounce, 15),
            (self._invitation, 25),
            (self._unknown_sender, 20),
            (self._forum_post, 15),
            (self._ancient, 4),
        ]

    def _next(self) -> Letter:
        pick = bisect(self._weights, self._rng.randrange(self._weights[-1]))
        return self._scenes[pick]()

    # -- people -------------------------------------------------------------------------------------------------

    def _member(self) -> Mention:
        return self._pen.mention(self._rng.choice(self.company.members))

    def _contact(self) -> Mention:
        spoken = len(self.company.contacts) - self.company.silent_contacts
        # A few contacts write most of the mail.
        return self._pen.mention(self.company.contacts[int(self._rng.random() ** 1.6 * spoken)])

    def _colleague_of(self, mention: Mention) -> Mention:
        """Another contact of the same customer where one is drawn quickly, else anybody's."""
        for _ in range(6):
            other = self._contact()
            if other.person.customer == mention.person.customer and other.person is not mention.person:
                return other
        return self._contact()

    def _group(self, index: int) -> Mention:
        person = self.company.groups[index].person
        return Mention(person, person.addresses[0], person.addresses[0])

    def _outsider(self, domain: str, customer: int = -1, kind: Kind = Kind.OUTSIDER) -> Mention:
        number = self._rng.randrange(10_000_000)
        name = f"{self._rng.choice(words.FIRST_NAMES)} {self._rng.choice(words.LAST_NAMES)}"
        address = f"x{number}@{domain}"
        return Mention(Person(kind, -1, name, (address,), customer), address, address)

    # -- scenes -------------------------------------------------------------------------------------------------

    def _contact_writes(self) -> Letter:
        author, to = self._contact(), [self._member()]
        if self._rng.random() < 0.02:
            # The pair of the directory's exclusions: whatever these two write to each other is left out.
            member, contact = self.company.excluded_pair
            author = self._pen.mention(self.company.contacts[contact])
            to = [self._pen.mention(self.company.members[member])]
        return self._open(author, to, self._company_of(author))

    def _member_writes(self) -> Letter:
        author, contact = self._member(), self._contact()
        return self._open(author, [contact], self._company_of(contact), bcc=self._blind(contact))

    def _company_of(self, contact: Mention) -> list[Mention]:
        """Who is copied in: colleagues on both sides, rarely another customer, a lawyer, a former employee."""
        cc: list[Mention] = []
        chance = self._rng.random()
        if chance < 0.30:
            cc.append(self._member())
        if chance < 0.12:
            cc.append(self._colleague_of(contact))
        if 0.30 < chance < 0.34:
            cc.append(self._contact())
        if 0.34 < chance < 0.355:
            cc.append(self._outsider(EXCLUDED_DOMAIN))
        if 0.355 < chance < 0.375:
            cc.append(self._outsider(HOLDING_DOMAIN, kind=Kind.COLLEAGUE))
        if 0.375 < chance < 0.40:
            cc.extend(self._member() for _ in range(4))
        if 0.40 < chance < 0.44:
            cc.append(self._outsider(self._domain_of(contact.person.customer), contact.person.customer))
        return cc

    def _domain_of(self, customer: int) -> str:
        return self.company.customers[customer].domains[0]

    def _blind(self, contact: Mention) -> list[Mention]:
        if self._rng.random() > 0.06:
            return []
        return [self._hidden_member() if self._rng.random() < 0.6 else self._colleague_of(contact)]

    def _hidden_member(self) -> Mention:
        # Never the member of the excluded pair: whether a hidden copy makes a pair is nobody's everyday question.
        return self._pen.mention(self.company.members[self._rng.randrange(len(self.company.members) - 1)])

    def _support_case(self) -> Letter:
        author = self._contact()
        group = self._group(0 if self._rng.random() < 0.7 else 1)
        cc = [self._member()] if self._rng.random() < 0.25 else []
        self.awkward["through_group"] += 1
        return self._open(author, [group], cc)

    def _forum_post(self) -> Letter:
        chance = self._rng.random()
        if chance < 0.6:
            author = self._outsider("elsewhere.example")
        else:
            author = self._contact() if chance < 0.8 else self._member()
        self.awkward["public_list"] += 1
        return self._open(author, [self._group(2)], [])

    def _internal(self) -> Letter:
        author = self._member()
        to = [self._member() for _ in range(self._rng.randrange(1, 5))]
        if self._rng.random() < 0.2:
            to.append(self._group(self._rng.randrange(2)))
        if self._rng.random() < 0.1:
            author = self._outsider(f"it.{OWN_DOMAIN}", kind=Kind.COLLEAGUE)
        self.awkward["internal"] += 1
        return self._open(author, to, [], subjects=words.INTERNAL_SUBJECTS)

    def _private(self) -> Letter:
        stranger, member = self._outsider(self._rng.choice(("gmail.com", "klinik.example"))), self._member()
        self.awkward["private"] += 1
        if self._rng.random() < 0.5:
            return self._open(stranger, [member], [], subjects=words.PRIVATE_SUBJECTS)
        return self._open(member, [stranger], [], subjects=words.PRIVATE_SUBJECTS)

    def _unknown_sender(self) -> Letter:
        """Nobody knows the author, although a member and a contact are both named."""
        contact, chance = self._contact(), self._rng.random()
        if chance < 0.5:
            author = self._outsider(self._domain_of(contact.person.customer), contact.person.customer)
        elif chance < 0.8:
            author = self._outsider("partner.example")
        else:
            author = self._outsider(OWN_DOMAIN, kind=Kind.COLLEAGUE)
        self.awkward["unknown_sender"] += 1
        return self._open(author, [self._member()], [contact])

    def _newsletter(self, *, single: bool = False) -> Letter:
        author = self._contact() if self._rng.random() < 0.3 else self._outsider("news.shop.example")
        shown = self._rng.random() < 0.5
        letter = self._draft(
            author, [self._member()] if shown else [], [], self._subject(words.BULK_SUBJECTS)
        )
        letter.nature = "bulk"
        letter.headers = list(self._rng.choice(_BULK_HEADERS))
        if single:
            letter.to = []
        readers = 1 if single or shown else self._rng.randrange(1, 6)
        hidden = (
            () if letter.to else tuple(self._rng.sample(range(len(self.company.members)), min(readers, 4)))
        )
        return self._finish(letter, hidden_owners=hidden, twice=not single)

    def _invitation(self) -> Letter:
        sides = [self._contact(), self._member()]
        self._rng.shuffle(sides)
        letter = self._draft(sides[0], [sides[1]], [], self._subject(words.INTERNAL_SUBJECTS))
        letter.nature, letter.form = "calendar_notice", "invitation"
        return self._finish(letter)

    def _auto_reply(self) -> Letter:
        talk = self._any_talk(lambda t: bool(t.theirs) and bool(t.chain))
        if talk is None:
            return self._contact_writes()
        past = talk.chain[-1]
        ours_wrote = past.author.person.kind is Kind.MEMBER
        author = self._rng.choice(talk.theirs if ours_wrote or not talk.ours else talk.ours)
        letter = self._draft(author, [past.author], [], f"Automatic reply: {past.subject}", talk.thread)
        if not any(m.person.kind is Kind.MEMBER for m in (author, past.author)):
            return self._contact_writes()
        letter.nature = "auto_reply"
        letter.headers = list(self._rng.choice(_AUTO_HEADERS))
        letter.at = max(letter.at, past.at + 5)
        letter.in_reply_to = f"<{past.message_id}>"
        return self._finish(letter)

    def _bounce(self) -> Letter:
        talk = self._any_talk(lambda t: bool(t.chain) and t.chain[-1].author.person.kind is Kind.MEMBER)
        if talk is None:
            return self._contact_writes()
        past = talk.chain[-1]
        robot = self._outsider(OWN_DOMAIN, kind=Kind.COLLEAGUE)
        letter = self._draft(robot, [past.author], [], "Undelivered Mail Returned to Sender")
        letter.nature, letter.form = "bounce", "report"
        if self._rng.random() < 0.5:
            letter.references, letter.thread = [str(past.message_id)], talk.thread
        return self._finish(letter)

    def _ancient(self) -> Letter:
        """A customer's machine that lives in another century writes once more to the same people."""
        talk = self._any_talk(lambda t: bool(t.chain))
        past = talk.chain[-1] if talk else None
        if talk is None or past is None or not past.safe or past.author.person.kind is Kind.MEMBER:
            return self._contact_writes()
        letter = self._draft(past.author, past.to, past.cc, self._reply_subject(talk), talk.thread)
        letter.references = [str(past.message_id)]
        letter.ancient, letter.safe = True, False
        self._note("ancient")
        return self._finish(letter)

    # -- conversations ------------------------------------------------------------------------------------------

    def _any_talk(self, fits: Callable[[Talk], bool]) -> Talk | None:
        for _ in range(8):
            talk = self._rng.choice(self._talks) if self._talks else None
            if talk is not None and fits(talk):
                return talk
        return None

    def _open(
        self,
        author: Mention,
        to: list[Mention],
        cc: list[Mention],
        *,
        bcc: list[Mention] | None = None,
        subjects: tuple[str, ...] = words.SUBJECTS,
    ) -> Letter:
        letter = self._draft(author, to, cc, self._subject(subjects))
        letter.bcc = bcc or []
        people = [m for m in (author, *to, *cc) if m.person.kind is not Kind.GROUP]
        talk = Talk(
            thread=letter.thread,
            subject=letter.subject,
            ours=[m for m in people if m.person.kind is Kind.MEMBER],
            theirs=[m for m in people if m.person.kind is not Kind.MEMBER],
            phantom=f"unseen.{letter.serial}.{self._seed}@elsewhere.example"
            if self._rng.random() < 0.02
            else None,
        )
        self._note(self._linker.start(letter, talk))
        if self._rng.random() < 0.03:
            letter.at = self._midnight()
        hidden = (self._hidden_member().person.index,) if self._rng.random() < 0.02 else ()
        self._finish(letter, hidden_owners=hidden)
        if letter.message_id is not None:
            talk.remember(letter)
            self._talks.append(talk)
        return letter

    def _reply(self) -> Letter:
        talk = self._any_talk(lambda t: bool(t.chain))
        if talk is None:
            return self._contact_writes()
        past = talk.chain[-1] if self._rng.random() < 0.8 else self._rng.choice(talk.chain)
        author = self._answerer(talk, past)
        to, cc = self._addressed(talk, past, author)
        if not any(m.person.kind in (Kind.MEMBER, Kind.GROUP) for m in (author, *to, *cc)):
            return self._contact_writes()
        letter = self._draft(author, to, cc, self._reply_subject(talk), talk.thread)
        # One in fifteen clocks is behind: the answer seems older than the question.
        if self._rng.random() > 0.07:
            letter.at = max(letter.at, past.at + self._rng.randrange(60, 10_000))
        self._link(letter, talk, past)
        self._finish(letter)
        if letter.message_id is not None and letter.thread == talk.thread:
            talk.remember(letter)
        return letter

    def _link(self, letter: Letter, talk: Talk, past: Letter) -> None:
        chance = self._rng.random()
        if chance < 0.015 and self._reuse(letter, past):
            return
        other = self._any_talk(lambda t: t is not talk and bool(t.chain)) if 0.015 < chance < 0.025 else None
        if other is not None:
            self._linker.join(letter, talk, other)
            self._note("joins_two_threads")
            return
        self._note(self._linker.answer(letter, talk, past))

    def _reuse(self, letter: Letter, past: Letter) -> bool:
        """A client that sends the answer under the question's own id, or a mail sent again under its old one."""
        if not past.safe or past.message_id is None:
            return False
        resent = self._rng.random() < 0.4
        letter.at = past.at + (
            self._rng.randrange(900, 5 * _DAY) if resent else self._rng.randrange(600, _DAY)
        )
        if letter.at >= self._now:
            return False
        if resent:
            letter.author, letter.to, letter.cc, letter.subject = past.author, past.to, past.cc, past.subject
        letter.message_id, letter.safe, past.safe = past.message_id, False, False
        self._note("id_resent" if resent else "id_reused_by_answer")
        return True

    def _answerer(self, talk: Talk, past: Letter) -> Mention:
        ours_wrote = past.author.person.kind is Kind.MEMBER
        side = talk.theirs if ours_wrote else talk.ours
        if not side and not ours_wrote:
            # A list's mail is answered by one of those who got it.
            owners = [copy.owner for copy in past.copies if copy.way is not Way.SENT]
            side = (
                [self._pen.mention(self.company.members[self._rng.choice(owners)])] if owners else talk.theirs
            )
            talk.ours.extend(m for m in side if m.person.kind is Kind.MEMBER)
        if not side or self._rng.random() < 0.12:
            return past.author
        return self._rng.choice(side)

    def _addressed(self, talk: Talk, past: Letter, author: Mention) -> tuple[list[Mention], list[Mention]]:
        back = past.to if author.person is past.author.person else [past.author]
        to = [m for m in back if m.person is not author.person] or [*talk.ours, *talk.theirs][:1]
        cc: list[Mention] = []
        if author.person.kind is Kind.MEMBER and self._rng.random() < 0.05:
            self._note("forwarded_inside")
            return [self._member()], []
        if self._rng.random() < 0.6:
            listed = [m for m in (*past.to, *past.cc) if m.person is not author.person]
            cc = [m for m in listed if all(m.person is not t.person for t in to)][:6]
        if self._rng.random() < 0.08:
            joined = self._member()
            cc.append(joined)
            if not talk.knows(joined.person):
                talk.ours.append(joined)
        return to, cc

    # -- one letter ---------------------------------------------------------------------------------------------

    def _draft(
        self, author: Mention, to: list[Mention], cc: list[Mention], subject: str, thread: int | None = None
    ) -> Letter:
        self._serial += 1
        return Letter(
            serial=self._serial,
            thread=self.threads.new() if thread is None else thread,
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

    def _finish(self, letter: Letter, hidden_owners: tuple[int, ...] = (), *, twice: bool = True) -> Letter:
        """Deliver it, date it, and give it its last oddities."""
        if letter.at >= self._now:
            letter.at = self._now - 1 - self._rng.randrange(7200)
        self._lose_id(letter)
        self._post.deliver(letter, hidden_owners)
        self._ornament(letter)
        self._note(self._pen.dates(letter, self._now))
        if twice and self._rng.random() < 0.012:
            self._note("twice_in_one_mailbox")
            letter.copies.append(letter.copies[-1])
        return letter

    def _lose_id(self, letter: Letter) -> None:
        if letter.bcc or not letter.safe or self._rng.random() > 0.008:
            return
        self._note("no_message_id")
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
        if letter.message_id is not None and letter.safe and self._rng.random() < 0.02:
            self._note("id_replaced_by_provider")
            letter.copies[-1].replaced_id = f"replaced.{letter.serial}.{self._seed}@provider.example"

    def _message_id(self, author: Mention) -> str:
        token = f"{self._rng.getrandbits(64):016x}.{self._serial}"
        chance = self._rng.random()
        if chance < 0.01:
            return f"{token.upper()}-without-domain"
        if chance < 0.02:
            return f"[{token}]@{author.written.rpartition('@')[2] if author.written.isascii() else 'mail.example'}"
        return f"{token}@{'mail.gmail.com' if chance < 0.3 else 'mail.example'}"

    def _subject(self, subjects: tuple[str, ...]) -> str:
        return self._rng.choice(subjects).format(n=self._rng.randrange(1000, 9999))

    def _reply_subject(self, talk: Talk) -> str:
        prefix = self._rng.choice(
            words.FORWARD_PREFIXES if self._rng.random() < 0.06 else words.REPLY_PREFIXES
        )
        if self._rng.random() < 0.03:
            # A changed subject does not split.
            return f"{prefix}{self._subject(words.SUBJECTS)} (was: {talk.subject})"
        return prefix + talk.subject

    def _moment(self) -> int:
        """A second of today, in working hours mostly."""
        day = self._today - self._today % _DAY
        hour = (
            self._rng.choice((7, 8, 8, 9, 9, 10, 11, 12, 13, 13, 14, 15, 16, 18, 21))
            if self._rng.random() < 0.95
            else 2
        )
        return day + hour * 3600 + self._rng.randrange(3600)

    def _midnight(self) -> int:
        """The border of two days in the company's zone, or the second before it."""
        local = datetime.fromtimestamp(self._today, UTC).astimezone(ZONE).date() + timedelta(
            days=self._rng.randrange(2)
        )
        border = int(datetime(local.year, local.month, local.day, tzinfo=ZONE).timestamp())
        return border - self._rng.randrange(2)

    def _note(self, oddity: str) -> None:
        if oddity:
            self.awkward[oddity] += 1


_BULK_HEADERS: Final = (
    (("Precedence", "bulk"),),
    (("Precedence", "junk"), ("X-Mailer", "SendAll 3")),
    (
        ("List-Unsubscribe", "<https://news.shop.example/u/1>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    ),
    (("List-Id", "Offers <offers.shop.example>"), ("List-Unsubscribe", "<mailto:leave@shop.example>")),
    (("List-Id", "Announcements <announce.shop.example>"), ("List-Post", "NO")),
)
_AUTO_HEADERS: Final = (
    (("Auto-Submitted", "auto-replied"),),
    (("Auto-Submitted", "auto-generated (vacation)"), ("Precedence", "bulk")),
    (("X-Autoreply", "yes"),),
    (("X-Autorespond", "Re: your mail"),),
    (("Precedence", "auto_reply"),),
)
