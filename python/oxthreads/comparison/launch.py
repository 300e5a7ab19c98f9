"""Runs one command, and reports the time and the memory that this command has used.

It is a program of its own, started as ``python -I -S launch.py COMMAND...``. The reason: on Linux the
peak memory of a process includes the memory that its parent had at the fork. A child of a parent with
100 MB never reports less than 100 MB. So the process that forks a script must be smaller than any
script. This program imports only modules that are built into the interpreter. Its forked child has
copied almost nothing, and is smaller still.

Standard input is a socket to the process that started this program. When the command has ended, the
program writes one line to the socket: wait status, wall time, user time and system time (seconds), peak
memory (in the unit of ``ru_maxrss``), voluntary context switches. When the other end of the socket
closes, for whatever reason, the command is killed.
"""

# ruff: noqa: SIM105 - contextlib would take memory
import _thread
import os
import sys
import time

SOCKET = 0
SIGKILL = 9  # not from the signal module, which imports enum: that takes more memory than all else here


def become(command: list[str]) -> None:
    """Replace this process, which was just forked, by the command, in its own process group.

    Args:
        command: the path of the program, and its arguments.
    """
    try:
        os.setpgid(0, 0)
        # dup2 makes the copy inheritable, and closes the socket in this process.
        os.dup2(os.open(os.devnull, os.O_RDONLY), SOCKET)
        os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def kill(group: int) -> None:
    """Kill all processes of the group that still exist. Does nothing if there are none."""
    try:
        os.killpg(group, SIGKILL)
    except (ProcessLookupError, PermissionError):
        # On macOS: EPERM if only a zombie is left.
        pass


def kill_at_hang_up(group: int) -> None:
    """Wait until the other end of the socket is closed, and then kill the process group."""
    try:
        os.read(SOCKET, 1)
    except OSError:
        pass
    kill(group)


def main(command: list[str]) -> None:
    """Run a command until it ends, kill the processes that it leaves behind, and write the report.

    Args:
        command: the path of the program, and its arguments.
    """
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        become(command)
    try:
        # Parent and child both set the group, so it exists before it may have to be killed.
        os.setpgid(child, child)
    except OSError:
        pass
    _thread.start_new_thread(kill_at_hang_up, (child,))
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - started
    kill(child)
    report = (status, wall, usage.ru_utime, usage.ru_stime, usage.ru_maxrss, usage.ru_nvcsw)
    try:
        os.write(SOCKET, (" ".join(map(repr, report)) + "\n").encode())
    except OSError:
        pass
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
