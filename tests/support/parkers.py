"""What a test may expect of the parker that the extension was built with."""

from __future__ import annotations

from oxthreads import _oxthreads

#: Whether a waiter keeps its place until it is woken. Where the parker cannot be
#: interrupted by a signal, each waiter wakes now and then to look for one, leaves the
#: list of the waiters and tries again: it may then come before a waiter that has been
#: woken and has not run yet.
WAITERS_KEEP_THEIR_PLACE = _oxthreads.PARKER == "futex"
