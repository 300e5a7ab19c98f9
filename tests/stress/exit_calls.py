"""Code that daemon threads run when the interpreter ends (see `exits`): oxthreads calls Python code in it.

Before Python 3.14 (3.13.8), a thread that waits for the GIL at that time is ended by unwinding its stack.
Here there is a Rust frame on that stack, below the Python code.
"""

from __future__ import annotations

#: The Python code that is called. In it the thread releases the GIL.
PREPARE = """
import gc, logging, weakref
logging.disable()  # of what a callback raises
def pause(*args): time.sleep(1e-4); sum(range(100))
alive = []
class Slow:
    def __init__(self, value=1e-4): self.value = value
    def __lt__(self, other): pause(); return self.value < other
    def __gt__(self, other): pause(); return self.value > other
    def __le__(self, other): pause(); return self.value <= other
    def __ge__(self, other): pause(); return self.value >= other
    def __add__(self, other): pause(); return self.value + other
    def __sub__(self, other): pause(); return self.value - other
    def __bool__(self): pause(); return bool(self.value)
    __radd__, __hash__, __eq__ = __add__, object.__hash__, object.__eq__
class SlowNumber(Slow):
    def __float__(self): pause(); return float(self.value)
    def __index__(self): pause(); return int(self.value)
class Mortal:
    def __del__(self, pause=pause): pause()
    def __call__(self, *args): return self
class Falsy(Exception):
    def __bool__(self): pause(); return False
class SlowLock:
    def __init__(self): self.lock = threading.Lock()
    def acquire(self, *args): pause(); return self.lock.acquire(*args)
    def release(self): pause(); self.lock.release()
    def locked(self): pause(); return self.lock.locked()
    def __enter__(self): self.acquire()
    def __exit__(self, *args): self.release()
class Proxy:
    def __init__(self, of): self.of = of
    def __getattr__(self, name): pause(); return getattr(self.of, name)
class SlowClass(type):
    def __getattribute__(cls, name): pause(); return super().__getattribute__(name)
class OfSlowClass(queue.Queue, metaclass=SlowClass): pass
class HookedQueue(queue.Queue):
    def _put(self, item): pause(); super()._put(item)
    def _get(self): pause(); return super()._get()
    def _qsize(self): pause(); return super()._qsize()
class Counted(Mortal):
    def __init__(self): alive.append(1)
    def __del__(self, pause=pause, alive=alive): pause(); alive.pop()
def garbage(*more):  # no more than is collected: with no end of it, a collection has no end
    if gc.get_threshold()[0] == 700: gc.set_threshold(5)
    if len(alive) < 4: cycle = [Counted(), *more]; cycle.append(cycle)
def generate(*args):
    try: pause(); yield 1; pause(); yield 2
    finally: pause()
def fail(): yield 1; raise Particular
class Empty(Mortal):  # what is false, and goes at once
    def __bool__(self): return False
class Odd:
    def __lt__(self, other): return Empty()
    __gt__ = __lt__
class Particular(Exception):
    def __setattr__(self, name, value): pause(); super().__setattr__(name, value)
    def __getattribute__(self, name): pause(); return super().__getattribute__(name)
class MortalLock(threading.Semaphore):
    def locked(self): return not self._value
    def acquire(self, *args): super().acquire(*args); return Mortal()
    def release(self): super().release(); return Mortal()
    def __enter__(self): return self.acquire()
    def __exit__(self, *args): super().release(); return Empty()
    def _is_owned(self): return True
class MortalHooks(queue.Queue):
    def _put(self, item): super()._put(item); return Mortal()
class Limited(queue.Queue):
    @property
    def maxsize(self): pause(); return 0
    @maxsize.setter
    def maxsize(self, value): pause()
def watched(thing=Mortal):
    it = thing(); weakref.finalize(it, pause).atexit = False
    return it
slow_lock, hooked = threading.Condition(SlowLock()), HookedQueue()
proxied = threading.Condition(Proxy(threading.Lock()))
mortal_lock, mortal_hooks = threading.Condition(MortalLock()), MortalHooks()
"""

#: What the threads do again and again. The key says what calls the Python code.
CALLS = {
    "PriorityQueue, __lt__": "priority.put(Slow()); priority.put(Slow(2)); priority.get()",
    "PriorityQueue.put_many, __lt__": "priority.put_many([Slow(), Slow(2), Slow(0)]); priority.get_many(3)",
    "Queue.put_many, an iterable": "items.put_many(generate()); items.get_many(2)",
    "Queue.put_many, bounded": """
            full.get_many(1)
            try: full.put_many(generate(), timeout=1e-3)
            except queue.Full: pass""",
    "SimpleQueue.put_many, an iterable": "simple.put_many(generate()); simple.get_many(2)",
    "a Queue's hooks": "hooked.put(1); hooked.get()",
    "a Queue's hooks, many": "hooked.put_many([1, 2]); hooked.get_many(2)",
    "a Queue's hooks, waiting": "hooked.put(1); hooked.get(); hooked.task_done(); hooked.join()",
    "Barrier, an action": "threading.Barrier(1, pause).wait()",
    "Condition, a lock": "slow_lock.acquire(); slow_lock.release()",
    "Condition, a lock, with": "with slow_lock: pass",
    "Condition, a lock behind another": "proxied.acquire(); proxied.release()",
    "Condition, a lock behind another, with": "with proxied: proxied.notify()",
    "a queue of a class of its own class": "q = OfSlowClass(); q.put_many([1]); q.get()",
    "Condition, a lock's results": "mortal_lock.acquire(); mortal_lock.release()",
    "Condition, a lock's results, with": "with mortal_lock: mortal_lock.notify()",
    "Condition.wait, a lock's results": "with mortal_lock: mortal_lock.wait(1e-4)",
    "Condition.wait_for, a predicate's result": """
            with condition: condition.wait_for(Empty, 1e-3)""",
    "Barrier, an action's result": "threading.Barrier(1, Mortal).wait()",
    "PriorityQueue, what __lt__ returns": """
            priority.put(Odd()); priority.put(Odd()); priority.get_many(2)""",
    "a Queue's hooks, their results": "mortal_hooks.put_many([1, 2]); mortal_hooks.get_many(2)",
    "a Queue's attribute": "q = Limited(); q.put(1); q.get()",
    "Queue.put_many, a generator that is left": """
            try: full.put_many(generate(), timeout=0)
            except queue.Full: pass""",
    "Queue.put_many, an exception's __setattr__": """
            try: items.put_many(fail())
            except Particular: pass""",
    "a future's exception, its attributes": """
            f = Future(); f.set_exception(Particular())
            try: f.result()
            except Particular: pass""",
    "an initializer's result": """
            p = ThreadPoolExecutor(1, initializer=Mortal); p.submit(int).result(); p.shutdown()""",
    "map, an iterable that is left": "next(pool.map(str, generate(), buffersize=1))",
    "map, what progress returns": "list(pool.map(str, range(3), progress=lambda *_: Mortal()))",
    "Condition.wait, a lock": "with slow_lock: slow_lock.notify(); slow_lock.wait(1e-4)",
    "Condition.wait_for, a predicate": "with condition: condition.wait_for(pause, 1e-3)",
    "Condition.notify, a number": "with condition: condition.notify(Slow(1))",
    "Queue.get, a timeout": """
            try: items.get(timeout=Slow())
            except (queue.Empty, TypeError): pass""",
    "Queue.put, a timeout": """
            try: full.put(1, timeout=Slow())
            except (queue.Full, TypeError): pass""",
    "Event.wait, a timeout": """
            try: event.wait(Slow())
            except TypeError: pass""",
    "Condition.wait, a timeout": """
            try:
                with condition: condition.wait(Slow())
            except TypeError: pass""",
    "Semaphore.acquire, a timeout": """
            try: semaphore.acquire(timeout=Slow())
            except TypeError: pass""",
    "Semaphore.acquire, blocking": "semaphore.release(); semaphore.acquire(Slow())",
    "Semaphore.release, a number": """
            try: semaphore.release(Slow(1))
            except TypeError: pass  # as the standard library's, once it has compared
            else: semaphore.acquire()""",
    "Barrier.wait, a timeout": """
            try: barrier.wait(Slow())
            except (threading.BrokenBarrierError, TypeError): barrier.reset()""",
    "Future.result, a timeout": """
            try: future.result(Slow())
            except (TimeoutError, TypeError): pass""",
    "Lock.acquire, a number": "lock2.acquire(timeout=SlowNumber(1)) and lock2.release()",
    "Lock.acquire, blocking": "lock2.acquire(SlowNumber(1)) and lock2.release()",
    "RLock.acquire, a number": "rlock2.acquire(timeout=SlowNumber(1)) and rlock2.release()",
    "Event.wait, a number": "event.wait(SlowNumber(0.5e-3))",
    "a barrier gone, its timeout": "threading.Barrier(1, timeout=Mortal())",
    "Queue.get, a number": """
            try: items.get(timeout=SlowNumber(1e-3))
            except queue.Empty: pass""",
    "a queue's size": "queue.Queue(Slow(1)).put(1)",
    "a semaphore's value": "threading.Semaphore(Slow(1)).acquire()",
    "a queue gone, __del__": "q = queue.Queue(); q.put(Mortal()); del q",
    "a LifoQueue gone, __del__": "q = queue.LifoQueue(); q.put(Mortal()); del q",
    "a PriorityQueue gone, __del__": "q = queue.PriorityQueue(); q.put((1, Mortal())); del q",
    "a SimpleQueue gone, __del__": "q = queue.SimpleQueue(); q.put(Mortal()); del q",
    "a queue gone, a weak reference": "q = queue.Queue(); q.put(watched(Slow)); del q",
    "a queue begun anew, __del__": "items.put(Mortal()); items.__init__()",
    "a queue shut down, __del__": """
            q = queue.Queue(); q.put(Mortal()); getattr(q, 'shutdown', lambda now: None)(True)""",
    "a future gone, __del__": "f = Future(); f.set_result(Mortal()); del f",
    "a future gone, a weak reference": "f = Future(); f.set_result(watched(Slow)); del f",
    "a future gone, its attributes": "f = Future(); f.kept = Mortal(); del f",
    "a future gone, its callbacks": "f = Future(); f.add_done_callback(Mortal()); del f",
    "a future's callback": "f = Future(); f.add_done_callback(pause); f.set_result(1)",
    "a done future's callback": "f = Future(); f.set_result(1); f.add_done_callback(pause)",
    "a cancelled future's callback": "f = Future(); f.add_done_callback(pause); f.cancel()",
    "a future's callback, __del__": """
            f = Future(); f.add_done_callback(lambda f: Mortal()); f.set_result(1)""",
    "a future's callback, which fails": """
            f = Future(); f.add_done_callback(lambda f: pause() or 1 / 0); f.set_result(1)""",
    "a future's exception, __bool__": """
            f = Future(); f.set_exception(Falsy())
            try: f.result()
            except Falsy: pass""",
    "wait, an iterable": "f = Future(); f.set_result(1); wait_for_all([f for _ in generate()], 1e-4)",
    "map, an iterable": "list(pool.map(str, generate()))",
    "map, progress": "list(pool.map(str, range(3), progress=pause))",
    "map, progress, a buffer": "list(pool.map(str, generate(), progress=pause, buffersize=2))",
    "a condition gone": "c = threading.Condition(SlowLock()); c.kept = Mortal(); del c",
    "a barrier gone, its action": "threading.Barrier(1, Mortal())",
    "an event gone": "e = threading.Event(); e.kept = Mortal(); del e",
    "a semaphore gone": "e = threading.Semaphore(); e.kept = Mortal(); del e",
    "a call gone, __del__": "pool.submit(Mortal(), Mortal()).result()",
    "garbage, collected": "garbage(queue.Queue()); gc.collect()",
    "garbage, beside a queue made": "garbage(); queue.Queue()",
    "garbage, beside a future made": "garbage(); f = Future(); f.set_result([f])",
    "garbage, beside a call": "garbage(); pool.submit(int)",
    "garbage, beside a wait": """
            garbage()
            try: items.get(timeout=1e-5)
            except queue.Empty: pass""",
}
