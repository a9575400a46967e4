"""Mailboxes on disk: mbox files and Maildirs, as they are at first and what happens to them later.

Everything is written as it comes, with one file open at a time, so that neither memory nor file handles grow with the
company. What happens later is kept as files and as a journal beside the mailboxes until `later` lets it happen.
"""

from __future__ import annotations

import gzip
import heapq
import re
import shutil
from abc import ABC, abstractmethod
from collections import Counter
from pathlib import Path
from random import Random
from typing import Final

from rapport.demo.letter import Way

LATER: Final = "later"
_JOURNAL: Final = "moves.tsv"
_FROM_LINE: Final = re.compile(rb"^(>*From )", re.MULTILINE)
_SEPARATOR: Final = b"From mboxrd@z Thu Jan  1 00:00:00 1970\n"
_BUFFER: Final = 64 * 1024
_REORDERED: Final = 0.08
_FURTHEST: Final = 300
ARRIVES_LATER: Final = 0.04
MOVED: Final = 0.40
"""Shares of mails that come later, and of those and what happens to others."""


class Box(ABC):
    """One member's mailbox; what is awkward about it is counted in `awkward`."""

    def __init__(self, seed: str, awkward: Counter[str]) -> None:
        self._rng = Random(f"mailbox {seed}")  # noqa: S311 - a story, not a secret
        self._awkward = awkward

    @abstractmethod
    def add(self, mail: bytes, way: Way, *, late: bool = False) -> None:
        """Take one mail; a late one comes only with `later`."""

    @abstractmethod
    def close(self) -> None:
        """Write what is still held back."""

    def add_uncollected(self, mail: bytes) -> None:  # noqa: B027 - most mailboxes have no such place
        """Take a mail that lies where nothing is collected from, if there is such a place."""


class Mbox(Box):
    """An mboxrd file. Some mails arrive out of order: they are held back while a few hundred others pass.

    A `labelled` one is Gmail's export: one file for all, in which labels tell drafts, spam and trash.
    """

    def __init__(self, path: Path, seed: str, awkward: Counter[str], *, labelled: bool = False) -> None:
        super().__init__(seed, awkward)
        self._labelled = labelled
        self._now = _MailFile(path)
        self._later = _MailFile(path.parent / LATER / path.name)
        self._arrived = 0
        self._waiting: list[tuple[int, int, bytes]] = []

    def add(self, mail: bytes, way: Way, *, late: bool = False) -> None:
        """Take one mail; it or an earlier one is written."""
        if self._labelled:
            mail = self._rng.choice(_SENT_LABELS if way is Way.SENT else _LABELS) + mail
        if late:
            self._awkward["arrived_in_second_round"] += 1
            self._later.write(mail)
            return
        self._arrived += 1
        behind = self._rng.randrange(_FURTHEST) if self._rng.random() < _REORDERED else 0
        heapq.heappush(self._waiting, (self._arrived + behind, self._arrived, mail))
        while self._waiting and self._waiting[0][0] <= self._arrived:
            self._now.write(heapq.heappop(self._waiting)[2])

    def add_uncollected(self, mail: bytes) -> None:
        """Write a mail with a label that says that it is not to be collected, where there are labels."""
        if self._labelled:
            self._awkward["draft_junk_or_trash"] += 1
            self._now.write(self._rng.choice(_UNCOLLECTED_LABELS) + mail)

    def close(self) -> None:
        """Write what is still held back."""
        for waiting in sorted(self._waiting):
            self._now.write(waiting[2])
        self._now.flush()
        self._later.flush()


_LABELS: Final = (
    b"X-GM-THRID: 1\nX-Gmail-Labels: =?UTF-8?Q?Inkorgen,=C3=96ppnat,Kategori:_Personligt?=\n",
    b"X-Gmail-Labels: Inbox,Opened\n",
    b"X-Gmail-Labels: Archived\n",
)
_SENT_LABELS: Final = (b"X-Gmail-Labels: Skickat\n", b"X-Gmail-Labels: Sent,Opened\n")
_UNCOLLECTED_LABELS: Final = (
    b"X-Gmail-Labels: Spam\n",
    b"X-Gmail-Labels: =?UTF-8?Q?Papperskorgen,Ol=C3=A4sta?=\n",
    b"X-Gmail-Labels: Inbox,Drafts\n",
    b"X-Gmail-Labels: Utkast\n",
)


class _MailFile:
    """A file that mail is appended to; packed where its name ends in .gz, a frame for each buffer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: list[bytes] = []
        self._size = 0
        if path.parent.name != LATER:
            path.write_bytes(gzip.compress(b"", mtime=0) if path.suffix == ".gz" else b"")

    def write(self, mail: bytes) -> None:
        """Append one mail."""
        # mboxrd: a line that begins with any number of > and From gets one more >.
        self._held += (_SEPARATOR, _FROM_LINE.sub(rb">\1", mail), b"\n")
        self._size += len(mail)
        if self._size > _BUFFER:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if self._held:
            data = b"".join(self._held)
            self._path.parent.mkdir(exist_ok=True)
            with self._path.open("ab") as file:
                file.write(gzip.compress(data, mtime=0) if self._path.suffix == ".gz" else data)
        self._held, self._size = [], 0


class Maildir(Box):
    """A Maildir with folders, whose owner tidies up between the first look and the next.

    Whatever an owner archives, trashes or deletes after it was collected stays counted; what nobody ever saw outside
    of junk, trash and drafts never counts; what an owner takes out of them does.
    """

    def __init__(self, path: Path, seed: str, awkward: Counter[str]) -> None:
        super().__init__(seed, awkward)
        self._path = path
        self._arrived = 0
        shutil.rmtree(path, ignore_errors=True)
        for folder in ("", *_COLLECTED, *_UNCOLLECTED):
            for part in ("cur", "new", "tmp"):
                (path / folder / part).mkdir(parents=True)

    def add(self, mail: bytes, way: Way, *, late: bool = False) -> None:
        """Put one mail into the folder where it belongs, and decide what will become of it."""
        name = self._name()
        place = f".Sent/cur/{name}:2,S" if way is Way.SENT else self._place(name)
        fate = self._rng.random()
        if late or fate < ARRIVES_LATER:
            self._awkward["arrived_in_second_round"] += 1
            self._write(mail, f"{LATER}/{self._path.name}/{name}", place)
        elif fate < MOVED:
            self._write(mail, *self._moved(name, place, fate))
        else:
            self._write(mail, place)

    def add_uncollected(self, mail: bytes) -> None:
        """Put a mail where nothing is collected from."""
        self._awkward["draft_junk_or_trash"] += 1
        name = self._name()
        flagged = f"{self._rng.choice(_COLLECTED)}/cur/{name}:2,{self._rng.choice(('DS', 'ST'))}"
        hidden = f"{self._rng.choice(_UNCOLLECTED)}/cur/{name}:2,S"
        self._write(mail, hidden if self._rng.random() < 0.7 else flagged)

    def close(self) -> None:
        """Nothing is held back."""

    def _name(self) -> str:
        """A unique name; a few come later in the order of names than they came in."""
        self._arrived += 1
        behind = self._rng.randrange(_FURTHEST) if self._rng.random() < _REORDERED else 0
        return f"{1_700_000_000 + self._arrived + behind}.M{self._arrived}P{len(self._path.name)}.demo"

    def _place(self, name: str) -> str:
        chance = self._rng.random()
        if chance < 0.08:
            return f"new/{name}"
        folder = "" if chance < 0.8 else f"{self._rng.choice(_COLLECTED[1:])}/"
        return f"{folder}cur/{name}:2,{self._rng.choice(('S', 'RS', 'FS', ''))}"

    def _moved(self, name: str, place: str, fate: float) -> tuple[str, str]:
        """Where a mail is at first, and where later; nowhere when it is deleted."""
        stays = place.partition(":")[0].replace("new/", "cur/")
        fates = (
            (0.14, "archived_between_rounds", place, f".Archive/cur/{name}:2,S"),
            # Some programs give a mail that they move a new name.
            (0.18, "archived_under_new_name", place, f".Arkiv.&AMU-r/cur/{self._name()}:2,RS"),
            (0.24, "trashed_between_rounds", place, f".Trash/cur/{name}:2,S"),
            (0.28, "deleted_between_rounds", place, ""),
            (0.31, "trashed_between_rounds", place, f"{stays}:2,ST"),
            (0.35, "taken_out_of_junk", f"{self._rng.choice(('.Junk', '.Trash'))}/cur/{name}:2,", place),
            (MOVED, "read_between_rounds", place, f"{stays}:2,FRS"),
        )
        what, first, later = next(rest for limit, *rest in fates if fate < limit)
        self._awkward[what] += 1
        return first, later

    def _write(self, mail: bytes, first: str, later: str | None = None) -> None:
        here = f"{LATER}/" if first.startswith(f"{LATER}/") else ""
        source = first if here else f"{self._path.name}/{first}"
        target = self._path.parent / source
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(mail)
        if later is not None and later != first:
            journal = self._path.parent / LATER / _JOURNAL
            journal.parent.mkdir(exist_ok=True)
            with journal.open("a", encoding="utf-8") as file:
                file.write(f"{source}\t{self._path.name}/{later}\n" if later else f"{source}\t\n")


_COLLECTED: Final = (".Sent", ".Archive", ".Arkiv.&AMU-r", ".Kunder")
_UNCOLLECTED: Final = (".Junk", ".Trash", ".Drafts", ".Trash.2019")


def clear(folder: Path) -> None:
    """Forget what an earlier run kept for later."""
    shutil.rmtree(folder / LATER, ignore_errors=True)


def let_happen(folder: Path) -> None:
    """Bring the mailboxes of a folder to their later state; a second time there is nothing left to do."""
    kept = folder / LATER
    if not kept.is_dir():
        return
    if (kept / _JOURNAL).exists():
        with (kept / _JOURNAL).open(encoding="utf-8") as lines:
            for line in lines:
                source, _, target = line.rstrip("\n").partition("\t")
                if target:
                    (folder / source).rename(folder / target)
                else:
                    (folder / source).unlink()
    for path in sorted(kept.glob("*.mbox*")):
        with path.open("rb") as more, (folder / path.name).open("ab") as box:
            shutil.copyfileobj(more, box)
    shutil.rmtree(kept)
