"""The store's tables as SQLAlchemy sees them; the migrations make them. A test holds the two equal.

Times are milliseconds since 1970 in UTC, because SQLite has no time type of its own.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    text,
)

HEAD_REVISION = "0003"
"""The newest migration. A store that already is there needs no Alembic, which takes a third of a second to load."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

facts = Table(
    "facts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
"""Few named values; `master_check` opens with the right master key only."""

page_keys = Table(
    "page_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(255), nullable=False),
    Column("connection", String(255), nullable=False),
    Column("sealed", LargeBinary, nullable=True),
    Column("created_at", BigInteger, nullable=False),
    Column("destroyed_at", BigInteger, nullable=True),
    CheckConstraint("(sealed IS NULL) = (destroyed_at IS NOT NULL)", name="destroyed_means_gone"),
    # At most one living key for each connection, whoever creates it first.
    Index(
        "ix_page_keys_living",
        "tenant",
        "connection",
        unique=True,
        sqlite_where=text("destroyed_at IS NULL"),
        postgresql_where=text("destroyed_at IS NULL"),
    ),
)

tenant_keys = Table(
    "tenant_keys",
    metadata,
    Column("tenant", String(255), primary_key=True),
    Column("sealed_seal", LargeBinary, nullable=False),
    Column("sealed_hash", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(255), nullable=False, index=True),
    Column("email", String(320), nullable=False, unique=True),
    Column("password", String(255), nullable=False),
    Column("role", String(16), nullable=False),
    Column("member", String(255), nullable=True),
    Column("created_at", BigInteger, nullable=False),
    CheckConstraint("role IN ('admin', 'manager', 'member')", name="role_is_known"),
    CheckConstraint("(role = 'member') = (member IS NOT NULL)", name="members_have_a_member"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("user_id", String(64), ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

login_failures = Table(
    "login_failures",
    metadata,
    Column("who", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("blocked_until", BigInteger, nullable=False),
    Column("forget_at", BigInteger, nullable=False, index=True),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("tenant", String(255), nullable=False),
    Column("user", String(320), nullable=False),
    Column("action", String(64), nullable=False),
    Column("object", String(512), nullable=False),
    Index("ix_audit_tenant_at", "tenant", "at"),
)

counters = Table(
    "counters",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(320), primary_key=True),
    Column("owner", String(320), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
"""A row is held by its owner until it expires; a process that dies holds nothing for longer."""

credentials = Table(
    "credentials",
    metadata,
    Column("tenant", String(255), primary_key=True),
    Column("connection", String(255), primary_key=True),
    Column("provider", String(32), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)
"""What a connection signs in with."""

sign_ins = Table(
    "sign_ins",
    metadata,
    Column("state_hash", LargeBinary, primary_key=True),
    Column("tenant", String(255), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)
"""Sign-ins under way, by the hash of their state; each is taken out once."""

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("tenant", String(255), nullable=False),
    Column("connection", String(255), nullable=False),
    Column("resource", String(255), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_subscriptions_owner", "tenant", "connection"),
)
"""What providers were asked to tell of; sealed is the secret by which their word is known."""

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(255), nullable=False),
    Column("connection", String(255), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("detail", String(1024), nullable=False),
)
"""Work that was promised and waits for a provider or a service."""
