"""Signing in at Microsoft Entra, and tokens for Graph. The only place that knows msal.

Everything here blocks and is safe from several threads. A sign-in under way (`flow`) and what is kept of one (`cache`)
hold secrets: seal them before they are stored, and show neither to anybody.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import urlencode, urlsplit

import httpx2
import msal  # type: ignore[import-untyped]

from rapport_core.errors import ConfigError, InvariantError
from rapport_producers.microsoft_sign_in_errors import SignInError, sign_in_error

BASE_SCOPES: Final = ("Mail.Read", "Calendars.Read", "User.Read")
"""What every connection needs. msal adds openid, profile and offline_access."""
FEATURE_SCOPES: Final[Mapping[str, str]] = {"out_of_office": "MailboxSettings.Read"}
"""Optional features, each asked for in a sign-in of its own, so that it can be declined."""
APPLICATION_SCOPE: Final = "https://graph.microsoft.com/.default"

_SHARED: Final = ("organizations", "common", "consumers")
"""Authorities that are no organisation."""
_PERSONAL_TENANT: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"
_CAPABILITIES: Final = ["CP1"]
"""Says that claims challenges are understood; then tokens live for a day and end at once when somebody ends them."""
_DISCOVERED_FOR_S: Final = 24 * 3600.0

# msal writes answers it cannot read, and addresses, into its log.
logging.getLogger("msal").addHandler(logging.NullHandler())
logging.getLogger("msal").propagate = False
# A form posted from Microsoft's site would come without the session's cookie.
warnings.filterwarnings("ignore", message="response_mode='form_post'", category=UserWarning)


class HttpClient(Protocol):
    """What is needed of `httpx2.Client`."""

    def get(self, url: str, *, params: Any = None, headers: Any = None) -> Any:
        """A response with `status_code`, `headers`, `text`."""
        ...

    def post(self, url: str, *, params: Any = None, headers: Any = None, data: Any = None) -> Any:
        """A response with `status_code`, `headers`, `text`."""
        ...


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody signed in.

    Attributes:
        cache: what tokens are made from, for `MicrosoftSignIn.token`. Secret.
        account: the account's id within its Microsoft tenant; never given to anybody else.
        username: how the account signs in, mostly an address.
        scopes: what was granted, such as `Mail.Read`.
        microsoft_tenant: the id of the account's organisation.
    """

    cache: str = field(repr=False)
    account: str
    username: str
    scopes: tuple[str, ...]
    microsoft_tenant: str


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. `cache_changed` is the new cache, to be stored before the token is used, or None."""

    value: str = field(repr=False)
    expires_at: float
    """Seconds since 1970."""
    cache_changed: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What a person types at another machine, and where."""

    code: str
    address: str
    flow: dict[str, Any] = field(repr=False)


class MicrosoftSignIn:
    """One app registration. Every call may raise SignInError."""

    def __init__(
        self,
        client_id: str,
        client_secret: str | None,
        authority: str,
        http_client: HttpClient | None = None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Asks nobody anything yet.

        Args:
            client_id: the registration's application id.
            client_secret: its secret; None for a public client, which can have no application permissions.
            authority: https://HOST/TENANT, the tenant being `organizations` where accounts of any may sign in.
            http_client: an `httpx2.Client` with the certificates to trust; a plain one when None.
            now: seconds since 1970.
        """
        self._client_id = client_id
        self._secret = client_secret
        self._authority = authority.rstrip("/")
        self._http: HttpClient = httpx2.Client(timeout=30) if http_client is None else http_client
        self._now = now
        self._discovered = _Discovered(now)
        self._applications: dict[str, msal.TokenCache] = {}

    def __repr__(self) -> str:
        return f"MicrosoftSignIn({self._client_id!r})"

    @property
    def organisation(self) -> str:
        """The one whose accounts alone may sign in: its id or a domain. Empty where accounts of any may."""
        named = urlsplit(self._authority).path.strip("/").partition("/")[0]
        return "" if named.lower() in _SHARED else named

    def begin(
        self, redirect_uri: str, features: Iterable[str] = (), login_hint: str | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Where to send the browser, and the flow that `finish` needs, with its `state`. By authorisation code and PKCE.

        Args:
            redirect_uri: as the registration has it.
            features: names of FEATURE_SCOPES to ask for besides BASE_SCOPES.
            login_hint: the account that is expected; without one Microsoft lets people choose.
        """
        flow = self._app(self._wire()).initiate_auth_code_flow(
            _scopes(features),
            redirect_uri=redirect_uri,
            state=secrets.token_urlsafe(32),
            login_hint=login_hint,
            prompt=None if login_hint else "select_account",
        )
        return str(flow["auth_uri"]), flow

    def finish(self, flow: Mapping[str, Any], query: Mapping[str, str]) -> SignedIn:
        """Redeems what the browser brought back. A flow serves once.

        Args:
            flow: of `begin`.
            query: the parameters of the redirect: `code` and `state`, or `error`.
        """
        link = self.admin_consent_url(str(flow["redirect_uri"]), str(flow["state"]))
        tokens, wire = msal.SerializableTokenCache(), self._wire()
        try:
            answer = self._app(wire, tokens).acquire_token_by_auth_code_flow(dict(flow), dict(query))
        except (ValueError, RuntimeError):
            # msal's message repeats states and nonces; `from None` keeps them out of logs.
            raise _restart() from None
        return self._signed_in(answer, tokens, wire, link, public=False)

    def begin_device(self, features: Iterable[str] = ()) -> DeviceCode:
        """A code to type on another machine. The registration must allow public client flows."""
        wire = self._wire()
        flow = self._app(wire, public=True).initiate_device_flow(_scopes(features))
        if "user_code" not in flow:
            raise sign_in_error(flow, link=self.admin_consent_url(), after_s=wire.after_s)
        return DeviceCode(str(flow["user_code"]), str(flow["verification_uri"]), flow)

    def finish_device(self, device: DeviceCode) -> SignedIn:
        """Waits until the code was typed, minutes at most."""
        tokens, wire = msal.SerializableTokenCache(), self._wire()
        answer = self._app(wire, tokens, public=True).acquire_token_by_device_flow(device.flow)
        return self._signed_in(answer, tokens, wire, self.admin_consent_url(), public=True)

    def token(
        self,
        cache: str,
        scopes: Sequence[str] = BASE_SCOPES,
        claims: str | None = None,
        *,
        refused: str | None = None,
    ) -> Token:
        """A token for somebody who signed in: the one of the cache while it is young, else a new one.

        Args:
            cache: of `SignedIn`, or the newest `cache_changed`.
            scopes: what it must allow.
            claims: of a claims challenge; the token is new then.
            refused: a token that Graph refused; another one is given.
        """
        kept = _Kept.read(cache)
        tokens, wire = msal.SerializableTokenCache(), self._wire()
        tokens.deserialize(kept.tokens)
        app = self._app(wire, tokens, public=kept.public)
        account = next(iter(app.get_accounts()), None)
        answer = app.acquire_token_silent_with_error(list(scopes), account, claims_challenge=claims)
        if answer and refused and answer.get("access_token") == refused:
            answer = app.acquire_token_silent_with_error(list(scopes), account, force_refresh=True)
        if not answer or "access_token" not in answer:
            raise sign_in_error(
                answer or {"error": "invalid_grant"}, link=self._link_for(account), after_s=wire.after_s
            )
        changed = _Kept(tokens.serialize(), public=kept.public).write() if tokens.has_state_changed else None
        return self._token(answer, changed)

    def application_token(
        self, microsoft_tenant: str, claims: str | None = None, *, refused: str | None = None
    ) -> Token:
        """A token of the application itself for a whole Microsoft tenant, after an administrator's consent.

        Args:
            microsoft_tenant: the tenant's id or one of its domains.
            claims: of a claims challenge.
            refused: a token that Graph refused; another one is given.

        Raises:
            ConfigError: there is no client secret.
        """
        if self._secret is None:
            raise ConfigError(
                "application permissions need a client secret: set RAPPORT_MICROSOFT_CLIENT_SECRET"
            )
        answer, wire = self._ask_as_application(microsoft_tenant, claims)
        if refused and answer.get("access_token") == refused:
            self._applications.pop(microsoft_tenant, None)
            answer, wire = self._ask_as_application(microsoft_tenant, claims)
        if "access_token" not in answer:
            link = self.admin_consent_url(microsoft_tenant=microsoft_tenant, application=True)
            raise sign_in_error(answer, link=link, after_s=wire.after_s)
        return self._token(answer, None)

    def check(self) -> bool:
        """Looks whether the registration is in order, as far as that can be seen while nobody signs in.

        Returns whether the client secret was tried: that takes an authority of one organisation.

        Raises:
            ConfigError: the authority is none.
            SignInError: of kind `operator` or `unavailable`.
        """
        if self._secret is None or not self.organisation:
            self._app(self._wire())
            return False
        try:
            self.application_token(self.organisation)
        except SignInError as error:
            if error.kind in ("operator", "unavailable"):
                raise
        return True

    def admin_consent_url(
        self,
        redirect_uri: str = "",
        state: str = "",
        *,
        microsoft_tenant: str = "",
        application: bool = False,
        features: Iterable[str] = (),
    ) -> str:
        """What an administrator opens to consent for the whole tenant.

        Without `redirect_uri` Microsoft asks for what the registration lists and returns to its first address; without
        `microsoft_tenant` it is whoever may sign in here.
        """
        host = f"https://{urlsplit(self._authority).netloc}"
        place = f"{host}/{microsoft_tenant}" if microsoft_tenant else self._authority
        if not redirect_uri:
            return f"{place}/adminconsent?{urlencode({'client_id': self._client_id})}"
        wanted = (
            [APPLICATION_SCOPE]
            if application
            else [f"https://graph.microsoft.com/{one}" for one in _scopes(features)]
        )
        query = {
            "client_id": self._client_id,
            "scope": " ".join(wanted),
            "redirect_uri": redirect_uri,
            "state": state,
        }
        return f"{place}/v2.0/adminconsent?{urlencode(query)}"

    def _ask_as_application(
        self, microsoft_tenant: str, claims: str | None
    ) -> tuple[Mapping[str, Any], _Wire]:
        wire = self._wire()
        tokens = self._applications.setdefault(microsoft_tenant, msal.TokenCache())
        app = self._app(wire, tokens, microsoft_tenant=microsoft_tenant)
        return app.acquire_token_for_client([APPLICATION_SCOPE], claims_challenge=claims), wire

    def _wire(self) -> _Wire:
        return _Wire(self._http, self._discovered)

    def _app(
        self,
        wire: _Wire,
        tokens: msal.TokenCache | None = None,
        *,
        public: bool = False,
        microsoft_tenant: str = "",
    ) -> Any:
        """A new msal application each time: one object remembers errors for a minute, and tokens of everybody."""
        authority = self._authority
        if microsoft_tenant:
            authority = f"https://{urlsplit(authority).netloc}/{microsoft_tenant}"
        options = {
            "authority": authority,
            "token_cache": tokens,
            "http_client": wire,
            "instance_discovery": False,
            "client_capabilities": _CAPABILITIES,
        }
        try:
            if self._secret is None or public:
                return msal.PublicClientApplication(self._client_id, **options)
            return msal.ConfidentialClientApplication(
                self._client_id, client_credential=self._secret, **options
            )
        except (ValueError, KeyError) as error:  # the second where the metadata is another host's
            raise ConfigError(
                "RAPPORT_MICROSOFT_AUTHORITY does not answer like Microsoft's sign-in: it is "
                "https://login.microsoftonline.com/organizations, or that host with the id of your Microsoft tenant"
            ) from error

    def _signed_in(
        self,
        answer: Mapping[str, Any],
        tokens: msal.SerializableTokenCache,
        wire: _Wire,
        link: str,
        *,
        public: bool,
    ) -> SignedIn:
        if "access_token" not in answer:
            raise sign_in_error(answer, link=link, after_s=wire.after_s)
        claims = answer.get("id_token_claims") or {}
        if claims.get("tid") == _PERSONAL_TENANT:
            raise sign_in_error({"error_codes": [500200]})
        granted = tuple(_short(scope) for scope in str(answer.get("scope") or "").split())
        if not {scope.lower() for scope in BASE_SCOPES} <= {scope.lower() for scope in granted}:
            raise sign_in_error({"error": "consent_required"}, link=link)
        return SignedIn(
            cache=_Kept(tokens.serialize(), public=public).write(),
            account=str(claims.get("oid") or ""),
            username=str(claims.get("preferred_username") or ""),
            scopes=granted,
            microsoft_tenant=str(claims.get("tid") or ""),
        )

    def _token(self, answer: Mapping[str, Any], changed: str | None) -> Token:
        return Token(str(answer["access_token"]), self._now() + float(answer["expires_in"]), changed)

    def _link_for(self, account: Mapping[str, Any] | None) -> str:
        _, _, tenant = str((account or {}).get("home_account_id") or "").partition(".")
        return self.admin_consent_url(microsoft_tenant=tenant)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is kept of a sign-in. A public client's refresh token is refused when a secret comes with it."""

    tokens: str = field(repr=False)
    public: bool

    def write(self) -> str:
        return json.dumps({"public": self.public, "tokens": self.tokens})

    @classmethod
    def read(cls, text: str) -> _Kept:
        try:
            found = json.loads(text)
            return cls(str(found["tokens"]), bool(found["public"]))
        except (ValueError, KeyError, TypeError):
            raise InvariantError("what was kept of a sign-in at Microsoft is damaged") from None


class _Discovered:
    """What hosts say of their endpoints, for a day; one app object after the other asks for it."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._answers: dict[str, tuple[Any, float]] = {}

    def find(self, url: str) -> Any:
        with self._lock:
            answer, until = self._answers.get(url, (None, 0.0))
        return answer if until > self._now() else None

    def keep(self, url: str, answer: Any) -> None:
        with self._lock:
            self._answers[url] = (answer, self._now() + _DISCOVERED_FOR_S)


class _Wire:
    """The HTTP client as msal wants it, for one call. Whatever is no answer of the protocol is an error here, unlogged."""

    def __init__(self, http: HttpClient, discovered: _Discovered) -> None:
        self._http, self._discovered = http, discovered
        self.after_s: float | None = None

    def get(self, url: str, **options: Any) -> Any:
        """The answer, or one of the last day."""
        known = self._discovered.find(url)
        if known is not None:
            return known
        answer = self._checked(lambda: self._http.get(url, **options))
        if answer.status_code != 200:
            raise sign_in_error({"error": "invalid_tenant"})
        self._discovered.keep(url, answer)
        return answer

    def post(self, url: str, **options: Any) -> Any:
        """The answer, which is JSON."""
        return self._checked(lambda: self._http.post(url, **options))

    def close(self) -> None:
        """The client is not ours."""

    def _checked(self, ask: Callable[[], Any]) -> Any:
        try:
            answer = ask()
        except httpx2.HTTPError:
            raise SignInError(
                "unavailable",
                "unreachable",
                "Microsoft's sign-in cannot be reached; check the network of this machine and try again",
            ) from None
        self.after_s = _seconds(answer.headers.get("retry-after"))
        if answer.status_code == 429 or answer.status_code >= 500 or not _is_object(answer.text):
            raise sign_in_error({"error": "temporarily_unavailable"}, after_s=self.after_s)
        return answer


def _scopes(features: Iterable[str]) -> list[str]:
    wanted = list(features)
    if unknown := [name for name in wanted if name not in FEATURE_SCOPES]:
        raise ConfigError(f"there is no feature {unknown[0]}: choose of {', '.join(FEATURE_SCOPES)}")
    return [*BASE_SCOPES, "email", *(FEATURE_SCOPES[name] for name in wanted)]


def _short(scope: str) -> str:
    return scope.rpartition("/")[2]


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:
        return None


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _restart() -> SignInError:
    return sign_in_error({"error": "bad_verification_code"})
