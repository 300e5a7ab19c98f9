"""Threads, locks, events, queues and thread pools that wait and wake in Rust.

The modules mirror the standard ones: :mod:`oxthreads.threading`, :mod:`oxthreads.queue` and
:mod:`oxthreads.concurrent.futures`. Importing this package imports none of them, starts no
thread and changes nothing; :func:`oxthreads.patch.install` does the last.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
