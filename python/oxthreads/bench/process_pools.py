"""The pools of processes of several libraries, under the same names.

Each has the methods of :class:`Futures`. All start their children by "spawn", or as loky does, which is much
the same.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import multiprocessing
from collections.abc import Callable, Iterable
from typing import Any

from oxthreads.processes import ProcessPoolExecutor


class Futures:
    """A pool whose ``submit`` returns futures.

    Args:
        pool: the pool. It is a context manager.
    """

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    def __enter__(self) -> Any:
        self.pool.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.pool.__exit__(*error)

    def submit(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """Submit a call, and return its future."""
        return self.pool.submit(function, argument)

    def one(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """Call the function once, and wait for its result."""
        return self.submit(function, argument).result()

    def many(self, function: Callable[[Any], Any], arguments: Iterable[Any]) -> list[Any]:
        """Submit a call for each argument, and then wait for all results."""
        submit = self.submit
        return [future.result() for future in [submit(function, argument) for argument in arguments]]

    def in_chunks(self, function: Callable[[Any], Any], arguments: Iterable[Any], size: int) -> list[Any]:
        """Call the function with each argument, so many of them at once in a child."""
        return list(self.pool.map(function, arguments, chunksize=size))

    def failures(self, function: Callable[[Any], Any], arguments: Iterable[Any]) -> int:
        """Submit a call for each argument, and return how many have failed."""
        failed, futures = 0, []
        for argument in arguments:
            try:
                futures.append(self.submit(function, argument))
            except Exception:  # the pool is broken already
                failed += 1
        for future in futures:
            try:
                future.result()
            except Exception:
                failed += 1
        return failed


def standard(workers: int) -> Futures:
    """Make a pool of the standard library."""
    context = multiprocessing.get_context("spawn")
    return Futures(concurrent.futures.ProcessPoolExecutor(workers, context))


def ours(workers: int) -> Futures:
    """Make a pool of oxthreads."""
    return Futures(ProcessPoolExecutor(workers))


class _Pebble(Futures):
    """Its arguments are given as one, and its ``map`` returns a future."""

    def __exit__(self, *_: object) -> None:
        self.pool.close()
        self.pool.join()

    def submit(self, function: Callable[[Any], Any], argument: Any) -> Any:
        return self.pool.schedule(function, (argument,))

    def in_chunks(self, function: Callable[[Any], Any], arguments: Iterable[Any], size: int) -> list[Any]:
        return list(self.pool.map(function, arguments, chunksize=size).result())


class _Mpire(Futures):
    """Its results are those of ``multiprocessing.Pool``."""

    def __exit__(self, *_: object) -> None:
        # If a process has died, it does not end otherwise.
        self.pool.terminate()

    def submit(self, function: Callable[[Any], Any], argument: Any) -> Any:
        result = self.pool.apply_async(function, (argument,))
        result.result = result.get
        return result

    def in_chunks(self, function: Callable[[Any], Any], arguments: Iterable[Any], size: int) -> list[Any]:
        results: list[Any] = self.pool.map(function, arguments, chunk_size=size)
        return results


class _Joblib(Futures):
    """It has no ``submit``: the calls are given all at once, and so are their results."""

    def one(self, function: Callable[[Any], Any], argument: Any) -> Any:
        return self.many(function, [argument])[0]

    def many(self, function: Callable[[Any], Any], arguments: Iterable[Any]) -> list[Any]:
        return self.in_chunks(function, arguments, 1)

    def in_chunks(self, function: Callable[[Any], Any], arguments: Iterable[Any], size: int) -> list[Any]:
        self.pool.batch_size = size
        nothing: dict[str, Any] = {}
        calls = [(function, (argument,), nothing) for argument in arguments]
        results: list[Any] = self.pool(calls)
        return results

    def failures(self, function: Callable[[Any], Any], arguments: Iterable[Any]) -> int:
        given = list(arguments)
        try:
            self.many(function, given)
        except Exception:
            return len(given)
        return 0


def loky(module: Any) -> Callable[[int], Futures]:
    """Return what makes a pool of loky."""
    return lambda workers: Futures(module.ProcessPoolExecutor(workers))


def pebble(module: Any) -> Callable[[int], Futures]:
    """Return what makes a pool of pebble."""
    context = multiprocessing.get_context("spawn")
    return lambda workers: _Pebble(module.ProcessPool(workers, context=context))


def mpire(module: Any) -> Callable[[int], Futures]:
    """Return what makes a pool of mpire."""
    return lambda workers: _Mpire(module.WorkerPool(workers, start_method="spawn", keep_alive=True))


def joblib(module: Any) -> Callable[[int], Futures]:
    """Return what makes a pool of joblib, which uses a loky of its own."""
    return lambda workers: _Joblib(module.Parallel(workers, backend="loky", pre_dispatch="all"))


#: The peers that have pools of processes, and what makes a pool of each.
MAKERS: dict[str, Callable[[Any], Callable[[int], Futures]]] = {
    "loky": loky,
    "pebble": pebble,
    "mpire": mpire,
    "joblib": joblib,
}


def members(name: str) -> dict[str, Any]:
    """Return what the peer of this name provides.

    Raises:
        ImportError: it cannot be imported.
    """
    return {"ProcessPool": MAKERS[name](importlib.import_module(name))}
