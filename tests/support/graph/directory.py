"""Companies with their people, and the tokens that stand for what somebody may see."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from graph.clock import Clock
from graph.identifiers import guid
from graph.mailbox import Mailbox

PERSONAL_TENANT: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""Microsoft's own tenant of all personal accounts."""
TOKEN_SECONDS: Final = 3600.0
ALL_SCOPES: Final = frozenset({"Mail.Read", "Calendars.Read", "User.Read", "MailboxSettings.Read"})


@dataclass
class Company:
    """A Microsoft tenant. What is granted to the application as such stands in `application_scopes`."""

    name: str
    tenant: str
    domain: str
    mailboxes: dict[str, Mailbox] = field(default_factory=dict)
    users_may_consent: bool = True
    admin_granted: set[str] = field(default_factory=set)
    """Delegated scopes that an admin granted for everybody."""
    application_scopes: set[str] = field(default_factory=set)
    application_reaches: set[str] | None = None
    """The addresses that an application access policy leaves, None for all."""


@dataclass(frozen=True)
class Grant:
    """What an access token stands for; without a mailbox it is the application's own."""

    tenant: str
    scopes: frozenset[str]
    expires: float
    mailbox: Mailbox | None = None
    claims: str = ""


@dataclass
class Directory:
    """Everybody, by tenant and address, and every access token."""

    seed: int
    clock: Clock
    companies: dict[str, Company] = field(default_factory=dict)
    _tokens: dict[str, Grant] = field(default_factory=dict)
    _count: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(f"{self.seed} directory")

    def company(self, name: str) -> Company:
        """By name, made when there is none; its people are `…@<name>.example`."""
        if name not in self.companies:
            self.companies[name] = Company(name, guid(self._rng), f"{name}.example")
        return self.companies[name]

    def of_domain(self, domain: str) -> Company:
        """The company whose people have addresses of a domain."""
        for company in self.companies.values():
            if company.domain == domain:
                return company
        made = self.company(domain.removesuffix(".example"))
        made.domain = domain
        return made

    def of_tenant(self, tenant: str) -> Company | None:
        """By the tenant's id or its domain."""
        return next((one for one in self.companies.values() if tenant in {one.tenant, one.domain}), None)

    def mailbox_of(self, address_or_id: str) -> Mailbox | None:
        """By address or object id, in any tenant."""
        wanted = address_or_id.lower()
        for company in self.companies.values():
            for mailbox in company.mailboxes.values():
                if wanted in {mailbox.address.lower(), mailbox.id}:
                    return mailbox
        return None

    def issue(
        self,
        tenant: str,
        scopes: Iterable[str],
        mailbox: Mailbox | None,
        *,
        claims: str = "",
        seconds: float = TOKEN_SECONDS,
    ) -> str:
        """A new access token."""
        self._count += 1
        token = f"simulated-access-{self._count}-{self._rng.randbytes(24).hex()}"
        self._tokens[token] = Grant(tenant, frozenset(scopes), self.clock() + seconds, mailbox, claims)
        return token

    def grant(self, token: str) -> Grant | None:
        """What a token stands for, None for one that is unknown or has run out."""
        found = self._tokens.get(token)
        return found if found and found.expires > self.clock() else None

    def revoke(self, mailbox: Mailbox) -> None:
        """Every access token for the mailbox is refused from now on."""
        self._tokens = {
            token: grant for token, grant in list(self._tokens.items()) if grant.mailbox is not mailbox
        }
