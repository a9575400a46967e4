"""Tokens that only our own pages know, so that no other site can send a form in a user's name."""

from __future__ import annotations

import hmac
import secrets
from hashlib import blake2b


def session_csrf(token: str) -> str:
    """The form token of a session: made from its secret, so nothing needs to be stored."""
    return blake2b(b"form", key=blake2b(token.encode(), digest_size=32).digest(), digest_size=24).hexdigest()


def fresh_token() -> str:
    """A random token for the form before there is a session; cookie and form must agree."""
    return secrets.token_urlsafe(24)


def same(sent: object, expected: str) -> bool:
    """Whether a form's token is the expected one; false for an empty expectation. Takes equally long either way."""
    return (
        bool(expected)
        and isinstance(sent, str)
        and hmac.compare_digest(
            sent.encode("utf-8", "surrogateescape"), expected.encode("utf-8", "surrogateescape")
        )
    )
