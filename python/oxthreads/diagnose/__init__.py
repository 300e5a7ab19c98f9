"""Hangs explained: which threads wait, for what, who has that, and whether it can ever end; and where threads
wait in a program that is slow.

Start a program with ``python -m oxthreads --watch SCRIPT``, or call :func:`watch` in it. Then a deadlock is
reported on standard error within a second. Ctrl-\\ (SIGQUIT) and :func:`report` show all threads and what
they wait for. :func:`profile` measures all waits, and :func:`trace` records when they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    from oxthreads.diagnose._profile import Profile
    from oxthreads.diagnose._trace import Trace
    from oxthreads.diagnose._watch import Watch

__all__ = ["DeadlockError", "profile", "report", "set_name", "trace", "watch"]


class DeadlockError(RuntimeError):
    """A wait has been ended because it was part of a deadlock: see ``watch(mode="raise")``.

    The message says which threads wait for each other, and where.
    """


def watch(mode: str = "report") -> Watch:
    """Report deadlocks of this process from now on.

    A thread looks at the waits of all other threads, ten times a second. What it finds it writes to standard
    error, once:

    * ``oxthreads: deadlock: ...``: threads that wait for each other, and nothing else in the program can end
      that;
    * ``oxthreads: likely deadlock, if ...``: the same, if each lock is released by the thread that took it;
    * ``oxthreads: all ... threads sleep ...``: no thread is left that could wake another.

    Only waits for objects of oxthreads, for the end of threads (``join``) and the wait of the exit for other
    threads are known. A wait that had begun before the first call of `watch` is not.

    Thread-safe. A second call changes the mode.

    Args:
        mode (str): what to do about a deadlock. "report": only report it. "raise": also end one of the waits
            with :class:`DeadlockError`. "exit": also end the process with status 2, at once: nothing is
            flushed, and no exit handlers run. "order", which may stand before one of these and a comma, as in
            "order,raise": also report locks that threads acquire in orders which can deadlock, although they
            have not. Alone it stands for "order,report".

    Returns:
        oxthreads.diagnose._watch.Watch: its ``stop()`` ends the watch. It may be used in a ``with``
        statement, which stops it at its end.

    Raises:
        ValueError: if `mode` is something else.

    Example:
        >>> from oxthreads import diagnose, threading
        >>> a, b, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
        >>> def other():
        ...     with b:
        ...         both.wait()
        ...         with a:
        ...             pass
        >>> with diagnose.watch("raise"):
        ...     threading.Thread(target=other).start()
        ...     with a:
        ...         both.wait()
        ...         with b:
        ...             pass
        Traceback (most recent call last):
            ...
        oxthreads.diagnose.DeadlockError: 2 threads wait for each other, and nothing else can end it...
    """
    from oxthreads.diagnose import _watch  # noqa: PLC0415 - an import of the package must stay cheap

    return _watch.start(mode)


def report() -> str:
    """Return what all threads of this process do at the moment, and what they wait for, as text for people.

    A wait that had begun before the first call of `watch` or `report` is shown as if the thread ran.

    Thread-safe.

    Returns:
        str: a few lines for each thread.

    Example:
        >>> from oxthreads import diagnose
        >>> print(diagnose.report().splitlines()[0])  # doctest: +ELLIPSIS
        oxthreads: ... thread...
    """
    from oxthreads.diagnose import _watch  # noqa: PLC0415

    return _watch.report()


def profile(*, timeline: bool = False) -> Profile:
    """Find out where threads wait, and for how long.

    Use it in a ``with`` statement. While that runs, each wait of any thread of this process that sleeps is
    measured: for an object of oxthreads, for the end of a thread (``join``), and for the other threads at the
    exit. A wait that has not ended by the end of the statement counts up to then. For locks it also finds who
    held them meanwhile, and where.

    Only one profile runs in a process at a time. A forked child has none, but can begin one. To profile a
    whole program, run ``oxthreads profile SCRIPT``; with ``-o FILE`` and "{pid}" in its name, that profiles
    forked children, too.

    Thread-safe.

    Args:
        timeline (bool): also keep single waits, for the timeline of ``html()``: a million at most, which take
            32 bytes each. If there are more, the shortest are dropped, and counted.

    Returns:
        Profile: after the ``with`` statement, its ``text()`` is a table, ``html()`` is a page for a web
            browser, ``json()`` and ``data()`` are everything that was found but for single waits, and
            ``collapsed()`` is for flame graphs. Times are in seconds; in ``collapsed()``, in microseconds.

    Raises:
        RuntimeError: when the ``with`` statement is entered, if a profile runs already.

    Example:
        >>> from oxthreads import diagnose, threading
        >>> lock = threading.Lock()
        >>> def other():
        ...     with lock:
        ...         pass
        >>> with diagnose.profile() as found:
        ...     with lock:
        ...         thread = threading.Thread(target=other)
        ...         thread.start()
        ...         thread.join(0.05)
        ...     thread.join()
        >>> print(found.text())  # doctest: +ELLIPSIS
        oxthreads profile: ... threads; ... waits of ...
    """
    from oxthreads.diagnose import _profile  # noqa: PLC0415

    return _profile.Profile(timeline=timeline)


def trace(path: str | os.PathLike[str]) -> Trace:
    """Record a timeline of all waits, for Perfetto and ``chrome://tracing``.

    Use it in a ``with`` statement. While that runs, each thread of this process records its waits that sleep,
    which thread ended them, and the calls of pools that it submits and runs. The file is written at the end
    of the statement, also after an error. docs/trace.md says what it shows.

    Only one trace runs in a process at a time, but a profile may run beside it. A forked child has none. To
    trace a whole program, run ``oxthreads trace -o FILE SCRIPT``.

    Thread-safe.

    Args:
        path (str or os.PathLike): the file, which is overwritten.

    Returns:
        Trace: after the ``with`` statement, ``events`` is how many events were recorded, and ``dropped`` how
            many found no room in the 64 MiB that a trace has for them.

    Raises:
        RuntimeError: when the ``with`` statement is entered, if a trace runs already.
        OSError: when the ``with`` statement is entered or left, if the file cannot be written.

    Example:
        >>> import json, os, tempfile
        >>> from oxthreads import diagnose, threading
        >>> path = os.path.join(tempfile.mkdtemp(), "trace.json")
        >>> with diagnose.trace(path):
        ...     threading.Event().wait(0.01)
        False
        >>> with open(path) as file:
        ...     events = json.load(file)["traceEvents"]
        >>> [event["args"]["ended"] for event in events if event.get("cat") == "wait"]
        ['timed out']
    """
    from oxthreads.diagnose import _trace  # noqa: PLC0415

    return _trace.Trace(path)


def set_name(object: Any, name: str) -> None:
    """Give an object a name for reports.

    Without one, a report shows the name of a variable or an attribute that has the object.

    Thread-safe.

    Args:
        object: a lock, condition, semaphore, event, barrier, queue, future or pool of oxthreads.
        name (str): the name.

    Raises:
        TypeError: if `object` is none of these.

    Example:
        >>> from oxthreads import diagnose, threading
        >>> lock = threading.Lock()
        >>> diagnose.set_name(lock, "cache")
    """
    from oxthreads.diagnose import _objects  # noqa: PLC0415

    _objects.set_name(object, name)
