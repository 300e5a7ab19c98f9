"""The worker threads of a pool of processes: each has a child process, which runs its calls."""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import math
import os
import signal
import sys
import threading
import time
import weakref
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import process as _process
from typing import TYPE_CHECKING, Any

from ..threading import RLock
from . import _child
from ._errors import CallTimeout, WorkerDied
from ._link import Lost, NotReceived, make_pair
from ._memory import TooLarge
from ._pickles import load, with_cloudpickle
from ._stack import Question, Stack

# multiprocessing imports these when it needs them. A call that a destructor submits meanwhile would find them
# half imported.
if sys.platform == "win32":
    importlib.import_module("multiprocessing.popen_spawn_win32")
else:
    from multiprocessing import resource_tracker

    for _module in ("popen_spawn_posix", "popen_forkserver"):
        importlib.import_module(f"multiprocessing.{_module}")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from multiprocessing.context import BaseContext

    from ._link import Part

#: How long a child that has closed its link may take to end before it is killed, in seconds.
_PATIENCE = 30
#: When a child has died, as an error says it.
_AT_START = "before it could run calls. Its error output may say why"
#: The exit code of a process for which somebody else has waited.
_UNKNOWN = -1000
#: The longest time between two looks whether a child has ended, in seconds. The first times are shorter.
_LONGEST_SLEEP = 0.05


class Settings:
    """What the children of a pool have in common, and the children that there are.

    The worker threads have it, and not the pool, so that a pool that nobody uses any more ends.
    """

    def __init__(
        self,
        context: BaseContext,
        pickler: str,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        max_tasks: int | None,
        *,
        tells_stacks: bool,
    ) -> None:
        self.context = context
        self.pickler = pickler
        self.initializer = initializer
        self.initargs = initargs
        self.max_tasks = max_tasks
        #: Whether children are asked where their calls are.
        self.tells_stacks = tells_stacks
        #: Why the pool takes no more calls; and who is told.
        self.broken: str | None = None
        self.breaks: Callable[[str], None] = lambda _: None
        #: Whether all children are to be killed, and how.
        self.is_killed = False
        self.children: set[Child] = set()
        self.here = _Here()

    def enter(self) -> None:
        """This thread is a worker."""
        self.here.is_worker = True

    def end_all(self, way: str) -> None:
        """End all children: "kill" or "terminate" them."""
        self.is_killed = True
        for child in [*self.children]:
            child.send(way)

    def start(self) -> Child:
        """Start a child of this thread."""
        if self.is_killed:
            raise WorkerDied("all processes of the pool were killed")
        if self.broken is not None:
            raise BrokenProcessPool(self.broken)
        # There are no more children than workers. One that does not end keeps its place for a while.
        while self.here.ending:
            self.here.ending.pop().wait_for_end(_PATIENCE)
        child = Child(self)
        child.begin()
        return child

    def take(self) -> Child:
        """Return the child of this thread, for one call.

        Until it is given back, nobody else has it. This thread may submit a call meanwhile, from a destructor
        for example, and have to run that at once: then it takes another one.
        """
        child, self.here.child = self.here.child, None
        return child if child is not None and child.is_own else self.start()

    def give_back(self, child: Child) -> None:
        """The call has ended."""
        if not child.is_usable:
            return
        if self.here.child is None:
            self.here.child = child
        else:
            child.begin_end()  # one for a call inside of another one

    def ask(self, thread: int) -> Question:
        """Ask in which process a worker runs its call, and where that is.

        Args:
            thread (int): the identifier of the worker's thread.
        """
        children = [child for child in [*self.children] if child.thread == thread and child.is_at_work]
        # Of a call inside of another one, it is the inner one.
        return Question(max(children, key=lambda child: child.number, default=None))

    def end_own(self) -> None:
        """This thread ends: so do its children."""
        child, self.here.child = self.here.child, None
        if child is not None:
            child.begin_end()
        while self.here.ending:
            self.here.ending.pop().wait_for_end()

    def break_by(self, error: BaseException) -> None:
        """An initializer has failed: no calls are run any more."""
        self.broken = "A process initializer failed, the process pool is not usable anymore"
        self.breaks(self.broken)
        raise BrokenProcessPool(self.broken) from error


class IsGone(Exception):
    """A child has ended before it has got a call."""

    def __init__(self, died: WorkerDied) -> None:
        #: What to raise if that happens again and again.
        self.died = died


class _Here(threading.local):
    """What a thread has."""

    #: Whether it is a worker of the pool.
    is_worker = False
    #: The child that runs its calls.
    child: Child | None = None

    def __init__(self) -> None:
        #: Children that were told to end.
        self.ending: list[Child] = []


def calls_in_children() -> dict[int, tuple[int, Any]]:
    """Return which calls children run now: the process and the function, by the identifiers of the workers.

    It waits for nothing, so that a report can be made while other threads do not go on.
    """
    children: list[Child] = []
    for _ in range(10):
        with contextlib.suppress(RuntimeError):  # a child was started meanwhile
            children = sorted(_all, key=lambda child: child.number)
            break
    found = {}
    for child in children:
        function = child.function
        if function is not None and child.pid is not None:
            found[child.thread] = child.pid, function
    return found


_numbers = itertools.count()
#: All children of this process that have not ended.
_all: weakref.WeakSet[Child] = weakref.WeakSet()
#: Held while a child is started, so that nobody forks a process that has ends of its link; and while the
#: interpreter asks the system whether a child has ended, which it tells only once.
_changing = RLock()


class Child:
    """A child process that belongs to the calling thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._calls_left = settings.max_tasks
        #: Whether it can run calls.
        self.is_usable = True
        #: Whether it was told to end.
        self.is_ending = False
        #: Whether it belongs to this process, and not to one that this was forked from.
        self.is_own = True
        self.process: Any = None
        #: A higher one than those of the children before.
        self.number = next(_numbers)
        #: The identifier of the thread that it belongs to.
        self.thread = threading.get_ident()
        #: Whether it is being started, and the function that it runs.
        self.is_starting = True
        self.function: Any = None
        #: How many calls it was sent.
        self.calls = 0
        self._stack: Stack | None = None
        method = settings.context.get_start_method()
        #: Whether it is a child of a fork server, which asks the system for its end, and then tells.
        self._is_served = method == "forkserver"
        with _without_interrupts(method), _changing:
            self._link, ends = make_pair()
            _all.add(self)
            try:
                if settings.tells_stacks:
                    self._stack = Stack(_changing)
                self.process = self._start(ends)
            except BaseException:
                self._link.let_go()
                self._close_stack()
                raise
            finally:
                for end in ends:
                    end.close()
        settings.children.add(self)
        if settings.is_killed:
            self.send("kill")

    def _start(self, ends: tuple[Any, ...]) -> Any:
        settings = self._settings
        context: Any = settings.context

        def start(initializer: Any, initargs: tuple[Any, ...]) -> Any:
            name = threading.current_thread().name
            begin = _child.Beginning(initializer, initargs)
            arguments = (self._stack, ends, settings.pickler, begin)
            process = context.Process(target=_child.main, name=name, args=arguments)
            try:
                process.start()
            except (ConnectionError, EOFError):
                # The process, or its server, which from Python 3.14 on imports the main module first.
                raise WorkerDied(f"a process has ended {_AT_START}") from None
            finally:
                begin.close()
            return process

        try:
            return start(settings.initializer, settings.initargs)
        except WorkerDied:
            raise
        except Exception:
            # Objects of multiprocessing can be pickled only as above, and other functions only as below.
            if settings.initializer is None or settings.pickler == "pickle":
                raise
            try:
                portable = Portable((settings.initializer, settings.initargs))
            except Exception:
                portable = None
            if portable is None:
                raise
            return start(portable, ())

    @property
    def pid(self) -> int | None:
        """The number of the process."""
        pid: int | None = self.process.pid
        return pid

    def begin(self) -> None:
        """Wait until it can run calls.

        Raises:
            WorkerDied: it has died.
            BrokenProcessPool: its initializer has failed.
        """
        try:
            kind, parts = self._link.receive()
        except BaseException as error:
            self._give_up(error, _AT_START)
        self.is_starting = False
        if kind == _child.BROKEN:
            try:
                reason = load(parts)
            except Exception as error:  # of a class that only the child can unpickle
                reason = error
            finally:
                # It ends by itself, and what it has logged may still be on its way.
                self._bury()
            self._settings.break_by(reason)

    def call(self, function: Any, call: Sequence[Part], timeout: float | None) -> Any:
        """Let it run a call of this function, and return what that returns.

        Raises:
            CallTimeout: the call took longer than so many seconds. The child is killed.
            WorkerDied: the child has died.
            IsGone: it had, before the call was sent. Another one may run it.
            Cancelled: a scope of this thread was cancelled. The child is killed.
            BaseException: also what the call raises.
        """
        self.calls += 1
        self.function = function
        try:
            return self._call(function, call, timeout)
        finally:
            self.function = None

    def _call(self, function: Any, call: Sequence[Part], timeout: float | None) -> Any:
        try:
            self._link.send(_child.CALL, call)
        except Lost:
            raise self._gone() from None
        except BaseException as error:
            self._give_up(error, f"while {_name(function)} was sent to it")
        try:
            kind, parts = self._link.receive(None if timeout is None else time.monotonic() + timeout)
        except TimeoutError:
            self.kill()
            raise CallTimeout(f"{_name(function)} took longer than {timeout} seconds") from None
        except NotReceived:
            raise self._gone() from None
        except TooLarge as error:
            self._count()
            raise MemoryError(str(error)) from None
        except BaseException as error:
            self._give_up(error, f"while it ran {_name(function)}")
        self._count()
        answer = load(parts)
        if kind == _child.ERROR:
            try:
                raise answer
            finally:
                del answer
        return answer

    def _count(self) -> None:
        """A call has ended. It may have been the last one."""
        if self._calls_left is not None:
            self._calls_left -= 1
            if self._calls_left <= 0:
                self.begin_end()

    def _gone(self) -> IsGone:
        """It has ended, and has not begun the call."""
        pid = self.pid
        code = self._bury()
        return IsGone(WorkerDied(f"the process {pid} {_described(code)} before it got its call", pid, code))

    def _give_up(self, error: BaseException, when: str) -> Any:
        """It is of no use any more. Raises WorkerDied if it has died, else the error."""
        if not isinstance(error, Lost):
            self.kill()
            raise error
        pid = self.pid
        code = self._bury()
        raise WorkerDied(f"the process {pid} {_described(code)} {when}", pid, code) from None

    def _bury(self) -> int | None:
        """It has ended, or is about to. Wait for that, free its resources, and return its exit code."""
        self.is_usable = False
        self._link.close()
        if not self._ends_within(_PATIENCE):
            # It has closed its link, and goes on.
            self.send("kill")
            self._ends_within(math.inf)
        code = self._exit_code()
        self._forget()
        return code

    def send(self, way: str) -> None:
        """ "kill" or "terminate" it."""
        # While its number is its own.
        with _changing, contextlib.suppress(ValueError):  # another thread has seen its end
            getattr(self.process, way)()

    @property
    def is_at_work(self) -> bool:
        """Whether it is being started, or runs a call."""
        return self.is_own and (self.is_starting or self.function is not None)

    def ask(self, call: int) -> Stack | None:
        """Ask it where this call is. Returns where the answer comes, if it is asked."""
        # While its number is its own. After its last call it is not asked: it may end at any time.
        with _changing, contextlib.suppress(OSError, ValueError):
            stack = self._stack
            if stack is not None and self.is_usable and self.is_at_work and self.process.exitcode is None:
                return stack if stack.ask(self.process.pid, call) else None
        return None

    def _close_stack(self) -> None:
        if self._stack is not None:
            self._stack.close()

    def _ends_within(self, seconds: float) -> bool:
        """Wait until it has ended, but not longer than so."""
        end = time.monotonic() + seconds
        slept = 0.0005
        while self.is_own:
            with _changing:
                if self.process.exitcode is not None:
                    self.process.join()
                    break
                if not self._is_served and not _exists(self.process.pid):
                    # Somebody else has asked the system for its end; or the program ignores SIGCHLD.
                    self.process._popen.returncode = _UNKNOWN
                    self.process.join()
                    break
            if time.monotonic() >= end:
                return False
            time.sleep(slept)
            slept = min(2 * slept, _LONGEST_SLEEP)
        return True

    def _exit_code(self) -> int | None:
        code: int | None = self.process.exitcode
        return None if code == _UNKNOWN else code

    def kill(self) -> None:
        """End it, whatever it does, and wait for its end."""
        self.is_usable = False
        self._link.close()
        if self.is_own:
            self.send("kill")
        self.wait_for_end()

    def begin_end(self) -> None:
        """Let it end by itself."""
        self.is_usable = False
        self.is_ending = True
        self._link.close()
        self._settings.here.ending.append(self)

    def wait_for_end(self, patience: float = math.inf) -> None:
        """Wait until it has ended. One that takes longer than so many seconds is killed."""
        if not self._ends_within(patience):
            self.send("kill")
            self._ends_within(math.inf)
        self._forget()

    def _forget(self) -> None:
        """It has ended."""
        self._settings.children.discard(self)
        _all.discard(self)
        self._link.let_go()
        self._close_stack()

    def disown(self) -> None:
        """In a forked child: it is one of the parent."""
        self.is_own = False
        self._link.let_go()
        self._close_stack()
        if self.process is not None:
            _process._children.discard(self.process)  # type: ignore[attr-defined]
        self._settings.children.discard(self)


class Portable:
    """An initializer with its arguments, pickled by cloudpickle."""

    def __init__(self, call: tuple[Callable[..., object], tuple[Any, ...]]) -> None:
        function, arguments = call
        self._parts = [bytes(part) for part in with_cloudpickle((function, arguments, {}))]

    def __call__(self) -> object:
        function, arguments, keywords = load([memoryview(part) for part in self._parts])
        return function(*arguments, **keywords)


class EachOf:
    """Calls a function with each of the arguments of a chunk, which it takes in columns. Children run it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *columns: Iterable[Any]) -> list[Any]:
        return [self.function(*arguments) for arguments in zip(*columns, strict=True)]


def _name(function: Any) -> str:
    """What an error says of the function of a call."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__qualname__


def _exists(pid: int) -> bool:
    """Whether there is a process of this number, be it that it has ended and nobody has asked."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _described(code: int | None) -> str:
    """Say how a process has ended."""
    if code is None:
        return "has ended"
    if code >= 0:
        return f"has ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}"


@contextlib.contextmanager
def _without_interrupts(method: str) -> Any:
    """A child that is started here does not see Ctrl-C, which it cannot ignore before it has begun."""
    if not hasattr(signal, "pthread_sigmask") or method == "forkserver":
        yield
        return
    if method == "spawn":
        # It is started with the first child, and then takes the mask away.
        resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _disown_all() -> None:
    """In a forked child."""
    _changing._at_fork_reinit()
    for child in [*_all]:
        child.disown()
    _all.clear()
    _leave_fork_server()


def _leave_fork_server() -> None:
    """In a forked child: the fork server is a child of the parent.

    multiprocessing would ask the system whether it has ended, and fail. And it would not end with the parent,
    while this process has the descriptor that keeps it alive.
    """
    module: Any = sys.modules.get("multiprocessing.forkserver")
    server: Any = getattr(module, "_forkserver", None)
    if getattr(server, "_forkserver_pid", None) is not None:
        server._lock = threading.Lock()
        server._forkserver_pid = server._forkserver_address = None
        descriptor, server._forkserver_alive_fd = server._forkserver_alive_fd, None
        with contextlib.suppress(OSError):
            os.close(descriptor)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_changing.acquire, after_in_parent=_changing.release, after_in_child=_disown_all
    )
