"""Delivery: which mailboxes hold a copy of a letter, and how it came there."""

from __future__ import annotations

from random import Random

from rapport.demo.company import Company, Group, Kind
from rapport.demo.letter import Letter, Mention, StoryCopy, Way


class Post:
    """Delivers letters of one company. Every letter ends in at least one mailbox."""

    def __init__(self, company: Company, rng: Random) -> None:
        self._rng = rng
        self._groups = {group.person.addresses[0]: group for group in company.groups}
        self._members = len(company.members)
        self.most_copies = 20

    def groups(self, letter: Letter) -> list[Group]:
        """The lists among the recipients."""
        return [self._groups[m.address] for m in (*letter.to, *letter.cc) if m.person.kind is Kind.GROUP]

    def deliver(self, letter: Letter, hidden_owners: tuple[int, ...] = ()) -> None:
        """Fill `letter.copies`; `hidden_owners` get one although no header names them."""
        copies = [
            *self._sent(letter.author),
            *self._direct(letter),
            *(StoryCopy(owner, Way.HIDDEN) for owner in hidden_owners),
            *(StoryCopy(m.person.index, Way.HIDDEN) for m in letter.bcc if m.person.kind is Kind.MEMBER),
        ]
        for group in self.groups(letter):
            copies.extend(self._listed(letter, group, {copy.owner for copy in copies}))
        copies = copies or [self._one(letter)]
        letter.bcc_shown = bool(letter.bcc) and any(copy.way is Way.SENT for copy in copies)
        letter.safe = letter.safe and not any(copy.author_hidden for copy in copies)
        letter.copies = copies[: self.most_copies]

    def _sent(self, author: Mention) -> list[StoryCopy]:
        # Three in a hundred sent mails were not kept by their author.
        if author.person.kind is not Kind.MEMBER or self._rng.random() < 0.03:
            return []
        return [StoryCopy(author.person.index, Way.SENT)]

    def _direct(self, letter: Letter) -> list[StoryCopy]:
        owners = dict.fromkeys(
            m.person.index for m in (*letter.to, *letter.cc) if m.person.kind is Kind.MEMBER
        )
        author = letter.author.person
        kept = (owner for owner in owners if not (author.kind is Kind.MEMBER and author.index == owner))
        return [StoryCopy(owner, Way.DIRECT) for owner in kept if self._rng.random() > 0.05]

    def _listed(self, letter: Letter, group: Group, already: set[int]) -> list[StoryCopy]:
        chance = self._rng.random()
        outside = letter.author.person.kind is not Kind.MEMBER
        munged = chance < 0.7 if outside else chance < 0.2
        # A mail under another's id keeps its author: hidden, it would be one message with the other.
        hidden = munged and letter.message_id is not None and self._rng.random() < 0.06 and letter.safe
        return [
            StoryCopy(owner, Way.LIST, group, munged=munged, author_hidden=hidden)
            for owner in group.subscribers
            if self._rng.random() < (0.3 if owner in already else 0.95)
        ]

    def _one(self, letter: Letter) -> StoryCopy:
        if letter.author.person.kind is Kind.MEMBER:
            return StoryCopy(letter.author.person.index, Way.SENT)
        named = [m.person.index for m in (*letter.to, *letter.cc) if m.person.kind is Kind.MEMBER]
        if named:
            return StoryCopy(named[0], Way.DIRECT)
        for group in self.groups(letter):
            return StoryCopy(group.subscribers[0], Way.LIST, group)
        # To a shared mailbox, which some member reads. Never the one of the excluded pair: see Casting.hidden_member.
        return StoryCopy(self._rng.randrange(self._members - 1), Way.HIDDEN)
