"""`rapport demo`: a small company through the whole of Rapport, and every number compared with what is known to be true."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from rapport import logs
from rapport.demo.board import Stage, Step, bar
from rapport.demo.company import OWN_DOMAIN, TENANT, CompanySize
from rapport.demo.compare import Comparison
from rapport.demo.drilldowns import drill_downs
from rapport.demo.microsoft import SimulatedMicrosoft, simulated_microsoft, simulator_folder
from rapport.demo.steps import (
    Ingested,
    compare_conversations,
    compare_numbers,
    demo_settings,
    fresh_home,
    ingest_sources,
    load_directory,
)
from rapport.demo.story import DAYS
from rapport.demo.whole import Source, WholeCompany, make_company
from rapport.local.supervisor import Supervisor
from rapport.settings import Endpoints, Settings, load_settings
from rapport.store import open_store
from rapport.store.users import generate_password
from rapport.waiting import wait_for_visible
from rapport_core.clock import SystemClock
from rapport_core.errors import RefusedError
from rapport_sinks.clickhouse.client import connect
from rapport_sinks.clickhouse.predicate import By
from rapport_sinks.clickhouse.queries import Impact
from rapport_sinks.clickhouse.window import DEFAULT_DAYS

app = typer.Typer()

_DEFAULT = CompanySize()
_LOGIN = f"demo@{OWN_DOMAIN}"
_MOST_WITH_IDS = 500_000
"""Above this size conversations are compared by their numbers only, so that memory stays small."""


@app.command()
def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="End after the comparison.")] = False,
    seed: Annotated[int, typer.Option(help="Which story; the same seed tells the same.")] = 1,
    copies: Annotated[int, typer.Option(help="Mails in all mailboxes together.")] = _DEFAULT.copies,
    members: Annotated[int, typer.Option(help="Team members, one mailbox each.")] = _DEFAULT.members,
    customers: Annotated[int, typer.Option(help="Customers.")] = _DEFAULT.customers,
    contacts: Annotated[int, typer.Option(help="Contacts.")] = _DEFAULT.contacts,
    meetings: Annotated[
        int, typer.Option(help="Meetings in all calendars together, one in five still to come.")
    ] = _DEFAULT.meetings,
    match_by: Annotated[
        str, typer.Option(help="Match by contact address or by customer domain.")
    ] = "address",
) -> None:
    """Runs a made-up company through everything and compares every number with the truth.

    It starts services of its own in the folder demo below RAPPORT_HOME, empty each time; your own data is not touched.
    In a checkout half of the members have their mail and calendar at a simulated Microsoft 365, the others in archives.
    Exits with 1 on any difference.
    """
    size = CompanySize(
        members=members,
        customers=customers,
        contacts=contacts,
        copies=copies,
        meetings=meetings,
        microsoft=simulator_folder() is not None,
    )
    settings = demo_settings(load_settings())
    logs.configure("error")
    with _ended_by_signals():
        fresh_home(settings.home)
        equal = _Demo(settings, Stage()).run(size, seed, match_by, stay=not once)
    if not equal:
        raise typer.Exit(RefusedError.exit_code)


class _Demo:
    """One demo from the first service to the last comparison."""

    def __init__(self, settings: Settings, stage: Stage) -> None:
        self._settings = settings
        self._stage = stage

    def run(self, size: CompanySize, seed: int, match_by: str, *, stay: bool) -> bool:
        """Whether every cell was equal."""
        made = self._make(size, seed, match_by)
        with ExitStack() as running:
            microsoft = self._open_microsoft(running, made) if size.microsoft else None
            with self._stage.step("starting Kafka, ClickHouse, workers, sink and page") as step:
                up = running.enter_context(Supervisor(self._settings, report=_report, progress=step.show))
                step.outcome = "everything runs"
            self._feed(up.endpoints, made, microsoft)
            self._show(up.endpoints, made)
            result = self._compare(up.endpoints, made)
            if stay and not up.is_stopping:
                self._stay(up)
        return result.equal

    def _make(self, size: CompanySize, seed: int, match_by: str) -> WholeCompany:
        if not size.microsoft:
            self._stage.say(
                "All mailboxes come from archives: Microsoft 365 is simulated in a checkout only."
            )
        with self._stage.step("writing the company") as step:
            made = make_company(
                self._settings.home / "company",
                seed=seed,
                now=SystemClock().now(),
                size=size,
                match_by=match_by,
                keep_message_ids=size.copies <= _MOST_WITH_IDS,
                on_mail=_counted(step, "mails", size.copies),
                on_meetings=_counted(step, "meetings", size.meetings),
            )
            step.outcome = f"{made.truth.copies:,} mails and {made.calendars.copies:,} meetings of {size.members} members, seed {seed}"
        self._stage.company(made)
        return made

    def _open_microsoft(self, running: ExitStack, made: WholeCompany) -> SimulatedMicrosoft:
        """Makes the simulated Microsoft 365 the one of the instance."""
        with self._stage.step("opening mailboxes at the simulated Microsoft 365") as step:
            microsoft = running.enter_context(simulated_microsoft(self._settings.home / "microsoft", made))
            members = len(made.scripts)
            microsoft.open_mailboxes(lambda done: step.show(bar(done, members)))
            self._settings = microsoft.settings(self._settings)
            step.outcome = (
                f"{members} of {len(made.company.members)} members are at the simulated Microsoft 365"
            )
        return microsoft

    def _feed(self, where: Endpoints, made: WholeCompany, microsoft: SimulatedMicrosoft | None) -> None:
        """Everything in the order in which a directory, mailboxes and calendars become known."""
        self._load(where, made.mail.first_directory, "the directory, some of it still missing")
        if microsoft is not None:
            self._connect(where, microsoft)
        self._ingest(where, made.first_sources(), "the first mailboxes and calendars")
        if microsoft is not None:
            self._sync(where, microsoft)
            self._follow(where, microsoft, made)
        made.later()
        self._ingest(where, made.sources(), "what came, moved and went since")
        self._load(where, made.mail.directory, "what the directory lacked")
        with self._stage.step("waiting until everything is visible") as step:
            wait_for_visible(
                self._settings,
                TENANT,
                lambda arrived, expected: step.show(f"{arrived} of {expected} partitions"),
            )
            step.outcome = "everything is visible"

    def _connect(self, where: Endpoints, microsoft: SimulatedMicrosoft) -> None:
        with self._stage.step("connecting accounts of Microsoft 365") as step:
            connected = microsoft.connect(self._settings, where)
            own = sum(one["access"] == "delegated" for one in connected)
            step.outcome = f"connected: {own} signed in, {len(connected) - own} by an administrator"

    def _sync(self, where: Endpoints, microsoft: SimulatedMicrosoft) -> None:
        with self._stage.step("first sync of Microsoft 365") as step:
            done = microsoft.wait_for_first_sync(where, lambda done, total: step.show(bar(done, total)))
            step.outcome = f"first sync of Microsoft 365 has ended: {done:,} items"

    def _follow(self, where: Endpoints, microsoft: SimulatedMicrosoft, made: WholeCompany) -> None:
        """Mail comes, moves and goes at Microsoft, and whoever looks at the numbers sees it."""
        before = self._emails(where, made)
        with self._stage.step("what happens at Microsoft 365 meanwhile") as step:
            microsoft.later()
            microsoft.wait_until_known(lambda done, total: step.show(f"{done} of {total} mailboxes"))
            step.outcome = "notified of what came, moved and went at Microsoft 365"
        self._wait(f"emails of six months: {before:,}", lambda: f"{self._emails(where, made):,}")

    def _emails(self, where: Endpoints, made: WholeCompany) -> int:
        with closing(connect(where.clickhouse)) as client:
            counts = Impact(client).counts(TENANT, By.MEMBER, DAYS, None, made.now)
        return counts["total"]["emails"]

    def _wait(self, what: str, outcome: Callable[[], str]) -> None:
        with self._stage.step("waiting until that is visible") as step:
            wait_for_visible(
                self._settings,
                TENANT,
                lambda arrived, expected: step.show(f"{arrived} of {expected} partitions"),
            )
            step.outcome = f"{what} before, {outcome()} now"

    def _load(self, where: Endpoints, file: Path, what: str) -> None:
        with self._stage.step(f"loading {what}") as step:
            entries = load_directory(self._settings, where, file)
            step.outcome = f"loaded {what}: {entries:,} entries"

    def _ingest(self, where: Endpoints, sources: list[Source], what: str) -> None:
        def watch(source: Source, done: Ingested) -> None:
            step.show(f"{source.path.name}, {done.sources} of {len(sources)}")

        with self._stage.step(f"reading {what}") as step:
            done = ingest_sources(self._settings, where, sources, watch)
            step.outcome = f"read {what}: {done.mails:,} mails, {done.meetings:,} meetings"

    def _show(self, where: Endpoints, made: WholeCompany) -> None:
        with closing(connect(where.clickhouse)) as client:
            impact = Impact(client)
            members, customers = (
                impact.counts(TENANT, by, DEFAULT_DAYS, None, made.now, planned=True)
                for by in (By.MEMBER, By.CUSTOMER)
            )
            self._stage.board(members, customers)
            self._stage.days(impact.daily(TENANT, By.CUSTOMER, DEFAULT_DAYS, None, made.now))
            for title, page in drill_downs(impact, members, customers, made.now):
                self._stage.behind_number(title, page)
        self._stage.oddities(made)

    def _compare(self, where: Endpoints, made: WholeCompany) -> Comparison:
        with self._stage.step("comparing every number with the story") as step:
            result = compare_numbers(where, made.mail)
            result.add(compare_conversations(self._settings, where, made.mail))
            step.outcome = "every number and conversation compared with the story"
        self._stage.verdict(result)
        return result

    def _stay(self, up: Supervisor) -> None:
        password = generate_password()
        with closing(open_store(self._settings, up.endpoints)) as store:
            store.users.add(_LOGIN, tenant=TENANT, role="admin", password=password)
        self._stage.address(up.endpoints.dashboard or "", _LOGIN, password)
        try:
            up.wait()
        except KeyboardInterrupt:
            return


def _counted(step: Step, what: str, target: int) -> Callable[[int], None]:
    """Says now and then how many copies are written."""
    return lambda done: step.show(f"{done:,} of {target:,} {what}") if done % 50 == 0 else None


def _report(line: str) -> None:
    typer.echo(line, err=True)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal end the demo alike: services stop in order."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, _interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
