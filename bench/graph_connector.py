"""How fast one connector process reads Microsoft 365, and how long a million messages take under Graph's limits.

    .venv/bin/python bench/graph_connector.py [--mailboxes N] [--mails N] [--live N] [--profile] [--slice-only]

First against a simulated Graph in a process of its own, over TLS and without limits: the first sync of all mailboxes at once, then
live mail in each; pages are encoded and sealed as ever, and dropped where a broker would take them. Then in virtual time with the limits
of Graph in force and slow answers: a fiftieth of a million messages, spread evenly, unevenly, and in one mailbox. Prints tables and
writes bench/results/graph_connector.txt. It asserts nothing about time; it does look whether all messages came.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import multiprocessing
import pstats
import resource
import ssl
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, Final

import httpx2
from rich.table import Table

BENCH = Path(__file__).parent
sys.path.insert(0, str(BENCH.parent / "tests" / "support"))

from graph.clock import START  # noqa: E402
from graph.letters import Letter  # noqa: E402
from graph.simulator import Simulator  # noqa: E402
from memory_keys import MemoryKeyRing  # noqa: E402
from rapport_core.clock import Clock, SystemClock  # noqa: E402
from rapport_producers.connection_log import Desk, open_log  # noqa: E402
from rapport_producers.graph.client import GraphClient, graph_http  # noqa: E402
from rapport_producers.graph.limits import MAILBOX_REQUESTS, WINDOW_S, Limits  # noqa: E402
from rapport_producers.graph.mail_sync import MailSync  # noqa: E402
from rapport_producers.ledger import fold  # noqa: E402
from rapport_producers.records import Owner  # noqa: E402
from rapport_schemas.topics import Topic  # noqa: E402
from rapport_schemas.wire import Wire  # noqa: E402
from speed.report import MEGABYTE, machine, paper, text_of  # noqa: E402
from virtual_time import now, run_virtually  # noqa: E402

RESULTS: Final = BENCH / "results"
HISTORY: Final = timedelta(days=182)
MILLION: Final = 1_000_000
SHARE: Final = 50
"""A slice is one of so many."""

ANSWER_SECONDS: Final = 2.0
"""How long Graph takes for anything in a slice; it takes less for most things, and about as long for a page of whole messages."""

PREVIEW: Final = (
    "Thank you for the offer; we have read it and would like to talk about the second part on Thursday. " * 2
)
HEADERS: Final = tuple(
    (f"X-Header-{n}", f"v=1; a=rsa-sha256; d=customer{n}.example; " + "0123456789abcdef" * 12)
    for n in range(12)
)
"""About as much as the signatures and stations of a mail are."""


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description="reading Microsoft 365")
    parser.add_argument("--mailboxes", type=int, default=20)
    parser.add_argument("--mails", type=int, default=1000, help="in each mailbox")
    parser.add_argument("--live", type=int, default=100, help="that come to each mailbox afterwards")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--slice-only", action="store_true")
    options = parser.parse_args()
    runs = [] if options.slice_only else measure(options)
    slices = [] if options.profile else [take(name, sizes) for name, sizes in slices_of_a_million().items()]
    told = report(options, runs, slices)
    print(told)
    if not options.profile and not options.slice_only:
        (RESULTS / "graph_connector.txt").write_text(told, "utf-8")


# -- the connector ------------------------------------------------------------------------------------------------


@dataclass
class Taken:
    """Where records go: encoded, counted and dropped."""

    wire: Wire = field(default_factory=Wire)
    records: int = 0
    size: int = 0

    async def send(self, topic: Topic, key: bytes, value: Any) -> int:
        """Takes one record."""
        del key
        self.records += 1
        self.size += 0 if value is None else len(self.wire.encode(topic.schema, value))
        return self.records


@dataclass
class Account:
    """A mailbox as the client knows it."""

    connection: str
    value: str = field(repr=False)
    tenant: str = "bench"
    root: str = "/me"

    async def token(self, *, refused: str | None = None, claims: str | None = None) -> str:
        """Always the same."""
        del refused, claims
        return self.value


async def sync_of(account: Account, client: GraphClient, taken: Taken, clock: Clock) -> MailSync:
    """What reads one mailbox from nothing."""
    owner = Owner(account.tenant, account.connection, account.connection, "graph")
    ledger = fold([], taken.wire, owner.tenant, owner.connection)
    log = await open_log(Desk(taken, MemoryKeyRing(), clock), owner, ledger, 1)
    return MailSync(client, account, log, clock.now() - HISTORY, clock)


@dataclass
class Progress:
    """How much of the first sync is done."""

    done: int = 0

    async def __call__(self, done: int, total: int) -> None:
        """Told after each page."""
        del total
        self.done = done


async def first_syncs(syncs: list[MailSync]) -> int:
    """The past of all at once; how many messages that were."""
    progress = [Progress() for _ in syncs]
    await asyncio.gather(*(sync.first_sync(one) for sync, one in zip(syncs, progress, strict=True)))
    return sum(one.done for one in progress)


# -- against a process, without limits ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """What was read in which time: by the clock, and of the processor by the connector and by the simulated Graph."""

    name: str
    messages: int
    seconds: float
    own: float
    graph: float


def measure(options: argparse.Namespace) -> list[Run]:
    """The first sync, and live mail after it."""
    with tempfile.TemporaryDirectory() as folder, _provider(Path(folder), options) as (pipe, said):
        url, ca_file, tokens = said
        return asyncio.run(_measure(options, pipe, url, ca_file, tokens))


async def _measure(
    options: argparse.Namespace, pipe: Pipe, url: str, ca_file: str, tokens: list[str]
) -> list[Run]:
    taken, runs = Taken(), list[Run]()
    async with graph_http(ssl.create_default_context(cafile=ca_file)) as http:
        # Neither the window nor the number at a time of a mailbox: how fast this process is, not what Graph allows.
        limits = Limits(time.monotonic, asyncio.sleep, per_window=10**9)
        client = GraphClient(http, url, limits, SystemClock(), asyncio.sleep)
        syncs = [
            await sync_of(Account(f"box{n}", token), client, taken, SystemClock())
            for n, token in enumerate(tokens)
        ]
        with _profiled(is_wanted=options.profile):
            runs.append(await _timed("first sync", pipe, first_syncs(syncs)))
        _ask(pipe, "deliver")
        with _profiled(is_wanted=options.profile):
            runs.append(await _timed("live", pipe, _changes(syncs, options.live)))
    expected = [options.mailboxes * options.mails, options.mailboxes * options.live]
    if [run.messages for run in runs] != expected:
        raise SystemExit(f"{[run.messages for run in runs]} messages came instead of {expected}")
    print(f"{taken.records:,} records, {taken.size / MEGABYTE:,.0f} MB", flush=True)
    return runs


async def _changes(syncs: list[MailSync], each: int) -> int:
    await asyncio.gather(*(sync.changes() for sync in syncs))
    return each * len(syncs)


async def _timed(name: str, pipe: Pipe, work: Coroutine[Any, Any, int]) -> Run:
    print(f"{name} …", flush=True)
    graph, own, begun = _ask(pipe, "processor"), time.process_time(), time.monotonic()
    messages = await work
    seconds, own = time.monotonic() - begun, time.process_time() - own
    return Run(name, messages, seconds, own, _ask(pipe, "processor") - graph)


@contextmanager
def _profiled(*, is_wanted: bool) -> Iterator[None]:
    if not is_wanted:
        yield
        return
    with cProfile.Profile() as profile:
        yield
    pstats.Stats(profile).sort_stats("tottime").print_stats(35)


@contextmanager
def _provider(folder: Path, options: argparse.Namespace) -> Iterator[tuple[Pipe, tuple[str, str, list[str]]]]:
    """The simulated Graph in a process: how to tell it things, and (its address, whom to trust, tokens)."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_provide, args=(theirs, folder, options.mailboxes, options.mails, options.live), daemon=True
    )
    process.start()
    theirs.close()  # or nobody would notice that the process has failed
    try:
        yield ours, ours.recv()
    finally:
        ours.send("end")
        process.join(20)


def _ask(pipe: Pipe, what: str) -> float:
    pipe.send(what)
    found: float = pipe.recv()
    return found


def _provide(pipe: Pipe, folder: Path, mailboxes: int, mails: int, live: int) -> None:
    simulator = Simulator(checked=False)
    simulator.throttle.concurrent = simulator.throttle.per_window = 10**9
    boxes = [_filled(simulator, f"box{n}", mails, time.time()) for n in range(mailboxes)]
    with simulator.serve(folder) as served:
        pipe.send((served.graph, str(served.ca_file), [simulator.token(box) for box in boxes]))
        while (told := pipe.recv()) != "end":
            if told == "deliver":
                for box in boxes:
                    for number in range(live):
                        box.deliver(_letter(box.address, -number), at=time.time())
            pipe.send(time.process_time())


# -- in virtual time, within Graph's limits -------------------------------------------------------------------------


def slices_of_a_million() -> dict[str, list[int]]:
    """How many messages each mailbox has, by what the slice is called."""
    messages = MILLION // SHARE
    harmonic = sum(1 / rank for rank in range(1, 51))
    return {
        "100 mailboxes alike": [messages // 100] * 100,
        "50, the largest with a fifth": [round(messages / harmonic / rank) for rank in range(1, 51)],
        "one mailbox": [messages],
    }


@dataclass(frozen=True)
class Slice:
    """A part of a million messages as it was read. `window`: the most requests of one mailbox in ten minutes."""

    name: str
    messages: int
    requests: int
    seconds: float
    throttled: int
    at_once: int
    window: int


class _LoopClock:
    def now(self) -> datetime:
        return datetime.fromtimestamp(START + now(), UTC)


def take(name: str, sizes: list[int]) -> Slice:
    """Reads a slice."""
    print(f"{name} …", flush=True)
    return run_virtually(_take(name, sizes))


async def _take(name: str, sizes: list[int]) -> Slice:
    simulator = Simulator(clock=lambda: START + now(), checked=False)
    simulator.app.latency = ANSWER_SECONDS
    boxes = [_filled(simulator, f"box{n}", mails, START) for n, mails in enumerate(sizes)]
    begun, taken = now(), Taken()
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=simulator.app)) as http:
        client = GraphClient(
            http, "https://graph.microsoft.com/v1.0", Limits(now, asyncio.sleep), _LoopClock(), asyncio.sleep
        )
        accounts = [Account(box.address, simulator.token(box)) for box in boxes]
        # Tokens of the simulator end after an hour; nothing here is about that.
        syncs = [await sync_of(account, client, taken, _LoopClock()) for account in accounts]
        messages = await first_syncs(syncs)
    if messages != sum(sizes) or simulator.violations:
        raise SystemExit(f"{messages} of {sum(sizes)} came; {simulator.violations[:3]}")
    return Slice(
        name,
        messages,
        len(simulator.calls),
        now() - begun,
        simulator.throttle.refused,
        max(simulator.throttle.most_at_once.values()),
        _busiest(simulator),
    )


def _busiest(simulator: Simulator) -> int:
    times: dict[str, list[float]] = {}
    for call in simulator.calls:
        if call.mailbox:  # a batch is its parts
            times.setdefault(call.mailbox, []).append(call.at)
    return max(_in_window(sorted(found)) for found in times.values())


def _in_window(times: list[float]) -> int:
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - WINDOW_S:
            first += 1
        most = max(most, last - first + 1)
    return most


# -- mail -----------------------------------------------------------------------------------------------------------


def _filled(simulator: Simulator, name: str, mails: int, at: float) -> Any:
    """A mailbox with so many mails over the last half year, a quarter of them sent."""
    box = simulator.mailbox(f"{name}@bench.example")
    step = HISTORY.total_seconds() * 0.98 / max(mails, 1)
    for number in range(mails):
        folder = "sentitems" if number % 4 == 3 else "inbox"
        box.deliver(_letter(box.address, number), folder, at=at - step * (mails - number))
    return box


def _letter(address: str, number: int) -> Letter:
    return Letter(
        f"Kim Person <person{number % 97}@customer{number % 13}.example>",
        (address, f"colleague{number % 7}@bench.example"),
        f"Offer {number % 29}",
        PREVIEW,
        message_id=f"<{number}.{address}>",
        references=(f"<{number % 29}.thread.{address}>",),
        headers=HEADERS,
    )


# -- the report -----------------------------------------------------------------------------------------------------


def report(options: argparse.Namespace, runs: list[Run], slices: list[Slice]) -> str:
    """Both tables."""
    told = paper(110)
    told.print(f"One connector process and Microsoft Graph. {machine()}.")
    if runs:
        told.print(_table_of_runs(options, runs))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // MEGABYTE
        told.print(f"Memory of the connector, at most: {memory:,} MB.")
    if slices:
        told.print(_table_of_slices(slices))
    return text_of(told)


def _table_of_runs(options: argparse.Namespace, runs: list[Run]) -> Table:
    table = Table(
        title=f"Without limits: {options.mailboxes} mailboxes with {options.mails:,} mails, then {options.live} more in each"
    )
    for name in (
        "",
        "messages",
        "seconds",
        "messages/s",
        "processor s, connector",
        "messages per processor s",
        "processor s, Graph",
    ):
        table.add_column(name, justify="right" if name else "left")
    for run in runs:
        table.add_row(
            run.name,
            f"{run.messages:,}",
            f"{run.seconds:.1f}",
            f"{run.messages / run.seconds:,.0f}",
            f"{run.own:.1f}",
            f"{run.messages / run.own:,.0f}",
            f"{run.graph:.1f}",
        )
    return table


def _table_of_slices(slices: list[Slice]) -> Table:
    table = Table(
        title=f"In virtual time, Graph's limits in force, every answer after {ANSWER_SECONDS:.0f} s: "
        f"a {SHARE}th of a million messages"
    )
    for name in (
        "",
        "messages",
        "requests",
        "throttled",
        "at once",
        f"in 10 min, of {MAILBOX_REQUESTS:,}",
        "minutes",
        "hours for a million",
    ):
        table.add_column(name, justify="right" if name else "left")
    for one in slices:
        table.add_row(
            one.name,
            f"{one.messages:,}",
            f"{one.requests:,}",
            f"{one.throttled}",
            f"{one.at_once}",
            f"{one.window:,}",
            f"{one.seconds / 60:.1f}",
            f"{one.seconds * MILLION / one.messages / 3600:.1f}",
        )
    return table


if __name__ == "__main__":
    main()
