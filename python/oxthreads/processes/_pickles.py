"""How calls and results become bytes, and bytes calls and results."""

from __future__ import annotations

import contextlib
import pickle
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

from ._link import Part

#: A buffer with at least so many bytes is not copied into the pickle. Measured: docs/parallelism.md.
LARGE = 192 * 1024

#: Turns an object into the parts of a message.
Dumps: TypeAlias = Callable[[Any], list[Part]]

_PROTOCOL = 5


def _parts(dump: Callable[..., bytes], value: Any) -> list[Part]:
    """Return the pickle, and the large buffers that belong to it."""
    parts: list[Part] = []

    def stays(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:
            return True  # not in one piece
        if raw.nbytes < LARGE:
            return True
        parts.append(raw)
        return False

    return [dump(value, protocol=_PROTOCOL, buffer_callback=stays), *parts]


def with_pickle(value: Any) -> list[Part]:
    """Use pickle alone."""
    return _parts(pickle.dumps, value)


def with_cloudpickle(value: Any) -> list[Part]:
    """Use cloudpickle, which knows more functions and classes. Raises ImportError if it is not installed."""
    import cloudpickle  # noqa: PLC0415

    return _parts(cloudpickle.dumps, value)


def automatically(value: Any) -> list[Part]:
    """Use pickle; and if that cannot do it, cloudpickle, if it is installed."""
    try:
        return with_pickle(value)
    except Exception as error:
        try:
            return with_cloudpickle(value)
        except ImportError:
            raise error from None


def calls_automatically(call: Any) -> list[Part]:
    """As `automatically`, in the process that has the pool.

    If no other process can import what was started as the program, pickle would write the names of its
    functions, which nobody finds there. cloudpickle writes the functions themselves.
    """
    if main_has_no_file():
        with contextlib.suppress(ImportError):
            return with_cloudpickle(call)
    return automatically(call)


def main_has_no_file() -> bool:
    """Whether another process cannot import what was started as the program: a session, or ``python -c``."""
    main = sys.modules.get("__main__")
    return getattr(main, "__spec__", None) is None and getattr(main, "__file__", None) is None


#: For each name of a way, how calls become bytes, and how results do.
PICKLERS: dict[str, tuple[Dumps, Dumps]] = {
    "auto": (calls_automatically, automatically),
    "pickle": (with_pickle, with_pickle),
    "cloudpickle": (with_cloudpickle, with_cloudpickle),
}


def load(parts: list[memoryview]) -> Any:
    """Return what was pickled."""
    if len(parts) == 1:
        return pickle.loads(parts[0])
    return pickle.loads(parts[0], buffers=parts[1:])
