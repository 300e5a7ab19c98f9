"""Objects that only the collector can free."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any


def is_freed(make_cycle: Callable[[], Any]) -> bool:
    """Whether the collector frees the object that the function returns, and reference counting does not."""
    gc.collect()
    gc.disable()
    try:
        gone = weakref.ref(make_cycle())
        assert gone() is not None, "the object is not in a cycle"
        gc.collect()
        return gone() is None
    finally:
        gc.enable()
