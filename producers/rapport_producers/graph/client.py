"""Requests to Graph for one mailbox: the token, the limits, and what can be put right by asking again.

A caller gets an answer, or an error that says what has to happen; it never repeats a request by itself. Links that Graph
gave are used as they are, and only on Graph's own host, because a token goes with them.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Protocol
from urllib.parse import quote, urlencode
from zlib import crc32

import httpx2
import msgspec
import structlog

from rapport_core.clock import Clock
from rapport_core.errors import InvariantError
from rapport_producers.graph.errors import (
    AdminNeeded,
    GraphError,
    NotFound,
    Rejected,
    Resync,
    SignInNeeded,
    Throttled,
    Transient,
    classify,
)
from rapport_producers.graph.limits import CONCURRENT, MAILBOX_CONCURRENT, Limits
from rapport_producers.graph.together import together
from rapport_schemas.topics import Lane

Json = dict[str, Any]

IMMUTABLE_IDS = 'IdType="ImmutableId"'
"""On every request and every part of a batch: an id that a move changes would make two items of one."""

TRIES = 6
PATIENCE_S = 60.0
"""A request is given up after so many tries or so much waiting; the caller knows better what to do meanwhile."""

_FIRST_WAIT_S = 1.0
_TIMEOUT = httpx2.Timeout(60.0, connect=10.0, pool=None)
"""Pages of a thousand messages take their time; a place in the pool comes with the turn."""

_LONGEST_S = 300.0
"""An answer that comes drop by drop is given up after so long: it holds a turn of its mailbox."""

_IDLE = 32
"""Connections that nothing is asked on just now. Each of them is looked at before every request, and a new one costs less than many looks."""

_IDLE_S = 90.0
"""A connection that nothing was asked on for so long is closed: a new one costs three ways there and back."""

_OUTSIDE = (
    "Microsoft Graph named an address that is not its own; nothing was asked there. Please report this."
)
OF_ONE = (NotFound, Rejected, Resync, AdminNeeded)
"""What may be true of one thing alone: an item, a series, a folder."""

_log = structlog.get_logger(__name__)


class Mailbox(Protocol):
    """One account that is read."""

    @property
    def tenant(self) -> str:
        """Whose it is."""
        ...

    @property
    def connection(self) -> str:
        """The connection's id, unique in the tenant."""
        ...

    @property
    def root(self) -> str:
        """Where the account's resources are: `/me`, or `/users/{id}` (percent-encoded) with application permissions."""
        ...

    async def token(self, *, refused: str | None = None, claims: str | None = None) -> str:
        """An access token that is believed to be good.

        Args:
            refused: this one is not accepted any more; get another one. Many requests may be told at once that the same one is
                refused: the first of them gets a new one made, and so do the others that one.
            claims: JSON that a new token must fulfil.

        Raises whatever the account's state demands; the client passes it on.
        """
        ...


def graph_http(trust: ssl.SSLContext) -> httpx2.AsyncClient:
    """What a `GraphClient` asks with: as many connections as it has turns, and no memory of one mailbox when it asks for another."""
    return httpx2.AsyncClient(
        verify=trust,
        timeout=_TIMEOUT,
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        limits=httpx2.Limits(
            max_connections=CONCURRENT, max_keepalive_connections=_IDLE, keepalive_expiry=_IDLE_S
        ),
    )


def path_of(mailbox: Mailbox, *segments: str) -> str:
    """The path of something in a mailbox, such as `path_of(mailbox, "messages", id)`; segments are percent-encoded."""
    return "/".join((mailbox.root, *(quote(one, safe="") for one in segments)))


@dataclass(frozen=True, slots=True)
class Part:
    """One GET of a batch. `path` begins with a slash, as in `GraphClient.get`."""

    id: str
    path: str = field(repr=False)
    params: Mapping[str, str] | None = None
    prefer: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one part. `body` is empty where `error` is set."""

    id: str
    body: Json = field(repr=False)
    error: GraphError | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    """One request as it is repeated: `url` is whole, `cost` the requests it stands for."""

    method: str
    url: str = field(repr=False)
    lane: Lane
    body: Json | None = field(default=None, repr=False)
    prefer: Sequence[str] = ()
    cost: int = 1
    in_mailbox: bool = True


@dataclass(slots=True)
class _Tries:
    """What was tried for one call already, the last time with `token`."""

    token: str = field(default="", repr=False)
    number: int = 0
    waited_s: float = 0.0
    refreshed: bool = False
    challenged: bool = False


class GraphClient:
    """See the module. One for a process.

    Args:
        http: does the requests; it follows no redirects.
        base: such as https://graph.microsoft.com/v1.0, without a slash at the end.
        limits: of the process.
        clock: tells the time for a Retry-After that is a date.
        sleep: waits so many seconds.

    Every request may raise any error of errors.py, and what the mailbox's `token` raises. Throttling, faults that pass and
    a token that is refused were then tried again already.
    """

    def __init__(
        self,
        http: httpx2.AsyncClient,
        base: str,
        limits: Limits,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._http, self._limits, self._clock, self._sleep = http, limits, clock, sleep
        self._base = base.rstrip("/")
        self._host = _host(httpx2.URL(self._base))

    async def get(
        self,
        mailbox: Mailbox,
        path_or_link: str,
        *,
        params: Mapping[str, str] | None = None,
        prefer: Sequence[str] = (),
        lane: Lane = Lane.LIVE,
    ) -> Json:
        """Reads a path below the base (`/me/…`), or a link that Graph gave, which takes no `params`.

        `prefer`: preferences beside the one for immutable ids, such as `odata.maxpagesize=100`.
        """
        call = self._call("GET", mailbox, path_or_link, lane, params=params, prefer=prefer)
        return await self._answer(mailbox, call)

    async def post(
        self, mailbox: Mailbox, path: str, body: Json | None = None, *, lane: Lane = Lane.LIVE
    ) -> Json:
        """Returns what was answered, empty for nothing. It may have been done twice when an answer was lost."""
        return await self._answer(mailbox, self._call("POST", mailbox, path, lane, body=body))

    async def patch(self, mailbox: Mailbox, path: str, body: Json, *, lane: Lane = Lane.LIVE) -> Json:
        """See `post`."""
        return await self._answer(mailbox, self._call("PATCH", mailbox, path, lane, body=body))

    async def delete(self, mailbox: Mailbox, path: str, *, lane: Lane = Lane.LIVE) -> None:
        """See `post`: of a repeated one the second may raise NotFound."""
        await self._answer(mailbox, self._call("DELETE", mailbox, path, lane))

    async def batch(self, mailbox: Mailbox, parts: Sequence[Part], *, lane: Lane = Lane.LIVE) -> list[Answer]:
        """Reads many things at once; one answer for each part, in the order of the parts.

        What concerns one thing alone (NotFound, Rejected, Resync, AdminNeeded) is its answer's `error`.
        What concerns all is raised, after parts that were throttled or failed in passing were asked again, each by itself.
        """
        found: list[Answer] = []
        # Graph works on at most four requests of a mailbox at a time: more parts would only be throttled.
        for begin in range(0, len(parts), MAILBOX_CONCURRENT):
            found += await self._batch(mailbox, parts[begin : begin + MAILBOX_CONCURRENT], lane)
        return found

    # -- batches ------------------------------------------------------------------------------------------------

    async def _batch(self, mailbox: Mailbox, parts: Sequence[Part], lane: Lane) -> list[Answer]:
        requests = [
            {
                "id": str(number),
                "method": "GET",
                "url": _with_query(part.path, part.params),
                "headers": {"Prefer": _prefer(part.prefer)},
            }
            for number, part in enumerate(parts)
        ]
        call = _Call("POST", f"{self._base}/$batch", lane, body={"requests": requests}, cost=len(parts))
        tries = _Tries()
        said = _responses(await self._answer(mailbox, call, tries))
        found: dict[int, Answer] = {}

        async def take(number: int, part: Part) -> None:
            # Each has tries of its own, but what was done about the token was done for all.
            own = replace(tries, number=0, waited_s=0.0)
            found[number] = await self._part(mailbox, part, said.get(str(number)), lane, own)

        # At once: several that are told to wait for a minute wait for the same minute.
        await together(take(number, part) for number, part in enumerate(parts))
        return [found[number] for number in range(len(parts))]

    async def _part(
        self, mailbox: Mailbox, part: Part, said: Json | None, lane: Lane, tries: _Tries
    ) -> Answer:
        call = self._call("GET", mailbox, part.path, lane, params=part.params, prefer=part.prefer)
        try:
            try:
                return Answer(part.id, self._body_of(said, call))
            except (SignInNeeded, Throttled, Transient) as failed:
                await self._recover(mailbox, tries, failed)
                return Answer(part.id, await self._answer(mailbox, call, tries))
        except AdminNeeded as error:
            await self._check_open(mailbox, part, lane)
            return Answer(part.id, {}, error)
        except OF_ONE as error:
            return Answer(part.id, {}, error)

    async def _check_open(self, mailbox: Mailbox, part: Part, lane: Lane) -> None:
        """Raises AdminNeeded when not only the part is forbidden but everything beside it too."""
        beside = part.path.rpartition("/")[0]
        call = self._call("GET", mailbox, beside, lane, params={"$top": "1", "$select": "id"})
        with suppress(
            NotFound, Rejected, Resync
        ):  # then nothing beside it can be listed, and it stands alone
            await self._answer(mailbox, call)

    def _body_of(self, said: Json | None, call: _Call) -> Json:
        """The body of one part's response. Raises what it is instead; one that is missing may come the next time."""
        status = said.get("status") if said else None
        if said is None or not isinstance(status, int):
            raise Transient
        headers, body = said.get("headers"), said.get("body")
        if not 200 <= status < 300:
            now = self._clock.now()
            raise classify(status, _texts(headers), body, now, in_mailbox=call.in_mailbox)
        if not isinstance(body, dict):
            raise Transient(status=status)
        return body

    # -- one request --------------------------------------------------------------------------------------------

    def _call(
        self,
        method: str,
        mailbox: Mailbox,
        path_or_link: str,
        lane: Lane,
        *,
        params: Mapping[str, str] | None = None,
        prefer: Sequence[str] = (),
        body: Json | None = None,
    ) -> _Call:
        if path_or_link.startswith("/"):
            in_mailbox = f"{path_or_link}/".startswith(f"{mailbox.root}/")
            url = self._base + _with_query(path_or_link, params)
            return _Call(method, url, lane, body=body, prefer=prefer, in_mailbox=in_mailbox)
        if params:
            raise InvariantError("a link of Graph is used as it is")
        self._check_host(path_or_link)
        return _Call(method, path_or_link, lane, body=body, prefer=prefer)

    def _check_host(self, link: str) -> None:
        try:
            url = httpx2.URL(link)
            known = _host(url) == self._host and not url.userinfo  # which would go instead of the token
        except httpx2.InvalidURL:
            known = False
        if not known:
            raise Rejected(_OUTSIDE, status=0)

    async def _answer(self, mailbox: Mailbox, call: _Call, tries: _Tries | None = None) -> Json:
        """Asks until there is an answer, or nothing more to try. `tries`: those before, for the same or what it was part of."""
        key = (mailbox.tenant, mailbox.connection)
        tries = tries or _Tries()
        while True:
            held_s = self._limits.held_s(key)
            if held_s > PATIENCE_S:
                raise Throttled(held_s)
            # Twice: whoever waits for a new one takes no turn of others, and a turn may be long in coming, after which an account
            # may have been signed out.
            await mailbox.token()
            async with self._limits.turn(key, call.lane, call.cost):
                tries.token = await mailbox.token()
                try:
                    return await self._once(call, tries.token)
                except GraphError as error:
                    failed = error
            await self._recover(mailbox, tries, failed)

    async def _recover(self, mailbox: Mailbox, tries: _Tries, failed: GraphError) -> None:
        """Does what makes another try worth it. Raises `failed` where nothing does."""
        tries.number += 1
        _log.info(
            "graph_failed",
            connection=mailbox.connection,
            status=failed.status,
            code=failed.code,
            request=failed.request,
            tries=tries.number,
        )
        if tries.number >= TRIES:
            raise failed
        if isinstance(failed, SignInNeeded):
            await self._renew(mailbox, tries, failed)
        elif isinstance(failed, (Throttled, Transient)):
            await self._wait(mailbox, tries, failed)
        else:
            raise failed

    async def _renew(self, mailbox: Mailbox, tries: _Tries, failed: SignInNeeded) -> None:
        """One other token, and one that answers a challenge: whoever asks on with the same is in a loop."""
        if failed.claims is not None and not tries.challenged:
            tries.challenged = True
            tries.token = await mailbox.token(refused=tries.token, claims=failed.claims)
        elif failed.claims is None and not tries.refreshed:
            tries.refreshed = True
            tries.token = await mailbox.token(refused=tries.token)
        else:
            raise failed

    async def _wait(self, mailbox: Mailbox, tries: _Tries, failed: Throttled | Transient) -> None:
        """Nothing at all is asked of a mailbox while it is throttled: the next turn comes after that."""
        is_held = isinstance(failed, Throttled) or failed.after_s is not None
        after_s = failed.after_s or _backoff(mailbox, tries.number)
        if is_held:
            self._limits.hold((mailbox.tenant, mailbox.connection), after_s)
        tries.waited_s += after_s
        if tries.waited_s > PATIENCE_S:
            raise failed
        if not is_held:
            await self._sleep(after_s)

    async def _once(self, call: _Call, token: str) -> Json:
        headers = {"Authorization": f"Bearer {token}", "Prefer": _prefer(call.prefer)}
        try:
            async with asyncio.timeout(_LONGEST_S):
                response = await self._http.request(
                    call.method,
                    call.url,
                    headers=headers,
                    json=call.body,
                    timeout=_TIMEOUT,
                    follow_redirects=False,
                )
        except (httpx2.TransportError, httpx2.DecodingError, TimeoutError):
            # Nothing of the original goes on: it may hold the address, and that an account.
            raise Transient from None
        if response.is_success:
            return _decoded(response, empty_is_fine=call.method != "GET")
        body = _json(response.content)
        raise classify(
            response.status_code, response.headers, body, self._clock.now(), in_mailbox=call.in_mailbox
        )


def _decoded(response: httpx2.Response, *, empty_is_fine: bool) -> Json:
    if empty_is_fine and not response.content:
        return {}
    body = _json(response.content)
    if not isinstance(body, dict):
        raise Transient(status=response.status_code)
    return body


def _json(content: bytes) -> Any:
    """The decoded JSON; None for anything else (an answer that broke off, a proxy's page)."""
    # The first takes half as long; the second reads halves of characters too, which stand in mails cut off in the middle.
    for read in (msgspec.json.decode, json.loads):
        with suppress(ValueError, RecursionError):
            return read(content)
    return None


def _responses(body: Json) -> dict[str, Json]:
    """The responses of a batch by their ids; they come in any order."""
    found = body.get("responses")
    if not isinstance(found, list):
        return {}
    return {str(one.get("id")): one for one in found if isinstance(one, dict)}


def _texts(headers: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {}


def _prefer(more: Sequence[str]) -> str:
    return ", ".join((IMMUTABLE_IDS, *more))


def _with_query(path: str, params: Mapping[str, str] | None) -> str:
    """Spaces as %20: as a plus sign not every part of Graph reads them."""
    return f"{path}?{urlencode(params, quote_via=quote, safe='$,()/:=')}" if params else path


def _host(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _backoff(mailbox: Mailbox, tries: int) -> float:
    """Seconds for want of a Retry-After: twice as long each time, and not the same for all mailboxes."""
    own = crc32(f"{mailbox.tenant}/{mailbox.connection}/{tries}".encode()) / 2**32
    return float(_FIRST_WAIT_S * 2 ** (tries - 1) * (0.5 + own / 2))
