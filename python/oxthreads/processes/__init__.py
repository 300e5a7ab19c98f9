"""A pool of processes: calls that need more than one processor, where threads of Python cannot use it.

:class:`ProcessPoolExecutor` has the methods and options of the pool of threads of
:mod:`oxthreads.concurrent.futures`, and those of the standard pool of processes.
"""

from __future__ import annotations

from ._errors import CallTimeout, WorkerDied
from ._pool import ProcessPoolExecutor, ProcessPoolView

__all__ = ["CallTimeout", "ProcessPoolExecutor", "ProcessPoolView", "WorkerDied"]
