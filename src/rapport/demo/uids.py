"""Names of appointments as calendar programs give them, and the disguises in which other programs show them."""

from __future__ import annotations

from datetime import date
from random import Random
from typing import Final

_CLASS: Final = bytes.fromhex("040000008200E00074C5B7101A82E008")
_FOREIGN: Final = b"vCal-Uid\x01\x00\x00\x00"


def google_uid(rng: Random) -> str:
    """A UID as Google makes them."""
    return f"{''.join(rng.choices('0123456789abcdefghijklmnopqrstuv', k=26))}@google.com"


def plain_uid(rng: Random) -> str:
    """A UUID, as most programs use."""
    return f"{rng.getrandbits(128):032X}"


def outlook_uid(rng: Random) -> str:
    """A GlobalObjectId in hexadecimal, as Outlook writes it for a single meeting or a whole series."""
    return _global_id(rng.getrandbits(64).to_bytes(8, "little"), rng.randbytes(16)).hex().upper()


def of_one_day(uid: str, day: date) -> str:
    """An Outlook UID as the copy of one occurrence has it: with the day in bytes 16 to 19."""
    raw = bytearray.fromhex(uid)
    raw[16:20] = day.year.to_bytes(2, "big") + bytes((day.month, day.day))
    return bytes(raw).hex().upper()


def wrapped(uid: str) -> str:
    """Another program's UID as Outlook keeps it."""
    return _global_id(bytes(8), _FOREIGN + uid.encode() + b"\x00").hex().upper()


def is_outlook(uid: str) -> bool:
    """Whether it is a GlobalObjectId."""
    return uid.startswith(_CLASS.hex().upper())


def _global_id(created: bytes, data: bytes) -> bytes:
    return _CLASS + bytes(4) + created + bytes(8) + len(data).to_bytes(4, "little") + data
