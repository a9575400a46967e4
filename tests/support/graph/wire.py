"""What goes in and out of the simulated hosts, apart from any server."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Json = dict[str, Any]


@dataclass(frozen=True)
class Ask:
    """One request. `headers` have lower-case names; `base` is scheme and host as the client wrote them."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base: str = "https://graph.microsoft.com"

    @classmethod
    def to(
        cls, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"", base: str = ""
    ) -> Ask:
        """A request to a whole url, or to a path and query below `base`."""
        parts = urlsplit(url)
        return cls(
            method=method.upper(),
            path=unquote(parts.path),
            query=tuple(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in headers.items()},
            body=body,
            base=base or f"{parts.scheme}://{parts.netloc}",
        )

    def parameters(self) -> dict[str, str]:
        """The query by lower-case name, with or without `$`, as OData reads it."""
        return {name.lower().removeprefix("$"): value for name, value in self.query}

    def form(self) -> dict[str, str]:
        """The fields of a form body."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    def json(self) -> Json:
        """The JSON object of the body; a `Refusal` says that it is none."""
        try:
            found = json.loads(self.body or b"{}")
        except ValueError as error:
            raise Refusal(400, "RequestBodyRead", "The body is not JSON.") from error
        if not isinstance(found, dict):
            raise Refusal(400, "RequestBodyRead", "The body is not a JSON object.")
        return found

    def prefers(self) -> dict[str, str]:
        """The preferences by lower-case name, values without quotes."""
        parts = (part.partition("=") for part in self.headers.get("prefer", "").split(","))
        return {name.strip().lower(): value.strip().strip('"') for name, _, value in parts if name.strip()}


@dataclass
class Answer:
    """One answer; a dictionary is sent as JSON, text and bytes as they are."""

    status: int = 200
    body: Json | str | bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    broken: bool = False
    """The connection ends in the middle of the body."""
    settle: Callable[[], Awaitable[Answer]] | None = None
    """Somebody else must be asked first; the answer is what this gives, or the `Refusal` that it raises."""

    def payload(self) -> bytes:
        """The bytes of the body."""
        if self.body is None:
            return b""
        if isinstance(self.body, dict):
            return json.dumps(self.body).encode()
        return self.body.encode() if isinstance(self.body, str) else self.body


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault of the simulator
    """An error that Graph would answer."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        inner: str = "",
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message or code
        self.headers = dict(headers or {})
        self.inner = inner
        """A code that stands in `innerError` only."""
