"""Alembic's folder; see `rapport.store.migrating`, which is the only thing that runs it."""
