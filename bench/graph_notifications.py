"""From a change at Microsoft 365 to the visible number: a whole instance, the provider simulated over TLS beside it.

    .venv/bin/python bench/graph_notifications.py [--mailboxes N] [--mails N] [--every SECONDS]

Mails arrive one after the other in mailboxes chosen at random; each is timed from its arrival, a moment before the provider
tells of it, until the board's query counts it. Prints a table and writes bench/results/graph_notifications.txt. It asserts
nothing about time; it does look whether every mail is counted.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.table import Table

BENCH = Path(__file__).parent
sys.path.insert(0, str(BENCH.parent / "tests" / "support"))

from microsoft_company import TENANT, MicrosoftCompany, address, letter, microsoft_company  # noqa: E402
from rapport.store import open_store  # noqa: E402
from rapport_sinks.clickhouse.client import connect  # noqa: E402
from rapport_sinks.clickhouse.queries import Impact  # noqa: E402
from speed.report import machine, paper, text_of  # noqa: E402

RESULTS = BENCH / "results"
PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.02


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description="notification to number")
    parser.add_argument("--mailboxes", type=int, default=20)
    parser.add_argument("--mails", type=int, default=100)
    parser.add_argument("--every", type=float, default=0.5, metavar="SECONDS")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        microsoft_company(Path(folder), options.mailboxes, checked=False) as company,
    ):
        with open_store(company.running.settings, company.running.endpoints) as store:
            for number in range(options.mailboxes):
                company.connect(store, number)
        company.wait_for_first_sync()
        company.wait_for_push()
        seconds = measure(company, options.mails, options.every)
    told = report(options, seconds)
    print(told)
    (RESULTS / "graph_notifications.txt").write_text(told, "utf-8")


def measure(company: MicrosoftCompany, mails: int, every_s: float) -> list[float]:
    """Seconds of each mail."""
    impact, chance = Impact(connect(company.running.endpoints.clickhouse)), random.Random(1)

    def counted() -> int:
        return impact.items(TENANT, now=datetime.now(UTC), days=30, limit=1)["total"]

    before, found = counted(), list[float]()
    for number in range(mails):
        mailbox = chance.randrange(company.members)
        begun = time.monotonic()
        company.deliver(mailbox, letter(f"timed-{number}", address(mailbox)))
        while counted() <= before + number:
            if time.monotonic() - begun > PATIENCE_SECONDS:
                raise SystemExit(f"mail {number} is not counted after {PATIENCE_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)
        found.append(time.monotonic() - begun)
        time.sleep(every_s * chance.uniform(0.5, 1.5))
    return found


def report(options: argparse.Namespace, seconds: list[float]) -> str:
    """The table."""
    ordered = sorted(seconds)
    table = Table(
        title=f"{options.mails} mails in {options.mailboxes} mailboxes, arrival to number", box=None
    )
    for name in ("", "seconds"):
        table.add_column(name, justify="right" if name else "left")
    for name, value in (
        ("median", median(ordered)),
        ("95 of 100 within", ordered[int(len(ordered) * 0.95) - 1]),
        ("longest", ordered[-1]),
    ):
        table.add_row(name, f"{value:.2f}")
    console = paper(80)
    console.print(table)
    return f"{machine()}\n\n{text_of(console)}"


if __name__ == "__main__":
    main()
