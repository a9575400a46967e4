"""Public mail providers: domains that belong to nobody's company. The list is a file, versioned with the code."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

_VERSION_LINE = "# version:"


def _text() -> str:
    return (files("rapport_processors") / "public_providers.txt").read_text("utf-8")


@lru_cache(maxsize=1)
def public_providers() -> frozenset[str]:
    """Every listed domain, lower case, A-label form."""
    lines = (line.strip() for line in _text().splitlines())
    return frozenset(line for line in lines if line and not line.startswith("#"))


@lru_cache(maxsize=1)
def version() -> str:
    """The list's own version: results that depend on the list can name it."""
    first = next(line for line in _text().splitlines() if line.startswith(_VERSION_LINE))
    return first.removeprefix(_VERSION_LINE).strip()


def is_public(domain: str) -> bool:
    """Whether `domain` itself is a public mail provider's. A subdomain of one is somebody's own and is not."""
    return domain in public_providers()
