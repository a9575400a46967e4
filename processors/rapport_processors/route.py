"""Route: opens pages, keeps the holdings, parses copies, and batches them for the partitions that own their items.

Keyed by connection: everything one connection ever said stands in one partition, in order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from rapport_core.errors import InvariantError, PoisonError
from rapport_core.ids import FIRST_GENERATION, keyed_hash
from rapport_core.keys import KeyRing
from rapport_processors import holdings
from rapport_processors.bundles import Bundles
from rapport_processors.mail.parse import ParsedMail, parse_mail
from rapport_processors.outbox import OutRecord
from rapport_processors.records import InRecord, dead_letter
from rapport_processors.state import StateBatch, group, space
from rapport_schemas.records import Change, Copy, CopyMessage, Holding, MailFields, Page, PageBody
from rapport_schemas.sealing import seal, unseal
from rapport_schemas.topics import PARTITIONS, Lane, composite_key
from rapport_schemas.wire import Wire, decode_body, encode_body

_log = structlog.get_logger()
_REVISION_BITS = 32
"""A copy's version is (assignment, revision). After a crash another lane's page may come first and take the revision that
was already published for the lost batch; the new assignment number is what makes it newer."""


@dataclass(frozen=True, slots=True)
class _PageContext:
    """What every change of one page shares."""

    page: Page
    record: InRecord
    gen: int
    space: bytes
    connection: bytes
    stream: bytes
    hash_key: bytes
    assignment: int


class RouteStage:
    """The route stage of one worker. `process` is a function of (state, records); nothing else is remembered."""

    name = "route"

    def __init__(self, wire: Wire, keys: KeyRing, *, partitions: int = PARTITIONS) -> None:
        self._wire, self._keys, self._partitions = wire, keys, partitions

    def process(
        self, state: StateBatch, lane: Lane, records: Iterable[InRecord], *, assignment: int, now_ms: int
    ) -> list[OutRecord]:
        """One batch of one partition. Never raises for bad input: poison becomes dead letters among the outputs."""
        records = list(records)
        partition = records[0].partition
        bundles = Bundles(
            self._wire,
            self._keys,
            lane=lane,
            source=f"route/{lane}/{partition}",
            assignment=assignment,
            partitions=self._partitions,
        )
        outputs: list[OutRecord] = []
        for record in records:
            try:
                page: Page = self._wire.decode("page", record.value)
                self._page(state, page, record, bundles, outputs, now_ms)
            except PoisonError as error:
                outputs.append(dead_letter(self._wire, self.name, record.origin(), error, now_ms=now_ms))
        outputs.extend(bundles.records())
        return outputs

    def _page(
        self,
        state: StateBatch,
        page: Page,
        record: InRecord,
        bundles: Bundles,
        outputs: list[OutRecord],
        now_ms: int,
    ) -> None:
        if page["type"] == "mark":
            mark = page["mark"]
            if mark is not None:
                source = f"route/{bundles.lane}/{record.partition}"
                bundles.mark(bundles.lane, {**mark, "round": 0, "source": source, "dirty": False})
            return
        if page["type"] != "changes":
            raise PoisonError(
                "unsupported_control", f"a page of type {page['type']} is not known to this version"
            )
        key = self._page_key(page["key_id"])
        if key is None:
            _log.info("erased_page_skipped", origin=record.origin())
            return
        context = composite_key("page", page["tenant"], page["connection"])
        body: PageBody = decode_body("page_body", unseal(key, page["sealed"], context))
        shared = self._shared(page, record, bundles.assignment)
        for index, change in enumerate(body["changes"]):
            try:
                self._change(state, shared, index, change, bundles)
            except PoisonError as error:
                outputs.append(self._dead(shared, index, error, now_ms))

    def _page_key(self, key_id: str) -> bytes | None:
        try:
            return self._keys.page_key(key_id)
        except InvariantError as error:
            raise PoisonError("unknown_key", "a page names a key that this store never handed out") from error

    def _shared(self, page: Page, record: InRecord, assignment: int) -> _PageContext:
        hash_key = self._keys.tenant_keys(page["tenant"]).hash
        return _PageContext(
            page=page,
            record=record,
            gen=FIRST_GENERATION,
            space=space(page["tenant"], FIRST_GENERATION),
            connection=keyed_hash(hash_key, "connection", page["connection"]),
            stream=keyed_hash(hash_key, "stream", page["stream"]),
            hash_key=hash_key,
            assignment=assignment,
        )

    def _dead(self, shared: _PageContext, index: int, error: PoisonError, now_ms: int) -> OutRecord:
        return dead_letter(
            self._wire,
            self.name,
            shared.record.origin(index),
            error,
            now_ms=now_ms,
            tenant=shared.page["tenant"],
            connection=shared.page["connection"],
        )

    def _change(
        self, state: StateBatch, shared: _PageContext, index: int, change: Change, bundles: Bundles
    ) -> None:
        rows = group(shared.space, b"h", shared.connection)
        row = keyed_hash(shared.hash_key, change["provider_id"])
        stored = state.get(rows, row)
        holding: Holding = decode_body("holding", stored) if stored else holdings.empty()
        holdings.show(holding, shared.stream, change, shared.page["fetch"])
        mail = self._newest_fields(shared, change, holding)
        if mail is not None:
            self._send(shared, index, change["provider_id"], mail, holding, bundles)
        if change["mail"] is not None and shared.page["fetch"] < holding["fetch"]:
            self._overtaken(shared, index, change["provider_id"], change["mail"], holding, bundles)
        state.put(rows, row, encode_body("holding", holding))

    def _newest_fields(self, shared: _PageContext, change: Change, holding: Holding) -> MailFields | None:
        """The fields to send on, or None when neither fields nor presence changed or no fields are known yet."""
        mail, fetch = change["mail"], shared.page["fetch"]
        changed = holdings.gone(holding) != holding["gone"]
        if mail is not None and fetch >= holding["fetch"]:
            digest = holdings.fields_digest(mail)
            changed = changed or digest != holding["digest"]
            holding["fetch"], holding["digest"] = fetch, digest
            if changed:
                self._keep_fields(holding, shared, mail)
            return mail if changed else None
        return self._kept_fields(holding, shared) if changed else None

    def _send(
        self,
        shared: _PageContext,
        index: int,
        provider_id: str,
        mail: MailFields,
        holding: Holding,
        bundles: Bundles,
    ) -> None:
        """Passes the copy and its claims on, and notes in the holding what was sent."""
        parsed = _parsed(mail)
        gone = holdings.gone(holding)
        holding["revision"] += 1
        copy = self._copy(shared, index, provider_id, parsed, gone)
        copy["version"] = shared.assignment << _REVISION_BITS | holding["revision"]
        tenant, gen = shared.page["tenant"], shared.gen
        if holding["id"] and holding["id"] != copy["id"]:
            bundles.copy(tenant, gen, {**copy, "id": holding["id"], "gone": "moved", "message": None})
        bundles.copy(tenant, gen, copy)
        self._claims(shared, parsed, copy, bundles)
        holding["gone"], holding["id"] = gone, copy["id"]

    def _overtaken(
        self,
        shared: _PageContext,
        index: int,
        provider_id: str,
        mail: MailFields,
        holding: Holding,
        bundles: Bundles,
    ) -> None:
        """An older version that comes late: its links hold all the same, and its copy, which a lost batch may have sent, not."""
        if holdings.fields_digest(mail) == holding["digest"]:
            return
        parsed = _parsed(mail)
        copy = self._copy(shared, index, provider_id, parsed, "moved")
        self._claims(shared, parsed, copy, bundles)
        if copy["id"] != holding["id"]:
            holding["revision"] += 1
            version = shared.assignment << _REVISION_BITS | holding["revision"]
            bundles.copy(shared.page["tenant"], shared.gen, {**copy, "version": version, "message": None})

    def _kept_fields(self, holding: Holding, shared: _PageContext) -> MailFields | None:
        if holding["fields"] is None:
            return None
        keys = self._keys.tenant_keys(shared.page["tenant"])
        context = composite_key("state", shared.page["tenant"])
        body: PageBody = decode_body("page_body", unseal(keys.seal, holding["fields"], context))
        return body["changes"][0]["mail"]

    def _keep_fields(self, holding: Holding, shared: _PageContext, mail: MailFields) -> None:
        """Archives never remove and never send parts, so their holdings stay small."""
        if shared.page["provider"] == "archive":
            return
        keys = self._keys.tenant_keys(shared.page["tenant"])
        body: PageBody = {
            "changes": [{"op": "upsert", "provider_id": "", "mail": mail, "event": None, "at": None}]
        }
        context = composite_key("state", shared.page["tenant"])
        holding["fields"] = seal(keys.seal, encode_body("page_body", body), context)

    def _copy(
        self, shared: _PageContext, index: int, provider_id: str, parsed: ParsedMail, gone: str
    ) -> Copy:
        page, record = shared.page, shared.record
        id_ = self._own_hash(shared, parsed)
        message: CopyMessage = {
            **parsed.message,
            "thread_key": keyed_hash(shared.hash_key, "message-id", parsed.thread_id)
            if parsed.thread_id
            else id_,
            "fetched_at": page["published_at"],
            "origin": {
                "topic": record.topic,
                "partition": record.partition,
                "offset": record.offset,
                "index": index,
            },
        }
        return {
            "key": f"{page['connection']}\x1f{provider_id}",
            "connection": page["connection"],
            "member": page["member"],
            "id": id_,
            "version": 0,
            "gone": gone,
            "message": message,
            "meeting": None,
            "gone_at": None,
        }

    @staticmethod
    def _own_hash(shared: _PageContext, parsed: ParsedMail) -> bytes:
        message_id = parsed.message["message_id"]
        if message_id:
            return keyed_hash(shared.hash_key, "message-id", message_id)
        return keyed_hash(shared.hash_key, "fallback-id", parsed.message["fallback_id"])

    def _claims(self, shared: _PageContext, parsed: ParsedMail, copy: Copy, bundles: Bundles) -> None:
        if copy["message"] is None:
            return
        tenant, gen, key = shared.page["tenant"], shared.gen, copy["message"]["thread_key"]
        ids = [keyed_hash(shared.hash_key, "message-id", link) for link in parsed.links]
        for id_ in dict.fromkeys([copy["id"], *ids]):
            bundles.claim(tenant, gen, {"id": id_, "key": key, "arm": True})
        if parsed.conversation_key:
            parts = (shared.page["connection"], parsed.conversation_key)
            id_ = keyed_hash(shared.hash_key, "conversation", *parts)
            bundles.claim(tenant, gen, {"id": id_, "key": key, "arm": parsed.conversation_arms})


def _parsed(mail: MailFields) -> ParsedMail:
    """One unreadable mail must not end the worker; a failing disk or store must, or good mail would be put aside."""
    try:
        return parse_mail(mail)
    except PoisonError:
        raise
    except Exception as error:
        _log.warning("mail_unreadable", error=type(error).__name__)
        raise PoisonError("unreadable", f"this mail could not be read ({type(error).__name__})") from error
