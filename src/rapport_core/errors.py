"""One tree of errors, cut by what has to happen next; see docs/operate for the table users read."""

from __future__ import annotations


class RapportError(Exception):
    """Root. `str(error)` is one clear sentence that says what to do; it never holds mail content or secrets."""

    exit_code = 70


class ConfigError(RapportError):
    """Wrong use or settings: a person must change something. Exit 2."""

    exit_code = 2


class RefusedError(RapportError):
    """A difference or refusal that was asked about. Exit 1."""

    exit_code = 1


class UnavailableError(RapportError):
    """A service that is needed cannot be reached. Exit 69; repeating the command later is safe."""

    exit_code = 69


class InvariantError(RapportError):
    """Something that must never happen did. The process ends with 70 and acknowledges nothing."""

    exit_code = 70


class PoisonError(RapportError):
    """One item cannot be processed, now or later: it goes to the dead-letter topic and the rest goes on.

    Args:
        reason: a short stable code such as `undecodable`, counted on the status page.
        detail: a sentence for a person, without content of the item.
    """

    exit_code = 1

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
