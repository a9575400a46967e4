"""Memory of what was read before: the same senders, subjects and list names come again and again."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

_Result = TypeVar("_Result")


def remembered(entries: int, longest: int) -> Callable[[Callable[[str], _Result]], Callable[[str], _Result]]:
    """Remembers the results of a pure function of one text; longer texts seldom repeat and are read every time.

    Both bounds together bound the memory, whatever a sender writes into a header.
    """

    def decorate(function: Callable[[str], _Result]) -> Callable[[str], _Result]:
        known = lru_cache(maxsize=entries)(function)

        @wraps(function)
        def recall(text: str) -> _Result:
            return known(text) if len(text) <= longest else function(text)

        return recall

    return decorate
