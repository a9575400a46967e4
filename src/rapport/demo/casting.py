"""Who plays in a letter: members, contacts, strangers, and who is copied in."""

from __future__ import annotations

from random import Random

from rapport.demo import words
from rapport.demo.company import BELOW, EXCLUDED_DOMAIN, HOLDING_DOMAIN, OWN_DOMAIN, Company, Kind, Person
from rapport.demo.letter import Mention
from rapport.demo.pen import Pen


class Casting:
    """Picks people of one company, by the story's random numbers."""

    def __init__(self, company: Company, rng: Random, pen: Pen) -> None:
        self._company = company
        self._rng = rng
        self._pen = pen

    def member(self) -> Mention:
        """Any member."""
        return self._pen.mention(self._rng.choice(self._company.members))

    def contact(self) -> Mention:
        """A contact that writes mail; a few write most of it."""
        spoken = len(self._company.contacts) - self._company.silent_contacts
        # A few contacts write most of the mail.
        return self._pen.mention(self._company.contacts[int(self._rng.random() ** 1.6 * spoken)])

    def colleague_of(self, mention: Mention) -> Mention:
        """Another contact of the same customer where one is drawn quickly, else anybody's."""
        for _ in range(6):
            other = self.contact()
            if other.person.customer == mention.person.customer and other.person is not mention.person:
                return other
        return self.contact()

    def group(self, index: int) -> Mention:
        """A distribution list of the company."""
        person = self._company.groups[index].person
        return Mention(person, person.addresses[0], person.addresses[0])

    def shared_mailbox(self) -> Mention:
        """An own address that belongs to nobody in the directory."""
        address = f"info@{OWN_DOMAIN}"
        return Mention(Person(Kind.COLLEAGUE, -1, "Acme Info", (address,)), address, address)

    def outsider(self, domain: str, customer: int = -1, kind: Kind = Kind.OUTSIDER) -> Mention:
        """Somebody whom the directory does not know."""
        number = self._rng.randrange(10_000_000)
        name = f"{self._rng.choice(words.FIRST_NAMES)} {self._rng.choice(words.LAST_NAMES)}"
        address = f"x{number}@{domain}"
        return Mention(Person(kind, -1, name, (address,), customer), address, address)

    def company_of(self, contact: Mention) -> list[Mention]:
        """Who is copied in: colleagues on both sides, rarely another customer, a lawyer, a former employee."""
        cc: list[Mention] = []
        chance = self._rng.random()
        if chance < 0.30:
            cc.append(self.member())
        if chance < 0.12:
            cc.append(self.colleague_of(contact))
        if 0.30 < chance < 0.34:
            cc.append(self.contact())
        if 0.34 < chance < 0.355:
            cc.append(self.outsider(self._rng.choice((EXCLUDED_DOMAIN, f"kontor.{EXCLUDED_DOMAIN}"))))
        if 0.355 < chance < 0.375:
            cc.append(self.outsider(HOLDING_DOMAIN, kind=Kind.COLLEAGUE))
        if 0.375 < chance < 0.40:
            cc.extend(self.member() for _ in range(4))
        if 0.40 < chance < 0.44:
            cc.append(self.unlisted(contact.person.customer))
        return cc

    def domain_of(self, customer: int) -> str:
        """A customer's first domain."""
        return self._company.customers[customer].domains[0]

    def unlisted(self, customer: int) -> Mention:
        """Somebody at a customer, or below its domain, whom the directory does not know."""
        domain = self.domain_of(customer)
        return self.outsider(self._rng.choice((domain, domain, BELOW + domain)), customer)

    def lookalike(self, customer: int) -> Mention:
        """Somebody at a domain that only ends with the letters of a customer's."""
        return self.outsider(f"not{self.domain_of(customer)}")

    def blind(self, contact: Mention) -> list[Mention]:
        """Rarely somebody who gets a blind copy."""
        if self._rng.random() > 0.06:
            return []
        return [self.hidden_member() if self._rng.random() < 0.6 else self.colleague_of(contact)]

    def hidden_member(self) -> Mention:
        """A member that a hidden copy goes to."""
        # Never the member of the excluded pair: whether a hidden copy makes a pair is nobody's everyday question.
        return self._pen.mention(self._company.members[self._rng.randrange(len(self._company.members) - 1)])
