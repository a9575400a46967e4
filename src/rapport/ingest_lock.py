"""One `rapport ingest` per connection: a lock in the home folder that ends with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from rapport.local import instance
from rapport_core.errors import ConfigError
from rapport_schemas.topics import composite_key

_HASH_BYTES = 16


@contextmanager
def only_reader(home: Path, tenant: str, connection: str) -> Iterator[None]:
    """Held while a connection's archive is read.

    Raises ConfigError when another process under the same home holds it, or the home cannot be written.
    """
    folder = home / "run"
    for place in (home, folder):
        instance.make_private_folder(place)
    name = blake2b(composite_key(tenant, connection), digest_size=_HASH_BYTES).hexdigest()
    path = folder / f"ingest-{name}.lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise instance.folder_error(folder, error) from error
    # The file stays: whoever removed it could take it from under a process that has just opened it.
    with os.fdopen(handle, "r+b"):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"another `rapport ingest` reads the connection {connection} now: "
                "wait until it has ended and run the same command again"
            ) from error
        except OSError as error:
            raise instance.folder_error(folder, error) from error
        yield
