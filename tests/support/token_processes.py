"""What tests of tokens run in processes of their own."""

from __future__ import annotations

import os

from rapport.connecting.registration import sign_in_of
from rapport.connecting.tokens import Tokens
from rapport.settings import load_settings
from rapport.store import Store

REFUSED = "TEST_REFUSED_TOKEN"
"""The variable that holds the token that Graph refuses."""


def token_after_a_refusal(store: Store) -> list[str]:
    """Another token for the connection `c1` of `acme`."""
    tokens = Tokens(store.vault, store.leases, sign_in_of(load_settings()))
    return [tokens.token("acme", "c1", refused=os.environ[REFUSED])]
