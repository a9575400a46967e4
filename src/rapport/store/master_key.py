"""The master key: where it comes from, and the proof that it is the one this store was sealed with."""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr
from sqlalchemy import select

from rapport.store.database import Database
from rapport.store.schema import facts
from rapport.store.sealer import CHECK, CHECK_CONTEXT, KEY_BYTES
from rapport_core.errors import ConfigError, PoisonError
from rapport_schemas.sealing import seal, unseal

_HOW_TO_MAKE = "32 random bytes in base64 or hex, such as `openssl rand -base64 32` prints"


class MasterKeySettings(Protocol):
    """The part of the settings that says where the master key is."""

    @property
    def home(self) -> Path:
        """Where a local instance keeps its data."""
        ...

    @property
    def master_key(self) -> SecretStr | None:
        """The key itself, as text."""
        ...

    @property
    def master_key_file(self) -> Path | None:
        """A file that holds it."""
        ...


def read_key(text: str, source: str) -> bytes:
    """The 32 bytes that `text` writes down in base64 or hex. Raises ConfigError naming `source`, never the text."""
    text = text.strip()
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        return bytes.fromhex(text)
    try:
        key = base64.b64decode(
            text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True
        )
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{source} does not hold a master key: it must be {_HOW_TO_MAKE}")
    return key


def obtain(settings: MasterKeySettings, database: Database) -> bytes:
    """The master key of this store, proven to be the right one.

    Looks in RAPPORT_MASTER_KEY, then in the file RAPPORT_MASTER_KEY_FILE, then in `master.key` under home. The last is
    made, readable by its owner only, when a SQLite store is used for the first time. Call it under the migration lock.

    Raises:
        ConfigError: there is none, it cannot be read, or the store was sealed with another one.
    """
    check = _read_check(database)
    key = _configured(settings)
    if key is None:
        key = _make_file(settings.home / "master.key", database, holds_secrets=check is not None)
    if check is None:
        _write_check(database, key)
    else:
        _prove(key, check, database)
    return key


def _configured(settings: MasterKeySettings) -> bytes | None:
    if settings.master_key is not None:
        return read_key(settings.master_key.get_secret_value(), "RAPPORT_MASTER_KEY")
    if settings.master_key_file is not None:
        return _read_file(settings.master_key_file)
    default = settings.home / "master.key"
    return _read_file(default) if default.exists() else None


def _read_file(path: Path) -> bytes:
    try:
        return read_key(path.read_text(encoding="ascii"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the master key file {path} cannot be read: check RAPPORT_MASTER_KEY_FILE and its rights"
        ) from error


def _make_file(path: Path, database: Database, *, holds_secrets: bool) -> bytes:
    if holds_secrets:
        raise ConfigError(
            f"the master key of this store is missing: put it back to {path} or into RAPPORT_MASTER_KEY; "
            "a new one could not open what is sealed"
        )
    if not database.is_sqlite:
        raise ConfigError(
            f"a store on PostgreSQL needs RAPPORT_MASTER_KEY or RAPPORT_MASTER_KEY_FILE: {_HOW_TO_MAKE}"
        )
    key = secrets.token_bytes(KEY_BYTES)
    _write_private(path, base64.b64encode(key) + b"\n")
    return key


def _write_private(path: Path, content: bytes) -> None:
    """A file of 0600 that is there as a whole, on the disk, or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise ConfigError(
            f"the master key cannot be written to {path}: check that the folder is writable and has room"
        ) from error


def _read_check(database: Database) -> bytes | None:
    with database.read() as connection:
        found: bytes | None = connection.scalar(select(facts.c.value).where(facts.c.name == CHECK))
    return found


def _write_check(database: Database, key: bytes) -> None:
    with database.write() as connection:
        connection.execute(facts.insert().values(name=CHECK, value=seal(key, CHECK_CONTEXT, CHECK_CONTEXT)))


def _prove(key: bytes, check: bytes, database: Database) -> None:
    try:
        unseal(key, check, CHECK_CONTEXT)
    except PoisonError as error:
        place = database.file or f"on {database.url.host}"
        raise ConfigError(
            f"the master key does not open this store ({place}): give back the key it was made with "
            "(RAPPORT_MASTER_KEY, RAPPORT_MASTER_KEY_FILE or master.key under RAPPORT_HOME)"
        ) from error
