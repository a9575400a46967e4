"""What runs under a home folder: the lock that `rapport up` holds, and the file that says where its services are."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO

from rapport_core.errors import ConfigError, RapportError, UnavailableError

_LOCK = "up.lock"
_FILE = "instance.json"
_LOCK_PATIENCE_SECONDS = 1.0
_LEAST_FREE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Instance:
    """Endpoints as recorded: empty where a service is external. Holds the ClickHouse password."""

    kafka: str = ""
    kafka_controller_port: int = 0
    clickhouse: str = ""
    dashboard: str = ""
    webhooks: str = ""

    def __repr__(self) -> str:
        return f"Instance(kafka={self.kafka!r}, …)"


def make_private_folder(folder: Path) -> None:
    """Creates a folder only its owner may enter. Raises ConfigError or UnavailableError in one sentence."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
    except OSError as error:
        raise folder_error(folder, error) from error


def is_full(folder: Path) -> bool:
    """Whether so little room is left under a folder that services stop there; False where nothing can be seen."""
    try:
        return shutil.disk_usage(folder).free < _LEAST_FREE_BYTES
    except OSError:
        return False


def folder_error(folder: Path, error: OSError) -> RapportError:
    """The sentence for a folder that cannot be used."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return UnavailableError(f"the disk under {folder} is full: free some space and start again")
    return ConfigError(
        f"{folder} cannot be written ({error.strerror}): choose another folder with RAPPORT_HOME or allow it"
    )


def take_lock(home: Path) -> IO[str]:
    """The lock of a home folder, held until the file is closed or the process ends, however it ends.

    Raises ConfigError when another `rapport up` holds it.
    """
    handle = _open_lock(home)
    deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            # Another command may be looking at the lock for an instant.
            if time.monotonic() > deadline:
                owner = handle.read().strip() or "unknown"
                handle.close()
                raise ConfigError(
                    f"rapport up already runs under {home} (process {owner}):"
                    " use that one, or set RAPPORT_HOME to another folder"
                ) from error
            time.sleep(0.05)
    handle.seek(0)
    handle.truncate()
    handle.write(f"{os.getpid()}\n")
    handle.flush()
    return handle


def is_running(home: Path) -> bool:
    """Whether a `rapport up` holds the lock of this home."""
    try:
        with (home / _LOCK).open("r", encoding="utf-8") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def write(home: Path, found: Instance) -> None:
    """Records the endpoints, readable by the owner only, whole or not at all."""
    target = home / _FILE
    staging = home / f".{_FILE}.{os.getpid()}"
    try:
        with os.fdopen(
            os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            json.dump(asdict(found), file, indent=2)
        staging.replace(target)
    except OSError as error:
        raise folder_error(home, error) from error


def read_running(home: Path) -> Instance | None:
    """The recorded endpoints, or None when nothing runs under this home."""
    if not is_running(home):
        return None
    try:
        found = json.loads((home / _FILE).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        raise ConfigError(f"{home / _FILE} cannot be read ({error.strerror})") from error
    names = {field.name for field in fields(Instance)}
    return Instance(**{name: value for name, value in found.items() if name in names})


def forget(home: Path) -> None:
    """Removes the record; safe to repeat."""
    (home / _FILE).unlink(missing_ok=True)


def _open_lock(home: Path) -> IO[str]:
    try:
        return os.fdopen(os.open(home / _LOCK, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8")
    except OSError as error:
        raise folder_error(home, error) from error
