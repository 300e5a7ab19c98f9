"""Programs that a watch could take for hangs, and that go on; and what a watch must not break.

Each runs in a process of its own, with a watch.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.one_thread("starts child interpreters")

BEGIN = """
import gc, os, signal, sys, time
from oxthreads import diagnose, threading, queue
from oxthreads import _oxthreads as native
from oxthreads.concurrent.futures import Future, ThreadPoolExecutor
from oxthreads.diagnose import _situation, _watch
"""


def run(program: str, mode: str = "report", limit: float = 60) -> tuple[str, list[str]]:
    """What a program prints, and the first lines of reports and errors."""
    text = BEGIN + (f"diagnose.watch({mode!r})\n" if mode else "") + textwrap.dedent(program)
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", text],
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout, re.findall(
        r"^oxthreads: .*|^\S*Error\b.*|^Exception ignored.*", process.stderr, re.MULTILINE
    )


def verdicts(said: list[str]) -> list[str]:
    """The reports of what is certain."""
    return [line for line in said if line.startswith(("oxthreads: deadlock", "oxthreads: all"))]


def test_a_lock_that_its_owner_waits_for_in_acquire() -> None:
    # Another thread releases what the `with` took, and the `with` releases what `acquire` took.
    output, said = run("""
        lock = threading.Lock()
        def release():
            time.sleep(2)
            lock.release()
        with lock:
            threading.Thread(target=release).start()
            lock.acquire()
        print("done")
    """)
    assert (output, said) == ("done\n", [])


def test_the_same_in_a_with_statement_is_a_deadlock() -> None:
    output, said = run(
        """
        lock = threading.Lock()
        class Account:
            lock = threading.Lock()
        def one_function():
            with lock:
                with lock:
                    pass
        def two_items():
            with lock, lock:
                pass
        def other_frame():
            with Account.lock:
                inner()
        def inner():
            with Account.lock as taken, lock:
                pass
        for function in one_function, two_items, other_frame:
            try:
                function()
            except diagnose.DeadlockError:
                print(function.__name__)
        """,
        "raise",
    )
    assert output.split() == ["one_function", "two_items", "other_frame"]
    assert len(verdicts(said)) == 3


def test_a_condition_with_an_exit_of_its_own() -> None:
    output, said = run("""
        class Quiet(threading.Condition):
            def __exit__(self, *error):
                if self._lock.locked():
                    self._lock.release()
        quiet, lock, both = Quiet(threading.Lock()), threading.Lock(), threading.Barrier(2)
        def other():
            with lock:
                both.wait()
                quiet._lock.acquire()
        def rescue():
            time.sleep(2)
            quiet._lock.release()
        for target in other, rescue:
            threading.Thread(target=target).start()
        with quiet:
            both.wait()
            with lock:
                print("done")
    """)
    assert output == "done\n"
    assert verdicts(said) == []


@pytest.mark.skipif(os.name != "posix", reason="needs signals from another process")
@pytest.mark.parametrize("way", ["acquire", "with"])
def test_a_signal_handler_releases_an_rlock_of_its_thread(way: str) -> None:
    # What a `with` statement has taken cannot be released in the middle: its end would fail.
    taken = "rlock" if way == "with" else "contextlib.nullcontext(rlock.acquire())"
    # Longer than a watch needs; and from another process, because a timer here would be noticed.
    in_time = 'subprocess.Popen(["sh", "-c", f"sleep 2; kill -USR1 {os.getpid()}"])'
    when_reported = "_watch.listeners.append(lambda text: os.kill(os.getpid(), signal.SIGUSR1))"
    output, said = run(f"""
        import contextlib, subprocess
        rlock, lock, both = threading.RLock(), threading.Lock(), threading.Barrier(2)
        def other():
            with lock:
                both.wait()
                rlock.acquire()
                rlock.release()
        signal.signal(signal.SIGUSR1, lambda *_: rlock.release())
        threading.Thread(target=other).start()
        try:
            with {taken}:
                both.wait()
                {when_reported if way == "with" else in_time}
                with lock:
                    print("done")
        except RuntimeError:
            print("the end of the with statement has failed")
    """)
    if way == "acquire":
        assert output == "done\n"
        assert verdicts(said) == []
    else:
        assert output == "done\nthe end of the with statement has failed\n"
        assert len(verdicts(said)) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_signal_handler_releases_a_lock_of_the_parent() -> None:
    output, said = run("""
        lock, is_over = threading.Lock(), threading.Event()
        def take():
            lock.acquire()
            is_over.wait()
        threading.Thread(target=take).start()
        while not lock.locked():
            time.sleep(0.01)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, lambda *_: lock.release())
            signal.setitimer(signal.ITIMER_REAL, 2)
            lock.acquire()
            print("done", flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        is_over.set()
    """)
    assert output == "done\n"
    assert verdicts(said) == []


def test_a_future_that_another_thread_completes() -> None:
    # Who called `set_running_or_notify_cancel` need not run the call.
    output, said = run("""
        future = Future()
        future.set_running_or_notify_cancel()
        def complete():
            time.sleep(2)
            future.set_result("done")
        threading.Thread(target=complete).start()
        print(future.result())
    """)
    assert (output, said) == ("done\n", [])


#: Another thread does something while the watch looks at a wait: where it asks for the owner of a lock.
MEANWHILE = """
class Pin:
    # A pin that lets other threads run at the worst moment.
    def __init__(self, numbers, meanwhile):
        self.pin, self.meanwhile = native.Pin(numbers), meanwhile
    def sleeps(self):
        return self.pin.sleeps()
    def owner(self, number):
        if self.meanwhile:
            self.meanwhile()
            self.meanwhile = None
        return self.pin.owner(number)
def endless():
    return [sleep for sleep in native.asleep() if sleep[5] is None]
"""


def test_an_owner_that_began_while_the_watch_looked() -> None:
    # The list of threads is older than that owner, which looks as if it had ended.
    output, _ = run(
        MEANWHILE
        + textwrap.dedent("""
        _watch._record()
        rlock, go = threading.RLock(), threading.Event()
        kept = threading.Event()
        def keep():
            with rlock:
                kept.set()
                go.wait(30)
        def wait():
            with rlock:
                pass
        has, is_over = threading.Event(), threading.Event()
        def take():
            with rlock:
                has.set()
                is_over.wait(30)
        threads = [threading.Thread(target=each) for each in (keep, wait)]
        threads[0].start()
        kept.wait(30)
        threads[1].start()
        while not endless():
            time.sleep(0.01)
        def meanwhile():
            # The waiter is pinned, so another thread can have the lock before it.
            go.set()
            threads[0].join()
            threads.append(threading.Thread(target=take))
            threads[2].start()
            has.wait(30)
        pin = Pin([endless()[0][1]], meanwhile)
        situation = _situation.Situation(pin)
        print(situation.stuck("certain"))
        pin.pin.release()
        is_over.set()
        for thread in threads:
            thread.join()
        """),
        mode="",
    )
    assert output == "set()\n"


@pytest.mark.parametrize("how", ["join", "event"])
def test_the_last_other_thread_ends_while_the_watch_looks(how: str) -> None:
    # It has woken the one that is left, which is pinned: it has not gone on yet.
    output, _ = run(
        f"how = {how!r}\n"
        + textwrap.dedent("""
        import _thread
        _watch._record()
        event, go = threading.Event(), threading.Event()
        def last():
            go.wait(30)
            event.set()
        thread = threading.Thread(target=last)
        thread.start()
        def wait():
            thread.join() if how == "join" else event.wait()
        waiter = threading.Thread(target=wait)
        waiter.start()
        while not (numbers := [sleep[1] for sleep in native.asleep() if sleep[5] is None]):
            time.sleep(0.01)
        with native.Pin(numbers) as pin:
            situation = _situation.Situation(pin)
            assert len(situation.waits) == 1
            go.set()
            while thread.is_alive():
                time.sleep(0.01)
            # As the thread of the watch would see it: without this thread. Nobody else is left.
            situation.others = lambda: [waiter.ident]
            _situation.has_no_other_threads = lambda known: True
            print(_watch._all_are_asleep(situation))
        waiter.join()
        """),
        mode="",
    )
    assert output == "False\n"


@pytest.mark.parametrize("lock", ["threading.Lock()", "threading.RLock()"])
def test_a_wait_that_takes_the_lock_of_a_condition_again_is_not_ended(lock: str) -> None:
    # Without the lock, the end of its `with` would release what the other thread has.
    output, said = run(
        f"changed = threading.Condition({lock})\n"
        + textwrap.dedent("""
        lock, is_ready, two_has_it = threading.Lock(), threading.Event(), threading.Event()
        def one():
            with changed, lock:
                is_ready.set()
                while not two_has_it.is_set():  # it may be later than this wait
                    changed.wait(0.5)
                sys.stdout.write("one has it again\\n")
        def two():
            is_ready.wait()
            try:
                with changed:
                    two_has_it.set()
                    with lock:
                        pass
            except diagnose.DeadlockError:
                sys.stdout.write("two is ended\\n")
        threads = [threading.Thread(target=each) for each in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        """),
        "raise",
    )
    assert sorted(output.splitlines()) == ["one has it again", "two is ended"]
    assert len(verdicts(said)) == len(said) == 1


def test_no_finalizer_runs_while_threads_are_pinned() -> None:
    # It might wait for what one of them has.
    output, said = run(
        """
        lock = threading.Lock()
        ended = []
        class Node:
            def __init__(self):
                self.me = self
            def __del__(self):
                with lock:
                    ended.append(1)
        go = threading.Event()
        def keep():
            with lock:
                go.wait(0.3)
                time.sleep(0.1)
        is_over = False
        def report():
            while not is_over:
                diagnose.report()
        gc.set_threshold(20)
        reporter = threading.Thread(target=report)
        reporter.start()
        for _ in range(5):
            thread = threading.Thread(target=keep)
            thread.start()
            while thread.is_alive():
                Node()
                time.sleep(0.001)
        is_over = True
        reporter.join()
        print("done", gc.isenabled())
        """,
        mode="",
    )
    assert (output, said) == ("done True\n", [])


def test_a_listener_that_fails_keeps_no_deadlock_from_being_ended() -> None:
    output, said = run(
        """
        def fail(text):
            raise ValueError(len(text) > 100)
        _watch.listeners.append(fail)
        lock = threading.Lock()
        try:
            with lock, lock:
                pass
        except diagnose.DeadlockError:
            print("ended")
        """,
        "raise",
    )
    assert output == "ended\n"
    assert said[1:] == ["oxthreads: a listener of the watch has failed: ValueError(True)"]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers")
@pytest.mark.parametrize("timer", ["REAL SIGALRM", "VIRTUAL SIGVTALRM", "PROF SIGPROF"])
def test_a_timer_ends_the_wait_of_the_main_thread(timer: str) -> None:
    which, number = timer.split()
    output, said = run(f"""
        def stop(*_):
            raise TimeoutError
        signal.signal(signal.{number}, stop)
        def calculate():
            while not is_over:
                pass
        is_over = False
        threading.Thread(target=calculate).start()
        lock = threading.Lock()
        try:
            signal.setitimer(signal.ITIMER_{which}, 0.6)
            with lock, lock:
                pass
        except TimeoutError:
            print("ended")
        is_over = True
    """)
    assert (output, said) == ("ended\n", [])


#: Two threads take two locks in opposite order. `take` may be another function that does that.
CROSS = """
a, b, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
SOURCE = "def take(one, other):\\n with one:\\n  both.wait()\\n  with other: pass"
exec(SOURCE)
def cross(take=take, kind=threading.Thread):
    threads = [kind(target=take, args=pair, daemon=True) for pair in [(a, b), (b, a)]]
    for thread in threads:
        thread.start()
    return threads
"""


def test_a_report_runs_no_code_of_the_program() -> None:
    output, said = run(
        CROSS
        + textwrap.dedent("""
        ran = set()
        class Meta(type):
            def __eq__(self, other):
                ran.add("the comparison of classes")
                return self is other
            __hash__ = type.__hash__
        class Plain(metaclass=Meta):
            pass
        class Disguised(threading.Event):
            @property
            def __class__(self):
                ran.add("a property")
                return str
        class Thread(threading.Thread):
            def __getattribute__(self, name):
                if "diagnose" in sys._getframe(1).f_code.co_filename and not name.startswith(
                    ("_bootstrap", "_invoke", "_ident", "_handle", "is_alive", "join", "_tstate")
                ):
                    ran.add("a look-up in a thread")
                return super().__getattribute__(name)
        class Loader:
            def get_source(self, name):
                ran.add("a loader")
                raise ZeroDivisionError
        plain, plain_key, event = Plain(), {"a": Plain()}, Disguised()
        Thread(target=event.wait, daemon=True).start()
        namespace = {"both": both, "__name__": "loaded", "__loader__": Loader()}
        exec(compile(SOURCE, "loaded.py", "exec"), namespace)
        import linecache
        linecache.lazycache("loaded.py", namespace)
        told = []
        _watch.listeners.append(told.append)
        cross(namespace["take"], Thread)
        while not told:
            time.sleep(0.01)
        assert "for Lock a" in diagnose.report()
        print(ran)
    """)
    )
    assert output == "set()\n"
    assert said == ["oxthreads: deadlock: 2 threads wait for each other, and nothing else can end it."]


def test_what_cannot_be_told_keeps_no_deadlock_from_being_ended() -> None:
    output, said = run(
        CROSS
        + textwrap.dedent("""
        from oxthreads.diagnose import _report
        def fail(*_):
            raise ZeroDivisionError
        _report.thing = _report.place = fail
        for thread in cross():
            thread.join()
        print("ended")
        """),
        "raise",
    )
    assert output == "ended\n"
    assert said[0] == "oxthreads: deadlock: 2 threads wait for each other, and nothing else can end it."


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted on Linux only")
def test_ctrl_c_ends_no_program_that_ignores_it() -> None:
    output, said = run("""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        _watch._report.write = lambda text: (print(text.splitlines()[0], flush=True), os._exit(0))
        threading.Event().wait()
    """)
    assert output == (
        "oxthreads: all 2 threads sleep without a time-out; nothing in the program can end it.\n"
    )
    assert said == []


def test_a_hook_that_raises_is_told_of_in_one_line() -> None:
    output, said = run(
        CROSS
        + textwrap.dedent("""
        may_look = False
        def hook(event, arguments):
            if event == "sys._current_frames" and not may_look:
                raise ZeroDivisionError
        sys.addaudithook(hook)
        told = []
        _watch.listeners.append(told.append)
        cross()
        while not _watch._failures:
            time.sleep(0.01)
        time.sleep(1)  # it fails again, of which nothing is said
        may_look = True
        while not told:
            time.sleep(0.01)
        print("done")
        """)
    )
    assert output == "done\n"
    assert len(said) == 2
    assert re.fullmatch(
        r"oxthreads: the watch could not look at the threads: ZeroDivisionError at \S+:\d+", said[0]
    )
    assert said[1] == "oxthreads: deadlock: 2 threads wait for each other, and nothing else can end it."


def test_threads_that_end_at_the_same_time() -> None:
    # Only the latest ends are kept. Several threads remove others at a time.
    output, said = run("""
        sys.setswitchinterval(1e-6)
        def start_many():
            for _ in range(400):
                threads = [threading.Thread(target=int) for _ in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
        starters = [threading.Thread(target=start_many) for _ in range(4)]
        for starter in starters:
            starter.start()
        for starter in starters:
            starter.join()
        print("done")
    """)
    assert (output, said) == ("done\n", [])


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers")
def test_a_join_inside_a_join_compares_no_threads() -> None:
    output, said = run("""
        class Thread(threading.Thread):
            def __eq__(self, other):
                raise ZeroDivisionError
            __hash__ = threading.Thread.__hash__
        first, second = [Thread(target=time.sleep, args=(seconds,)) for seconds in (1, 0.5)]
        first.start()
        second.start()
        signal.signal(signal.SIGALRM, lambda *_: second.join())
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        first.join()
        print("done")
    """)
    assert (output, said) == ("done\n", [])


#: Does all kinds of things with all kinds of objects, correctly, for so many seconds.
BUSY = """
import random
sys.setswitchinterval(1e-6)
end = time.monotonic() + SECONDS
locks = [threading.Lock() for _ in range(3)] + [threading.RLock() for _ in range(2)]
outer, changed, turn = threading.Lock(), threading.Condition(), [0]
jobs, events = queue.Queue(5), [threading.Event() for _ in range(2)]
permits, both = threading.Semaphore(2), threading.Barrier(2)
signal_lock, errors = threading.Lock(), []
signal_lock.acquire()

def until_over(function):
    def run():
        try:
            while time.monotonic() < end:
                function()
        except BaseException as error:
            errors.append(repr(error))
            raise
    return run

@until_over
def in_order():
    first, second = sorted(random.sample(range(len(locks)), 2))
    with locks[first]:
        with locks[second]:
            if random.random() < 0.001:
                time.sleep(0.15)

def takes_turns(own):
    def turns():
        while time.monotonic() < end:
            with changed:
                # The other one may have left: its clock is a little later.
                while turn[0] != own and not has_left:
                    changed.wait()
                turn[0] = 1 - own
                changed.notify_all()
        with changed:
            has_left.append(own)
            changed.notify_all()
    return turns

has_left = []

@until_over
def calls():
    with ThreadPoolExecutor(random.randint(1, 3)) as pool:
        futures = [pool.submit(call) for _ in range(5)]
        for future in futures:
            future.result()

def call():
    with locks[0]:
        if random.random() < 0.1:
            time.sleep(0.001)

@until_over
def starts():
    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

@until_over
def holds_and_joins():
    # The thread that is joined needs another lock than the one that is held, which nobody else needs.
    thread = threading.Thread(target=call)
    with outer:
        thread.start()
        thread.join()

def puts():
    while time.monotonic() < end:
        jobs.put(random.random())
    jobs.put(None)

def gets():
    while jobs.get() is not None:
        jobs.task_done()

def pings():
    while time.monotonic() < end:
        events[0].set()
        events[1].wait()
        events[1].clear()
    events[0].set()

def pongs():
    while time.monotonic() < end:
        events[0].wait()
        events[0].clear()
        events[1].set()
    events[1].set()

@until_over
def has_permits():
    with permits:
        if random.random() < 0.01:
            time.sleep(0.01)

def waits_for_signal():
    # A lock as a signal.
    for _ in range(10):
        signal_lock.acquire()

def signals():
    for _ in range(10):
        time.sleep(SECONDS / 20)
        while not signal_lock.locked():
            time.sleep(0.01)
        signal_lock.release()

@until_over
def reports():
    diagnose.report()
    time.sleep(0.2)

targets = [in_order, in_order, in_order, takes_turns(0), takes_turns(1), calls, starts, holds_and_joins]
targets += [puts, gets, pings, pongs, has_permits, has_permits, has_permits]
targets += [waits_for_signal, signals, reports]
threads = [threading.Thread(target=target) for target in targets]
for thread in threads:
    thread.start()
FORKS
for thread in threads:
    thread.join()
print("done", errors)
"""

FORKS = """
while time.monotonic() < end:
    child = os.fork()
    if child == 0:
        event = threading.Event()
        threading.Thread(target=lambda: (time.sleep(0.3), event.set())).start()
        event.wait()
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.mark.parametrize("mode", ["report", "raise"])
@pytest.mark.parametrize(
    "seconds", [4, pytest.param(60, marks=[pytest.mark.stress, pytest.mark.timeout(200)])]
)
def test_nothing_is_said_of_a_busy_program(mode: str, seconds: int) -> None:
    busy = BUSY.replace("SECONDS", str(seconds)).replace("FORKS", "")
    assert run(busy, mode, 60 + seconds) == ("done []\n", [])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_nothing_is_said_of_a_busy_program_that_forks() -> None:
    busy = BUSY.replace("SECONDS", "4").replace("FORKS", FORKS)
    assert run(busy, "report", 60) == ("done []\n", [])


def test_a_watch_that_is_stopped_and_started_again_and_again() -> None:
    output, said = run("""
        lock = threading.Lock()
        end = time.monotonic() + 2
        def work():
            while time.monotonic() < end:
                with lock:
                    pass
        def waits():
            while time.monotonic() < end:
                threading.Event().wait(0.01)
        def watches():
            while time.monotonic() < end:
                diagnose.watch("raise").stop()
        threads = [threading.Thread(target=each) for each in (work, work, waits, watches, watches)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        diagnose.watch("raise")
        try:
            with lock:
                with lock:
                    pass
        except diagnose.DeadlockError:
            print("ended")
    """)
    assert output == "ended\n"
    assert len(verdicts(said)) == len(said) == 1
