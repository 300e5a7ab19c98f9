"""How calls and results become bytes, and bytes calls and results."""

from __future__ import annotations

import collections
import copyreg
import io
import pickle
import sys
import types
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeAlias

from ._link import Part

#: A buffer with at least so many bytes is not copied into the pickle. Measured: docs/parallelism.md.
LARGE = 192 * 1024

#: Turns an object into the parts of a message.
Dumps: TypeAlias = Callable[[Any], list[Part]]

_PROTOCOL = 5


class _Reducers(dict[type, Any]):
    """What `copyreg` and `multiprocessing` know of pickling objects of certain classes, as one dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self._sizes = (0, 0)

    def current(self) -> _Reducers:
        """Return this, with what was registered since."""
        sizes = len(copyreg.dispatch_table), len(_of_multiprocessing)
        if sizes != self._sizes:
            self.update(copyreg.dispatch_table)
            self.update(_of_multiprocessing)
            self._sizes = sizes
        return self


_of_multiprocessing: dict[type, Any] = ForkingPickler._extra_reducers  # type: ignore[attr-defined]
_reducers = _Reducers()


def _parts(make_pickler: Callable[..., Any], value: Any) -> list[Part]:
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

    written = io.BytesIO()
    pickler = make_pickler(written, protocol=_PROTOCOL, buffer_callback=stays)
    pickler.dump(value)
    return [written.getvalue(), *parts]


class _Pickler(pickle.Pickler):
    """Knows what `multiprocessing` knows: connections, sockets, and what programs have registered there."""

    dispatch_table: Any = _reducers


class _CloudPicklers:
    """The class of cloudpickle that does so, once it is needed."""

    found: Any = None

    @classmethod
    def get(cls) -> Any:
        """Raises ImportError if cloudpickle is not installed, or is being imported."""
        if cls.found is None:
            import cloudpickle  # noqa: PLC0415

            base: Any = getattr(cloudpickle, "Pickler", None)
            if base is None:
                raise ImportError("cloudpickle is being imported")
            table = collections.ChainMap(_reducers, base.dispatch_table)
            cls.found = type("_CloudPickler", (base,), {"dispatch_table": table})
        return cls.found


#: Types of values that are pickled faster: nothing can be registered for them.
_PLAIN = frozenset((int, float, complex, bool, str, bytes, type(None)))
_FUNCTIONS = frozenset((types.FunctionType, types.BuiltinFunctionType))


def _is_plain_call(value: tuple[Any, ...]) -> bool:
    """Whether this is a function with plain arguments only."""
    return (
        len(value) == 3
        and type(value[0]) in _FUNCTIONS
        and type(value[1]) is tuple
        and _PLAIN.issuperset(map(type, value[1]))
        and type(value[2]) is dict
        and not value[2]
    )


def with_pickle(value: Any) -> list[Part]:
    """Use pickle alone."""
    if type(value) in _PLAIN or (type(value) is tuple and _is_plain_call(value)):
        # What programs have registered is not for these.
        return [pickle.dumps(value, _PROTOCOL)]
    _reducers.current()
    return _parts(_Pickler, value)


def with_cloudpickle(value: Any) -> list[Part]:
    """Use cloudpickle, which knows more functions and classes. Raises ImportError if it is not installed."""
    _reducers.current()
    return _parts(_CloudPicklers.get(), value)


def automatically(value: Any) -> list[Part]:
    """Use pickle; and if that cannot do it, cloudpickle, if it is installed."""
    try:
        return with_pickle(value)
    except Exception as error:
        try:
            return with_cloudpickle(value)
        except ImportError:
            raise error from None


def by_content(value: Any) -> list[Part]:
    """Use cloudpickle, if it is installed, which pickles the functions of the main module themselves."""
    try:
        return with_cloudpickle(value)
    except ImportError:
        return with_pickle(value)


def main_has_no_file() -> bool:
    """Whether another process cannot import what was started as the program: a session, or ``python -c``."""
    main = sys.modules.get("__main__")
    name = getattr(getattr(main, "__spec__", None), "name", None)
    if name is not None:
        # multiprocessing leaves these out: a package that was started, and the session of Python 3.13.
        return bool(name.endswith(".__main__"))
    return getattr(main, "__file__", None) is None


#: The ways to make bytes, by their names.
PICKLERS: dict[str, Dumps] = {
    "auto": automatically,
    "pickle": with_pickle,
    "cloudpickle": with_cloudpickle,
}


def for_calls(name: str) -> Dumps:
    """Return the way of this name, for the process that has the pool.

    If no other process can import what was started as the program, pickle would write the names of its
    functions, which nobody finds there.
    """
    return by_content if name == "auto" and main_has_no_file() else PICKLERS[name]


def load(parts: list[memoryview]) -> Any:
    """Return what was pickled."""
    if len(parts) == 1:
        return pickle.loads(parts[0])
    return pickle.loads(parts[0], buffers=parts[1:])
