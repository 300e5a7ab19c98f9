"""The patch: what it replaces and when, and that it can be taken back. Each case runs in its own process."""

from __future__ import annotations

import itertools
import json
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.patched import ALL_ACTIVE, check

pytestmark = pytest.mark.one_thread("replaces modules of the process")

MODULES = [
    "threading",
    "queue",
    "concurrent.futures",
    "concurrent.futures.thread",
    "oxthreads.queue",
    "oxthreads.concurrent.futures",
]


@pytest.mark.parametrize("first", MODULES)
@pytest.mark.parametrize("after", [0, 1, 2], ids=["install first", "after one", "after two"])
def test_every_order_of_imports(first: str, after: int) -> None:
    for second in MODULES:
        steps = [f"import {first}", f"import {second}"]
        steps.insert(after, "patch.install()")
        check("\n".join(steps) + ALL_ACTIVE)


def test_install_imports_only_what_it_needs_and_starts_no_thread() -> None:
    check("""
        import sys, _thread
        before = set(sys.modules)
        patch.install()
        for name in set(sys.modules) - before:
            # Where `threading` is loaded already, ours must be, too, and what it needs.
            assert "threading" in before, name
            assert "futures" not in name and "queue" not in name, name
        import threading
        assert threading.enumerate() == [threading.main_thread()]
        assert "concurrent.futures" not in sys.modules or "concurrent.futures" in before
        """)


def test_a_second_install_changes_nothing() -> None:
    check("""
        import sys, threading
        standard = threading.Lock
        assert patch.install() and patch.install() and patch.is_installed()
        assert sys.meta_path.count(patch.import_hook.finder) == 1
        patch.uninstall(); patch.uninstall()
        assert threading.Lock is standard and not patch.is_installed()
        """)


def test_uninstall_restores_everything() -> None:
    check(f"""
        import sys, threading, queue, concurrent.futures, concurrent.futures.thread
        def picture():
            state = {{name: dict(vars(sys.modules[name])) for name in patch.REPLACED}}
            bases = [cls.__bases__ for cls in (threading.Timer, type(threading.main_thread()))]
            return state, bases, list(sys.meta_path)
        concurrent.futures.ThreadPoolExecutor
        before = picture()
        patch.install()
        assert picture() != before
        {textwrap.indent(ALL_ACTIVE, " " * 8).strip()}
        patch.uninstall()
        after = picture()
        for name in patch.REPLACED:
            assert after[0][name] == before[0][name], name
        assert after == before
        assert not patch.status()["installed"]
        patch.install()
        {textwrap.indent(ALL_ACTIVE, " " * 8).strip()}
        """)


def test_uninstall_restores_an_executor_that_was_first_used_under_the_patch() -> None:
    check("""
        patch.install()
        import concurrent.futures
        import oxthreads.concurrent.futures as ours
        assert concurrent.futures.ThreadPoolExecutor is ours.ThreadPoolExecutor
        patch.uninstall()
        assert concurrent.futures.ThreadPoolExecutor is ours._StandardThreadPoolExecutor
        assert concurrent.futures.Future is ours._StandardFuture
        """)


def test_uninstall_keeps_the_replacements_of_others() -> None:
    check("""
        import threading, queue
        standard = queue.Queue
        patch.install()
        threading.Lock = mine = lambda: None
        patch.uninstall()
        assert threading.Lock is mine and queue.Queue is standard
        """)


def test_existing_objects_keep_their_type() -> None:
    check("""
        import queue, threading
        lock, items = threading.Lock(), queue.Queue()
        kinds = type(lock), type(items)
        lock.acquire(); items.put(1)
        patch.install()
        assert (type(lock), type(items)) == kinds
        assert lock.locked() and items.get() == 1
        lock.release()
        ours = threading.Lock()
        patch.uninstall()
        with lock, ours:
            pass
        """)


def test_threads_of_all_kinds_are_threads() -> None:
    check("""
        import _thread, threading
        class Old(threading.Thread):
            def __init__(self):
                threading.Thread.__init__(self)
        old = Old()
        for step in patch.install, patch.uninstall:
            step()
            found = []
            done = _thread.allocate_lock(); done.acquire()
            def foreign():
                found.append(threading.current_thread())
                done.release()
            _thread.start_new_thread(foreign, ())
            done.acquire()
            timer = threading.Timer(0, found.append, [1])
            timer.start(); timer.join()
            new = Old()
            new.start(); new.join()
            for thread in (threading.main_thread(), found[0], timer, old, new):
                assert isinstance(thread, threading.Thread), (step, thread)
            assert issubclass(threading.Timer, threading.Thread)
            assert found[1] == 1
        old.start(); old.join()
        """)


def test_status_lists_names_that_were_imported_before() -> None:
    found = json.loads(
        check("""
        import json, types
        from threading import Lock as MyLock, Thread
        from queue import Queue
        import queue
        patch.install()
        import __main__
        found = patch.status()["captured"]
        print(json.dumps([entry for entry in found if entry["module"] == "__main__"]))
        """)
    )
    assert found == [
        {"module": "__main__", "variable": "MyLock", "original": "threading.Lock"},
        {"module": "__main__", "variable": "Thread", "original": "threading.Thread"},
        {"module": "__main__", "variable": "Queue", "original": "queue.Queue"},
    ]


def test_status_distinguishes_pending_from_standard() -> None:
    check("""
        states = lambda: {n["name"]: n["state"] for n in patch.status()["names"] if n["module"] == "queue"}
        assert set(states().values()) == {"standard"}
        patch.install()
        assert set(states().values()) == {"pending"}
        import queue
        assert set(states().values()) == {"active"}
        queue.Queue = int
        others = {"LifoQueue": "active", "PriorityQueue": "active", "SimpleQueue": "active"}
        assert states() == {"Queue": "standard", **others}
        """)


def test_a_patched_module_looks_unchanged() -> None:
    check("""
        import importlib.machinery, importlib.util, inspect
        patch.install()
        spec = importlib.util.find_spec("queue")
        assert "class Queue" in spec.loader.get_source("queue")
        import queue
        assert type(queue.__spec__.loader) is importlib.machinery.SourceFileLoader
        assert queue.__loader__ is queue.__spec__.loader
        assert "class SimpleQueue" in inspect.getsource(queue) or "SimpleQueue" in inspect.getsource(queue)
        """)


def test_reload() -> None:
    check(f"""
        import importlib, sys
        patch.install()
        import queue, threading, concurrent.futures.thread
        for name in patch.REPLACED:
            module = sys.modules[name]
            assert importlib.reload(module) is module
            assert type(module.__loader__).__name__ == "SourceFileLoader"
        {textwrap.indent(ALL_ACTIVE, " " * 8).strip()}
        threading.Thread(target=print, args=["runs"]).start()
        patch.uninstall()
        import oxthreads.queue, oxthreads.threading
        assert queue.Queue is not oxthreads.queue.Queue
        assert threading.Thread is not oxthreads.threading.Thread
        """)


def test_a_reloaded_module_has_the_exceptions_that_our_queues_raise() -> None:
    check("""
        import importlib, queue
        from queue import Full as first
        patch.install()
        importlib.reload(queue)
        assert queue.Full is not first  # as of the standard queue
        for kind in (queue.Queue, queue.LifoQueue, queue.PriorityQueue, queue.SimpleQueue):
            items = kind()
            import oxthreads.queue
            assert kind is getattr(oxthreads.queue, kind.__name__)
            assert queue.Full is oxthreads.queue.Full
            try:
                items.get(timeout=0.001)
            except queue.Empty:
                pass
            items.shutdown()
            try:
                items.put(1)
            except oxthreads.queue.ShutDown:
                pass
        for step in int, patch.uninstall:
            step()
            items = queue.Queue(1)
            items.put(1)
            try:
                items.put_nowait(1)
            except queue.Full:
                pass
        assert queue.Queue.__mro__ == (queue.Queue, object) and queue.Full is not first
        """)


def test_modules_of_the_same_name_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "queue.py").write_text("class Queue: pass\n")
    check(f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import queue
        patch.install()
        assert queue.Queue.__module__ == "queue"
        del sys.modules["queue"]
        import queue
        assert queue.Queue.__module__ == "queue" and queue.__file__.startswith({str(tmp_path)!r})
        """)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in Python 3.14")
@pytest.mark.parametrize(
    "early", ["", "import concurrent.futures.thread", "import concurrent.futures.interpreter"]
)
def test_the_interpreter_pool_is_a_subclass_of_our_pool(early: str) -> None:
    check(f"""
        patch.install()
        {early}
        import asyncio
        from concurrent.futures import InterpreterPoolExecutor, ThreadPoolExecutor
        {textwrap.indent(ALL_ACTIVE, " " * 8).strip()}

        async def main():
            loop = asyncio.get_running_loop()
            loop.set_default_executor(InterpreterPoolExecutor(2))
            return await loop.run_in_executor(None, pow, 2, 3)

        assert issubclass(InterpreterPoolExecutor, ThreadPoolExecutor)
        assert asyncio.run(main()) == 8
        """)


@pytest.mark.parametrize("start", [list(pair) for pair in itertools.combinations(MODULES, 2)], ids="+".join)
def test_threads_can_import_at_the_same_time(start: list[str]) -> None:
    # One thread imports a standard module, which then needs a module of oxthreads. Another thread imports a
    # module of oxthreads, which needs the standard one. Each may find the other's module half executed.
    output = check(f"""
        import _thread, sys
        # Not these at once: CPython has races of its own there.
        import collections.abc, functools, heapq, itertools, types, typing, weakref
        patch.install()
        sys.setswitchinterval(1e-6)
        names = {start!r} * 3
        ready, ended = [], []
        def load(name):
            ready.append(name)
            while len(ready) < len(names):
                pass
            try:
                __import__(name)
            except BaseException as error:
                print(name, repr(error))
            ended.append(name)
        for name in names:
            _thread.start_new_thread(load, (name,))
        while len(ended) < len(names):
            pass
        {textwrap.indent(ALL_ACTIVE, " " * 8).strip()}
        """)
    assert output == ""


def test_a_broken_replacement_keeps_the_standard_one_and_warns_once() -> None:
    source = """
        import sys
        sys.modules["oxthreads._oxthreads"] = None
        patch.install({})
        import queue, threading, concurrent.futures.thread
        assert queue.Queue.__mro__ == (queue.Queue, object)
        assert "oxthreads" not in repr(threading.Event.__mro__)
        states = {{name["state"] for name in patch.status()["names"]}}
        assert states == {{"standard"}}
        assert "ModuleNotFoundError" in patch.status()["failures"]["queue"]
        """
    line = (
        "oxthreads: the standard threading stays (ModuleNotFoundError: "
        "import of oxthreads._oxthreads halted; None in sys.modules)\n"
    )
    check(source.format(""), errors=line)
    check(source.format("quiet=True"))


def test_an_unknown_python_keeps_its_library_and_warns_once() -> None:
    source = """
        import sys
        patch.FIRST_UNKNOWN_PYTHON = sys.version_info[:2]
        assert not patch.install({0}) and not patch.install({0}) and not patch.is_installed()
        import queue
        assert queue.Queue.__mro__ == (queue.Queue, object)
        """
    version = check("import sys; print('%d.%d' % sys.version_info[:2])").strip()
    line = f"oxthreads: Python {version} is not known to this version; the standard library stays\n"
    check(source.format(""), errors=line)
    check(source.format("quiet=True"))


def test_our_classes_have_the_standard_module_names_while_installed() -> None:
    check(
        """
        import concurrent.futures, pickle, queue, threading
        import oxthreads.threading
        before = oxthreads.threading.Event.__module__
        patch.install()
        for name in patch.status()["names"]:
            ours = getattr(sys.modules[name["module"]], name["name"])
            assert sys.modules[ours.__module__].__dict__[ours.__name__] is ours
            assert pickle.loads(pickle.dumps(ours)) is ours, ours
        assert repr(threading.Event()).startswith("<threading.Event at ")
        patch.uninstall()
        assert oxthreads.threading.Event.__module__ == before == "oxthreads.threading"
        """.replace("import concurrent", "import sys, concurrent", 1)
    )


def test_a_watch_does_not_keep_the_class_of_threads_from_being_replaced() -> None:
    check("""
        import threading
        import oxthreads.tasks, oxthreads.threading
        from oxthreads import diagnose
        with diagnose.watch():  # it wraps the `join` of the standard class
            patch.install()
            assert threading.Thread is oxthreads.threading.Thread
            done = threading.Event()
            thread = threading.Thread(target=done.wait, daemon=True)
            thread.start()
            with oxthreads.tasks.move_on_after(0.01) as scope:
                thread.join()
            assert scope.cancelled_caught
            done.set()
            thread.join()
        """)
