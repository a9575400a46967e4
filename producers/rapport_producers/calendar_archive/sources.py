"""A calendar archive: one .ics file, or all below a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from rapport_core.errors import ConfigError
from rapport_producers.archive.opening import read_start
from rapport_producers.archive.sources import files_in, require, stat_of, stop_walking

_SUFFIXES = (".ics", ".ics.gz", ".ical", ".icalendar")
_SUFFIX = re.compile(r"(\.(ics|ical|icalendar))?(\.gz)?$", re.IGNORECASE)
_ZIP = b"PK"
_UTF16 = (b"\xff\xfe", b"\xfe\xff", b"B\0", b"\0B")
"""Its byte order marks, and a BEGIN without one."""


class CalendarFile(NamedTuple):
    """One file of an archive; `inside` is its path below the archive's folder, empty for an archive of one file."""

    inside: str
    path: Path
    size: int
    changed: int

    def place(self, position: int) -> str:
        """Where something in it stands, for people."""
        return f"{self.inside}:{position}" if self.inside else str(position)


class CalendarArchive:
    """The files of one calendar. `total` and `consumed` count their bytes, for progress.

    Raises ConfigError when there is none.
    """

    def __init__(self, path: Path) -> None:
        require(path, path.exists(), "a file or folder", "")
        self.path = path
        self.name = path.name or path.resolve().name
        self.files = sorted(self._found())
        if not self.files:
            raise ConfigError(f"there is no .ics file in {path}; name another folder, or one file")
        self.total = sum(file.size for file in self.files)
        self.consumed = 0

    def stem(self) -> str:
        """The name of the calendar: that of the file or folder, without suffixes."""
        return _SUFFIX.sub("", self.path.resolve().name)

    def stream(self) -> str:
        """Named by the stem: a newer export under the same name is the same calendar, wherever it lies."""
        return f"ics-{blake2b(os.fsencode(self.stem()), digest_size=8).hexdigest()}"

    def fingerprint(self) -> str:
        """Equal for an archive that nobody touched: names, sizes and times of its files."""
        digest = blake2b(digest_size=16)
        for file in self.files:
            digest.update(f"{file.inside}\0{file.size}\0{file.changed}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def _found(self) -> Iterator[CalendarFile]:
        if not self.path.is_dir():
            yield self._file(self.path)
            return
        for parent, _, _ in os.walk(self.path, onerror=stop_walking):
            for path in files_in(Path(parent)):
                if path.name.lower().endswith(_SUFFIXES):
                    yield self._file(path)

    def _file(self, path: Path) -> CalendarFile:
        stat = stat_of(path)
        inside = "" if path == self.path else str(path.relative_to(self.path))
        inside = inside.encode("utf-8", "replace").decode("utf-8")
        return CalendarFile(inside, path, stat.st_size, stat.st_mtime_ns)


def instead_of_calendar(path: Path) -> str:
    """What a file in which no calendar was found is, as far as its first bytes tell, and what to do about it."""
    start, _ = read_start(path, 2)
    if start == _ZIP:
        return "it is a zip archive; unzip it and ingest the .ics files in it"
    if start in _UTF16:
        return "it is in UTF-16; save it as UTF-8"
    return "there is no BEGIN:VCALENDAR in it; export the calendar as iCalendar (.ics) in UTF-8"
