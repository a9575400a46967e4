"""Gmail's labels as Google Takeout writes them into each mail, and those whose mail is never collected."""

from __future__ import annotations

import binascii
import csv
import re
from collections.abc import Sequence

from rapport_producers.archive.mime import clean, header_value

_FIELD = b"x-gmail-labels"
_VALUE_BYTES = 64 * 1024
_MOST_LABELS = 100
_LABEL_CHARS = 225
"""Gmail's own limit for a name."""

_BETWEEN_WORDS = re.compile(r"\?=\s+=\?")
_WORD = re.compile(r"=\?([^?\s*]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?]*)\?=")
_WORDS = re.compile(r"(?:=\?[^?\s]+\?[bBqQ]\?[^?]*\?=)+")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]+")

# As Gmail names them in English, Swedish, German, French, Spanish, Italian, Dutch, Danish, Norwegian, Finnish,
# Portuguese and Polish. Gmail lets nobody give a label of his own one of these names in his language.
_SENT = frozenset(
    {
        "sent",
        "sent mail",
        "skickat",
        "skickade",
        "gesendet",
        "messages envoyés",
        "envoyés",
        "enviados",
        "inviati",
    }
    | {
        "posta inviata",
        "verzonden",
        "sendt",
        "sendte",
        "lähetetyt",
        "enviadas",
        "e-mails enviados",
        "wysłane",
    }
)
_LEFT_OUT = frozenset(
    {"spam", "skräppost", "søppelpost", "roskaposti"}
    | {"trash", "bin", "papperskorgen", "papierkorb", "corbeille", "papelera", "cestino", "prullenbak"}
    | {"papirkurv", "papirkurven", "roskakori", "lixo", "lixeira", "kosz"}
    | {
        "draft",
        "drafts",
        "utkast",
        "entwurf",
        "entwürfe",
        "brouillon",
        "brouillons",
        "borrador",
        "borradores",
    }
    | {"bozza", "bozze", "concept", "concepten", "kladde", "kladder", "luonnos", "luonnokset"}
    | {"rascunho", "rascunhos", "wersje robocze"}
    | {"chat", "chats", "chatt", "chattar", "chatter", "chatit", "bate-papo", "bate-papos", "czat", "czaty"}
)


def gmail_labels(header: bytes) -> list[str]:
    """The labels in a header block, decoded; none for mail that is not from Takeout. Never raises, on any bytes."""
    value = header_value(header, header.lower(), _FIELD, _VALUE_BYTES)
    if not value:
        return []
    text = clean(_decoded(value.decode("utf-8", "replace")))
    labels = (label.strip()[:_LABEL_CHARS] for label in _split(text))
    found = list(dict.fromkeys(label for label in labels if label))
    # Those that decide something are kept wherever they stand.
    return found[:_MOST_LABELS] + [
        label for label in found[_MOST_LABELS:] if label.casefold() in _SENT | _LEFT_OUT
    ]


def is_left_out(labels: Sequence[str]) -> bool:
    """Whether one of the labels is Gmail's own for spam, trash, drafts or chats. Labels nobody knows leave nothing out."""
    return any(label.casefold() in _LEFT_OUT for label in labels)


def is_sent(labels: Sequence[str]) -> bool:
    """Whether one of the labels is Gmail's own for sent mail."""
    return any(label.casefold() in _SENT for label in labels)


def _split(text: str) -> list[str]:
    """At commas outside quotes; a label with an odd quote in its name must not swallow those behind it."""
    if text.count('"') % 2:
        return text.split(",")
    return next(csv.reader([text], skipinitialspace=True), [])


def _decoded(text: str) -> str:
    """RFC 2047, wherever the encoded words stand: Takeout folds within a label and within a character."""
    return _WORDS.sub(_run, _BETWEEN_WORDS.sub("?==?", text))


def _run(found: re.Match[str]) -> str:
    words = _WORD.findall(found[0])
    raw = b"".join(_bytes(kind, payload) for _, kind, payload in words)
    try:
        return raw.decode(words[0][0], "replace")
    except (LookupError, ValueError):
        return raw.decode("utf-8", "replace")


def _bytes(kind: str, payload: str) -> bytes:
    if kind in "qQ":
        return binascii.a2b_qp(payload.encode("utf-8", "replace"), header=True)
    packed = _NOT_BASE64.sub("", payload)
    packed = packed[:-1] if len(packed) % 4 == 1 else packed
    return binascii.a2b_base64(packed + "=" * (-len(packed) % 4))
