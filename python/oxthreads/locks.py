"""Locks that the standard library does not have.

* :class:`RWLock`: many readers, or one writer.
"""

from __future__ import annotations

from ._oxthreads import ReadHold, RWLock, WriteHold

__all__ = ["RWLock", "ReadHold", "WriteHold"]
