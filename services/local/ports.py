"""TCP ports of this machine, on 127.0.0.1 only."""

import contextlib
import random
import socket

from services.local.errors import MISUSED, CannotStart

HOST = "127.0.0.1"


# Below the ports that systems give to outgoing connections (32768 on Linux, 49152 elsewhere). There, a client that
# tries again and again to reach a server that is down may by chance be given the server's port, and keep it.
_CHOICE = range(20_000, 32_768)


def free_port() -> int:
    """A port nobody listens on at this moment; it is not held, so another process may take it first."""
    for port in random.sample(_CHOICE, k=200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise CannotStart(f"no free port found between {_CHOICE.start} and {_CHOICE.stop - 1}")


def claim(port: int, what: str) -> int:
    """`port` itself if it is free, a free one if it is 0; CannotStart (exit code 2) naming `what` if it is taken."""
    if port == 0:
        return free_port()
    with socket.socket() as probe:
        # As servers do: the closed connections of the one before us are no obstacle, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise CannotStart(f"{what}: port {port} cannot be used ({error.strerror})", exit_code=MISUSED) from error
    return port


def is_open(port: int) -> bool:
    """Whether somebody accepts connections on `port`."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0
