"""`once` and `singleflight` of coroutine functions; see :mod:`oxthreads.locks`."""

from __future__ import annotations

import functools
import weakref

from ._coroutine_run import DONE, MINE, CoroutineRun
from ._oxthreads import FlightTable, exchange_item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Hashable
    from typing import Any

__all__ = ["once_of", "singleflight_of"]


class _Result:
    """What a coroutine function has returned, once it has."""

    __slots__ = ("owner", "run", "value")

    def __init__(self, owner: object) -> None:
        #: Returns the object that this belongs to. Its copies have the same dictionary entries.
        self.owner = _reference_to(owner)
        self.run = CoroutineRun()
        self.value: Any = None

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """A copy or a pickle of the object begins anew, so it has None instead."""
        return type(None), ()


def _reference_to(owner: object) -> Callable[[], object]:
    try:
        return weakref.ref(owner)
    except TypeError:  # its class has no room for that
        return lambda: owner


def once_of(function: Callable[..., Awaitable[Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Make a coroutine function that calls this one once."""
    name = getattr(function, "__qualname__", "the function")
    of_all = _Result(None)

    def of_object(owner: object) -> _Result:
        dictionary = getattr(owner, "__dict__", None)
        if type(dictionary) is not dict:
            raise TypeError(
                f"{name}() is called once for each object, and {type(owner)!r} has no __dict__ to keep the "
                f"result in"
            )
        # No lock: a child that is forked meanwhile would find it held.
        known = dictionary.get(key)
        made = None
        while type(known) is not _Result or known.owner() is not owner:
            made = made or _Result(owner)
            known = exchange_item(dictionary, key, known, made)
        return known

    @functools.wraps(function)
    async def called_once(*args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) > 1:
            raise TypeError(f"{name}() is called once, so it takes no arguments (but self)")
        result = of_object(args[0]) if args else of_all
        if not result.run.is_done and await result.run.begin(name) == MINE:
            try:
                result.value = await function(*args)
            except BaseException:
                result.run.pass_on()
                raise
            result.run.finish()
        return result.value

    # Another function of the same name may be called once for the same object, in a base class.
    key = f"{name} (once {id(called_once):x})"
    return called_once


class _Flight:
    """One call of a coroutine function, and those that wait for its outcome."""

    __slots__ = ("error", "hash", "run", "value")

    def __init__(self, hashed: int) -> None:
        #: The hash of its key.
        self.hash = hashed
        self.run = CoroutineRun()
        self.value: Any = None
        self.error: Exception | None = None

    def outcome(self) -> Any:
        """Return or raise what the call did, for one who has waited for it."""
        try:
            if self.error is not None:
                raise self.error
            return self.value
        finally:
            # The traceback of the error has this frame.
            del self


def singleflight_of(
    function: Callable[..., Awaitable[Any]], key_of: Callable[..., Hashable]
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Make a coroutine function of which one call for each key is in flight at a time."""
    name = getattr(function, "__qualname__", "the function")
    # Whoever has made the call takes its entry out, before the flight ends.
    flights = FlightTable()

    async def run(flight: _Flight, args: Any, kwargs: Any) -> Any:
        try:
            flight.value = await function(*args, **kwargs)
        except Exception as error:
            flight.error = error
            end(flight)
            raise
        except BaseException:
            if not flight.run.pass_on(keep=True):
                try:
                    flights.remove(flight.hash, flight)
                finally:
                    # Who has come in the meantime begins another flight.
                    flight.run.close()
            raise
        else:
            end(flight)
            return flight.value
        finally:
            # The traceback of an error has this frame.
            del flight

    def end(flight: _Flight) -> None:
        try:
            flights.remove(flight.hash, flight)
        finally:
            flight.run.finish()

    @functools.wraps(function)
    async def call_in_flight(*args: Any, **kwargs: Any) -> Any:
        key = key_of(*args, **kwargs)
        hashed = hash(key)
        while True:
            flight = flights.find_or_add(hashed, key, _Flight(hashed))
            turn = await flight.run.begin(name)
            if turn == MINE:
                running = run(flight, args, kwargs)
                del flight
                return await running
            if turn == DONE:
                return flight.outcome()
            # It has ended since it was found. Then the next round finds another one.
            flights.remove(hashed, flight)

    return call_in_flight
