"""Becomes one part of the stack: binds its life to the supervisor's, drops its rights, then turns into the program.

Run by path with `python -I -S`, so that nothing but the standard library is loaded before the program takes over
(a `preexec_fn` would do the same inside a fork of the supervisor, which may have threads).
Arguments: pid of the supervisor, signal to get when it dies, user to become (or `-`), how far it gives way to the
other parts (a nice value), then the program with its own.
"""

import ctypes
import os
import pwd
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 28, 47, 2
SECBIT_NO_SETUID_FIXUP = 4
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
CAPABILITY_VERSION_3 = 0x20080522
_TRIES = 10


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _permitted() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("CapPrm:")[1].split()[0], 16)


def _become(user: str) -> None:
    """Change to `user`, and keep one right of root: to pass through directories closed to that user.

    PostgreSQL refuses to run as root, yet a virtual environment or a data folder below a private home is readable by
    root alone. Docker's default set has DAC_OVERRIDE only, so the narrower READ_SEARCH is taken where there is one.
    """
    entry = pwd.getpwnam(user)
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    held = _permitted() if libc else 0
    kept = next((1 << cap for cap in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE) if held & (1 << cap)), 0)
    if libc:
        # Without this bit access(2), which PostgreSQL asks about its own binary, ignores the right kept below.
        libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    if libc and kept:
        sets = (_Sets * 2)(_Sets(kept, kept, kept), _Sets(0, 0, 0))
        libc.capset(ctypes.byref(_Header(CAPABILITY_VERSION_3, 0)), sets)
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept.bit_length() - 1, 0, 0)


def _die_with(supervisor: int, signal_number: int) -> None:
    """Ask Linux for a signal when the supervisor ends, however it ends. Elsewhere the next start cleans up."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != supervisor:
        sys.exit("the supervisor ended before this part had started")


def _give_way(nice: int) -> None:
    """Leave the processor to others first. Linux with autogroups weighs sessions, and each part has its own."""
    os.nice(nice)
    for _ in range(_TRIES):
        try:
            Path("/proc/self/autogroup").write_text(str(nice))
        except BlockingIOError:  # ordinary users may write one of these in 100 ms, all of them together
            time.sleep(0.1)
        except OSError:
            return
        else:
            return


def main() -> None:
    """Turn into the program named by the arguments."""
    supervisor, signal_number, user, nice, *argv = sys.argv[1:]
    if int(nice):
        _give_way(int(nice))
    if user != "-":
        _become(user)
    _die_with(int(supervisor), int(signal_number))
    try:
        os.execvp(argv[0], argv)  # noqa: S606
    except OSError as error:
        sys.exit(f"cannot run {argv[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
