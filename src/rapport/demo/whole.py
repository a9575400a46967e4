"""The whole demo company: its mailboxes, its calendars, one truth about both, and the order in which they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rapport.demo.calendars import GeneratedCalendars, write_calendars
from rapport.demo.company import TENANT, Company, CompanySize
from rapport.demo.mailboxes import GeneratedCompany, generate
from rapport.demo.truth import Truth

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Source:
    """One file or folder to ingest, and whose it is."""

    tenant: str
    member: str
    path: Path

    @property
    def is_calendar(self) -> bool:
        """Whether it is a calendar and no mailbox."""
        return self.path.suffix == ".ics"


@dataclass(frozen=True, slots=True)
class WholeCompany:
    """What `make_company` left in a folder."""

    mail: GeneratedCompany
    calendars: GeneratedCalendars

    @property
    def company(self) -> Company:
        """The cast."""
        return self.mail.company

    @property
    def tenant(self) -> str:
        """Its id."""
        return self.mail.company.tenant

    @property
    def truth(self) -> Truth:
        """What must come out in the end."""
        return self.mail.truth

    @property
    def now(self) -> datetime:
        """When the story ends; the comparison asks for the numbers of this moment."""
        return self.mail.now

    @property
    def awkward(self) -> Counter[str]:
        """How often each awkward thing was put in."""
        return self.mail.awkward + self.calendars.awkward

    def first_sources(self) -> list[Source]:
        """What there is to ingest at first: some mailboxes and calendars come later."""
        return self._sources(self.mail.first_mailboxes, self.calendars.first_calendars)

    def sources(self) -> list[Source]:
        """Everything there is to ingest in the end."""
        return self._sources(self.mail.mailboxes, self.calendars.calendars)

    @property
    def scripts(self) -> dict[str, list[Path]]:
        """What mailbox and calendar of each member at Microsoft are at first, per member id; see `scripts.later_of`."""
        return {
            member: [mailbox, self.calendars.microsoft[member]]
            for member, mailbox in self.mail.microsoft.items()
        }

    def later(self) -> None:
        """Time passes: mail arrives, moves and goes, and calendars are exported again."""
        self.mail.later()
        self.calendars.later()

    def _sources(self, *found: dict[str, Path]) -> list[Source]:
        return [Source(self.tenant, member, path) for paths in found for member, path in paths.items()]


def make_company(
    folder: Path,
    *,
    seed: int,
    now: datetime,
    size: CompanySize | None = None,
    match_by: str = "address",
    tenant: str = TENANT,
    in_two_rounds: bool = True,
    keep_message_ids: bool = False,
    on_mail: Progress | None = None,
    on_meetings: Progress | None = None,
) -> WholeCompany:
    """Write a company into `folder`, as `generate` writes its mail and `write_calendars` its calendars.

    `on_mail` and `on_meetings` are called with the number of copies written so far.
    """
    mail = generate(
        folder / "mailboxes",
        seed=seed,
        now=now,
        size=size,
        match_by=match_by,
        tenant=tenant,
        in_two_rounds=in_two_rounds,
        keep_message_ids=keep_message_ids,
        progress=on_mail,
    )
    calendars = write_calendars(
        folder, mail.company, mail.truth, seed=seed, now=mail.now, progress=on_meetings
    )
    return WholeCompany(mail, calendars)
