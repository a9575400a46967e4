"""Which Message-IDs belong to one conversation, as `rapport threads --json` must list them."""

from __future__ import annotations

from collections import defaultdict

from rapport.demo.letter import Letter
from rapport.demo.threads import ThreadBook


class MessageIds:
    """Keeps every Message-ID of a story: some hundred bytes a letter, so only for companies of demo size."""

    def __init__(self) -> None:
        self._ids: list[tuple[str, int]] = []
        self._originals: dict[str, str] = {}

    def observe(self, letter: Letter) -> None:
        """Take one letter; those without a Message-ID are in no such list."""
        if letter.message_id is not None:
            self._ids.append((letter.message_id, letter.thread))
            for copy in letter.copies:
                if copy.replaced_id:
                    self._originals[copy.replaced_id] = letter.message_id

    def originals(self, threads: list[list[str]]) -> list[list[str]]:
        """The same conversations with the original of every id that a provider replaced, which a list may show."""
        return sorted(sorted(self._originals.get(i, i) for i in thread) for thread in threads)

    def threads(self, book: ThreadBook) -> list[list[str]]:
        """The sorted list of sorted conversations; an id that two messages share stands there twice."""
        groups: dict[int, list[str]] = defaultdict(list)
        for message_id, thread in self._ids:
            groups[book.root(thread)].append(message_id)
        return sorted(sorted(group) for group in groups.values())
