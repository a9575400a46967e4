"""login.microsoftonline.com: metadata, the page where somebody agrees, tokens, device codes, admin consent."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlencode

from graph.clock import Clock, instant
from graph.directory import Company, Directory
from graph.identifiers import guid
from graph.mailbox import Mailbox
from graph.wire import Answer, Ask, Json

CLIENT_ID: Final = "5f2c1e0a-7b1d-4a52-9c3e-0d6f8f1a2b3c"
CLIENT_SECRET: Final = "simulated-client-secret"
CODE_SECONDS: Final = 600.0
REFRESH_SECONDS: Final = 90 * 86_400.0
OIDC: Final = frozenset({"openid", "profile", "email", "offline_access"})
_PREFIX: Final = "https://graph.microsoft.com/"
_ALL_LISTED: Final = ".default Mail.Read Calendars.Read User.Read"
"""What the registration lists, which is asked for where nothing is named."""
_ANY_TENANT: Final = frozenset({"organizations", "common"})

AADSTS: Final[Mapping[int, tuple[str, str, str]]] = {
    50020: ("invalid_grant", "", "User account from identity provider does not exist in tenant."),
    50034: ("invalid_grant", "", "The user account does not exist in the directory."),
    50057: ("invalid_grant", "", "The user account is disabled."),
    50072: ("invalid_grant", "basic_action", "You must enroll in multi-factor authentication."),
    50074: ("invalid_grant", "basic_action", "Strong Authentication is required."),
    50076: ("interaction_required", "basic_action", "You must use multi-factor authentication."),
    50078: ("interaction_required", "basic_action", "Presented multi-factor authentication has expired."),
    50079: (
        "interaction_required",
        "basic_action",
        "The user is required to use multi-factor authentication.",
    ),
    50105: ("invalid_grant", "", "The signed in user is not assigned to a role for the application."),
    50132: ("invalid_grant", "", "The session is not valid: the password expired or was changed."),
    50133: ("invalid_grant", "", "The session is not valid due to password expiration or recent change."),
    50173: ("invalid_grant", "bad_token", "The provided grant has expired due to it being revoked."),
    50196: (
        "invalid_grant",
        "",
        "The server terminated an operation because it encountered a client request loop.",
    ),
    53000: ("interaction_required", "message_only", "The device is not in the required device state."),
    53001: (
        "interaction_required",
        "message_only",
        "The device is not in the required device state: domain_joined.",
    ),
    53003: (
        "interaction_required",
        "message_only",
        "Access has been blocked by Conditional Access policies.",
    ),
    54005: ("invalid_grant", "", "The authorization code was already redeemed."),
    65001: (
        "invalid_grant",
        "consent_required",
        "The user or administrator has not consented to use the application.",
    ),
    65004: ("access_denied", "", "The user declined to consent to access the app."),
    70000: ("invalid_grant", "", "The provided value for the input parameter is not valid."),
    70008: (
        "invalid_grant",
        "token_expired",
        "The provided authorization code or refresh token has expired.",
    ),
    70043: ("invalid_grant", "bad_token", "The refresh token has expired due to sign-in frequency checks."),
    90033: ("temporarily_unavailable", "", "A transient error has occurred. Please try again."),
    90055: ("temporarily_unavailable", "", "The server is busy."),
    90094: ("consent_required", "", "An administrator must grant permission to this application."),
    90095: ("consent_required", "", "Admin consent is required; a request was sent to the administrator."),
    500011: ("invalid_resource", "", "The resource principal was not found in the tenant."),
    530032: ("invalid_grant", "message_only", "Blocked by security policy."),
    700016: ("unauthorized_client", "", "The application was not found in the directory."),
    700082: ("invalid_grant", "bad_token", "The refresh token has expired due to inactivity."),
    7000112: ("unauthorized_client", "", "The application is disabled."),
    7000215: ("invalid_client", "", "Invalid client secret provided."),
    7000222: ("invalid_client", "", "The provided client secret keys are expired."),
}
"""Error, suberror and text of the numbers that the connector must know; 900144, 501481 and others are requests gone wrong."""


class SignInRefusal(Exception):  # noqa: N818 - it is an answer
    """An error of the token endpoint."""

    def __init__(self, number: int, error: str = "", suberror: str = "", *, claims: str = "") -> None:
        known = AADSTS.get(number, ("invalid_request", "", "The request is malformed."))
        super().__init__(f"AADSTS{number}: {known[2]}")
        self.number = number
        self.error = error or known[0]
        self.suberror = suberror or known[1]
        self.claims = claims


@dataclass(frozen=True)
class _Session:
    """What a code, a device code or a refresh token stands for."""

    mailbox: Mailbox
    scopes: frozenset[str]
    issued: float
    redirect: str = ""
    challenge: str = ""
    nonce: str = ""


@dataclass
class _Failure:
    matches: Callable[[Mapping[str, str]], bool]
    answer: Callable[[], Answer]
    count: int | None


@dataclass
class Entra:
    """The sign-in host and its control handle. Who signs in at the page is `login_hint`, else `signs_in`."""

    directory: Directory
    clock: Clock
    client_id: str = CLIENT_ID
    client_secret: str = CLIENT_SECRET
    signs_in: str = ""
    declines: set[str] = field(default_factory=set)
    """Scopes to which the person at the page says no."""
    page_error: tuple[str, str] | None = None
    """(error, description) with which the page redirects instead of a code."""
    admin_declines: bool = False
    forged_tenant: str = ""
    """A tenant id that the redirect of the admin consent names although it is another's."""
    calls: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """(path, form without secrets) of every request to the token endpoint."""

    def __post_init__(self) -> None:
        self._rng = random.Random(f"{self.directory.seed} entra")
        self._codes: dict[str, _Session] = {}
        self._used: set[str] = set()
        self._refresh: dict[str, _Session] = {}
        self._devices: dict[str, tuple[_Session | None, str, frozenset[str], float]] = {}
        self._failures: list[_Failure] = []
        self._revoked: dict[str, tuple[float, int]] = {}

    # Control

    def fail(
        self,
        number: int,
        *,
        grant: str = "",
        count: int | None = 1,
        error: str = "",
        suberror: str = "",
        claims: str = "",
    ) -> None:
        """The token endpoint answers an AADSTS number, for one kind of grant or any; `count` None is for good."""
        refusal = SignInRefusal(number, error, suberror, claims=claims)
        self._fail(lambda: self._error(refusal), grant, count)

    def stumble(
        self, status: int = 503, *, retry_after: str | None = "1", grant: str = "", count: int | None = 1
    ) -> None:
        """The token endpoint answers 429 or 5xx."""
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        self._fail(lambda: Answer(status, "Service unavailable", dict(headers)), grant, count)

    def mend(self) -> None:
        """No failure is waiting any more."""
        self._failures.clear()

    def revoke(self, mailbox: Mailbox, number: int = 50173) -> None:
        """Everything the person was given so far ends; refreshing answers `number`."""
        self._revoked[mailbox.id] = (self.clock(), number)
        self._refresh = {
            token: replace(session, issued=-1.0) if session.mailbox is mailbox else session
            for token, session in list(self._refresh.items())
        }
        self.directory.revoke(mailbox)

    def sign_in(self, mailbox: Mailbox, scopes: Iterable[str]) -> str:
        """A refresh token without any page, for tests that begin later."""
        return self._new_refresh(_Session(mailbox, frozenset(scopes), self.clock()))

    def enter_device_code(self, user_code: str, mailbox: Mailbox) -> None:
        """The person types the code on another machine and agrees."""
        for code, (_, shown, scopes, expires) in self._devices.items():
            if shown == user_code:
                self._devices[code] = (_Session(mailbox, scopes, self.clock()), shown, scopes, expires)

    # Requests

    def answers(self, path: str) -> bool:
        """Whether a path is of this host."""
        return bool(re.match(r"/[^/]+/(oauth2/v2\.0/|v2\.0/|discovery/|adminconsent$)", path))

    def handle(self, ask: Ask) -> Answer:  # noqa: PLR0911 - one for each page
        """One request to any of its pages."""
        tenant, _, rest = ask.path.strip("/").partition("/")
        match ask.method, rest:
            case "GET", "v2.0/.well-known/openid-configuration":
                return Answer(200, _metadata(ask.base, tenant))
            case "GET", "discovery/instance":
                endpoint = f"{ask.base}/{tenant}/v2.0/.well-known/openid-configuration"
                return Answer(200, {"tenant_discovery_endpoint": endpoint, "metadata": []})
            case (("GET" | "POST"), "oauth2/v2.0/authorize"):
                return self._authorize(ask)
            case "GET", ("v2.0/adminconsent" | "adminconsent"):
                return self._admin_consent(ask, tenant)
            case "POST", "oauth2/v2.0/devicecode":
                return self._device_code(ask)
            case "POST", "oauth2/v2.0/token":
                return self._token(ask, tenant)
        return Answer(404, "Not found")

    def _authorize(self, ask: Ask) -> Answer:
        query = dict(ask.query)
        redirect = query.get("redirect_uri", "")
        if query.get("client_id") != self.client_id or not redirect:
            return Answer(400, "<html>AADSTS700016: Application was not found in the directory.</html>")
        problem = self._refused(query)
        if problem:
            error, description = problem
            return _redirect(
                redirect, {"error": error, "error_description": description, "state": query.get("state", "")}
            )
        mailbox = self._person(query)
        assert mailbox is not None
        code = f"simulated-code-{self._rng.randbytes(16).hex()}"
        self._codes[code] = _Session(
            mailbox,
            _scopes(query.get("scope", "")),
            self.clock(),
            redirect,
            query.get("code_challenge", ""),
            query.get("nonce", ""),
        )
        return _redirect(redirect, {"code": code, "state": query.get("state", ""), "session_state": "0"})

    def _refused(self, query: Mapping[str, str]) -> tuple[str, str] | None:
        """The error with which the page comes back."""
        if self.page_error:
            return self.page_error
        mailbox = self._person(query)
        if mailbox is None:
            return "access_denied", f"AADSTS50034: {AADSTS[50034][2]}"
        scopes = _scopes(query.get("scope", ""))
        if scopes & self.declines:
            return "access_denied", f"AADSTS65004: {AADSTS[65004][2]}"
        if not self._may_consent(mailbox, scopes):
            return "consent_required", f"AADSTS90094: {AADSTS[90094][2]}"
        return None

    def _may_consent(self, mailbox: Mailbox, scopes: frozenset[str]) -> bool:
        company = self.directory.of_tenant(mailbox.tenant)
        return (
            company is None
            or company.users_may_consent
            or scopes - OIDC <= company.admin_granted | {"User.Read"}
        )

    def _person(self, query: Mapping[str, str]) -> Mailbox | None:
        return self.directory.mailbox_of(query.get("login_hint") or self.signs_in)

    def _admin_consent(self, ask: Ask, tenant: str) -> Answer:
        query = dict(ask.query)
        redirect, state = query.get("redirect_uri", ""), query.get("state", "")
        company = self.directory.of_tenant(tenant) or self._company_of_admin()
        if self.admin_declines or company is None:
            text = f"AADSTS65004: {AADSTS[65004][2]}"
            return _redirect(
                redirect,
                {
                    "error": "consent_required",
                    "error_description": text,
                    "state": state,
                    "admin_consent": "True",
                },
            )
        self._consent(company, query.get("scope", _ALL_LISTED))
        if not redirect:
            return Answer(200, "<html>You have consented.</html>")
        named = self.forged_tenant or company.tenant
        return _redirect(
            redirect,
            {"admin_consent": "True", "tenant": named, "scope": query.get("scope", ""), "state": state},
        )

    def _company_of_admin(self) -> Company | None:
        mailbox = self.directory.mailbox_of(self.signs_in)
        return self.directory.of_tenant(mailbox.tenant) if mailbox else None

    @staticmethod
    def _consent(company: Company, scope: str) -> None:
        scopes = _scopes(scope)
        if ".default" in scopes:
            company.application_scopes |= {
                "Mail.Read",
                "Calendars.Read",
                "MailboxSettings.Read",
                "User.Read.All",
            }
        company.admin_granted |= scopes - {".default"}

    def _device_code(self, ask: Ask) -> Answer:
        code, shown = self._rng.randbytes(16).hex(), self._rng.randbytes(4).hex().upper()
        self._devices[code] = (None, shown, _scopes(ask.form().get("scope", "")), self.clock() + 900)
        page = f"{ask.base}/common/oauth2/deviceauth"
        text = f"To sign in, use a web browser to open the page {page} and enter the code {shown} to authenticate."
        return Answer(
            200,
            {
                "user_code": shown,
                "device_code": code,
                "verification_uri": page,
                "expires_in": 900,
                "interval": 1,
                "message": text,
            },
        )

    def _token(self, ask: Ask, tenant: str) -> Answer:
        form = ask.form()
        self.calls.append(
            (
                ask.path,
                {name: value for name, value in form.items() if name in {"grant_type", "scope", "claims"}},
            )
        )
        failure = next((one for one in self._failures if one.matches(form)), None)
        if failure:
            self._spend(failure)
            return failure.answer()
        try:
            return Answer(200, self._tokens(ask, form, tenant))
        except SignInRefusal as refusal:
            return self._error(refusal)

    def _tokens(self, ask: Ask, form: Mapping[str, str], tenant: str) -> Json:
        if form.get("client_id") != self.client_id:
            raise SignInRefusal(700016)
        match form.get("grant_type"):
            case "client_credentials":
                return self._application(form, tenant)
            case "authorization_code":
                self._check_secret(form)
                return self._signed_in(ask, self._redeemed(form), form)
            case "refresh_token":
                self._check_secret(form)
                return self._signed_in(ask, self._refreshed(form), form)
            case "urn:ietf:params:oauth:grant-type:device_code" | "device_code":
                return self._signed_in(ask, self._entered(form), form)
        raise SignInRefusal(70003, "unsupported_grant_type")

    def _check_secret(self, form: Mapping[str, str]) -> None:
        """Public clients (device codes) send none; a wrong one is refused."""
        if "client_secret" in form and form["client_secret"] != self.client_secret:
            raise SignInRefusal(7000215)

    def _application(self, form: Mapping[str, str], tenant: str) -> Json:
        if form.get("client_secret") != self.client_secret:
            raise SignInRefusal(7000215)
        company = self.directory.of_tenant(tenant)
        if company is None or not company.application_scopes:
            raise SignInRefusal(700016)
        if _scopes(form.get("scope", "")) - OIDC != {".default"}:
            raise SignInRefusal(1002012, "invalid_scope")
        token = self.directory.issue(company.tenant, company.application_scopes, None)
        return {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token}

    def _redeemed(self, form: Mapping[str, str]) -> _Session:
        code = form.get("code", "")
        if code in self._used:
            raise SignInRefusal(54005)
        session = self._codes.pop(code, None)
        if session is None:
            raise SignInRefusal(70000)
        self._used.add(code)
        if self.clock() - session.issued > CODE_SECONDS:
            raise SignInRefusal(70008)
        if form.get("redirect_uri") != session.redirect:
            raise SignInRefusal(50011, "invalid_request")
        if session.challenge and _challenge(form.get("code_verifier", "")) != session.challenge:
            raise SignInRefusal(501481, "invalid_grant")
        return session

    def _refreshed(self, form: Mapping[str, str]) -> _Session:
        session = self._refresh.get(form.get("refresh_token", ""))
        if session is None:
            raise SignInRefusal(70000)
        if session.issued < 0:
            raise SignInRefusal(self._revoked[session.mailbox.id][1])
        if self.clock() - session.issued > REFRESH_SECONDS:
            raise SignInRefusal(700082)
        if session.mailbox.disabled:
            raise SignInRefusal(50057)
        missing = _scopes(form.get("scope", "")) - session.scopes - OIDC - {".default"}
        if missing:
            raise SignInRefusal(65001)
        return session

    def _entered(self, form: Mapping[str, str]) -> _Session:
        known = self._devices.get(form.get("device_code", ""))
        if known is None:
            raise SignInRefusal(70000, "bad_verification_code")
        session, _, _, expires = known
        if self.clock() > expires:
            raise SignInRefusal(70020, "expired_token")
        if session is None:
            raise SignInRefusal(70016, "authorization_pending")
        del self._devices[form["device_code"]]
        return session

    def _signed_in(self, ask: Ask, session: _Session, form: Mapping[str, str]) -> Json:
        mailbox, granted = session.mailbox, session.scopes - OIDC
        claims = form.get("claims", "")
        token = self.directory.issue(mailbox.tenant, granted, mailbox, claims=claims)
        return {
            "token_type": "Bearer",
            "scope": " ".join(sorted(session.scopes - {"offline_access"} | {"openid", "profile", "email"})),
            "expires_in": 3599,
            "ext_expires_in": 3599,
            "access_token": token,
            "refresh_token": self._new_refresh(replace(session, issued=self.clock())),
            "id_token": self._id_token(ask, session),
            "client_info": _base64({"uid": mailbox.id, "utid": mailbox.tenant}),
        }

    def _new_refresh(self, session: _Session) -> str:
        """Another one at each use; the one used stays good."""
        token = f"simulated-refresh-{self._rng.randbytes(24).hex()}"
        self._refresh[token] = session
        return token

    def _id_token(self, ask: Ask, session: _Session) -> str:
        mailbox, now = session.mailbox, int(max(self.clock(), time.time()))
        claims: Json = {
            "aud": self.client_id,
            "iss": f"{ask.base}/{mailbox.tenant}/v2.0",
            "iat": int(min(self.clock(), time.time())) - 60,
            "nbf": int(min(self.clock(), time.time())) - 60,
            "exp": now + 3600,
            "name": mailbox.name,
            "oid": mailbox.id,
            "preferred_username": mailbox.address,
            "email": mailbox.address,
            "sub": hashlib.sha256(mailbox.id.encode()).hexdigest()[:43],
            "tid": mailbox.tenant,
            "ver": "2.0",
        }
        if session.nonce:
            claims["nonce"] = session.nonce
        return ".".join(
            (_base64({"typ": "JWT", "alg": "RS256", "kid": "simulated"}), _base64(claims), "c2lnbmF0dXJl")
        )

    def _error(self, refusal: SignInRefusal) -> Answer:
        trace = guid(self._rng)
        body: Json = {
            "error": refusal.error,
            "error_description": f"{refusal} Trace ID: {trace} Correlation ID: {trace} Timestamp: {instant(self.clock())}",
            "error_codes": [refusal.number],
            "timestamp": instant(self.clock()),
            "trace_id": trace,
            "correlation_id": trace,
            "error_uri": f"https://login.microsoftonline.com/error?code={refusal.number}",
        }
        if refusal.suberror:
            body["suberror"] = refusal.suberror
        if refusal.claims:
            body["claims"] = refusal.claims
        return Answer(401 if refusal.error == "invalid_client" else 400, body)

    def _fail(self, answer: Callable[[], Answer], grant: str, count: int | None) -> None:
        self._failures.append(
            _Failure(lambda form: not grant or form.get("grant_type") == grant, answer, count)
        )

    def _spend(self, failure: _Failure) -> None:
        if failure.count is not None:
            failure.count -= 1
            if failure.count == 0:
                self._failures.remove(failure)


def _metadata(base: str, tenant: str) -> Json:
    host = f"{base}/{tenant}"
    issuer = "{tenantid}" if tenant in _ANY_TENANT else tenant
    return {
        "authorization_endpoint": f"{host}/oauth2/v2.0/authorize",
        "token_endpoint": f"{host}/oauth2/v2.0/token",
        "device_authorization_endpoint": f"{host}/oauth2/v2.0/devicecode",
        "jwks_uri": f"{host}/discovery/v2.0/keys",
        "issuer": f"{base}/{issuer}/v2.0",
        "response_types_supported": ["code"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
    }


def _scopes(text: str) -> frozenset[str]:
    return frozenset(one.removeprefix(_PREFIX) for one in text.split())


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _base64(value: Json) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _redirect(target: str, query: Mapping[str, str]) -> Answer:
    joint = "&" if "?" in target else "?"
    return Answer(302, None, {"Location": f"{target}{joint}{urlencode(query)}"})
