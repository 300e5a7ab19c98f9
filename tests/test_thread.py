"""Thread, and the modules' public names, beside the standard ones."""

from __future__ import annotations

import concurrent.futures
import gc
import queue
import threading
import weakref
from typing import Any

import pytest

from conftest import OXTHREADS, BackEnd, python, spin_until, until_asleep


def test_it_runs_its_target_with_its_arguments(library: BackEnd) -> None:
    seen: list[Any] = []
    thread = library.threading.Thread(
        target=lambda *args, **keywords: seen.append((args, keywords)),
        args=(1, 2),
        kwargs={"key": 3},
        name="a name",
    )
    assert (thread.name, thread.daemon, thread.is_alive(), thread.ident) == ("a name", False, False, None)
    thread.start()
    thread.join()
    assert seen == [((1, 2), {"key": 3})]
    assert not thread.is_alive()
    assert thread.ident and thread.native_id


def test_a_subclass_overrides_run(library: BackEnd) -> None:
    class Mine(library.threading.Thread):  # type: ignore[misc, name-defined]
        def __init__(self, value: int) -> None:
            super().__init__(daemon=True)
            self.value = value

        def run(self) -> None:
            self.value += 1

    thread = Mine(1)
    thread.start()
    thread.join()
    assert thread.value == 2


def test_it_is_known_to_the_standard_module(library: BackEnd) -> None:
    event = library.threading.Event()
    seen: list[threading.Thread] = []

    def work() -> None:
        seen.append(threading.current_thread())
        event.wait()

    thread = library.threading.Thread(target=work)
    thread.start()
    until_asleep(thread)
    assert thread in threading.enumerate()
    assert seen == [thread]
    assert isinstance(thread, threading.Thread)
    event.set()
    thread.join()
    assert thread not in threading.enumerate()


def test_wrong_uses_are_refused_in_the_standard_words(library: BackEnd) -> None:
    thread = library.threading.Thread(target=int)
    with pytest.raises(RuntimeError, match="cannot join thread before it is started"):
        thread.join()
    thread.start()
    with pytest.raises(RuntimeError, match="threads can only be started once"):
        thread.start()
    thread.join()
    thread.join()
    with pytest.raises(RuntimeError, match="cannot join current thread"):
        threading.current_thread().join()
    with pytest.raises(AssertionError, match="group argument must be None for now"):
        library.threading.Thread(group=1)
    with pytest.raises(TypeError):
        library.threading.Thread(nonsense=1)


def test_join_ends_at_its_timeout(library: BackEnd) -> None:
    event = library.threading.Event()
    thread = library.threading.Thread(target=event.wait, daemon=True)
    thread.start()
    for timeout in (0, 0.001, -1):
        thread.join(timeout)
        assert thread.is_alive()
    event.set()
    thread.join(30)
    assert not thread.is_alive()


def test_the_daemon_flag_is_inherited_and_cannot_be_changed_later(library: BackEnd) -> None:
    flags: list[bool] = []

    def work() -> None:
        flags.append(library.threading.Thread(target=int).daemon)

    thread = library.threading.Thread(target=work, daemon=True)
    thread.start()
    with pytest.raises(RuntimeError):
        thread.daemon = False
    thread.join()
    assert flags == [True]


def test_an_exception_goes_to_the_excepthook(library: BackEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)

    def fail() -> None:
        raise KeyError("gone")

    thread = library.threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert [(call.exc_type, call.thread) for call in seen] == [(KeyError, thread)]
    seen.clear()


def test_its_arguments_and_itself_are_let_go_after_the_run(library: BackEnd) -> None:
    class Thing:
        pass

    thing = Thing()
    alive = weakref.ref(thing)
    thread = library.threading.Thread(target=lambda thing: None, args=(thing,))
    del thing
    thread.start()
    thread.join()
    spin_until(lambda: alive() is None)
    alive_thread = weakref.ref(thread)
    del thread
    gc.collect()
    spin_until(lambda: alive_thread() is None)


@pytest.mark.parametrize("runner", [False, True])
def test_a_traceback_has_the_same_frames_on_both(runner: bool) -> None:
    done = python(
        "import threading\ndef fail(): raise KeyError\n"
        "thread = threading.Thread(target=fail); thread.start(); thread.join()",
        runner=runner,
    )
    assert done.returncode == 0
    assert done.stderr.startswith("Exception in thread Thread-1 (fail):")
    assert done.stderr.count("File ") == 3
    assert "oxthreads" not in done.stderr


def test_the_modules_offer_every_public_name_of_the_standard_ones() -> None:
    pairs = [
        (OXTHREADS.threading, threading),
        (OXTHREADS.queue, queue),
        (OXTHREADS.futures, concurrent.futures),
    ]
    ours = {"Lock", "Event", "Thread", "Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"}
    ours |= {"ShutDown", "Future", "ThreadPoolExecutor"}
    for mirror, standard in pairs:
        added = set(mirror.__all__) - set(standard.__all__)
        assert not set(standard.__all__) - set(mirror.__all__)
        assert added <= {"ShutDown"}
        for name in standard.__all__:
            found = getattr(mirror, name)
            assert (found is getattr(standard, name)) is (name not in ours or name == "ShutDown")
        with pytest.raises(AttributeError, match="no_such_name"):
            _ = mirror.no_such_name


def test_importing_the_package_imports_and_starts_nothing() -> None:
    done = python(
        "import sys; before = set(sys.modules)\nimport oxthreads\nprint(sorted(set(sys.modules) - before))",
        runner=False,
    )
    assert done.stdout == "['oxthreads']\n"
