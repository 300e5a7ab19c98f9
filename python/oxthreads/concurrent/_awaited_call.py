"""A call of a pool whose result a coroutine wants."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .futures import Future

__all__ = ["AwaitedCall"]


class AwaitedCall:
    """A call that is cancelled when its result is not wanted any more.

    Args:
        submit (callable): submits the call to a pool, and returns its future.
    """

    __slots__ = ("submit",)

    def __init__(self, submit: Callable[[], Future[Any]]) -> None:
        self.submit = submit

    def cancel(self, future: Future[Any]) -> None:
        """The result is not wanted any more. A call that has begun in a thread goes on."""
        future.cancel()
