"""The receiver of notifications: it takes a request, stores whom it wakes, answers. Nothing else."""

from __future__ import annotations

from rapport.webhooks.app import create_app

__all__ = ["create_app"]
