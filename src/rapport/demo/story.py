"""The plot: what mail a company gets and writes in six months, one letter after the other, in constant memory."""

from __future__ import annotations

from bisect import bisect
from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import accumulate
from random import Random
from typing import Final

from rapport.demo import words
from rapport.demo.casting import Casting
from rapport.demo.company import OWN_DOMAIN, Company, Kind
from rapport.demo.desk import Desk
from rapport.demo.letter import Letter, Mention, Way
from rapport.demo.pen import Pen
from rapport.demo.post import Post
from rapport.demo.talk import Linker, Talk
from rapport.demo.threads import ThreadBook

DAYS: Final = 183
_DAY: Final = 86_400
_HOUR: Final = 3600
_MACHINES: Final = 3
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
        self._seed = seed
        self._now = int(now.timestamp())
        self._rng = Random(f"story {seed}")  # noqa: S311 - a story, not a secret
        self._pen = Pen(company, self._rng)
        self._casting = Casting(company, self._rng, self._pen)
        self._post = Post(company, self._rng)
        self._desk = Desk(
            self._rng,
            self._pen,
            self._post,
            self.threads,
            seed=seed,
            now=self._now,
            microsoft=company.microsoft,
        )
        self.awkward: Counter[str] = self._desk.awkward
        self._linker = Linker(self.threads, self._rng)
        self._talks: deque[Talk] = deque(maxlen=_TALKS)
        self._machines: list[Letter] = []
        plots = self._plots()
        self._scenes = [scene for scene, _ in plots]
        self._weights = list(accumulate(weight for _, weight in plots))

    def letters(self) -> Iterator[Letter]:
        """The letters in about the order they were written, until the company's number of copies is reached exactly."""
        done, target = 0, self.company.size.copies
        while done < target:
            self._desk.today = self._now - DAYS * _DAY + DAYS * _DAY * done // target
            room = target - done > self._post.most_copies + 1
            letter = self._next() if room else self._newsletter(single=True)
            for told in (letter, letter.stray):
                if told is not None:
                    done += len(told.copies)
                    self._notice(told)
                    yield told

    def _notice(self, letter: Letter) -> None:
        """Count what is awkward about a letter without anybody having made it so on purpose."""
        company, named = self.company, [(m.person, m.address) for m in letter.named]
        contacts = [company.contacts_of(*who) for who in named]
        noticed = {
            "ambiguous_contact": any(len(several) > 1 for several in contacts),
            "ambiguous_customer": any(len(company.customers_of(*who)) > 1 for who in named),
            "contact_created_late": any(not company.late_contacts.isdisjoint(some) for some in contacts),
            "alias_added_late": any(address in company.late_aliases for _, address in named),
            "subject_beyond_ascii": not letter.subject.isascii(),
            "domain_beyond_ascii": any(not m.written.isascii() for m in letter.named),
            "author_rewritten_by_list": any(copy.munged for copy in letter.copies),
            "author_hidden_by_list": any(copy.author_hidden for copy in letter.copies),
            "owner_not_named": any(copy.way is Way.HIDDEN for copy in letter.copies),
            letter.nature: letter.nature != "human",
        }
        self.awkward.update(what for what, is_so in noticed.items() if is_so)

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
            (self._shared_mailbox, 25),
            (self._machine, 8),
        ]

    def _next(self) -> Letter:
        pick = bisect(self._weights, self._rng.randrange(self._weights[-1]))
        return self._scenes[pick]()

    # -- scenes -------------------------------------------------------------------------------------------------

    def _contact_writes(self) -> Letter:
        author, to = self._casting.contact(), [self._casting.member()]
        if self._rng.random() < 0.02:
            # The pair of the directory's exclusions: whatever these two write to each other is left out.
            member, contact = self.company.excluded_pair
            author = self._pen.mention(self.company.contacts[contact])
            to = [self._pen.mention(self.company.members[member])]
        return self._open(author, to, self._casting.company_of(author))

    def _member_writes(self) -> Letter:
        author, contact = self._casting.member(), self._casting.contact()
        return self._open(
            author, [contact], self._casting.company_of(contact), bcc=self._casting.blind(contact)
        )

    def _support_case(self) -> Letter:
        author = self._casting.contact()
        group = self._casting.group(0 if self._rng.random() < 0.7 else 1)
        cc = [self._casting.member()] if self._rng.random() < 0.25 else []
        self._desk.awkward["through_group"] += 1
        return self._open(author, [group], cc)

    def _shared_mailbox(self) -> Letter:
        """An address of the company's that is nobody's: some members read its mail, and somebody answers in its name."""
        contact, box = self._casting.contact(), self._casting.shared_mailbox()
        readers = tuple(m.person.index for m in (self._casting.hidden_member() for _ in range(2)))
        self._desk.note("shared_mailbox")
        if self._rng.random() < 0.75:
            return self._open(contact, [box], [], hidden=tuple(dict.fromkeys(readers)))
        return self._open(box, [contact], [], hidden=readers[:1])

    def _machine(self) -> Letter:
        """A customer's machine that gives all its mail one id: many messages, and one conversation."""
        if len(self._machines) < _MACHINES:
            letter = self._contact_writes()
            if letter.safe and letter.message_id is not None and letter.author.person.kind is Kind.CONTACT:
                letter.safe = False
                self._machines.append(letter)
            return letter
        place = self._rng.randrange(_MACHINES)
        past = self._machines[place]
        letter = self._desk.draft(past.author, past.to, past.cc, past.subject, past.thread)
        letter.at = max(letter.at, past.at + _HOUR)
        if letter.at >= self._now:
            return self._contact_writes()
        letter.message_id, letter.safe = past.message_id, False
        self._machines[place] = letter
        self._desk.note("one_id_for_all")
        return self._desk.finish(letter)

    def _forum_post(self) -> Letter:
        chance = self._rng.random()
        if chance < 0.6:
            author = self._casting.outsider("elsewhere.example")
        else:
            author = self._casting.contact() if chance < 0.8 else self._casting.member()
        self._desk.awkward["public_list"] += 1
        return self._open(author, [self._casting.group(2)], [])

    def _internal(self) -> Letter:
        author = self._casting.member()
        to = [self._casting.member() for _ in range(self._rng.randrange(1, 5))]
        if self._rng.random() < 0.2:
            to.append(self._casting.group(self._rng.randrange(2)))
        if self._rng.random() < 0.1:
            author = self._casting.outsider(f"it.{OWN_DOMAIN}", kind=Kind.COLLEAGUE)
        self._desk.awkward["internal"] += 1
        return self._open(author, to, [], subjects=words.INTERNAL_SUBJECTS)

    def _private(self) -> Letter:
        stranger, member = (
            self._casting.outsider(self._rng.choice(("gmail.com", "klinik.example"))),
            self._casting.member(),
        )
        self._desk.awkward["private"] += 1
        if self._rng.random() < 0.5:
            return self._open(stranger, [member], [], subjects=words.PRIVATE_SUBJECTS)
        return self._open(member, [stranger], [], subjects=words.PRIVATE_SUBJECTS)

    def _unknown_sender(self) -> Letter:
        """Nobody knows the author, although a member and a contact are both named."""
        contact, chance = self._casting.contact(), self._rng.random()
        if chance < 0.5:
            author = self._casting.unlisted(contact.person.customer)
        elif chance < 0.65:
            author = self._casting.lookalike(contact.person.customer)
        elif chance < 0.8:
            author = self._casting.outsider("partner.example")
        else:
            author = self._casting.outsider(OWN_DOMAIN, kind=Kind.COLLEAGUE)
        self._desk.awkward["unknown_sender"] += 1
        return self._open(author, [self._casting.member()], [contact])

    def _newsletter(self, *, single: bool = False) -> Letter:
        author = (
            self._casting.contact()
            if self._rng.random() < 0.3
            else self._casting.outsider("news.shop.example")
        )
        shown = self._rng.random() < 0.5
        letter = self._desk.draft(
            author, [self._casting.member()] if shown else [], [], self._desk.subject(words.BULK_SUBJECTS)
        )
        letter.nature = "bulk"
        letter.headers = list(self._rng.choice(_BULK_HEADERS))
        if single:
            letter.to = []
        readers = 1 if single or shown else self._rng.randrange(1, 6)
        hidden = (
            () if letter.to else tuple(self._rng.sample(range(len(self.company.members)), min(readers, 4)))
        )
        return self._desk.finish(letter, hidden_owners=hidden, twice=not single)

    def _invitation(self) -> Letter:
        sides = [self._casting.contact(), self._casting.member()]
        self._rng.shuffle(sides)
        letter = self._desk.draft(sides[0], [sides[1]], [], self._desk.subject(words.INTERNAL_SUBJECTS))
        letter.nature, letter.form = "calendar_notice", "invitation"
        return self._desk.finish(letter)

    def _auto_reply(self) -> Letter:
        talk = self._any_talk(lambda t: bool(t.theirs) and bool(t.chain))
        if talk is None:
            return self._contact_writes()
        past = talk.chain[-1]
        ours_wrote = past.author.person.kind is Kind.MEMBER
        # Microsoft keeps no copy of the answers that it writes for somebody.
        ours = [m for m in talk.ours if m.person.index not in self.company.microsoft]
        author = self._rng.choice(talk.theirs if ours_wrote or not ours else ours)
        letter = self._desk.draft(
            author, [past.author], [], f"{self._rng.choice(words.AUTO_SUBJECTS)}{past.subject}", talk.thread
        )
        if not any(m.person.kind is Kind.MEMBER for m in (author, past.author)):
            return self._contact_writes()
        letter.nature = "auto_reply"
        letter.headers = list(self._rng.choice(_AUTO_HEADERS))
        letter.at = max(letter.at, past.at + 5)
        letter.in_reply_to = f"<{past.message_id}>"
        return self._desk.finish(letter)

    def _bounce(self) -> Letter:
        talk = self._any_talk(lambda t: bool(t.chain) and t.chain[-1].author.person.kind is Kind.MEMBER)
        if talk is None:
            return self._contact_writes()
        past = talk.chain[-1]
        robot = self._casting.outsider(OWN_DOMAIN, kind=Kind.COLLEAGUE)
        known = [m for m in talk.theirs if m.person.kind is Kind.CONTACT]
        if known and self._rng.random() < 0.4:
            # Some systems send the report in the name of whom they could not reach.
            robot = self._rng.choice(known)
        letter = self._desk.draft(robot, [past.author], [], "Undelivered Mail Returned to Sender")
        letter.nature, letter.form = "bounce", "report"
        if self._rng.random() < 0.5:
            letter.references, letter.thread = [str(past.message_id)], talk.thread
        return self._desk.finish(letter)

    def _ancient(self) -> Letter:
        """A customer's machine that lives in another century writes once more to the same people."""
        talk = self._any_talk(lambda t: bool(t.chain))
        past = talk.chain[-1] if talk else None
        if talk is None or past is None or not past.safe or past.author.person.kind is Kind.MEMBER:
            return self._contact_writes()
        letter = self._desk.draft(past.author, past.to, past.cc, self._desk.reply_subject(talk), talk.thread)
        letter.references = [str(past.message_id)]
        letter.ancient, letter.safe = True, False
        self._desk.note("ancient")
        return self._desk.finish(letter)

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
        hidden: tuple[int, ...] = (),
    ) -> Letter:
        letter = self._desk.draft(author, to, cc, self._desk.subject(subjects))
        letter.bcc = bcc or []
        people = [m for m in (author, *to, *cc) if m.person.kind is not Kind.GROUP]
        talk = Talk(
            serial=letter.serial,
            thread=letter.thread,
            subject=letter.subject,
            ours=[m for m in people if m.person.kind is Kind.MEMBER],
            theirs=[m for m in people if m.person.kind is not Kind.MEMBER],
            phantom=f"unseen.{letter.serial}.{self._seed}@elsewhere.example"
            if self._rng.random() < 0.02
            else None,
        )
        self._desk.note(self._linker.start(letter, talk))
        if self._rng.random() < 0.03:
            letter.at = self._desk.midnight()
        if not hidden and self._rng.random() < 0.02:
            hidden = (self._casting.hidden_member().person.index,)
        letter.talk = letter.serial
        self._desk.finish(letter, hidden_owners=hidden)
        self._note_conversation(letter, talk)
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
        letter = self._desk.draft(author, to, cc, self._desk.reply_subject(talk), talk.thread)
        # One in fifteen clocks is behind: the answer seems older than the question.
        if self._rng.random() > 0.07:
            letter.at = max(letter.at, past.at + self._rng.randrange(60, 10_000))
        self._link(letter, talk, past)
        letter.talk = talk.serial
        self._desk.finish(letter)
        self._note_conversation(letter, talk)
        if letter.message_id is not None and letter.thread == talk.thread:
            talk.remember(letter)
        return letter

    def _note_conversation(self, letter: Letter, talk: Talk) -> None:
        held = {copy.owner for copy in letter.copies} & self.company.microsoft
        self._desk.note(self._linker.hold(letter, talk, held))

    def _link(self, letter: Letter, talk: Talk, past: Letter) -> None:
        chance = self._rng.random()
        if chance < 0.015 and self._reuse(letter, past):
            return
        other = self._any_talk(lambda t: t is not talk and bool(t.chain)) if 0.015 < chance < 0.025 else None
        if other is not None:
            self._linker.join(letter, talk, other)
            self._desk.note("joins_two_threads")
            return
        self._desk.note(self._linker.answer(letter, talk, past))

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
        self._desk.note("id_resent" if resent else "id_reused_by_answer")
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
            self._desk.note("forwarded_inside")
            return [self._casting.member()], []
        if self._rng.random() < 0.6:
            listed = [m for m in (*past.to, *past.cc) if m.person is not author.person]
            cc = [m for m in listed if all(m.person is not t.person for t in to)][:6]
        if self._rng.random() < 0.08:
            joined = self._casting.member()
            cc.append(joined)
            if not talk.knows(joined.person):
                talk.ours.append(joined)
        return to, cc


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
