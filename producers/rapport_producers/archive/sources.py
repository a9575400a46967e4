"""The three kinds of archive, each as one ordered stream of mails that a second reading repeats."""

from __future__ import annotations

import io
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from rapport_core.errors import ConfigError
from rapport_producers.archive.folders import COLLECTED, NEVER_COLLECTED, well_known
from rapport_producers.archive.mail import mail_text
from rapport_producers.archive.mbox import HELD, split
from rapport_producers.archive.opening import ArchiveFile, read_start, unreadable

_FLAGS = re.compile(r"[:;!]2,([A-Za-z]*)$")
_FROM_LINE = re.compile(rb"(?:\xef\xbb\xbf)?>?From [^\r\n]*\r?\n")
_HEAD = 512 * 1024


@dataclass(frozen=True, slots=True)
class ArchivedMail:
    """One message as its archive holds it.

    Attributes:
        place: where in the archive: a byte position, or a path below the archive's folder.
        data: its first bytes, HELD at most.
        complete: False when damage of the archive cut it off.
        readable: False when the file it is in cannot be read; then nothing else is known.
    """

    place: str
    data: bytes
    size: int
    folder: str
    complete: bool = True
    readable: bool = True


class Archive(ABC):
    """An archive. `total` and `consumed` count its bytes, for progress; `skipped` counts mail never collected."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name or path.resolve().name
        self.total = 0
        self.consumed = 0
        self.skipped = 0

    @abstractmethod
    def stream(self) -> str:
        """Which archive this is, over moves and growth: the name of its cursor."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Equal for an archive that nobody touched: a cheap look, not a reading."""

    @abstractmethod
    def mails(self) -> Iterator[ArchivedMail]:
        """All mails from the first. Raises ConfigError; TruncatedError after the mails before the damage."""


class MboxArchive(Archive):
    """One mbox file, plain or gzip.

    Its stream is named by the header block of its first message: the file may be moved, renamed, packed, unpacked, and
    mail may be appended, and it is still the same archive.
    """

    def __init__(self, path: Path, folder: str = "") -> None:
        super().__init__(path)
        self._folder = folder
        require(
            path,
            path.is_file(),
            "a file",
            "for a folder use `rapport ingest maildir` or `rapport ingest eml`",
        )
        self.total = stat_of(path).st_size

    def stream(self) -> str:
        """Named by the header block of the first message."""
        data, _ = read_start(self.path, _HEAD)
        try:
            first = next(split(io.BytesIO(data)), None)
        except ConfigError as error:
            raise ConfigError(f"{self.path}: {error}") from error
        return f"mbox-{mail_text(first.data).digest().hex()[:16]}" if first else "mbox-empty"

    def fingerprint(self) -> str:
        """Size and time of change, and the folder it is said to be."""
        stat = stat_of(self.path)
        return f"{stat.st_size}:{stat.st_mtime_ns}:{self._folder}"

    def mails(self) -> Iterator[ArchivedMail]:
        """In the order of the file; `place` is the position of the From_ line in the unpacked content."""
        with ArchiveFile(self.path) as file:
            for raw in split(file):
                self.consumed = file.consumed
                yield ArchivedMail(str(raw.offset), raw.data, raw.size, self._folder, complete=raw.complete)
            self.consumed = file.consumed


@dataclass(frozen=True, slots=True, order=True)
class _Entry:
    """One message file; ordered as it is read."""

    order: tuple[str, str]
    path: Path
    size: int
    changed: int
    folder: str


class FolderArchive(Archive):
    """Message files in folders. Its stream is named by its absolute path, since its content comes and goes."""

    kind = ""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._entries: list[_Entry] | None = None

    @abstractmethod
    def found(self) -> Iterable[_Entry]:
        """The message files, in any order. May count `skipped`."""

    def entries(self) -> list[_Entry]:
        """The message files in the order in which they are read; listed once."""
        if self._entries is None:
            self._entries = sorted(self.found())
            self.total = sum(entry.size for entry in self._entries)
        return self._entries

    def stream(self) -> str:
        """Named by the absolute path."""
        where = blake2b(os.fsencode(self.path.resolve()), digest_size=8).hexdigest()
        return f"{self.kind}-{where}"

    def fingerprint(self) -> str:
        """Names, sizes and times of all files, without Maildir flags."""
        digest = blake2b(digest_size=16)
        for entry in self.entries():
            text = "\0".join((*entry.order, entry.folder, str(entry.size), str(entry.changed), ""))
            digest.update(text.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def mails(self) -> Iterator[ArchivedMail]:
        """In the order of `entries`; a file that cannot be read does not stop the rest."""
        self.consumed = 0
        for entry in self.entries():
            yield self._mail(entry)
            self.consumed += entry.size

    def _mail(self, entry: _Entry) -> ArchivedMail:
        place = str(entry.path.relative_to(self.path)) if entry.path != self.path else "0"
        place = place.encode("utf-8", "replace").decode("utf-8")
        try:
            data, complete = read_start(entry.path, HELD)
        except ConfigError:
            complete = False
        if not complete:
            return ArchivedMail(place, b"", 0, entry.folder, readable=False)
        from_line = _FROM_LINE.match(data)
        data = data[from_line.end() :] if from_line else data.removeprefix(b"\xef\xbb\xbf")
        return ArchivedMail(place, data, entry.size, entry.folder)


class MaildirArchive(FolderArchive):
    """A Maildir with its Maildir++ subfolders (`.Sent`), or a folder of Maildirs.

    Mails come in the order of their unique names, over all folders, so that new deliveries come last. Drafts and
    trashed mails, by flag or folder, and mail in junk and its like are never collected.
    """

    kind = "maildir"

    def __init__(self, path: Path, folder: str = "") -> None:
        super().__init__(path)
        self._root_folder = folder or "inbox"
        require(
            path, path.is_dir(), "a folder", "for a file use `rapport ingest mbox` or `rapport ingest eml`"
        )
        if not any(self._message_folders()):
            raise ConfigError(
                f"{path} is not a Maildir: there is no folder `cur` or `new` in it or below it; "
                "for a folder of .eml files use `rapport ingest eml`"
            )

    def _message_folders(self) -> Iterator[tuple[Path, str]]:
        for parent, names, _ in os.walk(self.path, onerror=stop_walking):
            inside = Path(parent).relative_to(self.path)
            for name in ("cur", "new"):
                if name in names:
                    yield Path(parent) / name, "" if inside == Path() else str(inside)
            names[:] = sorted(name for name in names if name not in {"cur", "new", "tmp"})

    def found(self) -> Iterator[_Entry]:
        """Ordered by unique name, then folder."""
        self.skipped = 0
        for place, inside in self._message_folders():
            folder = well_known(inside) if inside else self._root_folder
            for path in files_in(place):
                flags = _FLAGS.search(path.name)
                if folder in NEVER_COLLECTED or (flags and set(flags[1]) & set("DT")):
                    self.skipped += 1
                    continue
                try:
                    stat = path.stat()
                except FileNotFoundError:
                    continue  # its flags changed while we looked: the next run finds it under its new name
                unique = path.name[: flags.start()] if flags else path.name
                yield _Entry((unique, inside), path, stat.st_size, stat.st_mtime_ns, folder)


class EmlArchive(FolderArchive):
    """One .eml file, or the .eml files in a folder and all folders below it, in the order of their paths."""

    kind = "eml"

    def __init__(self, path: Path, folder: str = "") -> None:
        super().__init__(path)
        self._folder = folder
        require(path, path.exists(), "a file or folder", "")
        if not self.entries():
            raise ConfigError(f"there is no .eml file in {path}; name another folder, or one file")

    def found(self) -> Iterator[_Entry]:
        """Ordered by path."""
        if not self.path.is_dir():
            yield self._entry(self.path)
            return
        for parent, _, _ in os.walk(self.path, onerror=stop_walking):
            for path in files_in(Path(parent)):
                if path.name.lower().endswith((".eml", ".eml.gz")):
                    yield self._entry(path)

    def _entry(self, path: Path) -> _Entry:
        stat = stat_of(path)
        order = "" if path == self.path else str(path.relative_to(self.path))
        return _Entry((order, ""), path, stat.st_size, stat.st_mtime_ns, self._folder)


def folder_option(name: str) -> str:
    """The folder that a person says an archive is. Raises ConfigError for one unknown or never collected."""
    folder = well_known(name) if name.strip() else ""
    if folder in NEVER_COLLECTED:
        raise ConfigError(f"mail of the folder {name!r} is never collected: leave this archive out")
    if name.strip() and not folder:
        raise ConfigError(
            f"unknown folder {name!r}: say one of {', '.join(sorted(COLLECTED))}, or leave it out"
        )
    return folder


def files_in(folder: Path) -> Iterator[Path]:
    """The files of a folder, hidden ones left out. Raises ConfigError."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file()]
    except OSError as error:
        raise unreadable(folder, error) from error
    return (folder / name for name in names)


def stat_of(path: Path) -> os.stat_result:
    """Raises ConfigError."""
    try:
        return path.stat()
    except OSError as error:
        raise unreadable(path, error) from error


def require(path: Path, right: bool, what: str, instead: str) -> None:
    """Raises ConfigError unless `path` is there and right."""
    if not path.exists():
        raise ConfigError(f"there is nothing at {path}: check the path")
    if not right:
        raise ConfigError(f"{path} is not {what}; {instead}")


def stop_walking(error: OSError) -> None:
    """For os.walk: a folder that cannot be read ends the command. Raises ConfigError."""
    raise unreadable(Path(error.filename or "."), error) from error
