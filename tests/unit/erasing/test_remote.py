"""What Microsoft was asked to tell of ends with the connection; whatever keeps it from that is no loss of anything else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from pydantic import SecretStr

from directory_entries import entry
from graph import Simulator
from graph.entra import CLIENT_ID, CLIENT_SECRET
from rapport.connecting.accounts import GraphAccounts
from rapport.connecting.desk import ConnectingDesk
from rapport.connecting.mailbox import LoopTokens, MicrosoftMailbox
from rapport.connecting.registration import TIMEOUT_SECONDS, sign_in_of, trusted
from rapport.connecting.tokens import Tokens
from rapport.erasing.remote import MicrosoftEnd
from rapport.settings import Settings
from rapport.store import Store, open_store
from rapport_core.clock import SystemClock
from rapport_core.errors import UnavailableError
from rapport_producers.graph.client import GraphClient
from rapport_producers.graph.limits import Limits
from rapport_producers.graph.subscriptions import Subscriptions
from simulated_sign_in import MemoryRegistry
from store_processes import StoreSettings

ADDRESS, ID, PUBLIC = "anna@acme.example", "microsoft-m1", "https://rapport.example"


def shakes_hands(request: httpx2.Request) -> httpx2.Response:
    """A receiver that wants to be told, and hears nothing."""
    return httpx2.Response(200, text=request.url.params.get("validationToken", ""))


@pytest.fixture
def simulator() -> Simulator:
    simulator = Simulator(seed=7)
    simulator.entra.signs_in = ADDRESS
    simulator.mailbox(ADDRESS)
    simulator.push.transport = httpx2.MockTransport(shakes_hands)
    return simulator


@pytest.fixture
def settings(simulator: Simulator, tmp_path: Path) -> Iterator[Settings]:
    with simulator.serve(tmp_path) as served:
        yield Settings(
            home=tmp_path / "home",
            microsoft_client_id=CLIENT_ID,
            microsoft_client_secret=SecretStr(CLIENT_SECRET),
            microsoft_authority=served.authority,
            microsoft_graph=served.graph,
            ca_file=served.ca_file,
            public_url=PUBLIC,
        )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(StoreSettings(tmp_path)) as opened:
        yield opened


@pytest.fixture
def end(settings: Settings, store: Store) -> MicrosoftEnd:
    """A connected account of which Microsoft was asked to tell."""
    context = trusted(settings)
    accounts = GraphAccounts(
        settings.microsoft_graph, lambda: httpx2.AsyncClient(verify=context, timeout=TIMEOUT_SECONDS)
    )
    desk = ConnectingDesk(
        store, MemoryRegistry(entry("member", "m1", ADDRESS)), sign_in_of(settings), accounts
    )
    redirect = "http://localhost/connections/microsoft/done"
    with httpx2.Client(verify=context) as browser:
        answer = browser.get(desk.begin("acme", "m1", redirect, "session"))
    desk.finish("session", dict(parse_qsl(urlsplit(answer.headers["location"]).query)))
    asyncio.run(subscribe(settings, store))
    return MicrosoftEnd(settings, store, patience_s=10.0)


async def subscribe(settings: Settings, store: Store) -> None:
    """What a connector does."""
    mailbox = MicrosoftMailbox(
        "acme", ID, "/me", LoopTokens(Tokens(store.vault, store.leases, sign_in_of(settings)))
    )
    async with httpx2.AsyncClient(verify=trusted(settings)) as http:
        limits = Limits(asyncio.get_running_loop().time, asyncio.sleep)
        client = GraphClient(http, settings.microsoft_graph, limits, SystemClock(), asyncio.sleep)
        made = Subscriptions(client, store.subscriptions, PUBLIC, SystemClock())
        assert await made.ensure(mailbox)


def test_what_was_asked_for_ends(end: MicrosoftEnd, store: Store, simulator: Simulator) -> None:
    """At Microsoft and here; once more there is nothing to ask."""
    mailbox = simulator.mailbox(ADDRESS)
    assert len(simulator.subscriptions.of(mailbox)) == 2
    end("acme", ID)
    assert not simulator.subscriptions.of(mailbox)
    assert not store.subscriptions.of("acme", ID)
    asked = len(simulator.calls)
    end("acme", ID)
    assert len(simulator.calls) == asked


def test_while_microsoft_is_away_it_is_to_be_asked_again(
    end: MicrosoftEnd, store: Store, simulator: Simulator
) -> None:
    """Nothing is forgotten meanwhile."""
    simulator.faults.add("DELETE", "/subscriptions", count=None, kind="throttled", seconds=3_600.0)
    with pytest.raises(UnavailableError):
        MicrosoftEnd(end.settings, store, patience_s=1.0)("acme", ID)
    assert len(store.subscriptions.of("acme", ID)) == 2


def test_what_nobody_can_sign_in_for_is_left_to_end_by_itself(
    end: MicrosoftEnd, store: Store, simulator: Simulator
) -> None:
    """It takes a week at most, and what it tells until then is heard by nobody."""
    store.vault.drop("acme", ID)
    asked = len(simulator.calls)
    end("acme", ID)
    assert not store.subscriptions.of("acme", ID)
    assert len(simulator.calls) == asked
