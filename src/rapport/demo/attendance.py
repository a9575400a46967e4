"""What is true of one meeting, as the story knows it: who takes part, whether it counts, and if not why.

Persons are compared, never addresses parsed: the story knows who is who.
"""

from __future__ import annotations

from dataclasses import dataclass

from rapport.demo.appointment import Occasion
from rapport.demo.company import Company, Kind
from rapport.demo.verdict import is_excluded


@dataclass(frozen=True, slots=True)
class Attendance:
    """What is true of one meeting; people by their positions in the company.

    Attributes:
        why: `counted`, or the first reason why it is not: no_customer, excluded, unknown_organizer, cancelled.
        members: who takes part and did not decline.
    """

    why: str
    members: tuple[int, ...]
    contacts: tuple[int, ...]
    customers: tuple[int, ...]

    @property
    def counted(self) -> bool:
        """Whether it is in the numbers of the window that holds its start, or planned."""
        return self.why == "counted"


def attend(occasion: Occasion, company: Company) -> Attendance:
    """What the story knows about one meeting."""
    organiser = occasion.organiser
    named = [*([organiser] if organiser else []), *occasion.guests]
    members = {m.person.index for m in named if m.person.kind is Kind.MEMBER} | occasion.holders
    contacts = {index for m in named for index in company.contacts_of(m.person, m.address)}
    customers = {index for m in named for index in company.customers_of(m.person, m.address)}
    known = (
        organiser is None
        or organiser.person.kind is Kind.MEMBER
        or bool(company.customers_of(organiser.person, organiser.address))
    )
    if not customers:
        why = "no_customer"
    elif is_excluded(named, members, contacts, company):
        why = "excluded"
    elif not known:
        why = "unknown_organizer"
    else:
        why = "cancelled" if occasion.cancelled else "counted"
    return Attendance(
        why, tuple(sorted(members - occasion.declined)), tuple(sorted(contacts)), tuple(sorted(customers))
    )
