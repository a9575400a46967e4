"""The company's appointments, from six months back to some months ahead, one after the other, in constant memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from random import Random
from typing import Final

from rapport.demo import words
from rapport.demo.agenda import AHEAD, AHEAD_AT_MICROSOFT, DAY, Agenda
from rapport.demo.appointment import Answer, Appointment, Guest
from rapport.demo.casting import Casting
from rapport.demo.clocks import Software, software_of
from rapport.demo.company import EXCLUDED_DOMAIN, HOLDING_DOMAIN, OWN_DOMAIN, Company, Kind, Person
from rapport.demo.letter import Mention
from rapport.demo.pen import Pen
from rapport.demo.plan import ROOMS, Face, Plan
from rapport.demo.series import Series
from rapport.demo.twists import Twists
from rapport.demo.uids import google_uid, outlook_uid, plain_uid, wrapped

_MOST_CALENDARS: Final = 12
_ANSWERS: Final = (
    (Answer.ACCEPTED,) * 12 + (Answer.OPEN,) * 4 + (Answer.TENTATIVE,) * 2 + (Answer.DECLINED,) * 3
)
_TOLD: Final = {
    # What everybody else's calendar tells of an answer: mostly the same, or what it heard last.
    Answer.OPEN: (Answer.OPEN, Answer.OPEN, Answer.ACCEPTED),
    Answer.ACCEPTED: (Answer.ACCEPTED, Answer.ACCEPTED, Answer.OPEN, Answer.DECLINED),
    Answer.TENTATIVE: (Answer.TENTATIVE, Answer.OPEN),
    Answer.DECLINED: (Answer.DECLINED, Answer.DECLINED, Answer.ACCEPTED, Answer.OPEN),
}


class Diary:
    """All appointments of a company.

    Reading `appointments` once tells them; a second Diary of the same company, seed and now tells the same.

    Attributes:
        again: members whose calendars are exported a second time.
        awkward: how often each awkward thing happened.
    """

    def __init__(self, company: Company, seed: int, now: datetime) -> None:
        self.company = company
        self.again = frozenset(range(1, len(company.members), 2))
        self.awkward: Counter[str] = Counter()
        self._now = int(now.timestamp())
        self._rng = Random(f"diary {seed}")  # noqa: S311 - a story, not a secret
        self._casting = Casting(company, self._rng, Pen(company, self._rng))
        self._agenda = Agenda(self._rng, self._now, AHEAD_AT_MICROSOFT if company.microsoft else AHEAD)
        parts = (self._rng, self._agenda, self._casting, self.awkward)
        self._twists = Twists(*parts, again=self.again, microsoft=company.microsoft, now=self._now)
        self._series = Series(*parts, again=self.again, microsoft=company.microsoft, now=self._now)
        self._serial = 0
        self._people: tuple[tuple[Callable[[], Plan], int], ...] = (
            (self._member_invites, 40),
            (self._contact_invites, 24),
            (self._stranger_invites, 5),
            (self._own, 7),
            (self._internal, 12),
            (self._private, 3),
            (self._pair, 1),
        )

    def appointments(self) -> Iterator[Appointment]:
        """Appointments in no order, until the company's number of calendar copies is reached exactly."""
        done, target = 0, self.company.size.meetings
        while done < target:
            appointment = self._next(target - done)
            done += appointment.copies
            yield appointment

    def _next(self, room: int) -> Appointment:
        if room <= _MOST_CALENDARS:
            plan = self._own()
            self._distribute(plan)
            return self._twists.plain(plan)
        plan = self._plan()
        # One appointment in seven repeats, so that half of all meetings are occurrences.
        most = min(room, max(self.company.size.meetings // 12, 8)) // (len(plan.owners) + 1)
        if most >= 3 and plan.uid is not None and self._rng.random() < 0.14:
            return self._repeated(plan, most)
        return self._twists.tell(plan)

    def _repeated(self, plan: Plan, most: int) -> Appointment:
        day = self._agenda.day()
        whole_day = self._rng.random() < 0.08
        plan.span = self._agenda.whole_days(day, 1) if whole_day else self._agenda.working_hour(day)
        for owner, face in plan.faces.items():
            # A series is told in a zone with the company's rules, or it would not stay at its hour.
            clock = self._rng.choice(software_of(owner).regular)
            plan.faces[owner] = Face(plan.uid, clock, face.visibility)
        return self._series.tell(plan, most)

    # -- who ----------------------------------------------------------------------------------------------------

    def _plan(self) -> Plan:
        scenes, weights = zip(*self._people, strict=True)
        plan: Plan = self._rng.choices(scenes, weights)[0]()
        self._answer(plan)
        self._distribute(plan)
        self._furnish(plan)
        return plan

    def _member_invites(self) -> Plan:
        organiser, contact = self._casting.member(), self._casting.contact()
        return self._draft(organiser, [contact, *self._casting.company_of(contact)])

    def _contact_invites(self) -> Plan:
        organiser, member = self._casting.contact(), self._casting.member()
        self.awkward["organised_by_contact"] += 1
        return self._draft(organiser, [member, *self._casting.company_of(organiser)])

    def _stranger_invites(self) -> Plan:
        contact = self._casting.contact()
        customer, chance = contact.person.customer, self._rng.random()
        if chance < 0.4:
            organiser = self._casting.outsider(self._casting.domain_of(customer), customer)
        elif chance < 0.8:
            organiser = self._casting.outsider("partner.example")
        else:
            organiser = self._casting.outsider(OWN_DOMAIN, kind=Kind.COLLEAGUE)
        self.awkward["organised_by_unknown"] += 1
        return self._draft(organiser, [contact, self._casting.member(), *self._casting.company_of(contact)])

    def _own(self) -> Plan:
        """Nobody is named as the organiser: a note to oneself, or guests in a program without invitations."""
        owner = self._casting.member().person.index
        chance = self._rng.random()
        guests = [self._casting.contact()] if chance < 0.4 else []
        self.awkward["without_organiser" if guests else "without_guests"] += 1
        plan = self._draft(None, guests)
        plan.host = owner
        return plan

    def _internal(self) -> Plan:
        guests = [self._casting.member() for _ in range(self._rng.randrange(1, 5))]
        if self._rng.random() < 0.2:
            guests.append(self._casting.outsider(HOLDING_DOMAIN, kind=Kind.COLLEAGUE))
        self.awkward["internal_meeting"] += 1
        return self._draft(self._casting.member(), guests)

    def _private(self) -> Plan:
        stranger = self._casting.outsider("klinik.example")
        self.awkward["with_strangers"] += 1
        return self._draft(self._casting.member(), [stranger])

    def _pair(self) -> Plan:
        member, contact = self.company.excluded_pair
        people = [
            _usual(self.company.contacts[contact]),
            _usual(self.company.members[member]),
        ]
        self._rng.shuffle(people)
        return self._draft(people[0], people[1:])

    def _draft(self, organiser: Mention | None, guests: list[Mention]) -> Plan:
        self._serial += 1
        span, oddity = self._agenda.span()
        if oddity:
            self.awkward[f"meeting_{oddity}"] += 1
        host = organiser.person.index if organiser and organiser.person.kind is Kind.MEMBER else None
        stamp = min(span.start, self._now) - self._rng.randrange(3600, 20 * DAY)
        return Plan(
            organiser=organiser,
            host=host,
            guests=[Guest(m, role=self._role()) for m in _distinct(guests, organiser)],
            span=span,
            title=f"{self._rng.choice(words.SUBJECTS).format(n=self._serial)}; {self._serial}, möte",
            stamp=stamp,
            sequence=self._rng.choice((None, None, 0, 0, 0, 1, 3)),
            uid=self._uid(),
        )

    def _role(self) -> str:
        return self._rng.choice(("REQ-PARTICIPANT",) * 4 + ("OPT-PARTICIPANT",))

    def _uid(self) -> str | None:
        chance = self._rng.random()
        if chance < 0.35:
            return google_uid(self._rng)
        if chance < 0.7:
            return outlook_uid(self._rng)
        if chance < 0.97:
            return plain_uid(self._rng)
        self.awkward["without_uid"] += 1
        return None

    # -- answers, calendars, rooms ------------------------------------------------------------------------------

    def _answer(self, plan: Plan) -> None:
        """Every guest's own answer, and what the others' calendars tell of it."""
        for member in plan.invited():
            own = self._rng.choice(_ANSWERS)
            plan.own[member] = own
            plan.tell(member, self._rng.choice(_TOLD[own]))

    def _distribute(self, plan: Plan) -> None:
        """Who holds it, and how each calendar shows it."""
        invited = plan.invited()
        owners = [member for member in invited if self._rng.random() < 0.8]
        if plan.host is not None and (plan.organiser is None or self._rng.random() < 0.93):
            owners.append(plan.host)
        if not owners:
            owners = [*invited][:1] if plan.host is None else [plan.host]
        # One more may come through a list.
        plan.owners = sorted(set(owners))[: _MOST_CALENDARS - 1]
        if not self.company.microsoft.isdisjoint(plan.owners):
            self._as_microsoft_has_it(plan)
        plan.right = (
            plan.host if plan.held_by_host and plan.host is not None else self._rng.choice(plan.owners)
        )
        for owner in plan.owners:
            plan.faces[owner] = self._face(plan, software_of(owner))
        self._note_answers(plan)

    def _as_microsoft_has_it(self, plan: Plan) -> None:
        """There everything has a name, and nobody counts changes: so no calendar does, or who counts would always be right."""
        plan.sequence = None
        if plan.uid is None:
            self.awkward["without_uid"] -= 1
            plan.uid = plain_uid(self._rng)

    def _note_answers(self, plan: Plan) -> None:
        for member, guest in plan.invited().items():
            if member not in plan.owners:
                self.awkward["declined_without_own_copy"] += guest.answer is Answer.DECLINED
            elif plan.own[member] is not guest.answer:
                self.awkward["answer_differs"] += 1

    def _face(self, plan: Plan, software: Software) -> Face:
        if plan.uid is None:
            # Such copies are found to be one by what they say, so they say it alike.
            return Face(None, "utc", "")
        uid = plan.uid
        if uid.endswith("@google.com") and software.name == "outlook" and self._rng.random() < 0.6:
            self.awkward["uid_wrapped"] += 1
            uid = wrapped(uid)
        visibility = ""
        if self._rng.random() < 0.06:
            self.awkward["private_copy"] += 1
            visibility = self._rng.choice(("PRIVATE", "CONFIDENTIAL"))
        clock = self._rng.choice(software.clocks)
        self.awkward[f"clock_{clock}"] += 1
        return Face(uid, clock, visibility)

    def _furnish(self, plan: Plan) -> None:
        """Rooms, equipment, and the list through which some were invited: nobody of these takes part."""
        if self._rng.random() < 0.2 and plan.guests:
            self.awkward["room"] += 1
            chance = self._rng.random()
            if chance < 0.6:
                domain = OWN_DOMAIN
            elif chance < 0.9:
                domain = self._casting.domain_of(self._rng.randrange(len(self.company.customers)))
            else:
                domain = EXCLUDED_DOMAIN
            room = self._casting.outsider(domain)
            plan.guests.append(
                Guest(room, Answer.ACCEPTED, self._rng.choice(ROOMS), self._rng.choice(_ROOM_ROLES))
            )
        if self._rng.random() < 0.04 and plan.guests and plan.organiser is not None:
            self._invite_list(plan)

    def _invite_list(self, plan: Plan) -> None:
        """Some subscriber has it in its calendar although nothing names it."""
        self.awkward["list_invited"] += 1
        plan.guests.append(Guest(self._casting.group(0), Answer.OPEN, "GROUP"))
        reader = self._rng.choice(self.company.groups[0].subscribers)
        if reader in self.company.microsoft and self.company.microsoft.isdisjoint(plan.owners):
            return
        if reader not in plan.owners and reader not in plan.invited() and reader != plan.host:
            plan.owners = sorted((*plan.owners, reader))
            plan.faces[reader] = self._face(plan, software_of(reader))


_ROOM_ROLES: Final = ("NON-PARTICIPANT", "REQ-PARTICIPANT", "OPT-PARTICIPANT")


def _usual(person: Person) -> Mention:
    return Mention(person, person.addresses[0], person.addresses[0])


def _distinct(guests: list[Mention], organiser: Mention | None) -> list[Mention]:
    """Everybody once, and not the organiser."""
    kept: list[Mention] = []
    for mention in guests:
        people = [m.person for m in (*kept, *([organiser] if organiser else []))]
        if all(mention.person is not person for person in people):
            kept.append(mention)
    return kept
