"""Channels between threads, and between threads and coroutines.

* :class:`Channel`: items from some threads to others, with an end. Without room, sender and receiver meet.
* :class:`Broadcast`: items that each subscriber receives.
* :class:`Watch`: a value whose changes threads wait for.
* :class:`DelayQueue`: items that can be taken when their time has come.

docs/channels.md tells which of them to take. All can be waited for together with other objects
(:func:`oxthreads.waiting.select`) and by coroutines (:func:`oxthreads.aio.as_async`).
"""

from __future__ import annotations

from ._annotations import forget as _forget_annotations
from ._delay_queue import DelayQueue, Scheduled
from ._oxthreads import Broadcast, Channel, Subscription, Watch, WatchReader, preload
from .queue import ShutDown

# Not imported at run time: importing typing takes longer than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "Broadcast",
    "Channel",
    "ClosedError",
    "DelayQueue",
    "Lagged",
    "Scheduled",
    "Subscription",
    "Watch",
    "WatchReader",
]


class ClosedError(ShutDown):
    """The channel is closed: nothing can be sent, or nothing more will come.

    It is a ``queue.ShutDown``, so a loop over queues and channels needs one ``except`` clause.

    Attributes:
        source: what `oxthreads.waiting.select` was given, if it has raised this.

    Example:
        >>> from oxthreads import queue
        >>> from oxthreads.channels import Channel, ClosedError
        >>> channel = Channel()
        >>> channel.close()
        >>> try:
        ...     channel.receive()
        ... except queue.ShutDown as error:
        ...     print(repr(error))
        ClosedError('the channel is closed')
    """

    # What `select` was given, if it has raised this.
    source: Any


class Lagged(Exception):
    """Items were dropped before a slow subscriber received them.

    The next call of :meth:`Subscription.receive` goes on with the oldest item that is left.

    Attributes:
        missed (int): how many items were dropped.
        source: what `oxthreads.waiting.select` was given, if it has raised this.

    Example:
        >>> from oxthreads.channels import Broadcast, Lagged
        >>> numbers = Broadcast(capacity=1)
        >>> slow = numbers.subscribe()
        >>> numbers.send(1)
        >>> numbers.send(2)
        >>> try:
        ...     slow.receive()
        ... except Lagged as error:
        ...     print(error)
        1 item was missed
        >>> slow.receive()
        2
    """

    # What `select` was given, if it has raised this.
    source: Any

    def __init__(self, missed: int) -> None:
        super().__init__(missed)
        self.missed = missed

    def __str__(self) -> str:
        return "1 item was missed" if self.missed == 1 else f"{self.missed} items were missed"


_forget_annotations(ClosedError, Lagged)
preload(__name__)
