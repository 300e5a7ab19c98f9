"""A ``__del__`` that runs when modules are torn down and no other thread runs any more; see `exits`."""

from __future__ import annotations

from tests.stress.exit_calls import PREPARE

#: It writes its exception itself, because sys.stderr may be gone by then.
_LATE = """
class Late:
    def __del__(self, late=late, write=os.write):
        try: late()
        except BaseException as error: write(2, f'{type(error).__name__}: {error}'.encode())
"""

#: When it runs: together with the first of the program's globals, or together with the last module.
_WITH = {"": "_kept = Late()", ", last of all": "sys.keep = Late()"}

#: It uses everything that needs no other thread.
_USE = f"""{PREPARE}
# From 3.15 on a wait with a timeout is refused as well, where no other thread runs any more.
refused = (PythonFinalizationError,) if sys.version_info >= (3, 15) else ()
def expect(error, call, *arguments):
    try: call(*arguments)
    except (error, *refused): pass
    else: raise AssertionError(error.__name__)
def try_for(call, *arguments, **keywords):
    try: return call(*arguments, **keywords)
    except refused: pass
def late():
    with threading.Lock(), threading.RLock(): pass
    try_for(lock.acquire, timeout=1e-3); rlock.acquire(); rlock.release()
    for each in (condition, plain, slow_lock):
        with each: each.notify_all(); try_for(each.wait, 1e-4)
    semaphore.release(); semaphore.acquire(); try_for(semaphore.acquire, timeout=1e-3)
    event.set(); event.wait(); event.clear(); try_for(event.wait, 1e-4)
    threading.Barrier(1).wait(); threading.Barrier(1, pause).wait()
    expect(threading.BrokenBarrierError, threading.Barrier(2).wait, 1e-3)
    items.put(1); items.get(); items.put_many([1, 2]); items.get_many(2)
    expect(queue.Empty, items.get_nowait); expect(queue.Empty, items.get, True, 1e-3)
    expect(queue.Full, full.put_nowait, 1); expect(queue.Full, full.put, 1, True, 1e-3)
    other = queue.Queue(); other.put(1); other.mutex; other.get(); hooked.put(1); hooked.get()
    ordered = queue.PriorityQueue(); ordered.put(Slow()); ordered.put(Slow()); ordered.get()
    joined = queue.Queue(1); joined.put(1); joined.get(); joined.task_done(); joined.join()
    simple = queue.SimpleQueue(); simple.put(Mortal()); simple.get(); expect(queue.Empty, simple.get, False)
    f = Future(); f.add_done_callback(lambda f: f.result()); f.set_result(1)
    wait_for_all([f]); list(as_completed([f])); f.result(); f._condition; f.result()
    expect(TimeoutError, future.result, 1e-3)
"""

#: It waits for something that no thread can do any more. From 3.13 on that is refused. Before, it hangs, as
#: in the standard library, so the test leaves it out.
_HOPELESS = """
import builtins
def late(wait={}, error=getattr(builtins, 'PythonFinalizationError', None)):
    try: wait()
    except error: pass
    else: raise AssertionError('it was not refused')
if sys.version_info < (3, 13): late = int
"""

_HOPELESS_WAITS = {
    "Lock.acquire": "lock.acquire",
    "Semaphore.acquire": "semaphore.acquire",
    "Condition.wait": "lambda wait=wait, condition=condition: wait(condition)",
    "Condition(Lock).wait": "lambda wait=wait, plain=plain: wait(plain)",
    "Event.wait": "event.wait",
    "Barrier.wait": "barrier.wait",
    "Queue.get": "items.get",
    "Queue.put": "lambda full=full: full.put(2)",
    "Queue.join": "full.join",
    "Queue.get_many": "items.get_many",
    "SimpleQueue.get": "queue.SimpleQueue().get",
    "Future.result": "future.result",
    "wait": "lambda: wait_for_all([future])",
    "as_completed": "lambda: list(as_completed([future]))",
}

#: These are written in Python, in a module that is gone before the last one.
_NOT_LAST = {"wait", "as_completed"}

LATE = {
    "used by a late __del__": f"{_USE}{_LATE}{_WITH['']}",
    "used by a late __del__ again": f"{_USE}late()\n{_LATE}{_WITH['']}",
    **{
        f"{name} in a late __del__{when}": _HOPELESS.format(wait) + _LATE + with_
        for name, wait in _HOPELESS_WAITS.items()
        for when, with_ in _WITH.items()
        if not (when and name in _NOT_LAST)
    },
}
