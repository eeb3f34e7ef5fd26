"""TCP ports of this machine, on 127.0.0.1 only."""

import collections
import contextlib
import random
import socket

from services.local.errors import MISUSED, CannotStart

HOST = "127.0.0.1"


# Below the ports that systems give to outgoing connections (32768 on Linux, 49152 elsewhere). There, a client that
# tries again and again to reach a server that is down may by chance be given the server's port, and keep it.
_CHOICE = range(20_000, 32_768)


# While a server that was given a port is not up yet (or down for a restart), nobody listens there, and another search
# would find the port free as well, in this process or in one beside it. So the UDP port of the same number is held as
# the sign that it is promised: by the last hundred promises, which outlast the start of anything.
_promised: collections.deque[socket.socket] = collections.deque(maxlen=100)


def free_port() -> int:
    """A port nobody listens on and no other call was given lately, by this process or by one beside it.

    It is not held itself, so a program that does not ask here may take it first.
    """
    for port in random.sample(_CHOICE, k=200):
        promise = socket.socket(type=socket.SOCK_DGRAM)
        with socket.socket() as probe, contextlib.suppress(OSError):
            promise.bind((HOST, port))
            probe.bind((HOST, port))
            _promised.append(promise)
            return port
        promise.close()
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
