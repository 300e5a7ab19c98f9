"""Run one command, and report what it alone has used; started as ``python -I -S launch.py COMMAND...``.

On Linux the peak memory of a process counts what its parent held when it forked: a child of a
parent of 100 MB never reports less. So the process that forks a script must be smaller than any
script: this one imports only what is built into the interpreter, and its forked child, which has
copied next to nothing, is smaller still.

Standard input is a socket to the process that started this one. One line goes out on it: wait
status, wall, user and system time (seconds), peak memory (in the unit of ``ru_maxrss``), voluntary
context switches. When its other end closes, however that comes about, the command is killed.
"""

# ruff: noqa: SIM105 - contextlib would be one more module in memory
import _thread
import os
import sys
import time

SOCKET = 0
SIGKILL = 9  # the signal module would import enum: more memory than everything else here


def become(command: list[str]) -> None:
    """Turn this process, just forked, into the command, in a process group of its own."""
    try:
        os.setpgid(0, 0)
        # dup2 makes the copy inheritable, and closes the socket for the command.
        os.dup2(os.open(os.devnull, os.O_RDONLY), SOCKET)
        os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def kill(group: int) -> None:
    """Kill what is left of a process group, if anything is."""
    try:
        os.killpg(group, SIGKILL)
    except (ProcessLookupError, PermissionError):
        # macOS answers EPERM where only a zombie is left.
        pass


def kill_at_hang_up(group: int) -> None:
    """Wait until the other end of the socket is closed, then kill the process group."""
    try:
        os.read(SOCKET, 1)
    except OSError:
        pass
    kill(group)


def main(command: list[str]) -> None:
    """Run a command to its end, kill what it leaves running, and report."""
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        become(command)
    try:
        # Both sides set the group: whoever comes first, it exists before it may have to be killed.
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
