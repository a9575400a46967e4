"""Writes the story down: one mbox per member, the directory file, and the truth beside them."""

from __future__ import annotations

import gzip
import heapq
import json
import re
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import IO, Final, Self, cast

from rapport.demo.company import TENANT, Company, CompanySize, build_company
from rapport.demo.letter import Letter
from rapport.demo.message_ids import MessageIds
from rapport.demo.render import render
from rapport.demo.story import Story
from rapport.demo.truth import Truth

_FROM_LINE: Final = re.compile(rb"^(>*From )", re.MULTILINE)
_SEPARATOR: Final = b"From mboxrd@z Thu Jan  1 00:00:00 1970\n"
_REORDERED: Final = 0.08
_FURTHEST: Final = 300


@dataclass(frozen=True, slots=True)
class GeneratedCompany:
    """What `generate` left in a folder.

    Attributes:
        directory: the directory file.
        first_directory: the directory before the mail came; `directory` is loaded after it.
        mailboxes: file per member id.
        awkward: how often each awkward thing was put in.
        message_ids: kept only when `generate` was asked to.
    """

    company: Company
    truth: Truth
    directory: Path
    first_directory: Path
    mailboxes: dict[str, Path]
    awkward: Counter[str]
    now: datetime
    message_ids: MessageIds | None = None


def generate(
    folder: Path,
    *,
    seed: int,
    now: datetime,
    size: CompanySize | None = None,
    match_by: str = "address",
    tenant: str = TENANT,
    compress: bool = False,
    keep_message_ids: bool = False,
    progress: Callable[[int], None] | None = None,
    observe: Callable[[Letter], None] | None = None,
) -> GeneratedCompany:
    """Write a company's mailboxes and directory into `folder`; the same arguments give the same bytes.

    Memory does not grow with the mail, apart from some sixty bytes a message for the truth.

    Args:
        folder: made when missing; files of an earlier run are overwritten.
        seed: which story.
        now: when the six months end; aware. Only its seconds are used.
        size: how large.
        match_by: the tenant's setting, which the truth follows.
        tenant: id of the company in its directory.
        compress: write `.mbox.gz`.
        keep_message_ids: keep every Message-ID too, for comparing conversations one by one.
        progress: called with the number of copies written so far, once per letter.
        observe: called with every letter, before it is forgotten.
    """
    folder.mkdir(parents=True, exist_ok=True)
    now = now.replace(microsecond=0)
    company = build_company(size or CompanySize(), seed, now, match_by, tenant)
    story = Story(company, seed, now)
    truth = Truth(company, story.threads)
    ids = MessageIds() if keep_message_ids else None
    directory, first = folder / "directory.json", folder / "directory-first.json"
    for path, document in ((directory, company.directory()), (first, company.first_directory())):
        path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    suffix = "mbox.gz" if compress else "mbox"
    paths = {f"m{member.index}": folder / f"m{member.index}.{suffix}" for member in company.members}
    with ExitStack() as stack:
        boxes = [stack.enter_context(_Mailbox(path, f"{seed} {name}")) for name, path in paths.items()]
        for letter in story.letters():
            truth.learn(letter)
            if ids is not None:
                ids.observe(letter)
            _write(letter, boxes, company)
            if progress is not None:
                progress(truth.copies)
            if observe is not None:
                observe(letter)
    return GeneratedCompany(company, truth, directory, first, paths, story.awkward, now, ids)


def _write(letter: Letter, boxes: list[_Mailbox], company: Company) -> None:
    for copy in letter.copies:
        boxes[copy.owner].add(render(letter, copy, company.members[copy.owner].addresses[0]))


class _Mailbox:
    """One mboxrd file. Some mails arrive late: they are held back while a few hundred others pass."""

    def __init__(self, path: Path, seed: str) -> None:
        self._file = cast(
            "IO[bytes]", gzip.GzipFile(path, "wb", mtime=0) if path.suffix == ".gz" else path.open("wb")
        )
        self._rng = Random(f"mailbox {seed}")  # noqa: S311 - a story, not a secret
        self._arrived = 0
        self._waiting: list[tuple[int, int, bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for waiting in sorted(self._waiting):
            self._append(waiting[2])
        self._file.close()

    def add(self, mail: bytes) -> None:
        """Take one mail; it or an earlier one is written."""
        self._arrived += 1
        late = self._rng.randrange(_FURTHEST) if self._rng.random() < _REORDERED else 0
        heapq.heappush(self._waiting, (self._arrived + late, self._arrived, mail))
        while self._waiting and self._waiting[0][0] <= self._arrived:
            self._append(heapq.heappop(self._waiting)[2])

    def _append(self, mail: bytes) -> None:
        # mboxrd: a line that begins with any number of > and From gets one more >.
        self._file.write(_SEPARATOR + _FROM_LINE.sub(rb">\1", mail))
        self._file.write(b"\n")
