"""TCP ports of this machine, on 127.0.0.1 only."""

import socket

from services.local.errors import MISUSED, CannotStart

HOST = "127.0.0.1"


def free_port() -> int:
    """A port nobody listens on at this moment; it is not held, so another process may take it first."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


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
