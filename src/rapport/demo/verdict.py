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
        author_member, author_contact, author_customer: -1 when the author is none.
    """

    why: str
    mail_class: str
    members: tuple[int, ...]
    contacts: tuple[int, ...]
    customers: tuple[int, ...]
    author_member: int
    author_contact: int
    author_customer: int

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
    contacts = {m.person.index for m in named if m.person.kind is Kind.CONTACT}
    customers = {_customer(m, company) for m in named} - {NOBODY}
    author = letter.author
    author_member = author.person.index if author_known and author.person.kind is Kind.MEMBER else NOBODY
    author_contact = author.person.index if author_known and author.person.kind is Kind.CONTACT else NOBODY
    author_customer = _customer(author, company) if author_known else NOBODY
    mail_class = _mail_class(letter)
    if not customers:
        why = "no_customer"
    elif _is_excluded(named, members, contacts, company):
        why = "excluded"
    elif author_member == author_customer == NOBODY:
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
        author_contact,
        author_customer,
    )


def _customer(mention: Mention, company: Company) -> int:
    """The customer the mention stands for: of a contact, or by domain of anybody who works there."""
    person = mention.person
    return person.customer if person.kind is Kind.CONTACT or company.match_by == "domain" else NOBODY


def _mail_class(letter: Letter) -> str:
    if letter.nature != "human":
        return letter.nature
    return "list" if all(copy.way is Way.LIST for copy in letter.copies) else "human"


def _is_excluded(named: list[Mention], members: set[int], contacts: set[int], company: Company) -> bool:
    member, contact = company.excluded_pair
    if member in members and contact in contacts:
        return True
    return any(
        m.address in company.excluded_addresses or m.address.endswith(f"@{EXCLUDED_DOMAIN}") for m in named
    )
