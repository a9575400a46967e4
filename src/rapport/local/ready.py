"""How a child process says that it is ready, and how others see it."""

from __future__ import annotations

import os
from pathlib import Path

from rapport.settings import Settings


def process_name(settings: Settings, name: str) -> str:
    """`worker` becomes `worker-0`, by the number the supervisor gave, and so does `connector`; every other name stands."""
    numbers = {"worker": settings.worker, "connector": settings.connector}
    return f"{name}-{numbers[name]}" if name in numbers else name


def announce(settings: Settings, name: str) -> None:
    """Says once that this process does its work. Atomic; repeating it is safe."""
    target = ready_file(settings, process_name(settings, name))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    staging = target.with_suffix(f".{os.getpid()}")
    staging.write_text(f"{os.getpid()}\n", "utf-8")
    staging.replace(target)


def ready_file(settings: Settings, name: str) -> Path:
    """The file whose presence says that the process is ready; it holds its process id."""
    return settings.home / "run" / f"{name}.ready"


def ready_pid(settings: Settings, name: str) -> int | None:
    """The process id that announced itself, None when none did."""
    try:
        return int(ready_file(settings, name).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def forget_all(settings: Settings) -> None:
    """Removes what an earlier run left. Locks stay: a command that runs may hold one, and would lose it with its file."""
    folder = ready_file(settings, "").parent
    for file in folder.iterdir() if folder.is_dir() else ():
        if file.suffix != ".lock":
            file.unlink(missing_ok=True)
