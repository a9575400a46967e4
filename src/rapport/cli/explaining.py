"""`rapport explain` as people read it: one screen of plain sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from rapport.cli.tables import console
from rapport.explaining.answer import ExplainedItem, Explanation
from rapport.explaining.sentences import roles_of

_INDENT = (0, 0, 0, 2)
_PARTS_OF_ADDRESS = ("members", "contacts", "customers", "own_domains", "exclusions", "choices")
_MOST_PARTS = 12
_MOST_PEOPLE = 12
_MOST_ENTRIES = 6
_MOST_COPIES = 6
_MOST_LOSING = 6
_MOST_CHANGES = 8
_KNOWN_AS = {
    "members": "member",
    "contacts": "contact",
    "customers": "customer",
    "excluded_by": "excluded by",
}


def print_explanation(found: Explanation) -> None:
    """The answer in sentences."""
    out = console()
    if not found["known"]:
        out.print(found["advice"])
        return
    total = sum(tally["items"] for tally in found["decisions"])
    if found["address"] is not None:
        _print_address(out, found["address"])
    if found["found_as"] == "address":
        _print_tallies(out, found, total)
    for item in found["items"]:
        (_print_line if found["found_as"] == "address" else _print_item)(out, item)
    if total > len(found["items"]):
        out.print(f"Those were the newest {len(found['items'])} of {total}.")
    for note in found["notes"]:
        out.print(f"\n{note}")


def _print_address(out: Console, told: Mapping[str, Any]) -> None:
    out.print(f"[bold]{escape(told['address'])}[/]  {told['standing']}")
    out.print(escape(told["sentence"]))
    parts = [part["sentence"] for name in _PARTS_OF_ADDRESS for part in told[name]]
    _print_list(out, "The directory has of it:", parts, _MOST_PARTS)
    out.print()


def _print_tallies(out: Console, found: Explanation, total: int) -> None:
    if not total:
        out.print("Nothing that was read names this address.")
        return
    out.print(f"{total} item{'' if total == 1 else 's'} name{'s' if total == 1 else ''} this address:")
    for tally in found["decisions"]:
        out.print(f"{tally['items']:8} {'belonging' if tally['matched'] else 'left out'}, {tally['rule']}")
    out.print()


def _print_line(out: Console, item: ExplainedItem) -> None:
    """One of many: `rapport explain ID` tells it in full."""
    at = (item["at"] or "without a time")[:10]
    told = f"{item['id']}  {at}  {item['rule']}  {item['subject'] or ''}"
    out.print(escape(told.rstrip()), no_wrap=True, overflow="ellipsis")


def _print_item(out: Console, item: ExplainedItem) -> None:
    kind = f"{item['mail_class']} {item['kind']}".strip()
    out.print(f"\n[bold]{item['id']}[/]  {kind}, {item['at'] or 'without a time'}")
    if item["subject"] is not None:
        out.print(escape(item["subject"]), no_wrap=True, overflow="ellipsis")
    out.print(item["sentence"])
    if item["fresh"] is not None:
        out.print("[bold]A change is still under way[/] (repeat with --wait). By the directory of now:")
        out.print(item["fresh"]["sentence"])
    for name in ("members", "declined_members", "customers", "contacts"):
        if ids := item[name]:
            out.print(escape(f"  {name.removesuffix('_members')}: {', '.join(ids)}"))
    _print_list(out, "By these entries of the directory:", _used(item["reason"]), _MOST_ENTRIES)
    if item["ambiguous"]:
        out.print("An address or domain in it has several owners in the directory:")
        for told in _candidates(item["reason"]):
            out.print(Padding(escape(told), _INDENT, expand=False))
    _print_grounds(out, item)
    out.print(escape(f"  conversation {item['thread']}, read at {item['origin'] or 'an unknown place'}"))
    for letter in item["dead_letters"]:
        out.print(escape(f"  Something of it could not be processed: rapport dlq show {letter}"))
    for note in item["notes"]:
        out.print(note)


def _print_grounds(out: Console, item: ExplainedItem) -> None:
    """What was decided from, and what would change it; nothing where it could not be opened."""
    _print_list(out, "Who is in it:", map(_person, item["people"]), _MOST_PEOPLE)
    if len(item["copies"]) > 1 or not item["matched"]:
        _print_list(
            out, "Copies, each under its connection's settings:", map(_copy, item["copies"]), _MOST_COPIES
        )
    if said := _settings(item):
        out.print(escape(f"Settings: {said}"))
    _print_list(out, "Looked at and not taken:", map(_lost, item["losing"]), _MOST_LOSING)
    is_in = item["fresh"]["synced"] if item["fresh"] else item["matched"]
    turning = "What would change it:" if is_in else "What would bring it in:"
    changes = (f"- {change['sentence']}" for change in item["would_turn"])
    _print_list(out, turning, changes, _MOST_CHANGES)


def _print_list(out: Console, heading: str, lines: Iterable[str], most: int) -> None:
    """A heading and so many lines; nothing where there are none. What was cut is counted, `--json` has all."""
    told = list(lines)
    if not told:
        return
    out.print(heading)
    for line in told[:most]:
        out.print(Padding(escape(line), _INDENT, expand=False))
    if len(told) > most:
        out.print(f"  and {len(told) - most} more (--json)")


def _used(reason: Mapping[str, Any]) -> Iterable[str]:
    return dict.fromkeys(map(_entry, reason.get("entries", [])))


def _candidates(reason: Mapping[str, Any]) -> Iterable[str]:
    for value, entries in reason.get("candidates", {}).items():
        owners = dict.fromkeys(f"{entry['kind']} {entry['id']}" for entry in entries)
        yield f"{value}: {', '.join(owners)}"


def _entry(entry: Mapping[str, Any]) -> str:
    value = entry.get("address") or entry.get("domain") or ""
    settled = f", settled by the choice {entry['choice']}" if entry.get("choice") else ""
    return f"{entry['kind']} {entry['id']}" + (f" ({value})" if value else "") + settled


def _person(person: Mapping[str, Any]) -> str:
    known = [f"{word} {', '.join(person[name])}" for name, word in _KNOWN_AS.items() if person.get(name)]
    standing = person["standing"]
    if standing == "external" and not known:
        standing = "nobody the directory knows"
    return f"{person['address']} ({roles_of(person)}): {'; '.join([standing, *known])}"


def _copy(copy: Mapping[str, Any]) -> str:
    owner = f"of {copy['member']}" if copy["member"] else "of an unknown holder"
    own = ", ".join(_setting(name, copy["settings"][name]) for name in copy["overrides"])
    return f"{copy['connection']} {owner}: {copy['rule']}" + (f" (its own settings: {own})" if own else "")


def _settings(item: ExplainedItem) -> str:
    """What the tenant has set, as far as it has a part in decisions."""
    usual: Mapping[str, Any] = next(
        (copy["settings"] for copy in item["copies"] if not copy["overrides"]), {}
    )
    return ", ".join(_setting(name, value) for name, value in {**usual, **item["settings"]}.items())


def _setting(name: str, value: object) -> str:
    return f"{name} {('off', 'on')[value] if isinstance(value, bool) else value}"


def _lost(entry: Mapping[str, Any]) -> str:
    return f"{_entry(entry)} for {entry['for']}: {entry['why']}"
