"""Everything secret in the store is sealed here, under the master key or what stands for it.

Keys are wrapped by the master key itself. What is longer has a data key of its own, wrapped beside it (an envelope), so that a
new master key re-wraps 32 bytes for each and never sees what they protect.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable
from typing import Final, Protocol

from sqlalchemy import Connection, select

from rapport.store.schema import facts
from rapport_core.errors import ConfigError, InvariantError, PoisonError
from rapport_schemas.sealing import seal, unseal
from rapport_schemas.topics import composite_key

KEY_BYTES: Final = 32
CHECK: Final = "master_check"
"""The fact that opens with the right master key only."""
CHECK_CONTEXT: Final = b"rapport master key check"

_ENVELOPE: Final = b"\x01"
_LENGTH: Final = struct.Struct(">H")
_DATA_KEY: Final = b"data_key"


class KeyWrapper(Protocol):
    """Wraps keys: a master key in memory, or a key management service that never shows its own."""

    def wrap(self, key: bytes, context: bytes, /) -> bytes:
        """`key` so that only `unwrap` with the same context gives it back. Raises UnavailableError when it cannot now."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes, /) -> bytes:
        """The inverse. Raises PoisonError when it was wrapped otherwise, UnavailableError when it cannot now."""
        ...


class LocalKey:
    """A master key of 32 bytes, from a file or the environment."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "LocalKey(…)"

    def wrap(self, key: bytes, context: bytes, /) -> bytes:
        """AES-256-GCM with the context as associated data."""
        return seal(self._key, key, context)

    def unwrap(self, wrapped: bytes, context: bytes, /) -> bytes:
        """The inverse. Raises PoisonError."""
        return unseal(self._key, wrapped, context)


class Sealer:
    """Seals and opens with one master key.

    Whatever is sealed is sealed in the transaction that writes it: there it is proven that the master key has not been rotated
    since this process began. Otherwise a process that knows the old key only would write what nobody can open. A process that
    finds its key to be an old one looks for the new one, once for each time.
    """

    def __init__(self, wrapper: KeyWrapper, renewed: Callable[[], KeyWrapper] | None = None) -> None:
        """`renewed` finds the key after a rotation, or raises ConfigError; None where there can be no other."""
        self._wrapper, self._renewed = wrapper, renewed
        self._proven = b""

    def __repr__(self) -> str:
        return "Sealer(…)"

    def wrap(self, transaction: Connection, key: bytes, context: bytes) -> bytes:
        """A key for the store. Raises ConfigError when the master key is another by now."""
        self._prove(transaction)
        return self._wrapper.wrap(key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The inverse. Raises ConfigError when the master key is not the one it was wrapped with."""
        try:
            return self._wrapper.unwrap(bytes(wrapped), context)
        except PoisonError as error:
            if self._renewed is None:
                raise _wrong_key() from error
        self._wrapper = self._renewed()
        try:
            return self._wrapper.unwrap(bytes(wrapped), context)
        except PoisonError as error:
            raise _wrong_key() from error

    def seal(self, transaction: Connection, plain: bytes, *context: str) -> bytes:
        """An envelope. Raises ConfigError when the master key is another by now.

        Args:
            transaction: the one that writes it.
            plain: what to keep secret.
            context: purpose and owner, such as `credential`, tenant, connection. In another place it does not open.
        """
        key = secrets.token_bytes(KEY_BYTES)
        wrapped = self.wrap(transaction, key, _DATA_KEY)
        return _ENVELOPE + _LENGTH.pack(len(wrapped)) + wrapped + seal(key, plain, composite_key(*context))

    def open(self, envelope: bytes, *context: str) -> bytes:
        """What was sealed. Raises ConfigError for another master key, InvariantError for an envelope out of place."""
        wrapped, sealed = _parts(bytes(envelope))
        key = self.unwrap(wrapped, _DATA_KEY)
        try:
            return unseal(key, sealed, composite_key(*context))
        except PoisonError:
            raise InvariantError(f"what the store keeps as {context[0]} belongs elsewhere") from None

    def _prove(self, transaction: Connection) -> None:
        # The share lock makes a rotation on PostgreSQL wait for this transaction; SQLite has one writer anyway.
        check = transaction.scalar(
            select(facts.c.value).where(facts.c.name == CHECK).with_for_update(read=True)
        )
        if check is None:
            raise InvariantError("this store has no master key yet: it must be opened by open_store")
        if check != self._proven:
            self.unwrap(check, CHECK_CONTEXT)
            self._proven = check


def rewrapped(envelope: bytes, before: Sealer, after: KeyWrapper) -> bytes:
    """The same envelope under another master key; its content is not looked at."""
    wrapped, sealed = _parts(bytes(envelope))
    fresh = after.wrap(before.unwrap(wrapped, _DATA_KEY), _DATA_KEY)
    return _ENVELOPE + _LENGTH.pack(len(fresh)) + fresh + sealed


def _parts(envelope: bytes) -> tuple[bytes, bytes]:
    head = len(_ENVELOPE) + _LENGTH.size
    if envelope[:1] != _ENVELOPE or len(envelope) < head:
        raise InvariantError("what the store keeps sealed is damaged")
    end = head + _LENGTH.unpack_from(envelope, len(_ENVELOPE))[0]
    return envelope[head:end], envelope[end:]


def _wrong_key() -> ConfigError:
    return ConfigError(
        "the master key does not open this store: give back the key it was made with, "
        "or restart this process if the key was rotated while it ran"
    )
