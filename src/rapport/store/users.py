"""Who may sign in: a user belongs to one tenant and has one role."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, cast

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Row, delete, select

from rapport.store.database import Database
from rapport.store.schema import users
from rapport_core.clock import Clock, from_ms, to_ms
from rapport_core.errors import ConfigError

Role = Literal["admin", "manager", "member"]
ROLES: Final[tuple[Role, ...]] = ("admin", "manager", "member")
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1024

# RFC 9106's second recommendation, spelled out: the stand-in hash below must cost the same.
_HASHER = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=4)
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$Eh3lDQMltUJ8+3L0s2uq1Q$JBFVmEzXCBE4UC/HTxnTGl5ZX8hGKrfZbivltrUuB9M"
"""Verified in place of an unknown user's hash, so that both answers take equally long."""

_UNAMBIGUOUS = "abcdefghijkmnpqrstuvwxyz23456789"
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in.

    Attributes:
        member: the directory's id of the team member a user of role `member` is; None for the other roles.
    """

    id: str
    tenant: str
    email: str
    role: Role
    member: str | None
    created_at: datetime


class Users:
    """The users of all tenants. E-mail addresses compare without case and belong to one tenant only."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def add(self, email: str, *, tenant: str, role: str, password: str, member: str | None = None) -> User:
        """Adds a user.

        Raises:
            ConfigError: the address is taken or none, the role unknown, the password too short, or a member id is
                missing for role member or given for another.
        """
        email = _comparable(email)
        check_user(email, tenant, role, member)
        user = User(
            id=secrets.token_hex(8),
            tenant=tenant,
            email=email,
            role=cast("Role", role),
            member=member,
            created_at=from_ms(to_ms(self._clock.now())),
        )
        if not self._insert(user, hash_password(password)):
            raise ConfigError(
                f"{email} is a user already: remove it first with `rapport user remove {email} --tenant …`"
            )
        return user

    def _insert(self, user: User, password: str) -> bool:
        values = {
            "id": user.id,
            "tenant": user.tenant,
            "email": user.email,
            "password": password,
            "role": user.role,
            "member": user.member,
            "created_at": to_ms(user.created_at),
        }
        statement = self._database.insert(users).values(values)
        with self._database.write() as connection:
            added = connection.scalar(
                statement.on_conflict_do_nothing(index_elements=[users.c.email]).returning(users.c.id)
            )
        return added is not None

    def verify(self, email: str, password: str) -> User | None:
        """The user, when the password is his; None for an unknown user or a wrong password, after equally long work."""
        with self._database.read() as connection:
            row = connection.execute(select(users).where(users.c.email == _comparable(email))).first()
        found = row.password if row is not None else _NOBODY
        right = _fits(found, password)
        return to_user(row) if right and row is not None else None

    def list(self, tenant: str) -> list[User]:
        """The tenant's users by e-mail address."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(users).where(users.c.tenant == tenant).order_by(users.c.email)
            ).all()
        return [to_user(row) for row in rows]

    def remove(self, email: str, *, tenant: str) -> User:
        """Removes a user and ends his sessions at once. Raises ConfigError when the tenant has none of that address."""
        matches = (users.c.email == _comparable(email)) & (users.c.tenant == tenant)
        with self._database.write() as connection:
            row = connection.execute(select(users).where(matches)).first()
            connection.execute(delete(users).where(matches))
        if row is None:
            raise ConfigError(
                f"tenant {tenant} has no user {email}: `rapport user list --tenant {tenant}` shows them"
            )
        return to_user(row)


def to_user(row: Row[tuple[object, ...]]) -> User:
    """A row of `users`, or of a join with it, as a user."""
    fields = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return User(
        id=fields["id"],
        tenant=fields["tenant"],
        email=fields["email"],
        role=fields["role"],
        member=fields["member"],
        created_at=from_ms(fields["created_at"]),
    )


def hash_password(password: str) -> str:
    """The argon2id hash that is stored. Raises ConfigError for a password that is too short or absurdly long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise ConfigError(
            f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters: choose another"
        )
    hashed: str = _HASHER.hash(password)
    return hashed


def _fits(hashed: str, password: str) -> bool:
    try:
        return bool(_HASHER.verify(hashed, password if len(password) <= LONGEST_PASSWORD else ""))
    except (VerificationError, InvalidHashError):
        return False


def generate_password() -> str:
    """A password of 80 random bits that can be read aloud."""
    groups = ["".join(secrets.choice(_UNAMBIGUOUS) for _ in range(4)) for _ in range(4)]
    return "-".join(groups)


def _comparable(email: str) -> str:
    return email.strip().casefold()


def check_user(email: str, tenant: str, role: str, member: str | None) -> None:
    """Raises ConfigError, in one sentence, for what could be no user; asked before a password is."""
    if not tenant.strip():
        raise ConfigError("a user belongs to a tenant: say which with --tenant")
    if not _EMAIL.fullmatch(_comparable(email)) or len(email) > 320:
        raise ConfigError("that is no e-mail address: a user signs in with one, such as anna@acme.com")
    if role not in ROLES:
        raise ConfigError(f"there is no role {role}: choose one of {', '.join(ROLES)}")
    if role == "member" and not member:
        raise ConfigError("a user of role member sees one team member's record: say whose with --member ID")
    if role != "member" and member:
        raise ConfigError(
            f"--member goes with --role member only: a user of role {role} sees the whole tenant"
        )
