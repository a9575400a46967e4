"""`quick_worker`, in a hurry to shorten its topics: `python trimming_worker.py SESSION_SECONDS PARTITIONS`."""

from __future__ import annotations

import sys
from functools import partial
from unittest.mock import patch

import quick_worker
from rapport_processors.edge import app, runner
from rapport_processors.edge.rewriting import Pace
from rapport_processors.edge.trimming import Trimmer

_HASTE = Pace(times=0, least_bytes=64 * 1024, slice_bytes=1024 * 1024)
_EVERY_SECONDS = 0.5


def main(session_s: float, partitions: int) -> None:
    """Runs the worker until it is told to stop or ends itself."""
    with (
        patch.object(app, "Trimmer", partial(Trimmer, every_s=_EVERY_SECONDS)),
        patch.object(runner, "Pace", lambda: _HASTE),
    ):
        quick_worker.main(session_s, partitions)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
