"""The app registration as the settings have it."""

from __future__ import annotations

from functools import partial

import httpx2
import pytest

from rapport.connecting.registration import sign_in_of
from rapport.settings import Settings
from rapport_producers.microsoft_sign_in_errors import SignInError


def test_no_sign_in_meets_the_cookies_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """One client asks for all accounts."""
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(503, headers={"set-cookie": "esctx=anna; path=/; secure"})

    transport = httpx2.MockTransport(answer)
    monkeypatch.setattr(httpx2, "Client", partial(httpx2.Client, transport=transport))
    sign_in = sign_in_of(Settings(microsoft_client_id="client"))
    for _ in range(2):
        with pytest.raises(SignInError):
            sign_in.begin("https://rapport.example/done")
    assert len(asked) == 2
    assert all("cookie" not in request.headers for request in asked)
