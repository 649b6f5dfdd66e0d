"""Ports on the loopback: which are free, and one clear line about a promised port that is taken."""

import os
import socket
from collections.abc import Iterator
from itertools import count, islice

from workers.embedded.errors import StackError

_LOWEST, _HOW_MANY = 10_000, 20_000  # Linux names ports from 32,768, macOS and Windows from 49,152
_APART = 61  # a stack takes a dozen, and processes that start together have neighbouring ids


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """True when a server could listen on `port` right now. 0 is always free."""
    if port and _answers(port):
        return False
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_ports(many: int) -> list[int]:
    """So many ports that nobody listens on at this moment; no process gets one twice.

    A port is taken some seconds after it was found. Any that the system would name may by then be another's, who asked
    it too, or of a connection that goes out. So these are below all it names, and each process begins elsewhere.
    """
    return list(islice(filter(is_free, _own), many))


def _ports_of_this_process() -> Iterator[int]:
    begin = os.getpid() * _APART
    for n in count(begin):
        yield _LOWEST + n % _HOW_MANY


_own = _ports_of_this_process()


def preferred(port: int) -> int:
    """`port` when it is free, else any free one: for parts whose port nobody was promised."""
    return port if is_free(port) else free_ports(1)[0]


def require_free(what: str, port: int, way_out: str, host: str = "127.0.0.1") -> None:
    """Raise StackError when `port`, promised for `what`, is taken. `way_out`: what the user can do instead."""
    if not is_free(port, host):
        raise StackError(f"Port {port} ({what}) is taken by another program: stop that one, or {way_out}.")


def _answers(port: int) -> bool:
    """Somebody listens on the loopback: macOS lets a second server bind beside one that listens on all addresses."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
