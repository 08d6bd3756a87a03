"""Free ports on the loopback interface: a row of HTTP ports from 9200 on, and any ports for the transport."""

from __future__ import annotations

import contextlib
import socket
from typing import Final

from gram_os.errors import PortInUseError

_FIRST_PORT: Final = 9200
_LAST_PORT: Final = 9299


def choose_port(port: int | None, nodes: int) -> int:
    """Return the first of `nodes` free HTTP ports in a row.

    `port` is the wanted first port; None looks from 9200 to 9299. Raises PortInUseError when a port is taken.
    """
    if port is not None:
        taken = [number for number in range(port, port + nodes) if not _is_free(number)]
        if taken:
            raise PortInUseError(f"port {taken[0]} is taken; choose another with --port, or leave it out")
        return port
    for first in range(_FIRST_PORT, _LAST_PORT - nodes + 2):
        if all(_is_free(number) for number in range(first, first + nodes)):
            return first
    raise PortInUseError(f"no {nodes} free ports in a row from {_FIRST_PORT} to {_LAST_PORT}; choose one with --port")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        except OverflowError as error:
            raise PortInUseError(f"port {port} does not exist; choose one from 1024 to 65535 with --port") from error
    return True


def find_free_ports(count: int) -> list[int]:
    """Return `count` free ports of the system's choice. All are open at once, so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
