"""Starts a command that dies with its parent: `python launch.py PARENT_PID COMMAND…`. Standard library only.

On Linux the kernel kills the command when the supervisor's thread ends, however it ends; on other systems a kill -9 of the
supervisor leaves its children, which the next `rapport up` then finds in its way. The signal survives `exec`, so this
program replaces itself with the command and costs nothing afterwards.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Never returns: ends, or becomes the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            # The parent died before the line above.
            sys.exit(1)
    # What services write holds keys and mail: for the owner only.
    os.umask(0o077)
    try:
        os.execvp(command[0], command)  # noqa: S606 - our own command
    except OSError as error:
        sys.exit(f"error: {command[0]} does not start: {error.strerror}")


if __name__ == "__main__":
    main()
