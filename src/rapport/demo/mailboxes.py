"""Writes the story down: one mailbox per member, the directory file, and the truth beside them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Final

from rapport.demo.boxes import Box, Maildir, Mbox, clear, let_happen
from rapport.demo.company import TENANT, Company, CompanySize, build_company
from rapport.demo.letter import Letter, StoryCopy
from rapport.demo.message_ids import MessageIds
from rapport.demo.microsoft_box import MicrosoftBox
from rapport.demo.outlook import render_for_microsoft
from rapport.demo.render import render
from rapport.demo.scripts import ENDING
from rapport.demo.story import Story
from rapport.demo.truth import Truth

_UNCOLLECTED: Final = 0.06
_LATE_AT_ANY_TIME: Final = 0.02
_LATE_AT_THE_END: Final = 0.7
_END: Final = 0.9
_LATE, _LATE_BESIDE_MICROSOFT = 1, 6


@dataclass(frozen=True, slots=True)
class GeneratedCompany:
    """What `generate` left in a folder.

    Attributes:
        directory: the directory file.
        first_directory: the directory before the mail came; `directory` is loaded after it.
        mailboxes: mbox file, or folder of a Maildir, per member id; without those at Microsoft.
        microsoft: the script (see `scripts`) of each mailbox at Microsoft, per member id.
        late_mailboxes: members whose whole mailbox is ingested only in the second round.
        awkward: how often each awkward thing was put in.
        message_ids: kept only when `generate` was asked to.
    """

    company: Company
    truth: Truth
    directory: Path
    first_directory: Path
    mailboxes: dict[str, Path]
    late_mailboxes: frozenset[str]
    awkward: Counter[str]
    now: datetime
    microsoft: dict[str, Path]
    message_ids: MessageIds | None = None

    @property
    def first_mailboxes(self) -> dict[str, Path]:
        """The mailboxes of the first round."""
        return {name: path for name, path in self.mailboxes.items() if name not in self.late_mailboxes}

    def later(self) -> None:
        """Time passes: mail arrives, is moved, trashed and deleted. Only `in_two_rounds` keeps anything for it.

        The truth holds once the mailboxes were ingested both before (those of the first round) and after this.
        """
        let_happen(self.directory.parent)


def generate(
    folder: Path,
    *,
    seed: int,
    now: datetime,
    size: CompanySize | None = None,
    match_by: str = "address",
    tenant: str = TENANT,
    in_two_rounds: bool = False,
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
        in_two_rounds: give some members a Maildir with folders or an export with labels, with drafts, junk and trash
            in them that never count, and keep part of the mail and every move for `GeneratedCompany.later`.
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
    late = _late_mailboxes(company) if in_two_rounds else frozenset()
    shelf = _Shelf(
        folder,
        company,
        seed,
        now=int(now.timestamp()),
        in_two_rounds=in_two_rounds,
        compress=compress,
    )
    for letter in story.letters():
        truth.learn(letter)
        if ids is not None:
            ids.observe(letter)
        shelf.put(letter, truth.copies)
        if progress is not None:
            progress(truth.copies)
        if observe is not None:
            observe(letter)
    shelf.close()
    awkward = story.awkward + shelf.awkward
    return GeneratedCompany(
        company, truth, directory, first, shelf.paths, late, awkward, now, shelf.scripts, ids
    )


def _late_mailboxes(company: Company) -> frozenset[str]:
    """One mbox in nine, and one at least. Never a Maildir: of those the moves after the first round are the point."""
    late = _LATE_BESIDE_MICROSOFT if company.microsoft else _LATE
    return frozenset(
        f"m{p.index}"
        for p in company.members
        if p.index % 9 == late and not _has_folders(p.index) and p.index not in company.microsoft
    )


def _has_folders(member: int) -> bool:
    return member % 8 == 2


class _Shelf:
    """The mailboxes of a company while they are written."""

    def __init__(
        self,
        folder: Path,
        company: Company,
        seed: int,
        *,
        now: int,
        in_two_rounds: bool,
        compress: bool,
    ) -> None:
        clear(folder)
        self._company = company
        self._rng = Random(f"later {seed}")  # noqa: S311 - a story, not a secret
        self._in_two_rounds = in_two_rounds
        self._whole = _late_mailboxes(company)
        self.awkward: Counter[str] = Counter()
        self.paths: dict[str, Path] = {}
        self.scripts: dict[str, Path] = {}
        self._boxes: list[Box] = []
        for member in company.members:
            name = f"m{member.index}"
            box: Box
            if member.index in company.microsoft:
                self.scripts[name] = folder / f"{name}{ENDING}"
                box = MicrosoftBox(self.scripts[name], f"{seed} {name}", self.awkward, now=now)
            elif in_two_rounds and _has_folders(member.index):
                self.paths[name] = folder / name
                box = Maildir(folder / name, f"{seed} {name}", self.awkward)
            else:
                self.paths[name] = folder / f"{name}.mbox{'.gz' if compress else ''}"
                labelled = in_two_rounds and member.index % 8 == 3
                box = Mbox(self.paths[name], f"{seed} {name}", self.awkward, labelled=labelled)
            self._boxes.append(box)

    def put(self, letter: Letter, copies: int) -> None:
        """Put the letter's copies into their mailboxes; `copies` are written with them."""
        at_the_end = copies > _END * self._company.size.copies
        for copy in letter.copies:
            box = self._boxes[copy.owner]
            box.add(self._rendered(letter, copy), copy.way, late=self._is_late(letter, copy, at_the_end))
            if self._in_two_rounds and self._rng.random() < _UNCOLLECTED:
                # Nobody may ever see it: it is the same mail under another id.
                box.add_uncollected(self._rendered(_unseen(letter), copy))

    def _is_late(self, letter: Letter, copy: StoryCopy, at_the_end: bool) -> bool:
        if not self._in_two_rounds or f"m{copy.owner}" in self._whole:
            return False
        return letter.joins or self._rng.random() < (_LATE_AT_THE_END if at_the_end else _LATE_AT_ANY_TIME)

    def _rendered(self, letter: Letter, copy: StoryCopy) -> bytes:
        address = self._company.members[copy.owner].addresses[0]
        if copy.owner in self._company.microsoft:
            return render_for_microsoft(letter, copy, address)
        mail = render(letter, copy, address)
        # Some programs end lines as the network does.
        return mail.replace(b"\n", b"\r\n") if copy.owner % 11 == 6 else mail

    def close(self) -> None:
        """Write what is still held back."""
        for box in self._boxes:
            box.close()


def _unseen(letter: Letter) -> Letter:
    """The same mail under another id, in a conversation of its own."""
    return replace(
        letter,
        message_id=f"uncollected.{letter.serial}@mail.example",
        references=[],
        in_reply_to=None,
        talk=None,
    )
