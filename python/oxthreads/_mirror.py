"""How one of our modules shares names with the standard module that it mirrors.

While a program runs, the standard module's classes look up some names in it: ``queue.Empty``,
``threading.excepthook``. These are stored only there: our module reads and writes them there. So a program
may replace them in either of the two modules, with the same effect.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

__all__ = ["share"]


def share(
    module: ModuleType, standard: ModuleType, names: frozenset[str], *, reads_all: bool = False
) -> None:
    """Let the module read, write and delete the names in the standard module.

    Args:
        module: one of ours, which has none of these names itself.
        standard: the module that it mirrors.
        names: the shared names.
        reads_all: if true, any other name that our module does not have is read there, too.
    """
    own = module.__name__

    class Mirror(type(module)):  # type: ignore[misc]
        def __getattr__(self, name: str) -> Any:
            if reads_all or name in names:
                try:
                    return getattr(standard, name)
                except AttributeError:
                    pass
            raise AttributeError(f"module {own!r} has no attribute {name!r}")

        def __setattr__(self, name: str, value: Any) -> None:
            if name in names:
                setattr(standard, name, value)
            else:
                super().__setattr__(name, value)

        def __delattr__(self, name: str) -> None:
            if name in names:
                delattr(standard, name)
            else:
                super().__delattr__(name)

        def __dir__(self) -> list[str]:
            return sorted({*vars(self), *(dir(standard) if reads_all else names)})

    module.__class__ = Mirror
