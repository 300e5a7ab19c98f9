"""A queue whose items can be taken when their time has come; `oxthreads.channels` shows it."""

from __future__ import annotations

from ._oxthreads import DelayQueue, Scheduled, preload

__all__ = ["DelayQueue", "Scheduled"]

preload(__name__)
