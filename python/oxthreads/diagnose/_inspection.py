"""All threads and waiting tasks of a process: as data, JSON and text; and how a process is asked.

The data is a dictionary, described in docs/inspection.schema.json. A process that cannot have its interpreter
describes itself without Python, in the same form (src/diagnostics/server.rs), and leaves out what only Python
knows.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oxthreads import _oxthreads as _native
from oxthreads.diagnose import _group_tree, _objects, _situation, _wait_data

if TYPE_CHECKING:
    from types import FrameType

    from oxthreads.diagnose._situation import Situation

__all__ = ["InspectionError", "ask", "description", "socket_directory", "text"]

#: The version of the data.
VERSION = 1

#: How often it is tried to find all threads asleep that are in a wait.
_TRIES = 20

#: Seconds that a process without a watch has to answer.
LONGEST_ANSWER = 10.0


class InspectionError(Exception):
    """A process cannot be inspected; the message says why."""


def description() -> dict[str, Any]:
    """All threads of this process, and the tasks that wait, as data."""
    for left in reversed(range(_TRIES)):
        numbers = [sleep[1] for sleep in _native.asleep()]
        with _situation.without_finalizers(), _native.Pin(numbers) as pin:
            are_still = len(pin.sleeps()) == len(numbers) and not _native.looking_for_signals()
            if are_still or not left:
                situation = _situation.Situation(pin, with_own=True)
                # For the words only: where the owners took what others wait for.
                situation.confirm(list(situation.waits))
                # Apart from the first, which lives until the pin is left.
                with_tasks = situation.with_tasks()
                _objects.tell_apart(with_tasks, with_tasks.waits)
                return _described(with_tasks)
        # A thread that looks for signals in its wait falls asleep again once it has had the interpreter.
        time.sleep(0.001)
    raise AssertionError


def _described(situation: Situation) -> dict[str, Any]:
    own = threading.get_ident()
    identifiers = {*situation.frames, *situation.threads}
    if own not in situation.threads:
        identifiers.discard(own)  # the thread of the watch
    waits = {number: _wait_data.described(situation, number) for number in situation.waits}
    in_order = sorted(identifiers, key=lambda each: (situation.numbers.get(each, 1 << 32), each))
    return {
        "version": VERSION,
        "process": os.getpid(),
        "interpreter": True,
        "threads": [_thread(situation, identifier, own, waits) for identifier in in_order],
        "tasks": [_task(situation, number, waits[number]) for number in situation.tasks],
        "task_groups": _group_tree.described(situation, waits.get),
    }


def _thread(
    situation: Situation, identifier: int, own: int, waits: dict[int, dict[str, Any]]
) -> dict[str, Any]:
    number = situation.numbers.get(identifier)
    is_waiting = number is not None and number in situation.waits
    # Without a GIL, the frames of another thread that runs must not be looked at.
    can_look = is_waiting or identifier == own or _situation.has_gil()
    frames = _situation.frames_of(situation.frames.get(identifier)) if can_look else []
    call = _situation.call_in_process(identifier)
    return {
        "number": number,
        "identifier": identifier,
        "name": _situation.label(situation.threads.get(identifier), number or identifier),
        "wait": waits[number] if number is not None and is_waiting else None,
        "stack": [_frame(frame) for frame in frames if _situation.is_of_program(frame)],
        **({"call": {"process": call[0], "function": call[1]}} if call else {}),
    }


def _task(situation: Situation, number: int, wait: dict[str, Any]) -> dict[str, Any]:
    task = situation.tasks[number]
    thread = task.thread
    stack = [
        {"file": file, "line": line, "function": function}
        for file, line, function in task.stack
        if _situation.is_file_of_program(file)
    ]
    return {
        "name": task.name,
        "thread": _wait_data.named(situation, thread) if thread else None,
        "wait": {**wait, "seconds": None if task.age is None else wait["seconds"]},
        "stack": stack,
    }


def _frame(frame: FrameType) -> dict[str, Any]:
    code = frame.f_code
    return {"file": code.co_filename, "line": frame.f_lineno or 0, "function": code.co_name}


def text(data: dict[str, Any], *, is_coloured: bool = False) -> str:
    """The data for people.

    Args:
        data: what `description` or `ask` has returned.
        is_coloured: whether to mark names by the colours of a terminal.
    """
    strong, plain = ("\x1b[1m", "\x1b[0m") if is_coloured else ("", "")
    threads = data["threads"]
    count = len(threads)
    lines = [f"oxthreads: process {data['process']} has {count} {'thread' if count == 1 else 'threads'}."]
    if not data["interpreter"]:
        lines[0] = (
            f"oxthreads: process {data['process']} does not run Python code at the moment: its interpreter"
            " could not be had for a second. Threads that have never waited are not known."
        )
    for thread in threads:
        name = thread["name"] or f"thread {thread['number']}"
        does = _wait_data.text(thread["wait"], has_interpreter=data["interpreter"])
        call = thread.get("call")
        if call:
            does += f" {call['function']} in process {call['process']}"
        lines += ["", f"{strong}{name}{plain} {does}"]
        lines += [f"    {_place(each)}" for each in thread["stack"]]
    for task in data.get("tasks", ()):
        where = f" in {task['thread']['name']}" if task["thread"] else ""
        name = f"{strong}task {task['name']}{plain} of the event loop{where}"
        lines += ["", f"{name} {_wait_data.text(task['wait'])}"]
        lines += [f"    {_place(each)}" for each in task["stack"]]
    groups = _group_tree.lines(data.get("task_groups", []), strong=strong, plain=plain)
    if groups:
        lines += ["", "Groups of tasks:", *groups]
    return "\n".join([*lines, ""])


def _place(frame: dict[str, Any]) -> str:
    return _objects.place_of(frame["file"], frame["line"], frame["function"])


def socket_directory(*, make: bool) -> str | None:
    """The directory where watched processes of this user have their sockets; None if it is not safe.

    Args:
        make: whether to make it if it is not there.
    """
    if not hasattr(socket, "AF_UNIX") or not hasattr(os, "getuid"):
        return None
    if make and None in (sys.__stdin__, sys.__stdout__, sys.__stderr__):
        return None  # a socket would get the number of a standard stream that was closed
    path = Path(tempfile.gettempdir(), f"oxthreads-{os.getuid()}")
    try:
        if make:
            path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        return None
    if make:
        _remove_stale(path)
    return str(path)


def _remove_stale(directory: Path) -> None:
    """Remove the sockets of processes that were killed.

    Whoever is there takes a connection for a question, and looks at all its threads. So nobody is asked but
    processes that this one does not see: they may be in another container that has the same directory.
    """
    with contextlib.suppress(OSError):
        for path in [*directory.iterdir()]:
            if _exists(path.name):
                continue
            with socket.socket(socket.AF_UNIX) as connection:
                connection.setblocking(False)
                try:
                    connection.connect(str(path))
                except ConnectionRefusedError:
                    path.unlink(missing_ok=True)
                except OSError:
                    pass  # it is busy, or was removed


def _exists(number: str) -> bool:
    """Whether there is a process with this number."""
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, OverflowError, ValueError):
        return False
    except PermissionError:
        pass
    return True


def ask(process: int) -> dict[str, Any]:
    """All threads of another process of this user.

    Args:
        process: its number.

    Raises:
        InspectionError: if it cannot be inspected.
    """
    _check(process)
    directory = socket_directory(make=False)
    if directory is not None and Path(directory, str(process)).exists():
        return _ask_socket(process, str(Path(directory, str(process))))
    if hasattr(sys, "remote_exec"):
        return _ask_remotely(process)
    raise InspectionError(
        f"process {process} is not watched; start it by `python -m oxthreads --watch`, or with OXTHREADS=1"
        " and OXTHREADS_WATCH=1 in its environment"
    )


def _check(process: int) -> None:
    """Raise InspectionError if there is no such process, or it is another user's."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        raise InspectionError(f"there is no process {process}") from None
    except PermissionError:
        raise InspectionError(f"process {process} belongs to another user") from None


def _ask_socket(process: int, path: str) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(LONGEST_ANSWER)
        try:
            connection.connect(path)
            answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
            data: dict[str, Any] = json.loads(answer)
        except (ConnectionRefusedError, FileNotFoundError):
            raise InspectionError(f"process {process} is not watched any more") from None
        except TimeoutError:
            raise InspectionError(
                f"process {process} has not answered within {LONGEST_ANSWER:.0f} s"
            ) from None
        except (OSError, ValueError):
            raise InspectionError(f"process {process} has ended meanwhile") from None
    return data


#: What an unwatched process runs: it writes its description into a file, and gives that its final name when
#: all is there.
_SCRIPT = """
import json, os
try:
    from oxthreads.diagnose import _inspection
    answer = json.dumps(_inspection.description())
except BaseException as error:
    answer = json.dumps({{"error": f"{{type(error).__name__}}: {{error}}"}})
with open({part!r}, "w") as file:
    file.write(answer)
os.replace({part!r}, {whole!r})
"""


def _ask_remotely(process: int) -> dict[str, Any]:
    """Ask a process that is not watched, by `sys.remote_exec`, which Python has from 3.14 on."""
    with tempfile.TemporaryDirectory() as directory:
        part, whole = Path(directory, "part"), Path(directory, "whole")
        script = Path(directory, "script.py")
        script.write_text(_SCRIPT.format(part=str(part), whole=str(whole)))
        try:
            sys.remote_exec(process, str(script))  # type: ignore[attr-defined]
        except PermissionError:
            raise InspectionError(
                f"process {process} is not watched, and this user may not look into it (that needs the right"
                " to trace processes)"
            ) from None
        except (RuntimeError, OSError, ValueError) as error:
            raise InspectionError(f"process {process} is not watched, and cannot be asked: {error}") from None
        end = time.monotonic() + LONGEST_ANSWER
        while not whole.exists():
            _check(process)
            if time.monotonic() > end:
                raise InspectionError(
                    f"process {process} is not watched, and its main thread has not run Python code within"
                    f" {LONGEST_ANSWER:.0f} s"
                )
            time.sleep(0.01)
        data: dict[str, Any] = json.loads(whole.read_text())
    if "error" in data:
        raise InspectionError(
            f"process {process} is not watched, and cannot describe itself: {data['error']}"
        )
    return data


def run(process: str, *, as_json: bool) -> int:
    """The command `oxthreads inspect`: print a process, and return the exit status.

    Args:
        process: the number of the process.
        as_json: whether to print JSON.
    """
    try:
        number = int(process)
        if number <= 0:
            raise ValueError
    except ValueError:
        print(f"oxthreads inspect: {process!r} is not the number of a process", file=sys.stderr)
        return 2
    try:
        data = ask(number)
    except InspectionError as error:
        print(f"oxthreads inspect: {error}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(data, indent=2))
    else:
        is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        print(text(data, is_coloured=is_coloured), end="")
    return 0
