"""Who sits at the command line, for the audit."""

from __future__ import annotations

import getpass
import os


def operator() -> str:
    """`cli:` and the name of the account that runs the command, or its number where it has no name."""
    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError):  # an account without an entry, as in containers
        return f"cli:{os.getuid()}"
