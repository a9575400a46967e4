"""Route and weave on one core: messages a second from `mail.raw` to `items`.

.venv/bin/python bench/processors.py [--messages N] [--in-memory [--profile]]
"""

from __future__ import annotations

import argparse
import os
import sys

from rich.console import Console

from rapport import logs
from speed import in_memory


def main() -> None:
    options = _options()
    logs.configure("error")
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    console = Console(width=220)
    cases = [case for case in in_memory.cases(options.messages) if options.only in case.name]
    if options.profile:
        for case in cases:
            in_memory.profile(case, console)
        return
    measured = [in_memory.measure(case) for case in cases]
    console.print(in_memory.table(measured))
    if wrong := [f"{one.case.name}: {one.wrong}" for one in measured if one.wrong]:
        sys.exit("\n".join(wrong))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--in-memory", action="store_true", help="the stages without Kafka")
    parser.add_argument("--profile", action="store_true", help="the same under cProfile")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
