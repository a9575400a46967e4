"""A client that asks the simulated Microsoft exactly what a test says, and nothing by itself; and a receiver of what it tells."""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import httpx2
import pytest

from graph.agenda import Meeting, Recurrence
from graph.clock import ManualClock, instant
from graph.journal import Quirks
from graph.letters import Letter
from graph.mailbox import Mailbox
from graph.schema import SCHEMA
from graph.simulator import Simulator
from graph.subscriptions import Subscription

T = TypeVar("T")
HOST: Final = "https://graph.microsoft.com"
IMMUTABLE: Final = 'IdType="ImmutableId"'
ANN: Final = "ann@contoso.example"
BOB: Final = "bob@contoso.example"
JO: Final = "Jo <jo@acme.example>"
INBOX: Final = "/me/mailFolders/inbox/messages"
DELTA: Final = f"{INBOX}/delta"
TREE: Final = "/me/mailFolders/delta"
MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86_400.0
VIEW: Final = "/me/calendarView/delta?startDateTime=2026-11-01T00:00:00Z&endDateTime=2027-01-01T00:00:00Z"
MONDAY: Final = datetime(2026, 11, 2, 10, 0)
PUBLIC: Final = "https://rapport.example/hooks"


@dataclass
class Asking:
    """See the module. Time stands unless the test moves it."""

    seed: int = 0
    quirks: Quirks = field(default_factory=Quirks)

    def __post_init__(self) -> None:
        self.clock = ManualClock()
        self.simulator = Simulator(self.seed, self.clock, self.quirks, sleep=self.clock.sleep)
        self.ann = self.simulator.mailbox(ANN, "Ann")
        self.bob = self.simulator.mailbox(BOB, "Bob")
        self._runner = asyncio.Runner()
        weakref.finalize(self, self._runner.close)

    def run(self, work: Callable[[httpx2.AsyncClient], Awaitable[T]]) -> T:
        """What a coroutine with a client at both hosts comes to."""

        async def within() -> T:
            transport = httpx2.ASGITransport(app=self.simulator.app)
            async with httpx2.AsyncClient(transport=transport) as client:
                return await work(client)

        return self._runner.run(within())

    def ask(
        self,
        method: str,
        path: str,
        *,
        of: Mailbox | None = None,
        token: str | None = None,
        prefer: Sequence[str] = (IMMUTABLE,),
        body: Any = None,
        **options: Any,
    ) -> httpx2.Response:
        """One request with a good token of a mailbox (Ann's unless said). `path` is below the version, or a whole link."""
        url = path if path.startswith("https:") else f"{HOST}/v1.0{path}"
        headers = self.headers(of, token, prefer) | dict(options.pop("headers", {}))
        return self.run(lambda client: client.request(method, url, headers=headers, json=body, **options))

    def headers(
        self, of: Mailbox | None = None, token: str | None = None, prefer: Sequence[str] = (IMMUTABLE,)
    ) -> dict[str, str]:
        """Authorization and preferences."""
        bearer = self.simulator.token(of or self.ann) if token is None else token
        return {"Authorization": f"Bearer {bearer}"} | ({"Prefer": ", ".join(prefer)} if prefer else {})

    def get(self, path: str, **options: Any) -> dict[str, Any]:
        """The body of an answer that must be 200."""
        answer = self.ask("GET", path, **options)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def pages(self, path: str, **options: Any) -> list[dict[str, Any]]:
        """A round or listing to its end, page by page."""
        found = [self.get(path, **options)]
        while (link := found[-1].get("@odata.nextLink")) is not None:
            found.append(self.get(link, **options))
        return found

    def round(self, path: str, **options: Any) -> tuple[list[dict[str, Any]], str]:
        """All items of a delta round, and the link to the next."""
        pages = self.pages(path, **options)
        return [one for page in pages for one in page["value"]], pages[-1]["@odata.deltaLink"]

    def batch(self, *requests: Mapping[str, Any], **options: Any) -> dict[str, dict[str, Any]]:
        """The answers by id; parts are GETs with the preference for immutable ids unless they say otherwise."""
        answer = self.ask("POST", "/$batch", body={"requests": [part(**one) for one in requests]}, **options)
        assert answer.status_code == 200, answer.text
        return {one["id"]: one for one in answer.json()["responses"]}

    def deliver(self, subject: str = "Hi", folder: str = "inbox", **more: Any) -> str:
        """A mail of Jo lies in Ann's mailbox."""
        letter = Letter(JO, (ANN,), subject, message_id=f"<{subject}@acme.example>")
        return self.ann.deliver(letter, folder, **more)


def part(**written: Any) -> dict[str, Any]:
    """One request of a batch."""
    return {"method": "GET", "headers": {"Prefer": IMMUTABLE}, **written}


def code(answer: httpx2.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, str(answer.json()["error"]["code"])


def removals(items: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Reasons of what was removed in a round, by id."""
    return {one["id"]: one["@removed"]["reason"] for one in items if "@removed" in one}


def ids(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ids of what is there in a round or listing, in its order."""
    return [str(one["id"]) for one in items if "@removed" not in one]


def meeting(subject: str = "Plan", start: datetime = MONDAY, **more: Any) -> Meeting:
    """An hour of Ann's."""
    return Meeting(subject, start, start + timedelta(hours=1), f"Ann <{ANN}>", **more)


def weekly(asking: Asking, count: int = 4) -> str:
    """A series in November, in Berlin."""
    return asking.ann.event(meeting(zone="Europe/Berlin"), Recurrence("weekly", count=count))


class Receiver:
    """Whoever subscribed. `says` is what it answers to notifications, `repeats` what it makes of a handshake's token."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.kinds: list[str] = []
        self.posts: list[tuple[str, list[dict[str, Any]]]] = []
        self.says: Callable[[], int] = lambda: 202
        self.repeats: Callable[[str], httpx2.Response] = lambda token: httpx2.Response(
            200, headers={"Content-Type": "text/plain; charset=utf-8"}, content=token.encode()
        )
        self.transport = httpx2.MockTransport(self._answer)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        token = request.url.params.get("validationToken")
        if token is not None:
            self.tokens.append(token)
            self.kinds.append(request.headers["content-type"])
            return self.repeats(token)
        self.posts.append((request.url.path, json.loads(request.content)["value"]))
        return httpx2.Response(self.says())

    @property
    def told(self) -> list[dict[str, Any]]:
        """Every notification that came, in order."""
        return [one for _, values in self.posts for one in values]


def wanted(asking: Asking, *, minutes: float = 10_080, **changed: Any) -> dict[str, Any]:
    """What a subscription to Ann's mail is asked for with."""
    return {
        "changeType": "created,updated,deleted",
        "notificationUrl": PUBLIC,
        "lifecycleNotificationUrl": f"{PUBLIC}/lifecycle",
        "resource": "me/messages",
        "expirationDateTime": instant(asking.clock() + minutes * MINUTE),
        "clientState": "secret",
        **changed,
    }


def subscribe(asking: Asking, **changed: Any) -> Subscription:
    """Makes one, and gives it as the simulator has it."""
    answer = asking.ask("POST", "/subscriptions", body=wanted(asking, **changed))
    assert answer.status_code == 201, answer.text
    return next(one for one in asking.simulator.subscriptions.of(asking.ann) if one.id == answer.json()["id"])


def deliver(asking: Asking) -> int:
    """Graph sends what is due; the number of requests."""
    return asking.run(lambda _: asking.simulator.push.deliver())


def needs_schema() -> None:
    """Skips the test, visibly, where Graph's description is not there."""
    if not SCHEMA.exists():
        pytest.skip(f"Graph's schema is not at {SCHEMA}: set RAPPORT_GRAPH_SCHEMA to its path")
