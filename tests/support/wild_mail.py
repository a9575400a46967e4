"""A company's mailboxes made from a seed: every oddity of contract parts 3 and 4, page by page, for tests of order.

Whole cases are drawn from a seed, so that many can be tried; a failing seed is a failing case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any, Final, TypeVar

from directory_entries import at, entry, tenant
from naive_meetings import Said
from rapport_schemas.changes import (
    mail_change,
    mail_fields,
    mail_structure,
    removed,
    still_shown,
)
from rapport_schemas.records import Change, DirectoryEntry, MailFields, MailPerson, MimePart

T = TypeVar("T")
BOXES: Final = {
    "box-ann": ("ann", "graph"),
    "box-bob": ("bob", "gmail"),
    "old-ann": ("ann", "archive"),
    "home-bob": ("bob", "graph"),
}
PEOPLE: Final = (
    "ann@acme.com",
    "bob@acme.com",
    "x@kund.se",
    "y@kund.se",
    "z@stranger.example",
    "q@other.org",
)
LIST: Final = "users@lists.example"
NOON: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)
JITTER: Final = (0, 0, 0, 0, 1, 60, 119, 120, 121, 240, 241, 3600, 2 * 86_400)
BAD_DATES: Final = (
    "",
    "yesterday at noon",
    "Thu, 1 Jan 1970 00:00:00 +0000",
    "Sat, 5 Jan 2036 12:00:00 +0000",
)
SUBJECTS: Final = (
    "Plan",
    "Offert 7",
    "Re: Plan",
    "SV: Plan",
    "[tag] Re: Plan",
    "[tag] Plan",
    "Fwd: Offert 7",
    "Re:",
    "",
)
NO_IDS: Final = ("<yes>", "<x@kund.se>", "<users@lists.example>", "<ANN@acme.com>")
STREAMS: Final = {"graph": ("inbox", "archive", "sent"), "gmail": ("history",), "archive": ("mbox",)}
PARTIAL: Final = ("labels", "preview", "provider_time", "folder", "size")
LABELS: Final[tuple[list[str], ...]] = (
    ["INBOX"],
    ["SPAM"],
    ["TRASH"],
    ["DRAFT"],
    ["SENT", "INBOX"],
    ["Important"],
    [],
)
TOGETHER: Final = ("headers", "structured", "mime", "conversation")
"""What a partial update says all of or nothing: class and links come from these."""
KNOWN: Final[list[DirectoryEntry]] = [
    entry("member", "ann", "ann@acme.com"),
    entry("member", "bob", "bob@acme.com"),
    entry("customer", "kund", "kund.se"),
    entry("customer", "other", "other.org"),
    entry("contact", "xena", "x@kund.se", customer="kund"),
]
LATE: Final[list[DirectoryEntry]] = [
    entry("contact", "quin", at("q@other.org"), customer="other"),
    entry("exclusion", "address:y@kund.se", "y@kund.se"),
]


@dataclass(frozen=True)
class Plan:
    """A mail as it was written; the copies are made from this."""

    id: str
    author: str
    to: tuple[str, ...]
    sent: datetime | None
    subject: str
    references: tuple[str, ...]
    in_reply_to: str
    through_list: bool
    noise: tuple[str, ...]
    mime: tuple[tuple[str, str], ...]
    conversation: str


@dataclass
class Headers:
    """A header block before it is written one way or the other."""

    message_id: str
    subject: str
    date: str
    sent: int | None
    people: list[tuple[str, str, str]]
    rest: list[str] = field(default_factory=list)

    def block(self) -> bytes:
        """As a mail carries it."""
        lines = [f"Subject: {self.subject}"] if self.subject else []
        lines += [f"Message-ID: {self.message_id}"] if self.message_id else []
        lines += [f"Date: {self.date}"] if self.date else []
        for role in dict.fromkeys(role for role, _, _ in self.people):
            mine = [f"{name} <{a}>".strip() for known, name, a in self.people if known == role]
            lines.append(f"{role}: " + ", ".join(mine))
        return "".join(f"{line}\n" for line in [*lines, *self.rest]).encode()

    def structure(self, invitation: bool) -> dict[str, Any]:
        """As a provider says it in fields."""
        people: list[MailPerson] = [
            {"role": role.lower().replace("-", "_"), "name": name.strip('"'), "address": address}
            for role, name, address in self.people
        ]
        made = mail_structure(
            message_id=self.message_id,
            subject=self.subject,
            sent=self.sent,
            people=people,
            invitation=invitation,
        )
        return {"headers": "".join(f"{line}\n" for line in self.rest).encode(), "structured": made}


class Mailboxes:
    """A few mails, and what up to three mailboxes say of them."""

    def __init__(
        self, seed: int, *, purges: bool = False, structured: bool = True, partial: bool = True
    ) -> None:
        self._random = Random(seed)
        self._fetch = 0
        self._archived: dict[str, MailFields] = {}
        self._purges, self._structured, self._partial = purges, structured, partial
        count = self._random.randint(1, 6)
        self._ids = [self._id(number) for number in range(count)]
        self._plans = [self._plan(number) for number in range(count)]
        self.before = [self._tenant(), *KNOWN]
        self.after = [self._tenant(), *self._some(LATE)]
        boxes = self._random.sample(list(BOXES), self._random.randint(1, len(BOXES)))
        self.blocks = [block for box in boxes for block in self._history(box)]

    @property
    def pages(self) -> list[Said]:
        """Everything that was ever said, once."""
        return [page for block in self.blocks for page in block]

    @property
    def directory(self) -> list[DirectoryEntry]:
        """The records as they are at the end."""
        late = {(record["kind"], record["id"]) for record in self.after}
        return [*(one for one in self.before if (one["kind"], one["id"]) not in late), *self.after]

    # -- drawing ------------------------------------------------------------------------------------------------

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _some(self, values: Sequence[T], most: int = 9) -> list[T]:
        return self._random.sample(values, self._random.randint(0, min(most, len(values))))

    def _tenant(self) -> DirectoryEntry:
        pick = self._random.choice
        return tenant(
            "acme.com",
            mail_removed=pick(["keep", "drop"]),
            match_by=pick(["address", "domain"]),
            sync_unknown_sender=pick([True, False]),
            count_list_delivery=self._chance(0.3),
        )

    # -- one mail -----------------------------------------------------------------------------------------------

    def _id(self, number: int) -> str:
        if self._chance(0.1):
            return ""
        odd = (f"short{number}", f"long-token-{number}-without-at", "x@kund.se")
        return self._random.choice([*[f"number-{number}@x.example"] * 8, *odd])

    def _plan(self, number: int) -> Plan:
        pick = self._random.choice
        tokens = [f"<{id_}>" for id_ in [*self._ids, "never@seen.example", "never-2@seen.example"] if id_]
        bare = [*(id_ for id_ in self._ids if "@" in id_), "never@seen.example"]
        minute = pick((0, 0, 1, 2, 3, 60, 3 * 86_400))
        noise = (
            "Precedence: bulk",
            "Auto-Submitted: auto-replied",
            "List-Unsubscribe: <mailto:u@x>",
            "X-Autoreply: 1",
        )
        report = (("multipart/report", "report-type=delivery-status"), ("message/delivery-status", ""))
        return Plan(
            id=pick([self._ids[number], self._ids[number], self._ids[number], pick(self._ids)]),
            author=pick(PEOPLE),
            to=tuple(self._some(PEOPLE, 3)),
            sent=None if self._chance(0.1) else NOON + timedelta(minutes=minute),
            subject=pick(SUBJECTS),
            references=tuple(self._some([*tokens, *NO_IDS], 3)) if self._chance(0.4) else (),
            in_reply_to=self._reply(tokens, bare) if self._chance(0.35) else "",
            through_list=self._chance(0.3),
            noise=(pick(noise),) if self._chance(0.2) else (),
            mime=pick(((), (), (), (), report, (("text/calendar", "method=request"),))),
            conversation=pick(("", "conv-1", "conv-1", "conv-2")),
        )

    def _reply(self, tokens: list[str], bare: list[str]) -> str:
        pick = self._random.choice
        token = pick([*tokens, *NO_IDS])
        return pick(
            [
                token,
                pick(bare),
                f'Your message of "today" {token}',
                f"{token} {pick(tokens)}",
                "nonsense",
                "yes",
            ]
        )

    def _copy(self, plan: Plan, box: str) -> MailFields:
        """The mail as a mailbox has it, its headers differing as copies' do."""
        pick, provider = self._random.choice, BOXES[box][1]
        headers = self._headers(plan)
        made = mail_fields(
            headers.block() + self._content_type(plan),
            mime=[MimePart(type=type_, filename="", parameters=more) for type_, more in plan.mime],
            preview=pick(["", "Hello"]),
            provider_time=self._provider_time(plan) if provider != "archive" else None,
            labels=["INBOX"] if provider == "gmail" else [],
            conversation=pick([plan.conversation, plan.conversation, ""]) if provider != "archive" else "",
        )
        if provider == "graph" and self._structured and self._chance(0.6):
            is_invitation = bool(plan.mime) and plan.mime[0][0] == "text/calendar"
            rest: Any = headers.structure(is_invitation)
            rest["headers"] += self._content_type(plan)
            return {**made, **rest}
        return made

    @staticmethod
    def _content_type(plan: Plan) -> bytes:
        if not plan.mime:
            return b""
        type_, more = plan.mime[0]
        return f"Content-Type: {type_}; {more}\n".encode()

    def _headers(self, plan: Plan) -> Headers:
        pick = self._random.choice
        sent = plan.sent and plan.sent + timedelta(seconds=pick(JITTER))
        date = format_datetime(sent) if sent else pick(BAD_DATES)
        if sent and self._chance(0.08):
            sent, date = None, pick(BAD_DATES)
        name = plan.author.partition("@")[0].title()
        people = [("From", name, plan.author), *(("To", "", address) for address in plan.to)]
        extra = [address for address in PEOPLE if address not in plan.to]
        if plan.id and self._chance(0.2):
            people.append((pick(["Cc", "Bcc", "Sender"]), "", pick(extra or [*PEOPLE])))
        rest = list(plan.noise)
        if plan.through_list and self._chance(0.6):
            people, rest = self._rewritten(people, plan), [*rest, *self._list_lines()]
        if plan.references and self._chance(0.9):
            rest.append("References: " + pick([" ", "\n\t", ""]).join(plan.references))
        elif self._chance(0.05):
            rest.append("References:")
        if plan.in_reply_to and self._chance(0.9):
            rest.append("In-Reply-To: " + plan.in_reply_to)
        return Headers(self._written_id(plan, rest), plan.subject, date, self._ms(date), people, rest)

    @staticmethod
    def _ms(date: str) -> int | None:
        try:
            return round(datetime.strptime(date, "%a, %d %b %Y %H:%M:%S %z").timestamp() * 1000)
        except ValueError:
            return None

    def _written_id(self, plan: Plan, rest: list[str]) -> str:
        if not plan.id:
            return ""
        if self._chance(0.08):
            name = self._random.choice(["Microsoft", "Google"])
            rest.append(f"X-{name}-Original-Message-ID: <{plan.id}>")
            return f"<replaced-{plan.id}>"
        return self._random.choice([f"<{plan.id}>"] * 4 + [plan.id])

    def _rewritten(self, people: list[tuple[str, str, str]], plan: Plan) -> list[tuple[str, str, str]]:
        """As a list passes it on: with its own address in From, and the author somewhere, or nowhere."""
        if self._chance(0.3):
            return [*people, ("To", "", LIST)]
        _, name, author = people[0]
        rewritten = [("From", f'"{name} via Users"', LIST), *people[1:], ("To", "", LIST)]
        if self._chance(0.6):
            rewritten.append(("Reply-To", name, author))
        if self._chance(0.2):
            rewritten.append(("Reply-To", "", LIST))
        return rewritten

    def _list_lines(self) -> list[str]:
        post = f"List-Post: <mailto:{LIST}>"
        return self._random.choice([[post], ["List-Id: <users.lists.example>", post]])

    def _provider_time(self, plan: Plan) -> int | None:
        if self._chance(0.2):
            return None
        seconds = self._random.choice([0, 5, 5, 60, 3600, -86_400, -86_401, -3 * 86_400])
        return round(((plan.sent or NOON) + timedelta(seconds=seconds)).timestamp() * 1000)

    # -- one mailbox --------------------------------------------------------------------------------------------

    def _history(self, box: str) -> list[list[Said]]:
        """Blocks of pages: single ones, and listings, whose pages stay in their order."""
        provider = BOXES[box][1]
        known = {f"{box}-{index}": plan for index, plan in enumerate(self._plans) if self._chance(0.75)}
        blocks: list[list[Said]] = []
        for _ in range(self._random.randint(1, 5)):
            draw = self._random.random()
            if draw < 0.15 and provider != "archive":
                blocks.append(self._listing(box, known))
            elif draw < 0.2 and self._purges:
                blocks.append([self._page(box, "", type="purge")])
            elif draw < 0.45 and provider == "graph" and known:
                blocks += self._moves(box, known)
            else:
                stream = self._random.choice(STREAMS[provider])
                said = [id_ for id_ in known if self._chance(0.6)]
                changes = [self._change(box, id_, known, stream) for id_ in said]
                blocks.append([self._page(box, stream, changes)])
        return blocks

    def _page(self, box: str, stream: str, changes: Sequence[Change] = (), **fields: Any) -> Said:
        self._fetch += 1
        member = BOXES[box][0]
        published = round(NOON.timestamp() * 1000) + self._fetch
        return Said(box, member, stream, self._fetch, published, changes=tuple(changes), **fields)

    def _change(self, box: str, id_: str, known: dict[str, Plan], stream: str) -> Change:
        draw, provider = self._random.random(), BOXES[box][1]
        if provider == "archive" or draw < 0.55:
            return self._shown(box, id_, known, stream)
        if draw < 0.7 and self._partial:
            fields = self._shown(box, id_, known, stream)["mail"]
            assert fields is not None
            if provider == "gmail":
                fields["labels"] = self._random.choice(LABELS)
            said = {*self._some(PARTIAL, 2), "labels"} - ({"folder"} if provider == "gmail" else set())
            said |= set(TOGETHER) if self._chance(0.3) else set()
            if provider == "gmail" and {*fields["labels"]} & {"SPAM", "TRASH", "DRAFT"}:
                said = {"labels"}  # followed by ids only
            return mail_change(id_, fields, sorted(said))
        return still_shown(id_) if draw < 0.75 else removed(id_)

    def _shown(self, box: str, id_: str, known: dict[str, Plan], stream: str) -> Change:
        """Mostly the same mail each time; a draft that was sent has another id. What an archive has it has for ever."""
        if BOXES[box][1] == "archive":
            return mail_change(id_, self._archived.setdefault(id_, self._copy(known[id_], box)))
        if self._chance(0.08):
            known[id_] = self._random.choice(self._plans)
        folder = stream if BOXES[box][1] == "graph" else ""
        return mail_change(id_, {**self._copy(known[id_], box), "folder": folder})

    def _moves(self, box: str, known: dict[str, Plan]) -> list[list[Said]]:
        """A mail leaves one folder and comes to another; either half may have been fetched first."""
        id_ = self._random.choice(sorted(known))
        source, target = self._random.sample(["inbox", "archive", "sent", "junk", "trash"], 2)
        if target in ("junk", "trash"):
            if not self._partial:
                return []
            arrival = mail_change(id_, mail_fields(b"", folder=target), ["folder"])
        else:
            arrival = self._shown(box, id_, known, target)
        halves = [(source, removed(id_)), (target, arrival)]
        if self._chance(0.5):
            halves.reverse()
        return [[self._page(box, stream, [change])] for stream, change in halves]

    def _listing(self, box: str, known: dict[str, Plan]) -> list[Said]:
        stream, name = self._random.choice(STREAMS[BOXES[box][1]]), f"listing-{self._fetch}"
        begin = self._page(box, stream, type="listing_begin", listing=name)
        ids = [id_ for id_ in known if self._chance(0.5)]
        whole = [
            self._shown(box, id_, known, stream) if self._chance(0.5) else still_shown(id_) for id_ in ids
        ]
        pages = [self._page(box, stream, [change], listing=name) for change in whole]
        end = [] if self._chance(0.2) else [self._page(box, stream, type="listing_end", listing=name)]
        return [begin, *pages, *end]


def without(block: list[Said], index: int) -> list[Said]:
    """A page less one change, for finding the smallest case."""
    page = block[0]
    return [replace(page, changes=page.changes[:index] + page.changes[index + 1 :])]
