"""Sealing: AES-256-GCM with a fresh nonce, bound to what it belongs to.

Layout: one version byte, 12 bytes nonce, ciphertext with tag. The context (tenant, connection, purpose) is associated
data: sealed bytes moved to another place do not open.
"""

from __future__ import annotations

import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rapport_core.errors import PoisonError

_VERSION = b"\x01"
_NONCE_BYTES = 12


@lru_cache(maxsize=4096)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)


def seal(key: bytes, plain: bytes, context: bytes) -> bytes:
    """`plain` so that only `key` with the same `context` opens it."""
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION + nonce + _cipher(key).encrypt(nonce, plain, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """The inverse of `seal`. Raises PoisonError(`unsealable`) when key, context or bytes do not belong together."""
    if sealed[:1] != _VERSION:
        raise PoisonError("unsealable", "these bytes are not sealed in a known way")
    try:
        return _cipher(key).decrypt(sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :], context)
    except (InvalidTag, ValueError) as error:
        raise PoisonError("unsealable", "sealed bytes do not open with the key they name") from error
