"""How a connection stands after something went wrong: state, sentence, when to try again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from rapport_core.errors import RapportError
from rapport_producers.graph.errors import (
    AdminNeeded,
    MailboxUnavailable,
    Rejected,
    SignInNeeded,
    Throttled,
    Transient,
)

_SHORT_S, _LONGEST_S = 2.0, 300.0
_THROTTLED_S = 30.0
_MAILBOX_S, _MAILBOX_SLOW_S = 15 * 60.0, 6 * 3600.0
_PERSON_S = 3600.0
_REJECTED_S = 15 * 60.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What follows from an error.

    Attributes:
        state: the connection's state from now on; None: as it was.
        reason: one sentence for people; empty where the state stays.
        again_s: seconds until the same is tried again.
        needs_person: nothing helps but what a person does; whoever did it wakes the connection.
    """

    state: str | None
    reason: str
    again_s: float
    needs_person: bool = False


def standing_of(error: RapportError, failures: int) -> Standing:
    """`failures`: how often in a row the same was tried before."""
    patience = min(_SHORT_S * 2 ** min(failures, 10), _LONGEST_S)
    found = Standing(None, "", patience)
    match error:
        case SignInNeeded():
            found = Standing("needs_auth", str(error), _PERSON_S, needs_person=True)
        case AdminNeeded():
            found = Standing("needs_admin", str(error), _PERSON_S, needs_person=True)
        case MailboxUnavailable():
            found = Standing("mailbox_unavailable", str(error), _MAILBOX_SLOW_S if error.slow else _MAILBOX_S)
        case Throttled():
            found = Standing("throttled", str(error), max(error.after_s or _THROTTLED_S, patience))
        case Transient():
            found = Standing(None, "", max(error.after_s or 0.0, patience))
        case Rejected():
            found = Standing(None, "", _REJECTED_S)
    return found
