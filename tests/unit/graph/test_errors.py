"""What an answer of Graph means: every row of its error table, and what stands between Graph and us."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from rapport_producers.graph.errors import (
    AdminNeeded,
    GraphError,
    MailboxUnavailable,
    NotFound,
    Rejected,
    Resync,
    SignInNeeded,
    Throttled,
    Transient,
    classify,
)

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
HTML = None
"""What a page of a proxy is decoded to."""


def said(code: str, *inner: str) -> dict[str, Any]:
    """An error body, with codes ever deeper inside it."""
    error: dict[str, Any] = {"code": code, "message": "anna@acme.example may not"}
    place = error
    for number, one in enumerate(inner):
        place["innerError" if number % 2 else "innererror"] = {"code": one, "request-id": "1"}
        place = place["innerError" if number % 2 else "innererror"]
    return {"error": error}


def of(status: int, body: Any = None, *, in_mailbox: bool = True, **headers: str) -> GraphError:
    """The error of an answer; headers with underscores for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return classify(status, named, body, NOW, in_mailbox=in_mailbox)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "InvalidAuthenticationToken", SignInNeeded),
        (403, "ErrorAccessDenied", AdminNeeded),
        (403, "Authorization_RequestDenied", AdminNeeded),
        (403, "ErrorSendAsDenied", AdminNeeded),
        (404, "ErrorItemNotFound", NotFound),
        (404, "ErrorFolderNotFound", NotFound),
        (404, "MailboxNotEnabledForRESTAPI", MailboxUnavailable),
        (404, "MailboxNotSupportedForRESTAPI", MailboxUnavailable),
        (404, "ErrorNonExistentMailbox", MailboxUnavailable),
        (404, "ErrorMissingEmailAddress", MailboxUnavailable),
        (404, "ResourceNotFound", MailboxUnavailable),
        (404, "Request_ResourceNotFound", MailboxUnavailable),
        (401, "MailboxNotEnabledForRESTAPI", MailboxUnavailable),
        (410, "SyncStateNotFound", Resync),
        (410, "resyncRequired", Resync),
        (400, "syncStateInvalid", Resync),
        (404, "SYNCSTATENOTFOUND", Resync),
        (503, "ErrorMailboxMoveInProgress", MailboxUnavailable),
        (401, "ErrorMailboxMoveInProgress", MailboxUnavailable),
        (409, "ErrorMailboxMoveInProgress", MailboxUnavailable),
        (503, "ErrorMailboxStoreUnavailable", Transient),
        (500, "ErrorServerBusy", Transient),
        (400, "ErrorServerBusy", Transient),
        (500, "UnknownError", Transient),
        (500, "generalException", Transient),
        (504, "UnknownError", Transient),
        (408, "RequestTimeout", Transient),
        (424, "FailedDependency", Transient),
        (429, "ApplicationThrottled", Throttled),
        (429, "ErrorAccessDenied", Throttled),
        (509, "BandwidthLimitExceeded", Throttled),
        (403, "ErrorQuotaExceeded", Rejected),
        (507, "quotaLimitReached", Rejected),
        (400, "ErrorInvalidIdMalformed", Rejected),
        (400, "InefficientFilter", Rejected),
        (400, "BadRequest", Rejected),
        (405, "MethodNotAllowed", Rejected),
        (409, "Conflict", Rejected),
    ],
)
def test_the_status_and_the_code_decide(status: int, code: str, kind: type[GraphError]) -> None:
    """Whatever the message says."""
    error = of(status, said(code))

    assert type(error) is kind
    assert (error.status, error.code) == (status, code)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_code_deep_inside_counts_as_well(depth: int) -> None:
    """A mailbox without a licence may be named beneath a general refusal."""
    deep = said("ErrorAccessDenied", *["Something"] * (depth - 1), "mailboxNotEnabledForRestApi")

    assert type(of(404, deep)) is MailboxUnavailable
    assert type(of(403, deep)) is MailboxUnavailable
    assert type(of(400, said("BadRequest", "syncStateInvalid"))) is Resync


def test_a_mailbox_comes_back_by_itself_after_a_move_and_by_a_person_otherwise() -> None:
    """So it is looked at more often."""
    moving, gone = of(503, said("ErrorMailboxMoveInProgress")), of(404, said("Request_ResourceNotFound"))

    assert isinstance(moving, MailboxUnavailable)
    assert not moving.slow
    assert isinstance(gone, MailboxUnavailable)
    assert gone.slow


@pytest.mark.parametrize("code", ["ResourceNotFound", "Request_ResourceNotFound"])
def test_outside_a_mailbox_a_missing_resource_is_just_that(code: str) -> None:
    """A subscription that has expired says nothing about the mailbox."""
    assert type(of(404, said(code), in_mailbox=False)) is NotFound


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("7", 7.0),
        ("2.128", 2.128),
        (" 30 ", 30.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        ("Tue, 24 Nov 2026 10:01:00 +0100", 60.0),
        ("Tue, 24 Nov 2026 09:00:30", 30.0),
        ("3600", 3600.0),
        ("86400", 3600.0),
        ("99999999999999999999", 3600.0),
        (format_datetime(NOW + timedelta(days=9000), usegmt=True), 3600.0),
        ("0", None),
        ("-5", None),
        (format_datetime(NOW - timedelta(minutes=5), usegmt=True), None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("1, 2", None),
        ("Tue, 99 Nov 2026 10:01:00 GMT", None),
        ("Tue, 24 Nov 99999 10:01:00 GMT", None),
        ("Tue, 24 Nov 2026 10:01:00 +99999999999999999999", None),
    ],
)
def test_retry_after_in_every_form(written: str, seconds: float | None) -> None:
    """A number, a fraction, a date; never longer than an hour, and nothing for what has passed or cannot be read."""
    for status in (429, 503, 509):
        error = of(status, said("Busy"), retry_after=written)

        assert isinstance(error, Throttled | Transient)
        assert error.after_s == (None if seconds is None else pytest.approx(seconds))


def test_without_retry_after_nothing_is_said() -> None:
    """Whoever waits has to know by himself for how long."""
    error = of(429, said("ApplicationThrottled"))

    assert isinstance(error, Throttled)
    assert error.after_s is None


def _challenge(claims: str) -> str:
    return (
        f'Bearer realm="", authorization_uri="https://login", error="insufficient_claims", claims="{claims}"'
    )


CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}'


@pytest.mark.parametrize(
    "encoded",
    [
        base64.b64encode(CLAIMS.encode()).decode(),
        base64.urlsafe_b64encode(CLAIMS.encode()).decode().rstrip("="),
    ],
)
def test_a_claims_challenge_is_decoded(encoded: str) -> None:
    """In both alphabets, with and without padding."""
    error = of(401, WWW_Authenticate=_challenge(encoded))

    assert isinstance(error, SignInNeeded)
    assert json.loads(error.claims or "") == json.loads(CLAIMS)


@pytest.mark.parametrize("encoded", ["", "%%%", "bm8ganNvbg==", base64.b64encode(b"[1]").decode(), "/w=="])
def test_a_challenge_that_cannot_be_read_is_a_refused_token(encoded: str) -> None:
    """It is never passed on to the sign-in."""
    error = of(401, WWW_Authenticate=_challenge(encoded))

    assert isinstance(error, SignInNeeded)
    assert error.claims is None


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("body", [HTML, {}, {"error": "denied"}, {"error": {"code": ""}}, [], "no"])
def test_what_has_no_code_comes_from_a_proxy(status: int, body: Any) -> None:
    """It signs nobody out, troubles no administrator, and makes no mail gone."""
    assert type(of(status, body)) is Transient
    assert type(of(status, body, www_authenticate='Basic realm="proxy"')) is Transient


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
def test_whoever_sends_us_elsewhere_is_not_graph(status: int) -> None:
    """A token goes nowhere else; later it may be Graph again."""
    assert type(of(status, location="https://login.airport.example/")) is Transient


def test_where_to_begin_anew() -> None:
    """With and without an address."""
    there = of(410, said("SyncStateNotFound"), Location="https://graph.microsoft.com/v1.0/x?$deltaToken=")
    nowhere = of(410)

    assert isinstance(there, Resync)
    assert there.location == "https://graph.microsoft.com/v1.0/x?$deltaToken="
    assert isinstance(nowhere, Resync)
    assert nowhere.location is None


def test_a_body_that_is_its_own_inside_ends() -> None:
    """However deep; and nothing but texts are codes."""
    body = said("A")
    body["error"]["innerError"] = body["error"]

    assert type(of(400, body)) is Rejected
    assert type(of(400, {"error": {"code": 17, "innerError": {"code": "syncStateInvalid"}}})) is Resync


@pytest.mark.parametrize(
    "body",
    [
        said("anna@acme.example"),
        said("Error for anna"),
        said("eyJ0" + "x" * 100),
        said("a\nb"),
    ],
)
def test_nothing_of_the_answer_is_told_but_codes(body: Any) -> None:
    """Neither in the sentence nor in what goes to logs: a proxy may put an address anywhere."""
    error = of(400, body, request_id="anna@acme.example")

    assert (error.code, error.request) == ("", "")
    assert "anna" not in str(error)
    assert "anna" not in repr(error)


def test_the_id_of_a_request_is_kept_for_logs() -> None:
    """Microsoft's support asks for it."""
    asked = "4f1a1c5e-0c6a-4a8e-9a3c-5f1f0a2b3c4d"

    assert of(503, said("UnknownError"), Request_Id=asked).request == asked


@pytest.mark.parametrize(
    "error",
    [
        Throttled(),
        Transient(),
        SignInNeeded(),
        AdminNeeded(),
        MailboxUnavailable(),
        Resync(),
        NotFound(),
        Rejected(),
    ],
)
def test_every_error_says_one_thing_to_people(error: GraphError) -> None:
    """A sentence, without a status or a code."""
    assert str(error) == error.reason
    assert error.reason.endswith(".")
    assert not any(one.isdigit() for one in error.reason.replace("365", ""))
