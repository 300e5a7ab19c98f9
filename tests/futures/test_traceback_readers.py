"""Tests of tools that read the tracebacks of calls.

Other tests check what a traceback keeps alive, and the first error of a process.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import io
import pdb
import re
import sys
import traceback
import weakref
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.interpreters import python
from tests.support.threads import functions_here
from tests.support.tracebacks import Told, caught, done, fail, failed, frames
from tests.support.waiting import spin_until


def caught_twice(library: BackEnd) -> BaseException:
    """Return an exception of a call. Its traceback has every kind of frame."""
    with library.futures.ThreadPoolExecutor(1) as executor:
        error = caught(list, executor.map(fail, [1]))
    caught(failed(library, error).result)
    return error


def shown(library: BackEnd) -> str:
    return "".join(traceback.format_exception(caught_twice(library)))


def test_the_printed_traceback_is_the_standard_one() -> None:
    # `map` may or may not have waited for the result. The standard library then reads it in another line.
    lines = [
        [line for line in shown(library).splitlines() if "in result" not in line]
        for library in (STANDARD, OXTHREADS)
    ]
    assert lines[0] == lines[1]
    assert "    result = " in shown(OXTHREADS)
    assert "    raise self._exception" in shown(OXTHREADS)


def test_a_traceback_has_all_the_usual_attributes(library: BackEnd) -> None:
    error = caught_twice(library)
    stack = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), capture_locals=True)
    assert len(stack) == len(frames(error))
    assert all(frame.line for frame in stack)
    entry = error.__traceback__
    while entry is not None:
        frame = entry.tb_frame
        assert frame.f_globals["__name__"]
        assert isinstance(dict(frame.f_locals), dict)
        assert isinstance(frame.f_lineno, int)
        assert frame.f_builtins["print"] is print
        assert inspect.getframeinfo(entry).code_context
        assert 0 <= entry.tb_lasti < len(frame.f_code.co_code)
        while frame is not None:  # its callers
            assert frame.f_code.co_name
            frame = frame.f_back  # type: ignore[assignment]
        entry = entry.tb_next
    try:
        raise error
    except BaseException:
        assert [frame.function for frame in inspect.trace()][1:] == [name for name, *_ in frames(error)][1:]


def test_a_debugger_can_look_at_every_frame(library: BackEnd) -> None:
    error, output = caught_twice(library), io.StringIO()
    commands = ["up", "args", "list", "p __name__"] * (len(frames(error)) - 1) + ["where", "quit"]
    debugger = pdb.Pdb(stdin=io.StringIO("\n".join(commands)), stdout=output, nosigint=True, readrc=False)
    debugger.reset()
    debugger.interaction(None, error.__traceback__)
    assert output.getvalue().count("'concurrent.futures._base'") >= 4
    assert "'concurrent.futures.thread'" in output.getvalue()
    assert not re.search(r"\*\*\* \w*Error", output.getvalue())


def test_the_frames_can_be_cleared(library: BackEnd) -> None:
    for _ in range(2):
        error = caught_twice(library)
        expected = frames(error)
        traceback.clear_frames(error.__traceback__)
        assert frames(error) == expected


def test_changes_to_the_frames_do_not_reach_the_next_error() -> None:
    error = done(OXTHREADS, fail).exception()
    frame = error.__traceback__.tb_frame
    assert dict(frame.f_locals) == {}
    frame.f_trace = None
    error.__traceback__.tb_next = None
    other = done(OXTHREADS, fail).exception()
    assert frames(other) == frames(done(STANDARD, fail).exception())
    assert dict(other.__traceback__.tb_frame.f_locals) == {}


def test_the_stack_of_a_worker_has_a_frame_of_ours(library: BackEnd) -> None:
    def stack() -> list[str]:
        return functions_here()

    worker = ["work"] if library is OXTHREADS else ["run"] * (1 + (sys.version_info >= (3, 14)))
    assert done(library, stack).result() == [
        "stack",
        *worker,
        "_worker",
        "run",
        "_bootstrap_inner",
        "_bootstrap",
    ]


class Thing:
    """An object that can have weak references."""


@pytest.mark.parametrize("reads", [0, 1, 2])
def test_the_arguments_and_the_exception_of_a_call_are_freed(library: BackEnd, reads: int) -> None:
    def ask(futures: list[Any]) -> None:
        # The traceback holds this frame, so this frame must not hold the future.
        with contextlib.suppress(Told, ValueError):
            futures.pop().result()

    things: list[Any] = []
    gc.collect()
    gc.disable()
    try:
        with library.futures.ThreadPoolExecutor(1) as executor:
            future = executor.submit([].index, thing := Thing())
            things.append(weakref.ref(thing))
            del thing
            argument = executor.submit(raise_with, [Thing(), things])
        for _ in range(reads):
            ask([future])
            ask([argument])
        del future, argument
        spin_until(lambda: [thing() for thing in things] == [None, None])
    finally:
        gc.enable()


def raise_with(given: list[Any]) -> None:
    thing, things = given
    things.append(weakref.ref(thing))
    given.clear()
    raise Told(thing)


def test_an_exception_does_not_keep_the_arguments_of_the_call() -> None:
    # From Python 3.14 on, the standard library does: the arguments are in variables of the calling frame.
    with OXTHREADS.futures.ThreadPoolExecutor(1) as executor:
        things: list[Any] = []
        thing = Thing()
        things.append(weakref.ref(thing))
        future = executor.submit([].remove, thing)
        del thing
    assert future.exception() is not None
    spin_until(lambda: things[0]() is None)


FIRST = """
import sys, threading, traceback, weakref, gc, os, signal
from concurrent.futures import ThreadPoolExecutor, Future

def names(error):
    entry, found = error.__traceback__, []
    while entry is not None:
        code = entry.tb_frame.f_code
        found.append((code.co_name, os.path.basename(code.co_filename)))
        entry = entry.tb_next
    return found

def failed():
    future = Future(); future.set_exception(KeyError()); return future

def read(future):
    try: future.result()
    except KeyError as error: return names(error)

class Thing: pass

def the_stack_of_the_first():
    def first():
        thing = Thing()
        try: failed().result()
        except KeyError: return weakref.ref(thing)
    def second():
        pool = ThreadPoolExecutor(1); pool.submit([].pop).exception(); pool.shutdown()
        return weakref.ref(pool)
    gc.disable()
    print(first()())
    gc.collect()
    print(second()())

def many_at_once():
    found, barrier = [], threading.Barrier(16)
    def run():
        barrier.wait()
        for _ in range(200):
            with ThreadPoolExecutor(1) as pool: future = pool.submit([].pop)
            for _ in range(3):
                try: future.result()
                except IndexError as error: last = names(error)
            found.append(last)
    threads = [threading.Thread(target=run) for _ in range(16)]
    [thread.start() for thread in threads]; [thread.join() for thread in threads]
    print(len(found), all(each == found[0] for each in found), found[0])

def at_exit():
    import atexit
    future = failed()
    atexit.register(lambda: print(read(future)))

def in_a_pool_at_exit():
    import atexit
    gate = threading.Event()
    future = ThreadPoolExecutor(1).submit(lambda: gate.wait() and [].pop())
    atexit.register(lambda: print(names(future.exception())))
    gate.set()

class Late:
    def __del__(self, read=read, failed=failed, write=os.write):
        write(1, repr(read(failed())).encode())

def in_the_destructor_of_a_global():
    global late
    late = Late()

def in_the_destructor_of_a_module():
    import types
    module = sys.modules["late"] = types.ModuleType("late")
    module.late = Late()

def in_garbage():
    late = Late(); late.itself = late; del late; gc.collect()

def deep_down():
    future = failed()
    def descend(depth):
        if depth: return descend(depth - 1)
        try: future.result()
        except KeyError: return True
    reached = 0
    for depth in range(0, 1100):
        try: reached += bool(descend(depth))
        except RecursionError: break
    print(0 < reached < 1100)
    print(read(failed()))

def an_interrupt_meanwhile():
    codes = ("standard_frames", "__get_result")
    def trace(frame, event, argument):
        if event == "call" and frame.f_code.co_name in codes[place:place + 1]:
            sys.settrace(None)
            signal.raise_signal(signal.SIGINT)
    for place in range(len(codes)):
        future = failed()
        sys.settrace(trace)
        try: future.result()
        except KeyboardInterrupt as error: print(type(error.__context__), file=sys.stderr)
        except KeyError as error: pass
        finally: sys.settrace(None)
    print(read(failed()))

def a_kill_meanwhile():
    import ctypes
    def trace(frame, event, argument):
        if event == "call" and frame.f_code.co_name == "standard_frames":
            sys.settrace(None)
            kill = ctypes.pythonapi.PyThreadState_SetAsyncExc
            kill(ctypes.c_ulong(threading.get_ident()), ctypes.py_object(SystemExit))
    threading.settrace(trace)
    pool = ThreadPoolExecutor(1)
    print(type(pool.submit([].pop).exception(10)))
    print(names(pool.submit([].pop).exception(10)))
    pool.shutdown()

def small_stacks():
    threading.stack_size(64 * 1024)
    pool = ThreadPoolExecutor(1)
    print(names(pool.submit([].pop).exception()))
    pool.shutdown()

globals()[sys.argv[1]]()
"""

FIRSTS = [
    "the_stack_of_the_first",
    "many_at_once",
    "at_exit",
    "in_a_pool_at_exit",
    "in_the_destructor_of_a_global",
    "in_the_destructor_of_a_module",
    "in_garbage",
    "deep_down",
    "small_stacks",
]

#: Here another exception comes in between. It is raised, with the exception of the call as its context.
DISTURBED = {
    "an_interrupt_meanwhile": "<class 'KeyError'>\n",
    "a_kill_meanwhile": "Exception in worker\n",
}


@pytest.mark.parametrize("where", [*FIRSTS, *DISTURBED])
def test_the_first_error_of_a_process_may_come_anywhere(where: str) -> None:
    expected, ours = (python(FIRST, where, runner=runner) for runner in (False, True))
    assert (expected.returncode, ours.returncode) == (0, 0), ours.stderr
    assert ours.stdout == expected.stdout != ""
    assert ours.stderr.startswith(words := DISTURBED.get(where, ""))
    assert words or not ours.stderr
