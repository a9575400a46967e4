"""The archive of usrp-users as copies, read as the archive connector reads it; nothing of it is kept in the project."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rapport_producers.archive.mail import mail_text
from speed.pages import Copy

_CORPORA: Final = Path(
    os.environ.get("RAPPORT_CORPORA") or Path(__file__).parents[2].parent / "shared" / "corpora"
)
_SEPARATOR: Final = b"From mboxrd@z Thu Jan  1 00:00:00 1970\n"
_MAILBOXES: Final = 8


def archive() -> Path | None:
    """Where it is; None where the corpora are not on this machine."""
    path = _CORPORA / "usrp-users.mbox.gz"
    return path if path.exists() else None


def corpus_copies(path: Path) -> Iterator[Copy]:
    """Its mails, dealt to as many mailboxes as there are partitions."""
    with gzip.open(path) as stream:
        mails = stream.read().split(_SEPARATOR)[1:]
    for number, mail in enumerate(mails):
        yield Copy(number % _MAILBOXES, f"usrp-{number}", mail_text(mail).fields(len(mail)))
