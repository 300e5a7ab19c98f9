"""A sandbox in which the kernel refuses the system call by which threads of oxthreads sleep (Linux).

It forbids FUTEX_WAIT alone. CPython and the C library wait by FUTEX_WAIT_BITSET, so they go on.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import subprocess
import sys
from pathlib import Path

#: The number of the system call, and of the architecture, as the kernel tells them to a filter.
FUTEX = {"x86_64": (202, 0xC000003E), "aarch64": (98, 0xC00000B7)}
#: The operation, with FUTEX_PRIVATE_FLAG.
FUTEX_WAIT_PRIVATE = 128

# Of linux/prctl.h, linux/seccomp.h and linux/filter.h.
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
# Where a filter finds them in `struct seccomp_data`.
NUMBER, ARCHITECTURE, SECOND_ARGUMENT = 0, 4, 24

__all__ = ["forbid_sleep", "is_possible"]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _instruction(code: int, value: int, if_not: int = 0) -> bytes:
    """One instruction. If it is a jump, it skips so many others if the values are not equal."""
    return struct.pack("HBBI", code, 0, if_not, value)


def forbid_sleep() -> None:
    """Let the kernel refuse FUTEX_WAIT in this process and its children, from now on, for good.

    Raises:
        OSError: if this kernel, or a sandbox around this one, allows no filters.
    """
    number, architecture = FUTEX[platform.machine()]
    program = b"".join(
        [
            _instruction(LOAD_WORD, ARCHITECTURE),
            _instruction(JUMP_IF_EQUAL, architecture, if_not=5),
            _instruction(LOAD_WORD, NUMBER),
            _instruction(JUMP_IF_EQUAL, number, if_not=3),
            _instruction(LOAD_WORD, SECOND_ARGUMENT),
            _instruction(JUMP_IF_EQUAL, FUTEX_WAIT_PRIVATE, if_not=1),
            _instruction(RETURN, REFUSE | errno.ENOSYS),
            _instruction(RETURN, ALLOW),
        ]
    )
    instructions = ctypes.create_string_buffer(program, len(program))
    described = _Program(len(program) // 8, ctypes.addressof(instructions))
    library = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(described), 0, 0),
    ):
        if library.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "no filter of system calls")


def is_possible() -> bool:
    """Whether there can be such a sandbox here. It is tried in a child."""
    if sys.platform != "linux" or platform.machine() not in FUTEX:
        return False
    root = Path(__file__).resolve().parents[2]
    tried = "from tests.support import sandbox; sandbox.forbid_sleep()"
    return (
        subprocess.run(
            [sys.executable, "-c", tried], cwd=root, stderr=subprocess.DEVNULL, check=False
        ).returncode
        == 0
    )
