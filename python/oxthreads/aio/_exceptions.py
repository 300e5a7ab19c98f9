"""The exceptions of queues: those of :mod:`asyncio` and those of :mod:`queue` at once.

So code that was written for either finds what it expects. This module imports asyncio, and is imported when
the first of them is raised or asked for.
"""

import asyncio
import queue as _standard
import sys

from oxthreads import queue

__all__ = ["QueueEmpty", "QueueFull", "QueueShutDown"]


class QueueEmpty(asyncio.QueueEmpty, _standard.Empty):
    """There is no item, and ``get_nowait`` does not wait. It is ``asyncio.QueueEmpty`` and ``queue.Empty``.

    Example:
        >>> import asyncio, queue
        >>> from oxthreads import aio
        >>> issubclass(aio.QueueEmpty, asyncio.QueueEmpty), issubclass(aio.QueueEmpty, queue.Empty)
        (True, True)
    """

    __module__ = "oxthreads.aio"


class QueueFull(asyncio.QueueFull, _standard.Full):
    """There is no room, and ``put_nowait`` does not wait. It is ``asyncio.QueueFull`` and ``queue.Full``.

    Example:
        >>> import asyncio, queue
        >>> from oxthreads import aio
        >>> issubclass(aio.QueueFull, asyncio.QueueFull), issubclass(aio.QueueFull, queue.Full)
        (True, True)
    """

    __module__ = "oxthreads.aio"


if sys.version_info >= (3, 13):

    class QueueShutDown(asyncio.QueueShutDown, queue.ShutDown):
        """The queue was shut down. It is ``asyncio.QueueShutDown`` (from Python 3.13 on) and
        ``queue.ShutDown``.

        Example:
            >>> from oxthreads import aio, queue
            >>> issubclass(aio.QueueShutDown, queue.ShutDown)
            True
        """

        __module__ = "oxthreads.aio"

else:

    class QueueShutDown(queue.ShutDown):
        """The queue was shut down. It is ``oxthreads.queue.ShutDown``; asyncio has none in this version.

        Example:
            >>> from oxthreads import aio, queue
            >>> issubclass(aio.QueueShutDown, queue.ShutDown)
            True
        """

        __module__ = "oxthreads.aio"
