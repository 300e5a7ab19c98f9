"""What the waiting threads wait for, and which of them can never go on.

The rules: a *candidate* is a thread in a wait without a deadline. Each candidate that may be woken by a
thread that is no candidate is dropped, and so on until nothing changes. (It is the greatest fixpoint of "all
that can wake it wait, too".) The threads that are left can never go on.

Who can wake whom:

* an RLock: its owner;
* an RWLock that is written: the writer. One that is read: for the wait that is next, the readers, and it
  needs all; for any other wait, the thread that is next;
* a call by `once` or `singleflight`: the thread that runs the function;
* a Lock: its owner, if the owner took it by a `with` statement that is still open. (If another thread
  released it, the end of that statement would fail.) Any other Lock: any thread;
* a join: the thread that is joined; the exit of the interpreter: each of the threads that it joins, and it
  needs all;
* a future whose call runs: the worker that runs it;
* a future whose call is pending in a pool that can have no more workers: likely these workers, if no thread
  runs that might cancel it;
* the tasks of a group: the threads that run them, and it needs all;
* a lock of the interpreter itself: likely the thread that has it;
* anything else: any thread;
* what a scope around the wait may end (`CancelScope`, `TaskGroup`): any thread, which may cancel the scope.
  Waits for locks and for the tasks of a group are not ended so.

Each candidate is pinned while this is found out: it does not go on meanwhile, whatever wakes it.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import importlib
import math
import operator
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

from oxthreads import _oxthreads as _native
from oxthreads.diagnose import _holders, _names, _standard_locks, _task_groups, _tasks
from oxthreads.diagnose._look_ups import dict_of_class, in_classes, is_a, mro_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable
    from types import FrameType

__all__ = [
    "CALLS",
    "FIRST_TASK",
    "RWLOCK",
    "Dependence",
    "Group",
    "Pool",
    "Situation",
    "Waiting",
    "frames_of",
    "has_gil",
    "has_plain_exit",
    "is_file_of_program",
    "is_for_lock",
    "is_of_program",
    "joins",
    "label",
    "lock_address",
    "object_named",
]

#: What waits for an `RWLock` are called, and waits for calls that another thread runs.
RWLOCK = ("read access to RWLock", "write access to RWLock")
CALLS = ("once", "singleflight")

#: The number of the first task that waits: those of threads are smaller (src/wait/threads.rs).
FIRST_TASK = 1 << 30

#: By the identifier of a thread: the threads that it joins, the innermost call last.
joins: dict[int, list[threading.Thread]] = {}

#: How long names are searched for, in seconds of calculation. The threads stand still meanwhile.
NAMES_SECONDS = 0.5

#: How many other names are tried for objects that have the same one, and for how many objects at most.
OTHER_NAMES = 4
OBJECTS_OF_ONE_NAME = 20

#: What stands for the object that is looked for, in look-ups by identity.
_FOUND = object()


class Waiting(NamedTuple):
    """A thread that sleeps in a wait, as the engine describes it."""

    thread: int
    sleep: int
    wait: int
    what: str
    address: int
    left: float | None
    age: float
    can_end: bool
    #: In how many seconds a scope ends it; infinite: if the scope is cancelled, or `left` is less. None: no
    #: scope ends it.
    scope: float | None = None

    @property
    def ends(self) -> float:
        """In how many seconds it ends by itself or by a scope, at the latest; infinite: perhaps never."""
        times = [self.left, None if self.what == "TaskGroup" else self.scope]
        return min((each for each in times if each is not None), default=math.inf)


class Dependence(NamedTuple):
    """Which threads can end a wait."""

    #: Their numbers; empty: no thread can. None: any thread can.
    wakers: frozenset[int] | None
    #: "certain", "likely", or "with": certain if a `with` statement of the owner is open.
    kind: str = "certain"
    #: The thread that has what is waited for, if one has it.
    owner: int | None = None
    #: Why no thread can end it: "ended" or "parent", for an owner that has ended or belongs to the parent
    #: process.
    reason: str = ""
    #: The wait ends only if all of the wakers go on.
    needs_all: bool = False


class Pool(NamedTuple):
    """A pool, as the engine describes it."""

    number: int
    address: int
    #: The numbers of the threads of its workers.
    workers: list[int]
    #: Whether it can have no more workers.
    is_full: bool


class Group(NamedTuple):
    """Threads that can never go on."""

    #: Those that wait for each other in a circle, or the one that waits for what no thread can give.
    core: tuple[int, ...]
    #: Those that wait for one of these.
    behind: tuple[int, ...]


_ANYONE = Dependence(None)


class _Pinned:
    """What a pin knows of sleeps, and what is known of the waits of tasks, whose numbers are negative."""

    def __init__(self, pin: _native.Pin) -> None:
        self._pin = pin
        self.tasks: dict[int, _tasks.Facts] = {}

    def owner(self, number: int) -> int | None:
        return self.tasks[number].owner if number < 0 else self._pin.owner(number)

    def holders(self, number: int) -> tuple[bool, list[int], int | None] | None:
        return self.tasks[number].holders if number < 0 else self._pin.holders(number)

    def pending(self, number: int) -> tuple[int, str] | None:
        return self.tasks[number].pending if number < 0 else self._pin.pending(number)

    def arms(self, number: int) -> list[tuple[str, int]]:
        return self.tasks[number].arms if number < 0 else self._pin.arms(number)


class Situation:
    """The waits at one moment, pinned by `pin`.

    Args:
        pin: it holds the waits.
        with_own: whether the calling thread, which runs a signal handler in a wait, counts as waiting.
    """

    def __init__(self, pin: _native.Pin, *, with_own: bool = False) -> None:
        self.pin = _Pinned(pin)
        #: What must not be dropped before the pin is left.
        self._kept: list[list[object]] = []
        #: The tasks that wait, by numbers of their own; see `with_tasks`.
        self.tasks: dict[int, _tasks.Task] = {}
        self.waits = {waiting.thread: waiting for waiting in map(Waiting._make, pin.sleeps())}
        #: By the thread that runs a signal handler in its wait: who has what it waits for.
        self._own: dict[int, int | None] = {}
        own = _native.own_wait() if with_own else None
        if own is not None:
            waiting = Waiting._make(own[0])
            self.waits[waiting.thread], self._own[waiting.thread] = waiting, own[1]
        alive = _native.threads_alive()
        self.identifiers = dict(alive)
        self.numbers = {identifier: number for number, identifier in alive if identifier}
        self.threads = dict(threading._active)  # type: ignore[attr-defined]
        if alarm_is_set():
            # Its handler may raise an error, which ends the wait: the wait has a deadline.
            main = threading.main_thread().ident or 0
            self.waits.pop(self.numbers.get(main, 0), None)
        self._leave_out_what_may_run()
        #: By the thread that waits for an import: the name of the module.
        self.imports: dict[int, str] = {}
        #: By the thread that waits: where the owner took what it waits for.
        self.taken: dict[int, _holders.WithItem] = {}
        #: By the thread that waits for a call that has not begun: the number of the pool, and the function.
        self.pending: dict[int, tuple[int, str]] = {}
        #: By the thread that waits for the first of several objects: what each is, and its address.
        self.arms: dict[int, list[tuple[str, int]]] = {
            number: self.pin.arms(waiting.sleep)
            for number, waiting in self.waits.items()
            if waiting.what == "one of several sources"
        }
        #: By the thread that waits for a lock of the interpreter itself: that lock.
        self.standard_locks: dict[int, Any] = {}
        #: Whether a thread of which the engine knows no wait has what another one waits for. It may begin to
        #: wait for a lock of the interpreter, and nothing tells of that.
        self.depends_on_others = False
        #: Seconds of calculation that are left for the search for names.
        self._left_for_names = NAMES_SECONDS
        self._found_names: dict[int, tuple[str, Any] | None] = {}
        self._names_by_all: dict[int, tuple[str, Any] | None] = {}
        #: The addresses of objects that have the name of another object, and no other name.
        self.of_one_name: set[int] = set()
        #: By the address of a semaphore: what is said of those that have its permits.
        self.permit_holders: dict[int, list[str]] = {}
        kept: list[object] = []
        self._kept.append(kept)
        #: The groups of tasks that threads have entered.
        self.task_groups = _task_groups.Tree(kept)
        self._pools: dict[int, Pool] | None = None
        self._frames: dict[int, FrameType] | None = None
        self._others: list[int] | None = None
        self.dependences = {number: self._dependence(waiting) for number, waiting in self.waits.items()}
        self._add_imports()
        self._add_standard_locks()

    def _leave_out_what_may_run(self) -> None:
        """Without a GIL, the main thread's wait for another thread is none if the program handles signals.

        Such a wait is not one of the engine. Handlers run in it while it is pinned, and the frames of a
        thread that runs must not be looked at.
        """
        main = self.numbers.get(threading.main_thread().ident or 0)
        if (
            main in self.waits
            and self.waits[main].what in ("join", "exit")
            and not has_gil()
            and has_handlers()
        ):
            del self.waits[main]

    def _add_imports(self) -> None:
        """Add the threads that wait for an import in another thread.

        They are not pinned. But the other thread is, so its import cannot end.
        """
        for identifier, lock in _imports_waited_for().items():
            owner = self.numbers.get(lock.owner or 0)
            number = self.numbers.get(identifier)
            if owner not in self.waits or number in self.waits:
                continue
            if number is None:
                # It has used no object of oxthreads, and has no number.
                number = -identifier
                self.numbers[identifier], self.identifiers[number] = number, identifier
            waiting = Waiting(number, 0, -identifier, "import", id(lock), None, 0.0, can_end=False)
            self.waits[number] = waiting
            self.dependences[number] = Dependence(frozenset([owner]), owner=owner)
            self.imports[number] = str(lock.name)
        if self.imports:
            # They may be what others join.
            for number, waiting in self.waits.items():
                if waiting.what in ("join", "exit"):
                    self.dependences[number] = self._dependence(waiting)

    def _add_standard_locks(self) -> None:
        """Add the threads that have what others wait for, and wait for a lock of the interpreter itself.

        Without a GIL, the frames of a thread that is not pinned must not be looked at.
        """
        seen: set[int] = set()
        while outside := self._wakers_outside() - seen:
            self.depends_on_others = True
            seen |= outside
            if not has_gil():
                return
            for number in outside:
                identifier = self.identifiers.get(number, 0)
                frame = self.frames.get(identifier)
                wait = frame and _standard_locks.wait_of(identifier, frame)
                if wait:
                    self._add_standard_lock(number, wait)
        _standard_locks.keep_only(self.identifiers[number] for number in self.standard_locks)

    def _wakers_outside(self) -> set[int]:
        wakers = [dependence.wakers for dependence in self.dependences.values() if dependence.wakers]
        return {number for each in wakers for number in each if number not in self.waits}

    def _add_standard_lock(self, number: int, wait: _standard_locks.StandardWait) -> None:
        owner = None if wait.owner is None else self.numbers.get(wait.owner)
        if wait.owner is None:
            owners = (each for each in self.waits if self.held(each, lambda value: value is wait.lock))
            owner = next(owners, None)
        if owner is None:
            return
        what = f"standard {wait.kind}"
        self.waits[number] = Waiting(
            number, 0, -self.identifiers[number], what, id(wait.lock), None, wait.age, can_end=False
        )
        self.dependences[number] = Dependence(frozenset([owner]), "likely", owner)
        self.standard_locks[number] = wait.lock

    def with_tasks(self, is_wanted: Callable[[str, int], bool] | None = None) -> Situation:
        """The same with the coroutines that wait, as if they were threads: for the words only.

        They have the numbers from `FIRST_TASK` on, which no thread has. None of them is ever stuck.
        `is_wanted` is that of `_tasks.all_waiting`.

        This object must live until the pin is left: it keeps what was looked at, since a task may end
        meanwhile. To drop it runs code of the program, which may wait for a thread that is pinned.
        """
        kept: list[object] = []
        self._kept.append(kept)
        other = copy.copy(self)
        other._kept = []
        kept.append(other)
        for name in ("waits", "dependences", "arms", "taken", "pending"):
            setattr(other, name, dict(getattr(self, name)))
        other.pin, other.tasks = copy.copy(self.pin), {}
        other.pin.tasks = {}
        waiting_tasks = _tasks.all_waiting(has_gil=has_gil(), kept=kept, is_wanted=is_wanted)
        for place, task in enumerate(waiting_tasks):
            number, sleep = FIRST_TASK + place, -1 - place
            waiting = Waiting(
                number, sleep, sleep, task.what, task.address, None, task.age or 0.0, can_end=False
            )
            other.pin.tasks[sleep] = task.facts
            other.tasks[number], other.waits[number] = task, waiting
            if task.facts.arms:
                other.arms[number] = task.facts.arms
            other.dependences[number] = other._dependence(waiting)
        other.confirm(list(other.tasks))
        return other

    def label(self, number: int) -> str:
        """The name of a thread or of a task in a report."""
        task = self.tasks.get(number)
        if task is None:
            return label(self.thread(number), number)
        where = f" in {label(self.thread(task.thread), task.thread)}" if task.thread else ""
        return f"task {task.name} of the event loop{where}"

    @property
    def pools(self) -> dict[int, Pool]:
        """The pools of the process, by their numbers."""
        if self._pools is None:
            self._pools = {pool.number: pool for pool in map(Pool._make, _native.pools())}
        return self._pools

    @property
    def frames(self) -> dict[int, FrameType]:
        """The frames of the threads, by their identifiers."""
        if self._frames is None:
            self._frames = sys._current_frames()
        return self._frames

    def _dependence(self, waiting: Waiting) -> Dependence:
        depends_on = self._depends_on.get(waiting.what)
        if depends_on is not None:
            dependence = depends_on(self, waiting)
            is_ended_by_scope = waiting.scope is not None and waiting.what != "TaskGroup"
            # Whoever cancels the scope ends the wait. A likely one is told only if nobody runs who might.
            return (
                dependence._replace(wakers=None)
                if is_ended_by_scope and dependence.kind == "certain"
                else dependence
            )
        if waiting.what == "join":
            joined = joins.get(self.identifiers.get(waiting.thread, 0))
            number = self.numbers.get(waiting.address)
            # The identifier of a thread that has ended may be that of another thread now.
            if number is None or not joined or self.threads.get(waiting.address) is not joined[-1]:
                return _ANYONE
            return Dependence(frozenset([number]))
        if waiting.what == "exit":
            others = [self.numbers.get(identifier) for identifier in self._joined_by_exit(waiting)]
            known = frozenset(number for number in others if number is not None)
            return Dependence(known, needs_all=True)
        return _ANYONE

    def _dependence_on_owner(self, waiting: Waiting) -> Dependence:
        own = waiting.thread in self._own
        owner = self._own[waiting.thread] if own else self.pin.owner(waiting.sleep)
        if owner is None:
            return _ANYONE if own or waiting.what != "Future" else self._dependence_on_pool(waiting)
        if owner in self.identifiers:
            may_release = waiting.what == "RLock" and (
                self._may_run_handlers(owner) or self._may_run_tasks(owner)
            )
            kind = "with" if waiting.what == "Lock" or may_release else "certain"
            return Dependence(frozenset([owner]), kind, owner)
        # The list of threads may be older than the owner: who has begun since has not ended.
        if waiting.what == "Future" or owner in dict(_native.threads_alive()):
            return _ANYONE
        reason = "parent" if _native.is_of_parent(owner) else "ended"
        is_certain = waiting.what == "RLock" or (reason == "parent" and self._is_alone(waiting))
        return Dependence(frozenset(), "certain" if is_certain else "likely", owner, reason)

    def _dependence_on_holders(self, waiting: Waiting) -> Dependence:  # noqa: PLR0911 - a case each
        """That of a wait for an RWLock. Only the threads that have entered it can leave it."""
        holders = None if waiting.thread in self._own else self.pin.holders(waiting.sleep)
        if holders is None or not holders[1]:
            return _ANYONE
        is_written, threads, following = holders
        if following == 0 and not is_written:
            # A coroutine, which may be cancelled. Then this wait may go on, if it wants to read.
            return _ANYONE
        if not is_written and following not in (None, waiting.thread):
            # It may go on if the one that is next gives up.
            return Dependence(frozenset([following]), "certain", following)
        for owner in threads:
            if owner in self.identifiers and (self._may_run_handlers(owner) or self._may_run_tasks(owner)):
                return _ANYONE
            if owner not in self.identifiers:
                # The list of threads may be older than the owner: who has begun since has not ended.
                if owner in dict(_native.threads_alive()):
                    return _ANYONE
                reason = "parent" if _native.is_of_parent(owner) else "ended"
                is_certain = reason == "ended" or self._is_alone(waiting)
                return Dependence(frozenset(), "certain" if is_certain else "likely", owner, reason)
        return Dependence(frozenset(threads), "certain", threads[0], needs_all=len(threads) > 1)

    def _dependence_on_runner(self, waiting: Waiting) -> Dependence:
        """That of a wait for a call that another thread runs."""
        own = waiting.thread in self._own
        owner = self._own[waiting.thread] if own else self.pin.owner(waiting.sleep)
        if owner not in self.identifiers or self._may_run_handlers(owner):
            return _ANYONE
        return Dependence(frozenset([owner]), "certain", owner)

    def _dependence_on_tasks(self, waiting: Waiting) -> Dependence:
        """That of the end of a group, which waits for all its tasks."""
        group = self.task_groups.at.get(waiting.address)
        threads = {task.thread for task in group.running if task.ends_in_thread} if group else set()
        known = frozenset(threads - {0, waiting.thread})
        return Dependence(known, needs_all=True) if known else _ANYONE

    def _dependence_on_pool(self, waiting: Waiting) -> Dependence:
        pending = self.pin.pending(waiting.sleep)
        if pending is None:
            return _ANYONE
        self.pending[waiting.thread] = pending
        pool = self.pools.get(pending[0])
        if pool is None or not pool.is_full or 0 in pool.workers:
            return _ANYONE
        if any(self.numbers.get(identifier) not in self.waits for identifier in self.others()):
            # A thread that runs may be about to cancel the call.
            return _ANYONE
        return Dependence(frozenset(pool.workers), "likely")

    #: By what is waited for, as the engine calls it: who can end it.
    _depends_on = {  # noqa: RUF012 - nobody changes it
        **dict.fromkeys(("Lock", "RLock", "Future"), _dependence_on_owner),
        **dict.fromkeys(RWLOCK, _dependence_on_holders),
        **dict.fromkeys(CALLS, _dependence_on_runner),
        "TaskGroup": _dependence_on_tasks,
    }

    def _may_run_handlers(self, number: int) -> bool:
        """Whether a signal handler of the program may run in this thread, while it waits.

        It may release what the thread has. If that was taken by a `with` statement, its end would fail.
        """
        return self.identifiers[number] == threading.main_thread().ident and has_handlers()

    def _may_run_tasks(self, number: int) -> bool:
        """Whether a worker waits for the tasks of a group: it runs those that are added meanwhile.

        They may release what the thread has. If that was taken by a `with` statement, its end would fail.
        """
        waiting = self.waits.get(number)
        if waiting is None or waiting.what != "TaskGroup":
            return False
        return any(number in pool.workers for pool in self.pools.values())

    def _joined_by_exit(self, waiting: Waiting) -> Iterator[int]:
        own = self.identifiers.get(waiting.thread)
        for identifier, thread in self.threads.items():
            if identifier != own and _stored(thread, "_daemonic") is False:
                yield identifier

    def _is_alone(self, waiting: Waiting) -> bool:
        """Whether all threads of the process wait, and no signal handler may release the lock.

        After a fork, usually there is only one thread.
        """
        others = self.others()
        if any(self.numbers.get(identifier) not in self.waits for identifier in others):
            return False
        return has_no_other_threads(len(others)) and not has_handlers()

    def others(self) -> list[int]:
        """The identifiers of all Python threads but the calling one."""
        if self._others is None:
            own = threading.get_ident()
            self._others = [each for each in {*self.frames, *self.threads} if each != own]
        return self._others

    def stuck(self, *kinds: str) -> set[int]:
        """The threads that can never go on, if only dependences of these kinds count."""
        left = set(self.waits)
        while True:
            kept = {number for number in left if self._stays(number, left, kinds)}
            if kept == left:
                return left
            left = kept

    def _stays(self, number: int, left: set[int], kinds: tuple[str, ...]) -> bool:
        dependence = self.dependences[number]
        if dependence.wakers is None or dependence.kind not in kinds:
            return False
        if dependence.needs_all:
            return not left.isdisjoint(dependence.wakers)
        return dependence.wakers <= left

    def confirm(self, numbers: Iterable[int]) -> None:
        """Find out which of the waits for a Lock are for one that was taken by an open `with` statement."""
        for number in numbers:
            dependence = self.dependences[number]
            waiting = self.waits[number]
            owner = dependence.owner
            if owner is None or owner not in self.waits:
                continue
            if number in self.standard_locks:
                lock = self.standard_locks[number]
                item = self.held(owner, functools.partial(operator.is_, lock))
                if item is not None:
                    self.taken[number] = item
                continue
            if waiting.what not in ("Lock", "RLock", *RWLOCK):
                continue
            item = self._held_by(owner, waiting.address)
            if item is not None:
                self.taken[number] = item
            if dependence.kind == "with":
                if item is not None and (owner != number or self._enters_with(number)):
                    kind = "certain"
                elif owner == number:
                    # A Lock that is acquired twice by one thread is often a signal from another thread.
                    self.dependences[number] = Dependence(None, owner=owner)
                    continue
                else:
                    kind = "likely"
                self.dependences[number] = dependence._replace(kind=kind)

    def _enters_with(self, number: int) -> bool:
        """Whether the thread waits at the beginning of a `with` statement.

        If another thread releases a Lock that its owner waits for in `acquire()`, all is well in the end: the
        one `with` statement that took it releases it. Two of them would fail.
        """
        frames = self.frames_of(number)
        return bool(frames) and _holders.is_entering(frames[0])

    def takes_again(self, number: int) -> bool:
        """Whether the thread is inside a `with` statement for the lock that it waits for and does not have.

        It is the end of `Condition.wait`, as a rule. If it ended without the lock, the `with` statement would
        release what another thread has.
        """
        waiting = self.waits[number]
        if waiting.what not in ("Lock", "RLock") or self.dependences[number].owner == number:
            return False
        return self._held_by(number, waiting.address) is not None

    def _held_by(self, owner: int, address: int) -> _holders.WithItem | None:
        return self.held(owner, lambda value: is_for_lock(value, address))

    def held(self, owner: int, is_wanted: Callable[[Any], bool]) -> _holders.WithItem | None:
        """The innermost open `with` statement of a thread for an object that is wanted.

        The thread must be pinned.
        """

        def lock_of(value: object) -> object:
            return _FOUND if is_wanted(value) else None

        frame = self.frames.get(self.identifiers.get(owner, 0))
        while frame is not None:
            try:
                item = _holders.held_in(frame, _FOUND, lock_of)
            except Exception:  # what is not understood is not certain
                item = None
            if item is not None:
                return item
            frame = frame.f_back
        return None

    def groups(self, stuck: set[int]) -> list[Group]:
        """The stuck threads, each with what it waits for in the end."""
        cores: list[tuple[int, ...]] = []
        core_of: dict[int, tuple[int, ...]] = {}
        for start in sorted(stuck):
            path: list[int] = []
            number = start
            while number not in core_of and number not in path:
                path.append(number)
                wakers = (self.dependences[number].wakers or frozenset()) & stuck
                if not wakers:
                    break
                number = min(wakers)
            if number in core_of:
                core = core_of[number]
            else:
                core = tuple(path[path.index(number) :])
                cores.append(core)
            for each in path:
                core_of[each] = core
        return [
            Group(
                core,
                tuple(number for number in sorted(stuck) if core_of[number] == core and number not in core),
            )
            for core in cores
        ]

    def thread(self, number: int) -> threading.Thread | None:
        """The thread with this number, if Python knows it."""
        return self.threads.get(self.identifiers.get(number, 0))

    def frames_of(self, number: int) -> list[FrameType]:
        """The frames of the program in this thread, innermost first; without those of the waiting call."""
        task = self.tasks.get(number)
        if task is not None:
            return _of_program(task.frames)
        return frames_of(self.frames.get(self.identifiers.get(number, 0)))

    def key_of(self, number: int) -> str:
        """The key of the call by `singleflight` that a thread waits for; empty if it cannot be told."""
        frame = self.frames.get(self.identifiers.get(number, 0))
        if frame is None or not _names.is_call_in_flight(frame.f_code):
            return ""
        return _names.text_of_key(frame.f_locals.get("key"))

    def object_of(self, waiting: Waiting) -> tuple[str, Any] | None:
        """What the program calls the object that a thread waits for, and the object; None if it is not found.

        The frames of the thread are looked through first, and then those of other threads.
        """
        if waiting.address not in self._found_names:
            if self._left_for_names <= 0:
                return None
            self._found_names[waiting.address] = self._search(waiting)
        return self._found_names[waiting.address]

    def rename(self, waits: list[Waiting]) -> bool:
        """Find other names for what these threads wait for: different objects, which all have one name.

        Two threads that run one function call different objects by one name, say. But who has started them
        may call each by its own. Returns whether each has a name that the others do not have.
        """
        if len(waits) > OBJECTS_OF_ONE_NAME:
            return False
        refused: set[str] = set()
        found = {waiting.address: self.object_of(waiting) for waiting in waits}
        for _ in range(OTHER_NAMES):
            names = {named[0] for named in found.values() if named is not None}
            if len(names) == len(found):
                self._found_names.update(found)
                return True
            refused |= names
            if None in found.values() or self._left_for_names <= 0:
                break
            found = {waiting.address: self._search(waiting, refused) for waiting in waits}
        return False

    def _search(self, waiting: Waiting, without: Container[str] = ()) -> tuple[str, Any] | None:
        """A name for what a thread waits for, and the object; see `object_of`."""
        begun = time.thread_time()
        others = [number for number in self.waits if number != waiting.thread][:20]
        frames = [frame for number in [waiting.thread, *others] for frame in self.frames_of(number)]
        running = [threading.get_ident()]
        if has_gil():
            # These do not stand still. But a name is that of the object at the moment of the look.
            running += [each for each in self.others() if self.numbers.get(each) not in self.waits][:20]
        frames += [frame for each in running for frame in frames_of(self.frames.get(each))]
        found = self._named(waiting, frames, without)
        self._left_for_names -= time.thread_time() - begun
        return found

    def object_named_by_all(self, address: int) -> tuple[str, Any] | None:
        """What the waiting threads call the object with this address, and the object."""
        if address not in self._names_by_all:
            frames = [frame for number in list(self.waits)[:20] for frame in self.frames_of(number)]
            self._names_by_all[address] = object_named(address, frames)
        return self._names_by_all[address]

    def _named(
        self, waiting: Waiting, frames: list[FrameType], without: Container[str]
    ) -> tuple[str, Any] | None:
        standard = self.standard_locks.get(waiting.thread)
        if standard is not None:
            return _names.find(lambda value: value is standard, frames, without=without)
        may_be_part = waiting.what == "Condition"
        return object_named(waiting.address, frames, may_be_part=may_be_part, without=without)


def lock_address(value: object) -> int | None:
    """The address of the lock of a condition."""
    # It runs no code of the program, which may be in `__class__` or `__getattribute__`.
    if not is_a(value, _native.Condition):
        return None
    lock: Any = object.__getattribute__(value, "_oxthreads_lock")
    return None if lock is None else _native.address_of(lock)


def threads_of_pool(value: object) -> object:
    """The pool of threads of a pool of processes; of anything else, the object itself."""
    if not is_pool_of_processes(value):
        return value
    try:
        return object.__getattribute__(value, "_oxthreads_threads")
    except AttributeError:
        return value  # its `__init__` has failed


def is_pool_of_processes(value: object) -> bool:
    """Whether it is one. It runs no code of the program."""
    module: Any = sys.modules.get("oxthreads.processes._pool")
    pool = getattr(module, "ProcessPoolExecutor", None)  # None while the module is imported
    return pool is not None and is_a(value, pool)


def call_in_process(thread: int) -> tuple[int, str] | None:
    """The call that a worker of a pool of processes waits for: the process, and the name of the function.

    Args:
        thread: the identifier of the thread.
    """
    module: Any = sys.modules.get("oxthreads.processes._worker")
    calls = getattr(module, "calls_in_children", None)  # None while the module is imported
    found = calls and calls().get(thread)
    return found and (found[0], _names.name_of_function(found[1]))


def is_for_lock(value: object, address: int) -> bool:
    """Whether a `with` statement that has entered this has the lock with this address, and releases it."""
    if type(value) is _holders.Hold:
        method = in_classes(mro_of(type(value.lock)), value.method)
        is_plain = method is dict_of_class(_native.RWLock).get(value.method)
        return is_plain and _native.address_of(value.lock) == address
    return address in (_native.address_of(value), lock_address(value)) and has_plain_exit(value)


def has_plain_exit(value: object) -> bool:
    """Whether a `with` statement releases the lock or permit at its end, and runs no code of the program."""
    return type(in_classes(mro_of(type(value)), "__exit__")) is _EXIT_TYPE


def _imports_waited_for() -> dict[int, Any]:
    """The locks of imports that threads wait for, by the identifiers of the threads.

    Each module that is being imported has such a lock. Before Python 3.12 a thread has one of them here,
    later a list.
    """
    waited_for = getattr(importlib._bootstrap, "_blocking_on", {})
    entries: dict[int, Any] = getattr(waited_for, "data", waited_for)
    found = {}
    for identifier, entry in list(entries.items()):
        # From 3.12 on, a weak reference to the list.
        lock = entry() if isinstance(entry, weakref.ref) else entry
        locks = [*lock] if isinstance(lock, list) else [lock]
        # A thread that has just got the lock is still entered.
        if locks and locks[-1] is not None and locks[-1].owner not in (None, identifier):
            found[identifier] = locks[-1]
    return found


@contextlib.contextmanager
def without_finalizers() -> Iterator[None]:
    """No garbage collection begins meanwhile.

    It would run finalizers of the program here. What they wait for may be had by a thread that is pinned.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def has_no_other_threads(known: int) -> bool:
    """Whether only the threads of Python and of the watch are there: another one might call into Python."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir()) == known + _native.own_threads()
    except OSError:
        return False


def alarm_is_set() -> bool:
    """Whether a signal will come by itself, and run a handler of the program in the main thread."""
    if not hasattr(signal, "getitimer"):
        return False
    timers = [
        (signal.ITIMER_REAL, signal.SIGALRM),
        # These two count also what other threads calculate.
        (signal.ITIMER_VIRTUAL, signal.SIGVTALRM),
        (signal.ITIMER_PROF, signal.SIGPROF),
    ]
    return any(
        callable(signal.getsignal(number)) and any(signal.getitimer(timer)) for timer, number in timers
    )


def has_handlers() -> bool:
    """Whether the program handles signals: a handler may wake a thread."""
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if (
            callable(handler)
            and not any(handler is each for each in expected_handlers)
            and not isinstance(handler, signal.Handlers)
            and not _is_of_asyncio(handler)
        ):
            return True
    return False


def _is_of_asyncio(handler: object) -> bool:
    """Whether it is the handler for Ctrl-C that `asyncio.run` installs while it runs.

    The first Ctrl-C cancels the main task, and the second raises KeyboardInterrupt. If the thread of the
    event loop sleeps in a lock, only the second ends that.
    """
    if type(handler) is not functools.partial or type(handler.func) is not MethodType:
        return False
    runner = getattr(sys.modules.get("asyncio.runners"), "Runner", None)
    # Another thread may be importing the module.
    return type(runner) is type and handler.func.__func__ is dict_of_class(runner).get("_on_sigint")


#: The signal handlers that wake no thread.
expected_handlers: list[object] = [signal.default_int_handler]

#: The type of the methods of classes that are not written in Python.
_EXIT_TYPE = type(_native.Condition.__dict__["__exit__"])


#: The directories and files whose frames are not the program's: where waits are made of other waits.
_OWN = tuple(
    __file__.rpartition(separator)[0].rpartition(separator)[0] + separator for separator in ("/", "\\")
)
_LIBRARY = Path(threading.__file__).parent
#: Not the `__file__` of these modules: they may be imported later.
_STANDARD = frozenset(
    str(_LIBRARY / name)
    for name in ("threading.py", "queue.py", "concurrent/futures/_base.py", "concurrent/futures/thread.py")
)


def frames_of(frame: FrameType | None) -> list[FrameType]:
    """The frame and those that called it, innermost first; without those of a waiting call itself."""
    every = []
    while frame is not None:
        every.append(frame)
        frame = frame.f_back
    return _of_program(every)


def _of_program(every: list[FrameType]) -> list[FrameType]:
    """The same without the first, up to the first one of the program."""
    for place, each in enumerate(every):
        if is_of_program(each):
            return every[place:]
    return every


def is_of_program(frame: FrameType) -> bool:
    """Whether it is a frame of the program, and not of oxthreads or of the modules that wait."""
    return is_file_of_program(frame.f_code.co_filename)


def is_file_of_program(filename: str) -> bool:
    """Whether it is a file of the program, as above."""
    return (
        not filename.startswith((*_OWN, "<frozen runpy>", "<frozen importlib")) and filename not in _STANDARD
    )


def has_gil() -> bool:
    """Whether the frames of threads that run stand still while this thread looks at them."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def label(thread: threading.Thread | None, number: int) -> str:
    """The name of a thread in a report. It runs no code of the program."""
    name = None if thread is None else _stored(thread, "_name")
    # Not that of a subclass of `str`, which may run code when it is shown.
    return name if type(name) is str else f"thread {number}"


def _stored(thread: threading.Thread, name: str) -> object:
    """An attribute that is stored in a thread object; None if there is none.

    The class of the thread may be the program's, and find attributes by code of its own.
    """
    try:
        return dict.get(_native.dictionary(thread), name)
    except (AttributeError, TypeError):  # it has no dictionary
        return None


#: The classes whose objects are made of conditions once they have fallen back.
_MADE_OF_CONDITIONS = (_native.Barrier, _native.Event, _native.Future, _native.Queue, _native.Semaphore)


def class_name(value: object) -> str:
    """The name of the class of an object; for a class of oxthreads, that of the one that programs know."""
    for cls in mro_of(type(value)):
        name, module = _names.name_of_class(cls), dict_of_class(cls).get("__module__")
        if not (name.startswith("_") and type(module) is str and module.startswith("oxthreads.")):
            return name
    return "object"


def part_with(value: object, address: int) -> str | None:
    """The attribute of an object that fell back in which it has the condition with this address."""
    if not is_a(value, *_MADE_OF_CONDITIONS):
        return None
    for name, part in _native.dictionary(value).copy().items():
        if is_a(part, _native.Condition) and _native.address_of(part) == address:
            return name if type(name) is str else None
    return None


def object_named(
    address: int, frames: Iterable[FrameType], *, may_be_part: bool = False, without: Container[str] = ()
) -> tuple[str, Any] | None:
    """What the frames of the program call the object with this address, and the object.

    For a lock, this may be the condition that has it; for calls by `singleflight`, the function; for a pool
    of threads, the pool of processes that is made of it. If it `may_be_part` of another object, this may be
    an object that has fallen back to the standard library, and is made of conditions since then.
    """
    return _names.find(
        lambda value: (
            address
            in (
                _native.address_of(threads_of_pool(value)),
                lock_address(value),
                _names.flights_address(value),
            )
            or (may_be_part and part_with(value, address) is not None)
        ),
        [frame for frame in frames if is_of_program(frame)],
        without=without,
    )
