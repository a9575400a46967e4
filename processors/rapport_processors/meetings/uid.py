"""The canonical UID of a meeting: one for all forms in which calendars carry it.

Outlook and Exchange wrap a UID in a GlobalObjectId (MS-OXOCAL 2.2.1.27):

    16 bytes 04000000 8200E000 74C5B710 1A82E008 · 4 bytes year, month, day of the instance · 8 bytes creation time
    · 8 bytes zero · 4 bytes size · data

The instance date differs between the occurrences of one series, so it is zeroed; data that begins with `vCal-Uid` holds
the UID of another calendar in clear (MS-OXCICAL), which is then the UID.
"""

from __future__ import annotations

import base64
import binascii
import re

_CLASS_ID = bytes.fromhex("040000008200E00074C5B7101A82E008")
_INSTANCE_DATE = slice(16, 20)
_SIZE = slice(36, 40)
_DATA = 40
_FOREIGN = b"vCal-Uid\x01\x00\x00\x00"
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_BASE64_START = base64.b64encode(_CLASS_ID[:15]).decode()


def canonical_uid(uid: str) -> str:
    """The UID by which copies of a meeting compare. Any text without a GlobalObjectId in it is itself, but for white space around it."""
    text = uid.strip()
    data = _global_object_id(text)
    if data is None:
        return text
    size = int.from_bytes(data[_SIZE], "little")
    content = data[_DATA : _DATA + size]
    if content.startswith(_FOREIGN):
        foreign = content[len(_FOREIGN) :].split(b"\0", 1)[0].decode("utf-8", "replace").strip()
        if foreign:
            return canonical_uid(foreign)
    return (data[: _INSTANCE_DATE.start] + bytes(4) + data[_INSTANCE_DATE.stop :]).hex().upper()


def _global_object_id(text: str) -> bytes | None:
    """The bytes of a GlobalObjectId in hex (calendars, Graph) or base64 (Exchange's own services), else None."""
    if _HEX.fullmatch(text):
        data = bytes.fromhex(text)
    elif text.startswith(_BASE64_START):
        try:
            data = base64.b64decode("".join(text.split()), validate=True)
        except binascii.Error:
            return None
    else:
        return None
    return data if len(data) >= _DATA and data.startswith(_CLASS_ID) else None
