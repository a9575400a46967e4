"""What happens to single meetings: moved, cancelled, answered, taken out of calendars, and who notices.

Each twist writes what every calendar shows of it, and what is true, side by side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random

from rapport.demo.agenda import SAFE_AHEAD, Agenda
from rapport.demo.appointment import Answer, Appointment, Page
from rapport.demo.casting import Casting
from rapport.demo.company import Kind
from rapport.demo.plan import Plan

_Weighted = tuple[tuple[Callable[[Plan], Appointment | None], int], ...]


class Twists:
    """Tells what became of a plan.

    Args:
        again: members whose calendars are exported a second time.
        microsoft: members whose calendars are at Microsoft 365.
    """

    def __init__(
        self,
        rng: Random,
        agenda: Agenda,
        casting: Casting,
        awkward: Counter[str],
        *,
        again: frozenset[int],
        microsoft: frozenset[int],
        now: int,
    ) -> None:
        self._rng = rng
        self._agenda = agenda
        self._casting = casting
        self._awkward = awkward
        self._again = again
        self._microsoft = microsoft
        self._now = now
        self._usual: _Weighted = (
            (self.plain, 55),
            (self._moved, 8),
            (self._moved_without_number, 6),
            (self._guests_changed, 4),
            (self._cancelled, 5),
            (self._struck_out_by_guest, 3),
            (self._twice_in_one_calendar, 2),
            (self._taken_away_afterwards, 4),
            (self._moved_later, 4),
            (self._cancelled_later, 3),
            (self._answered_later, 4),
            (self._invited_later, 4),
        )
        # Only what is still ahead can be taken away before it begins, and there is little of it.
        self._ahead: _Weighted = (
            (self._taken_away_by_host, 3),
            (self._taken_away_by_guest, 5),
            (self._taken_away_by_all, 3),
        )

    def tell(self, plan: Plan) -> Appointment:
        """One of the twists that the plan allows, or none."""
        ahead = plan.span.start > self._now + SAFE_AHEAD and self._rng.random() < 0.4
        scenes, weights = zip(*(self._ahead if ahead else self._usual), strict=True)
        for _ in range(4):
            told: Appointment | None = self._rng.choices(scenes, weights)[0](plan)
            if told is not None:
                return told
        return self.plain(plan)

    def plain(self, plan: Plan) -> Appointment:
        """It takes place as planned."""
        return Appointment(tuple(plan.pages().values()), (plan.occasion(),))

    # -- one export says it all ---------------------------------------------------------------------------------

    def _moved(self, plan: Plan) -> Appointment | None:
        """The organiser's calendar has the new time; some colleagues' still the old one."""
        if plan.uid is None:
            return None
        self._awkward["moved"] += 1
        span = self._agenda.moved(plan.span)
        changes = {"span": span, "sequence": plan.bumped, "stamp": plan.stamp + 60}
        fresh = {plan.right}
        fresh |= {owner for owner in plan.owners if self._rng.random() < 0.4}
        self._awkward["stale_copy"] += len(plan.owners) - len(fresh)
        pages = plan.pages() | {
            owner: Page(owner, (plan.entry(owner, **changes),)) for owner in plan.owners if owner in fresh
        }
        return Appointment(tuple(pages.values()), (plan.occasion(span.start),))

    def _moved_without_number(self, plan: Plan) -> Appointment | None:
        """Nobody's calendar counts changes: what was written last is true."""
        if plan.held_by_host or len(plan.owners) < 2 or plan.uid is None:
            return None
        self._awkward["moved_without_sequence"] += 1
        span, newest = self._agenda.moved(plan.span), plan.right
        pages = plan.pages(sequence=None)
        pages[newest] = Page(newest, (plan.entry(newest, sequence=None, span=span, stamp=plan.stamp + 3600),))
        return Appointment(tuple(pages.values()), (plan.occasion(span.start),))

    def _guests_changed(self, plan: Plan) -> Appointment | None:
        """A contact less or more; a colleague's calendar has not heard of it."""
        outside = [g for g in plan.guests if g.mention.person.kind is Kind.CONTACT]
        if not outside or plan.sequence is None:
            return None
        self._awkward["guests_changed"] += 1
        left = self._rng.choice(outside)
        guests = [g for g in plan.guests if g is not left]
        joined = self._casting.contact()
        if all(joined.person is not g.mention.person for g in plan.guests) and (
            plan.organiser is None or joined.person is not plan.organiser.person
        ):
            guests.append(replace(left, mention=joined))
        fresh = {plan.right}
        pages = plan.pages()
        for owner in plan.owners:
            if owner in fresh or self._rng.random() < 0.4:
                seen = plan.seen_by(owner, guests)
                pages[owner] = Page(owner, (plan.entry(owner, guests=seen, sequence=plan.bumped),))
        return Appointment(tuple(pages.values()), (plan.occasion(guests=guests),))

    def _cancelled(self, plan: Plan) -> Appointment:
        """Called off in the organiser's calendar, or where none is read, in the newest copy only."""
        self._awkward["cancelled"] += 1
        pages = plan.pages()
        entry = plan.entry(plan.right, cancelled=True, sequence=plan.bumped, stamp=plan.stamp + 60)
        pages[plan.right] = Page(plan.right, (entry,))
        return Appointment(tuple(pages.values()), (plan.occasion(cancelled=True),))

    def _struck_out_by_guest(self, plan: Plan) -> Appointment | None:
        """A guest's calendar marks it cancelled; the organiser's does not."""
        others = [owner for owner in plan.owners if owner != plan.host]
        if not plan.held_by_host or not others:
            return None
        self._awkward["struck_out_by_guest"] += 1
        owner = self._rng.choice(others)
        pages = plan.pages()
        pages[owner] = Page(owner, (plan.entry(owner, cancelled=True),))
        return Appointment(tuple(pages.values()), (plan.occasion(),))

    def _twice_in_one_calendar(self, plan: Plan) -> Appointment | None:
        """One file holds two states of it, in any order."""
        if plan.uid is None or plan.right in self._microsoft:
            return None
        self._awkward["twice_in_one_calendar"] += 1
        span = self._agenda.moved(plan.span)
        changes = {"span": span, "sequence": plan.bumped, "stamp": plan.stamp + 60}
        pages = plan.pages(**changes)
        entries = [plan.entry(plan.right), *pages[plan.right].first]
        self._rng.shuffle(entries)
        pages[plan.right] = Page(plan.right, tuple(entries))
        return Appointment(tuple(pages.values()), (plan.occasion(span.start),))

    # -- the second export says more ------------------------------------------------------------------------------

    def _without(self, plan: Plan, *owners: int) -> dict[int, Page]:
        pages = plan.pages()
        for owner in owners:
            pages[owner] = replace(pages[owner], later=())
        return pages

    def _taken_away_by_host(self, plan: Plan) -> Appointment | None:
        """The organiser deletes it before it began, whoever else still shows it."""
        if not plan.held_by_host or plan.host not in self._again:
            return None
        self._awkward["deleted_by_organiser"] += 1
        pages = self._without(plan, plan.host)
        return Appointment(tuple(pages.values()), (plan.occasion(cancelled=True),))

    def _taken_away_by_guest(self, plan: Plan) -> Appointment | None:
        """A guest deletes it before it began: without an answer that is a no."""
        guests = [m for m in plan.invited() if m in plan.owners and m in self._again and m != plan.host]
        if not guests or len(plan.owners) < 2:
            return None
        guest = self._rng.choice(guests)
        # Whether the organiser's calendar knows of another answer is not the question here.
        plan.tell(guest, plan.own[guest])
        declined = plan.declined()
        if plan.own[guest] is Answer.OPEN:
            self._awkward["deleted_without_answer"] += 1
            declined |= {guest}
        else:
            self._awkward["deleted_with_answer"] += 1
        pages = self._without(plan, guest)
        return Appointment(tuple(pages.values()), (plan.occasion(declined=declined),))

    def _taken_away_by_all(self, plan: Plan) -> Appointment | None:
        """The last calendar that showed it does no longer, before it began."""
        if not self._again.issuperset(plan.owners):
            return None
        self._awkward["deleted_everywhere"] += 1
        pages = self._without(plan, *plan.owners)
        return Appointment(tuple(pages.values()), (plan.occasion(cancelled=True),))

    def _taken_away_afterwards(self, plan: Plan) -> Appointment | None:
        """Somebody tidies up what is over: nothing changes."""
        tidy = [owner for owner in plan.owners if owner in self._again]
        if not tidy or plan.span.end >= self._now or plan.span.start >= self._now:
            return None
        self._awkward["deleted_afterwards"] += 1
        pages = self._without(plan, *tidy[: self._rng.randint(1, len(tidy))])
        return Appointment(tuple(pages.values()), (plan.occasion(),))

    def _moved_later(self, plan: Plan) -> Appointment | None:
        """The organiser moves it between the two exports."""
        if not plan.held_by_host or plan.host not in self._again or plan.uid is None:
            return None
        self._awkward["moved_between_exports"] += 1
        span = self._agenda.moved(plan.span)
        pages = plan.pages()
        later = plan.entry(plan.host, span=span, sequence=plan.bumped, stamp=plan.stamp + 60)
        pages[plan.host] = replace(pages[plan.host], later=(later,))
        return Appointment(tuple(pages.values()), (plan.occasion(span.start),))

    def _cancelled_later(self, plan: Plan) -> Appointment | None:
        """The organiser calls it off between the two exports."""
        if not plan.held_by_host or plan.host not in self._again:
            return None
        self._awkward["cancelled_between_exports"] += 1
        pages = plan.pages()
        later = plan.entry(plan.host, cancelled=True, sequence=plan.bumped, stamp=plan.stamp + 60)
        pages[plan.host] = replace(pages[plan.host], later=(later,))
        return Appointment(tuple(pages.values()), (plan.occasion(cancelled=True),))

    def _answered_later(self, plan: Plan) -> Appointment | None:
        """A guest's own calendar has another answer in its second export."""
        guests = [m for m in plan.invited() if m in plan.owners and m in self._again and m != plan.host]
        if not guests:
            return None
        self._awkward["answered_between_exports"] += 1
        guest, pages = self._rng.choice(guests), plan.pages()
        plan.own[guest] = Answer.DECLINED if plan.own[guest] is not Answer.DECLINED else Answer.ACCEPTED
        pages[guest] = replace(pages[guest], later=(plan.entry(guest, stamp=plan.stamp + 60),))
        return Appointment(tuple(pages.values()), (plan.occasion(),))

    def _invited_later(self, plan: Plan) -> Appointment | None:
        """It is only in second exports: the past arrives late."""
        owners = [owner for owner in plan.owners if owner in self._again]
        if not owners:
            return None
        self._awkward["only_in_second_export"] += 1
        plan.owners = owners
        pages = tuple(replace(page, first=(), later=page.first) for page in plan.pages().values())
        return Appointment(pages, (plan.occasion(),))
