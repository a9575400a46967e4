"""Puts an explanation together: the stored decision, what was sealed of the item, and the directory as it is now."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from rapport.explaining import sentences
from rapport.explaining.answer import ExplainedItem, Explanation, Fresh
from rapport.explaining.log import PageState, ReadPage, Sealed
from rapport.explaining.opened import Opened, of_change, of_record, said_of
from rapport_core.clock import to_ms
from rapport_core.errors import PoisonError
from rapport_core.ids import keyed_hash
from rapport_core.keys import TenantKeys
from rapport_processors.directory import TenantDirectory
from rapport_processors.mail.addresses import comparable
from rapport_processors.mail.references import identifier
from rapport_processors.matching import Rule, decide
from rapport_processors.matching_address import explain_address
from rapport_processors.matching_explain import explain
from rapport_processors.meetings.uid import canonical_uid
from rapport_processors.model import Meeting, Message
from rapport_schemas.records import DeadLetter
from rapport_sinks.clickhouse.lookups import Decided, Hashed, Tally, WholeItem
from rapport_sinks.clickhouse.predicate import Kind
from rapport_sinks.clickhouse.queries import Impact

OPENED = "sealed_item_opened"
"""The audit's name for it; its object is the item's id."""

_MOST_ITEMS = 20
_ITEM_ID = re.compile(r"[0-9a-f]{32}")
_PRIVATE = "Private meeting"


class _Content(NamedTuple):
    """What was opened of an item, and what stood in the way."""

    opened: Opened | None
    page: PageState | None
    notes: list[str]


class Explainer:
    """Answers for one tenant. Raises ConfigError for a tenant that is not there, UnavailableError like Impact.

    Args:
        sealed: where sealed content and the directory are read; None: only the stored decisions are there.
        audited: is told an action and the id it was done to, before anything is opened.
        letters: the tenant's open dead letters.
    """

    def __init__(
        self,
        impact: Impact,
        tenant: str,
        keys: TenantKeys,
        now: datetime,
        *,
        sealed: Sealed | None,
        audited: Callable[[str, str], None],
        letters: Callable[[], Sequence[DeadLetter]],
    ) -> None:
        self._impact = impact
        self._tenant = tenant
        self._keys = keys
        self._now = now
        self._sealed = sealed
        self._audited = audited
        self._letters = letters
        scope = impact.scope(tenant, now)
        self._classes, self._gen = scope.classes, scope.gen

    def explain(self, what: str) -> Explanation:
        """Looks for an item of this id, then for items with this Message-ID or UID, then for items that name this address."""
        query = what.strip()
        if _ITEM_ID.fullmatch(query):
            if decided := self._impact.decision(self._tenant, query):
                tally: Tally = {"matched": decided["matched"], "rule": decided["rule"], "items": 1}
                return self._found(query, "item", [tally], [decided])
            if self._impact.was_item(self._tenant, query):
                return self._unknown(query, sentences.NO_ITEM_NOW)
        for hashed, digest in _digests(query, self._keys):
            tallies = self._impact.tally(self._tenant, hashed, digest)
            if tallies:
                newest = self._impact.decisions_with(self._tenant, hashed, digest, _MOST_ITEMS)
                return self._found(query, _found_as(hashed, newest), tallies, newest)
        told = self._address(query)
        if told is not None and told["known"]:
            return self._found(query, "address", [], [])
        return self._unknown(query, sentences.NOTHING_KNOWN)

    def item(self, item_id: str) -> ExplainedItem | None:
        """One item in full; None when no item has this id or took its place."""
        decided = self._impact.decision(self._tenant, item_id) if _ITEM_ID.fullmatch(item_id) else None
        return None if decided is None else self._all_in_full([decided])[0]

    def _found(self, query: str, found_as: str, decisions: list[Tally], newest: list[Decided]) -> Explanation:
        if found_as == "address":
            items = [self._stored(decided) for decided in newest]
        else:
            items = self._all_in_full(newest)
        return {
            "query": query,
            "known": True,
            "found_as": found_as,
            "decisions": decisions,
            "items": items,
            "address": self._address(query) if found_as == "address" else None,
            "advice": None,
            "notes": [sentences.NO_LOG] if found_as == "address" and self._sealed is None else [],
        }

    def _unknown(self, query: str, advice: str) -> Explanation:
        return {
            "query": query,
            "known": False,
            "found_as": None,
            "decisions": [],
            "items": [],
            "address": None,
            "advice": advice,
            "notes": [],
        }

    def _address(self, query: str) -> dict[str, Any] | None:
        """What the directory says about an address; None where it cannot be asked, or this is none."""
        address = comparable(query)
        if not address or self._sealed is None:
            return None
        return explain_address(address, self._sealed.directory(self._tenant))

    def _all_in_full(self, newest: Sequence[Decided]) -> list[ExplainedItem]:
        if self._sealed is None:
            return [{**self._stored(decided), "notes": [sentences.NO_LOG]} for decided in newest]
        directory, letters = self._sealed.directory(self._tenant), self._letters()
        return [self._in_full(decided, self._sealed, directory, letters) for decided in newest]

    def _stored(self, decided: Decided) -> ExplainedItem:
        """What the tables alone say."""
        whole = self._impact.item(self._tenant, decided["id"]) if decided["matched"] else None
        obstacle = self._obstacle(decided, whole)
        return {
            **decided,
            "counted": decided["matched"] and not obstacle,
            "sentence": sentences.sentence_of(decided, obstacle),
            "subject": _shown(whole["subject"], private=whole["private"]) if whole else None,
            "message_id": whole["message_id"] if whole else None,
            "author": whole["author"] if whole else None,
            "members": whole["members"] if whole else [],
            "declined_members": whole["declined_members"] if whole else [],
            "customers": whole["customers"] if whole else [],
            "contacts": whole["contacts"] if whole else [],
            "reason": whole["reason"] if whole else {},
            "people": [],
            "copies": [],
            "settings": {},
            "losing": [],
            "would_turn": [],
            "fresh": None,
            "page": None,
            "dead_letters": [],
            "notes": [],
        }

    def _in_full(
        self, decided: Decided, sealed: Sealed, directory: TenantDirectory, letters: Sequence[DeadLetter]
    ) -> ExplainedItem:
        """The same with what was sealed, and what the directory says of it now."""
        item = self._stored(decided)
        item["dead_letters"] = [letter["id"] for letter in letters if _is_about(letter, decided["origin"])]
        self._audited(OPENED, decided["id"])
        content = self._open(decided, sealed)
        item["page"], item["notes"] = content.page, content.notes
        if content.opened is not None:
            self._tell(item, content.opened, directory)
        return item

    def _open(self, decided: Decided, sealed: Sealed) -> _Content:
        """The item's record; where that is gone, the page. Of an erased page nothing is told, whatever is left of it."""
        if decided["rule"] == Rule.COUNTS_KEPT:
            return _Content(None, PageState.ERASED, [sentences.OF_PAGES[PageState.ERASED]])
        read = sealed.page(self._tenant, decided["origin"])
        notes = [sentences.OF_PAGES[read.state]] if read.state in sentences.OF_PAGES else []
        if read.state is PageState.ERASED:
            return _Content(None, read.state, notes)
        found = sealed.record(self._tenant, self._gen, decided["id"], decided["ver"])
        if found is not None:
            opened = of_record(*found)
            return _Content(opened, read.state, notes if opened.is_whole else [*notes, sentences.CUT])
        opened_page = _of_page(read, decided)
        return _Content(opened_page, read.state, [*notes, sentences.NO_RECORD] if opened_page else notes)

    def _tell(self, item: ExplainedItem, opened: Opened, directory: TenantDirectory) -> None:
        """Fills in what the content and the present directory say."""
        said = said_of(opened)
        answer: dict[str, Any] = explain(said, directory)
        item["subject"] = _shown(opened.subject, private=opened.private)
        item["message_id"], item["author"] = opened.message_id, opened.author
        item["reason"] = item["reason"] or (json.loads(opened.reason) if opened.reason else {})
        item["people"], item["copies"] = answer["people"], answer["copies"]
        item["settings"] = answer["settings"]
        item["losing"], item["would_turn"] = answer["losing"], answer["would_turn"]
        if opened.is_whole and _differs(item, said, directory):
            fresh: Fresh = {
                "synced": answer["synced"],
                "rule": answer["rule"],
                "sentence": answer["sentence"],
            }
            item["fresh"] = fresh

    def _obstacle(self, decided: Decided, whole: WholeItem | None) -> str:
        """What keeps an item that belongs here out of the numbers; empty for one that is counted."""
        if decided["at"] is None:
            return "it is never counted, because it has no readable time"
        if decided["kind"] == Kind.EMAIL:
            counted = decided["mail_class"] in self._classes
            return "" if counted else f"it is not counted, because its class is {decided['mail_class']}"
        if whole and whole["cancelled"]:
            return "it is not counted, because it was cancelled"
        if datetime.fromisoformat(decided["at"]) >= self._now:
            return "it is planned, and counted from its start on"
        return ""


def _digests(query: str, keys: TenantKeys) -> list[tuple[Hashed, str]]:
    # Meetings have their UID where mail has its Message-ID.
    names = dict.fromkeys(name for name in (identifier(query), canonical_uid(query)) if name)
    wanted = [(Hashed.MESSAGE_ID, keyed_hash(keys.hash, "message-id", name).hex()) for name in names]
    if address := comparable(query):
        wanted.append((Hashed.ADDRESS, keyed_hash(keys.hash, "address", address).hex()))
    return wanted


def _found_as(hashed: Hashed, found: list[Decided]) -> str:
    if hashed is Hashed.ADDRESS:
        return "address"
    return "uid" if found and found[0]["kind"] == Kind.MEETING else "message_id"


def _is_about(letter: DeadLetter, origin: str) -> bool:
    """Whether a dead letter names this place, or the page it lies on."""
    return bool(origin) and letter["origin"] in (origin, origin.rpartition(":")[0])


def _of_page(read: ReadPage, decided: Decided) -> Opened | None:
    if read.page is None or read.change is None:
        return None
    at = None if decided["at"] is None else to_ms(datetime.fromisoformat(decided["at"]))
    try:
        return of_change(read.page, read.change, at)
    except PoisonError:
        return None


def _differs(item: ExplainedItem, said: Message | Meeting, directory: TenantDirectory) -> bool:
    """Whether the directory as it is now would have the item decided in another way than is stored."""
    now = decide(said, directory)
    if directory.has_pairs and len(said.copies) > 1 and Rule.EXCLUDED in (now.rule, item["rule"]):
        return False  # a pair may hang on the class of one copy, and the record has the best of all only
    if (now.synced, now.rule) != (item["matched"], item["rule"]):
        return True
    return now.synced and (list(now.customers), list(now.contacts)) != (item["customers"], item["contacts"])


def _shown(subject: str, *, private: bool) -> str:
    return _PRIVATE if private else subject
