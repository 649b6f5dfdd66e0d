"""Ports for a stack nobody promised any: others may look for theirs at the same moment."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from workers.embedded.ports import free_ports

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_ASK = "from workers.embedded.ports import free_ports; print(*free_ports(12))"


def test_no_port_comes_twice_and_one_that_is_taken_never() -> None:
    (before,) = free_ports(1)
    with socket.create_server(("127.0.0.1", before + 1)):
        after = free_ports(20)
    assert len({before, *after}) == 21
    assert before + 1 not in after


def test_processes_that_ask_at_the_same_moment_get_different_ones() -> None:
    asked = [subprocess.Popen([sys.executable, "-c", _ASK], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    got = [process.communicate()[0].split() for process in asked]
    assert len({port for ports in got for port in ports}) == 4 * 12


@pytest.mark.skipif(not _RANGE.exists(), reason="only Linux says so there")
def test_none_is_one_the_system_gives_to_connections() -> None:
    lowest = int(_RANGE.read_text().split()[0])
    assert all(port < lowest for port in free_ports(12))
