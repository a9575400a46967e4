"""The simulated Entra: pages, codes, tokens, consent, and every number of an error."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from graph.entra import AADSTS, CLIENT_ID, CLIENT_SECRET
from graph_asking import (
    ANN,
    DAY,
    INBOX,
    MINUTE,
    Asking,
)

LOGIN = "https://login.microsoftonline.com/organizations"
REDIRECT = "https://rapport.example/done"
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


def page(asking: Asking, **changed: str) -> dict[str, str]:
    """What the page where somebody agrees sends the browser back with."""
    query = {
        "client_id": CLIENT_ID,
        "redirect_uri": REDIRECT,
        "scope": "Mail.Read offline_access openid",
        "state": "s",
        "code_challenge": CHALLENGE,
        "login_hint": ANN,
        **changed,
    }
    answer = asking.run(lambda client: client.get(f"{LOGIN}/oauth2/v2.0/authorize", params=query))
    assert answer.status_code == 302
    target = answer.headers["location"]
    assert target.startswith(REDIRECT)
    return dict(parse_qsl(urlsplit(target).query))


def tokens(asking: Asking, tenant: str = "organizations", **form: str) -> httpx2.Response:
    """An answer of the token endpoint."""
    url = f"{LOGIN.replace('organizations', tenant)}/oauth2/v2.0/token"
    data = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **form}
    return asking.run(lambda client: client.post(url, data=data))


def redeemed(asking: Asking, found: str, **changed: str) -> httpx2.Response:
    """The answer for a code."""
    form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
    return tokens(asking, **{**form, "code": found, **changed})


def refreshed(asking: Asking, token: str, scope: str = "Mail.Read") -> httpx2.Response:
    """The answer for a refresh token."""
    return tokens(asking, grant_type="refresh_token", refresh_token=token, scope=scope)


def numbers(answer: httpx2.Response) -> list[int]:
    """The AADSTS numbers of a refusal, which has Entra's shape."""
    body = answer.json()
    assert answer.status_code in {400, 401}
    assert {
        "error",
        "error_description",
        "timestamp",
        "trace_id",
        "correlation_id",
        "error_uri",
    } <= body.keys()
    assert f"AADSTS{body['error_codes'][0]}" in body["error_description"]
    return list(body["error_codes"])


def test_the_metadata_name_the_endpoints(asking: Asking) -> None:
    found = asking.run(lambda client: client.get(f"{LOGIN}/v2.0/.well-known/openid-configuration")).json()
    assert found["token_endpoint"] == f"{LOGIN}/oauth2/v2.0/token"
    assert found["authorization_endpoint"] == f"{LOGIN}/oauth2/v2.0/authorize"
    assert "{tenantid}" in found["issuer"]


def test_a_code_becomes_tokens_that_graph_takes(asking: Asking) -> None:
    back = page(asking)
    assert back["state"] == "s"
    found = redeemed(asking, back["code"]).json()
    assert asking.ask("GET", INBOX, token=found["access_token"]).status_code == 200
    assert asking.ask("GET", "/me/calendars", token=found["access_token"]).status_code == 403
    assert {"refresh_token", "id_token", "client_info"} <= found.keys()


def test_a_code_serves_once(asking: Asking) -> None:
    back = page(asking)
    assert redeemed(asking, back["code"]).status_code == 200
    assert numbers(redeemed(asking, back["code"])) == [54005]


@pytest.mark.parametrize(
    ("changed", "number"),
    [
        ({"code_verifier": "w" * 50}, 501481),
        ({"redirect_uri": "https://elsewhere.example"}, 50011),
        ({"code": "unknown"}, 70000),
        ({"client_secret": "wrong"}, 7000215),
        ({"client_id": "another"}, 700016),
    ],
)
def test_a_code_is_bound_to_everything_it_was_asked_for_with(
    asking: Asking, changed: dict[str, str], number: int
) -> None:
    assert numbers(redeemed(asking, page(asking)["code"], **changed)) == [number]


def test_a_code_is_good_for_ten_minutes(asking: Asking) -> None:
    found = page(asking)["code"]
    asking.clock.advance(11 * MINUTE)
    assert numbers(redeemed(asking, found)) == [70008]


def test_a_refresh_token_is_replaced_at_each_use_and_stays_good(asking: Asking) -> None:
    first = asking.simulator.entra.sign_in(asking.ann, {"Mail.Read"})
    second = refreshed(asking, first).json()["refresh_token"]
    assert second != first
    assert {refreshed(asking, one).status_code for one in (first, second)} == {200}


def test_refresh_tokens_end_by_age_by_revocation_and_with_the_account(asking: Asking) -> None:
    token = asking.simulator.entra.sign_in(asking.ann, {"Mail.Read"})
    assert numbers(refreshed(asking, token, "Calendars.Read")) == [65001]
    asking.ann.disabled = True
    assert numbers(refreshed(asking, token)) == [50057]
    asking.ann.disabled = False
    asking.simulator.entra.revoke(asking.ann)
    assert numbers(refreshed(asking, token)) == [50173]
    again = asking.simulator.entra.sign_in(asking.ann, {"Mail.Read"})
    asking.clock.advance(91 * DAY)
    assert numbers(refreshed(asking, again)) == [700082]


@pytest.mark.parametrize("number", sorted(AADSTS))
def test_every_number_can_be_answered_in_entras_shape(asking: Asking, number: int) -> None:
    token = asking.simulator.entra.sign_in(asking.ann, {"Mail.Read"})
    asking.simulator.entra.fail(number)
    refused = refreshed(asking, token)
    assert numbers(refused) == [number]
    assert refused.json()["error"] == AADSTS[number][0]
    assert refused.json().get("suberror", "") == AADSTS[number][1]
    assert refreshed(asking, token).status_code == 200


@pytest.mark.parametrize(("status", "after"), [(429, "7"), (503, None)])
def test_the_token_endpoint_may_be_busy(asking: Asking, status: int, after: str | None) -> None:
    token = asking.simulator.entra.sign_in(asking.ann, {"Mail.Read"})
    asking.simulator.entra.stumble(status, retry_after=after)
    answer = refreshed(asking, token)
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, after)


def test_the_application_has_tokens_of_its_own_after_an_admin_consented(asking: Asking) -> None:
    company = asking.simulator.company("contoso")
    form = {"grant_type": "client_credentials", "scope": "https://graph.microsoft.com/.default"}
    assert numbers(tokens(asking, company.tenant, **form)) == [700016]
    back = consented(asking, company.tenant, scope="https://graph.microsoft.com/.default")
    assert (back["admin_consent"], back["tenant"], back["state"]) == ("True", company.tenant, "s")
    token = tokens(asking, company.tenant, **form).json()["access_token"]
    assert asking.ask("GET", f"/users/{ANN}/messages", token=token).status_code == 200
    assert numbers(tokens(asking, "organizations", **form)) == [700016]
    wrong = {**form, "scope": "Mail.Read"}
    assert numbers(tokens(asking, company.tenant, **wrong)) == [1002012]


def consented(asking: Asking, tenant: str, scope: str = "Mail.Read") -> dict[str, str]:
    """What the page of the admin sends the browser back with."""
    query = {"client_id": CLIENT_ID, "redirect_uri": REDIRECT, "scope": scope, "state": "s"}
    url = f"{LOGIN.replace('organizations', tenant)}/v2.0/adminconsent"
    answer = asking.run(lambda client: client.get(url, params=query))
    assert answer.status_code == 302
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def test_an_admin_may_say_no_and_a_redirect_may_lie(asking: Asking) -> None:
    company = asking.simulator.company("contoso")
    asking.simulator.entra.admin_declines = True
    refused = consented(asking, company.tenant)
    assert (refused["error"], refused["error_description"][:12]) == ("consent_required", "AADSTS65004:")
    asking.simulator.entra.admin_declines = False
    asking.simulator.entra.forged_tenant = "somebody-elses"
    assert consented(asking, company.tenant)["tenant"] == "somebody-elses"


def test_people_may_have_no_right_to_consent_until_an_admin_did(asking: Asking) -> None:
    company = asking.simulator.company("contoso")
    company.users_may_consent = False
    assert page(asking)["error"] == "consent_required"
    consented(asking, company.tenant)
    assert "code" in page(asking)


def test_the_page_may_come_back_with_any_error(asking: Asking) -> None:
    asking.simulator.entra.page_error = ("temporarily_unavailable", "AADSTS90033: later")
    assert page(asking)["error"] == "temporarily_unavailable"
    asking.simulator.entra.page_error = None
    asking.simulator.entra.declines = {"Mail.Read"}
    assert page(asking)["error"] == "access_denied"


def test_a_device_code_waits_for_the_person(asking: Asking) -> None:
    url = f"{LOGIN}/oauth2/v2.0/devicecode"
    data = {"client_id": CLIENT_ID, "scope": "Mail.Read"}
    given = asking.run(lambda client: client.post(url, data=data)).json()
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": given["device_code"],
    }
    assert tokens(asking, **form).json()["error"] == "authorization_pending"
    asking.simulator.entra.enter_device_code(given["user_code"], asking.ann)
    assert "access_token" in tokens(asking, **form).json()
