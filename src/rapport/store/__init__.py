"""Secrets and people, which do not live in Kafka: keys, users, sessions, audit, counters, in one small SQL database."""

from __future__ import annotations

from rapport.store.opening import open_store
from rapport.store.store import Store

__all__ = ["Store", "open_store"]
