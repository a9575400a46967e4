"""What Microsoft says when somebody cannot sign in, in words that say what to do. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from rapport_core.errors import ConfigError, RapportError, UnavailableError

Kind = Literal["needs_auth", "needs_admin", "operator", "unavailable"]


class SignInError(RapportError):
    """Microsoft gives no token. Neither `str` nor `repr` holds anything secret, nor what Microsoft wrote about whom.

    Attributes:
        kind: `needs_auth`: the member signs in again; `needs_admin`: an administrator of the Microsoft tenant acts first;
            `operator`: this installation's app registration is at fault, so every account is affected and none is to blame;
            `unavailable`: later.
        code: a short stable name of the cause, such as `consent_revoked`.
        reason: one sentence for people.
        link: what an administrator opens, or empty. Part of `str`.
        after_s: how long Microsoft asks to wait, in seconds, or None.
    """

    def __init__(
        self, kind: Kind, code: str, reason: str, *, link: str = "", after_s: float | None = None
    ) -> None:
        super().__init__(f"{reason}: {link}" if link else reason)
        self.kind: Kind = kind
        self.code = code
        self.reason = reason
        self.link = link
        self.after_s = after_s
        self.exit_code = UnavailableError.exit_code if kind == "unavailable" else ConfigError.exit_code


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that keeps somebody from signing in. `by_link`: an administrator's consent is what helps."""

    kind: Kind
    code: str
    reason: str
    by_link: bool = False


_APPROVE: Final = "send this link to an administrator of your Microsoft 365, then connect again"
_AGAIN: Final = "connect again"

_NO_CONSENT = Cause(
    "needs_admin",
    "consent_missing",
    f"Rapport has no consent to read this mailbox, and your organisation may reserve it to administrators; {_APPROVE}",
    by_link=True,
)
_DECLINED = Cause(
    "needs_auth",
    "declined",
    "consent was declined, so nothing was connected; connect again and choose Accept",
)
_APPROVAL = Cause(
    "needs_admin",
    "admin_approval",
    f"your organisation lets only administrators approve apps that read mail; {_APPROVE}",
    by_link=True,
)
_INTERACTION = Cause(
    "needs_auth",
    "interaction",
    f"Microsoft wants to see you once more, for instance for a second factor; {_AGAIN} and follow its page",
)
_SIGN_IN = Cause("needs_auth", "sign_in", f"Microsoft no longer accepts the earlier sign-in; {_AGAIN}")
_EXPIRED = Cause("needs_auth", "expired", f"the sign-in has expired; {_AGAIN}")
_CONDITION = "ask an administrator to allow Rapport in the conditional access rules of Microsoft Entra, then connect again"
_SESSION = Cause("needs_auth", "password_changed", f"the password was changed or has expired; {_AGAIN}")
_RENEW: Final = (
    "make a new client secret in the app registration and set RAPPORT_MICROSOFT_CLIENT_SECRET to its value"
)
_RESTART: Final = Cause("needs_auth", "restart", "this sign-in was used or given up already; start it again")
_TRANSIENT = Cause(
    "unavailable", "transient", "Microsoft's sign-in is busy at the moment; try again in a minute"
)
_WORK_ACCOUNT = Cause(
    "needs_auth",
    "work_account",
    "this is a personal Microsoft account; connect again with the account of your work or school",
)
_WRONG_TENANT = Cause(
    "needs_auth",
    "wrong_tenant",
    "this account belongs to another organisation, or is a personal one; connect again with your own work account",
)
_REGISTRATION = Cause(
    "operator",
    "registration",
    "the app registration in Microsoft Entra does not fit these settings; compare it with docs/connect/microsoft.md",
)

CAUSES: Final[Mapping[int, Cause]] = {
    65001: _NO_CONSENT,
    65004: _DECLINED,
    90094: _APPROVAL,
    90095: Cause(
        "needs_admin",
        "approval_requested",
        "your request for approval was sent to the administrators; connect again when they have granted it",
    ),
    50173: Cause(
        "needs_auth",
        "consent_revoked",
        f"the sign-in was revoked, for instance because an administrator reset the password or ended all sessions; {_AGAIN}",
    ),
    700082: Cause(
        "needs_auth", "inactive", f"the sign-in has expired because it was not used for long; {_AGAIN}"
    ),
    70008: _EXPIRED,
    70043: Cause(
        "needs_auth",
        "sign_in_frequency",
        f"your organisation asks everybody to sign in again from time to time; {_AGAIN}",
    ),
    70000: _SIGN_IN,
    50132: _SESSION,
    50133: _SESSION,
    50072: Cause(
        "needs_auth",
        "enrol_factor",
        f"your organisation asks you to set up a second factor; {_AGAIN} and follow Microsoft's page",
    ),
    50074: _INTERACTION,
    50076: _INTERACTION,
    50078: _INTERACTION,
    50079: Cause(
        "needs_auth",
        "enrol_factor",
        f"your organisation asks you to set up a second factor; {_AGAIN} and follow Microsoft's page",
    ),
    53000: Cause(
        "needs_admin",
        "device",
        f"your organisation allows sign-in from managed devices only; {_CONDITION}",
    ),
    53001: Cause(
        "needs_admin",
        "device",
        f"your organisation allows sign-in from devices joined to its domain only; {_CONDITION}",
    ),
    53003: Cause(
        "needs_admin", "conditional_access", f"a rule of your organisation blocks this sign-in; {_CONDITION}"
    ),
    530032: Cause(
        "needs_admin",
        "security_policy",
        f"a security policy of your organisation blocks this sign-in; {_CONDITION}",
    ),
    50057: Cause(
        "needs_admin",
        "account_disabled",
        "this account is disabled; an administrator of your Microsoft 365 must enable it, then connect again",
    ),
    50034: Cause(
        "needs_auth",
        "account_unknown",
        "Microsoft does not know this account (any more); connect again with one that exists",
    ),
    50020: _WRONG_TENANT,
    500200: _WORK_ACCOUNT,
    50105: Cause(
        "needs_admin",
        "not_assigned",
        "only people who are assigned to Rapport may use it; ask an administrator to assign you under "
        "Enterprise applications in Microsoft Entra, then connect again",
    ),
    500011: Cause(
        "needs_admin",
        "no_resource",
        f"this organisation has no Microsoft Graph for Rapport to read, or has not admitted it; {_APPROVE}",
        by_link=True,
    ),
    700016: Cause(
        "needs_admin",
        "no_app",
        "this organisation does not know Rapport's app registration; check RAPPORT_MICROSOFT_CLIENT_ID, "
        "and if it is right, send this link to an administrator",
        by_link=True,
    ),
    7000215: Cause(
        "operator",
        "bad_secret",
        f"the client secret of Rapport's app registration is wrong; {_RENEW}",
    ),
    7000222: Cause(
        "operator",
        "expired_secret",
        f"the client secret of Rapport's app registration has expired; {_RENEW}",
    ),
    7000112: Cause(
        "operator",
        "app_disabled",
        "Rapport's app registration is disabled; enable it in Microsoft Entra under Enterprise applications, Properties",
    ),
    7000218: Cause(
        "operator",
        "no_secret",
        "the app registration wants a client secret; set RAPPORT_MICROSOFT_CLIENT_SECRET, "
        "or allow public client flows for sign-in with a code",
    ),
    700025: Cause(
        "operator",
        "public_client",
        "the app registration is a public client, which has no secret; unset RAPPORT_MICROSOFT_CLIENT_SECRET",
    ),
    50011: Cause(
        "operator",
        "redirect",
        "the app registration does not know the address Microsoft should return to; add it as docs/connect/microsoft.md says",
    ),
    50194: Cause(
        "operator",
        "one_organisation",
        "the app registration is of one organisation only; set RAPPORT_MICROSOFT_AUTHORITY to "
        "https://login.microsoftonline.com/ and that organisation's tenant id",
    ),
    54005: _RESTART,
    50196: Cause(
        "operator",
        "loop",
        "Microsoft saw the same sign-in repeated too often and stopped it; wait some minutes and look at the log for why",
    ),
    90033: _TRANSIENT,
    90055: _TRANSIENT,
    90002: Cause(
        "needs_auth",
        "no_tenant",
        "Microsoft knows no organisation of that name; check the domain or id given with --microsoft-tenant",
    ),
}
"""What each AADSTS number means for whoever reads it. Numbers that are not here are told by their `error`."""

ERRORS: Final[Mapping[str, Cause]] = {
    "access_denied": _DECLINED,
    "consent_required": _NO_CONSENT,
    "interaction_required": _INTERACTION,
    "login_required": _SIGN_IN,
    "invalid_grant": _SIGN_IN,
    "expired_token": Cause("needs_auth", "code_expired", "the code was not entered in time; start again"),
    "code_expired": Cause("needs_auth", "code_expired", "the code was not entered in time; start again"),
    "authorization_declined": _DECLINED,
    "bad_verification_code": _RESTART,
    "invalid_client": Cause(
        "operator",
        "bad_client",
        "Microsoft does not accept Rapport's app registration; check RAPPORT_MICROSOFT_CLIENT_ID and its secret",
    ),
    "invalid_request": _REGISTRATION,
    "invalid_scope": _REGISTRATION,
    "unauthorized_client": Cause(
        "operator",
        "unauthorized_client",
        "the app registration may not sign people in this way; compare it with docs/connect/microsoft.md",
    ),
    "unsupported_response_type": _REGISTRATION,
    "unsupported_grant_type": _REGISTRATION,
    "invalid_resource": Cause(
        "needs_admin",
        "no_resource",
        f"this organisation has no Microsoft Graph for Rapport to read, or has not admitted it; {_APPROVE}",
        by_link=True,
    ),
    "invalid_tenant": CAUSES[90002],
    "server_error": Cause(
        "unavailable", "server_error", "Microsoft's sign-in had an error of its own; try again in a minute"
    ),
    "temporarily_unavailable": _TRANSIENT,
}
"""What the values of `error` mean, at the authorize and the token endpoint."""

_UNKNOWN: Final = Cause(
    "needs_auth", "unknown", f"Microsoft refused the sign-in for a reason of its own; {_AGAIN}"
)
_SUBERRORS: Final[Mapping[str, Cause]] = {
    "consent_required": _NO_CONSENT,
    "user_password_expired": _SESSION,
    "bad_token": _SIGN_IN,
    "token_expired": _EXPIRED,
}
_NUMBER = re.compile(r"AADSTS(\d{4,8})\b")


def sign_in_error(
    answer: Mapping[str, object], *, link: str = "", after_s: float | None = None
) -> SignInError:
    """The error of an answer that is one: of the redirect from the authorize endpoint, or of the token endpoint.

    Args:
        answer: `error`, and where there: `error_description`, `error_codes`, `suberror`.
        link: where an administrator consents; used only where that helps.
        after_s: what Retry-After said, in seconds.
    """
    number = _number(answer)
    cause = CAUSES.get(number) or _by_words(answer)
    reason = f"{cause.reason} (AADSTS{number})" if number else cause.reason
    return SignInError(cause.kind, cause.code, reason, link=link if cause.by_link else "", after_s=after_s)


def _number(answer: Mapping[str, object]) -> int:
    """The first number that has a meaning here, else the first, else 0."""
    codes = answer.get("error_codes")
    numbers = [code for code in codes if isinstance(code, int)] if isinstance(codes, list) else []
    numbers += [int(found) for found in _NUMBER.findall(str(answer.get("error_description") or ""))]
    return next((number for number in numbers if number in CAUSES), numbers[0] if numbers else 0)


def _by_words(answer: Mapping[str, object]) -> Cause:
    suberror, error = str(answer.get("suberror") or ""), str(answer.get("error") or "")
    return _SUBERRORS.get(suberror) or ERRORS.get(error) or _UNKNOWN
