"""An instance whose members have their mail at the simulated Microsoft 365, and hands on both."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx2

from graph import Simulator
from graph.entra import CLIENT_ID, CLIENT_SECRET
from graph.letters import Letter
from graph.mailbox import Mailbox
from local_stack import RunningStack, stack, wait_until
from rapport.connecting.accounts import GraphAccounts
from rapport.connecting.desk import ConnectingDesk
from rapport.connecting.registration import RETURN_PATH, TIMEOUT_SECONDS, sign_in_of, trusted
from rapport.connecting.registry import LogRegistry
from rapport.local.ports import free_port
from rapport.store import Store
from rapport_core.clock import SystemClock
from rapport_schemas.records import Connection

TENANT: Final = "contoso"
CUSTOMER: Final = "Xenia <x@kund.se>"
DAY: Final = 86_400.0
_SESSION: Final = "the session of the test"
PUBLIC: Final = "https://rapport.example"
"""Where the simulated Microsoft believes the instance to be."""


def address(number: int) -> str:
    """The mailbox of member `m<number>`."""
    return f"m{number}@{TENANT}.example"


def directory(members: int) -> dict[str, Any]:
    """One customer with one contact, and so many members, all in one Microsoft tenant."""
    return {
        "tenant": {"id": TENANT, "timezone": "UTC", "own_domains": [f"{TENANT}.example"], "settings": {}},
        "members": [
            {"id": f"m{n}", "name": f"Member {n}", "addresses": [address(n)]} for n in range(members)
        ],
        "customers": [{"id": "c1", "name": "Kund", "domains": ["kund.se"]}],
        "contacts": [{"id": "p1", "name": "Xenia", "customer": "c1", "addresses": ["x@kund.se"]}],
    }


def letter(name: str, to: str, subject: str = "") -> Letter:
    """A mail from the contact."""
    return Letter(CUSTOMER, (to,), subject or f"About {name}", message_id=f"<{name}@kund.se>")


@dataclass
class MicrosoftCompany:
    """See the module."""

    running: RunningStack
    simulator: Simulator
    members: int
    context: SSLContext
    """Trusts the simulated hosts; reading the machine's certificates for it takes longer than signing somebody in."""
    _made: ConnectingDesk | None = field(default=None, init=False)

    def mailbox(self, number: int) -> Mailbox:
        """The mailbox of a member."""
        return self.simulator.mailbox(address(number))

    def deliver(self, number: int, mail: Letter, at: float | None = None) -> str:
        """A mail arrives at a member's; its immutable id."""
        with self.simulator.lock:
            return self.mailbox(number).deliver(mail, at=at)

    def connect(self, store: Store, number: int) -> Connection:
        """Signs the member in as a browser would."""
        desk = self._desk(store)
        redirect = "http://localhost" + RETURN_PATH
        url = desk.begin(TENANT, f"m{number}", redirect, _SESSION)
        with httpx2.Client(verify=self.context) as browser:
            answer = browser.get(url)
        assert answer.status_code == 302, answer.text
        return desk.finish(_SESSION, dict(parse_qsl(urlsplit(answer.headers["location"]).query)))

    def revoke(self, store: Store, number: int) -> None:
        """As the page's button does."""
        self._desk(store).revoke(TENANT, f"microsoft-m{number}")

    def _desk(self, store: Store) -> ConnectingDesk:
        if self._made is None or self._made.store is not store:
            settings, where = self.running.settings, self.running.endpoints
            accounts = GraphAccounts(
                settings.microsoft_graph,
                lambda: httpx2.AsyncClient(verify=self.context, timeout=TIMEOUT_SECONDS),
            )
            registry = LogRegistry(where)
            self._made = ConnectingDesk(store, registry, sign_in_of(settings), accounts, SystemClock())
        return self._made

    def connections(self) -> dict[str, Connection]:
        """The newest record of each connection, by member."""
        found = LogRegistry(self.running.endpoints).connections(TENANT)
        return {one["member"]: one for one in found}

    def counts(self, days: int = 30) -> dict[str, dict[str, Any]]:
        """The numbers of each member that has some."""
        arguments = ("counts", "--tenant", TENANT, "--by", "member", "--days", str(days), "--json")
        done = self.running.rapport(*arguments)
        assert done.returncode == 0, done.stderr
        return {row["id"]: row for row in json.loads(done.stdout)["rows"]}

    def received(self, days: int = 30) -> dict[str, int]:
        """How many mails each member received in the window."""
        return {member: row["received"] for member, row in self.counts(days).items()}

    def wait_until(self, is_so: Callable[[], bool], seconds: float = 60.0) -> None:
        """Until it is so; what the instance said stands in the failure."""
        wait_until(is_so, self.running.process, self.running.log, seconds)

    def wait_for_first_sync(self, seconds: float = 60.0) -> None:
        """Until every connection has read its past."""

        def done() -> bool:
            time.sleep(0.2)
            found = self.connections().values()
            return bool(found) and all(one["first_ended"] for one in found)

        self.wait_until(done, seconds)

    def wait_for_push(self, seconds: float = 60.0) -> None:
        """Until the provider will tell of every connection's changes."""
        self.wait_until(lambda: {one["push"] for one in self.connections().values()} == {"on"}, seconds)


@contextmanager
def microsoft_company(
    folder: Path, members: int, seed: int = 7, *, checked: bool = True, **settings: str
) -> Iterator[MicrosoftCompany]:
    """An instance with so many members, nobody connected yet.

    `checked`: the provider's answers are held against its schema, which costs it most of its time; `settings` are environment
    names without `RAPPORT_`, an empty one is unset.
    """
    simulator = Simulator(seed, checked=checked)
    webhooks = free_port()
    simulator.push.route(PUBLIC, f"http://127.0.0.1:{webhooks}")
    for number in range(members):
        simulator.mailbox(address(number))
    with simulator.serve(folder) as served:
        environment = {
            "MICROSOFT_CLIENT_ID": CLIENT_ID,
            "MICROSOFT_CLIENT_SECRET": CLIENT_SECRET,
            "MICROSOFT_AUTHORITY": served.authority,
            "MICROSOFT_GRAPH": served.graph,
            "CA_FILE": str(served.ca_file),
            "PUBLIC_URL": PUBLIC,
            "WEBHOOK_PORT": str(webhooks),
            **settings,
        }
        named = {f"RAPPORT_{name}": value for name, value in environment.items() if value}
        with stack(folder / "instance", environment=named) as running:
            company = MicrosoftCompany(running, simulator, members, trusted(running.settings))
            path = folder / "directory.json"
            path.write_text(json.dumps(directory(members)), "utf-8")
            done = running.rapport("directory", "load", str(path), "--tenant", TENANT, "--wait")
            assert done.returncode == 0, done.stderr
            yield company
