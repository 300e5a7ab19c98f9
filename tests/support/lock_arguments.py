"""Unusual arguments for the `acquire` method of a lock."""

from __future__ import annotations

import threading
from typing import Any

BAD_ARGUMENTS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((False, 1), {}),
    ((False, 0), {}),
    ((False, -2), {}),
    ((False,), {"timeout": 0.5}),
    ((True, -2), {}),
    ((True, -0.5), {}),
    ((), {"timeout": -2}),
    ((True, 1e300), {}),
    ((True, 2**70), {}),
    ((True, -(2**70)), {}),
    ((True, float("nan")), {}),
    ((True, float("inf")), {}),
    ((True, threading.TIMEOUT_MAX * 1.01), {}),
    ((True, "1"), {}),
    ((True, None), {}),
    ((True, []), {}),
    ((), {"timeout": {}}),
]
