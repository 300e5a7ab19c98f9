"""What a profile or a trace calls the objects that threads wait for: found while they wait, and at the end.

While a thread waits, its variables are there, so most names are found then. The thread of the watch looks,
ten times a second, as long as there are waits for objects without a name. So an object for which threads wait
seldom and shortly may stay without one. At the end it is looked for once more, among the global variables of
the program's modules.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from oxthreads import _oxthreads as _native
from oxthreads.diagnose import _objects, _situation

if TYPE_CHECKING:
    from types import FrameType

__all__ = [
    "clear",
    "find_names",
    "frames_at_end",
    "is_of_groups",
    "name_of",
    "name_of_group",
    "name_of_pool",
    "name_of_queue",
]

#: What is waited for, its address, and the generation of that.
Key = tuple[str, int, int]

#: The names that were found while threads waited.
_found: dict[Key, str] = {}


def clear() -> None:
    """Forget the names of an earlier profile or trace."""
    _found.clear()


def find_names(numbers: list[int]) -> None:
    """Find names for what the sleeps with these numbers wait for. The thread of the watch calls this."""
    with _situation.without_finalizers(), _native.Pin(numbers) as pin:
        # It lives until the pin is left.
        threads = _situation.Situation(pin)
        situation = threads.with_tasks(_has_no_name)
        tasks = [situation.waits[number] for number in situation.tasks]
        for waiting in [*map(_situation.Waiting._make, pin.sleeps()), *tasks]:
            if waiting.thread in situation.waits and _objects.has_name(situation, waiting):
                generation = _native.generation_of(waiting.address)
                _found[waiting.what, waiting.address, generation] = _objects.thing(situation, waiting)


def _has_no_name(what: str, address: int) -> bool:
    return (what, address, _native.generation_of(address)) not in _found


def name_of(key: Key, frames: list[FrameType], *, is_there: bool, label: str | None = None) -> str:
    """What the object is called.

    Args:
        key: the object.
        frames: where to look for it, if it was not found while threads waited for it.
        is_there: whether no later object is known to have its address.
        label: the name that the program had given to it.
    """
    what, address, _ = key
    name = _found.get(key)
    # A label has no characters that cannot be written in UTF-8.
    has_exact_name = is_there and _objects.given_name(address) is not None
    if name is None and label and not has_exact_name:
        return _objects.labelled(what, label)
    if name is None and is_there and address and what != "join":
        name = _objects.name_at(what, address, frames)
    # Groups end soon, and another one may have been made elsewhere, at the same address.
    is_known = is_there or what != "TaskGroup"
    return name or _objects.unnamed(what, address if is_known else 0)


def is_of_groups(address: int) -> bool:
    """Whether a profile has, instead of the address of a pool, the number of the name of a group."""
    return address < 4096  # No object is there.


def name_of_group(number: int) -> str:
    """What groups of tasks are called whose name has this number; see `_oxthreads.group_name`."""
    return " ".join(filter(None, ["TaskGroup", _native.group_name(number)]))


def name_of_pool(address: int, generation: int, frames: list[FrameType], *, is_there: bool) -> str:
    """What a pool is called. The arguments are those of `name_of`, and the two parts of a key."""
    name = name_of(("call for a worker", address, generation), frames, is_there=is_there)
    name = name.removeprefix("a call to run in ").removeprefix("a pool").strip()
    # What was found while threads waited for it has the class already.
    return name if name.startswith(_objects.PROCESS_POOL) else f"ThreadPoolExecutor {name}".strip()


def name_of_queue(address: int, generation: int, frames: list[FrameType], *, is_there: bool) -> str:
    """What a queue is called. The arguments are those of `name_of`, and the two parts of a key."""
    whats = ("item of a queue", "room in a queue")
    known = [what for what in whats if (what, address, generation) in _found]
    name = name_of(((*known, *whats)[0], address, generation), frames, is_there=is_there)
    return name.removeprefix("an item of ").removeprefix("room in ")


def frames_at_end(files: set[str]) -> list[FrameType]:
    """The frames of the calling thread, and the like of a frame for each module with one of these files."""
    frames = _situation.frames_of(sys._getframe())
    for module in [*sys.modules.values()]:
        namespace = vars(module) if isinstance(module, ModuleType) else {}
        file = namespace.get("__file__")
        if file is None and namespace.get("__name__") == "__main__":
            # The program came from the command line or from standard input.
            file = next((each for each in ("<string>", "<stdin>") if each in files), None)
        if type(file) is str and file in files:
            code = SimpleNamespace(co_filename=file, co_flags=0)
            frame: Any = SimpleNamespace(f_code=code, f_locals=namespace, f_globals=namespace)
            frames.append(frame)
    return frames
