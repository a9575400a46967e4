"""Letters as pages of the raw log, as connectors make them: in three forms, in two orders, of any length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from rapport_core.keys import KeyRing
from rapport_producers.pages import PAGE_CHANGES, Pager, fitting
from rapport_producers.records import context
from rapport_schemas.changes import mail_change, mail_fields
from rapport_schemas.records import Change, MailFields, MailPerson, MimePart, Page
from rapport_schemas.sealing import seal
from rapport_schemas.topics import MAIL_RAW, PARTITIONS, Lane, composite_key
from rapport_schemas.wire import Wire, encode_body
from speed.letters import Letter, Person, member, raw_headers, rest_headers

TENANT: Final = "bench"
Form = Literal["mbox", "gmail", "graph"]
PROVIDERS: Final[dict[Form, str]] = {"mbox": "archive", "gmail": "google", "graph": "microsoft"}
Order = Literal["date", "shuffled"]


@dataclass(frozen=True, slots=True)
class Copy:
    """What one mailbox holds: its number, the provider's id, the fields."""

    mailbox: int
    provider_id: str
    fields: MailFields


@dataclass(frozen=True, slots=True)
class RawPage:
    """A record of the raw log. The partition is given, so that all of them get the same share."""

    topic: str
    partition: int
    key: bytes
    value: bytes
    count: int


def copies_of(letters: Iterable[Letter], form: Form) -> Iterator[Copy]:
    """One copy for each mailbox of each letter, in the letters' order."""
    of = _structured if form == "graph" else _raw
    for letter in letters:
        for mailbox in letter.mailboxes:
            yield Copy(mailbox, f"{form}-{letter.number}", of(letter, mailbox))


def _raw(letter: Letter, mailbox: int) -> MailFields:
    mime = [part("multipart/alternative"), part("text/plain"), part("text/html")]
    return mail_fields(raw_headers(letter, mailbox), mime=mime, preview=letter.preview, size=7000)


def part(kind: str) -> MimePart:
    """A part that says nothing but its type."""
    return {"type": kind, "filename": "", "parameters": ""}


def _structured(letter: Letter, mailbox: int) -> MailFields:
    """As Graph says it: who, when and what in fields; a block of the few headers that have none."""
    people = [_person("from", letter.author)]
    people += [_person("to", one) for one in letter.to]
    people += [_person("cc", one) for one in letter.cc]
    return mail_fields(
        "\n".join(rest_headers(letter)).encode(),
        preview=letter.preview,
        provider_time=letter.sent_ms + 2000,
        folder="sent" if letter.author == member(mailbox) else "inbox",
        conversation=f"conversation-{letter.thread}",
        structured={
            "message_id": f"<{letter.message_id}>",
            "subject": letter.subject,
            "sent": letter.sent_ms,
            "people": people,
            "invitation": False,
        },
    )


def _person(role: str, person: Person) -> MailPerson:
    return {"role": role, "name": person.name, "address": person.address}


def shuffled(copies: Iterable[Copy], seed: int = 2) -> list[Copy]:
    """The same copies in no order."""
    found = list(copies)
    Random(seed).shuffle(found)
    return found


@dataclass(frozen=True, slots=True)
class Body:
    """What a page holds before it is sealed; several tenants may get the same."""

    mailbox: int
    count: int
    plain: bytes


def bodies(copies: Iterable[Copy], length: int = PAGE_CHANGES) -> Iterator[Body]:
    """Pages of at most so many copies and of what fits a page, each connection's in the order of its copies."""
    pagers: dict[int, Pager] = {}
    for copy in copies:
        pager = pagers.setdefault(copy.mailbox, Pager())
        sized = fitting(mail_change(copy.provider_id, copy.fields))
        if pager and (len(pager) >= length or not pager.takes(sized)):
            yield _body(copy.mailbox, pager.take())
        pager.add(sized)
    for mailbox, pager in pagers.items():
        if pager:
            yield _body(mailbox, pager.take())


def _body(mailbox: int, changes: list[Change]) -> Body:
    return Body(mailbox, len(changes), encode_body("page_body", {"changes": changes}))


class Sealer:
    """Makes bodies the pages of one tenant's connections, one for each mailbox."""

    def __init__(
        self, wire: Wire, keys: KeyRing, form: Form, tenant: str = TENANT, lane: Lane = Lane.BACKFILL
    ) -> None:
        self._wire, self._keys, self._form, self._tenant = wire, keys, form, tenant
        self._topic = MAIL_RAW[lane].name
        self._sealing: dict[str, tuple[str, bytes]] = {}
        self._fetches: dict[str, int] = {}

    def page(self, body: Body) -> RawPage:
        """The next page of the mailbox's connection."""
        connection = f"{self._form}-{body.mailbox}"
        key_id, key = self._key(connection)
        fetch = self._fetches[connection] = self._fetches.get(connection, 0) + 1
        page: Page = {
            "tenant": self._tenant,
            "connection": connection,
            "member": f"m{body.mailbox}",
            "provider": PROVIDERS[self._form],
            "stream": "inbox",
            "type": "changes",
            "fetch": fetch,
            "published_at": 1_790_000_000_000 + fetch,
            "count": body.count,
            "key_id": key_id,
            "sealed": seal(key, body.plain, context("page", self._tenant, connection)),
            "listing": None,
            "range_from": None,
            "range_to": None,
            "mark": None,
        }
        key_bytes = composite_key(self._tenant, connection)
        return RawPage(
            self._topic,
            body.mailbox % PARTITIONS,
            key_bytes,
            self._wire.encode("page", page),
            body.count,
        )

    def _key(self, connection: str) -> tuple[str, bytes]:
        if connection not in self._sealing:
            key_id = self._keys.new_page_key(self._tenant, connection)
            key = self._keys.page_key(key_id)
            assert key is not None
            self._sealing[connection] = key_id, key
        return self._sealing[connection]
