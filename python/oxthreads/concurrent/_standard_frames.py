"""The frames of the standard functions that appear in the tracebacks of exceptions.

Programs and tools expect to see the lines of the standard functions there. Our functions do the same work
in Rust, which leaves no frames; so frames of the standard functions are put into the tracebacks.
"""

from __future__ import annotations

import sys
from concurrent.futures import _base
from concurrent.futures import thread as _thread
from types import FunctionType, SimpleNamespace

# Not imported at run time: importing typing takes longer than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import Any

__all__ = ["standard_frames"]

# The originals: somebody may replace them later.
_StandardFuture = _base.Future
_as_completed = _base.as_completed
_map = _base.Executor.map
_WorkItem = _thread._WorkItem
_worker = _thread._worker

#: The exceptions that replaced or missing parts of the standard library lead to.
_TROUBLE = (AttributeError, LookupError, NameError, TypeError, ValueError)


def standard_frames() -> Iterator[dict[str, list[tuple[FrameType, int, int]]]]:
    """Yield the frames, by the name of their raiser: `Raiser` in `standard_frames.rs` lists all names.

    The frames come from the standard functions: each is run here with arguments that make it raise. They are
    listed from the outermost on, each with its position: ``tb_lasti`` and ``tb_lineno``. There are none for a
    function that had been replaced before, nor if the interpreter is shutting down and its modules are gone.

    Keep the generator once it has yielded. A frame refers to the frame that called it, here that of this
    generator; and while the generator is suspended, its frame refers to no other. Otherwise the whole stack
    of the thread that needs the frames first would live forever, with everything on it.

    Raises RecursionError, MemoryError, and what a signal handler raises in here.
    """
    found: dict[str, Any] = {}
    logged: list[BaseException] = []
    for name, part, expected, function, arguments in _raisers(logged):
        found[name] = []
        try:
            function(*arguments)
            raise logged.pop()
        except expected as error:
            found[name] = _frames(error)[part]
        except (RecursionError, MemoryError):
            raise
        except _TROUBLE:
            pass
    result = [found]
    name = part = expected = function = arguments = None
    del found, logged
    yield result.pop()


def _frames(error: BaseException) -> list[tuple[FrameType, int, int]]:
    """Return the frames of the standard modules in the traceback, without their local variables."""
    frames: list[tuple[FrameType, int, int]] = []
    traceback = error.__traceback__ and error.__traceback__.tb_next  # without the frame of standard_frames()
    while traceback is not None:
        frame = traceback.tb_frame
        frame.clear()
        if frame.f_globals.get("__name__") in (_base.__name__, _thread.__name__):
            frames.append((frame, traceback.tb_lasti, traceback.tb_lineno))
        traceback = traceback.tb_next
    return frames


def _raisers(logged: list[BaseException]) -> list[tuple[Any, ...]]:
    """Return the raisers: name, which of its frames count, what it raises, a function and its arguments.

    Args:
        logged: the list for an exception that is not raised, but passed on or logged.
    """
    try:
        return [*_raisers_of_futures(), *_raisers_of_workers(logged)]
    except (RecursionError, MemoryError):
        raise
    except _TROUBLE:
        return []


def _raisers_of_futures() -> list[tuple[Any, ...]]:
    whole, pending, cancelled, finished = slice(None), _base.PENDING, _base.CANCELLED, _base.FINISHED

    class Failing(_StandardFuture):  # type: ignore[type-arg]
        """A future that has failed if it is finished. It is also its own condition, and an executor."""

        def __init__(self, state: str) -> None:
            self._state, self._result, self._exception = state, None, LookupError()
            self._waiters: list[Any] = []
            self._done_callbacks = [sys.exit]

        _condition = property(lambda self: self)
        __enter__ = __exit__ = acquire = release = notify_all = wait = lambda *_: None

        def submit(self, *_: object) -> Any:
            return Failing(finished)

    executor: Any = Failing(finished)
    results, timed_results = _map(executor, repr, [None]), _map(executor, repr, [None], timeout=1)
    completed = _as_completed([Failing(pending)], timeout=-1)
    refusal = _base.InvalidStateError
    return [
        ("result", whole, LookupError, Failing(finished).result, ()),
        ("result cancelled", whole, _base.CancelledError, Failing(cancelled).result, ()),
        ("result timeout", whole, TimeoutError, Failing(pending).result, (0,)),
        ("exception cancelled", whole, _base.CancelledError, Failing(cancelled).exception, ()),
        ("exception timeout", whole, TimeoutError, Failing(pending).exception, (0,)),
        ("callback", slice(1, None), SystemExit, Failing(pending).cancel, ()),
        ("late callback", whole, SystemExit, Failing(finished).add_done_callback, (sys.exit,)),
        ("set_result callback", whole, SystemExit, Failing(pending).set_result, (None,)),
        ("set_exception callback", whole, SystemExit, Failing(pending).set_exception, (None,)),
        ("cancel callback", whole, SystemExit, Failing(pending).cancel, ()),
        ("set_result refused", whole, refusal, Failing(finished).set_result, (None,)),
        ("set_exception refused", whole, refusal, Failing(finished).set_exception, (None,)),
        ("map", slice(2), LookupError, next, (results,)),
        ("map timeout", slice(2), LookupError, next, (timed_results,)),
        ("as_completed", whole, TimeoutError, next, (completed,)),
    ]


def _raisers_of_workers(logged: list[BaseException]) -> list[tuple[Any, ...]]:
    whole = slice(None)
    fail: Any = [].pop
    # Replaces the logger; it only stores the exceptions.
    logger = SimpleNamespace(critical=lambda *_, **__: logged.append(sys.exception()))  # type: ignore[arg-type]
    variables = {**vars(_thread), "_base": SimpleNamespace(LOGGER=logger)}
    work = FunctionType(_worker.__code__, variables)

    def call(function: object, **outcomes: object) -> tuple[Any, ...]:
        """The arguments of `_WorkItem.run`, for a call of the function."""
        future = SimpleNamespace(set_running_or_notify_cancel=lambda: True, **outcomes)
        if sys.version_info >= (3, 14):
            item = SimpleNamespace(future=future, task=(function, (), {}))
            return item, _thread.WorkerContext(None, ())
        return (SimpleNamespace(future=future, fn=function, args=(), kwargs={}),)

    def worker(initializer: object) -> tuple[Any, ...]:
        """The arguments of `_worker`."""
        leaving = SimpleNamespace(run=sys.exit)
        queue = SimpleNamespace(get=lambda block: leaving, get_nowait=lambda: leaving)
        if sys.version_info >= (3, 14):
            return lambda: None, _thread.WorkerContext(initializer, ()), queue
        return lambda: None, queue, initializer, ()

    return [
        ("call", whole, IndexError, _WorkItem.run, call(fail, set_exception=logged.append)),
        ("run set_result", whole, SystemExit, _WorkItem.run, call(list, set_result=sys.exit)),
        (
            "run set_exception",
            whole,
            SystemExit,
            _WorkItem.run,
            call(fail, set_exception=lambda _: sys.exit()),
        ),
        ("worker", whole, SystemExit, work, worker(None)),
        ("initializer", whole, IndexError, work, worker(fail)),
    ]
