"""Microsoft 365 for a demo: the simulator of the tests as a process, told what the story says, and connected as the real one is.

It is part of a checkout only. The instance sees nothing but two hosts that answer over TLS like Microsoft's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx2
from pydantic import SecretStr

import rapport
from rapport.connecting.opened import open_desk
from rapport.connecting.registration import RETURN_PATH, TIMEOUT_SECONDS, trusted
from rapport.connecting.registry import LogRegistry
from rapport.demo.company import OWN_DOMAIN
from rapport.demo.scripts import later_of
from rapport.demo.whole import WholeCompany
from rapport.local import instance, launch
from rapport.settings import Endpoints, Settings
from rapport.store import open_store
from rapport_core.errors import UnavailableError
from rapport_schemas.records import Connection

_PUBLIC: Final = "https://rapport.demo.example"
"""Where the simulated Microsoft believes the instance to be: what it sends there comes to this machine."""

_SESSION: Final = "the demo"
_PATIENCE_SECONDS: Final = 300.0
_LOOK_SECONDS: Final = 0.5
_SIGN_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 10.0
Progress = Callable[[int, int], None]


def simulator_folder() -> Path | None:
    """Where the simulator is; None outside of a checkout, or where the tests' own tools are not installed."""
    folder = Path(rapport.__file__).parents[2] / "tests" / "support"
    return folder if (folder / "graph" / "process.py").is_file() and find_spec("pytest") else None


@dataclass(frozen=True, slots=True)
class _Where:
    """What the simulator says of itself."""

    graph: str
    authority: str
    ca_file: str
    control: str
    client_id: str
    client_secret: str = field(repr=False)


class SimulatedMicrosoft:
    """A simulator that runs. Every call may raise UnavailableError."""

    def __init__(self, where: _Where, made: WholeCompany) -> None:
        self._where = where
        self._made = made

    def settings(self, settings: Settings) -> Settings:
        """Those of an instance for which this is Microsoft."""
        return settings.model_copy(
            update={
                "microsoft_client_id": self._where.client_id,
                "microsoft_client_secret": SecretStr(self._where.client_secret),
                "microsoft_authority": self._where.authority,
                "microsoft_graph": self._where.graph,
                "ca_file": Path(self._where.ca_file),
                "public_url": _PUBLIC,
                "webhook_port": 0,
            }
        )

    # -- what happens there ---------------------------------------------------------------------------------------

    def open_mailboxes(self, told: Callable[[int], None]) -> None:
        """Everybody has a mailbox and a calendar, with what is in them at first. Told how many are done."""
        for done, member in enumerate(self._made.scripts):
            self._ask("mailbox", address=self._address(member), name=self._person(member).name)
            self._tell(member, self._made.scripts[member])
            told(done + 1)

    def later(self) -> None:
        """What happens later."""
        for member, paths in self._made.scripts.items():
            self._tell(member, [later_of(path) for path in paths])

    def wait_until_known(self, progress: Progress) -> None:
        """Returns when everything that has happened was read, from every mailbox. Told how many mailboxes of how many."""
        happened = {member: self._happened(member) for member in self._made.scripts}
        waiting, since, signed = dict(happened), time.monotonic(), 0.0
        while waiting:
            waiting = {member: told for member, told in waiting.items() if self._ask("behind", all=told)}
            progress(len(happened) - len(waiting), len(happened))
            _refuse_waiting(since, "what changed at the simulated Microsoft is not read")
            if waiting and time.monotonic() - signed > _SIGN_SECONDS:
                # Whoever comes back goes on behind what was read, and so shows that it was kept.
                for member in waiting:
                    self._sign(member)
                signed = time.monotonic()
            time.sleep(_LOOK_SECONDS if waiting else 0.0)

    def _sign(self, member: str) -> None:
        """Its owner begins to write something, of which an instance is told and which it does not collect."""
        letter = {
            "sender": self._address(member),
            **{name: [] for name in ("to", "cc", "bcc", "reply_to", "references", "transport")},
        }
        step = {
            "do": "deliver",
            "letter": letter,
            "at": time.time(),
            "folder": "drafts",
            "transported": False,
            "draft": True,
        }
        self._ask("tell", mailbox=self._address(member), steps=[step])

    def _tell(self, member: str, files: Sequence[Path]) -> None:
        self._ask("tell", mailbox=self._address(member), files=[str(path) for path in files])

    def _happened(self, member: str) -> Mapping[str, int]:
        found: Mapping[str, int] = self._ask("follow", mailbox=self._address(member))["all"]
        return found

    # -- connecting -----------------------------------------------------------------------------------------------

    def connect(self, settings: Settings, where: Endpoints) -> list[Connection]:
        """The first member signs in; for all others an administrator consents. Returns the connections."""
        first = next(iter(self._made.scripts))
        running = instance.read_running(settings.home)
        self._ask("push", route=[_PUBLIC, running.webhooks if running else ""])
        self._ask("entra", signs_in=self._address(first))
        redirect, tenant = _PUBLIC + RETURN_PATH, self._made.tenant
        with (
            open_store(settings, where) as store,
            httpx2.Client(verify=trusted(settings), timeout=TIMEOUT_SECONDS) as browser,
        ):
            desk = open_desk(settings, where, store)
            answer = browser.get(desk.begin(tenant, first, redirect, _SESSION))
            query = parse_qsl(urlsplit(answer.headers.get("location", "")).query)
            connected = [desk.finish(_SESSION, dict(query))]
            browser.get(
                desk.sign_in.admin_consent_url(
                    redirect, _SESSION, microsoft_tenant=OWN_DOMAIN, application=True
                )
            )
            outcomes = desk.connect_tenant(tenant, OWN_DOMAIN)
        connected += [one.connection for one in outcomes if one.connection is not None and not one.reason]
        if missing := self._made.scripts.keys() - {one["member"] for one in connected}:
            why = next(one.reason for one in outcomes if one.member in missing)
            raise UnavailableError(f"{min(missing)} is not connected to the simulated Microsoft: {why}")
        return connected

    def wait_for_first_sync(self, where: Endpoints, progress: Progress) -> int:
        """Returns when the past of every mailbox was read: how many items. Told how many of how many."""
        registry, since, before = LogRegistry(where), time.monotonic(), -1
        while True:
            found = [one for one in registry.connections(self._made.tenant) if one["provider"] == "graph"]
            done, total = (sum(one[name] or 0 for one in found) for name in ("first_done", "first_total"))
            progress(done, total)
            if all(one["first_ended"] for one in found):
                return done
            since = since if done == before else time.monotonic()
            waits = next((one["reason"] for one in found if one["reason"]), "")
            _refuse_waiting(since, f"the first sync does not go on{': ' + waits if waits else ''}")
            before = done
            time.sleep(_LOOK_SECONDS)

    # -- shared ---------------------------------------------------------------------------------------------------

    def _person(self, member: str) -> Any:
        return self._made.company.members[int(member.removeprefix("m"))]

    def _address(self, member: str) -> str:
        return str(self._person(member).addresses[0])

    def _ask(self, what: str, **told: Any) -> Any:
        """Makes the simulator do something."""
        try:
            answer = httpx2.post(f"{self._where.control}/{what}", json=told, timeout=TIMEOUT_SECONDS)
        except httpx2.HTTPError as error:
            raise UnavailableError("the simulated Microsoft has ended: start the demo again") from error
        if answer.status_code != 200:
            raise UnavailableError(f"the simulated Microsoft refuses {what}: {answer.text[:300]}")
        return answer.json()


@contextmanager
def simulated_microsoft(folder: Path, made: WholeCompany) -> Iterator[SimulatedMicrosoft]:
    """Runs the simulator of a checkout, with nobody in it yet; certificates and its log are written into `folder`."""
    support = simulator_folder()
    if support is None:
        raise UnavailableError("the simulated Microsoft is part of a checkout only")
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "graph.process", "--folder", str(folder)]
    launched = [sys.executable, "-I", "-S", str(launch.__file__), str(os.getpid()), *command]
    with (folder / "simulator.log").open("ab") as log:
        process = subprocess.Popen(
            launched,
            env={**os.environ, "PYTHONPATH": str(support)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            # Ctrl-C at a terminal goes to a whole group; the order of stopping is ours to keep.
            start_new_session=True,
        )
    try:
        yield SimulatedMicrosoft(_where(process, folder), made)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _where(process: subprocess.Popen[bytes], folder: Path) -> _Where:
    line = process.stdout.readline() if process.stdout else b""
    try:
        return _Where(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise UnavailableError(
            f"the simulated Microsoft does not start: see {folder / 'simulator.log'}"
        ) from error


def _refuse_waiting(since: float, what: str) -> None:
    if time.monotonic() - since > _PATIENCE_SECONDS:
        raise UnavailableError(f"{what} for {_PATIENCE_SECONDS:.0f} seconds: see the logs of the connectors")
