"""Which mail folders there are for Rapport: what is collected, what is followed by ids only, and what is neither. Pure.

Names that people read are in their language and may be changed; only ids count. Which id is the inbox or the trash Graph tells when
it is asked for a folder by its well-known name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Json = Mapping[str, Any]

SENT: Final = "sentitems"
"""The stream of sent copies."""

EXCLUDED: Final = frozenset(
    {
        "drafts",
        "junkemail",
        "deleteditems",
        "clutter",
        "conversationhistory",
        "rssfeeds",
        "syncissues",
        "outbox",
    }
)
"""Streams that are followed for ids only. Processors know them by these names."""

_ROOT, _SEARCHES = "msgfolderroot", "searchfolders"
_COLLECTED = frozenset({"inbox", SENT, "archive"})
_AS: Final = {
    "conflicts": "syncissues",
    "localfailures": "syncissues",
    "serverfailures": "syncissues",
    "scheduled": "outbox",
}
"""Further well-known folders, and the excluded one that they are like; what is scheduled was not sent yet."""

_OUTSIDE: Final = frozenset({_SEARCHES, "recoverableitemsdeletions"})
"""What lies in or below these is nowhere: copies of what lies elsewhere, and what was deleted for good."""

WELL_KNOWN: Final = frozenset({_ROOT, *_OUTSIDE, *_COLLECTED, *_AS, *(EXCLUDED - {"rssfeeds"})})
"""The names that a mailbox may be asked by; one that it does not have is answered with 404."""

_SEARCH_TYPE = "mailsearchfolder"
_RSS = re.compile(r"\bRSS\b")
"""v1.0 has no well-known name for the folder of feeds, but all languages have this word in its name."""

_DEEPEST = 300
"""Outlook allows no more levels; a folder that is below itself must not be followed for ever."""


@dataclass(frozen=True, slots=True)
class FolderTree:
    """The folders that are followed, excluded ones too.

    Attributes:
        streams: folder id → stream. `folder:<id>` where there is no well-known name; folders below an excluded one are its stream.
        totals: folder id → how many items it holds.
    """

    streams: dict[str, str] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)


def folder_tree(folders: Iterable[Json], well_known: Mapping[str, str]) -> FolderTree:
    """Reads all folders of a mailbox, in any order, each as often as it comes; the last one counts.

    Args:
        folders: as Graph lists them. Search folders, hidden ones without a well-known name, and all below these are left out.
        well_known: name → id, of WELL_KNOWN, as far as the mailbox has them.
    """
    known = {one["id"]: one for one in folders if isinstance(one.get("id"), str)}
    named = {id_: name for name, id_ in well_known.items()}
    tree = FolderTree()
    for id_, folder in known.items():
        stream = _stream(id_, known, named)
        if stream:
            tree.streams[id_] = stream
            total = folder.get("totalItemCount")
            tree.totals[id_] = total if isinstance(total, int) else 0
    return tree


def _stream(id_: str, known: Mapping[str, Json], named: Mapping[str, str]) -> str:
    """Empty for a folder that is not followed."""
    line = _line(id_, known, named)
    above = [_excluding(one, known, named) for one in line]
    if any(stream is None for stream in above):
        return ""
    name = named.get(id_, "")
    excluded = next(filter(None, reversed(above)), "")
    if name == _ROOT or len(line) >= _DEEPEST:
        return ""
    return excluded or (name if name in _COLLECTED else f"folder:{id_}")


def _line(id_: str, known: Mapping[str, Json], named: Mapping[str, str]) -> list[str]:
    """The folder and those above it up to the root, as far as they are known."""
    line = [id_]
    while len(line) < _DEEPEST and named.get(line[-1]) != _ROOT:
        parent = known.get(line[-1], {}).get("parentFolderId")
        if not isinstance(parent, str) or not parent:
            break
        line.append(parent)
    return line


def _excluding(id_: str, known: Mapping[str, Json], named: Mapping[str, str]) -> str | None:
    """The excluded stream that a folder makes of all below it; empty for none, None where they are not followed at all."""
    name, folder = named.get(id_, ""), known.get(id_, {})
    kind = str(folder.get("@odata.type", "")).rpartition(".")[2].lower()
    if name in _OUTSIDE or kind == _SEARCH_TYPE or (folder.get("isHidden") and not name):
        return None
    excluded = _AS.get(name, name if name in EXCLUDED else "")
    if not name and named.get(str(folder.get("parentFolderId"))) == _ROOT:
        excluded = "rssfeeds" if _RSS.search(str(folder.get("displayName"))) else ""
    return excluded
