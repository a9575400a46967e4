"""Who may ask the simulated Graph for what, and everything that goes wrong there."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import Any

import httpx2
import pytest

from graph.faults import KINDS, TRANSPORT_KINDS
from graph_asking import (
    ANN,
    BOB,
    DAY,
    DELTA,
    HOST,
    HOUR,
    INBOX,
    TREE,
    VIEW,
    Asking,
    code,
    ids,
    part,
)

# -- settings, scopes, other people's mailboxes ------------------------------------------------------------------------


def test_automatic_replies_are_read_with_a_scope_of_their_own(asking: Asking) -> None:
    asking.ann.out_of_office("scheduled", asking.clock(), asking.clock() + DAY)
    found = asking.get("/me/mailboxSettings/automaticRepliesSetting")
    assert found["status"] == "scheduled"
    assert found["scheduledEndDateTime"] == {"dateTime": "2026-11-25T09:00:00.0000000", "timeZone": "UTC"}
    assert asking.get("/me/mailboxSettings")["automaticRepliesSetting"] == found
    bare = asking.simulator.token(asking.ann, {"Mail.Read", "Calendars.Read"})
    refused = asking.ask("GET", "/me/mailboxSettings/automaticRepliesSetting", token=bare)
    assert code(refused) == (403, "ErrorAccessDenied")


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        (DELTA, "Mail.Read"),
        (TREE, "Mail.Read"),
        (VIEW, "Calendars.Read"),
        ("/me/mailboxSettings", "MailboxSettings.Read"),
    ],
)
def test_each_surface_needs_its_scope(asking: Asking, path: str, scope: str) -> None:
    others = {"Mail.Read", "Calendars.Read", "MailboxSettings.Read"} - {scope}
    for scopes, status in ((others, 403), ({scope}, 200)):
        assert asking.ask("GET", path, token=asking.simulator.token(asking.ann, scopes)).status_code == status


def test_a_person_reads_the_own_mailbox_only(asking: Asking) -> None:
    assert asking.ask("GET", f"/users/{ANN}/messages").status_code == 200
    assert code(asking.ask("GET", f"/users/{BOB}/messages")) == (403, "ErrorAccessDenied")


def test_an_application_reads_everybody_but_is_nobody_itself(asking: Asking) -> None:
    token = asking.simulator.application_token(asking.simulator.company("contoso"))
    assert asking.ask("GET", f"/users/{asking.ann.id}/messages", token=token).status_code == 200
    assert asking.ask("GET", "/me/messages", token=token).status_code == 400


def test_an_access_policy_leaves_an_application_some_mailboxes(asking: Asking) -> None:
    company = asking.simulator.company("contoso")
    company.application_reaches = {BOB}
    token = asking.simulator.application_token(company)
    answer = asking.ask("GET", f"/users/{ANN}/messages", token=token)
    assert code(answer) == (403, "ErrorAccessDenied")
    assert "OData is disabled" in answer.json()["error"]["message"]
    assert asking.ask("GET", f"/users/{BOB}/messages", token=token).status_code == 200


def test_people_of_other_tenants_do_not_exist(asking: Asking) -> None:
    asking.simulator.mailbox("eve@fabrikam.example")
    token = asking.simulator.application_token(asking.simulator.company("contoso"))
    answer = asking.ask("GET", "/users/eve@fabrikam.example/messages", token=token)
    assert code(answer) == (404, "Request_ResourceNotFound")


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def at_once(asking: Asking, paths: list[str]) -> list[httpx2.Response]:
    """Requests that are under way together."""

    async def work(client: httpx2.AsyncClient) -> list[httpx2.Response]:
        gets = [client.get(f"{HOST}/v1.0{path}", headers=asking.headers()) for path in paths]
        return list(await asyncio.gather(*gets))

    return asking.run(work)


def test_a_fifth_request_at_once_is_one_too_many(asking: Asking) -> None:
    answers = at_once(asking, [INBOX] * 6)
    refused = [one for one in answers if one.status_code == 429]
    assert refused
    assert code(refused[0]) == (429, "ApplicationThrottled")
    assert all(one.status_code == 200 for one in at_once(asking, [INBOX] * 4))
    assert asking.simulator.throttle.most_at_once[asking.ann.id] == 6


def test_so_many_requests_in_ten_minutes_and_no_more_refused_ones_too(asking: Asking) -> None:
    asking.simulator.throttle.per_window = 3
    assert [asking.ask("GET", INBOX).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    assert asking.ask("GET", INBOX, of=asking.bob).status_code == 200
    asking.clock.advance(601)
    assert asking.ask("GET", INBOX).status_code == 200


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("throttled", "3"),
        ("throttled_float", "2.500"),
        ("throttled_date", "Tue, 24 Nov 2026 09:00:02 GMT"),
        ("throttled_bare", None),
    ],
)
def test_a_throttled_request_is_told_when_to_come_back_in_every_form(
    asking: Asking, kind: str, said: str | None
) -> None:
    asking.simulator.faults.add("GET", "messages", kind=kind, seconds=2.5 if kind != "throttled" else 3.0)
    answer = asking.ask("GET", INBOX)
    assert (answer.status_code, answer.headers.get("retry-after")) == (429, said)
    assert asking.ask("GET", INBOX).status_code == 200


@pytest.mark.parametrize(
    ("kind", "status", "said"),
    [
        ("unavailable", 503, "serviceNotAvailable"),
        ("busy", 503, "ErrorServerBusy"),
        ("store", 503, "ErrorMailboxStoreUnavailable"),
        ("timeout", 504, "UnknownError"),
        ("error", 500, "generalException"),
        ("bandwidth", 509, "BandwidthLimitExceeded"),
        ("moving", 503, "ErrorMailboxMoveInProgress"),
        ("token", 401, "InvalidAuthenticationToken"),
        ("denied", 403, "ErrorAccessDenied"),
        ("policy", 403, "ErrorAccessDenied"),
        ("denied_inside", 403, "ErrorAccessDenied"),
        ("no_rights", 403, "Authorization_RequestDenied"),
        ("no_mailbox", 404, "MailboxNotEnabledForRESTAPI"),
        ("unsupported_mailbox", 404, "MailboxNotSupportedForRESTAPI"),
        ("resource_not_found", 404, "ResourceNotFound"),
        ("item_not_found", 404, "ErrorItemNotFound"),
        ("quota", 403, "ErrorQuotaExceeded"),
    ],
)
def test_errors_have_graphs_shape(asking: Asking, kind: str, status: int, said: str) -> None:
    asking.simulator.faults.add("GET", "messages", kind=kind)
    answer = asking.ask("GET", INBOX)
    assert code(answer) == (status, said)
    assert {"date", "request-id", "client-request-id"} <= answer.json()["error"]["innerError"].keys()
    assert {"request-id", "client-request-id", "date"} <= answer.headers.keys()


def test_a_mailbox_out_of_reach_flips_between_two_errors(asking: Asking) -> None:
    for kind in ("no_mailbox", "resource_not_found", "no_mailbox"):
        asking.simulator.faults.add("GET", "messages", kind=kind)
    said = [code(asking.ask("GET", INBOX))[1] for _ in range(3)]
    assert said == ["MailboxNotEnabledForRESTAPI", "ResourceNotFound", "MailboxNotEnabledForRESTAPI"]


def test_a_fault_meets_whom_it_is_meant_for_as_often_as_it_says(asking: Asking) -> None:
    asking.simulator.faults.add("GET", r"inbox/messages\?.*top=5", asking.ann, count=2, kind="error", after=1)
    five = f"{INBOX}?$top=5"
    others = [asking.ask("GET", INBOX), asking.ask("GET", five, of=asking.bob)]
    assert [one.status_code for one in others] == [200, 200]
    assert [asking.ask("GET", five).status_code for _ in range(4)] == [200, 500, 500, 200]


def test_a_connection_may_be_reset_in_the_middle_of_an_answer(asking: Asking) -> None:
    asking.simulator.faults.add("GET", "messages", kind="reset")
    with pytest.raises(httpx2.ReadError):
        asking.ask("GET", INBOX)


def test_an_answer_may_be_cut_or_come_from_somebody_else(asking: Asking) -> None:
    asking.simulator.faults.add("GET", "messages", kind="truncated")
    cut = asking.ask("GET", INBOX)
    assert cut.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        cut.json()
    asking.simulator.faults.add("GET", "messages", kind="html")
    strange = asking.ask("GET", INBOX)
    assert (strange.status_code, strange.headers["content-type"]) == (502, "text/html")


def test_a_slow_answer_is_right_all_the_same(asking: Asking) -> None:
    key = asking.deliver()
    asking.simulator.faults.add("GET", "messages", kind="slow", seconds=70.0)
    before = asking.clock()
    assert ids(asking.get(INBOX)["value"]) == [key]
    assert asking.clock() == before + 70


def test_a_share_of_everything_goes_wrong_the_same_way_for_the_same_seed() -> None:
    def statuses(seed: int) -> list[int]:
        asking = Asking(seed=seed)
        asking.simulator.faults.rate(0.3, "error", "throttled")
        return [asking.ask("GET", INBOX).status_code for _ in range(60)]

    assert set(statuses(1)) == {200, 429, 500}
    assert statuses(1) == statuses(1) != statuses(2)


def test_a_kind_of_fault_that_does_not_exist_is_an_error_of_the_test(asking: Asking) -> None:
    with pytest.raises(ValueError, match="no such fault"):
        asking.simulator.faults.add("GET", "x", kind="flood")
    assert "throttled" in KINDS


@pytest.mark.parametrize("token", ["", "unknown"])
def test_a_token_that_is_none_is_refused(asking: Asking, token: str) -> None:
    assert code(asking.ask("GET", INBOX, token=token)) == (401, "InvalidAuthenticationToken")


def test_a_token_runs_out_after_an_hour_and_when_it_is_revoked(asking: Asking) -> None:
    token = asking.simulator.token(asking.ann)
    assert asking.ask("GET", INBOX, token=token).status_code == 200
    asking.clock.advance(HOUR)
    assert asking.ask("GET", INBOX, token=token).status_code == 401
    token = asking.simulator.token(asking.ann)
    asking.simulator.entra.revoke(asking.ann)
    assert asking.ask("GET", INBOX, token=token).status_code == 401


def challenged(answer: httpx2.Response) -> str:
    """The claims that an answer demands."""
    assert answer.status_code == 401
    header = answer.headers["www-authenticate"]
    assert 'error="insufficient_claims"' in header
    found = re.search(r'claims="([^"]+)"', header)
    assert found
    return base64.b64decode(found[1]).decode()


def test_a_claims_challenge_holds_until_a_token_was_asked_for_with_the_claims(asking: Asking) -> None:
    old = asking.simulator.token(asking.ann)
    asking.simulator.faults.add("GET", "messages", asking.ann, kind="claims")
    claims = challenged(asking.ask("GET", INBOX, token=old))
    assert challenged(asking.ask("GET", INBOX, token=asking.simulator.token(asking.ann))) == claims
    granted = asking.simulator.directory.issue(asking.ann.tenant, {"Mail.Read"}, asking.ann, claims=claims)
    assert asking.ask("GET", INBOX, token=granted).status_code == 200


def test_a_client_that_comes_with_the_challenged_token_again_and_again_is_noted(asking: Asking) -> None:
    token = asking.simulator.token(asking.ann)
    asking.simulator.faults.add("GET", "messages", asking.ann, kind="claims")
    for _ in range(4):
        challenged(asking.ask("GET", INBOX, token=token))
    assert asking.simulator.violations == []
    challenged(asking.ask("GET", INBOX, token=token))
    assert asking.simulator.violations == ["a challenged token came 4 times"]


# -- batches -----------------------------------------------------------------------------------------------------------


def test_a_batch_answers_each_part_in_any_order() -> None:
    asking = Asking(seed=1)
    keys = [asking.deliver(f"{number}") for number in range(20)]
    requests = [part(id=str(number), url=f"/me/messages/{key}") for number, key in enumerate(keys)]
    answer = asking.ask("POST", "/$batch", body={"requests": requests})
    responses = answer.json()["responses"]
    assert {one["id"]: one["body"]["id"] for one in responses} == {str(n): key for n, key in enumerate(keys)}
    assert [one["id"] for one in responses] != [one["id"] for one in requests]


@pytest.mark.parametrize(
    "requests",
    [
        [part(id=str(number), url="/me") for number in range(21)],
        [part(id="1", url="/me"), part(id="1", url="/me")],
        [part(id=1, url="/me")],
        [part(id="1", url="/v1.0/me")],
        [part(id="1", url="/me/sendMail", method="POST", body={})],
        [part(id="1", url="/me", dependsOn=["2"]), part(id="2", url="/me")],
        [],
        "none",
    ],
)
def test_a_batch_that_is_none_is_refused_as_a_whole(asking: Asking, requests: Any) -> None:
    assert code(asking.ask("POST", "/$batch", body={"requests": requests})) == (400, "BadRequest")


def test_the_parts_of_a_batch_are_good_and_bad_one_by_one(asking: Asking) -> None:
    key = asking.deliver()
    asking.simulator.faults.add("GET", "junkemail", kind="throttled_float", seconds=2.5)
    found = asking.batch(
        {"id": "good", "url": f"/me/messages/{key}"},
        {"id": "gone", "url": "/me/messages/AAMkNothing"},
        {"id": "late", "url": "/me/mailFolders/junkemail/messages"},
    )
    assert {name: one["status"] for name, one in found.items()} == {"good": 200, "gone": 404, "late": 429}
    assert found["late"]["headers"]["Retry-After"] == "2.500"
    assert "Retry-After" not in found["good"]["headers"]


def test_a_part_that_depends_on_a_failed_one_is_not_run(asking: Asking) -> None:
    found = asking.batch(
        {"id": "1", "url": "/me/messages/AAMkNothing"},
        {"id": "2", "url": INBOX, "dependsOn": ["1"]},
        {"id": "3", "url": INBOX},
    )
    assert {name: one["status"] for name, one in found.items()} == {"1": 404, "2": 424, "3": 200}


def test_a_batch_runs_four_parts_at_once_for_a_mailbox_and_counts_each(asking: Asking) -> None:
    asking.batch(*({"id": str(number), "url": INBOX} for number in range(20)))
    assert asking.simulator.throttle.most_at_once[asking.ann.id] == 4
    asking.simulator.throttle.per_window = 24
    found = asking.batch(*({"id": str(number), "url": INBOX} for number in range(20)))
    assert sorted(one["status"] for one in found.values()) == [200] * 4 + [429] * 16


def test_parts_are_no_connections(asking: Asking) -> None:
    """What befalls a connection befalls a whole batch."""
    for kind in sorted(TRANSPORT_KINDS):
        asking.simulator.faults.add("GET", "messages", kind=kind)
    assert asking.batch({"id": "1", "url": INBOX})["1"]["status"] == 200
    asking.simulator.faults.add("POST", "batch", kind="unavailable")
    assert asking.ask("POST", "/$batch", body={"requests": [part(id="1", url=INBOX)]}).status_code == 503


def test_a_batch_may_be_of_several_mailboxes(asking: Asking) -> None:
    token = asking.simulator.application_token(asking.simulator.company("contoso"))
    asking.deliver()
    found = asking.batch(
        {"id": "ann", "url": f"/users/{ANN}/messages"},
        {"id": "bob", "url": f"/users/{BOB}/messages"},
        token=token,
    )
    assert [len(found[name]["body"]["value"]) for name in ("ann", "bob")] == [1, 0]
