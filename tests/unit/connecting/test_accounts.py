"""Whose account it is, as Graph says it."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from rapport.connecting.accounts import Account, GraphAccounts
from rapport_producers.graph.errors import SignInNeeded

BASE = "https://graph.microsoft.com/v1.0"


def accounts(body: dict[str, Any], status: int = 200) -> GraphAccounts:
    """A Graph that answers everything with this."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, json=body))
    return GraphAccounts(BASE, lambda: httpx2.AsyncClient(transport=transport))


@pytest.mark.parametrize(
    ("said", "addresses"),
    [
        ({"mail": "a@x.se", "userPrincipalName": "a@x.se"}, ("a@x.se",)),
        ({"mail": None, "userPrincipalName": "a@x.onmicrosoft.com"}, ("a@x.onmicrosoft.com",)),
        (
            {
                "mail": "a@x.se",
                "proxyAddresses": ["SMTP:a@x.se", "smtp:alias@x.se", "SIP:a@x.se", "x500:/o=x", 7],
            },
            ("a@x.se", "alias@x.se"),
        ),
        ({"mail": "", "proxyAddresses": "smtp:a@x.se"}, ()),
    ],
)
def test_every_address_of_the_account_is_known(said: dict[str, Any], addresses: tuple[str, ...]) -> None:
    """As a name, as an alias; other kinds of names are no addresses."""
    user_name = said.get("userPrincipalName", "")
    assert accounts({"id": "oid", **said}).own("token") == Account("oid", addresses, user_name)


def test_a_token_that_is_refused_at_once_asks_for_no_other() -> None:
    body = {"error": {"code": "InvalidAuthenticationToken", "message": "no"}}
    with pytest.raises(SignInNeeded):
        accounts(body, 401).own("token")


def test_each_address_is_told_apart() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if "anna" in request.url.path:
            return httpx2.Response(200, json={"id": "inbox"})
        return httpx2.Response(404, json={"error": {"code": "MailboxNotEnabledForRESTAPI", "message": "no"}})

    transport = httpx2.MockTransport(answer)
    found = GraphAccounts(BASE, lambda: httpx2.AsyncClient(transport=transport)).opens(
        "token", ["anna@x.se", "bert@x.se"]
    )
    assert found["anna@x.se"] is None
    assert found["bert@x.se"] is not None
