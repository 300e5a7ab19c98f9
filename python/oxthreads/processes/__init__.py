"""Calls in other processes."""

from __future__ import annotations

from ._errors import CallTimeout, WorkerDied

__all__ = ["CallTimeout", "WorkerDied"]
