"""What the folders of an archive mean: well-known names, and those whose mail is never collected."""

from __future__ import annotations

import binascii
import re

_NAMES = {
    "inbox": ("inbox", "posteingang", "inkorg", "inkorgen"),
    "sent": (
        "sent",
        "sent items",
        "sent messages",
        "sent mail",
        "gesendet",
        "gesendete objekte",
        "gesendete elemente",
        "skickat",
        "skickade objekt",
        "sendt",
        "sendte elementer",
        "lähetetyt",
        "envoyés",
        "éléments envoyés",
        "enviados",
        "elementos enviados",
        "inviati",
        "posta inviata",
    ),
    "archive": ("archive", "archives", "archiv", "arkiv"),
    "drafts": ("drafts", "draft", "templates", "entwürfe", "utkast", "brouillons", "borradores", "bozze"),
    "junk": (
        "junk",
        "junk e-mail",
        "junk email",
        "junk mail",
        "spam",
        "bulk mail",
        "skräppost",
        "indésirables",
        "courrier indésirable",
        "correo no deseado",
        "posta indesiderata",
    ),
    "trash": (
        "trash",
        "bin",
        "deleted items",
        "deleted messages",
        "papierkorb",
        "gelöschte elemente",
        "gelöschte objekte",
        "borttaget",
        "papperskorgen",
        "éléments supprimés",
        "corbeille",
        "papelera",
        "cestino",
    ),
    "outbox": ("outbox", "postausgang", "utkorgen"),
    "other": (
        "clutter",
        "conversation history",
        "chats",
        "notes",
        "tasks",
        "journal",
        "contacts",
        "rss feeds",
        "rss subscriptions",
        "sync issues",
        "shared folders",
    ),
}
_KNOWN = {name: folder for folder, names in _NAMES.items() for name in names}
NEVER_COLLECTED = frozenset({"drafts", "junk", "trash", "outbox", "other"})
"""Folders whose mail is never collected (contract part 3)."""

COLLECTED = frozenset(_NAMES) - NEVER_COLLECTED
_SHIFTED = re.compile(r"&([^-&]*)-")
_SEPARATORS = re.compile(r"[./]")


def well_known(name: str) -> str:
    """`inbox`, `sent`, `archive`, one of NEVER_COLLECTED, or empty for a folder of the owner's own.

    `name` is a Maildir folder such as `.INBOX.Sent Items`, in IMAP's modified UTF-7, or a path. A folder below one
    that is never collected (`Trash/2019`) is not collected either; else the last part decides.
    """
    parts = [
        _KNOWN.get(part.strip().lower(), "") for part in _SEPARATORS.split(_readable(name)) if part.strip()
    ]
    if not parts:
        return "inbox"
    return next((part for part in parts if part in NEVER_COLLECTED), parts[-1])


def _readable(name: str) -> str:
    """IMAP's modified UTF-7 as text; what is none stays as it is."""
    return _SHIFTED.sub(_unshifted, name)


def _unshifted(found: re.Match[str]) -> str:
    packed = found[1].replace(",", "/")
    if not packed:
        return "&"
    try:
        raw = binascii.a2b_base64((packed + "=" * (-len(packed) % 4)).encode("ascii"))
        return raw.decode("utf-16-be")
    except ValueError:
        return found[0]
