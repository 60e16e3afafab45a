"""End this process, and those it starts, at once where they open an internet socket.

A process that may listen may open sockets of TCP, and is ended where it connects one.

The kernel watches (seccomp), so native code is caught as well as Python, no privilege and no tool
such as strace is needed, and an attempt counts even on a machine offline. The process dies of
SIGSYS. As a program: `python no_sockets.py nothing|listen ARGUMENTS-OF-PYTHON`.
"""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import struct
import sys

# The system calls' numbers.
OPEN_SOCKET = {"x86_64": 41, "aarch64": 198}
_CONNECT = {"x86_64": 42, "aarch64": 203}
_LOAD, _IS, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_NO_TYPE = 0xFF  # no socket has it
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2


def forbid_sockets(*, but_listening: bool = False) -> None:
    """Forbid sockets to this process from now on.

    Args:
        but_listening: allow to open sockets of TCP, but not to connect them.
    """
    machine = platform.machine()
    program = b"".join(
        [
            _step(_LOAD, 0),
            _step(_IS, _CONNECT[machine], 8 if but_listening else 7, 0),
            _step(_IS, OPEN_SOCKET[machine], 0, 6),
            _step(_LOAD, 16),
            _step(_IS, socket.AF_INET, 1, 0),
            _step(_IS, socket.AF_INET6, 0, 3),
            _step(_LOAD, 24),
            _step(_AND, 0xF, 0, 0),
            _step(_IS, socket.SOCK_STREAM if but_listening else _NO_TYPE, 0, 1),
            _step(_RETURN, _ALLOW),
            _step(_RETURN, _KILL),
        ]
    )
    code = ctypes.create_string_buffer(program)
    rules = struct.pack("HP", len(program) // 8, ctypes.addressof(code))
    buffer = ctypes.create_string_buffer(rules)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    if prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or prctl(
        _SECCOMP, _FILTER, ctypes.addressof(buffer), 0, 0
    ):
        sys.exit(f"cannot watch: {os.strerror(ctypes.get_errno())}")


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


if __name__ == "__main__":
    forbid_sockets(but_listening=sys.argv[1] == "listen")
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
