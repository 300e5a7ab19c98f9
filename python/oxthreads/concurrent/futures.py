"""The names of :mod:`concurrent.futures`: ours where oxthreads has them, the standard objects
elsewhere.
"""

from __future__ import annotations

import concurrent.futures as _standard
from concurrent.futures import _base

from .._annotations import forget as _forget_annotations
from .._oxthreads import Future as _NativeFuture
from .._oxthreads import install_in as _callable_at_once
from .._oxthreads import keep_at_hand as _keep_at_hand
from .._standard_form import StandardAttribute, pickling_protocol
from ..threading import Condition
from ._executor import ExecutorStatistics as ExecutorStatistics
from ._executor import ExecutorView as ExecutorView
from ._executor import ThreadPoolExecutor as ThreadPoolExecutor
from ._executor import _StandardThreadPoolExecutor as _StandardThreadPoolExecutor
from ._waiting import as_completed as as_completed
from ._waiting import wait as wait

# Importing typing takes longer than all the rest, and a program's start waits for this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, SupportsIndex, TypeVar

    T = TypeVar("T")
else:
    T = object

__all__ = list(_standard.__all__)

_StandardFuture = _base.Future

# Where it is found.
for _class in (ExecutorStatistics, ExecutorView, ThreadPoolExecutor):
    _class.__module__ = __name__
del _class


def __getattr__(name: str) -> Any:
    try:
        return getattr(_standard, name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return [*__all__, "__author__", "__doc__"]


@_callable_at_once
class Future(_NativeFuture[T], _StandardFuture[T]):
    """The result of a call that may not have ended yet.

    Thread-safe. It is made by an executor's ``submit``.

    Differences from concurrent.futures.Future: ``_condition``, ``_waiters`` and
    ``_done_callbacks`` are made when one is first used, or when the state is written to, and the
    future is then a standard one (see the README, "Standard form"). Callbacks are let go once they
    have run. A subclass that overrides ``_invoke_callbacks`` has the
    standard form from the beginning.
    """

    _condition = StandardAttribute()
    _waiters = StandardAttribute()
    _done_callbacks = StandardAttribute()

    _overrides_hooks = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        hook = _StandardFuture._invoke_callbacks  # type: ignore[attr-defined]
        cls._overrides_hooks = cls._invoke_callbacks is not hook  # type: ignore[attr-defined]

    def _take_standard_form(self) -> None:
        callbacks: list[Callable[[Any], object]] = []
        waiters: list[Any] = []
        attributes = {"_condition": Condition(), "_waiters": waiters, "_done_callbacks": callbacks}
        self._retire(attributes, callbacks, waiters)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return super().__reduce_ex__(pickling_protocol(self, protocol, ("_condition",)))


_forget_annotations(Future, ThreadPoolExecutor, ExecutorView, as_completed, wait)

_keep_at_hand(__name__)
