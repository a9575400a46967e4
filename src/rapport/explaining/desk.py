"""Explains what is left out to signed-in people: one log and one directory for a process that answers many."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from rapport.explaining.answer import ExplainedItem
from rapport.explaining.explainer import Explainer
from rapport.explaining.log import SealedLog
from rapport.kafka import is_reachable
from rapport.settings import Endpoints
from rapport.store import Store
from rapport_core.errors import UnavailableError
from rapport_sinks.clickhouse.queries import Impact


class Desk:
    """One question at a time; reads the directory when it is first asked and stays with it. Safe from several threads."""

    def __init__(self, endpoints: Endpoints, store: Store, open_impact: Callable[[], Impact]) -> None:
        self._endpoints = endpoints
        self._store = store
        self._open_impact = open_impact
        self._lock = threading.Lock()
        self._log: SealedLog | None = None

    def item(self, tenant: str, item_id: str, now: datetime, user: str) -> ExplainedItem | None:
        """One item in full, audited as opened by `user`; None when there is none. Raises UnavailableError, ConfigError."""

        def audited(action: str, about: str) -> None:
            self._store.audit.record(tenant=tenant, user=user, action=action, object=about)

        with self._lock:
            explainer = Explainer(
                self._open_impact(),
                tenant,
                self._store.keys.tenant_keys(tenant),
                now,
                sealed=self._sealed(),
                audited=audited,
                letters=list,  # whoever may see dead letters has the command line
            )
            try:
                return explainer.item(item_id)
            except UnavailableError:
                self.close()
                raise

    def _sealed(self) -> SealedLog | None:
        """The log; None while Kafka does not answer: nobody waits for a page as long as a client would."""
        if not is_reachable(self._endpoints.kafka):
            return None
        if self._log is None:
            self._log = SealedLog(self._endpoints, self._store.keys)
        return self._log

    def close(self) -> None:
        """Leaves Kafka; the next question comes back. Not while one is answered."""
        if self._log is not None:
            self._log.close()
            self._log = None
