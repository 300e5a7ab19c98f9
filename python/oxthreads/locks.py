"""Locks that the standard library does not have, and functions that are called once for all who ask.

* :class:`RWLock`: many readers, or one writer.
* :class:`Limiter`: so many acquisitions in a time.
* :func:`once`: the first call runs, all others get its result.
* :func:`singleflight`: calls with the same key at the same time are one call.
"""

from __future__ import annotations

import functools
import inspect

from ._oxthreads import Flights, Limiter, ReadHold, RWLock, WriteHold, call_once, preload

# Not imported at run time: importing typing takes longer than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any, ParamSpec, TypeVar, overload

    from ._oxthreads import Once

    _P = ParamSpec("_P")
    _R = TypeVar("_R")
    _S = TypeVar("_S")
else:

    def overload(function):
        """Do nothing: `typing` is not imported."""
        return function


__all__ = ["Limiter", "RWLock", "ReadHold", "WriteHold", "once", "singleflight"]


@overload
def once(function: Callable[[], _R], /) -> Once[[], _R]: ...
@overload
def once(function: Callable[[_S], _R], /) -> Once[[_S], _R]: ...  # noqa: F811
def once(function: Callable[..., Any], /) -> Any:  # noqa: F811
    """Make a function that is called once. For decorators.

    The first call runs the function, in the thread of its caller. Calls that come meanwhile wait for its
    result, and all later ones get it at once. If the function raises, the exception goes to that caller
    alone, and the next one calls it again, at first one of those that wait.

    The function takes no arguments. A method takes its object, and is called once for each object. The
    result is kept in the ``__dict__`` of the object. A copy and a pickle of the object begin anew (a pickle
    and a deep copy have None in place of the result). It works inside of `staticmethod` and `property`, and
    not inside of `classmethod`.

    A coroutine function is called once, too, and awaited by the task of its first caller. The others may wait
    in other event loops of other threads, of asyncio (or a loop that works with asyncio's futures) and of
    trio. If the first caller is cancelled, the next one calls it again.

    Waiting can be interrupted: by Ctrl-C, by other signal handlers, and by the cancellation of a task. All
    threads may use it. In a forked child, a call that another thread of the parent had begun is begun again.

    Args:
        function (Callable): the function. Generator functions are refused, since their callers would share
            one generator.

    Returns:
        Callable: the function that calls it once. ``__wrapped__`` is the function itself.

    Raises:
        TypeError: it cannot be called once, as above. Calls with other arguments raise it, too.
        RuntimeError: the call is made inside the call that it would wait for, by the same thread or task.

    Example:

        >>> from oxthreads.locks import once
        >>> @once
        ... def connect():
        ...     print("connecting")
        ...     return "connection"
        >>> connect(), connect()
        connecting
        ('connection', 'connection')
    """
    if not callable(function):
        raise TypeError(f"once() takes a function, not {type(function).__name__!r}")
    if _is(inspect.isgeneratorfunction, function) or _is(inspect.isasyncgenfunction, function):
        raise TypeError("once() does not take a generator function: its callers would share one generator")
    if _is(inspect.iscoroutinefunction, function):
        from ._coroutine_calls import once_of  # noqa: PLC0415 - for coroutines alone

        return once_of(function)
    return functools.update_wrapper(call_once(function), function)


@overload
def singleflight(function: Callable[_P, _R], /) -> Callable[_P, _R]: ...
@overload
def singleflight(  # noqa: F811
    *, key: Callable[_P, Hashable] | None = None
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]: ...
def singleflight(  # noqa: F811
    function: Callable[..., Any] | None = None, /, *, key: Callable[..., Hashable] | None = None
) -> Any:
    """Make a function of which one call for each key is in flight at a time. For decorators.

    A call that comes while another one with an equal key is in flight does not run the function. It waits
    for the call that does, and gets the same outcome: the same result, or the same exception, as in Go.
    Nothing is kept: the next call after that runs the function again.

    An exception that is no `Exception` (Ctrl-C, the end of a thread, the cancellation of a task) goes to its
    caller alone. Then one of those that wait runs the function, with its own arguments.

    The function may be a coroutine function. Its callers may be in several event loops of several threads,
    of asyncio (or a loop that works with asyncio's futures) and trio.

    Waiting can be interrupted: by Ctrl-C, by other signal handlers, and by the cancellation of a task. All
    threads may use it. In a forked child, a call that another thread of the parent had begun is begun again.

    Args:
        function (Callable): the function, for use without parentheses.
        key (Callable or None): called with the arguments of each call; returns its key, which must be
            hashable. By default, calls have the same key if their arguments are equal. For a method, the
            first argument is the object: a key without it makes calls of different objects one call.

    Returns:
        Callable: the function; or, without a function, a decorator. ``__wrapped__`` is the function itself.

    Raises:
        TypeError: function cannot be called, or key cannot. A call whose key is not hashable raises it, too.
        RuntimeError: a call is made inside the call that it would wait for, by the same thread or task.

    Example:

        >>> from oxthreads.locks import singleflight
        >>> @singleflight(key=lambda user, fresh=False: user)
        ... def load(user, fresh=False):
        ...     return f"the page of {user}"
        >>> load("ann")
        'the page of ann'
    """
    if key is not None and not callable(key):
        raise TypeError(f"key must be a function, not {type(key).__name__!r}")
    key_of = _all_arguments if key is None else key

    def decorate(function: Callable[..., Any], /) -> Callable[..., Any]:
        if not callable(function):
            raise TypeError(f"singleflight() takes a function, not {type(function).__name__!r}")
        if _is(inspect.isgeneratorfunction, function) or _is(inspect.isasyncgenfunction, function):
            raise TypeError(
                "singleflight() does not take a generator function: its callers would share one generator"
            )
        if _is(inspect.iscoroutinefunction, function):
            from ._coroutine_calls import singleflight_of  # noqa: PLC0415 - for coroutines alone

            return singleflight_of(function, key_of)
        call = Flights(function).call

        @functools.wraps(function)
        def call_in_flight(*args: Any, **kwargs: Any) -> Any:
            key = key_of(*args, **kwargs)
            return call(hash(key), key, args, kwargs)

        return call_in_flight

    return decorate if function is None else decorate(function)


def _is(kind: Callable[[object], bool], function: Callable[..., Any]) -> bool:
    """Whether it is a function of that kind, or an object whose calls are calls of one."""
    return kind(function) or kind(getattr(type(function), "__call__", None))  # noqa: B004 - of its class


def _all_arguments(*args: Any, **kwargs: Any) -> Hashable:
    return args, frozenset(kwargs.items())


preload(__name__)
