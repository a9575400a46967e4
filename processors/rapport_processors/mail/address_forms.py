"""Addresses in the one form in which they compare.

A comparable address is `local@domain` with the local part case-folded and the domain in A-label form, or
`x500:/o=…` for an Exchange directory name that stands for no mail address.
"""

from __future__ import annotations

import re
import unicodedata

import idna

from rapport_processors.mail.headers import sound
from rapport_processors.mail.memory import remembered

GMAIL_DOMAINS = frozenset({"gmail.com", "googlemail.com"})
"""Gmail's own domains: the only ones where dots in the local part mean nothing."""

X500_PREFIX = "x500:"
_LONGEST = 1000  # characters of anything that may be an address
_FINAL_DOTS = ".\u3002\uff0e\uff61"

_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&*+/=?^_`{|}~.-]+@[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
DIRECTORY_NAME = re.compile(r"(?:x500:|ex:)?/o=[^/]", re.IGNORECASE)
"""How an Exchange directory name begins."""
_SPECIAL_START = ("/o=", "imceaex-")
_PLUS_HEX = re.compile(r"\+([0-9A-Fa-f]{2})")
_SCHEME = re.compile(r"^(?:mailto|smtp):", re.IGNORECASE)
_DOT_ATOM = re.compile(r'[^\s"(),:;<>@\[\]\\]+')
_ESCAPED_ATOM = re.compile(r'(?:[^\s"(),:;<>@\[\]\\]|\\[^\s"\\])+')
_BRACKET = re.compile(r"[\[\]]")
_LITERAL = re.compile(r"\[[^\[\]]+\]")
_BAD_DOMAIN = re.compile(r'[\s"(),:;<>@\\]')


@remembered(entries=1 << 16, longest=100)
def comparable(address: str) -> str | None:
    """The form in which two addresses are the same address, or None when it is none. Idempotent.

    Surrounding brackets, quotes and `mailto:`/`smtp:` go; Exchange names (`/O=…`, `X500:…`, IMCEAEX) become
    `x500:/o=…`; a group, a display name or a bare name is no address.
    """
    if _PLAIN_ADDRESS.fullmatch(address):
        lower = address.lower()
        if not lower.startswith(_SPECIAL_START):
            return lower
    return _comparable_slow(address)


def _comparable_slow(address: str) -> str | None:
    if len(address) > _LONGEST:
        return None
    spec = _bare(sound(address).strip())
    if DIRECTORY_NAME.match(spec):
        return _directory_name(spec)
    local, at, domain = spec.rpartition("@")
    if not at:
        return None
    if local[:8].lower() == "imceaex-":
        decoded = sound(_PLUS_HEX.sub(_hex_character, local[8:].replace("_", "/")))
        if DIRECTORY_NAME.match(decoded):
            return _directory_name(decoded)
    local_form, domain_form = _local(local.strip()), comparable_domain(domain)
    return f"{local_form}@{domain_form}" if local_form and domain_form else None


def _bare(spec: str) -> str:
    """An address spec without what people put around it: brackets, quotes, a scheme, a source route."""
    while True:
        before = spec
        spec = _SCHEME.sub("", spec, count=1)
        for left, right in (("<", ">"), ("'", "'")):
            if len(spec) > 1 and spec[0] == left and spec[-1] == right:
                spec = spec[1:-1].strip()
        if spec == before:
            break
    if spec[:1] == "@" and ":" in spec:  # a source route: <@relay,@relay:local@domain>
        spec = spec.rpartition(":")[2].strip()
    return spec


def _hex_character(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))


def _directory_name(name: str) -> str | None:
    form = X500_PREFIX + " ".join(_folded(name[name.index("/") :]).split())
    return form if DIRECTORY_NAME.match(form) else None


def _local(local: str) -> str | None:
    """The local part without needless quotes and backslashes, folded; None when it cannot be one."""
    if len(local) > 1 and local[0] == local[-1] == '"':
        local = re.sub(r"\\(.)", r"\1", local[1:-1], flags=re.DOTALL)
        quoted = not _DOT_ATOM.fullmatch(local)
    else:
        escaped, local = local, local.replace("\\", "")
        quoted = not _DOT_ATOM.fullmatch(local)
        if quoted and not _ESCAPED_ATOM.fullmatch(escaped):
            return None
    local = _folded(local)
    if quoted:
        return '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return local


def _folded(text: str) -> str:
    """Case-folded and NFC. Repeated, because each of the two may undo the other on a few characters."""
    for _ in range(4):
        folded = unicodedata.normalize("NFC", text.casefold())
        if folded == text:
            break
        text = folded
    return text


@remembered(entries=1 << 14, longest=100)
def comparable_domain(domain: str) -> str | None:
    """A domain in lower case and A-label form (IDNA 2008), without a final dot; None when it cannot be one.

    A name that IDNA refuses is kept folded, so that it still equals itself.
    """
    domain = domain.strip().rstrip(_FINAL_DOTS)
    if not domain or _BAD_DOMAIN.search(domain) or domain.startswith("."):
        return None
    if domain.isascii():
        return None if _BRACKET.search(domain) and not _LITERAL.fullmatch(domain) else domain.lower()
    if len(domain) > _LONGEST:
        return None
    try:
        return idna.encode(domain, uts46=True).decode("ascii").lower().rstrip(".")
    except (idna.IDNAError, UnicodeError, IndexError):
        folded = _folded(domain).rstrip(_FINAL_DOTS)
        return None if not folded or _BAD_DOMAIN.search(folded) else folded


@remembered(entries=1 << 16, longest=100)
def untagged(address: str) -> str:
    """A comparable address without its `+tag`, and without dots where it is Gmail's own domain. Idempotent."""
    local, _, domain = address.rpartition("@")
    if not local or local[0] == '"' or address.startswith(X500_PREFIX):
        return address
    base = local.partition("+")[0] or local
    if domain in GMAIL_DOMAINS:
        base = base.replace(".", "") or base
    return f"{base}@{domain}"


def domain_of(address: str) -> str:
    """The domain of a comparable address; empty for an Exchange directory name."""
    return "" if address.startswith(X500_PREFIX) else address.rpartition("@")[2]
