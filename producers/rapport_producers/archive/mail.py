"""One message of an archive as the raw log keeps it: header block, MIME tree, preview; the body stays where it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b

from rapport_core.errors import PoisonError
from rapport_core.ids import HASH_BYTES
from rapport_producers.archive.labels import gmail_labels, is_sent
from rapport_producers.archive.mime import empty_line, mime_tree
from rapport_schemas.changes import mail_fields
from rapport_schemas.records import MailFields

HEADER_BYTES = 256 * 1024
"""A longer header block is cut at the last line border before this; what can be read is used."""

_FIELD = re.compile(rb"^[!-9;-~]+[ \t]*:", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MailText:
    """A message cut in two. `cut`: its header block was too long and lost its end (and the body with it).

    `whole`: an empty line ended the header block, so that a later, longer reading gives the same one.
    """

    header: bytes
    body: bytes
    cut: bool
    whole: bool

    def digest(self) -> bytes:
        """What names the mail: equal for equal headers, whatever line ends the archive uses."""
        header = self.header
        if b"\r" in header:
            header = header.replace(b"\r\n", b"\n")
        return blake2b(header.rstrip(b"\n"), digest_size=HASH_BYTES).digest()

    def labels(self) -> list[str]:
        """The labels Gmail gave it, where Google Takeout wrote them down."""
        return gmail_labels(self.header)

    def fields(self, size: int, folder: str = "") -> MailFields:
        """The mail as it is published. Raises PoisonError(`empty`, `no_headers`) when there is no mail in it at all.

        A mail that says of itself that it was sent is of the folder `sent`, whatever the archive is said to be.
        """
        if not self.header and not self.body:
            raise PoisonError("empty", "nothing stands where a message should")
        if not _FIELD.search(self.header):
            raise PoisonError("no_headers", "a message without a single header field")
        labels = self.labels()
        mime, preview = mime_tree(self.header, self.body)
        return mail_fields(
            self.header,
            mime=mime,
            preview=preview,
            size=size,
            folder="sent" if is_sent(labels) else folder,
            labels=labels,
        )


NOTHING = MailText(b"", b"", cut=False, whole=False)
"""The text of a mail that cannot be read at all."""


def mail_text(data: bytes) -> MailText:
    """Cuts a message at the empty line after its header block. Empty lines before the header are not part of it."""
    if data.startswith((b"\n", b"\r")):
        data = data.lstrip(b"\r\n")
    end, start = empty_line(data, HEADER_BYTES)
    if end >= 0:
        return MailText(data[:end], data[start:], cut=False, whole=True)
    if len(data) <= HEADER_BYTES:
        return MailText(data, b"", cut=False, whole=False)
    border = data.rfind(b"\n", 0, HEADER_BYTES) + 1
    return MailText(data[: border or HEADER_BYTES], b"", cut=True, whole=True)
