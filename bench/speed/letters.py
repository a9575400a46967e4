"""Generated mail with threads, by a seed: the same seed gives the same mail, some 30,000 letters a second.

Every letter is rendered as raw headers, as an archive or Gmail has them (2 KB with the traces of its way), or in the fields
of Graph. Threads overlap in time, a tenth of them is list mail, a sixth of the subjects and names needs encoded words, and
every fifth letter stands in a second member's mailbox too.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

MEMBERS: Final = 40
CUSTOMERS: Final = 120
CONTACTS: Final = 600
_OPEN_THREADS: Final = 400
_LONGEST_REFERENCES: Final = 12
_FIRST_MS: Final = 1_640_995_200_000
_STEP_MS: Final = 150_000
_WORDS: Final = (
    *(
        "offer",
        "invoice",
        "delivery",
        "contract",
        "plan",
        "schedule",
        "question",
        "order",
        "release",
        "review",
    ),
    *(
        "budget",
        "project",
        "meeting",
        "support",
        "upgrade",
        "licence",
        "proposal",
        "draft",
        "report",
        "status",
    ),
)
_NAMES: Final = ("Anna", "Björn", "Chen", "Dilara", "Elin", "François", "Greta", "Hugo", "Ivana", "João")
_LAST: Final = ("Berg", "Lind", "Öberg", "Quist", "Rossi", "Sjöberg", "Tanaka", "Ulrich", "Vogel", "Wong")
_BLOCK: Final = """\
Return-Path: <{sender}>
Delivered-To: {to}
Received: from mx{way}.gate.example (mx{way}.gate.example [192.0.2.{host}])
	by in{mailbox}.acme.example with ESMTPS id {number:x}.7
	for <{to}> (version=TLS1_3 cipher=TLS_AES_256_GCM_SHA384 bits=256/256);
	{date}
Received: by mx{way}.gate.example (Postfix, from userid 112)
	id {number:010X}; {date}
Received: from out.{domain} (out.{domain} [198.51.100.{host}])
	by mx{way}.gate.example (Postfix) with ESMTPS id {number:x}; {date}
Authentication-Results: in{mailbox}.acme.example; dkim=pass header.i=@{domain} header.s=s1;
	spf=pass (the domain of {sender} designates 192.0.2.{host} as permitted sender)
	smtp.mailfrom={sender}; dmarc=pass (p=NONE sp=NONE dis=NONE) header.from={domain}
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain}; s=s1; t={seconds};
 h=from:to:cc:subject:date:message-id:mime-version:content-type:in-reply-to:references;
 bh={signature:.44}=; b={signature:.60}
  {signature}
Message-ID: <{message_id}>
Date: {date}
MIME-Version: 1.0
User-Agent: Mozilla Thunderbird
Subject: {subject}
Content-Language: en-US
To: {reader}
From: {author}"""
_LAST_LINES: Final = """\
X-Spam-Status: No, score=-1.9 required=5.0 tests=BAYES_00,DKIM_SIGNED,
	DKIM_VALID,RCVD_IN_DNSWL_LOW,SPF_PASS autolearn=ham
Content-Type: multipart/alternative; boundary="------------0123456789ABCDEF\""""


@dataclass(frozen=True, slots=True)
class Person:
    """Name and address."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Letter:
    """One message. `mailboxes` are the numbers of the members who hold a copy."""

    number: int
    thread: int
    message_id: str
    references: tuple[str, ...]
    author: Person
    to: tuple[Person, ...]
    cc: tuple[Person, ...]
    subject: str
    preview: str
    sent_ms: int
    kind: str
    mailboxes: tuple[int, ...]


def member(number: int) -> Person:
    """A member of the team."""
    name = f"{_NAMES[number % 10]} {_LAST[number // 10 % 10]}"
    return Person(name, f"member{number}@acme.example")


def contact(number: int) -> Person:
    """A contact of a customer."""
    name = f"{_NAMES[number % 10]} {_LAST[number // 10 % 10]}-{number}"
    return Person(name, f"person{number}@customer{number % CUSTOMERS}.example")


def directory(tenant: str) -> dict[str, Any]:
    """The company's directory, as a file of it would say."""
    return {
        "tenant": {
            "id": tenant,
            "timezone": "Europe/Stockholm",
            "own_domains": ["acme.example"],
            "settings": {},
        },
        "members": [
            {"id": f"m{n}", "name": member(n).name, "addresses": [member(n).address]} for n in range(MEMBERS)
        ],
        "customers": [
            {"id": f"c{n}", "name": f"Customer {n}", "domains": [f"customer{n}.example"]}
            for n in range(CUSTOMERS)
        ],
        "contacts": [
            {
                "id": f"p{n}",
                "name": contact(n).name,
                "customer": f"c{n % CUSTOMERS}",
                "addresses": [contact(n).address],
            }
            for n in range(CONTACTS)
        ],
    }


class _Thread:
    def __init__(self, number: int, random: Random) -> None:
        self.number = number
        self.subject = " ".join(random.choices(_WORDS, k=3)) + f" {number}"
        if random.random() < 1 / 6:
            self.subject = f"Förfrågan: {self.subject}"
        self.member, self.contact = random.randrange(MEMBERS), random.randrange(CONTACTS)
        self.second = random.randrange(MEMBERS)
        self.outsider = Person("", f"someone{random.randrange(5000)}@elsewhere.example")
        lot = random.random()
        self.kind = "list" if lot < 0.1 else "bulk" if lot < 0.15 else "human"
        self.ids: list[str] = []


def letters(count: int, seed: int = 1) -> Iterator[Letter]:
    """So many letters in the order of their dates."""
    random = Random(seed)
    threads: list[_Thread] = []
    made = 0
    for number in range(count):
        if len(threads) < _OPEN_THREADS or random.random() < 0.25:
            thread = _Thread(made, random)
            made += 1
            if len(threads) < _OPEN_THREADS:
                threads.append(thread)
            else:
                threads[random.randrange(_OPEN_THREADS)] = thread
        else:
            thread = random.choice(threads)
        yield _letter(number, thread, random)


def _letter(number: int, thread: _Thread, random: Random) -> Letter:
    ours, theirs = member(thread.member), contact(thread.contact)
    from_us = random.random() < 0.45 and thread.kind == "human"
    author, reader = (ours, theirs) if from_us else (theirs, ours)
    second = member(thread.second) if number % 5 == 0 else None
    cc = [person for person in (second, thread.outsider if number % 4 == 0 else None) if person]
    host = "acme.example" if from_us else "mail.example"
    message_id = f"{random.getrandbits(96):024x}.{number}@{host}"
    references = tuple(thread.ids[-_LONGEST_REFERENCES:])
    thread.ids.append(message_id)
    same = second is None or thread.second == thread.member
    return Letter(
        number=number,
        thread=thread.number,
        message_id=message_id,
        references=references,
        author=author,
        to=(reader,),
        cc=tuple(cc),
        subject=f"{'Re: ' if references else ''}{thread.subject}",
        preview=f"Hello {reader.name}, thank you for the answer about {thread.subject}; the second column is new, see below. "
        f"Please tell us until Friday whether number {number} suits you.",
        sent_ms=_FIRST_MS + number * _STEP_MS + random.randrange(_STEP_MS),
        kind=thread.kind,
        mailboxes=(thread.member,) if same else (thread.member, thread.second),
    )


def raw_headers(letter: Letter, mailbox: int) -> bytes:
    """The header block of one mailbox's copy, with what servers on the way wrote into it."""
    seconds = letter.sent_ms // 1000
    block = _BLOCK.format(
        number=letter.number,
        date=datetime.fromtimestamp(seconds, UTC).strftime("%a, %d %b %Y %H:%M:%S +0000"),
        seconds=seconds,
        way=letter.number % 7,
        host=letter.number % 250,
        mailbox=mailbox,
        to=member(mailbox).address,
        sender=letter.author.address,
        domain=letter.author.address.partition("@")[2],
        signature=b64encode(letter.message_id.encode() * 5)[:228].decode(),
        message_id=letter.message_id,
        subject=_encoded(letter.subject),
        reader=_mailboxes(letter.to),
        author=_mailboxes((letter.author,)),
    )
    copied = [f"Cc: {_mailboxes(letter.cc)}"] if letter.cc else []
    return "\n".join([block, *copied, *rest_headers(letter), _LAST_LINES]).encode()


def rest_headers(letter: Letter) -> list[str]:
    """What no field of Graph says: links, lists, precedence."""
    lines = []
    if letter.references:
        ids = [f"<{one}>" for one in letter.references]
        lines.append("References: " + "\n ".join(ids))
        lines.append(f"In-Reply-To: {ids[-1]}")
    if letter.kind == "list":
        lines.append(f"List-Id: Talk of {letter.thread % 20} <talk{letter.thread % 20}.lists.example>")
        lines.append("Precedence: list")
    if letter.kind == "bulk":
        lines.append("Precedence: bulk")
        lines.append(f"List-Unsubscribe: <https://news.example/{letter.number}>")
    return lines


def _mailboxes(people: tuple[Person, ...]) -> str:
    return ",\n ".join(f"{_encoded(one.name)} <{one.address}>".lstrip() for one in people)


def _encoded(text: str) -> str:
    if text.isascii():
        return text
    return f"=?UTF-8?B?{b64encode(text.encode()).decode()}?="
