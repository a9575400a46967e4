"""A tiny company and archives of its mail, for tests that count."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final

TENANT: Final = "acme"
DIRECTORY: Final[dict[str, Any]] = {
    "tenant": {"id": TENANT, "timezone": "Europe/Stockholm", "own_domains": ["acme.com"], "settings": {}},
    "members": [{"id": "m1", "name": "Anna", "addresses": ["a@acme.com"]}],
    "customers": [{"id": "c1", "name": "Kund", "domains": ["kund.se"]}],
    "contacts": [{"id": "p1", "name": "Xenia", "customer": "c1", "addresses": ["x@kund.se"]}],
}
FROM: Final = b"From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n"


def mail(name: str, padding: int = 0) -> bytes:
    """A mail from the contact to the member, an hour old, its header block so much longer."""
    sent = format_datetime(datetime.now(UTC) - timedelta(hours=1))
    noise = random.Random(name).randbytes(padding // 2).hex()
    lines = [
        "From: Xenia <x@kund.se>",
        "To: a@acme.com",
        f"Date: {sent}",
        f"Message-ID: <{name}.of.the.tests@kund.se>",
        f"Subject: {name}",
        f"X-Noise: {noise}",
        "",
        f"text of {name}",
        "",
    ]
    return "\n".join(lines).encode()


def mbox(count: int, name: str = "mail", padding: int = 0) -> bytes:
    """An mbox of so many mails; the name makes them others than those of another mbox."""
    return b"".join(FROM + mail(f"{name}-{number}", padding) + b"\n" for number in range(count))
