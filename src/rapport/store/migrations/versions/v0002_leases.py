"""Who may change something now."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the table of leases."""
    op.create_table(
        "leases",
        sa.Column("name", sa.String(320), primary_key=True),
        sa.Column("owner", sa.String(320), nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
