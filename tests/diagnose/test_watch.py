"""A watch in a process: its modes, its children, what it must not disturb, and how waits are ended."""

from __future__ import annotations

import gc
import importlib.util
import os
import signal
import sys
import textwrap
import time
from functools import partial
from pathlib import Path

import pytest

from tests.diagnose.running import COMMON, Run, start

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.skipif(os.name != "posix", reason="the helper that runs programs needs sessions"),
]

HAS_STARTUP_FILE = importlib.util.find_spec("oxthreads_startup") is not None or any(
    (Path(folder) / "oxthreads_startup.pth").exists() for folder in sys.path
)

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at the threads in /proc")


def result(program: str, *options: str) -> str:
    """What a program says on standard error. It must end with status 0 and say "done"."""
    with start(program, *options) as process:
        assert process.ends() == 0, str(process)
        assert process.output == "done\n", str(process)
        return process.errors


def reports(errors: str) -> int:
    return errors.count("oxthreads: deadlock:")


# ---- The watch


def test_a_hang_is_reported_that_begins_with_the_end_of_a_thread_that_has_never_waited() -> None:
    # The watch has looked at the wait, and seen another thread run, before that thread ends.
    program = """
        import _thread, time
        from oxthreads.diagnose import _watch
        looked = []
        are_asleep = _watch._all_are_asleep
        _watch._all_are_asleep = lambda situation: looked.append(are_asleep(situation)) or looked[-1]
        def run():
            while not looked:
                time.sleep(0.01)
        diagnose.watch()
        _thread.start_new_thread(run, ())
        threading.Event().wait()
    """
    with start(program) as process:
        said = "oxthreads: all threads sleep"
        assert process.wait_until(lambda: [] if said in process.errors else [said]) == [], str(process)


def test_an_error_ends_a_deadlock_as_often_as_it_comes() -> None:
    errors = result("""
        a, b = threading.Lock(), threading.Lock()
        diagnose.watch("raise")
        for _ in range(2):
            (error,) = cross(a, b)
            assert str(error).startswith("2 threads wait for each other"), error
            assert not a.locked() and not b.locked()
        print("done")
    """)
    assert reports(errors) == 2, errors


@pytest.mark.parametrize("mode", ["", "1", "RAISE", "everything", None])
def test_another_mode_is_refused(mode: str) -> None:
    from oxthreads import diagnose  # noqa: PLC0415

    with pytest.raises(
        ValueError, match="mode must be 'report', 'raise', 'exit', 'order' or 'order,' and one"
    ):
        diagnose.watch(mode)


@on_linux
def test_a_watch_ends() -> None:
    assert (
        result("""
        watch = diagnose.watch()
        until(lambda: watchers() == 1)
        watch.stop()
        watch.stop()
        until(lambda: watchers() == 0)
        with diagnose.watch() as watch:
            until(lambda: watchers() == 1)
        until(lambda: watchers() == 0)
        try:
            with diagnose.watch():
                until(lambda: watchers() == 1)
                raise KeyError
        except KeyError:
            until(lambda: watchers() == 0)
        print("done")
    """)
        == ""
    )


@on_linux
def test_a_second_call_changes_the_mode() -> None:
    errors = result("""
        diagnose.watch()
        diagnose.watch("raise")
        until(lambda: watchers() == 1)
        assert len(cross(threading.Lock(), threading.Lock())) == 1
        print("done")
    """)
    assert reports(errors) == 1


def test_an_unknown_mode_in_the_environment_is_reported() -> None:
    errors = result("""
        os.environ["OXTHREADS_WATCH"] = "loudly"
        from oxthreads._startup import watch_if_asked
        watch_if_asked()
        print("done")
    """)
    assert errors == "oxthreads: OXTHREADS_WATCH is 'loudly', and not one of report, raise, exit, order\n"


def test_the_examples_of_the_docstrings_are_right() -> None:
    errors = result("""
        import doctest
        ran = doctest.testmod(diagnose, optionflags=doctest.ELLIPSIS)
        assert ran.attempted == 20 and not ran.failed, ran
        print("done")
    """)
    assert reports(errors) == 1, errors


# ---- Children


CHILDREN = {
    "subprocess": """
        code = "from program import crossed; crossed()"
        subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path})
    """,
    "spawn": """
        process = multiprocessing.get_context("spawn").Process(target=crossed)
        process.start()
        process.join()
        assert process.exitcode == 0
    """,
    "fork": """
        process = multiprocessing.get_context("fork").Process(target=crossed)
        process.start()
        process.join()
        assert process.exitcode == 0
    """,
}


@pytest.mark.parametrize("way", CHILDREN)
def test_children_are_watched(way: str, tmp_path: Path) -> None:
    if way != "fork" and not HAS_STARTUP_FILE:
        pytest.skip("there is no start-up file here")
    program = tmp_path / "program.py"
    crossed = """
        import multiprocessing
        path = os.pathsep.join([os.path.dirname(os.path.abspath(__file__)), *filter(None, sys.path)])
        def crossed():
            assert len(cross(threading.Lock(), threading.Lock())) == 1
        if __name__ == "__main__":
    """
    program.write_text(
        COMMON
        + textwrap.dedent(crossed)
        + textwrap.indent(textwrap.dedent(CHILDREN[way]), "    ")
        + "    print('done')\n"
    )
    with Run("-m", "oxthreads", "--watch=raise", str(program)) as process:
        assert process.ends() == 0, str(process)
        assert process.output == "done\n"
        assert reports(process.errors) == 1, str(process)


@on_linux
def test_a_forked_child_is_watched() -> None:
    errors = result(
        """
        a, b = threading.Lock(), threading.Lock()
        if child := os.fork():
            assert os.waitpid(child, 0)[1] == 0
            assert len(cross(a, b)) == 1
            print("done")
        else:
            assert watchers() == 0
            assert len(cross(a, b)) == 1
            until(lambda: watchers() == 1)
            os._exit(0)
        """,
        "--watch=raise",
    )
    assert reports(errors) == 2, errors


def test_os_fork_warns_no_more_than_without_a_watch() -> None:
    errors = result(
        """
        import warnings
        warnings.simplefilter("error")
        for _ in range(20):
            diagnose.watch()
            until(lambda: sys.platform != "linux" or watchers() == 1)
            pid = os.fork()
            if not pid:
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        print("done")
        """,
        "--watch",
    )
    assert errors == ""


# ---- What it must not disturb


@pytest.mark.parametrize("mode", ["report", "raise", "exit"])
def test_a_watch_keeps_no_process_alive(mode: str) -> None:
    assert (
        result(
            """
            lock = threading.Lock()
            lock.acquire()
            thread = threading.Thread(target=lock.acquire, daemon=True)
            thread.start()
            until_asleep(thread)
            print("done")
            """,
            f"--watch={mode}",
        )
        == ""
    )


@pytest.mark.parametrize("way", ["os.close(2)", "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)"])
def test_standard_error_that_takes_nothing_disturbs_nobody(way: str) -> None:
    if "/dev/full" in way and not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    program = f"""
        {way}
        assert len(cross(threading.Lock(), threading.Lock())) == 1
        assert len(cross(threading.Lock(), threading.Lock())) == 1
        print("done", flush=True)
        os._exit(0)
    """
    assert result(program, "--watch=raise") == ""


#: Makes standard error something that takes nothing.
DEAF = {
    "closed": "os.close(2)",
    "full": """
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        for size in (65536, 1):
            try:
                while True:
                    os.write(writer, bytes(size))
            except BlockingIOError:
                pass
        os.set_blocking(writer, True)  # as a shell would give it to a program
        os.dup2(writer, 2)
    """,
}


def deaf(way: str, program: str) -> str:
    """A program that first makes its standard error take nothing."""
    return f"{textwrap.dedent(DEAF[way])}\n{textwrap.dedent(program)}"


@pytest.mark.parametrize("way", DEAF)
def test_a_deadlock_is_ended_by_an_error_if_standard_error_takes_nothing(way: str) -> None:
    program = """
        for _ in range(2):
            assert len(cross(threading.Lock(), threading.Lock())) == 1
        print("done", flush=True)
    """
    assert result(deaf(way, program), "--watch=raise") == ""


@pytest.mark.parametrize("way", DEAF)
def test_a_deadlock_ends_the_process_if_standard_error_takes_nothing(way: str) -> None:
    with start(deaf(way, "cross(threading.Lock(), threading.Lock())"), "--watch=exit") as process:
        assert process.ends() == 2, str(process)
        assert process.errors == ""


@pytest.mark.parametrize("way", DEAF)
def test_a_program_ends_while_a_report_is_written_to_a_standard_error_that_takes_nothing(way: str) -> None:
    program = """
        from oxthreads.diagnose import _watch
        crossing = threading.Thread(target=cross, args=(threading.Lock(), threading.Lock()), daemon=True)
        crossing.start()
        until(lambda: _watch._reported)
        print("done", flush=True)
    """
    assert result(deaf(way, program), "--watch=report") == ""


def test_a_report_reaches_a_slow_reader_of_standard_error_and_leaves_its_mode() -> None:
    # The pipe has no room at first, and the report is longer than what it takes at once.
    program = """
        from oxthreads.diagnose import _report
        text = "line\\n" * 20_000
        writing = threading.Thread(target=_report.write, args=(text,))
        writing.start()
        read = b""
        while len(read.strip(b"\\0")) < len(text):
            assert os.get_blocking(2)
            read += os.read(reader, 3000)
        writing.join()
        assert read.strip(b"\\0").decode() == text
        print("done", flush=True)
    """
    assert result(deaf("full", program)) == ""


def test_a_file_that_has_the_number_of_standard_error_gets_no_report(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        COMMON
        + textwrap.dedent("""
            first = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
            assert first == 2, first
            assert len(cross(threading.Lock(), threading.Lock())) == 1
            print("done", flush=True)
        """)
    )
    arguments = ["-m", "oxthreads", "--watch=raise", str(program), str(tmp_path / "file")]
    launcher = "import os, sys; os.close(2); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    with Run("-c", launcher, *arguments) as process:
        assert process.ends() == 0, str(process)
        assert process.output == "done\n", str(process)
    assert (tmp_path / "file").read_text() == ""


# ---- Reports of everything


def test_a_report_shows_who_runs_and_who_waits() -> None:
    assert (
        result("""
        is_due = threading.Event()
        diagnose.report()  # from now on, waits are recorded
        def wait():
            is_due.wait()
        waiter = threading.Thread(target=wait, name="waiter", daemon=True)
        waiter.start()
        until_asleep(waiter)
        text = diagnose.report()
        assert text.startswith(f"oxthreads: process {os.getpid()} has 2 threads.\\n\\n"), text
        assert "MainThread runs\\n" in text, text
        assert "for Event is_due, which is not set\\n" in text, text
        is_due.set()
        waiter.join()
        assert diagnose.report().startswith(f"oxthreads: process {os.getpid()} has 1 thread.\\n\\n")
        print("done")
    """)
        == ""
    )


def test_an_object_can_be_given_a_name() -> None:
    assert (
        result("""
        diagnose.report()
        def wait(events):
            events[0].wait()
        events = [threading.Event()]
        diagnose.set_name(events[0], "the last bus")
        waiter = threading.Thread(target=wait, args=(events,), name="waiter", daemon=True)
        waiter.start()
        until_asleep(waiter)
        assert "for Event the last bus, which is not set\\n" in diagnose.report(), diagnose.report()
        diagnose.set_name(events[0], "the first bus")
        assert "for Event the first bus, which is not set\\n" in diagnose.report(), diagnose.report()
        print("done")
    """)
        == ""
    )


@pytest.mark.parametrize("thing", [object(), 1, "lock", None, [], time])
def test_other_objects_have_no_name(thing: object) -> None:
    from oxthreads import diagnose  # noqa: PLC0415

    with pytest.raises(TypeError, match="is not an object that threads wait for"):
        diagnose.set_name(thing, "x")


def test_a_name_is_a_string_and_goes_away_with_its_object() -> None:
    from oxthreads import diagnose  # noqa: PLC0415
    from oxthreads.concurrent.futures import Future  # noqa: PLC0415
    from oxthreads.diagnose import _objects  # noqa: PLC0415
    from oxthreads.queue import Queue, SimpleQueue  # noqa: PLC0415
    from oxthreads.threading import Barrier, Condition, Event, Lock, RLock, Semaphore  # noqa: PLC0415

    with pytest.raises(TypeError, match="must be a string"):
        diagnose.set_name(Lock(), 1)  # type: ignore[arg-type]
    gc.collect()  # objects of earlier tests that have names
    before = dict(_objects._given_names)
    things: list[object] = [Barrier(1), Condition(), Event(), Future(), Lock(), Queue(), RLock()]
    things += [Semaphore(), SimpleQueue()]
    for thing in things:
        diagnose.set_name(thing, "x")
    assert len(_objects._given_names) == len(before) + len(things)
    del thing
    things.clear()
    assert _objects._given_names == before


def missing(process: Run, count: int) -> list[str]:
    """What it has not written as often as that."""
    wanted = ["has 2 threads.\n", "server has waited", "MainThread "]
    return [each for each in wanted if process.errors.count(each) < count]


@pytest.mark.skipif(not hasattr(signal, "SIGQUIT"), reason="there is no SIGQUIT")
def test_ctrl_backslash_shows_all_threads() -> None:
    program = """
        is_due = threading.Event()
        def serve(event):
            event.wait()
        server = threading.Thread(target=serve, args=(is_due,), name="server", daemon=True)
        server.start()
        until_asleep(server)
        print("ready", flush=True)
        threading.Event().wait()
    """
    with start(program, "--watch") as process:
        assert not process.wait_until(lambda: [] if "ready" in process.output else ["ready"])
        for count in (1, 2):
            process.process.send_signal(signal.SIGQUIT)
            assert not process.wait_until(partial(missing, process, count)), str(process)
        assert process.runs


@pytest.mark.skipif(not hasattr(signal, "SIGQUIT"), reason="there is no SIGQUIT")
def test_a_handler_of_the_program_for_ctrl_backslash_stays() -> None:
    assert (
        result("""
        def own(*_): ...
        signal.signal(signal.SIGQUIT, own)
        diagnose.watch()
        assert signal.getsignal(signal.SIGQUIT) is own
        signal.signal(signal.SIGQUIT, signal.SIG_IGN)
        diagnose.watch()
        assert signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN
        print("done")
    """)
        == ""
    )


# ---- Thread.join


@pytest.mark.parametrize("options", [[], ["--watch"]], ids=["alone", "watched"])
def test_a_join_is_the_standard_one(options: list[str]) -> None:
    errors = result(
        """
        import inspect

        def refused(error, function, *arguments, **keywords):
            try:
                function(*arguments, **keywords)
            except error as caught:
                return str(caught)
            raise AssertionError

        assert str(inspect.signature(threading.Thread.join)) == "(self, timeout=None)"
        assert threading.Thread.join.__qualname__ == "Thread.join"

        is_due = threading.Event()
        thread = threading.Thread(target=is_due.wait)
        assert refused(RuntimeError, thread.join) == "cannot join thread before it is started"
        thread.start()
        for timeout in (0, 0.01, -1, -0.5, True):
            assert thread.join(timeout) is None
            assert thread.join(timeout=timeout) is None
            assert thread.is_alive()
        refused(TypeError, thread.join, "1")
        refused(TypeError, thread.join, [])
        refused(TypeError, thread.join, 1, 2)
        refused(TypeError, thread.join, limit=1)
        refused(OverflowError, thread.join, 1e300)
        assert refused(RuntimeError, threading.current_thread().join) == "cannot join current thread"
        is_due.set()
        assert thread.join() is None
        assert not thread.is_alive()
        for timeout in (None, 0, 1, -1):
            assert thread.join(timeout) is None

        class Counted(threading.Thread):
            joins = 0
            def join(self, timeout=None):
                self.joins += 1
                super().join(timeout)

        counted = Counted(target=lambda: None)
        counted.start()
        counted.join()
        counted.join(timeout=5)
        assert counted.joins == 2

        class WithBase(threading.Thread):
            def join(self):
                threading.Thread.join(self, 30)

        other = WithBase(target=time.sleep, args=(0.01,))
        other.start()
        other.join()
        assert not other.is_alive()

        # Many threads may join one.
        is_due.clear()
        slow = threading.Thread(target=is_due.wait)
        slow.start()
        joiners = [threading.Thread(target=slow.join) for _ in range(5)]
        for each in joiners:
            each.start()
        is_due.set()
        for each in joiners:
            each.join()
        print("done")
        """,
        *options,
    )
    assert errors == ""


# ---- What is certain


def test_a_with_statement_that_does_not_release_makes_no_deadlock_certain() -> None:
    errors = result(
        """
        class Ticket(threading.Condition):
            # Whoever is served releases it, and not whoever took it.
            def __exit__(self, *error):
                return None

        ticket, mine, both = Ticket(threading.Lock()), threading.Lock(), threading.Barrier(2)

        def take():
            with ticket:
                both.wait()
                with mine:
                    pass

        def serve():
            until_asleep(taker)
            until_asleep(threading.main_thread())
            time.sleep(0.5)  # longer than a watch needs
            ticket.release()

        taker = threading.Thread(target=take, name="taker")
        taker.start()
        threading.Thread(target=serve).start()
        with mine:
            both.wait()
            ticket.acquire()
        taker.join()
        print("done")
        """,
        "--watch=raise",
    )
    assert reports(errors) == 0, errors


# ---- Waits that are ended


#: By what the main thread waits for: what it calls then, and how the other thread is run that has it.
WAITS = {
    "lock": ("lock.__enter__()", "lock = threading.Lock()"),
    "rlock": ("lock.__enter__()", "lock = threading.RLock()"),
    "condition": ("lock.__enter__()", "lock = threading.Condition()"),
    "condition of a lock": ("lock.acquire()", "lock = threading.Condition(threading.Lock())"),
    "future": ("future.result()", "lock = threading.Lock()"),
    "join": ("other.join()", "lock = threading.Lock()"),
}


@pytest.mark.parametrize("kind", WAITS)
def test_every_kind_of_wait_in_a_cycle_can_be_ended(kind: str) -> None:
    call, make = WAITS[kind]
    errors = result(
        f"""
        {make}
        mine = threading.Lock()
        both = threading.Barrier(2)
        ended = []

        def work():
            with lock:
                both.wait()
                with mine:
                    ended.append("work")

        if "future" in "{call}":
            pool = concurrent.futures.ThreadPoolExecutor(1)
            future = pool.submit(work)
        else:
            other = threading.Thread(target=work)
            other.start()
        try:
            with mine:
                both.wait()
                {call}
        except diagnose.DeadlockError as error:
            assert "2 threads wait for each other" in str(error)
            ended.append("wait")
        assert not mine.locked() or "wait" in ended
        if "future" in "{call}":
            assert future.result() is None
            pool.shutdown()
        else:
            other.join()
        assert sorted(ended) == ["wait", "work"], ended
        # They can be had again.
        with mine, lock:
            pass
        print("done")
        """,
        "--watch=raise",
    )
    assert reports(errors) == 1, errors
    if kind.startswith("condition"):
        assert "Lock of Condition lock\n" in errors, errors


def test_a_wait_that_takes_the_lock_of_a_condition_again_is_not_ended() -> None:
    errors = result(
        """
        mine, condition = threading.Lock(), threading.Condition()
        ended = []

        def notify():
            try:
                with condition:
                    condition.notify()
                    with mine:
                        pass
            except diagnose.DeadlockError as error:
                ended.append(error)

        other = threading.Thread(target=notify)
        with mine:
            with condition:
                other.start()
                condition.wait()
        other.join()
        assert len(ended) == 1
        assert not mine.locked()
        with condition:
            condition.notify_all()
            assert not condition.wait(0.01)
        print("done")
        """,
        "--watch=raise",
    )
    assert reports(errors) == 1, errors


def test_a_wait_that_is_ended_loses_nothing() -> None:
    errors = result(
        """
        mine, theirs = threading.Lock(), threading.Lock()
        both = threading.Barrier(2)
        order = []

        def have():
            with theirs:
                both.wait()
                with mine:
                    order.append("owner")

        def follow():
            with theirs:
                order.append("follower")

        owner = threading.Thread(target=have)
        followers = [threading.Thread(target=follow, name=f"follower {number}") for number in range(3)]
        owner.start()
        try:
            with mine:
                both.wait()
                for each in followers:
                    each.start()
                    until_asleep(each)
                with theirs:
                    raise AssertionError
        except diagnose.DeadlockError:
            pass
        for each in [owner, *followers]:
            each.join()
        assert order == ["owner", "follower", "follower", "follower"], order
        assert not mine.locked() and not theirs.locked()
        print("done")
        """,
        "--watch=raise",
    )
    assert reports(errors) == 1, errors


def test_a_thousand_threads_and_five_thousand_locks() -> None:
    program = """
        from oxthreads import _oxthreads
        COUNT = 1000
        diagnose.report()  # from now on, waits are recorded
        threading.stack_size(256 * 1024)
        locks = [[threading.Lock() for _ in range(5)] for _ in range(COUNT)]
        all_have_theirs = threading.Barrier(COUNT + 1)

        def hold(place, first=0):
            lock = locks[place][first]
            with lock:
                if first < 4:
                    hold(place, first + 1)
                else:
                    all_have_theirs.wait()
                    # Two of them wait for each other, and the rest for the one before.
                    wanted = locks[1 - place if place < 2 else place - 1][0]
                    with wanted:
                        pass

        for place in range(COUNT):
            threading.Thread(target=hold, args=(place,), name=f"holder {place}", daemon=True).start()
        all_have_theirs.wait()
        until(lambda: sum(sleep[3] == "Lock" for sleep in _oxthreads.asleep()) == COUNT)
        print("ready", flush=True)
        diagnose.watch()
        time.sleep(600)
    """
    with start(program) as process:

        def missing() -> list[str]:
            wanted = ["oxthreads: deadlock: 2 threads wait for each other", "holder 999, "]
            return [each for each in wanted if each not in process.errors]

        limit = 60
        assert not process.wait_until(lambda: [] if process.output else ["ready"], limit), str(process)
        begin = time.monotonic()
        assert not process.wait_until(missing, limit), str(process)[-5000:]
        print(f"reported {time.monotonic() - begin:.2f} s after the watch began")
        assert reports(process.errors) == 1
