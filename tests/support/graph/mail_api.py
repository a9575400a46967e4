"""Folders and messages as Graph v1.0 answers them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from graph.delta import Cursors
from graph.journal import Journal, Quirks, Step
from graph.letters import ON_REQUEST, Item, Letter
from graph.mailbox import Folder, Mailbox
from graph.paging import next_link, paged, wants_immutable
from graph.query import (
    LIST_PAGE,
    OPERATORS,
    Comparison,
    comparisons,
    holds,
    names,
    only,
    order,
    page_size,
    selected,
)
from graph.wire import Answer, Ask, Json, Refusal

DELTA_CAP: Final = 5_000
"""A delta with a filter gives no more, and does not say so."""
FOLDER_PAGE: Final = 10
_EXTENDED: Final = re.compile(
    r"singleValueExtendedProperties\(\$filter=((?:id eq '[^']+'(?: or )?)+)\)", re.IGNORECASE
)
_EXTENDED_IDS: Final = re.compile(r"id eq '([^']+)'", re.IGNORECASE)
_LISTED: Final = ("select", "filter", "orderby", "top", "skip", "count", "expand")


@dataclass(frozen=True)
class MailApi:
    """The mail half of one mailbox, as one request sees it. `root` is `me` or `users('…')`, as links have it."""

    mailbox: Mailbox
    cursors: Cursors
    root: str

    def folders(self, ask: Ask, parent: str = "msgfolderroot") -> Answer:
        """The direct children, hidden ones on request."""
        parameters = only(ask, ("includeHiddenFolders", "select", "top", "skip", "count"))
        hidden = parameters.get("includehiddenfolders") == "true"
        children = self.mailbox.children(self.mailbox.find(parent).id, hidden=hidden)
        values = [_folder_json(self.mailbox, one, parameters) for one in children]
        return paged(ask, parameters, values, page_size(ask, parameters, FOLDER_PAGE))

    def folder(self, ask: Ask, folder: str) -> Answer:
        """One folder by id or well-known name."""
        parameters = only(ask, ("select",))
        return Answer(200, _folder_json(self.mailbox, self.mailbox.find(folder), parameters))

    def folder_delta(self, ask: Ask) -> Answer:
        """What changed in the folder tree."""
        return self.cursors.answer(_TreeStream(self.mailbox, self.root), ask, self.mailbox.clock())

    def messages(self, ask: Ask, folder: str | None = None) -> Answer:
        """A listing as it is now, a page at a time: what changes between two pages shifts the second."""
        parameters = only(ask, _LISTED)
        filters = comparisons(parameters.get("filter"))
        sort = order(parameters.get("orderby"), filters)
        items = self._listed(folder, filters, sort)
        size, skip = page_size(ask, parameters), int(parameters.get("skip", "0"))
        body: Json = {"value": [self._json(item, parameters, ask) for item in items[skip : skip + size]]}
        if parameters.get("count") == "true":
            body["@odata.count"] = len(items)
        if skip + size < len(items):
            body["@odata.nextLink"] = next_link(ask, skip + size)
        return Answer(200, body)

    def message(self, ask: Ask, identifier: str, folder: str | None = None) -> Answer:
        """One message by either kind of id."""
        parameters = only(ask, ("select", "expand"))
        item = self.mailbox.get(identifier)
        if folder is not None and self.mailbox.find(folder).id != item.folder:
            raise Refusal(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        return Answer(200, self._json(item, parameters, ask))

    def message_delta(self, ask: Ask, folder: str) -> Answer:
        """What changed in one folder."""
        found = self.mailbox.find(folder)
        stream = _MessageStream(self.mailbox, found, f"{self.root}/mailfolders('{found.id}')/messages/delta")
        return self.cursors.answer(stream, ask, self.mailbox.clock())

    def send_mail(self, ask: Ask) -> Answer:
        """Taken, without an id; the copy comes to sent items when it comes."""
        message = ask.json().get("message")
        if not isinstance(message, dict):
            raise Refusal(400, "RequestBodyRead", "The message is missing.")
        self.mailbox.send(_letter(message, self.mailbox.address))
        return Answer(202)

    def move(self, ask: Ask, identifier: str) -> Answer:
        """To another folder, by the client itself."""
        item = self.mailbox.get(identifier)
        self.mailbox.move(item.key, str(ask.json().get("destinationId")))
        return Answer(201, self._json(self.mailbox.items[item.key], {}, ask))

    def translate(self, ask: Ask) -> Answer:
        """Ids of the one kind into ids of the other."""
        body = ask.json()
        given, immutable = body.get("inputIds", []), body.get("targetIdType") == "restImmutableEntryId"
        if len(given) > 1000:
            raise Refusal(400, "BadRequest", "At most 1000 ids can be translated.")
        items = [(one, self.mailbox.get(one)) for one in given]
        return Answer(
            200,
            {
                "value": [
                    {"sourceId": one, "targetId": item.key if immutable else item.shown}
                    for one, item in items
                ]
            },
        )

    def _listed(
        self, folder: str | None, filters: list[Comparison], sort: tuple[str, bool] | None
    ) -> list[Item]:
        found = None if folder is None else self.mailbox.find(folder)
        items = (
            self.mailbox.listing(None) if found is None or found.search else self.mailbox.listing(found.id)
        )
        times, others = _by_time(filters)
        kept = list(items)
        for _, operator, moment in times:
            kept = [item for item in kept if OPERATORS[operator](int(item.received), moment)]
        if others:
            kept = [item for item in kept if _passes(item, others, self.mailbox)]
        name, descending = sort or ("receivedDateTime", True)
        if name != "receivedDateTime":
            raise Refusal(
                400, "BadRequest", f"The simulator sorts messages by receivedDateTime only, not by {name}."
            )
        return kept[::-1] if descending else kept

    def _json(self, item: Item, parameters: Mapping[str, str], ask: Ask) -> Json:
        return message_json(self.mailbox, item, parameters, ask)


def message_json(mailbox: Mailbox, item: Item, parameters: Mapping[str, str], ask: Ask) -> Json:
    """A message with what `$select` and `$expand` ask for."""
    whole = item.json(mailbox.id, immutable=wants_immutable(ask))
    found = selected(whole, names(parameters.get("select")), ON_REQUEST)
    wanted = _extended_ids(parameters.get("expand"))
    values = [one for one in item.extended() if one["id"].lower() in wanted]
    return {**found, "singleValueExtendedProperties": values} if values else found


@dataclass(frozen=True)
class _MessageStream:
    mailbox: Mailbox
    folder: Folder
    path: str
    default_page: int = LIST_PAGE

    @property
    def resource(self) -> str:
        return f"{self.mailbox.id}/messages/{self.folder.id}"

    @property
    def journal(self) -> Journal:
        return self.folder.journal

    def options(self, ask: Ask) -> Mapping[str, str]:
        parameters = only(ask, ("select", "top", "expand", "filter", "orderby", "changeType"))
        for name, operator, _ in comparisons(parameters.get("filter")):
            if name != "receivedDateTime" or operator not in {"ge", "gt"}:
                raise Refusal(
                    400, "ErrorInvalidUrlQuery", "Change tracking filters by receivedDateTime ge or gt only."
                )
        if parameters.get("orderby", "receivedDateTime desc") != "receivedDateTime desc":
            raise Refusal(
                400, "ErrorInvalidUrlQuery", "Change tracking orders by receivedDateTime desc only."
            )
        return parameters

    def steps(self, options: Mapping[str, str], since: int | None, quirks: Quirks) -> list[Step]:
        if since is not None:
            wanted = options.get("changetype")
            steps = self.journal.round_since(since, every_state=quirks.every_state)
            return [step for step in steps if wanted is None or _change_type(step) == wanted]
        steps = self.journal.first_round()
        filters = comparisons(options.get("filter"))
        if not filters and "orderby" not in options:
            return steps
        known = [(item, step) for step in steps if (item := self.mailbox.items.get(step.key))]
        kept = [(item.received, step) for item, step in known if _passes(item, filters, self.mailbox)]
        newest = [step for _, step in sorted(kept, key=lambda pair: pair[0], reverse=True)]
        return newest[:DELTA_CAP] if filters else newest

    def render(self, step: Step, options: Mapping[str, str], ask: Ask) -> Json | None:
        if step.removed:
            gone = step.key if wants_immutable(ask) else step.shown
            return {
                "@odata.type": "#microsoft.graph.message",
                "id": gone,
                "@removed": {"reason": step.removed},
            }
        item = self.mailbox.items.get(step.key)
        if item is None or step.key not in self.journal.present:
            return None
        whole = message_json(self.mailbox, item, options, ask)
        whole = {"@odata.type": "#microsoft.graph.message", **whole}
        if not wants_immutable(ask):
            whole["id"] = step.shown
        if step.fields is None:
            return whole
        kept = step.fields | {"id", "@odata.type", "@odata.etag"}
        return {name: value for name, value in whole.items() if name in kept}


@dataclass(frozen=True)
class _TreeStream:
    mailbox: Mailbox
    root: str
    default_page: int = FOLDER_PAGE

    @property
    def resource(self) -> str:
        return f"{self.mailbox.id}/mailFolders"

    @property
    def path(self) -> str:
        return f"{self.root}/mailfolders/delta"

    @property
    def journal(self) -> Journal:
        return self.mailbox.tree

    def options(self, ask: Ask) -> Mapping[str, str]:
        return only(ask, ("select", "top"))

    def steps(self, options: Mapping[str, str], since: int | None, quirks: Quirks) -> list[Step]:
        if since is None:
            return self.journal.first_round()
        return self.journal.round_since(since, every_state=quirks.every_state)

    def render(self, step: Step, options: Mapping[str, str], ask: Ask) -> Json | None:
        if step.removed:
            return {
                "@odata.type": "#microsoft.graph.mailFolder",
                "id": step.key,
                "@removed": {"reason": "deleted"},
            }
        folder = self.mailbox.folders.get(step.key)
        if folder is None:
            return None
        whole = _folder_json(self.mailbox, folder, options)
        return {"@odata.type": "#microsoft.graph.mailFolder", **whole}


def _folder_json(mailbox: Mailbox, folder: Folder, parameters: Mapping[str, str]) -> Json:
    unread = sum(not mailbox.items[key].fields.get("isRead", False) for key in folder.items)
    whole = {
        **({"@odata.type": "#microsoft.graph.mailSearchFolder"} if folder.search else {}),
        "id": folder.id,
        "displayName": folder.name,
        "parentFolderId": folder.parent or None,
        "childFolderCount": len(mailbox.children(folder.id, hidden=False)),
        "totalItemCount": len(mailbox.items) if folder.search else len(folder.items),
        "unreadItemCount": unread,
        "isHidden": folder.hidden,
    }
    return selected(whole, names(parameters.get("select")), frozenset())


def _by_time(filters: list[Comparison]) -> tuple[list[Comparison], list[Comparison]]:
    """Those of the received time, which need no JSON, and the others."""
    times = [one for one in filters if one[0] == "receivedDateTime"]
    return times, [one for one in filters if one[0] != "receivedDateTime"]


def _passes(item: Item, filters: list[Comparison], mailbox: Mailbox) -> bool:
    whole = item.json(mailbox.id, immutable=True)
    return all(holds(one, whole) for one in filters)


def _change_type(step: Step) -> str:
    if step.removed:
        return "deleted"
    return "created" if step.fields is None else "updated"


def _extended_ids(expand: str | None) -> frozenset[str]:
    """The extended properties that `$expand` names, lower-case; other expansions are refused."""
    if not expand:
        return frozenset()
    found = _EXTENDED.fullmatch(expand.strip())
    if found is None:
        raise Refusal(400, "BadRequest", f"The expansion is not supported: {expand}")
    return frozenset(one.lower() for one in _EXTENDED_IDS.findall(found.group(1)))


def _letter(message: Json, sender: str) -> Letter:
    def addresses(name: str) -> tuple[str, ...]:
        return tuple(one["emailAddress"]["address"] for one in message.get(name, []))

    return Letter(
        sender,
        to=addresses("toRecipients"),
        cc=addresses("ccRecipients"),
        bcc=addresses("bccRecipients"),
        subject=message.get("subject"),
        text=message.get("body", {}).get("content", ""),
        message_id=message.get("internetMessageId"),
    )
