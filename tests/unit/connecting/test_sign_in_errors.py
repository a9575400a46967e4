"""Everything Microsoft says when it lets nobody in, in words of its own, for the right person."""

from __future__ import annotations

import re

import pytest

from rapport_core.errors import ConfigError, UnavailableError
from rapport_producers.microsoft_sign_in_errors import CAUSES, ERRORS, Kind, sign_in_error

LINK = "https://login.microsoftonline.com/organizations/adminconsent?client_id=x"
NUMBERS: list[tuple[int, Kind, str]] = [
    (65001, "needs_admin", "no consent"),
    (65004, "needs_auth", "declined"),
    (90094, "needs_admin", "only administrators approve"),
    (90095, "needs_admin", "request for approval was sent"),
    (50173, "needs_auth", "revoked"),
    (700082, "needs_auth", "not used for long"),
    (70008, "needs_auth", "expired"),
    (70043, "needs_auth", "from time to time"),
    (70000, "needs_auth", "no longer accepts"),
    (50132, "needs_auth", "password"),
    (50133, "needs_auth", "password"),
    (50072, "needs_auth", "second factor"),
    (50074, "needs_auth", "second factor"),
    (50076, "needs_auth", "second factor"),
    (50078, "needs_auth", "second factor"),
    (50079, "needs_auth", "second factor"),
    (53000, "needs_admin", "managed devices"),
    (53001, "needs_admin", "joined to its domain"),
    (53003, "needs_admin", "a rule of your organisation"),
    (530032, "needs_admin", "security policy"),
    (50057, "needs_admin", "disabled"),
    (50034, "needs_auth", "does not know this account"),
    (50020, "needs_auth", "another organisation"),
    (500200, "needs_auth", "personal Microsoft account"),
    (50105, "needs_admin", "assigned"),
    (500011, "needs_admin", "no Microsoft Graph"),
    (700016, "needs_admin", "does not know Rapport"),
    (7000215, "operator", "secret .* is wrong"),
    (7000222, "operator", "secret .* has expired"),
    (7000112, "operator", "registration is disabled"),
    (7000218, "operator", "wants a client secret"),
    (700025, "operator", "public client"),
    (50011, "operator", "does not know the address"),
    (50194, "operator", "of one organisation only"),
    (54005, "needs_auth", "start it again"),
    (50196, "operator", "repeated too often"),
    (90033, "unavailable", "busy"),
    (90055, "unavailable", "busy"),
    (90002, "needs_auth", "no organisation of that name"),
]
WORDS: list[tuple[str, Kind, str]] = [
    ("access_denied", "needs_auth", "declined"),
    ("consent_required", "needs_admin", "no consent"),
    ("interaction_required", "needs_auth", "once more"),
    ("login_required", "needs_auth", "no longer accepts"),
    ("invalid_grant", "needs_auth", "no longer accepts"),
    ("invalid_client", "operator", "RAPPORT_MICROSOFT_CLIENT_ID"),
    ("invalid_request", "operator", "does not fit"),
    ("invalid_scope", "operator", "does not fit"),
    ("unauthorized_client", "operator", "may not sign people in"),
    ("unsupported_response_type", "operator", "does not fit"),
    ("unsupported_grant_type", "operator", "does not fit"),
    ("invalid_resource", "needs_admin", "no Microsoft Graph"),
    ("invalid_tenant", "needs_auth", "no organisation of that name"),
    ("server_error", "unavailable", "an error of its own"),
    ("temporarily_unavailable", "unavailable", "busy"),
    ("expired_token", "needs_auth", "not entered in time"),
    ("code_expired", "needs_auth", "not entered in time"),
    ("authorization_declined", "needs_auth", "declined"),
    ("bad_verification_code", "needs_auth", "start it again"),
]


@pytest.mark.parametrize(("number", "kind", "words"), NUMBERS)
def test_every_number_has_words_of_its_own(number: int, kind: Kind, words: str) -> None:
    """Whether it comes as a number of the token endpoint or inside the text of a redirect."""
    text = f"AADSTS{number}: Application 'x' … User 'anna@acme.com'. Trace ID: 1 Correlation ID: 2"
    for answer in (
        {"error": "invalid_grant", "error_codes": [number], "error_description": text},
        {"error": "access_denied", "error_description": text},
    ):
        error = sign_in_error(answer, link=LINK)
        assert error.kind == kind
        assert re.search(words, error.reason)
        assert f"AADSTS{number}" in error.reason
        assert "anna@acme.com" not in repr(error)


@pytest.mark.parametrize(("word", "kind", "words"), WORDS)
def test_every_error_of_the_endpoints_has_words(word: str, kind: Kind, words: str) -> None:
    error = sign_in_error({"error": word})
    assert error.kind == kind
    assert re.search(words, error.reason)


def test_no_row_is_untold() -> None:
    assert {number for number, _, _ in NUMBERS} == CAUSES.keys()
    assert {word for word, _, _ in WORDS} == ERRORS.keys()


@pytest.mark.parametrize("number", [65001, 90094, 500011, 700016])
def test_the_link_an_administrator_opens_is_told_where_it_helps(number: int) -> None:
    error = sign_in_error({"error_codes": [number]}, link=LINK)
    assert error.link == LINK
    assert str(error) == f"{error.reason}: {LINK}"


@pytest.mark.parametrize("number", [90095, 50057, 53003, 50105, 50173])
def test_no_link_is_told_where_consent_helps_nobody(number: int) -> None:
    error = sign_in_error({"error_codes": [number]}, link=LINK)
    assert error.link == ""
    assert "http" not in str(error)


@pytest.mark.parametrize("number", sorted(CAUSES))
def test_every_sentence_is_one_and_says_what_to_do(number: int) -> None:
    reason = CAUSES[number].reason
    assert ". " not in reason
    assert "\n" not in reason
    assert re.search(r"again|send|ask|enable|check|set |make|add|compare|unset|connect|wait|start", reason)


def test_an_unknown_number_is_told_by_its_error_and_named() -> None:
    error = sign_in_error({"error": "consent_required", "error_codes": [123456]}, link=LINK)
    assert error.kind == "needs_admin"
    assert error.reason.endswith("(AADSTS123456)")


def test_a_known_number_behind_an_unknown_one_counts() -> None:
    assert sign_in_error({"error": "x", "error_codes": [1, 50057]}).code == "account_disabled"


@pytest.mark.parametrize(
    ("suberror", "code"),
    [("consent_required", "consent_missing"), ("user_password_expired", "password_changed")],
)
def test_a_suberror_says_more_than_its_error(suberror: str, code: str) -> None:
    assert sign_in_error({"error": "invalid_grant", "suberror": suberror}).code == code


def test_what_nobody_foresaw_is_a_sentence_too() -> None:
    error = sign_in_error({"error": "weird", "error_description": "<script>"})
    assert error.kind == "needs_auth"
    assert "script" not in str(error)


def test_the_exit_code_says_whether_repeating_helps() -> None:
    assert sign_in_error({"error": "server_error"}).exit_code == UnavailableError.exit_code
    assert sign_in_error({"error": "invalid_grant"}).exit_code == ConfigError.exit_code
