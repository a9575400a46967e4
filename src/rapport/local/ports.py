"""Free ports on loopback, and whether a wanted one is free."""

from __future__ import annotations

import random
import socket

from rapport_core.errors import ConfigError, UnavailableError

LOOPBACK = "127.0.0.1"
_FIRST, _LAST = 20_000, 32_000
"""Below the range from which systems draw the ports of outgoing connections: those could take a port we just found."""
_given: set[int] = set()
"""What this process was given lately. Its servers start later, and until then a port looks free to whoever looks again."""
_MOST_GIVEN = 1_000


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that is free now, and another one each time. Another process may take it before it is used; that is rare and ends in an error."""
    if len(_given) >= _MOST_GIVEN:
        _given.clear()
    for _ in range(200):
        port = random.randint(_FIRST, _LAST)  # noqa: S311 - not a secret
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise UnavailableError("no free port was found on this machine; end some programs and start again")


def chosen_port(wanted: int, setting: str) -> int:
    """`wanted` if it is free, a free one if it is 0. Raises ConfigError naming the setting when it is taken."""
    if wanted == 0:
        return free_port()
    if not is_free(wanted):
        raise ConfigError(
            f"port {wanted} is in use by another program: end that, or set {setting} to another port (0: any free one)"
        )
    return wanted


def accepts(port: int) -> bool:
    """Whether something listens on this loopback port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False
