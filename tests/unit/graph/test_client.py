"""One request to Graph as it is repeated, refused, renewed and given up. Time is virtual."""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import timedelta
from email.utils import format_datetime
from functools import wraps
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from rapport_core.errors import InvariantError
from rapport_producers.graph.client import PATIENCE_S, TRIES, Answer, Part, graph_http, path_of
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
)
from rapport_schemas.topics import Lane
from scripted_graph import (
    BASE,
    BEGIN,
    Box,
    ScriptedGraph,
    batch,
    bearers,
    client_of,
    inner,
    ok,
    part,
    refusal,
)
from virtual_time import now, run_virtually

CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"17"}}}'
CHALLENGE = f'Bearer error="insufficient_claims", claims="{base64.b64encode(CLAIMS.encode()).decode()}"'
REFUSED = refusal(401, "InvalidAuthenticationToken")
CHALLENGED = refusal(401, "InvalidAuthenticationToken", WWW_Authenticate=CHALLENGE)
SLOWER = refusal(429, "ApplicationThrottled", Retry_After="20")


def virtually(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test in virtual time."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        run_virtually(test(*args, **kwargs))

    return run


# -- what is asked ----------------------------------------------------------------------------------------------


@virtually
async def test_every_request_asks_for_immutable_ids_with_a_token() -> None:
    """Whatever its method; more preferences stand behind it."""
    graph = ScriptedGraph([ok(id="1")])
    client, box = client_of(graph), Box()
    await client.get(box, "/me/messages/1", prefer=("odata.maxpagesize=5",))
    await client.get(box, f"{BASE}/me/messages/delta?$deltatoken=1")
    await client.post(box, "/subscriptions", {"resource": "me"})
    await client.patch(box, "/subscriptions/1", {})
    await client.delete(box, "/subscriptions/1")

    asked = graph.requests()
    assert [request.method for request in asked] == ["GET", "GET", "POST", "PATCH", "DELETE"]
    assert asked[0].headers["prefer"] == 'IdType="ImmutableId", odata.maxpagesize=5'
    assert {request.headers["prefer"] for request in asked[1:]} == {'IdType="ImmutableId"'}
    assert set(bearers(asked)) == {"first"}


@virtually
async def test_queries_and_segments_are_encoded() -> None:
    """Spaces not as plus signs, and an id stays one segment."""
    graph = ScriptedGraph([ok()])
    path = path_of(Box(), "mailFolders", "AA/b+c=?d %")
    await client_of(graph).get(
        Box(), path, params={"$filter": "receivedDateTime ge 2026-11-24T00:00:00Z", "$top": "1"}
    )

    assert graph.requests()[0].url.raw_path == (
        b"/v1.0/me/mailFolders/AA%2Fb%2Bc%3D%3Fd%20%25?$filter=receivedDateTime%20ge%202026-11-24T00:00:00Z&$top=1"
    )


@pytest.mark.parametrize(
    "rest",
    [
        "/me/mailfolders('AAMk=')/messages/delta?$skiptoken=a%2bb%2Bc+d%3d",
        "/me/x?$deltatoken=%C3%BC%c3%bc&a=b=c&empty=&&$skip=1",
        "/me/x?$deltatoken=a%20b%zz%&q='(1),2;3:4@5!6*7~8/9?10",
        "/users('anna%40acme.example')/messages/delta?$deltatoken=x[y]{z}|^`\\",
    ],
)
@virtually
async def test_a_link_is_used_as_it_is(rest: str) -> None:
    """Every character of it: what was encoded stays so, and what was not too."""
    graph = ScriptedGraph([ok()])
    await client_of(graph).get(Box(), BASE + rest)

    assert graph.requests()[0].url.raw_path.decode() == f"/v1.0{rest}"


@virtually
async def test_what_no_request_can_carry_is_encoded_in_a_link() -> None:
    """A space, and letters beyond ASCII."""
    graph = ScriptedGraph([ok()])
    await client_of(graph).get(Box(), f"{BASE}/me/x?$skiptoken=a b+ü")

    assert graph.requests()[0].url.raw_path == b"/v1.0/me/x?$skiptoken=a%20b+%C3%BC"


@pytest.mark.parametrize(
    "link",
    [
        "https://graph.microsoft.com.evil.example/v1.0/me",
        "https://evil.example/v1.0/me",
        "https://graph.microsoft.com@evil.example/v1.0/me",
        "https://anna:secret@graph.microsoft.com/v1.0/me",
        "http://graph.microsoft.com/v1.0/me",
        "https://graph.microsoft.com:8443/v1.0/me",
        "ftp://graph.microsoft.com/v1.0/me",
        "https://[::1/v1.0/me",
        "https://graph.microsoft.com/v1.0/me\n",
        "graph.microsoft.com/v1.0/me",
        "https://" + "a" * 70_000,
        "",
    ],
)
@virtually
async def test_a_link_that_leads_elsewhere_is_never_asked(link: str) -> None:
    """A token would go with it."""
    graph = ScriptedGraph([ok()])
    with pytest.raises(Rejected) as caught:
        await client_of(graph).get(Box(), link)

    assert graph.asked == []
    assert "evil" not in str(caught.value)


@virtually
async def test_a_link_takes_no_parameters() -> None:
    """They are within it already."""
    with pytest.raises(InvariantError):
        await client_of(ScriptedGraph([ok()])).get(Box(), f"{BASE}/me", params={"$top": "1"})


@virtually
async def test_the_same_host_may_be_written_differently() -> None:
    """In capitals, or with the port that https has anyway."""
    graph = ScriptedGraph([ok()])
    await client_of(graph).get(Box(), "https://GRAPH.microsoft.com:443/v1.0/me/x")

    assert len(graph.asked) == 1


# -- waiting ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("7", 7.0), ("2.128", 2.128), (format_datetime(BEGIN + timedelta(seconds=40), usegmt=True), 40.0)],
)
@pytest.mark.parametrize("status", [429, 503, 509])
@virtually
async def test_what_graph_asks_for_is_waited(written: str, seconds: float, status: int) -> None:
    """No shorter and no longer."""
    graph = ScriptedGraph([refusal(status, Retry_After=written), ok(id="1")])

    assert await client_of(graph).get(Box(), "/me/messages/1") == {"id": "1"}
    assert graph.times() == [0, pytest.approx(seconds)]


@pytest.mark.parametrize("written", [None, "", "soon", "0", "-3", "nan", "Mon, 23 Nov 2026 09:00:00 GMT"])
@virtually
async def test_where_it_does_not_say_each_wait_is_twice_as_long(written: str | None) -> None:
    """Nor is it asked again at once where it says so: clocks differ."""
    said = {} if written is None else {"Retry_After": written}
    graph = ScriptedGraph([*[refusal(429, **said)] * 4, ok()])
    await client_of(graph).get(Box(), "/me/messages/1")

    waits = [after - before for before, after in zip(graph.times(), graph.times()[1:], strict=False)]
    assert [2**n / 2 <= wait <= 2**n for n, wait in enumerate(waits)] == [True] * 4


@virtually
async def test_waits_of_different_mailboxes_differ() -> None:
    """Else all would come back in the same moment."""
    graph = ScriptedGraph([refusal(503)])
    client = client_of(graph)
    await asyncio.gather(*(client.get(Box(f"m{n}"), "/me/x") for n in range(20)), return_exceptions=True)

    assert len({at for at in graph.times() if 0 < at <= 1}) == 20


@virtually
async def test_a_mailbox_that_is_throttled_is_not_asked_anything_and_others_are() -> None:
    """In either lane, whatever was waiting already."""
    graph = ScriptedGraph([SLOWER, ok()])
    client, box, other = client_of(graph), Box(), Box("microsoft-m2")
    first = asyncio.create_task(client.get(box, "/me/a"))
    await asyncio.sleep(1)
    more = [
        asyncio.create_task(client.get(box, "/me/b", lane=lane))
        for lane in (Lane.BACKFILL, Lane.LIVE, Lane.BACKFILL)
    ]
    await client.get(other, "/me/c")
    assert now() == 1
    await asyncio.gather(first, *more)

    assert graph.times() == [0, 1, 20, 20, 20, 20]


@virtually
async def test_a_fault_that_says_nothing_holds_nothing_else() -> None:
    """It may have been that one request."""
    graph = ScriptedGraph([refusal(500), ok()])
    client, box = client_of(graph), Box()
    failing = asyncio.create_task(client.get(box, "/me/a"))
    await asyncio.sleep(0.1)
    await client.get(box, "/me/b")

    assert now() == pytest.approx(0.1)
    await failing


@pytest.mark.parametrize("written", ["61", "3600", "99999999", "Fri, 24 Nov 2028 09:00:00 GMT"])
@virtually
async def test_a_long_wait_is_the_callers(written: str) -> None:
    """The request is given up at once, and until then nothing is asked; the longest wait that is believed is an hour."""
    graph = ScriptedGraph([refusal(429, Retry_After=written), ok()])
    client, box = client_of(graph), Box()
    with pytest.raises(Throttled) as caught:
        await client.get(box, "/me/a")
    with pytest.raises(Throttled) as again:
        await client.get(box, "/me/b")

    assert now() == 0
    assert len(graph.asked) == 1
    assert caught.value.after_s == again.value.after_s == min(float(caught.value.after_s or 0), 3600)
    await client.get(Box("another"), "/me/c")
    await asyncio.sleep(caught.value.after_s or 0)
    await client.get(box, "/me/d")


@virtually
async def test_a_request_is_given_up_after_so_many_tries() -> None:
    """The caller learns what the last one failed with."""
    graph = ScriptedGraph([refusal(500), refusal(504, "UnknownError")])
    with pytest.raises(Transient) as caught:
        await client_of(graph).get(Box(), "/me/a")

    assert len(graph.asked) == TRIES
    assert caught.value.status == 504


@virtually
async def test_a_request_is_given_up_after_so_much_waiting() -> None:
    """Even if it was tried only a few times."""
    graph = ScriptedGraph([SLOWER])
    with pytest.raises(Throttled):
        await client_of(graph).get(Box(), "/me/a")

    assert graph.times() == [0, 20, 40, 60]
    assert now() <= PATIENCE_S


# -- what may come instead of an answer -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        httpx2.ReadError("reset"),
        httpx2.ConnectError("refused"),
        httpx2.ReadTimeout("slow"),
        httpx2.ConnectTimeout("slow"),
        httpx2.RemoteProtocolError("peer closed connection without sending complete message body"),
        httpx2.ProxyError("403"),
        httpx2.DecodingError("gzip"),
        httpx2.Response(200, content=b'{"value": [{"id": "1"'),
        httpx2.Response(200, content=b""),
        httpx2.Response(200, content=b"<html>Welcome to our airport</html>"),
        httpx2.Response(200, content=b"[1]"),
        httpx2.Response(200, content=b"\xff\xfe"),
        httpx2.Response(200, content=b"[" * 200_000),
        httpx2.Response(200, content=b'{"value": ' + b"1" * 10_000 + b"}"),
        httpx2.Response(502, content=b"<html>Bad gateway</html>"),
        httpx2.Response(403, content=b"<html>Blocked by your company</html>"),
        httpx2.Response(404, content=b"<html>Not found</html>"),
        httpx2.Response(407, content=b"", headers={"proxy-authenticate": "Basic"}),
        httpx2.Response(302, headers={"location": "https://login.airport.example/"}),
        httpx2.Response(307, headers={"location": "/v1.0/me/other"}),
        refusal(503, "ErrorMailboxStoreUnavailable"),
        refusal(408),
        refusal(424),
    ],
)
@virtually
async def test_what_passes_is_tried_again(trouble: Any) -> None:
    """And nothing of it reaches the caller, nor does the token go anywhere else."""
    graph = ScriptedGraph([trouble, ok(id="1")])

    assert await client_of(graph).get(Box(), "/me/messages/1") == {"id": "1"}
    assert [str(request.url) for request in graph.requests()] == [f"{BASE}/me/messages/1"] * 2


@virtually
async def test_half_a_character_is_read() -> None:
    """Mails are cut off anywhere; what is asked for again and again would come no better."""
    graph = ScriptedGraph([httpx2.Response(200, content=b'{"bodyPreview": "so good \\ud83d", "size": 3}')])

    assert await client_of(graph).get(Box(), "/me/messages/1") == {
        "bodyPreview": "so good \ud83d",
        "size": 3,
    }


@virtually
async def test_an_answer_that_comes_drop_by_drop_is_given_up() -> None:
    """Else it would hold its turn for ever."""

    async def never(_: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(1e9)
        return ok()

    graph = ScriptedGraph([never, ok()])
    await client_of(graph).get(Box(), "/me/messages/1")

    assert now() < 400


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(404, "ErrorItemNotFound"), NotFound),
        (refusal(410, "SyncStateNotFound"), Resync),
        (refusal(403, "ErrorAccessDenied"), AdminNeeded),
        (refusal(400, "BadRequest"), Rejected),
        (refusal(404, "MailboxNotEnabledForRESTAPI"), MailboxUnavailable),
    ],
)
@virtually
async def test_what_does_not_pass_is_told_at_once(answer: httpx2.Response, kind: type[GraphError]) -> None:
    """Asking again changes nothing."""
    graph = ScriptedGraph([answer])
    with pytest.raises(kind):
        await client_of(graph).get(Box(), "/me/messages/1")

    assert len(graph.asked) == 1


@pytest.mark.parametrize("path", ["", "/messages/1", "/mailFolders/delta"])
@virtually
async def test_a_user_who_is_not_there_has_no_mailbox(path: str) -> None:
    """Asked by path, by link or in a batch: it is no item that is missing."""
    box = Box(root="/users/4f1a")
    unknown = refusal(404, "Request_ResourceNotFound")
    for asked in (f"/users/4f1a{path}", f"{BASE}/users/4f1a{path}"):
        with pytest.raises(MailboxUnavailable):
            await client_of(ScriptedGraph([unknown])).get(box, asked)
    with pytest.raises(MailboxUnavailable):
        await client_of(ScriptedGraph([batch(part(0, 404, "Request_ResourceNotFound"))])).batch(
            box, [Part("a", f"/users/4f1a{path}")]
        )
    with pytest.raises(NotFound):
        await client_of(ScriptedGraph([unknown])).get(box, "/subscriptions/1")


@virtually
async def test_an_empty_answer_is_fine_where_nothing_was_asked_for() -> None:
    """A subscription that is ended is answered with nothing."""
    client = client_of(ScriptedGraph([httpx2.Response(204)]))

    assert await client.post(Box(), "/subscriptions/1/reauthorize") == {}
    assert await client.patch(Box(), "/subscriptions/1", {}) == {}
    await client.delete(Box(), "/subscriptions/1")


# -- tokens -----------------------------------------------------------------------------------------------------


@virtually
async def test_a_token_that_is_refused_is_renewed_once() -> None:
    """And the request goes on without waiting."""
    graph, box = ScriptedGraph([REFUSED, ok(id="1")]), Box()

    assert await client_of(graph).get(box, "/me/messages/1") == {"id": "1"}
    assert bearers(graph.requests()) == ["first", "second"]
    assert box.renewed == [("first", None)]
    assert now() == 0


@virtually
async def test_a_second_refusal_is_the_members_business() -> None:
    """Exactly one other token is tried."""
    graph, box = ScriptedGraph([REFUSED]), Box()
    with pytest.raises(SignInNeeded):
        await client_of(graph).get(box, "/me/messages/1")

    assert bearers(graph.requests()) == ["first", "second"]
    assert box.renewed == [("first", None)]


@virtually
async def test_a_claims_challenge_gets_one_token_that_answers_it() -> None:
    """A second challenge is the member's business: whoever asks on is in a loop."""
    graph, box = ScriptedGraph([CHALLENGED, ok(id="1")]), Box()
    assert await client_of(graph).get(box, "/me/messages/1") == {"id": "1"}
    assert box.renewed == [("first", CLAIMS)]

    graph, box = ScriptedGraph([CHALLENGED]), Box()
    with pytest.raises(SignInNeeded) as caught:
        await client_of(graph).get(box, "/me/messages/1")
    assert caught.value.claims == CLAIMS
    assert bearers(graph.requests()) == ["first", "second"]


@pytest.mark.parametrize("first", [REFUSED, CHALLENGED])
@virtually
async def test_refusals_and_challenges_in_turn_end(first: httpx2.Response) -> None:
    """One of each is put right, however they come."""
    other = CHALLENGED if first is REFUSED else REFUSED
    graph, box = ScriptedGraph([first, other] * 10), Box()
    with pytest.raises(SignInNeeded):
        await client_of(graph).get(box, "/me/messages/1")

    assert len(graph.asked) == 3
    assert len(box.renewed) == 2


@virtually
async def test_a_sign_in_that_sticks_to_the_refused_token_ends() -> None:
    """The same token twice is not tried a third time."""
    graph, box = ScriptedGraph([REFUSED]), Box(tokens=["only"])
    with pytest.raises(SignInNeeded):
        await client_of(graph).get(box, "/me/messages/1")

    assert bearers(graph.requests()) == ["only", "only"]


@virtually
async def test_a_refusal_after_a_wait_still_renews() -> None:
    """A token may grow old while its mailbox is throttled."""
    graph, box = ScriptedGraph([SLOWER, REFUSED, ok(id="1")]), Box()

    assert await client_of(graph).get(box, "/me/messages/1") == {"id": "1"}
    assert bearers(graph.requests()) == ["first", "first", "second"]


@virtually
async def test_the_token_is_taken_when_the_turn_comes() -> None:
    """What was renewed or revoked while the request waited counts for it as well."""
    graph, box = ScriptedGraph([SLOWER, ok()]), Box()
    asking = asyncio.create_task(client_of(graph).get(box, "/me/messages/1"))
    await asyncio.sleep(5)
    await box.token(refused="first")
    await asking

    assert bearers(graph.requests()) == ["first", "second"]
    assert box.renewed == [("first", None)]


@virtually
async def test_what_the_sign_in_raises_is_passed_on_and_holds_no_turn() -> None:
    """It is not tried again here, and the mailbox is as free as before."""

    class SignedOut(Box):
        async def token(self, *, refused: str | None = None, claims: str | None = None) -> str:
            del refused, claims
            raise SignInNeeded("connect again.")

    graph = ScriptedGraph([ok()])
    client = client_of(graph, in_all=1)
    for _ in range(6):
        with pytest.raises(SignInNeeded, match="connect again"):
            await client.get(SignedOut(), "/me/messages/1")
    await client.get(Box(), "/me/messages/1")

    assert len(graph.asked) == 1


@virtually
async def test_whoever_waits_for_a_token_takes_no_turn() -> None:
    """When the sign-in hangs, mailboxes with good tokens go on."""

    class Slow(Box):
        async def token(self, *, refused: str | None = None, claims: str | None = None) -> str:
            await asyncio.sleep(60 if now() < 60 else 0)
            return await super().token(refused=refused, claims=claims)

    graph = ScriptedGraph([ok()])
    client = client_of(graph, in_all=1)
    slow = asyncio.create_task(client.get(Slow("slow"), "/me/messages/1"))
    await asyncio.sleep(1)
    await client.get(Box(), "/me/messages/1")

    assert now() == 1
    await slow


# -- batches ----------------------------------------------------------------------------------------------------


def parts(number: int) -> list[Part]:
    """So many messages."""
    return [Part(f"m{n}", f"/me/messages/{n}", {"$select": "id"}) for n in range(number)]


def bodies(answers: list[Answer]) -> dict[str, str]:
    """Which body came for which part."""
    return {answer.id: answer.body.get("id", "") for answer in answers}


@virtually
async def test_a_batch_asks_for_four_at_a_time_with_immutable_ids_in_each() -> None:
    """Answers come in the order of the parts, in whatever order Graph gives them."""

    async def answer(request: httpx2.Request) -> httpx2.Response:
        return batch(*(part(int(one["id"])) for one in reversed(inner(request))))

    graph = ScriptedGraph([answer])
    answers = await client_of(graph).batch(Box(), parts(10))

    assert [answer.id for answer in answers] == [f"m{n}" for n in range(10)]
    assert [answer.body["id"] for answer in answers] == [str(n % 4) for n in range(10)]
    assert [len(inner(request)) for request in graph.requests()] == [4, 4, 2]
    assert inner(graph.requests()[0])[1] == {
        "id": "1",
        "method": "GET",
        "url": "/me/messages/1?$select=id",
        "headers": {"Prefer": 'IdType="ImmutableId"'},
    }
    assert await client_of(graph).batch(Box(), []) == []
    assert len(graph.asked) == 3


@virtually
async def test_what_concerns_one_part_is_its_own() -> None:
    """The others are answered."""
    graph = ScriptedGraph(
        [
            batch(
                part(2, 404, "ErrorItemNotFound"),
                part(0),
                part(3, 400, "ErrorInvalidIdMalformed"),
                part(1, 410, "SyncStateNotFound"),
            )
        ]
    )
    answers = await client_of(graph).batch(Box(), parts(4))

    assert [type(answer.error) for answer in answers] == [type(None), Resync, NotFound, Rejected]
    assert bodies(answers) == {"m0": "0", "m1": "", "m2": "", "m3": ""}
    assert len(graph.asked) == 1


@virtually
async def test_parts_that_are_throttled_wait_together_and_are_asked_by_themselves() -> None:
    """Each for as long as it was told; nothing else is asked of the mailbox meanwhile."""
    graph = ScriptedGraph(
        [
            batch(
                part(0, 429, "ApplicationThrottled", Retry_After="30"),
                part(1),
                part(2, 429, "ApplicationThrottled", retry_after="30.5"),
                part(3, 503, "ErrorServerBusy", Retry_After="12"),
            ),
            ok(id="again"),
        ]
    )
    answers = await client_of(graph).batch(Box(), parts(4))

    assert bodies(answers) == {"m0": "again", "m1": "1", "m2": "again", "m3": "again"}
    assert graph.times() == [0, 30.5, 30.5, 30.5]
    assert [request.url.path for request in graph.requests()[1:]] == [
        "/v1.0/me/messages/0",
        "/v1.0/me/messages/2",
        "/v1.0/me/messages/3",
    ]


@pytest.mark.parametrize(
    "odd",
    [
        part(0, 500, "generalException"),
        part(0, 504, "UnknownError"),
        part(0, 424, "FailedDependency"),
        {"id": "0", "status": 403, "body": "PGh0bWw+"},
        {"id": "0", "status": 200},
        {"id": "0", "status": 200, "body": "PGh0bWw+"},
        {"id": "0", "status": "200", "body": {}},
        {"id": "0"},
        {"id": "9", "status": 200, "body": {"id": "another"}},
        {"status": 200, "body": {"id": "another"}},
    ],
)
@virtually
async def test_a_part_without_an_answer_is_asked_by_itself(odd: dict[str, Any]) -> None:
    """One that failed in passing, is missing, or makes no sense."""
    graph = ScriptedGraph([batch(part(1), odd), ok(id="again")])

    assert bodies(await client_of(graph).batch(Box(), parts(2))) == {"m0": "again", "m1": "1"}
    assert len(graph.asked) == 2


@pytest.mark.parametrize("body", [{}, {"responses": None}, {"responses": [1, "x", None]}])
@virtually
async def test_a_batch_without_answers_has_all_asked_by_themselves(body: dict[str, Any]) -> None:
    """Nothing is taken for missing that was only not said."""
    graph = ScriptedGraph([ok(**body), ok(id="again")])

    assert bodies(await client_of(graph).batch(Box(), parts(3))) == {f"m{n}": "again" for n in range(3)}


@virtually
async def test_a_part_that_goes_on_failing_fails_the_batch() -> None:
    """The cursor before it must not pass."""
    graph = ScriptedGraph([batch(part(0, 500, "UnknownError"), part(1)), refusal(500)])
    with pytest.raises(Transient):
        await client_of(graph).batch(Box(), parts(2))

    assert len(graph.asked) == TRIES


@virtually
async def test_a_part_may_be_gone_when_it_is_asked_again() -> None:
    """Then it is its own answer."""
    graph = ScriptedGraph([batch(part(0, 500, "UnknownError")), refusal(404, "ErrorItemNotFound")])
    (answer,) = await client_of(graph).batch(Box(), parts(1))

    assert isinstance(answer.error, NotFound)


@pytest.mark.parametrize("trouble", [SLOWER, refusal(503), REFUSED, CHALLENGED, httpx2.ReadError("reset")])
@virtually
async def test_a_batch_that_fails_as_a_whole_is_repeated_as_a_whole(trouble: Any) -> None:
    """Nothing was answered."""
    graph = ScriptedGraph([trouble, batch(part(0), part(1))])

    assert bodies(await client_of(graph).batch(Box(), parts(2))) == {"m0": "0", "m1": "1"}
    assert [len(inner(request)) for request in graph.requests()] == [2, 2]


@virtually
async def test_parts_that_refuse_the_token_renew_it_once() -> None:
    """All of them name the one that the batch came with, not the one that another part has got by then."""
    refused = [part(n, 401, "InvalidAuthenticationToken") for n in range(4)]
    graph, box = ScriptedGraph([batch(*refused), ok(id="again")]), Box()
    await client_of(graph).batch(box, parts(4))

    assert box.renewed == [("first", None)]
    assert bearers(graph.requests()) == ["first", *["second"] * 4]


@virtually
async def test_a_token_that_the_batch_renewed_is_not_renewed_for_a_part() -> None:
    """Two tokens refused in a row are enough."""
    refused = batch(part(0, 401, "InvalidAuthenticationToken"))
    graph, box = ScriptedGraph([REFUSED, refused]), Box()
    with pytest.raises(SignInNeeded):
        await client_of(graph).batch(box, parts(1))

    assert len(graph.asked) == 2
    assert box.renewed == [("first", None)]


@pytest.mark.parametrize(
    "beside", [ok(value=[]), refusal(400, "BadRequest"), refusal(404, "ErrorItemNotFound")]
)
@virtually
async def test_a_part_that_is_forbidden_alone_is_one_item(beside: httpx2.Response) -> None:
    """Everything beside it can be read, or there is nothing that could be."""
    graph = ScriptedGraph([batch(part(0, 403, "ErrorAccessDenied"), part(1)), beside])
    answers = await client_of(graph).batch(Box(), parts(2))

    assert [type(answer.error) for answer in answers] == [AdminNeeded, type(None)]
    assert graph.requests()[1].url.path == "/v1.0/me/messages"


@virtually
async def test_a_mailbox_that_was_closed_meanwhile_is_no_matter_of_single_items() -> None:
    """A policy of the administrator: nothing may be buried for it."""
    forbidden = [part(n, 403, "ErrorAccessDenied") for n in range(2)]
    graph = ScriptedGraph([batch(*forbidden), refusal(403, "ErrorAccessDenied")])
    with pytest.raises(AdminNeeded):
        await client_of(graph).batch(Box(), parts(2))


# -- nothing secret, nothing kept ---------------------------------------------------------------------------------


@virtually
async def test_nothing_secret_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    """Neither tokens, nor ids, nor what stands in mails, whatever goes wrong."""
    caplog.set_level(logging.WARNING)
    secrets = ("t0ken", "AAMk1", "anna@acme.example", "Offer")
    message = {"error": {"code": "anna@acme.example", "message": "Offer of anna@acme.example t0ken"}}
    troubles: list[Any] = [
        httpx2.Response(status, json=message, headers={"request-id": "anna@acme.example"})
        for status in (400, 401, 403, 404, 410, 429, 500, 503)
    ]
    troubles += [REFUSED, CHALLENGED, httpx2.ReadError("anna@acme.example"), ok(subject="Offer", value=3)]
    told = ""
    with capture_logs() as logs:
        for trouble in troubles:
            box = Box(root="/users/anna%40acme.example", tokens=["t0ken"])
            client = client_of(ScriptedGraph([trouble]))
            for asked in (
                client.get(box, "/users/anna%40acme.example/messages/AAMk1"),
                client.batch(box, [Part("1", "/users/anna%40acme.example/messages/AAMk1")]),
            ):
                try:
                    answered: Any = await asked
                    told += repr(answered) if isinstance(answered, list) else repr(client)
                except GraphError as error:
                    told += f"{error!r} {error} {error.__cause__!r}"
    told += repr(Part("1", "/me/messages/AAMk1")) + repr(Answer("1", {"subject": "Offer"}))
    told += str(logs) + caplog.text

    assert logs
    assert not [secret for secret in secrets if secret in told]


def test_no_cookie_goes_from_one_mailbox_to_another() -> None:
    """One client asks for all of them."""
    http = graph_http(ssl.create_default_context())
    request = httpx2.Request("GET", f"{BASE}/me")
    http.cookies.extract_cookies(
        httpx2.Response(200, headers={"set-cookie": "exchangecookie=anna; path=/"}, request=request)
    )

    assert len(http.cookies) == 0
    assert not http.follow_redirects


# -- many mailboxes -----------------------------------------------------------------------------------------------


@virtually
async def test_a_thousand_mailboxes_are_served_and_none_starves() -> None:
    """Each follows its folders in rounds, a few read a long past besides; a slow one in ten answers late."""

    async def answer(request: httpx2.Request) -> httpx2.Response:
        is_slow = request.headers["authorization"].endswith("0")
        await asyncio.sleep(2.0 if is_slow else 0.2)
        return ok(value=[])

    client = client_of(ScriptedGraph([answer]))
    boxes = [Box(f"m{n}", tokens=[f"t{n}"]) for n in range(1000)]
    ended: dict[str, float] = {}
    past = Counter[str]()

    async def follow(box: Box) -> None:
        for _ in range(2):
            await asyncio.gather(*(client.get(box, f"/me/mailFolders/{n}/messages/delta") for n in range(3)))
        ended[box.connection] = now()

    async def read_past(box: Box) -> None:
        while len(ended) < len(boxes):
            await client.get(box, "/me/messages", lane=Lane.BACKFILL)
            past[box.connection] += 1

    large = [asyncio.create_task(read_past(box)) for box in boxes[:20] for _ in range(4)]
    await asyncio.gather(*map(follow, boxes))
    await asyncio.gather(*large)

    assert len(ended) == 1000
    # 5,400 quick requests and 600 slow ones, 128 at a time, four of five turns for what is new.
    assert max(ended.values()) <= (5400 * 0.2 + 600 * 2.0) / 128 / 0.8 * 1.5
    assert all(past[box.connection] >= 1 for box in boxes[:20])
