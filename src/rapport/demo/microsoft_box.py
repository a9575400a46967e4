"""A mailbox at Microsoft 365 as the story fills it, and what its owner does with it later."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

from rapport.demo.boxes import ARRIVES_LATER, MOVED, Box
from rapport.demo.letter import Way
from rapport.demo.scripts import Script

_KUNDER, _OLD_TRASH, _PROJECTS = "kunder", "old trash", "projects"
_NOWHERE: Final = ("junkemail", "deleteditems", _OLD_TRASH, "conversationhistory", "outbox")
_BUSY: Final = 0.6
"""As much happens here as in other mailboxes where this is 1: every change is told and read by itself."""
_TOO_OLD: Final = 200 * 86_400
"""Seconds before now that are surely more than six months."""


class MicrosoftBox(Box):
    """See the module. Mails are JSON, as `render_for_microsoft` writes them."""

    def __init__(self, path: Path, seed: str, awkward: Counter[str], *, now: int) -> None:
        super().__init__(seed, awkward)
        self._script = Script(path)
        self._now = now
        self._count = 0
        self._script.first("folder", called=_KUNDER, name="Kunder", parent="msgfolderroot")
        self._script.first("folder", called=_OLD_TRASH, name="2019", parent="deleteditems")
        self._script.later("folder", called=_PROJECTS, name="Projekt", parent="inbox")

    def add(self, mail: bytes, way: Way, *, late: bool = False) -> None:
        """Put one mail into the folder where it belongs, and decide what will become of it."""
        name, place = self._name(), self._place(way)
        fate = self._rng.random() / _BUSY
        if late or fate < ARRIVES_LATER:
            self._arrive_later(name, place, mail)
        elif fate < MOVED:
            self._become(name, place, mail, fate)
        else:
            self._deliver(name, place, mail)

    def add_uncollected(self, mail: bytes) -> None:
        """Put a mail where nothing is collected from, or where it does not stay."""
        name, chance = self._name(), self._rng.random()
        if chance < 0.5:
            self._awkward["draft_junk_or_trash"] += 1
            self._deliver(name, self._rng.choice(_NOWHERE), mail)
        elif chance < 0.65:
            self._awkward["draft_junk_or_trash"] += 1
            self._script.first("deliver", mail, called=name, folder="drafts", draft=True)
        elif chance < 0.8:
            self._awkward["older_than_is_read"] += 1
            older = self._now - _TOO_OLD - self._rng.randrange(_TOO_OLD)
            self._script.first("deliver", mail, called=name, folder="inbox", received=older)
        else:
            self._awkward["moved_to_junk"] += 1
            self._deliver(name, "inbox", mail)
            self._script.later("move", what=name, folder="junkemail")

    def close(self) -> None:
        """What happens to folders comes last."""
        self._script.later("rename", what=_KUNDER, name="Kunder och leverantörer")
        self._script.later("move_folder", what=_KUNDER, folder="archive")
        self._script.close()

    def _name(self) -> str:
        self._count += 1
        return f"mail {self._count}"

    def _place(self, way: Way) -> str:
        chance = self._rng.random()
        if way is Way.SENT:
            return "sentitems"
        return "inbox" if chance < 0.8 else self._rng.choice((_KUNDER, "archive"))

    def _deliver(self, name: str, place: str, mail: bytes) -> None:
        self._script.first("deliver", mail, called=name, folder=place)

    def _arrive_later(self, name: str, place: str, mail: bytes) -> None:
        self._awkward["arrived_in_second_round"] += 1
        if place == "sentitems" and self._rng.random() < 0.5:
            self._awkward["sent_from_draft"] += 1
            self._script.first("deliver", mail, called=name, folder="drafts", draft=True)
            self._script.later("delete", what=name)
            name = f"{name} sent"
        self._script.later("deliver", mail, called=name, folder=place)

    def _become(self, name: str, place: str, mail: bytes, fate: float) -> None:
        """A mail that is moved, deleted or only looked at later."""
        out_of = self._rng.choice(("junkemail", "deleteditems", _OLD_TRASH))
        fates = (
            (0.14, "archived_between_rounds", place, "move", "archive"),
            (0.18, "archived_between_rounds", place, "move", _PROJECTS),
            (0.24, "trashed_between_rounds", place, "move", "deleteditems"),
            (0.28, "deleted_between_rounds", place, "delete", ""),
            (0.31, "trashed_between_rounds", place, "move", _OLD_TRASH),
            (0.35, "taken_out_of_junk", out_of, "move", place),
            (0.38, "read_between_rounds", place, "mark_read", ""),
            (MOVED, "read_between_rounds", place, "move_and_back", _KUNDER),
        )
        what, first, do, folder = next(rest for limit, *rest in fates if fate < limit)
        self._awkward[what] += 1
        self._deliver(name, first, mail)
        self._script.later(do, what=name, **({"folder": folder} if folder else {}))
