"""The master key: where it comes from, and the proof that it is the one this store was sealed with.

A rotation (`rapport.store.rotating`) keeps the next key beside the file of the present one until the store is sealed with it. So
whoever finds that the file's key does not open the store looks there.
"""

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
from rapport.store.sealer import CHECK, CHECK_CONTEXT, KEY_BYTES, KeyWrapper, LocalKey
from rapport_core.errors import ConfigError, PoisonError

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


def obtain(settings: MasterKeySettings, database: Database) -> LocalKey:
    """The master key of this store, proven to be the right one.

    Looks in RAPPORT_MASTER_KEY, then in the file RAPPORT_MASTER_KEY_FILE, then in `master.key` under home. The last is
    made, readable by its owner only, when a SQLite store is used for the first time. Call it under the migration lock:
    what a rotation that ended by a crash left to do is done.

    Raises:
        ConfigError: there is none, it cannot be read, or the store was sealed with another one.
    """
    check = read_check(database)
    key = _configured(settings)
    if key is None:
        key = _make_file(settings.home / "master.key", database, holds_secrets=check is not None)
    if check is None:
        write_check(database, key)
        return key
    if opens(key, check):
        return key
    file, following = key_file(settings), _next_key(settings)
    if file is None or following is None or not opens(following, check):
        raise _wrong(database)
    put_in_place(file)
    return following


def renewed(settings: MasterKeySettings, database: Database) -> LocalKey:
    """The master key after it was rotated while this process ran. Raises ConfigError when it is not where it was."""
    check, newest = None, read_check(database)
    while newest is not None and newest != check:
        check = newest
        # The next key may be put in place between two looks, so the file itself is looked at twice.
        for look in (_configured, _next_key, _configured):
            key = look(settings)
            if key is not None and opens(key, check):
                return key
        newest = read_check(database)
    raise _wrong(database)


def prove(wrapper: KeyWrapper, database: Database) -> None:
    """Proves that a wrapper opens this store, or makes it the one that does if there is none yet. Raises ConfigError."""
    check = read_check(database)
    if check is None:
        write_check(database, wrapper)
    elif not opens(wrapper, check):
        raise _wrong(database)


def opens(wrapper: KeyWrapper, check: bytes) -> bool:
    """Whether a store with this check was sealed with it."""
    try:
        wrapper.unwrap(check, CHECK_CONTEXT)
    except PoisonError:
        return False
    return True


def key_file(settings: MasterKeySettings) -> Path | None:
    """The file that the master key comes from; None: it stands in the environment itself."""
    if settings.master_key is not None:
        return None
    return settings.master_key_file or settings.home / "master.key"


def next_file(file: Path) -> Path:
    """Where a rotation keeps the key that is to take the place of this one."""
    return file.with_name(f"{file.name}.next")


def put_in_place(file: Path) -> None:
    """The next key becomes the key. Raises ConfigError when the file cannot be replaced."""
    try:
        next_file(file).replace(file)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigError(
            f"the store is sealed with the new key in {next_file(file)}, which cannot be moved to {file}: "
            "move it there yourself"
        ) from error


def _next_key(settings: MasterKeySettings) -> LocalKey | None:
    file = key_file(settings)
    if file is None:
        return None
    try:
        return read_file(next_file(file))
    except ConfigError:
        return None


def _configured(settings: MasterKeySettings) -> LocalKey | None:
    if settings.master_key is not None:
        return LocalKey(read_key(settings.master_key.get_secret_value(), "RAPPORT_MASTER_KEY"))
    if settings.master_key_file is not None:
        return read_file(settings.master_key_file)
    default = settings.home / "master.key"
    return read_file(default) if default.exists() else None


def read_file(path: Path) -> LocalKey:
    """The key in a file. Raises ConfigError when there is none."""
    try:
        return LocalKey(read_key(path.read_text(encoding="ascii"), str(path)))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the master key file {path} cannot be read: check RAPPORT_MASTER_KEY_FILE and its rights"
        ) from error


def _make_file(path: Path, database: Database, *, holds_secrets: bool) -> LocalKey:
    if holds_secrets:
        raise ConfigError(
            f"the master key of this store is missing: put it back to {path} or into RAPPORT_MASTER_KEY; "
            "a new one could not open what is sealed"
        )
    if not database.is_sqlite:
        raise ConfigError(
            f"a store on PostgreSQL needs RAPPORT_MASTER_KEY or RAPPORT_MASTER_KEY_FILE: {_HOW_TO_MAKE}"
        )
    return make_file(path)


def make_file(path: Path) -> LocalKey:
    """A new key in a file that only its owner can read, on the disk. Raises ConfigError."""
    key = secrets.token_bytes(KEY_BYTES)
    _write_private(path, base64.b64encode(key) + b"\n")
    return LocalKey(key)


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


def read_check(database: Database) -> bytes | None:
    """What opens with the right master key only; None in a new store."""
    with database.read() as connection:
        found: bytes | None = connection.scalar(select(facts.c.value).where(facts.c.name == CHECK))
    return found


def write_check(database: Database, wrapper: KeyWrapper) -> None:
    """Makes this the key of a new store."""
    with database.write() as connection:
        value = wrapper.wrap(CHECK_CONTEXT, CHECK_CONTEXT)
        connection.execute(facts.insert().values(name=CHECK, value=value))


def _wrong(database: Database) -> ConfigError:
    place = database.file or f"on {database.url.host}"
    return ConfigError(
        f"the master key does not open this store ({place}): give back the key it was made with "
        "(RAPPORT_MASTER_KEY, RAPPORT_MASTER_KEY_FILE or master.key under RAPPORT_HOME)"
    )
