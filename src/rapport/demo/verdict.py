"""What is true of one letter, as the story knows it: who takes part, whether it counts, and if not why.

Persons are compared, never addresses parsed: the story knows who is who.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rapport.demo.company import EXCLUDED_DOMAIN, Company, Kind
from rapport.demo.letter import Letter, Mention, Way

NOBODY: Final = -1
COUNTED_CLASSES: Final = ("human", "list")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is true of one letter; people by their positions in the company.

    Attributes:
        why: `counted`, or the first reason why it is not: class_…, no_date, no_customer, excluded, unknown_sender.
        author_member: -1 when the author is none.
        author_contacts, author_customers: whom the author's address means; several where it is ambiguous.
    """

    why: str
    mail_class: str
    members: tuple[int, ...]
    contacts: tuple[int, ...]
    customers: tuple[int, ...]
    author_member: int
    author_contacts: tuple[int, ...]
    author_customers: tuple[int, ...]

    @property
    def counted(self) -> bool:
        """Whether it is in the numbers of the window that holds its time."""
        return self.why == "counted"


def judge(letter: Letter, company: Company) -> Verdict:
    """What the story knows about one letter."""
    author_known = not all(copy.author_hidden for copy in letter.copies)
    named = letter.named if author_known else letter.named[1:]
    # A list's copy makes nobody a participant; the author, the named and the hidden recipients are.
    members = {m.person.index for m in named if m.person.kind is Kind.MEMBER}
    members |= {copy.owner for copy in letter.copies if copy.way is not Way.LIST}
    contacts = {index for m in named for index in company.contacts_of(m.person, m.address)}
    customers = {index for m in named for index in company.customers_of(m.person, m.address)}
    author, address = letter.author.person, letter.author.address
    author_member = author.index if author_known and author.kind is Kind.MEMBER else NOBODY
    author_contacts = company.contacts_of(author, address) if author_known else ()
    author_customers = company.customers_of(author, address) if author_known else ()
    mail_class = _mail_class(letter)
    if not customers:
        why = "no_customer"
    elif is_excluded(named, members, contacts, company):
        why = "excluded"
    elif author_member == NOBODY and not author_customers:
        why = "unknown_sender"
    elif mail_class not in COUNTED_CLASSES:
        why = f"class_{mail_class}"
    else:
        why = "counted" if letter.counts_at is not None else "no_date"
    return Verdict(
        why,
        mail_class,
        tuple(sorted(members)),
        tuple(sorted(contacts)),
        tuple(sorted(customers)),
        author_member,
        tuple(sorted(author_contacts)),
        tuple(sorted(author_customers)),
    )


def _mail_class(letter: Letter) -> str:
    if letter.nature != "human":
        return letter.nature
    return "list" if all(copy.way is Way.LIST for copy in letter.copies) else "human"


def is_excluded(named: list[Mention], members: set[int], contacts: set[int], company: Company) -> bool:
    """Whether an exclusion of the directory leaves out what these people take part in."""
    member, contact = company.excluded_pair
    if member in members and contact in contacts:
        return True
    below = (f"@{EXCLUDED_DOMAIN}", f".{EXCLUDED_DOMAIN}")
    return any(m.address in company.excluded_addresses or m.address.endswith(below) for m in named)
