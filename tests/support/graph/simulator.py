"""The handle by which a test makes Microsoft 365 be as it needs it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path
from threading import RLock

from graph.app import App, Sleep
from graph.clock import Clock
from graph.delta import Cursors
from graph.directory import ALL_SCOPES, Company, Directory
from graph.entra import Entra
from graph.faults import Faults
from graph.graph_api import Call, GraphApi
from graph.journal import Quirks
from graph.mailbox import Mailbox
from graph.push import Push
from graph.schema import GraphSchema, graph_schema
from graph.serving import Served
from graph.subscriptions import Subscriptions
from graph.throttle import Throttle
from graph.truth import Truth


class Simulator:
    """Graph and Entra with everything in them. Deterministic by `seed`; `clock` gives the time.

    `violations` collects what a client must never do (changed links, calls without immutable ids, loops); a test asserts
    that it is empty. `checked` holds every answer against Graph's schema, which costs more than the answer itself.
    """

    def __init__(
        self,
        seed: int = 0,
        clock: Clock = time.time,
        quirks: Quirks | None = None,
        sleep: Sleep = asyncio.sleep,
        *,
        checked: bool = True,
    ) -> None:
        self.seed = seed
        self.clock = clock
        self.quirks = quirks or Quirks()
        self.violations: list[str] = []
        self.lock = RLock()
        self.directory = Directory(seed, clock)
        self.entra = Entra(self.directory, clock)
        self.cursors = Cursors(seed, self.quirks, self.violations)
        self.faults = Faults(seed)
        self.throttle = Throttle(clock)
        self.schema = graph_schema() if checked else GraphSchema.blind()
        self.push = Push(seed, clock, self.lock)
        self.subscriptions = Subscriptions(
            self.directory, clock, self.push, self.lock, self.schema, self.entra.client_id
        )
        self.api = GraphApi(
            self.directory,
            clock,
            self.schema,
            self.cursors,
            self.faults,
            self.throttle,
            self.subscriptions,
            self.violations,
        )
        self.app = App(self.api, self.entra, self.lock, seed, sleep)

    def serve(self, folder: Path) -> Served:
        """Runs both hosts over TLS on a free port, in a thread; certificates are written into the folder.

        Meanwhile notifications go out by themselves.
        """
        return Served(self.app, folder, self.push.run)

    @property
    def calls(self) -> list[Call]:
        """Every request to Graph, parts of batches too, in order."""
        return self.api.calls

    def company(self, name: str) -> Company:
        """A Microsoft tenant by name; its people are `…@<name>.example`."""
        return self.directory.company(name)

    def mailbox(self, address: str, name: str = "") -> Mailbox:
        """The mailbox of an address, made when there is none, with the tenant of its domain."""
        company = self.directory.of_domain(address.rpartition("@")[2])
        if address not in company.mailboxes:
            called = name or address.partition("@")[0].title()
            made = Mailbox(address, called, company.tenant, self.seed, self.clock, self.quirks, self.lock)
            made.listeners.append(self.subscriptions.heard)
            company.mailboxes[address] = made
        return company.mailboxes[address]

    def truth(self, mailbox: Mailbox) -> Truth:
        """What a perfect collector holds of it."""
        return Truth(mailbox)

    def token(self, mailbox: Mailbox, scopes: Iterable[str] = ALL_SCOPES) -> str:
        """An access token of the person, without any sign-in."""
        return self.directory.issue(mailbox.tenant, scopes, mailbox)

    def application_token(self, company: Company, scopes: Iterable[str] = ALL_SCOPES) -> str:
        """An access token of the application for a whole tenant."""
        return self.directory.issue(company.tenant, scopes, None)
