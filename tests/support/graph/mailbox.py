"""One mailbox: folders, the mail in them, and what each folder's delta will tell."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import Final, Protocol

from graph.agenda import Agenda
from graph.clock import Clock, instant
from graph.identifiers import guid, identifier
from graph.journal import Entry, Journal, Kind, Quirks
from graph.letters import Item, Letter
from graph.locking import exclusive
from graph.wire import Json, Refusal

STANDARD: Final = {
    "inbox": "Posteingang",
    "drafts": "Entwürfe",
    "sentitems": "Gesendete Elemente",
    "deleteditems": "Gelöschte Elemente",
    "junkemail": "Junk-E-Mail",
    "outbox": "Postausgang",
    "archive": "Archiv",
    "conversationhistory": "Aufgezeichnete Unterhaltungen",
    "syncissues": "Synchronisierungsprobleme",
}
"""Well-known names with what a German mailbox calls them: names are localised and mean nothing."""
WELL_KNOWN: Final = frozenset(STANDARD) | {
    "clutter",
    "conflicts",
    "localfailures",
    "msgfolderroot",
    "recoverableitemsdeletions",
    "scheduled",
    "searchfolders",
    "serverfailures",
}
HIDDEN: Final = frozenset({"conversationhistory", "syncissues"})
TEAMS_CHATS: Final = "TeamsMessagesData"


class Listener(Protocol):
    """Whoever wants to hear of changes: subscriptions do."""

    def __call__(self, mailbox: Mailbox, resource: str, change: str, identifier: str) -> None:
        """`resource` is `messages` or `events`, `change` a changeType, `identifier` the immutable id."""


@dataclass
class Folder:
    """A mail folder. `parent` is the id of the one above it."""

    id: str
    name: str
    parent: str
    well_known: str = ""
    hidden: bool = False
    search: bool = False
    version: int = 1
    journal: Journal = field(default_factory=Journal)
    items: set[str] = field(default_factory=set)
    """Keys of what lies in it now."""
    touched: int = 0
    """Grows whenever a listing of it would change."""
    listed: tuple[int, list[Item]] = (-1, [])
    """When it was listed last, in `touched`, and what then lay in it, the oldest first."""


@exclusive
class Mailbox(Agenda):
    """The control handle of one mailbox. Ids that it takes and gives are immutable ones; folders are ids or well-known names."""

    def __init__(
        self,
        address: str,
        name: str,
        tenant: str,
        seed: int,
        clock: Clock,
        quirks: Quirks,
        lock: RLock,
    ) -> None:
        rng = random.Random(f"{seed} {address}")
        self.listeners: list[Listener] = []
        super().__init__(address, rng, clock, lock)
        self.name = name
        self.tenant = tenant
        self.quirks = quirks
        self.id = guid(self.rng)
        self.items: dict[str, Item] = {}
        self.folders: dict[str, Folder] = {}
        self.tree = Journal()
        self.claims = ""
        """What tokens must have been asked for with, after a claims challenge."""
        self.disabled = False
        self.settings: Json = {
            "automaticRepliesSetting": {"status": "disabled", "externalAudience": "all"},
            "timeZone": "UTC",
        }
        self._by_shown: dict[str, str] = {}
        self.root = self._new_folder(
            "Oberste Ebene des Informationsspeichers", "", well_known="msgfolderroot"
        ).id
        for well_known, localised in STANDARD.items():
            self._new_folder(localised, self.root, well_known=well_known, hidden=well_known in HIDDEN)
        self._new_folder("Ungelesen", self.root, search=True)

    # Folders

    def folder(
        self, name: str, parent: str = "msgfolderroot", *, hidden: bool = False, search: bool = False
    ) -> str:
        """A new folder; its id."""
        return self._new_folder(name, self.find(parent).id, hidden=hidden, search=search).id

    def find(self, folder: str) -> Folder:
        """By id or well-known name; `Refusal` 404 where the mailbox has none."""
        found = self.folders.get(folder) or self._well_known(folder.lower())
        if found is None:
            code = "ErrorFolderNotFound" if folder.lower() in WELL_KNOWN else "ErrorItemNotFound"
            raise Refusal(404, code, "The specified folder could not be found in the store.")
        return found

    def rename(self, folder: str, name: str) -> None:
        """The folder is called otherwise."""
        found = self.find(folder)
        found.name, found.version = name, found.version + 1
        self._tell_tree(found, "changed", {"displayName"})

    def move_folder(self, folder: str, parent: str) -> None:
        """The folder with all below it goes under another one; its id stays."""
        found = self.find(folder)
        found.parent, found.version = self.find(parent).id, found.version + 1
        self._tell_tree(found, "changed", {"parentFolderId"})

    def delete_folder(self, folder: str) -> None:
        """The folder goes with all below and in it; its message cursors answer 404 from now on."""
        found = self.find(folder)
        for child in [one for one in self.folders.values() if one.parent == found.id]:
            self.delete_folder(child.id)
        for key in sorted(found.items):
            self.delete(key)
        del self.folders[found.id]
        self._tell_tree(found, "removed")

    def children(self, folder: str, *, hidden: bool) -> list[Folder]:
        """Direct children, hidden ones only when asked."""
        return [one for one in self.folders.values() if one.parent == folder and (hidden or not one.hidden)]

    # Mail

    def deliver(
        self,
        letter: Letter,
        folder: str = "inbox",
        *,
        at: float | None = None,
        transported: bool = True,
        draft: bool = False,
        lag: float | None = None,
        **fields: object,
    ) -> str:
        """The mail lies in the folder; its immutable id. `fields` are Graph's own (`isRead=True`); `lag` is when delta shows it."""
        now = self.clock()
        item = Item(
            key=self._identifier("AAkALg"),
            shown=self._identifier("AAMkAG"),
            folder=self.find(folder).id,
            letter=letter,
            received=now if at is None else at,
            created=now if at is None else at,
            modified=now,
            transported=transported,
            draft=draft,
            fields=dict(fields),
        )
        self._put(item, lag=lag)
        self._tell(item, "created")
        return item.key

    def deliver_chat(self, text: str = "Hi", *, at: float | None = None) -> str:
        """A copy of a Teams chat, which lies in a hidden folder under the subject `IM`."""
        if not any(one.name == TEAMS_CHATS for one in self.folders.values()):
            self.folder(TEAMS_CHATS, hidden=True)
        folder = next(one.id for one in self.folders.values() if one.name == TEAMS_CHATS)
        return self.deliver(Letter(self.address, subject="IM", text=text), folder, at=at, transported=False)

    def send(self, letter: Letter, *, at: float | None = None, lag: float | None = None) -> str:
        """The sent copy, without transport headers; its immutable id."""
        return self.deliver(letter, "sentitems", at=at, transported=False, lag=lag, isRead=True)

    def draft(self, letter: Letter) -> str:
        """A draft; its immutable id, which ends with the sending."""
        return self.deliver(letter, "drafts", transported=False, draft=True, isRead=True)

    def send_draft(self, key: str, *, message_id: str | None = None, lag: float | None = None) -> str:
        """The draft goes and a copy with another id comes to sent items. `message_id`: classic Outlook gives a new one."""
        letter = self.items[key].letter
        self.delete(key)
        return self.send(replace(letter, message_id=message_id or letter.message_id), lag=lag)

    def move(
        self,
        key: str,
        folder: str,
        *,
        lag_source: float | None = None,
        lag_target: float | None = None,
        announce_target: bool = True,
        twice: bool = False,
    ) -> None:
        """To another folder, told by both streams, each in its time; `twice`: the target tells it again a round later."""
        item, target = self.items[key], self.find(folder)
        self._take(item, lag=lag_source)
        item.folder, item.shown = target.id, self._identifier("AAMkAG")
        self._touch(item)
        self._put(item, lag=lag_target, tell=announce_target)
        if twice:
            self._note(item, "added", lag=(lag_target or 0.0) + 60.0, again=True)
        self._tell(item, "updated")

    def move_and_back(self, key: str, folder: str) -> None:
        """A to B to A between two rounds, after which A's delta says that it is gone although it is there."""
        home = self.items[key].folder
        self.move(key, folder, lag_source=0.0, lag_target=0.0)
        self.move(key, home, lag_source=0.0, announce_target=False)

    def delete(self, key: str, *, reason: str = "deleted", lag: float | None = None) -> None:
        """Gone for good."""
        item = self.items.pop(key)
        self._take(item, lag=lag, reason=reason)
        self._by_shown.pop(item.shown, None)
        self._tell(item, "deleted")

    def mark_read(self, key: str, *, read: bool = True) -> None:
        """Read or unread again."""
        self.change(key, isRead=read)

    def change(self, key: str, **fields: object) -> None:
        """Sets properties of a message; delta tells the changed ones only."""
        item = self.items[key]
        item.fields.update(fields)
        self._touch(item)
        self._note(item, "changed", fields=frozenset({*fields, "changeKey", "lastModifiedDateTime"}))
        self._tell(item, "updated")

    def rewrite(self, key: str, letter: Letter) -> None:
        """The message says something else now, as a draft does after saving."""
        item = self.items[key]
        item.letter = letter
        self._touch(item)
        self._note(item, "changed", fields=frozenset(item.json(self.id, immutable=True)))
        self._tell(item, "updated")

    def replay(self, key: str) -> None:
        """The next round tells an item that did not change."""
        self._note(self.items[key], "changed")

    def get(self, identifier: str) -> Item:
        """A message by either kind of id; `Refusal` 404 when there is none."""
        item = self.items.get(self._by_shown.get(identifier, identifier))
        if item is None:
            raise Refusal(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        return item

    def listing(self, folder: str | None) -> list[Item]:
        """What lies in a folder, or everywhere, the oldest first."""
        if folder is None:
            return sorted(self.items.values(), key=_age)
        found = self.folders[folder]
        if found.listed[0] != found.touched:
            found.listed = found.touched, sorted((self.items[key] for key in found.items), key=_age)
        return found.listed[1]

    def out_of_office(
        self, status: str, since: float = 0.0, until: float = 0.0, audience: str = "all"
    ) -> None:
        """Automatic replies: `disabled`, `alwaysEnabled`, or `scheduled` from and until a moment."""
        setting: Json = {
            "status": status,
            "externalAudience": audience,
            "internalReplyMessage": "",
            "externalReplyMessage": "",
        }
        for name, moment in (("scheduledStartDateTime", since), ("scheduledEndDateTime", until)):
            setting[name] = {"dateTime": f"{instant(moment)[:-1]}.0000000", "timeZone": "UTC"}
        self.settings["automaticRepliesSetting"] = setting

    # What goes wrong

    def forget_cursors(self, folder: str | None = None, how: str = "gone") -> None:
        """Every cursor given out so far is lost: of one folder, or of all folders, the tree and the calendars.

        `how` is a kind of fault: `gone`, `gone_with_location`, `gone_inside`, `sync_state_invalid`.
        """
        journals = [self.find(folder).journal] if folder else self._journals()
        for journal in journals:
            journal.generation += 1
            journal.how_forgotten = how

    def heard(self, resource: str, change: str, identifier: str) -> None:
        """Tells whoever listens."""
        for listener in self.listeners:
            listener(self, resource, change, identifier)

    def quiet_at(self) -> float:
        """The time from which on every change so far is visible."""
        return max([self.clock(), *filter(None, (journal.waits_until() for journal in self._journals()))])

    def _journals(self) -> list[Journal]:
        own = [folder.journal for folder in self.folders.values()]
        return [*own, self.tree, *(calendar.journal for calendar in self.calendars.values())]

    # Inside

    def _new_folder(
        self, name: str, parent: str, *, well_known: str = "", hidden: bool = False, search: bool = False
    ) -> Folder:
        made = Folder(self._identifier("AAMkAF"), name, parent, well_known, hidden=hidden, search=search)
        self.folders[made.id] = made
        if parent:
            self._tell_tree(made, "added")
        return made

    def _well_known(self, name: str) -> Folder | None:
        return next((one for one in self.folders.values() if one.well_known and one.well_known == name), None)

    def _put(self, item: Item, *, lag: float | None, tell: bool = True) -> None:
        self.items[item.key] = item
        self._by_shown[item.shown] = item.key
        folder = self.folders[item.folder]
        folder.items.add(item.key)
        folder.touched += 1
        if tell:
            self._note(item, "added", lag=lag)

    def _take(self, item: Item, *, lag: float | None, reason: str = "deleted") -> None:
        folder = self.folders[item.folder]
        folder.items.discard(item.key)
        folder.touched += 1
        self._by_shown.pop(item.shown, None)
        self._note(item, "removed", lag=lag, reason=reason)

    def _note(
        self,
        item: Item,
        kind: Kind,
        *,
        lag: float | None = None,
        fields: frozenset[str] = frozenset(),
        reason: str = "deleted",
        again: bool = False,
    ) -> None:
        now = self.clock()
        wait = self.rng.uniform(*self.quirks.lag) if lag is None else lag
        entry = Entry(item.key, item.shown, kind, fields, reason, again)
        self.folders[item.folder].journal.tell(entry, now + wait, now)

    def _tell_tree(self, folder: Folder, kind: Kind, fields: Iterable[str] = ()) -> None:
        if not folder.hidden:
            now = self.clock()
            self.tree.tell(Entry(folder.id, folder.id, kind, frozenset(fields)), now, now)

    def _touch(self, item: Item) -> None:
        item.version += 1
        item.modified = self.clock()

    def _tell(self, item: Item, change: str) -> None:
        self.heard("messages", change, item.key)

    def _identifier(self, prefix: str) -> str:
        return identifier(self.rng, prefix)


def _age(item: Item) -> tuple[int, str]:
    return int(item.received), item.key
