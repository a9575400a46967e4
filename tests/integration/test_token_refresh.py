"""Tokens over a real store and the simulated Microsoft over TLS, from several processes at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from graph import Simulator
from graph.entra import CLIENT_ID, CLIENT_SECRET
from rapport.connecting.credential import Credential
from rapport.connecting.registration import sign_in_of
from rapport.connecting.tokens import Tokens
from rapport.settings import load_settings
from rapport.store import open_store
from rapport_producers.microsoft_sign_in import SignedIn
from simulated_sign_in import REDIRECT, browse
from store_processes import StoreSettings, in_processes
from token_processes import REFUSED, token_after_a_refusal

PROCESSES = 4


@pytest.fixture
def simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    simulator = Simulator(seed=7)
    simulator.mailbox("anna@acme.example")
    simulator.entra.signs_in = "anna@acme.example"
    with simulator.serve(tmp_path) as served:
        for name, value in {
            "HOME": str(tmp_path / "home"),
            "MICROSOFT_CLIENT_ID": CLIENT_ID,
            "MICROSOFT_CLIENT_SECRET": CLIENT_SECRET,
            "MICROSOFT_AUTHORITY": served.authority,
            "MICROSOFT_GRAPH": served.graph,
            "CA_FILE": str(served.ca_file),
        }.items():
            monkeypatch.setenv(f"RAPPORT_{name}", value)
        yield simulator


def refreshes(simulator: Simulator) -> int:
    """How often a refresh token was used."""
    return sum(form.get("grant_type") == "refresh_token" for _, form in simulator.entra.calls)


def credential_of(signed_in: SignedIn) -> Credential:
    return Credential(
        "delegated", signed_in.account, signed_in.microsoft_tenant, signed_in.scopes, signed_in.cache
    )


def test_processes_that_need_a_token_at_once_renew_it_once(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait for the lease and take what the first one kept."""
    settings = load_settings()
    sign_in = sign_in_of(settings)
    url, flow = sign_in.begin(REDIRECT)
    signed_in = sign_in.finish(flow, browse(simulator, url))
    first = sign_in.token(signed_in.cache).value
    with open_store(settings) as store:
        store.vault.put("acme", "c1", "graph", credential_of(signed_in).to_bytes())
    monkeypatch.setenv(REFUSED, first)

    found = in_processes(StoreSettings(settings.home), token_after_a_refusal, PROCESSES)

    assert refreshes(simulator) == 1
    assert len({token for (token,) in found} - {first}) == 1
    with open_store(settings) as store:
        tokens = Tokens(store.vault, store.leases, sign_in)
        assert tokens.token("acme", "c1") == found[0][0]
        assert tokens.token("acme", "c1", refused=found[0][0]) not in (first, found[0][0])
    assert refreshes(simulator) == 2
