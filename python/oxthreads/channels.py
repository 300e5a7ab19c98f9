"""Ways to pass items between threads, and to coroutines, that the standard library does not have.

* :class:`DelayQueue`: items that can be taken when their time has come.
"""

from __future__ import annotations

from ._delay_queue import DelayQueue, Scheduled

__all__ = ["DelayQueue", "Scheduled"]
