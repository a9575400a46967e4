"""`rapport up` with stub processes around a real Kafka."""

from __future__ import annotations

import sys

from rapport.cli.services import run
from rapport.settings import load_settings
from rapport_core.errors import RapportError

if __name__ == "__main__":
    try:
        run(load_settings(), modules="stub_processes")
    except RapportError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
