"""A call in a cluster, and the options that it was submitted with."""

from __future__ import annotations

import functools
import time

from dask.base import tokenize
from dask.utils import funcname
from distributed import Future as RemoteFuture

from .._oxthreads import TaskCall
from ..concurrent.futures import Future
from ._payload import copied, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["Call", "Options"]


class Options:
    """What `client.map` is told of a call."""

    __slots__ = ("arguments", "priority", "pure", "retries", "submit_options")

    def __init__(self, priority: float, retries: int, pure: bool, submit_options: Mapping[str, Any]) -> None:
        self.priority = priority
        self.retries = retries
        self.pure = pure
        self.submit_options = dict(submit_options)
        #: Of tasks of the cluster, those with a higher priority run first.
        self.arguments = {"priority": -priority, "retries": retries or None, **self.submit_options}


class Call:
    """A call from the moment at which it was submitted to the end of its future."""

    __slots__ = (
        "__weakref__",
        "args",
        "began",
        "fn",
        "future",
        "is_being_fetched",
        "is_revocable",
        "key",
        "kwargs",
        "name",
        "options",
        "payload",
        "remote",
        "submitted",
    )

    def __init__(
        self,
        number: str,
        options: Options,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        is_revocable: bool,
    ) -> None:
        """Pickle the call.

        Args:
            number: what makes its key unique.
            is_revocable: whether the future can be cancelled until the call has ended. Then it is not said to
                be running.

        Raises:
            TypeError: if it cannot be pickled.
        """
        if isinstance(fn, TaskCall):
            # A task of a group. Whoever cancels the group does not wait for it.
            fn = fn.__reduce__()[1][0]
            is_revocable = True
        self.future: Future[Any] = Future()
        self.name = _name_of(fn)
        self.options = options
        self.is_revocable = is_revocable
        #: What waits in the cluster for the call: None before and after that.
        self.remote: RemoteFuture[Any] | None = None
        self.is_being_fetched = False
        self.submitted = time.monotonic()
        self.began = 0.0
        token = tokenize("oxthreads.dask", fn, args, kwargs) if options.pure else number
        #: With the name first, the cluster shows calls of one function together, and has the same policy for
        #: them: most wait in the scheduler, where they suffer nothing if a worker dies.
        self.key = f"{self.name}-{token}"
        #: What is called, if arguments are results that are in the cluster.
        self.fn: Callable[..., Any] | None = None
        self.args: tuple[Any, ...] = ()
        #: Only those arguments.
        self.kwargs: dict[str, RemoteFuture[Any]] = {}
        if any(isinstance(value, RemoteFuture) for value in (*args, *kwargs.values())):
            # They stand for results that are in the cluster already. The rest is copied now, as if it was
            # sent: what the caller changes afterwards is not for this call.
            self.payload = b""
            self.fn, self.args, self.kwargs = _copied(self.name, fn, args, kwargs)
        else:
            self.payload = pack(self.name, fn, args, kwargs)

    @property
    def depends_on_results(self) -> bool:
        """Whether arguments are results that are in the cluster."""
        return self.fn is not None

    def forget_arguments(self) -> None:
        """They were handed over."""
        self.payload = b""
        self.fn, self.args, self.kwargs = None, (), {}


def _name_of(fn: Callable[..., Any]) -> str:
    try:
        return str(funcname(fn))
    except Exception:  # of its `__str__`
        return type(fn).__name__


def _copied(
    name: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, RemoteFuture[Any]]]:
    """Copy a call; return a function, its arguments, and those by name that are futures of the cluster.

    Raises:
        TypeError: if it cannot be pickled.
    """
    remotes = {key: value for key, value in kwargs.items() if isinstance(value, RemoteFuture)}
    plain = [value for value in args if not isinstance(value, RemoteFuture)]
    others = {key: value for key, value in kwargs.items() if key not in remotes}
    function, copies, keywords = copied(name, fn, plain, others)
    rest = iter(copies)
    arguments = tuple(value if isinstance(value, RemoteFuture) else next(rest) for value in args)
    return functools.partial(function, **keywords) if keywords else function, arguments, remotes
