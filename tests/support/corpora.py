"""The shared corpora as tests read them, and the skip that says so when they are not there."""

from __future__ import annotations

import email
import email.policy
import gzip
import json
import os
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest

from rapport_schemas import changes
from rapport_schemas.records import MailFields, MimePart

CORPORA = Path(os.environ.get("RAPPORT_CORPORA") or Path(__file__).parents[2].parent / "shared" / "corpora")
SEPARATOR = b"From mboxrd@z Thu Jan  1 00:00:00 1970\n"
USRP = "usrp-users.mbox.gz"


def corpus(name: str) -> Path:
    """The path of a corpus, or a visible skip of the test that asked for it."""
    path = CORPORA / name
    if not path.exists():
        pytest.skip(f"the corpus {name} is not there: set RAPPORT_CORPORA to the directory that holds it")
    return path


def header_blocks(path: Path) -> list[bytes]:
    """The header block of each mail of a gzipped mboxrd."""
    with gzip.open(path) as stream:
        mails = stream.read().split(SEPARATOR)[1:]
    return [mail.partition(b"\n\n")[0] for mail in mails]


def usrp_threads() -> list[list[str]]:
    """The partition of usrp-users that the contract gives."""
    with gzip.open(corpus("usrp-users.threads.json.gz"), "rt") as stream:
        threads: list[list[str]] = json.load(stream)
    return threads


def whole_mails(name: str, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Each file of a corpus as (file name, bytes)."""
    for path in sorted(corpus(name).rglob(pattern)):
        if path.is_file():
            yield path.name, path.read_bytes()


def mail_fields(headers: bytes, **fields: object) -> MailFields:
    """The fields of a mail as an archive connector gives them, of which a test sets what it is about."""
    mail = changes.mail_fields(headers)
    mail.update(fields)  # type: ignore[typeddict-item]
    return mail


def fields_of(mail: bytes) -> MailFields:
    """The fields of a whole mail, its MIME tree read by the standard library."""
    block = mail.replace(b"\r\n", b"\n").lstrip(b"\n").partition(b"\n\n")[0]
    return mail_fields(block, mime=list(_parts(email.message_from_bytes(mail, policy=email.policy.compat32))))


def _parts(part: Message) -> Iterator[MimePart]:
    declared = {
        name: str(part.get_param(name)).lower() for name in ("report-type", "method") if part.get_param(name)
    }
    yield {
        "type": part.get_content_type(),
        "filename": part.get_filename("") or "",
        "parameters": ";".join(f"{name}={value}" for name, value in declared.items()),
    }
    if part.get_content_maintype() == "multipart" and part.is_multipart():
        for child in part.get_payload():
            if isinstance(child, Message):
                yield from _parts(child)
