"""Both hosts as one ASGI application: connections, batches, and who is under way at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from threading import RLock
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx2

from graph.entra import Entra
from graph.graph_api import GraphApi
from graph.wire import Answer, Ask, Json, Refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]

BATCH_LIMIT: Final = 20
AT_ONCE: Final = 4
"""Outlook runs so many parts of a batch for one mailbox at a time."""


class App:
    """Serves the simulated hosts. `latency` is how long an answer takes; `sleep` is how an answer is held back."""

    def __init__(self, api: GraphApi, entra: Entra, lock: RLock, seed: int, sleep: Sleep) -> None:
        self.latency = 0.0
        self._api = api
        self._entra = entra
        self._lock = lock
        self.sleep = sleep
        self._rng = random.Random(f"{seed} batches")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        answer = await self.answer(await _read(scope, receive))
        await _write(answer, send)

    async def answer(self, ask: Ask) -> Answer:
        """One request to either host, in its time."""
        if self._entra.answers(ask.path):
            with self._lock:
                return self._entra.handle(ask)
        if ask.method == "POST" and ask.path.rstrip("/").endswith("/$batch"):
            return await self._batch(ask)
        return await self._single(ask, part=False)

    async def _single(self, ask: Ask, *, part: bool) -> Answer:
        with self._lock:
            mailbox = self._api.whose(ask)
        if mailbox is None:
            return await self._handled(ask, part=part)
        self._api.throttle.enter(mailbox.id)
        try:
            await asyncio.sleep(self.latency)
            return await self._handled(ask, part=part)
        finally:
            self._api.throttle.leave(mailbox.id)

    async def _handled(self, ask: Ask, *, part: bool) -> Answer:
        with self._lock:
            answer = self._api.handle(ask, part=part)
        if answer.settle:
            answer = await self._settled(ask, answer.settle, part=part)
        if answer.delay:
            await self.sleep(answer.delay)
        return answer

    async def _settled(self, ask: Ask, settle: Callable[[], Awaitable[Answer]], *, part: bool) -> Answer:
        try:
            answer = await settle()
        except Refusal as refusal:
            answer = self._api.refused(refusal)
        with self._lock:
            return self._api.note(ask, answer, part=part)

    async def _batch(self, ask: Ask) -> Answer:
        try:
            self._api.check_grant(ask)
            fault = self._api.faults.answer(ask, None, self._api.clock(), part=False)
            if fault is not None and fault.status:
                return self._api.note(ask, fault)
            requests = _checked(ask.json().get("requests"))
        except Refusal as refusal:
            return self._api.note(ask, self._api.refused(refusal))
        responses = await self._parts(ask, requests)
        self._rng.shuffle(responses)
        return self._api.note(ask, Answer(200, {"responses": responses}))

    async def _parts(self, ask: Ask, requests: list[Json]) -> list[Json]:
        """Four at a time for a mailbox; what depends on a part that failed is not run."""
        done: dict[str, Json] = {}
        waiting = list(requests)
        while waiting:
            ready = [one for one in waiting if set(one.get("dependsOn", [])) <= set(done)][:AT_ONCE]
            for response in await asyncio.gather(*(self._part(ask, one, done) for one in ready)):
                done[response["id"]] = response
            waiting = [one for one in waiting if one["id"] not in done]
        return list(done.values())

    async def _part(self, ask: Ask, request: Json, done: dict[str, Json]) -> Json:
        if any(done[one]["status"] >= 400 for one in request.get("dependsOn", [])):
            refusal = Refusal(424, "FailedDependency", "A request that this one depends on failed.")
            return _response(request["id"], self._api.refused(refusal))
        headers = {"Authorization": ask.headers.get("authorization", ""), **request.get("headers", {})}
        body = request.get("body")
        inner = Ask.to(
            request["method"],
            f"/v1.0/{str(request['url']).lstrip('/')}",
            headers=headers,
            body=b"" if body is None else Answer(body=body).payload(),
            base=ask.base,
        )
        return _response(request["id"], await self._single(inner, part=True))


def _checked(requests: Any) -> list[Json]:
    """The parts of a batch, if Graph would take them."""
    if not isinstance(requests, list) or not requests:
        raise Refusal(400, "BadRequest", "Invalid batch payload format.")
    if len(requests) > BATCH_LIMIT:
        raise Refusal(400, "BadRequest", "Number of batch request steps exceeds the maximum value of 20.")
    identifiers = [one.get("id") for one in requests]
    if len(set(identifiers)) < len(identifiers) or not all(isinstance(one, str) for one in identifiers):
        raise Refusal(400, "BadRequest", "The request ids of a batch must be unique strings.")
    for one in requests:
        if str(one.get("url", "")).lstrip("/").lower().startswith("v1.0"):
            raise Refusal(400, "BadRequest", "Urls of a batch are relative to the version.")
        names = {name.lower() for name in one.get("headers", {})}
        if one.get("body") is not None and "content-type" not in names:
            raise Refusal(400, "BadRequest", "Write request id : {id} does not contain Content-Type header.")
    _check_dependencies(requests, set(identifiers))
    return requests


def _check_dependencies(requests: Iterable[Json], known: set[Any]) -> None:
    before: set[str] = set()
    for one in requests:
        if not set(one.get("dependsOn", [])) <= before & known:
            raise Refusal(400, "BadRequest", "A request may depend on earlier ones only.")
        before.add(one["id"])


def _response(identifier: str, answer: Answer) -> Json:
    response: Json = {"id": identifier, "status": answer.status, "headers": dict(answer.headers)}
    return response if answer.body is None else {**response, "body": answer.body}


async def _live(receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def _read(scope: Scope, receive: Receive) -> Ask:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1").lower()
        headers[name] = (
            f"{headers[name]}, {value.decode('latin-1')}" if name in headers else value.decode("latin-1")
        )
    return Ask(
        method=scope["method"],
        path=scope["path"],
        query=tuple(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers=headers,
        body=body,
        base=f"{scope['scheme']}://{headers.get('host', 'graph.microsoft.com')}",
    )


async def _write(answer: Answer, send: Send) -> None:
    payload = answer.payload()
    kind = "application/json" if isinstance(answer.body, dict) else "text/plain"
    headers = {"content-type": kind} | {name.lower(): value for name, value in answer.headers.items()}
    length = len(payload) + 100 if answer.broken else len(payload)
    headers["content-length"] = str(length)
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    await send({"type": "http.response.body", "body": payload, "more_body": answer.broken})
    if answer.broken:
        raise httpx2.ReadError("The simulator ends the connection here.")
