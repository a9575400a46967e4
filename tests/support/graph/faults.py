"""Everything that goes wrong on request, by kind."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Final

from graph.delta import forgotten
from graph.mailbox import Mailbox
from graph.wire import Answer, Ask, Refusal

CURSOR_KINDS: Final = frozenset({"gone", "gone_with_location", "gone_inside", "sync_state_invalid"})
TRANSPORT_KINDS: Final = frozenset({"reset", "truncated", "html", "slow"})
"""These befall a whole answer, never a part of a batch."""
TRANSIENT_KINDS: Final = (
    "throttled",
    "throttled_float",
    "throttled_bare",
    "unavailable",
    "timeout",
    "error",
    "reset",
    "truncated",
    "html",
)
"""What a client gets over by asking again."""
_REFUSALS: Final[Mapping[str, tuple[int, str, str]]] = {
    "throttled_bare": (429, "ApplicationThrottled", "Application is over its MailboxConcurrency limit."),
    "error": (500, "generalException", "An unspecified error has occurred."),
    "timeout": (504, "UnknownError", ""),
    "busy": (503, "ErrorServerBusy", "The server cannot service this request right now."),
    "store": (503, "ErrorMailboxStoreUnavailable", "The mailbox database is temporarily unavailable."),
    "bandwidth": (509, "BandwidthLimitExceeded", "The bandwidth limit is exceeded."),
    "token": (401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid."),
    "denied": (403, "ErrorAccessDenied", "Access is denied. Check credentials and try again."),
    "policy": (403, "ErrorAccessDenied", "Access to OData is disabled."),
    "no_rights": (403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
    "no_mailbox": (
        404,
        "MailboxNotEnabledForRESTAPI",
        "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
    ),
    "unsupported_mailbox": (
        404,
        "MailboxNotSupportedForRESTAPI",
        "REST API is not supported for this mailbox.",
    ),
    "resource_not_found": (404, "ResourceNotFound", "Resource could not be discovered."),
    "moving": (503, "ErrorMailboxMoveInProgress", "Mailbox move in progress. Try again later."),
    "item_not_found": (404, "ErrorItemNotFound", "The specified object was not found in the store."),
    "quota": (403, "ErrorQuotaExceeded", "The mailbox is over its quota."),
    "bad_request": (400, "ErrorInvalidRequest", "The request is invalid."),
}
KINDS: Final = (
    frozenset(_REFUSALS)
    | CURSOR_KINDS
    | TRANSPORT_KINDS
    | {
        "throttled",
        "throttled_float",
        "throttled_date",
        "unavailable",
        "claims",
        "denied_inside",
    }
)


@dataclass
class Fault:
    """One thing that goes wrong `count` times (None for good), after the first `after` matching requests."""

    method: str
    pattern: re.Pattern[str]
    mailbox: Mailbox | None
    count: int | None
    kind: str
    after: int
    seconds: float


@dataclass
class Faults:
    """What will go wrong. Kinds stand in `KINDS`; `seconds` is a Retry-After or how slow a slow answer is."""

    seed: int
    share: float = 0.0
    kinds: tuple[str, ...] = TRANSIENT_KINDS
    _waiting: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = random.Random(f"{self.seed} faults")

    def add(
        self,
        method: str,
        path: str,
        mailbox: Mailbox | None = None,
        count: int | None = 1,
        kind: str = "throttled",
        *,
        after: int = 0,
        seconds: float = 1.0,
    ) -> None:
        """The next requests of a method (`*` for any) go wrong whose path and query, decoded, have a match of `path`."""
        if kind not in KINDS:
            raise ValueError(f"no such fault: {kind}")
        self._waiting.append(
            Fault(method.upper(), re.compile(path, re.IGNORECASE), mailbox, count, kind, after, seconds)
        )

    def rate(self, share: float, *kinds: str) -> None:
        """From now on a share of all requests goes wrong, each in one of the kinds (transient ones unless said)."""
        self.share, self.kinds = share, kinds or TRANSIENT_KINDS

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._waiting.clear()
        self.share = 0.0

    def answer(self, ask: Ask, mailbox: Mailbox | None, now: float, *, part: bool) -> Answer | None:
        """What a request gets instead of its answer; a `Refusal` is raised. A slow answer has a delay only."""
        fault = self._next(ask, mailbox, part=part)
        if fault:
            return shape(fault.kind, ask, fault.seconds, now, mailbox)
        if self.share and self._rng.random() < self.share:
            kind = self._rng.choice(self.kinds)
            return None if part and kind in TRANSPORT_KINDS else shape(kind, ask, 1.0, now, mailbox)
        return None

    def _next(self, ask: Ask, mailbox: Mailbox | None, *, part: bool) -> Fault | None:
        target = ask.path + "?" + "&".join(f"{name}={value}" for name, value in ask.query)
        for fault in self._waiting:
            if fault.method not in {"*", ask.method} or not fault.pattern.search(target):
                continue
            if (fault.mailbox is not None and fault.mailbox is not mailbox) or (
                part and fault.kind in TRANSPORT_KINDS
            ):
                continue
            if fault.after:
                fault.after -= 1
                continue
            self._spend(fault)
            return fault
        return None

    def _spend(self, fault: Fault) -> None:
        if fault.count is not None:
            fault.count -= 1
            if fault.count <= 0:
                self._waiting.remove(fault)


def shape(kind: str, ask: Ask, seconds: float, now: float, mailbox: Mailbox | None) -> Answer:
    """The answer of a kind of fault, or the `Refusal` raised."""
    if kind in CURSOR_KINDS:
        raise forgotten(kind, ask)
    if kind in _REFUSALS:
        raise Refusal(*_REFUSALS[kind])
    waits = {
        "throttled": str(max(0, round(seconds))),
        "throttled_float": f"{seconds:.3f}",
        "throttled_date": formatdate(now + seconds, usegmt=True),
        "unavailable": str(max(0, round(seconds))),
    }
    if kind in waits:
        status, code = (
            (503, "serviceNotAvailable") if kind == "unavailable" else (429, "ApplicationThrottled")
        )
        message = "Application is over its MailboxConcurrency limit."
        raise Refusal(status, code, message, headers={"Retry-After": waits[kind]})
    match kind:
        case "claims":
            raise demand_claims(mailbox, now)
        case "denied_inside":
            raise Refusal(403, "ErrorAccessDenied", "Access is denied.", inner="MailboxNotEnabledForRESTAPI")
        case "slow":
            return Answer(0, delay=seconds)
        case "html":
            return Answer(502, "<html><body>Bad Gateway</body></html>", {"Content-Type": "text/html"})
        case "truncated":
            return Answer(
                200,
                '{"@odata.context":"https://graph.microsoft.com/v1.0/$meta',
                {"Content-Type": "application/json"},
            )
        case "reset":
            return Answer(200, '{"value":[', broken=True)
    raise ValueError(kind)


def demand_claims(mailbox: Mailbox | None, now: float) -> Refusal:
    """A claims challenge; tokens for the mailbox are good only when asked for with these claims."""
    claims = f'{{"access_token":{{"nbf":{{"essential":true,"value":"{int(now)}"}}}}}}'
    if mailbox is not None:
        mailbox.claims = str(int(now))
    return claims_challenge(claims)


def claims_challenge(claims: str) -> Refusal:
    """The 401 that says which claims a new token must be asked for with."""
    encoded = base64.b64encode(claims.encode()).decode()
    challenge = (
        'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
        f'error="insufficient_claims", claims="{encoded}"'
    )
    message = "Continuous access evaluation resulted in challenge."
    return Refusal(401, "InvalidAuthenticationToken", message, headers={"WWW-Authenticate": challenge})
