"""Ids as Microsoft's look, drawn from a seeded generator."""

from __future__ import annotations

import base64
import random


def identifier(rng: random.Random, prefix: str) -> str:
    """An opaque, case-sensitive id of an item or folder."""
    return prefix + base64.urlsafe_b64encode(rng.randbytes(35)).decode()


def guid(rng: random.Random) -> str:
    """A directory object's id."""
    digits = f"{rng.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
