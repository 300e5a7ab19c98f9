"""The words for what threads wait for: what it is called, who has it, and how it is."""

from __future__ import annotations

import contextlib
import math
import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oxthreads import _oxthreads as _native
from oxthreads.diagnose import _holders, _situation, _thread_ends
from oxthreads.diagnose._look_ups import is_a

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from oxthreads.diagnose._situation import Situation, Waiting
    from oxthreads.diagnose._task_groups import TaskGroup

__all__ = [
    "file",
    "given_name",
    "group",
    "has_name",
    "labelled",
    "listed",
    "name_at",
    "place",
    "place_of",
    "set_name",
    "tell_apart",
    "thing",
    "unnamed",
    "why",
]

#: What waits are called, by what the engine calls them.
_KINDS = {
    "item of a queue": "an item of",
    "room in a queue": "room in",
    "end of the work of a queue": "the end of the work of",
    "item of a channel": "an item of",
    "room in a channel": "room in",
    "item of a broadcast": "an item of",
    "room in a broadcast": "room in",
    "change of a watch": "a change of",
    "one of several futures": "one of several futures",
    "call for a worker": "a call to run in",
    "room in a pool": "room in",
    "start of workers": "the start of workers",
    "once": "the first call of",
    "singleflight": "the call in flight of",
}

#: The same for the conditions of a queue that has fallen back to the standard library.
_PARTS = {
    "not_empty": _KINDS["item of a queue"],
    "not_full": _KINDS["room in a queue"],
    "all_tasks_done": _KINDS["end of the work of a queue"],
}

#: The classes of which is said how many items there are.
_CHANNELS: tuple[Any, ...] = (_native.Channel, _native.Broadcast, _native.Subscription)

#: What a pool of processes is called. Those who wait for one wait for the pool of threads that it is made of.
PROCESS_POOL = "ProcessPoolExecutor"

#: Waits whose words are not about an object with an address.
_NOT_OF_OBJECTS = ("join", "import", "exit", "sleep", "one of several futures", "one of several sources")

#: The names that programs have given, by the address of the object.
_given_names: dict[int, tuple[weakref.ref[Any], str]] = {}


def set_name(object: Any, name: str) -> None:
    """Remember the name of an object, for reports; see `oxthreads.diagnose.set_name`."""
    given, object = object, _situation.threads_of_pool(object)
    address = _native.address_of(object)
    if address is None:
        raise TypeError(f"{type(given).__name__!r} is not an object that threads wait for in oxthreads")
    if not isinstance(name, str):
        raise TypeError(f"the name must be a string, not {type(name).__name__!r}")
    _native.set_label(object, name)
    # The pool itself forgets its name, after its last call has been counted.
    is_pool = isinstance(object, _native.ThreadPoolExecutor)

    def forget(_: weakref.ref[Any]) -> None:
        _given_names.pop(address, None)
        if not is_pool:
            _native.forget_label(address)

    _given_names[address] = weakref.ref(object, forget), name


def why(situation: Situation, number: int) -> str:  # noqa: PLR0911 - a case for each kind of reason
    """Why a wait has not ended: who has what it waits for, or how that is."""
    waiting, dependence = situation.waits[number], situation.dependences[number]
    owner = dependence.owner
    if dependence.reason == "parent":
        return "which a thread of the parent process has, and that thread does not exist here"
    if dependence.reason == "ended":
        return "whose owner has ended"
    if waiting.what == "import" and owner is not None:
        return f"which {_situation.label(situation.thread(owner), owner)} is doing"
    if waiting.what == "Future" and owner is not None:
        call = _situation.call_in_process(situation.identifiers.get(owner, 0))
        where = f" in process {call[0]}" if call else ""
        return f"whose call {_situation.label(situation.thread(owner), owner)} runs{where}"
    if waiting.what in _situation.CALLS and owner is not None:
        key = situation.key_of(number)
        return f"which {_situation.label(situation.thread(owner), owner)} runs{f' for {key}' if key else ''}"
    if waiting.what in _situation.RWLOCK and owner is not None:
        return _rwlock(situation, waiting, owner)
    if number in situation.pending:
        return _pending(situation, *situation.pending[number])
    if waiting.what == "TaskGroup":
        return _unfinished(situation, waiting)
    if owner is not None:
        name = "it itself" if owner == number else _situation.label(situation.thread(owner), owner)
        item = situation.taken.get(number)
        if item is None and any(task.thread == owner for task in situation.tasks.values()):
            # All tasks of an event loop take locks as its thread.
            return f"which {name} or a task of its event loop took"
        if item is None:
            frames = situation.frames_of(owner) if owner in situation.waits else []
            now = f", now at {place(frames[0])}" if frames and owner != number else ""
            return f"which {name} took{now}"
        return f"which {name} took at {_taken_at(item)}"
    return _state(situation, waiting)


def _taken_at(item: _holders.WithItem) -> str:
    """The `with` statement by which a lock was taken."""
    text = f":  {item.text}" if item.text else ""
    return f"{file(item.filename)}:{item.line} in {item.function.rpartition('.')[2]}{text}"


def _rwlock(situation: Situation, waiting: Waiting, owner: int) -> str:
    """Who has an RWLock, or waits for it ahead of this wait."""
    holders = situation.pin.holders(waiting.sleep)
    is_written, threads, _ = holders or (True, [owner], None)
    if owner not in threads:
        return f"behind {_situation.label(situation.thread(owner), owner)}, which waits to write"
    names = [_situation.label(situation.thread(number), number) for number in threads]
    if is_written or len(names) == 1:
        item = situation.taken.get(waiting.thread)
        if item is not None:
            return f"which {names[0]} {'writes' if is_written else 'reads'}, since {_taken_at(item)}"
        frames = situation.frames_of(owner) if owner in situation.waits else []
        now = f", now at {place(frames[0])}" if frames else ""
        return f"which {names[0]} {'writes' if is_written else 'reads'}{now}"
    return f"which {_some(names)} read"


def _pending(situation: Situation, number: int, _: str) -> str:
    """Why a call has not begun."""
    pool = situation.pools.get(number)
    if pool is None:
        return "whose call has not begun"
    named = situation.object_named_by_all(pool.address)
    name = f"the pool {named[0]}" if named else "its pool"
    count = len(pool.workers)
    if not pool.is_full:
        return f"whose call is pending in {name}"
    if not situation.waits.keys() >= set(pool.workers):
        most = f"{count} {'worker' if count == 1 else 'workers'} at most"
        return f"whose call is pending in {name}, which has {most}"
    workers = "whose only worker waits here" if count == 1 else f"whose {count} workers all wait here"
    return f"whose call is pending in {name}, {workers}"


def _unfinished(situation: Situation, waiting: Waiting) -> str:
    """Which tasks of a group have not ended."""
    group = situation.task_groups.at.get(waiting.address)
    if group is None:
        return ""
    names = [
        f"{_last_part(task.function)}() in {_situation.label(situation.thread(task.thread), task.thread)}"
        for task in group.running
    ]
    said = []
    if names:
        tasks, have = ("task", "has") if len(names) == 1 else ("tasks", "have")
        said.append(f"whose {tasks} {_some(names)} {have} not ended")
    if group.pending:
        tasks, have = ("task", "has") if group.pending == 1 else ("tasks", "have")
        said.append(f"{'and' if names else 'whose'} {group.pending} {tasks} {have} not begun")
    text = " ".join(said)
    if group.is_cancelled:
        return f"{text}; it was cancelled"
    if waiting.scope is not None and waiting.scope < math.inf:
        return f"{text}; they are cancelled in {waiting.scope:.1f} s at the latest"
    return text


def _state(situation: Situation, waiting: Waiting) -> str:
    """What is known of an object that any thread can complete the wait for."""
    if waiting.what == "Condition":
        missed = _native.last_missed(waiting.address)
        if missed is None or missed[0] < waiting.age:
            return ""
        seconds, filename, line, function = missed
        before = seconds - waiting.age
        place = f"{file(filename)}:{line} in {function}"
        return f"a notification at {place}, {before:.1f} s before this wait, found nobody"
    found = None if waiting.what in _NOT_OF_OBJECTS else situation.object_of(waiting)
    if found is None:
        return ""
    try:
        return _state_of(situation, found[1], waiting)
    except Exception:  # what cannot be read is left out
        return ""


def _state_of(situation: Situation, value: Any, waiting: Waiting) -> str:
    # The methods and attributes of the native classes: those of a subclass may run code of the program.
    semaphore: Any = _native.Semaphore
    barrier: Any = _native.Barrier
    if is_a(value, _native.Queue):
        return _state_of_queue(situation, value, waiting)
    if any(is_a(value, each) for each in _CHANNELS):
        return _state_of_channel(value)
    if is_a(value, _native.Event):
        return "which is not set"
    if is_a(value, _native.Semaphore):
        permits = f"which has {semaphore._value.__get__(value)} permits"
        return "; ".join([permits, *_permit_holders(situation, waiting)])
    if is_a(value, _native.Barrier):
        return f"where {barrier.n_waiting.__get__(value)} of {barrier.parties.__get__(value)} threads wait"
    return ""


def _state_of_channel(value: Any) -> str:
    # The method of the native class: that of a subclass may run code of the program.
    native = next(each for each in _CHANNELS if is_a(value, each))
    items = native.__len__(value)
    if native is _native.Channel and not items and native.capacity.__get__(value) == 0:
        return "where nobody is on the other side"
    return f"which has {items} {'item' if items == 1 else 'items'}"


def _state_of_queue(situation: Situation, value: Any, waiting: Waiting) -> str:
    queue: Any = _native.Queue
    queued = queue.qsize(value)
    if waiting.what != "end of the work of a queue":
        return f"which has {queued} queued"
    unfinished = queue.unfinished_tasks.__get__(value)
    taken = unfinished - queued
    takers = _takers(situation, value, taken)
    if takers is None:
        return f"{unfinished} not done: {taken} taken, and {queued} queued"
    return "; ".join([f"{unfinished} not done: {queued} queued", *takers])


def _takers(situation: Situation, queue: Any, taken: int) -> list[str] | None:
    """Who has taken the items that are not done. None: that is not known."""
    takers = _native.takers_of(queue)
    if not takers or sum(count for _, count in takers) != taken:
        return None
    return [f"{count} taken by {_taker(situation, number)}" for number, count in takers]


def _taker(situation: Situation, number: int) -> str:
    """A thread that has taken items."""
    if number in situation.waits:
        return f"{_situation.label(situation.thread(number), number)}, which waits"
    if number in situation.identifiers:
        return _situation.label(situation.thread(number), number)
    if _native.is_of_parent(number):
        return "a thread of the parent process, which does not exist here"
    end = _thread_ends.of_thread(number)
    name = end.name if end is not None and end.name else f"thread {number}"
    return (
        f"{name}, which ended with {end.error}"
        if end is not None and end.error
        else f"{name}, which has ended"
    )


#: The most threads that are asked for permits of a semaphore.
_MOST_HOLDERS = 50

#: The most of them that are named.
_MOST_NAMES = 10


def _permit_holders(situation: Situation, waiting: Waiting) -> list[str]:
    """Who has permits of a semaphore by `with` statements, as far as these threads wait, too."""
    known = situation.permit_holders
    if waiting.address not in known:
        known[waiting.address] = _find_permit_holders(situation, waiting)
    return known[waiting.address]


def _find_permit_holders(situation: Situation, waiting: Waiting) -> list[str]:
    holders: dict[str, list[str]] = {}
    for number in sorted(situation.waits)[:_MOST_HOLDERS]:
        item = situation.held(
            number,
            lambda value: _native.address_of(value) == waiting.address and _situation.has_plain_exit(value),
        )
        if item is not None:
            where = f"{file(item.filename)}:{item.line}"
            holders.setdefault(where, []).append(_situation.label(situation.thread(number), number))
    waits = {True: "which waits", False: "which wait"}
    return [
        f"{len(names)} taken at {where} by {_some(names)}, {waits[len(names) == 1]}"
        for where, names in holders.items()
    ]


def _some(names: list[str]) -> str:
    """The names as one text, if they are few."""
    if len(names) <= _MOST_NAMES:
        return listed(names)
    return listed([*names[: _MOST_NAMES - 1], f"{len(names) - _MOST_NAMES + 1} others"])


def _made(address: int) -> str:
    """Where an object without a name was made, if that is known."""
    for filename, line, function in _native.origin_of(address):
        if _situation.is_file_of_program(filename):
            return f"made at {file(filename)}:{line} in {function}"
    return ""


def _call(situation: Situation, waiting: Waiting) -> str:
    """The call of a future, as "of resize()", if it is known."""
    owner = situation.dependences[waiting.thread].owner
    if waiting.thread in situation.pending:
        name = situation.pending[waiting.thread][1]
    elif owner is not None and owner in situation.waits and (frames := situation.frames_of(owner)):
        # The functions of a pool are not the program's, so the outermost of these is the call. Or it is ours.
        of_program = [frame for frame in frames if _situation.is_of_program(frame)]
        if not of_program:
            return ""
        name = of_program[-1].f_code.co_name
    elif owner is not None and (call := _situation.call_in_process(situation.identifiers.get(owner, 0))):
        name = call[1]
    else:
        return ""
    return f"of {_last_part(name)}()"


def _last_part(function: str) -> str:
    """The name of a function without that of its class, or of the function around it."""
    return function.rpartition(".")[2]


def tell_apart(situation: Situation, numbers: Iterable[int]) -> None:
    """See to it that `thing` says of different objects, for which these threads wait, different words.

    An object gets a name that only it has. If there is none, it is shown with its address.
    """
    numbers = list(numbers)
    # What cannot be told is said in place of it; see `_report`.
    with contextlib.suppress(Exception):
        for waits in _said_alike(situation, numbers):
            situation.rename(waits)
        for waits in _said_alike(situation, numbers):
            situation.of_one_name.update(waiting.address for waiting in waits)


def _said_alike(situation: Situation, numbers: list[int]) -> list[list[Waiting]]:
    """The waits for different objects of which `thing` says the same: one for each object."""
    alike: dict[str, dict[int, Waiting]] = {}
    for number in numbers:
        waiting = situation.waits[number]
        if waiting.what not in _NOT_OF_OBJECTS and _name_given(situation, waiting.address) is None:
            alike.setdefault(thing(situation, waiting), {})[waiting.address] = waiting
    return [list(waits.values()) for waits in alike.values() if len(waits) > 1]


def thing(situation: Situation, waiting: Waiting) -> str:
    """What a thread waits for, with its name if it has one."""
    said = _thing(situation, waiting)
    return f"{said} at {waiting.address:#x}" if waiting.address in situation.of_one_name else said


def _thing(situation: Situation, waiting: Waiting) -> str:  # noqa: PLR0911 - a case for each kind of wait
    if waiting.what == "join":
        number = situation.numbers.get(waiting.address, 0)
        return f"{_situation.label(situation.threads.get(waiting.address), number)} to end"
    if waiting.what == "import":
        return f"the import of {situation.imports[waiting.thread]}"
    if waiting.what == "exit":
        return "the other threads to end, because the interpreter exits"
    if waiting.what == "sleep":
        return "its sleep to end"
    arms = situation.arms.get(waiting.thread)
    if arms and waiting.what == "one of several sources":
        return "the first of: " + ", ".join(
            _thing(situation, waiting._replace(what=what, address=address)) for what, address in arms
        )
    found = situation.object_of(waiting)
    given = _name_given(situation, waiting.address)
    known = given or (found[0] if found else _label(waiting))
    name = known or _made(waiting.address)
    if waiting.thread in situation.standard_locks:
        return " ".join(filter(None, [f"the {waiting.what}", name]))
    if waiting.what == "Future":
        name = " ".join(filter(None, [name, _call(situation, waiting)]))
    part = _situation.part_with(found[1], waiting.address) if found else None
    if found and part is not None:
        return " ".join(filter(None, [_PARTS.get(part), _situation.class_name(found[1]), name]))
    kind = _KINDS.get(waiting.what)
    if waiting.what in _situation.CALLS:
        return f"{kind} {name or 'a function'}"
    if kind is None or waiting.what in ("call for a worker", "start of workers", "one of several futures"):
        is_of_condition = waiting.what in ("Lock", "RLock") and found is not None
        if is_of_condition and found and is_a(found[1], _native.Condition):
            return f"{waiting.what} of {_situation.class_name(found[1])} {name}"
        if kind in (_KINDS["call for a worker"], _KINDS["room in a pool"]) and not known:
            kind = f"{kind} a pool"
        return " ".join(filter(None, [kind or waiting.what, found and _class_of_pool(found[1]), name]))
    what = _situation.class_name(found[1]) if found else waiting.what.rpartition(" ")[2].capitalize()
    return " ".join(filter(None, [kind, what, name]))


def group(situation: Situation, group: TaskGroup) -> str:
    """What a group of tasks is called."""
    can_look = group.opener in situation.waits or _situation.has_gil()
    # Without a GIL, the variables of a thread that runs must not be looked at.
    thread = group.opener if can_look else next(iter(situation.waits), 0)
    waiting = _situation.Waiting(thread, 0, 0, "TaskGroup", group.address, None, 0.0, can_end=False)
    return thing(situation, waiting)


def _name_given(situation: Situation, address: int) -> str | None:
    """The name that the program has given to the object or group of tasks with this address."""
    group = situation.task_groups.at.get(address)
    return given_name(address) or (group and group.name)


def _label(waiting: Waiting) -> str | None:
    """The name that the program has given to the threads of a pool."""
    return _native.label_of(waiting.address) if waiting.what == "call for a worker" else None


def given_name(address: int) -> str | None:
    """The name that the program has given to the object with this address."""
    given = _given_names.get(address)
    return given[1] if given is not None and given[0]() is not None else None


def has_name(situation: Situation, waiting: Waiting) -> bool:
    """Whether `thing` says more than where the object was made."""
    if waiting.what in ("join", "import", "exit", "sleep"):
        return True
    if waiting.what == "one of several sources":
        return waiting.thread in situation.arms
    given = _name_given(situation, waiting.address)
    return given is not None or situation.object_of(waiting) is not None


def name_at(what: str, address: int, frames: Iterable[FrameType]) -> str | None:
    """What nobody waits for now, with the name by which these frames know it; None if they do not."""
    found = _situation.object_named(address, frames, may_be_part=what == "Condition")
    name = given_name(address) or (found and found[0])
    if not name:
        return None
    kind = _KINDS.get(what)
    has_class = what in _PARTS.values() or kind in _PARTS.values()
    has_class = has_class or what in ("room in a pool", "change of a watch")
    class_name = _situation.class_name(found[1]) if found and has_class else ""
    class_name = class_name or (_class_of_pool(found[1]) if found else "")
    return " ".join(filter(None, [kind or what, class_name, name]))


def _class_of_pool(pool: Any) -> str:
    """What a pool is called that is no pool of threads, as nearly all are; else nothing."""
    return PROCESS_POOL if _situation.is_pool_of_processes(pool) else ""


def labelled(what: str, name: str) -> str:
    """What threads waited for, with this name, which the program had given to it."""
    return f"{_KINDS.get(what) or what} {name}"


def unnamed(what: str, address: int) -> str:
    """What threads waited for, without a name: with where it was made, if that is known."""
    if what == "join":
        return "a thread to end"
    if what == "exit":
        return "the other threads to end, because the interpreter exits"
    if what == "sleep":
        return "its sleep to end"
    kind = _KINDS.get(what) or what
    if kind.endswith((" of", " in")):
        others = ("pool", "channel", "broadcast", "watch")
        of = "pool" if "worker" in what else next((each for each in others if each in what), "queue")
        kind += f" a {of}"
    return " ".join(filter(None, [kind, _made(address) if address else ""]))


def listed(names: list[str]) -> str:
    """The names as one text: "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def place(frame: FrameType) -> str:
    """A frame, as "bank.py:14 in pay:  with b.lock:"."""
    code = frame.f_code
    text = _holders.source_line(frame, frame.f_lineno or 0).strip()
    shown = f":  {text}" if text else ""
    return f"{file(code.co_filename)}:{frame.f_lineno} in {code.co_name}{shown}"


def place_of(filename: str, line: int, function: str) -> str:
    """The same without a frame."""
    text = _holders.line_of_file(filename, line).strip()
    shown = f":  {text}" if text else ""
    return f"{file(filename)}:{line} in {function}{shown}"


def file(filename: str) -> str:
    """The file as the user would name it: relative to the working directory, if it is in there."""
    try:
        here = f"{Path.cwd()}{os.sep}"
    except OSError:
        return filename
    return filename.removeprefix(here)
