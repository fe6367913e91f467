"""Become a server process: leave the terminal, take the folder's lock, give up root, exec.

Run by path as a script of its own, with the standard library only; never imported::

    python -I -S launcher.py LOCK UID:GID PROGRAM ARGUMENT...

``LOCK`` names a file: the program then runs detached, in its own session, with standard error joined to standard
output, and holds a POSIX lock on that file for as long as it lives (fcntl(2): such a lock survives exec, is not
inherited by children, and F_GETLK tells anybody the holder's process id). Empty: it runs in the foreground.

``UID:GID`` is whom to become; empty: nobody else. A server that refuses to run as root must run as a user who may
have no way into root's folders, and opening those folders up is not ours to do. So the program keeps the one
capability that lets it through, and only where it is needed: reading or, in a container without that, overriding.
It has no other, and ``no_new_privs`` keeps it so.

The working folder is one that the program must be able to reach. Whatever goes wrong is one sentence on standard
error; nothing there means that the program has been started.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import sys
from collections.abc import Iterator

# linux/capability.h, linux/prctl.h, linux/securebits.h
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522
PR_SET_SECUREBITS = 28
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2


def main(lock: str, account: str, *argv: str) -> None:
    report = 2
    try:
        if lock:
            report = _detach()
            _hold(lock)
        if account:
            uid, gid = account.split(":")
            _exec_as(int(uid), int(gid), argv)
        os.execv(argv[0], argv)
    except OSError as error:
        os.write(report, f"{error.strerror or error}: {error.filename or argv[0]}".encode(errors="replace"))
        os._exit(126)


def _detach() -> int:
    """Go on in a process that no terminal can interrupt; returns where to report, which a good exec closes."""
    if os.fork():
        os._exit(0)
    os.setsid()
    report = os.dup(2)
    os.dup2(1, 2)
    return report


def _hold(lock: str) -> None:
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(descriptor, True)
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _exec_as(uid: int, gid: int, argv: tuple[str, ...]) -> None:
    """Become ``uid`` and exec with the least capability that reaches working folder and program."""
    if sys.platform == "linux":
        # Also lets access(2), with which Postgres looks for its own files, see what the capability allows.
        _prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    refusal = PermissionError()
    for _ in _capabilities() if sys.platform == "linux" else [None]:
        try:
            os.listdir(os.getcwd())
            os.execv(argv[0], argv)
        except PermissionError as error:
            refusal = error
    raise refusal


def _capabilities() -> Iterator[None]:
    """Hold, one after the other, no capability, the one to read and the one to override, as far as we may."""
    may_hold = _permitted()
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _set_capabilities(effective=0, permitted=may_hold)
    yield
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        if may_hold & 1 << capability:
            _set_capabilities(effective=1 << capability, permitted=may_hold)
            if _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability):
                yield


def _permitted() -> int:
    """Those of the two capabilities that this process could still use; capget(2)."""
    sets = ctypes.create_string_buffer(24)
    ctypes.CDLL(None).capget(_header(), sets)
    permitted = int(struct.unpack("6I", sets.raw)[1])
    return permitted & (1 << CAP_DAC_READ_SEARCH | 1 << CAP_DAC_OVERRIDE)


def _set_capabilities(*, effective: int, permitted: int) -> None:
    """capset(2). What is not inheritable leaves the ambient set too, and only ambient ones survive exec."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(_header(), struct.pack("6I", effective, permitted, effective, 0, 0, 0)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "capabilities")


def _header() -> bytes:
    return struct.pack("Ii", CAPABILITY_VERSION_3, 0)


def _prctl(*arguments: int) -> bool:
    """prctl(2); says whether the kernel agreed."""
    padded = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:5]]
    return bool(ctypes.CDLL(None).prctl(*padded) == 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
