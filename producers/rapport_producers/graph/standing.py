"""How a connection stands after something went wrong: state, sentence, when to try again. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rapport_core.errors import InvariantError, RapportError
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
_BROKEN = (
    "Rapport itself failed while it read this mailbox. It tries again by itself; the operator finds the reason in the "
    "connector's log (connection_broken)."
)

_GRAVEST_FIRST: Final = ("needs_auth", "needs_admin", "mailbox_unavailable", "throttled")


@dataclass(frozen=True, slots=True)
class Standing:
    """What follows from an error.

    Attributes:
        state: the connection's state from now on; None: as it was.
        reason: one sentence for people; empty where the state stays.
        again_s: seconds until the same is tried again.
        is_patient: that something changed at the provider is no reason to try earlier: it said when, or a person has to act first.
        is_broken: the fault is here, and somebody has to look at it.
    """

    state: str | None
    reason: str
    again_s: float
    is_patient: bool = False
    is_broken: bool = False


def standing_of(error: Exception, failures: int) -> Standing:
    """`failures`: how often in a row the same was tried before."""
    patience = min(_SHORT_S * 2 ** min(failures, 10), _LONGEST_S)
    found = Standing("mailbox_unavailable", _BROKEN, patience, is_broken=True)
    match error:
        case SignInNeeded():
            found = Standing("needs_auth", str(error), _PERSON_S, is_patient=True)
        case AdminNeeded():
            found = Standing("needs_admin", str(error), _PERSON_S, is_patient=True)
        case MailboxUnavailable():
            found = Standing("mailbox_unavailable", str(error), _MAILBOX_SLOW_S if error.slow else _MAILBOX_S)
        case Throttled():
            wait_s = max(error.after_s or _THROTTLED_S, patience)
            found = Standing("throttled", str(error), wait_s, is_patient=True)
        case Transient():
            wait_s = max(error.after_s or 0.0, patience)
            found = Standing(None, "", wait_s, is_patient=bool(error.after_s))
        case Rejected():
            found = Standing(None, "", _REJECTED_S)
        case RapportError() if not isinstance(error, InvariantError):
            found = Standing(None, "", patience)
    return found


def gravest(standings: list[Standing]) -> Standing | None:
    """The one that people should hear of first; None where none has a state."""
    known = [one for one in standings if one.state in _GRAVEST_FIRST]
    return min(known, key=lambda one: _GRAVEST_FIRST.index(one.state or ""), default=None)
