"""Which conversations the story has, and which of them it joined. Four bytes a thread."""

from __future__ import annotations

from array import array


class ThreadBook:
    """Hands out thread handles; joined handles have one `root`."""

    def __init__(self) -> None:
        self._parent = array("i")

    def new(self) -> int:
        """A handle of a conversation of its own."""
        self._parent.append(len(self._parent))
        return len(self._parent) - 1

    def join(self, one: int, other: int) -> None:
        """The story made a mail that belongs to both: they are one conversation from now on."""
        first, second = sorted((self.root(one), self.root(other)))
        self._parent[second] = first

    def root(self, handle: int) -> int:
        """The handle that stands for the whole conversation."""
        parent = self._parent
        while parent[handle] != handle:
            parent[handle] = parent[parent[handle]]
            handle = parent[handle]
        return handle
