"""A part of the patch, the patch for a time, and what it leaves alone: existing locks, children, pytest."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.patched import ALL_ACTIVE, check
from tests.support.waiting import TIMEOUT_SECONDS

pytestmark = [pytest.mark.one_thread("replaces modules of the process"), pytest.mark.patch_parts]

#: A function that lists the names that are replaced in a process, as a program sees them.
ACTIVE = """
import json
def active():
    names = patch.status(fresh=True)["names"]
    return sorted(f"{name['module']}.{name['name']}" for name in names if name["state"] == "active")
"""


@pytest.mark.parametrize("imported", ["", "import threading, queue, concurrent.futures.thread"])
@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["threading.Event"], ["threading.Event"]),
        (["queue"], [f"queue.{name}" for name in ("LifoQueue", "PriorityQueue", "Queue", "SimpleQueue")]),
        (["threading.Lock", "queue.Queue"], ["queue.Queue", "threading.Lock"]),
        ("queue.Queue", ["queue.Queue"]),
        (
            ["concurrent.futures.ThreadPoolExecutor"],
            ["concurrent.futures.ThreadPoolExecutor", "concurrent.futures.thread.ThreadPoolExecutor"],
        ),
        (
            ["concurrent.futures.Future"],
            ["concurrent.futures.Future", "concurrent.futures._base.Future"],
        ),
        ([], []),
    ],
)
def test_only_the_requested_names_are_replaced(imported: str, only: object, expected: list[str]) -> None:
    output = check(f"""
        {imported}
        {textwrap.indent(ACTIVE, " " * 8).strip()}
        assert patch.install(only={only!r}) and patch.is_installed()
        print(json.dumps(active()))
        patch.uninstall()
        assert active() == [] and not patch.is_installed()
        """)
    assert json.loads(output) == expected


def test_a_program_runs_with_a_part_of_the_patch() -> None:
    for only in ["threading", "queue", "concurrent.futures", "threading.Thread", "threading.Lock"]:
        output = check(f"""
            patch.install(only=[{only!r}])
            import queue, threading
            from concurrent.futures import ThreadPoolExecutor, wait
            items = queue.Queue()
            condition = threading.Condition()
            def work(number):
                with condition:
                    condition.notify_all()
                items.put(number)
                return number
            with ThreadPoolExecutor(2) as executor:
                futures = [executor.submit(work, number) for number in range(20)]
                assert len(wait(futures).done) == 20
            timer = threading.Timer(0, work, [20])
            timer.start(); timer.join()
            print(sum(future.result() for future in futures) + items.qsize())
            """)
        assert output == "211\n", only


def test_a_second_install_adds_the_requested_names() -> None:
    check(f"""
        import queue, threading
        standard = dict(vars(threading)), dict(vars(queue))
        {textwrap.indent(ACTIVE, " " * 8).strip()}
        patch.install(only=["threading.Event"])
        event = threading.Event
        patch.install(only=["threading.Event"])
        patch.install(only=["threading.Lock", "queue.Queue"])
        assert active() == ["queue.Queue", "threading.Event", "threading.Lock"], active()
        assert threading.Event is event
        patch.install()
        {textwrap.indent(ALL_ACTIVE, " " * 8).strip()}
        assert threading.Event is event
        patch.install(only=["queue"])
        {textwrap.indent(ALL_ACTIVE, " " * 8).strip()}
        patch.uninstall()
        import concurrent.futures
        assert (dict(vars(threading)), dict(vars(queue))) == standard
        assert active() == []
        """)


def test_a_name_that_is_never_replaced_is_refused() -> None:
    check("""
        for name in "threading.local", "socket", "", "Lock", "threading.":
            try:
                patch.install(only=["queue.Queue", name])
            except ValueError as error:
                assert str(error) == f"not a name that is replaced: {name!r}"
            else:
                raise AssertionError(name)
        assert not patch.is_installed() and patch.status()["names"][0]["state"] == "standard"
        """)


def test_status_shows_the_pending_names_of_a_part() -> None:
    check("""
        patch.install(only=["queue.Queue"])
        states = lambda: {n["name"]: n["state"] for n in patch.status()["names"] if n["module"] == "queue"}
        others = dict.fromkeys(["LifoQueue", "PriorityQueue", "SimpleQueue"], "standard")
        assert states() == {"Queue": "pending", **others}
        import sys
        assert "queue" not in sys.modules
        assert patch.status(fresh=True)["names"] and states() == {"Queue": "active", **others}
        """)


def test_a_block_has_the_patch_until_it_ends() -> None:
    check(f"""
        import threading, queue
        standard = threading.Lock, queue.Queue
        {textwrap.indent(ACTIVE, " " * 8).strip()}
        with patch.installed() as is_on:
            assert is_on
            {textwrap.indent(ALL_ACTIVE, " " * 12).strip()}
            lock, items = threading.Lock(), queue.Queue()
        assert (threading.Lock, queue.Queue) == standard and active() == []
        with lock:
            items.put(1)  # what was made there goes on
        try:
            with patch.installed():
                raise KeyError
        except KeyError:
            assert not patch.is_installed() and active() == []
        """)


def test_nested_blocks_restore_what_was_before() -> None:
    check(f"""
        {textwrap.indent(ACTIVE, " " * 8).strip()}
        with patch.installed(only=["queue.Queue"]):
            with patch.installed(only=["threading.Event"]):
                assert active() == ["queue.Queue", "threading.Event"]
                with patch.installed(only=["queue.Queue"]):
                    assert active() == ["queue.Queue", "threading.Event"]
                assert active() == ["queue.Queue", "threading.Event"]
            assert active() == ["queue.Queue"]
        assert active() == [] and not patch.is_installed()
        patch.install()
        with patch.installed(only=["queue.Queue"]):
            pass
        {textwrap.indent(ALL_ACTIVE, " " * 8).strip()}
        with patch.installed():
            patch.uninstall()
        {textwrap.indent(ALL_ACTIVE, " " * 8).strip()}
        """)


def test_a_block_installs_nothing_on_an_unknown_python() -> None:
    check("""
        import sys
        patch.FIRST_UNKNOWN_PYTHON = sys.version_info[:2]
        with patch.installed(quiet=True) as is_on:
            import queue
            assert not is_on and queue.Queue.__mro__ == (queue.Queue, object)
        assert not patch.is_installed()
        """)


def test_locks_made_before_the_patch_keep_working() -> None:
    output = check("""
        import concurrent.futures.thread, importlib, importlib._bootstrap, logging, os, queue, sys
        import tempfile, threading, warnings
        from concurrent.futures import ThreadPoolExecutor
        handler = logging.StreamHandler(sys.stdout)
        logging.basicConfig(handlers=[handler], level=logging.INFO, format="%(message)s")
        before = handler.lock, concurrent.futures.thread._global_shutdown_lock, threading._active_limbo_lock
        old_items, old_condition, old_executor = queue.Queue(), threading.Condition(), ThreadPoolExecutor(1)
        old_executor.submit(int).result()
        patch.install()
        after = handler.lock, concurrent.futures.thread._global_shutdown_lock, threading._active_limbo_lock
        assert before == after and all("oxthreads" not in repr(lock) for lock in after)
        # Modules whose import takes the import system's own locks, from several threads at once.
        directory = tempfile.mkdtemp()
        sys.path.insert(0, directory)
        for number in range(5):
            with open(os.path.join(directory, f"made_{number}.py"), "w") as file:
                file.write("import threading; lock = threading.Lock()")
        def work(number):
            module = importlib.import_module(f"made_{number % 5}")
            with handler.lock, module.lock, old_condition:
                old_condition.notify_all()
            logging.getLogger(f"logger {number % 3}").info("line %d", number)
            old_items.put(old_executor.submit(pow, number, 1).result())
            return type(module.lock)
        with concurrent.futures.ThreadPoolExecutor(4) as ours:
            kinds = set(ours.map(work, range(40)))
        assert type(ours) is not type(old_executor)
        assert kinds == {type(threading.Lock())} and kinds != {type(before[1])}
        assert sorted(old_items.get() for _ in range(40)) == list(range(40))
        if hasattr(os, "fork"):
            # Logging has the locks of its handlers made anew in the child, those before and those since.
            new = logging.StreamHandler(sys.stdout)
            logging.getLogger().addHandler(new)
            held, forked = threading.Event(), threading.Event()
            def hold():
                with handler.lock, new.lock:
                    held.set()
                    forked.wait()
            holder = threading.Thread(target=hold)
            holder.start()
            held.wait()
            sys.stdout.flush()
            warnings.simplefilter("ignore")
            child = os.fork()
            if child == 0:
                logging.info("from the child")
                sys.stdout.flush()
                os._exit(0)
            forked.set()
            holder.join()
            assert os.waitpid(child, 0)[1] == 0
        else:
            print("from the child"), print("from the child")
        """)
    lines = output.splitlines()
    assert sorted(line for line in lines if line.startswith("line")) == sorted(f"line {n}" for n in range(40))
    assert lines.count("from the child") == 2


def test_our_objects_work_in_child_processes(tmp_path: Path) -> None:
    """Every way to start a process, with queues and managers in the parent and in the child."""
    (tmp_path / "program.py").write_text(
        textwrap.dedent("""\
        import multiprocessing, queue, subprocess, sys, threading
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

        def kinds():
            import oxthreads.concurrent.futures, oxthreads.queue, oxthreads.threading
            return [
                queue.Queue is oxthreads.queue.Queue,
                threading.Lock is oxthreads.threading.Lock,
                ThreadPoolExecutor is oxthreads.concurrent.futures.ThreadPoolExecutor,
            ]

        def child(items, shared):
            with ThreadPoolExecutor(2) as executor:
                for found in executor.map(lambda _: kinds(), range(3)):
                    items.put(found)
            shared.put(kinds())

        def main(method):
            context = multiprocessing.get_context(method)
            items = context.Queue()
            with context.Manager() as manager:
                shared = manager.Queue()
                process = context.Process(target=child, args=[items, shared])
                process.start()
                print(method, [items.get() for _ in range(3)], shared.get())
                process.join()
            with ProcessPoolExecutor(1, mp_context=context) as executor:
                print(method, executor.submit(kinds).result())

        if __name__ == "__main__":
            print("main", kinds())
            for method in sys.argv[1:]:
                main(method)
            code = "import program; print('subprocess', program.kinds())"
            subprocess.run([sys.executable, "-c", code], check=True)
        """)
    )
    methods = ["spawn"] if sys.platform == "win32" else ["spawn", "forkserver", "fork"]
    command = [sys.executable, "-W", "ignore", "-m", "oxthreads", "program.py", *methods]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_SECONDS * 3, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "False" not in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "main",
        *(method for method in methods for _ in range(2)),
        "subprocess",
    ]


SUITE = {
    "conftest.py": """
        import queue, threading
        from threading import Event
        EARLY = [queue.Queue, threading.Lock, Event]
        """,
    "test_it.py": """
        import os, subprocess, sys
        from conftest import EARLY
        import queue, threading
        def test_kinds():
            import oxthreads.queue, oxthreads.threading
            ours = [oxthreads.queue.Queue, oxthreads.threading.Lock, oxthreads.threading.Event]
            assert EARLY == ours == [queue.Queue, threading.Lock, threading.Event]
        def test_asserts_say_why():
            try:
                left = [1, 2]
                assert left == [1, 3]
            except AssertionError as error:
                assert "At index 1" in str(error)
        def test_children():
            code = "import queue; print(queue.Queue.__mro__[1].__module__)"
            child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            assert "oxthreads" in child.stdout
        """,
}


@pytest.mark.parametrize(
    "way",
    [
        ["-m", "pytest", "-p", "oxthreads"],
        ["-m", "oxthreads", "-m", "pytest"],
        ["-m", "oxthreads", "-m", "pytest", "-p", "oxthreads"],
        ["-m", "pytest", "-p", "oxthreads", "-n", "2"],
        ["-m", "oxthreads", "-m", "pytest", "-n", "2"],
    ],
    ids=" ".join,
)
def test_whole_test_suites_run_on_oxthreads(tmp_path: Path, way: list[str]) -> None:
    done = run_suite(tmp_path, way)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout and "warning" not in done.stdout


def test_pytest_alone_patches_nothing(tmp_path: Path) -> None:
    done = run_suite(tmp_path, ["-m", "pytest", "-k", "kinds"])
    assert done.returncode == 1
    assert "1 failed" in done.stdout


def run_suite(place: Path, way: list[str]) -> subprocess.CompletedProcess[str]:
    for name, source in SUITE.items():
        (place / name).write_text(textwrap.dedent(source))
    return subprocess.run(
        [sys.executable, *way, "-W", "error", "-p", "no:cacheprovider"],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_SECONDS * 3,
        check=False,
    )


def test_importing_the_package_patches_nothing() -> None:
    check("""
        import oxthreads, oxthreads._startup, oxthreads.environment, oxthreads.queue, queue
        assert not patch.is_installed() and queue.Queue.__mro__ == (queue.Queue, object)
        """)
