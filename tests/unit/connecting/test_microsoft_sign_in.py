"""Signing in at Microsoft through msal, against the simulated sign-in host."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from graph import Mailbox, Simulator
from graph.directory import PERSONAL_TENANT
from graph.entra import AADSTS, CLIENT_ID, CLIENT_SECRET
from rapport_core.errors import ConfigError, InvariantError
from rapport_producers.microsoft_sign_in import MicrosoftSignIn, SignedIn
from rapport_producers.microsoft_sign_in_errors import CAUSES, ERRORS, SignInError, sign_in_error
from simulated_sign_in import HOST, REDIRECT, SimulatedHttp, browse, sign_in_at


@pytest.fixture
def simulator() -> Simulator:
    simulator = Simulator(seed=7)
    simulator.entra.signs_in = "anna@acme.example"
    return simulator


@pytest.fixture
def anna(simulator: Simulator) -> Mailbox:
    return simulator.mailbox("anna@acme.example")


@pytest.fixture
def sign_in(simulator: Simulator) -> MicrosoftSignIn:
    return sign_in_at(simulator)


def signed_in(simulator: Simulator, sign_in: MicrosoftSignIn, *features: str) -> SignedIn:
    url, flow = sign_in.begin(REDIRECT, features)
    return sign_in.finish(flow, browse(simulator, url))


def refused(work: Callable[[], object]) -> SignInError:
    with pytest.raises(SignInError) as caught:
        work()
    return caught.value


def test_the_page_is_asked_for_least_scopes_with_pkce(sign_in: MicrosoftSignIn) -> None:
    url, flow = sign_in.begin(REDIRECT)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert set(asked["scope"].split()) == {
        *("Mail.Read", "Calendars.Read", "User.Read"),
        *("offline_access", "openid", "profile", "email"),
    }
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == REDIRECT
    assert asked["prompt"] == "select_account"
    assert len(flow["state"]) >= 32
    assert flow["code_verifier"] not in url


def test_an_optional_feature_asks_for_its_scope_and_only_then(sign_in: MicrosoftSignIn) -> None:
    url, _ = sign_in.begin(REDIRECT, ["out_of_office"])
    assert "MailboxSettings.Read" in url
    with pytest.raises(ConfigError, match="no feature send_mail: choose of out_of_office"):
        sign_in.begin(REDIRECT, ["send_mail"])


def test_who_signed_in_is_told(simulator: Simulator, anna: Mailbox, sign_in: MicrosoftSignIn) -> None:
    found = signed_in(simulator, sign_in)
    assert (found.account, found.username, found.microsoft_tenant) == (anna.id, anna.address, anna.tenant)
    assert {"Mail.Read", "Calendars.Read", "User.Read"} <= set(found.scopes)


@pytest.mark.usefixtures("anna")
def test_a_sign_in_serves_once(simulator: Simulator, sign_in: MicrosoftSignIn) -> None:
    url, flow = sign_in.begin(REDIRECT)
    query = browse(simulator, url)
    sign_in.finish(flow, query)
    assert refused(lambda: sign_in.finish(flow, query)).code == "restart"


@pytest.mark.parametrize("query", [{}, {"code": "x"}, {"code": "x", "state": "another"}])
def test_what_belongs_to_no_sign_in_is_refused(sign_in: MicrosoftSignIn, query: dict[str, str]) -> None:
    """And nothing of it is repeated."""
    _, flow = sign_in.begin(REDIRECT)
    error = refused(lambda: sign_in.finish(flow, query))
    assert error.code == "restart"
    assert flow["state"] not in repr(error)


@pytest.mark.usefixtures("anna")
def test_a_page_that_says_no_is_told_with_the_link_that_helps(
    simulator: Simulator, sign_in: MicrosoftSignIn
) -> None:
    simulator.company("acme").users_may_consent = False
    error = refused(lambda: signed_in(simulator, sign_in))
    assert (error.kind, error.code) == ("needs_admin", "admin_approval")
    link = urlsplit(error.link)
    assert link.path == "/organizations/v2.0/adminconsent"
    asked = parse_qs(link.query)
    assert asked["client_id"] == [CLIENT_ID]
    assert asked["redirect_uri"] == [REDIRECT]
    assert "https://graph.microsoft.com/Mail.Read" in asked["scope"][0]


@pytest.mark.parametrize(
    "error",
    [
        *("access_denied", "consent_required", "interaction_required", "login_required"),
        *("invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_resource"),
        *("server_error", "temporarily_unavailable"),
    ],
)
@pytest.mark.usefixtures("anna")
def test_every_error_that_the_page_comes_back_with_is_told(
    simulator: Simulator, sign_in: MicrosoftSignIn, error: str
) -> None:
    """In words of its own, without Microsoft's, and the next sign-in is not the worse for it."""
    simulator.entra.page_error = (error, "Anna may not do this. Trace ID: 1")
    told = refused(lambda: signed_in(simulator, sign_in))
    assert (told.kind, told.code) == (ERRORS[error].kind, ERRORS[error].code)
    assert "Trace" not in str(told)
    simulator.entra.page_error = None
    assert signed_in(simulator, sign_in).account


def test_what_an_administrator_opens_lets_the_member_in(
    simulator: Simulator, anna: Mailbox, sign_in: MicrosoftSignIn
) -> None:
    simulator.company("acme").users_may_consent = False
    error = refused(lambda: signed_in(simulator, sign_in))
    assert browse(simulator, error.link)["admin_consent"] == "True"
    assert signed_in(simulator, sign_in).account == anna.id


def test_a_personal_account_is_told_so(simulator: Simulator, sign_in: MicrosoftSignIn) -> None:
    simulator.company("acme").tenant = PERSONAL_TENANT
    simulator.mailbox("anna@acme.example")
    assert refused(lambda: signed_in(simulator, sign_in)).code == "work_account"


@pytest.mark.usefixtures("anna")
def test_a_young_token_is_taken_from_the_cache(simulator: Simulator, sign_in: MicrosoftSignIn) -> None:
    found = signed_in(simulator, sign_in)
    asked = len(simulator.entra.calls)
    token = sign_in.token(found.cache)
    assert len(simulator.entra.calls) == asked
    assert token.cache_changed is None


@pytest.mark.usefixtures("anna")
def test_a_new_token_brings_a_new_refresh_token(simulator: Simulator, sign_in: MicrosoftSignIn) -> None:
    """Again and again, each from what the one before left."""
    cache = signed_in(simulator, sign_in).cache
    values: list[str] = []
    for _ in range(3):
        token = sign_in.token(cache, refused=values[-1] if values else sign_in.token(cache).value)
        assert token.cache_changed is not None
        cache = token.cache_changed
        values.append(token.value)
    assert len(set(values)) == 3


@pytest.mark.usefixtures("anna")
def test_a_challenge_is_answered_with_a_new_token(simulator: Simulator, sign_in: MicrosoftSignIn) -> None:
    cache = signed_in(simulator, sign_in).cache
    sign_in.token(cache, claims='{"access_token":{"nbf":{"essential":true,"value":"1"}}}')
    assert '"nbf"' in simulator.entra.calls[-1][1]["claims"]
    assert "CP1" in simulator.entra.calls[-1][1]["claims"].upper()


@pytest.mark.parametrize("number", sorted(AADSTS.keys() & CAUSES.keys()))
@pytest.mark.usefixtures("anna")
def test_every_refusal_of_a_refresh_is_told(
    simulator: Simulator, sign_in: MicrosoftSignIn, number: int
) -> None:
    """As the table has it, whatever `error` it comes with; the moment it is over, a token comes."""
    cache = signed_in(simulator, sign_in).cache
    before = sign_in.token(cache).value
    simulator.entra.fail(number, grant="refresh_token")
    error = refused(lambda: sign_in.token(cache, refused=before))
    assert (error.kind, error.code) == (CAUSES[number].kind, CAUSES[number].code)
    assert sign_in.token(cache, refused=before).value != before


@pytest.mark.parametrize(
    ("status", "retry_after", "after_s"),
    [(503, "7", 7.0), (429, "0.5", 0.5), (503, None, None), (500, "Tue, 24 Nov 2026 05:00:00 GMT", None)],
)
@pytest.mark.usefixtures("anna")
def test_a_busy_host_is_told_with_its_patience(
    simulator: Simulator,
    sign_in: MicrosoftSignIn,
    status: int,
    retry_after: str | None,
    after_s: float | None,
) -> None:
    cache = signed_in(simulator, sign_in).cache
    before = sign_in.token(cache).value
    simulator.entra.stumble(status, retry_after=retry_after)
    error = refused(lambda: sign_in.token(cache, refused=before))
    assert (error.kind, error.after_s) == ("unavailable", after_s)
    assert sign_in.token(cache, refused=before).value != before


def test_a_revoked_sign_in_is_told(simulator: Simulator, anna: Mailbox, sign_in: MicrosoftSignIn) -> None:
    cache = signed_in(simulator, sign_in).cache
    before = sign_in.token(cache).value
    simulator.entra.revoke(anna)
    error = refused(lambda: sign_in.token(cache, refused=before))
    assert (error.kind, error.code) == ("needs_auth", "consent_revoked")


def test_a_device_code_signs_in_without_the_secret(
    simulator: Simulator, anna: Mailbox, sign_in: MicrosoftSignIn
) -> None:
    """And so do its later tokens: Microsoft refuses a public client that sends one."""
    device = sign_in.begin_device()
    assert device.address.startswith(HOST)
    simulator.entra.enter_device_code(device.code, anna)
    simulator.entra.client_secret = "changed meanwhile"
    found = sign_in.finish_device(device)
    assert found.account == anna.id
    before = sign_in.token(found.cache).value
    assert sign_in.token(found.cache, refused=before).value != before


def test_a_token_for_a_whole_tenant(simulator: Simulator, anna: Mailbox, sign_in: MicrosoftSignIn) -> None:
    simulator.company("acme").application_scopes = {"Mail.Read", "Calendars.Read"}
    first = sign_in.application_token(anna.tenant)
    assert sign_in.application_token(anna.tenant).value == first.value
    assert sign_in.application_token(anna.tenant, refused=first.value).value != first.value
    assert first.cache_changed is None


@pytest.mark.usefixtures("simulator")
def test_a_tenant_that_has_not_admitted_the_application_gets_the_link(
    anna: Mailbox, sign_in: MicrosoftSignIn
) -> None:
    error = refused(lambda: sign_in.application_token(anna.tenant))
    assert error.kind == "needs_admin"
    assert error.link == f"{HOST}/{anna.tenant}/adminconsent?client_id={CLIENT_ID}"


def test_application_permissions_need_a_secret(simulator: Simulator) -> None:
    with pytest.raises(ConfigError, match="RAPPORT_MICROSOFT_CLIENT_SECRET"):
        sign_in_at(simulator, secret=None).application_token("acme.example")


def test_the_registration_of_one_organisation_is_checked_with_its_secret(
    simulator: Simulator, anna: Mailbox
) -> None:
    """Whatever the organisation has admitted so far; only what the operator must mend is an error."""
    sign_in = MicrosoftSignIn(CLIENT_ID, CLIENT_SECRET, f"{HOST}/{anna.tenant}", SimulatedHttp(simulator))
    for scopes in (set[str](), {"Mail.Read"}):
        simulator.company("acme").application_scopes = scopes
        assert sign_in.check()
    wrong = MicrosoftSignIn(CLIENT_ID, "wrong", f"{HOST}/{anna.tenant}", SimulatedHttp(simulator))
    assert refused(wrong.check).code == "bad_secret"
    simulator.entra.stumble()
    assert refused(wrong.check).kind == "unavailable"


def test_the_registration_for_several_organisations_is_checked_without(simulator: Simulator) -> None:
    assert not sign_in_at(simulator).check()
    assert not sign_in_at(simulator, secret=None).check()
    assert simulator.entra.calls == []


def test_the_link_for_a_whole_tenant_asks_for_the_applications_permissions(
    sign_in: MicrosoftSignIn,
) -> None:
    link = sign_in.admin_consent_url(REDIRECT, "s", microsoft_tenant="acme.example", application=True)
    assert urlsplit(link).path == "/acme.example/v2.0/adminconsent"
    assert parse_qs(urlsplit(link).query)["scope"] == ["https://graph.microsoft.com/.default"]


def test_an_installation_of_one_organisation_sends_its_administrator_to_that(anna: Mailbox) -> None:
    """Its registration is unknown to any other."""
    sign_in = MicrosoftSignIn(CLIENT_ID, None, f"{HOST}/{anna.tenant}")
    assert urlsplit(sign_in.admin_consent_url(REDIRECT, "s")).path == f"/{anna.tenant}/v2.0/adminconsent"
    assert sign_in.admin_consent_url().startswith(f"{HOST}/{anna.tenant}/adminconsent?")


class BrokenHttp:
    """A network that gives one answer, or none."""

    def __init__(self, answer: httpx2.Response | None) -> None:
        self.answer = answer

    def get(self, url: str, *, params: Any = None, headers: Any = None) -> httpx2.Response:
        if self.answer is None:
            raise httpx2.ConnectError("no route to secret-host")
        return self.answer

    def post(self, url: str, *, params: Any = None, headers: Any = None, data: Any = None) -> httpx2.Response:
        return self.get(url)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (None, "unavailable", "cannot be reached"),
        (httpx2.Response(200, text="<html>hello</html>"), "unavailable", "busy"),
        (httpx2.Response(503, text="{}"), "unavailable", "busy"),
        (httpx2.Response(400, text='{"error": "invalid_tenant"}'), "needs_auth", "no organisation"),
    ],
)
def test_a_host_that_is_none_is_told(answer: httpx2.Response | None, kind: str, words: str) -> None:
    sign_in = MicrosoftSignIn(CLIENT_ID, CLIENT_SECRET, f"{HOST}/organizations", BrokenHttp(answer))
    error = refused(lambda: sign_in.begin(REDIRECT))
    assert error.kind == kind
    assert words in error.reason


def test_another_addresss_metadata_is_a_wrong_setting() -> None:
    answer = httpx2.Response(200, text="{}")
    sign_in = MicrosoftSignIn(CLIENT_ID, None, f"{HOST}/organizations", BrokenHttp(answer))
    with pytest.raises(ConfigError, match="RAPPORT_MICROSOFT_AUTHORITY"):
        sign_in.begin(REDIRECT)


class LeakyHttp(SimulatedHttp):
    """Cuts an answer of the token endpoint off in the middle of a token, once."""

    cut = False

    def post(self, url: str, *, params: Any = None, headers: Any = None, data: Any = None) -> httpx2.Response:
        answer = super().post(url, params=params, headers=headers, data=data)
        if not self.cut:
            return answer
        return httpx2.Response(200, text=answer.text[: len(answer.text) // 2])


def test_nothing_secret_is_in_errors_reprs_or_logs(
    simulator: Simulator, anna: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even of an answer that broke off, which msal would write into its log."""
    http = LeakyHttp(simulator)
    sign_in = MicrosoftSignIn(CLIENT_ID, CLIENT_SECRET, f"{HOST}/organizations", http)
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        found = signed_in(simulator, sign_in)
        token = sign_in.token(found.cache)
        http.cut = True
        broken = refused(lambda: sign_in.token(found.cache, refused=token.value))
    assert broken.kind == "unavailable"
    shown = [caplog.text, repr(found), repr(token), repr(broken), repr(sign_in), *map(str, warned)]
    refresh = found.cache.partition("simulated-refresh-")[2][:20]
    assert refresh
    for secret in (token.value, refresh, CLIENT_SECRET, anna.address):
        assert not any(secret in text for text in shown if text != repr(found))
    assert token.value not in repr(found)
    assert refresh not in repr(found)


def test_a_damaged_cache_is_an_invariant_without_its_content(sign_in: MicrosoftSignIn) -> None:
    with pytest.raises(InvariantError, match="damaged") as caught:
        sign_in.token("secret-cache")
    assert "secret-cache" not in repr(caught.value)


def test_an_error_keeps_the_patience_it_was_told() -> None:
    assert sign_in_error({"error": "temporarily_unavailable"}, after_s=3.0).after_s == 3.0
