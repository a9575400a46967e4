"""`rapport up` with parts in haste."""

from __future__ import annotations

import sys

from hasty_processes import haste
from rapport.cli.services import run
from rapport.settings import load_settings
from rapport_core.errors import RapportError

if __name__ == "__main__":
    try:
        with haste():
            run(load_settings(), modules="hasty_processes")
    except RapportError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
