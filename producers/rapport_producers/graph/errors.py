"""What an answer of Graph that is no success means for whoever asked, cut by what has to happen next.

Only the status and the codes decide, never the text. Codes may stand in any `innerError`, in any case.
"""
# ruff: noqa: N818 - the names say what has to happen; all of them are errors

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any, NamedTuple

from rapport_core.errors import RapportError

_RESYNC = frozenset({"syncstatenotfound", "syncstateinvalid", "resyncrequired"})
_NO_MAILBOX = frozenset(
    {
        "mailboxnotenabledforrestapi",
        "mailboxnotsupportedforrestapi",
        "errornonexistentmailbox",
        "errormissingemailaddress",
    }
)
_MOVING = "errormailboxmoveinprogress"
_NOBODY = frozenset({"resourcenotfound", "request_resourcenotfound"})
"""What a mailbox without a licence answers in turn with the codes above, and what a user who is not there answers; elsewhere
just a thing that is not there."""

_QUOTA = frozenset({"errorquotaexceeded", "quotalimitreached"})
_BUSY = frozenset({"errormailboxstoreunavailable", "errorserverbusy"})
_THROTTLED = frozenset({429, 509})
_PASSING = frozenset({408, 423, 424, 425})
_UNSAID = frozenset({401, 403, 404, 407})
"""Graph always names a code with these. Without one it is some proxy on the way: no reason to sign anybody out, to trouble an
administrator, or to believe that a mail is gone."""

_MOST_INNER = 10
_LONGEST_WAIT_S = 3600.0
"""A longer Retry-After is a mistake: to ask once an hour does no harm."""

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What may be a code, or the id of a request: they go to logs, and a proxy may put anything there."""

_BEARER = re.compile(r"\bbearer\b", re.IGNORECASE)
_CLAIMS = re.compile(r'\bclaims="([^"]+)"', re.IGNORECASE)

_SIGN_IN = "Microsoft no longer accepts the sign-in of this account: connect it again."
_ADMIN = (
    "Microsoft does not let Rapport read this mailbox: an administrator must allow it, by consent for the application "
    "or in the policy that limits it to certain mailboxes."
)
_MAILBOX = (
    "Microsoft says that this account has no mailbox that can be read (no licence, deleted, or not in Exchange Online): "
    "an administrator must give it one. Rapport looks again by itself."
)
_MOVE = "Microsoft is moving this mailbox; that takes hours, and Rapport goes on by itself after it."
_LATER = "Microsoft Graph could not answer just now; Rapport asks again by itself."
_SLOWER = "Microsoft Graph asks for fewer requests for this mailbox; Rapport waits and goes on by itself."
_ANEW = "Microsoft Graph has forgotten where reading stopped: the whole list has to be read again."
_GONE = "What was asked for is no longer there."
_REFUSED = "Microsoft Graph refused a request: please report this with the code in the log."


class GraphError(RapportError):
    """Root. `str(error)` is one sentence for people, without anything of the answer in it.

    Attributes:
        reason: that sentence.
        status: of the answer; 0 where there was none.
        code: the outermost error code as Graph wrote it, or empty; for logs.
        request: Graph's id of the request, which its support asks for, or empty; for logs.
    """

    def __init__(self, reason: str, *, status: int = 0, code: str = "") -> None:
        super().__init__(reason)
        self.reason, self.status, self.code = reason, status, code
        self.request = ""


class Throttled(GraphError):
    """Too many requests for this mailbox. `after_s`: seconds to wait, at most an hour; None where Graph did not say."""

    exit_code = 69

    def __init__(self, after_s: float | None = None, *, status: int = 429, code: str = "") -> None:
        super().__init__(_SLOWER, status=status, code=code)
        self.after_s = after_s


class Transient(GraphError):
    """It may work the next time: no connection, an answer that broke off, a fault of the service or of what is on the way."""

    exit_code = 69

    def __init__(self, after_s: float | None = None, *, status: int = 0, code: str = "") -> None:
        super().__init__(_LATER, status=status, code=code)
        self.after_s = after_s


class SignInNeeded(GraphError):
    """The token is refused; a new one may be accepted. After that the member must sign in.

    Attributes:
        claims: what a new token must fulfil, as JSON, where Graph demands that; else None.
    """

    def __init__(
        self, reason: str = _SIGN_IN, claims: str | None = None, *, status: int = 401, code: str = ""
    ) -> None:
        super().__init__(reason, status=status, code=code)
        self.claims = claims


class AdminNeeded(GraphError):
    """Not allowed, until an administrator acts."""

    def __init__(self, reason: str = _ADMIN, *, status: int = 403, code: str = "") -> None:
        super().__init__(reason, status=status, code=code)


class MailboxUnavailable(GraphError):
    """There is no mailbox to read at present.

    Attributes:
        slow: only a person brings it back (a licence), so that looking a few times a day is enough; else it comes back by
            itself within hours.
    """

    def __init__(
        self, reason: str = _MAILBOX, *, slow: bool = True, status: int = 404, code: str = ""
    ) -> None:
        super().__init__(reason, status=status, code=code)
        self.slow = slow


class Resync(GraphError):
    """The round of changes cannot go on: list anew. `location` is where Graph wants that to begin, or None."""

    def __init__(self, location: str | None = None, *, status: int = 410, code: str = "") -> None:
        super().__init__(_ANEW, status=status, code=code)
        self.location = location


class NotFound(GraphError):
    """It is not there, or no longer."""

    def __init__(self, *, status: int = 404, code: str = "") -> None:
        super().__init__(_GONE, status=status, code=code)


class Rejected(GraphError):
    """The request itself is refused; asking again changes nothing. Quotas are refusals too: look at `code`."""

    def __init__(self, reason: str = _REFUSED, *, status: int = 400, code: str = "") -> None:
        super().__init__(reason, status=status, code=code)


def classify(
    status: int, headers: Mapping[str, str], body: Any, now: datetime, *, in_mailbox: bool = True
) -> GraphError:
    """The error that an answer is. Pure.

    Args:
        status: anything but a success.
        headers: in any case; of the answer or of one part of a batch.
        body: the decoded JSON, or anything else where there was none.
        now: for a Retry-After that is a date.
        in_mailbox: whether something in a mailbox was asked for.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    codes = list(_codes(body))
    said = _Said(status, next(iter(codes), ""), frozenset(map(str.lower, codes)), _retry_after(lowered, now))
    error = (
        _of_the_way(said, lowered)
        or _of_round(said, lowered)
        or _of_sign_in(said, lowered)
        or _of_service(said)
        or _of_mailbox(said, in_mailbox=in_mailbox)
        or _of_request(said)
    )
    asked = lowered.get("request-id", "")
    error.request = asked if _CODE.fullmatch(asked) else ""
    return error


class _Said(NamedTuple):
    """What decides: the status, the outermost code as written, all codes in lower case, seconds to wait."""

    status: int
    code: str
    codes: frozenset[str]
    after_s: float | None


def _of_the_way(said: _Said, headers: Mapping[str, str]) -> GraphError | None:
    """What Graph itself does not say: it sends nobody elsewhere, and names what it refuses."""
    is_challenge = said.status == 401 and _BEARER.search(headers.get("www-authenticate", "")) is not None
    if said.status < 400 or (said.status in _UNSAID and not said.codes and not is_challenge):
        return Transient(said.after_s, status=said.status)
    return None


def _of_round(said: _Said, headers: Mapping[str, str]) -> GraphError | None:
    """What ends a round of changes."""
    if said.status == 410 or (said.status < 500 and said.codes & _RESYNC):
        return Resync(headers.get("location"), status=said.status, code=said.code)
    return None


def _of_sign_in(said: _Said, headers: Mapping[str, str]) -> GraphError | None:
    """What another token may put right."""
    if said.status == 401 and not said.codes & (_NO_MAILBOX | {_MOVING}):
        return SignInNeeded(claims=_claims(headers), code=said.code)
    return None


def _of_service(said: _Said) -> GraphError | None:
    """What has nothing to do with what was asked."""
    status, code, codes, after_s = said
    if status in _THROTTLED:
        return Throttled(after_s, status=status, code=code)
    passing = status >= 500 or status in _PASSING or bool(codes & _BUSY)
    if passing and not codes & (_QUOTA | _NO_MAILBOX | {_MOVING}):
        return Transient(after_s, status=status, code=code)
    return None


def _of_mailbox(said: _Said, *, in_mailbox: bool) -> GraphError | None:
    """What is true of the mailbox as a whole."""
    if _MOVING in said.codes:
        return MailboxUnavailable(_MOVE, slow=False, status=said.status, code=said.code)
    if said.codes & _NO_MAILBOX or (in_mailbox and said.status == 404 and said.codes & _NOBODY):
        return MailboxUnavailable(status=said.status, code=said.code)
    return None


def _of_request(said: _Said) -> GraphError:
    """What is true of the thing that was asked for."""
    if said.status == 403 and not said.codes & _QUOTA:
        return AdminNeeded(code=said.code)
    if said.status == 404:
        return NotFound(code=said.code)
    return Rejected(status=said.status, code=said.code)


def _codes(body: Any) -> Iterator[str]:
    """The codes of an error body, outermost first."""
    inner = body.get("error") if isinstance(body, dict) else None
    for _ in range(_MOST_INNER):
        if not isinstance(inner, dict):
            return
        code = inner.get("code")
        if isinstance(code, str) and _CODE.fullmatch(code):
            yield code
        inner = next((value for name, value in inner.items() if name.lower() == "innererror"), None)


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds, whichever way they are written: a whole number, a fraction, a date. None where nothing readable is.

    A time that has passed says nothing either: clocks differ, and to ask at once would count against the mailbox.
    """
    written = headers.get("retry-after", "").strip()
    try:
        seconds = float(written)
    except ValueError:
        seconds = _until(written, now)
    return min(seconds, _LONGEST_WAIT_S) if isfinite(seconds) and seconds > 0 else None


def _until(written: str, now: datetime) -> float:
    """Seconds until a date; not a number where it is none."""
    try:
        at = parsedate_to_datetime(written)
    except (ValueError, TypeError, OverflowError):
        return float("nan")
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()


def _claims(headers: Mapping[str, str]) -> str | None:
    """The claims of a challenge, as the JSON that the next token must be asked with."""
    found = _CLAIMS.search(headers.get("www-authenticate", ""))
    if found is None:
        return None
    encoded = found[1].replace("-", "+").replace("_", "/")
    try:
        plain = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode()
        return plain if isinstance(json.loads(plain), dict) else None
    except (binascii.Error, ValueError):
        return None
