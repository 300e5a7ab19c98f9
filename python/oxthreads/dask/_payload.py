"""How calls and results travel: as bytes, so that only the worker and the caller unpickle them.

A task of the cluster is ``RUN(payload)``: the worker unpickles the call, calls it, and pickles the result.
The scheduler and the client's event loop see bytes only. So the scheduler needs no module of the program, and
what cannot be unpickled fails one call instead of the message in which it came with others.

RUN consists of functions that every worker has. So a worker needs no oxthreads.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import operator
import pickle
import re

import cloudpickle
from dask.utils import apply
from distributed import Future as RemoteFuture
from distributed.protocol.pickle import dumps, loads
from toolz import functoolz

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Any

__all__ = ["RUN", "call_all", "copied", "explain", "pack", "returning_bytes", "unpack"]


# Not `toolz.compose`, which may be that of cytoolz: a worker need not have it.
def _compose(*functions: Callable[..., Any]) -> Callable[..., Any]:
    composed: Callable[..., Any] = functoolz.Compose(functions)
    return composed


#: What a worker returns instead of ending: partial(call, _ENDS, SystemExit(...)). No program returns that.
_ENDS = "oxthreads.dask 3f0c7e9a5d4b4c1f9a61d0e27b58c364"


def _surviving(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``fn``, with SystemExit and KeyboardInterrupt returned: a worker that one leaves ends."""
    call: Any = operator.call
    instead = functools.partial(functools.partial, call, _ENDS)
    survives: Callable[..., Any] = functoolz.excepts((SystemExit, KeyboardInterrupt), fn, instead)
    return survives


RUN = _compose(dumps, _surviving(operator.call), loads)

_call_each = _compose(list, map)


def call_all(
    fn: Callable[..., Any], columns: tuple[tuple[Any, ...], ...]
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a call that returns the list of the results of ``fn``: a function, and its arguments.

    Args:
        columns: those of all calls that are the first argument, those that are the second, and so on.
    """
    each = functools.partial(_call_each, fn)
    if not any(isinstance(argument, RemoteFuture) for column in columns for argument in column):
        return each, columns
    # The cluster replaces them by their results if they are arguments, and not if they are in a tuple. So
    # each is an argument, and the function makes columns of them again.
    length = len(columns[0])
    starts = range(0, length * len(columns), length)
    return _compose(
        functools.partial(apply, each),
        functoolz.juxt([operator.itemgetter(slice(start, start + length)) for start in starts]),
        *_all_arguments(),
    ), tuple(itertools.chain(*columns))


def _all_arguments() -> tuple[Callable[..., Any], ...]:
    """Return functions that make the tuple of all arguments, if they are composed."""
    return operator.attrgetter("args"), functools.partial(functools.partial, operator.call)


def returning_bytes(fn: Callable[..., Any], names: tuple[str, ...]) -> Callable[..., Any]:
    """Return a function that does what ``fn`` does, and returns the result as `RUN` would.

    Args:
        names: those of the last arguments, which ``fn`` takes by name. They are not given by name to
            `Client.submit`, which has options that may have the same names.
    """
    if not names:
        return _compose(dumps, _surviving(fn))
    first, last = slice(0, -len(names)), slice(-len(names), None)
    named = _compose(dict, functools.partial(zip, names), operator.itemgetter(last))
    return _compose(
        dumps,
        # apply(fn, args, kwargs), of this pair:
        _surviving(functools.partial(functools.reduce, functools.partial(apply, fn))),
        functoolz.juxt(operator.itemgetter(first), named),
        *_all_arguments(),
    )


def pack(name: str, fn: Callable[..., Any], args: Iterable[Any], kwargs: Mapping[str, Any]) -> bytes:
    """Return the argument of `RUN` that stands for this call.

    Raises:
        TypeError: if it cannot be pickled.
    """
    _check(name, fn)
    return _pickled(name, functools.partial(fn, *args, **kwargs))


def copied(
    name: str, fn: Callable[..., Any], args: Iterable[Any], kwargs: Mapping[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Return a copy of a call.

    Raises:
        TypeError: if it cannot be pickled.
    """
    _check(name, fn)
    # Not as a partial: one of a partial becomes one with the arguments of both.
    payload = _pickled(name, (fn, tuple(args), dict(kwargs)))
    try:
        copy: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]] = pickle.loads(payload)
    except Exception as error:
        raise TypeError(f"the call of {name} cannot be unpickled: {error}") from error
    return copy


def _check(name: str, fn: Callable[..., Any]) -> None:
    if inspect.iscoroutinefunction(fn):
        raise TypeError(f"{name} is a coroutine function; a pool calls functions, and awaits nothing")


def _pickled(name: str, call: object) -> bytes:
    payload = None
    try:
        # A function of a module goes by its name, unless the user has asked for something else.
        if not cloudpickle.list_registry_pickle_by_value():
            payload = pickle.dumps(call, pickle.HIGHEST_PROTOCOL)
    except Exception:  # whatever the objects raise
        pass
    if payload is not None and b"__main__" not in payload:
        return payload
    # Functions of the main program, lambdas, closures: by value.
    try:
        by_value: bytes = cloudpickle.dumps(call, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        message = f"the call of {name} cannot be pickled, so it cannot be sent to the cluster: {error}"
        raise TypeError(message) from error
    return by_value


def unpack(name: str, result: bytes) -> Any:
    """Return the result that `RUN` has returned, or raise what would have ended the worker."""
    try:
        value = pickle.loads(result)
    except BaseException as error:
        _add_note(
            error, f"The call of {name} has ended in the cluster; its result could not be unpickled here."
        )
        raise
    if type(value) is functools.partial and value.func is operator.call and len(value.args) == 2:
        mark, ended = value.args
        if isinstance(mark, str) and mark == _ENDS:
            raise ended
    return value


#: The code of workers between the thread and the call.
_MACHINERY = re.compile(r"[\\/](distributed[\\/](worker|utils)|dask[\\/]utils|toolz[\\/]functoolz)\.py$")
_PICKLING = re.compile(r"[\\/]distributed[\\/]protocol[\\/]pickle\.py$")


#: What `repr` makes of most exceptions.
_REPR = re.compile(r"[A-Za-z_][\w.]*\(.*\)|<.*>", re.DOTALL)


def _note_of_class(name: str, error: BaseException) -> str | None:
    """Return a note for an Exception that distributed may have made because the real one cannot travel."""
    if type(error) is not Exception or len(error.args) != 1:
        return None
    (argument,) = error.args
    if isinstance(argument, bytes | bytearray) and argument.startswith(b"\x80"):
        return f"The exception of the call of {name} could not be unpickled here; these are its bytes."
    if isinstance(argument, str) and _REPR.fullmatch(argument):
        return (
            f"Unless the call of {name} has raised this Exception: its exception could not be pickled by the "
            "worker, and this is its repr."
        )
    return None


def explain(name: str, error: BaseException, traceback: TracebackType | None) -> BaseException:
    """Return an error of a worker as the future of the call is to have it: with the frames of the call alone.

    An error of the way to the worker or back gets a note that says so.
    """
    while traceback is not None and _MACHINERY.search(traceback.tb_frame.f_code.co_filename):
        traceback = traceback.tb_next
    if traceback is not None and _PICKLING.search(traceback.tb_frame.f_code.co_filename):
        function = traceback.tb_frame.f_code.co_name
        if function == "loads":
            _add_note(
                error,
                f"A worker could not unpickle the call of {name}: it has to have the same modules as this "
                "program, in the same versions. Client.upload_file() sends it a module.",
            )
        elif function == "dumps":
            _add_note(error, f"The call of {name} has ended; its result could not be pickled.")
    if isinstance(error, SystemError):
        _add_note(
            error,
            f"If {name} is a lambda, a closure or a function of the main program, it is sent by value: then "
            "the worker has to have the same version of Python as this program.",
        )
    note = _note_of_class(name, error)
    if note is not None:
        _add_note(error, note)
    # Without frames, it would be one of those before it, of which nobody knows anything here.
    return BaseException.with_traceback(error, traceback)


def _add_note(error: BaseException, note: str) -> None:
    # Its class may have a method of that name, and refuse to have attributes set.
    with contextlib.suppress(Exception):
        BaseException.add_note(error, note)
