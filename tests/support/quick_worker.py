"""A worker as `rapport up` starts it, but for two numbers: `python quick_worker.py SESSION_SECONDS PARTITIONS`.

A killed worker's partitions wait for the end of its session, which tests keep short; and the partition count of all topics
is fixed in the program, while its stages take any.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from unittest.mock import patch

from rapport.processes import worker
from rapport_processors.edge import app
from rapport_processors.edge.app_settings import app_settings


def main(session_s: float, partitions: int) -> None:
    """Runs the worker until it is told to stop or ends itself."""
    with ExitStack() as changed:
        settings = partial(app_settings, session_timeout_s=session_s)
        changed.enter_context(patch.object(app, "app_settings", settings))
        for name in ("RouteStage", "WeaveStage", "fan_out"):
            counted = partial(getattr(app, name), partitions=partitions)
            changed.enter_context(patch.object(app, name, counted))
        worker.main()


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
