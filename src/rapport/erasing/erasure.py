"""The steps of a disconnect. Each may be repeated, and each leaves nothing half done that the next attempt does not finish."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import structlog

from rapport.erasing.order import Order, Step
from rapport.erasing.said import Said
from rapport.ingest_lock import only_reader
from rapport.settings import Endpoints, Settings
from rapport.store import Store
from rapport.waiting import Progress, wait_for_visible
from rapport_core.clock import Clock, to_ms
from rapport_core.errors import ConfigError, PoisonError, UnavailableError
from rapport_processors.mail.addresses import domain_of
from rapport_processors.purges import PURGE, PURGE_KEEPING_COUNTS
from rapport_producers.connection_log import EPOCH_BITS
from rapport_schemas.records import Connection
from rapport_schemas.sealing import seal, unseal
from rapport_schemas.topics import composite_key
from rapport_sinks.clickhouse.client import connect
from rapport_sinks.clickhouse.erasing import Eraser

_log = structlog.get_logger(__name__)
_ARCHIVE: Final = "archive"


class RemoteEnd(Protocol):
    """How a provider is asked to stop telling of changes."""

    def __call__(self, tenant: str, connection: str, /) -> None:
        """Returns once it will not, or never would. Raises UnavailableError when it cannot be asked now."""
        ...

    def forget(self, tenant: str, connection: str, /) -> None:
        """What it was asked is known here no more."""
        ...


@dataclass(frozen=True, slots=True)
class Times:
    """When what services still hold can leave their disks.

    Attributes:
        settle_s: after which time Kafka's segments that hold something are old enough to be left, and names in ClickHouse old
            enough to be taken out: a little more than an hour (topics.py).
        name_age_s: how long a name that nothing mentions is kept: more than a sink remembers it.
        remote_s: how long a provider is asked again and again to stop telling of changes; then it is left to end by itself.
        wait_s: how long it is waited until a purge is through, before it is looked at again later; None: as long as it takes.
    """

    settle_s: float = 65 * 60.0
    name_age_s: int = 60 * 60
    remote_s: float = 12 * 60 * 60.0
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Tools:
    """What the steps work with."""

    settings: Settings
    where: Endpoints
    store: Store
    clock: Clock
    remote: RemoteEnd
    times: Times = field(default_factory=Times)
    progress: Progress | None = None


class Gone(Exception):  # noqa: N818 - not an error: there is nothing to do
    """There is no such connection, or it was connected anew meanwhile: nothing may be taken from it."""


class Erasure:
    """One connection's. Every call may raise UnavailableError: what was done stays done, try again later."""

    def __init__(self, tools: Tools, tenant: str, connection: str) -> None:
        self._tools, self._tenant, self._connection = tools, tenant, connection
        self._said = Said(tools.where, tenant, connection)

    def run(self, order: Order, note: Callable[[Order], None]) -> Order:
        """Does what can be done now, and `note`s each step. Returns how far it is: at Step.SETTLE the rest has time."""
        steps = {
            Step.NUMBER: self._number,
            Step.TELL: self._tell,
            Step.PURGE: self._purge,
            Step.LOCK: self._lock,
            Step.FORGET: self._forget,
        }
        while order.step in steps:
            order = steps[order.step](order)
            if order.step is Step.PURGE:
                order = self._without_remote(order)
            note(order)
        return order

    def settle(self, order: Order) -> None:
        """The last step, once `Times.settle_s` have passed since the others. Raises UnavailableError also while the provider was not asked."""
        if is_ours := not self._is_connected_anew(order):
            self._forget(order)  # what a connector wrote that had not heard of it yet
        self._wait()  # also begins new segments everywhere, so that older ones can go
        eraser = Eraser(connect(self._tools.where.clickhouse))
        if is_ours:
            eraser.forget_connection(self._tenant, self._connection)
        eraser.merge()
        eraser.forget_names(self._tenant, self._tools.times.name_age_s, self._renamed)
        if is_ours:
            self._end_remote(order)

    def _is_connected_anew(self, order: Order) -> bool:
        record = self._said.ledger().connection
        return record is None or record["epoch"] > order.epoch

    def _end_remote(self, order: Order) -> None:
        """The last attempts. Raises UnavailableError until there is nothing more to try."""
        tools, patience_ms = self._tools, self._tools.times.remote_s * 1000
        if self._without_remote(order).has_remote:
            if self._now_ms() < order.begun_at + patience_ms:
                raise UnavailableError(
                    "the provider cannot be asked to stop telling of changes; it is asked again"
                )
            _log.warning("provider_never_asked_to_stop", connection=self._connection)
            tools.store.audit.record(
                tenant=self._tenant, user=order.user, action="push_left_to_expire", object=self._connection
            )
            tools.store.vault.drop(self._tenant, self._connection)
        tools.remote.forget(self._tenant, self._connection)

    def _number(self, order: Order) -> Order:
        """Draws the number of this disconnect, which whoever repeats a step uses again."""
        if self._record()["state"] == "disconnected":
            raise ConfigError(f"the connection {self._connection} is disconnected already")
        return replace(order, step=Step.TELL, epoch=self._tools.store.next_assignment())

    def _tell(self, order: Order) -> Order:
        """The connection's record says it, whoever reads the connection stops."""
        record = self._record()
        if record["epoch"] > order.epoch:
            raise Gone
        with self._nobody_reads(record):
            # Above every number that was given out, also by somebody who opened the connection a moment ago.
            fetch = max(self._said.ledger().last_fetch() + 1, order.epoch << EPOCH_BITS)
            self._said.disconnected(record, order.epoch, self._now_ms())
        return replace(order, step=Step.PURGE, fetch=fetch)

    def _nobody_reads(self, record: Connection) -> AbstractContextManager[None]:
        """An archive that is being read now would go on; a connector learns of it from the record."""
        if record["provider"] != _ARCHIVE:
            return nullcontext()
        return only_reader(self._tools.settings.home, self._tenant, self._connection)

    def _purge(self, order: Order) -> Order:
        record = self._record()
        if record["epoch"] > order.epoch:
            raise Gone
        kind = PURGE
        if order.keep_counts:
            kind = PURGE_KEEPING_COUNTS
            self._wait()  # what was published before is counted, and so it is kept
        else:
            self._destroy_key()  # whatever was not read yet is taken back unread
        self._said.purge(record, kind, order.fetch, self._now_ms())
        return replace(order, step=Step.LOCK)

    def _lock(self, order: Order) -> Order:
        """Behind the purge nobody needs the pages; without their key nobody can read them, in backups neither."""
        self._wait()
        self._destroy_key()
        return replace(order, step=Step.FORGET)

    def _forget(self, order: Order) -> Order:
        record = self._record()
        if record["epoch"] > order.epoch:
            raise Gone
        if (record["state"], record["epoch"]) != ("disconnected", order.epoch):
            self._said.disconnected(record, order.epoch, self._now_ms())
        self._destroy_key()  # another may have been made by somebody who was late
        self._said.forget()
        return replace(order, step=Step.SETTLE)

    def _destroy_key(self) -> None:
        keys = self._tools.store.keys
        keys.destroy_page_key(keys.new_page_key(self._tenant, self._connection))

    def _without_remote(self, order: Order) -> Order:
        """Has the provider stop, if it did not yet. The rest does not wait for it: what it tells is heard by nobody."""
        if not order.has_remote:
            return order
        try:
            self._tools.remote(self._tenant, self._connection)
        except UnavailableError as error:
            _log.warning(
                "provider_not_asked_to_stop", connection=self._connection, error=type(error).__name__
            )
            return order
        self._tools.store.vault.drop(self._tenant, self._connection)
        return replace(order, has_remote=False)

    def _record(self) -> Connection:
        record = self._said.ledger().connection
        if record is None:
            raise Gone
        return record

    def _wait(self) -> None:
        times = self._tools.times
        wait_for_visible(self._tools.settings, self._tenant, self._tools.progress, times.wait_s)

    def _renamed(self, sealed: bytes) -> bytes:
        key = self._tools.store.keys.tenant_keys(self._tenant).seal
        context = composite_key("stranger", self._tenant)
        try:
            address = unseal(key, sealed, context).decode()
        except PoisonError:
            return sealed
        return seal(key, domain_of(address).encode(), context)

    def _now_ms(self) -> int:
        return to_ms(self._tools.clock.now())
