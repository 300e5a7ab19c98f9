"""A drop-in mirror of :mod:`concurrent.futures`: the pool of threads, futures, ``wait`` and ``as_completed``
of oxthreads, and the standard objects for the rest.
"""

from __future__ import annotations

import sys
from concurrent.futures import _base
from concurrent.futures import thread as _thread

from .._annotations import forget as _forget_annotations
from .._fallback import StandardAttribute, UnchangedIn, pickling_protocol, show_as_standard
from .._oxthreads import Future as _NativeFuture
from .._oxthreads import install_in as _install_in
from .._oxthreads import preload as _preload
from .._oxthreads import set_questions as _set_questions
from ..threading import Condition
from ._executor import ExecutorStatistics as ExecutorStatistics
from ._executor import ExecutorView as ExecutorView
from ._executor import ThreadPoolExecutor as ThreadPoolExecutor
from ._executor import _StandardThreadPoolExecutor as _StandardThreadPoolExecutor
from ._executor import watch_future as _watch_future
from ._slow_calls import SlowCall as SlowCall
from ._waiting import as_completed as as_completed
from ._waiting import wait as wait

# Not imported at run time: importing typing takes longer than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, SupportsIndex, TypeVar

    T = TypeVar("T")
else:
    T = object

# Not `import concurrent.futures as`, which reads the attribute of the package `concurrent`: while the module
# is being imported a second time, that is still the first copy.
_standard = sys.modules["concurrent.futures"]

__all__ = list(_standard.__all__)

_StandardFuture = _base.Future


def __getattr__(name: str) -> Any:
    try:
        return getattr(_standard, name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return [*__all__, "__author__", "__doc__"]


class Future(_NativeFuture[T], _StandardFuture[T]):
    """The result of a call that may not have ended yet.

    ``submit`` of an executor returns it. Use ``result`` to wait for the result, ``add_done_callback`` to be
    called when it is there, and ``cancel`` to drop a call that has not begun.

    Thread-safe.

    Example:
        >>> from oxthreads.concurrent.futures import Future, ThreadPoolExecutor
        >>> with ThreadPoolExecutor() as pool:
        ...     future = pool.submit(divmod, 17, 5)
        ...     future.result()
        (3, 2)

    A future without a pool, which other code completes:
        >>> answer = Future()
        >>> answer.add_done_callback(lambda future: print("it is", future.result()))
        >>> answer.set_result(42)
        it is 42

    Differences from concurrent.futures.Future: the future falls back to the standard library (see
    docs/fallback.md) when ``_condition``, ``_waiters`` or ``_done_callbacks`` is used, when its state is
    written to, and from the start in a subclass that overrides ``_invoke_callbacks``.
    """

    _condition = StandardAttribute()
    _waiters = StandardAttribute()
    _done_callbacks = StandardAttribute()

    def _oxthreads_fall_back(self) -> None:
        callbacks: list[Callable[[Any], object]] = []
        waiters: list[Any] = []
        attributes = {"_condition": Condition(), "_waiters": waiters, "_done_callbacks": callbacks}
        self._oxthreads_hand_over(attributes, callbacks, waiters)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return super().__reduce_ex__(pickling_protocol(self, protocol, ("_condition",)))


show_as_standard(Future)
_install_in(Future, _StandardFuture)
_set_questions(
    Future,
    UnchangedIn(
        Future,
        *("_condition", "_waiters", "_done_callbacks", "_state", "_result", "_exception"),
        *("_invoke_callbacks", "_Future__get_result", "_get_snapshot"),
    ),
)

_watch_future(Future)
_forget_annotations(Future, ThreadPoolExecutor, ExecutorView, as_completed, wait)

# The native code looks up the exceptions and the logger in `_NAMES` when it needs them. `_STANDARD_MODULES`
# tells `oxthreads.patch` what this module replaces.
_NAMES = vars(_base)
_STANDARD_MODULES = {
    "concurrent.futures": _standard,
    "concurrent.futures._base": _base,
    "concurrent.futures.thread": _thread,
}

_preload(__name__)
