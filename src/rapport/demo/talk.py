"""Conversations that are going on, and how a reply names what it answers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from random import Random

from rapport.demo import words
from rapport.demo.company import Kind, Person
from rapport.demo.letter import Letter, Mention
from rapport.demo.threads import ThreadBook

_KEPT = 12
_NOTHING = (None, "<yes>")
_PREFIXES = sorted({*words.REPLY_PREFIXES, *words.FORWARD_PREFIXES}, key=len, reverse=True)


def _without_prefix(subject: str) -> str:
    """The subject as it was before it was answered; the story knows its own prefixes."""
    return next((subject.removeprefix(one) for one in _PREFIXES if subject.startswith(one)), subject)


@dataclass(slots=True)
class _Held:
    """Copies of one conversation and subject in one mailbox: one of the story's threads, and whether an answer that names nothing is among them."""

    thread: int
    has_cut_off: bool = False
    waiting: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Talk:
    """One conversation as its people remember it.

    Attributes:
        serial: of its first letter.
        ours: members who take part, by the address they use in it.
        theirs: the others.
        phantom: id of a mail that no mailbox holds, which the first mails answer.
        chain: the last letters with a Message-ID, oldest first.
        held: what mailboxes at Microsoft hold of it, by owner and subject without prefix.
    """

    serial: int
    thread: int
    subject: str
    ours: list[Mention]
    theirs: list[Mention]
    phantom: str | None = None
    chain: list[Letter] = field(default_factory=list)
    held: dict[tuple[int, str], _Held] = field(default_factory=dict)

    def remember(self, letter: Letter) -> None:
        """Later letters may answer this one."""
        self.chain.append(letter)
        if len(self.chain) > _KEPT:
            del self.chain[1]

    def knows(self, person: Person) -> bool:
        """Whether the person is in the conversation already."""
        return any(m.person is person for m in (*self.ours, *self.theirs))


class Linker:
    """Writes References and In-Reply-To. It knows what they do to the conversation, because it chose them for that."""

    def __init__(self, threads: ThreadBook, rng: Random) -> None:
        self._threads = threads
        self._rng = rng

    def start(self, letter: Letter, talk: Talk) -> str:
        """The first letter of a conversation; rarely it answers something nobody here has."""
        if talk.phantom is not None:
            letter.references = [talk.phantom]
            return "answers_unseen"
        if self._rng.random() < 0.01:
            letter.references = [f"{letter.serial}.ref@mail.yahoo.example"]
            return "references_on_first"
        return ""

    def answer(self, letter: Letter, talk: Talk, past: Letter) -> str:
        """Let `letter` answer `past`; returns what was odd about it. May give the letter a thread of its own."""
        target = self._name_of(past)
        letter.references = self._chain(talk, past, target)
        letter.in_reply_to = f"<{target}>"
        chance = self._rng.random()
        if chance < 0.82:
            return ""
        if chance < 0.97:
            return self._linked_oddly(letter, talk, past, target, chance)
        return self._cut_off(letter)

    def _linked_oddly(self, letter: Letter, talk: Talk, past: Letter, target: str, chance: float) -> str:
        """Fewer ids than there should be, or in an odd form, but enough to know what it answers."""
        oddity = "references_truncated"
        if chance < 0.86:
            letter.references = letter.references[-1:]
        elif chance < 0.885:
            oddity, letter.references = "in_reply_to_only", []
        elif chance < 0.91 and "@" in target and "[" not in target:
            oddity, letter.references, letter.in_reply_to = "in_reply_to_bare", [], target
        elif chance < 0.95:
            oddity = self._free_form(letter, past, target)
        elif chance < 0.96:
            oddity, letter.references, letter.in_reply_to = (
                "first_reference_only",
                letter.references[:1],
                None,
            )
        else:
            # Two parents, as a reply to several mails has them.
            oddity = "in_reply_to_two"
            letter.in_reply_to = f"<{target}>\n <{self._name_of(talk.chain[0])}>"
        return oddity

    def hold(self, letter: Letter, talk: Talk, owners: Collection[int]) -> str:
        """Mailboxes at Microsoft hold a letter of the talk; returns what was odd about that.

        There a provider says which mails are one conversation: an answer that names nothing belongs to those whose subject it has.
        """
        base, oddity = _without_prefix(letter.subject), ""
        cut_off = base != letter.subject and not letter.references and letter.in_reply_to in _NOTHING
        for owner in sorted(owners):
            held = talk.held.setdefault((owner, base), _Held(letter.thread))
            held.waiting.add(letter.thread)
            held.has_cut_off |= cut_off
            if held.has_cut_off:
                if any(self._threads.root(one) != self._threads.root(held.thread) for one in held.waiting):
                    oddity = "joined_by_conversation"
                for thread in held.waiting:
                    self._threads.join(held.thread, thread)
                held.waiting.clear()
        return oddity

    def join(self, letter: Letter, talk: Talk, other: Talk) -> None:
        """Answer the last letters of two conversations at once: they are one from now on."""
        letter.references = [self._name_of(talk.chain[-1]), self._name_of(other.chain[-1])]
        letter.in_reply_to = None
        letter.joins = True
        self._threads.join(talk.thread, other.thread)

    def _cut_off(self, letter: Letter) -> str:
        """A reply that names nothing: the prefix alone joins no conversation in an archive."""
        letter.references = []
        letter.in_reply_to = "<yes>" if self._rng.random() < 0.2 else None
        letter.thread = self._threads.new()
        return "reply_without_references" if letter.in_reply_to is None else "in_reply_to_yes"

    def _free_form(self, letter: Letter, past: Letter, target: str) -> str:
        """An address in brackets stands in it too; it is the author's, who is among the recipients: no id."""
        addressed = any(m.written == past.author.written for m in letter.to)
        if addressed and past.author.person.kind is not Kind.GROUP and past.author.written.isascii():
            letter.references = []
            letter.in_reply_to = f'Message from {past.author.written.split("@")[0]} <{past.author.written}>\n of "Mon" <{target}>'
            return "in_reply_to_free_form"
        return ""

    def _name_of(self, past: Letter) -> str:
        """The letter's id as one of its readers saw it: providers replace some."""
        replaced = [copy.replaced_id for copy in past.copies if copy.replaced_id]
        if replaced and self._rng.random() < 0.5:
            return replaced[0]
        return str(past.message_id)

    def _chain(self, talk: Talk, past: Letter, target: str) -> list[str]:
        ids = [str(letter.message_id) for letter in talk.chain[: talk.chain.index(past)]]
        return [*dict.fromkeys(i for i in ids if i != target), target]
