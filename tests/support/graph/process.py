"""The simulated Microsoft as a process, and how another process makes it be as it needs it.

    PYTHONPATH=tests/support python -m graph.process --folder FOLDER [--seed N] [--check] [--wild]

The one line on stdout says as JSON where it listens: `graph`, `authority`, `ca_file`, `control`, `client_id`, `client_secret`.
It ends with SIGTERM. `control` is plain HTTP, for this machine only; bodies and answers are JSON:

    POST /company    {name, users_may_consent?}                          → {tenant, domain}
    POST /mailbox    {address, name?}                                    → {id, tenant}
    POST /tell       {mailbox, steps: […]} or {mailbox, files: […]}      what happens in it, see graph.telling
    POST /faults     {method, path, mailbox?, count?, kind?, after?, seconds?}, {rate, kinds?} or {clear: true}
    POST /entra      {signs_in?, fail?, count?, revoke?}                 an address, an AADSTS number, an address
    POST /push       {route?: [public, target], on?, lost?, missed?, doubled?, late?, together?}
    POST /follow     {mailbox}                                           → {all: …}: what happened until now, for /behind
    POST /behind     {all}                                               → whether whoever follows it does not know all that yet
    GET  /truth      ?mailbox=&begin=&end=                               → {mail: {…}, meetings: {…}}
    GET  /calls      ?since=N                                            → {next, calls: [[method, path, status, mailbox, part], …]}
    GET  /sent       ?since=N                                            → {next, sent: [[url, notifications, status], …]}
    GET  /violations                                                     → […]
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from graph.entra import CLIENT_ID, CLIENT_SECRET
from graph.following import is_behind, lengths
from graph.journal import Quirks
from graph.push import PushQuirks
from graph.simulator import Simulator
from graph.telling import Teller

_QUIRKS: Final = ("lost", "missed", "doubled", "late", "together")


class Control:
    """What the paths of the control do."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._tellers: dict[str, Teller] = {}

    def company(self, told: dict[str, Any]) -> Any:
        """A Microsoft tenant."""
        made = self._simulator.company(told["name"])
        made.users_may_consent = bool(told.get("users_may_consent", made.users_may_consent))
        return {"tenant": made.tenant, "domain": made.domain}

    def mailbox(self, told: dict[str, Any]) -> Any:
        """A mailbox."""
        made = self._simulator.mailbox(told["address"], told.get("name", ""))
        return {"id": made.id, "tenant": made.tenant}

    def tell(self, told: dict[str, Any]) -> Any:
        """Something happens in a mailbox. Names that were given stay known."""
        address = told["mailbox"]
        if address not in self._tellers:
            self._tellers[address] = Teller(self._simulator.mailbox(address))
        with self._simulator.lock:
            self._tellers[address].tell(map(json.dumps, told.get("steps", ())))
            for path in told.get("files", ()):
                with Path(path).open(encoding="utf-8") as lines:
                    self._tellers[address].tell(lines)
        return {}

    def faults(self, told: dict[str, Any]) -> Any:
        """Something goes wrong, or nothing any more."""
        faults = self._simulator.faults
        if told.pop("clear", False):
            faults.clear()
        if "rate" in told:
            faults.rate(told.pop("rate"), *told.pop("kinds", ()))
        if told:
            address = told.pop("mailbox", None)
            faults.add(**told, mailbox=self._simulator.mailbox(address) if address else None)
        return {}

    def entra(self, told: dict[str, Any]) -> Any:
        """What signing in comes to."""
        entra = self._simulator.entra
        entra.signs_in = told.get("signs_in", entra.signs_in)
        if "fail" in told:
            entra.fail(told["fail"], count=told.get("count", 1))
        if "revoke" in told:
            entra.revoke(self._simulator.mailbox(told["revoke"]))
        return {}

    def push(self, told: dict[str, Any]) -> Any:
        """How notifications go out."""
        push = self._simulator.push
        if "route" in told:
            push.route(*told["route"])
        push.on = bool(told.get("on", push.on))
        push.quirks = replace(push.quirks, **{name: told[name] for name in _QUIRKS if name in told})
        return {}

    def follow(self, told: dict[str, Any]) -> Any:
        """Everything that happened in a mailbox until now."""
        return {"all": lengths(self._simulator.mailbox(told["mailbox"]))}

    def behind(self, told: dict[str, Any]) -> Any:
        """Whether somebody does not know that yet."""
        return is_behind(self._simulator, told["all"])

    def truth(self, asked: dict[str, str]) -> Any:
        """What a mailbox holds."""
        truth = self._simulator.truth(self._simulator.mailbox(asked["mailbox"]))
        meetings = truth.meetings(float(asked.get("begin", "0")), float(asked.get("end", "1e11")))
        return {
            "mail": {
                key: {
                    "trail": one.trail,
                    "hidden": one.hidden,
                    "received": one.received,
                    "draft": one.draft,
                    "message_id": one.json["internetMessageId"],
                    "subject": one.json["subject"],
                }
                for key, one in truth.mail().items()
            },
            "meetings": {
                key: {
                    "uid": one.uid,
                    "series": one.series,
                    "original_start": one.original_start,
                    "start": one.start,
                    "end": one.end,
                    "calendar": one.calendar,
                    "subject": one.json["subject"],
                }
                for key, one in meetings.items()
            },
        }

    def calls(self, asked: dict[str, str]) -> Any:
        """What was asked of Graph."""
        since = int(asked.get("since", "0"))
        found = self._simulator.calls[since:]
        shown = [(one.method, one.path, one.status, one.mailbox, one.part) for one in found]
        return {"next": since + len(found), "calls": shown}

    def sent(self, asked: dict[str, str]) -> Any:
        """What Graph told."""
        since = int(asked.get("since", "0"))
        found = self._simulator.push.sent[since:]
        return {"next": since + len(found), "sent": [(one.url, one.values, one.status) for one in found]}

    def violations(self, asked: dict[str, str]) -> Any:
        """What the client must never do and did."""
        del asked
        return self._simulator.violations


def control_app(simulator: Simulator) -> Starlette:
    """The control as an application."""
    control = Control(simulator)
    posted = (
        control.company,
        control.mailbox,
        control.tell,
        control.faults,
        control.entra,
        control.push,
        control.follow,
        control.behind,
    )
    read = (control.truth, control.calls, control.sent, control.violations)
    return Starlette(
        routes=[
            *(Route(f"/{one.__name__}", _posted(one), methods=["POST"]) for one in posted),
            *(Route(f"/{one.__name__}", _asked(one), methods=["GET"]) for one in read),
        ]
    )


def main(arguments: Iterable[str] | None = None) -> None:
    """Runs until it is ended."""
    parser = argparse.ArgumentParser(description="the simulated Microsoft")
    parser.add_argument("--folder", type=Path, required=True, help="where certificates are written")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="hold every answer against Graph's schema")
    parser.add_argument("--wild", action="store_true", help="be as unlike a list as Graph may be")
    options = parser.parse_args(None if arguments is None else list(arguments))
    quirks = Quirks.wild() if options.wild else Quirks()
    simulator = Simulator(options.seed, quirks=quirks, checked=options.check)
    if options.wild:
        simulator.push.quirks = PushQuirks.wild()
    with simulator.serve(options.folder) as served, socket.create_server(("127.0.0.1", 0)) as listening:
        where = {
            "graph": served.graph,
            "authority": served.authority,
            "ca_file": str(served.ca_file),
            "control": f"http://127.0.0.1:{listening.getsockname()[1]}",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
        }
        sys.stdout.write(json.dumps(where) + "\n")
        sys.stdout.flush()
        app = control_app(simulator)
        uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None)).run(sockets=[listening])


def _posted(work: Callable[[dict[str, Any]], Any]) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        return _answered(work, await request.json())

    return answer


def _asked(work: Callable[[dict[str, Any]], Any]) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        return _answered(work, dict(request.query_params))

    return answer


def _answered(work: Callable[[dict[str, Any]], Any], told: dict[str, Any]) -> Response:
    try:
        return JSONResponse(work(told))
    except Exception as error:  # noqa: BLE001 - whoever controls hears what was wrong with it
        return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)


if __name__ == "__main__":
    main()
