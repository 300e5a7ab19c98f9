"""Tests of public names, signatures and sizes, and of what our modules share with the standard ones."""

from __future__ import annotations

import contextlib
import copy
import inspect
import pickle
import subprocess
import sys
import threading
import typing
import weakref
from typing import Any
from unittest import mock

import pytest

import oxthreads.concurrent.futures
import oxthreads.patch
import oxthreads.queue
import oxthreads.threading
from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.refusals import refusal

ARGUMENTS: dict[str, tuple[Any, ...]] = {"Barrier": (2,), "Timer": (1000, int)}
CLASSES = ["Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier", "Thread", "Timer"]
INSTANCES = ["Lock", "RLock", *CLASSES]


def make(library: BackEnd, name: str) -> Any:
    return getattr(library.threading, name)(*ARGUMENTS.get(name, ()))


def signature(function: object) -> inspect.Signature | None:
    """Return None if this version of Python has no signature for it."""
    try:
        return inspect.signature(function)  # type: ignore[arg-type]
    except ValueError:
        return None


def test_all_equals_that_of_the_standard_module() -> None:
    assert oxthreads.threading.__all__ == threading.__all__
    for name in threading.__all__:
        assert getattr(oxthreads.threading, name) is not None
    assert set(dir(oxthreads.threading)) >= set(dir(threading))


def test_names_that_are_not_replaced_are_the_standard_objects() -> None:
    for name in threading.__all__:
        same = getattr(oxthreads.threading, name) is getattr(threading, name)
        assert same is (name not in INSTANCES), name
    assert oxthreads.threading._active is threading._active  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", threading.__all__)
def test_signatures_are_the_standard_ones(name: str) -> None:
    standard, ours = getattr(threading, name), getattr(oxthreads.threading, name)
    if callable(standard) and (expected := signature(standard)) is not None:
        assert signature(ours) == expected


@pytest.mark.parametrize("name", INSTANCES)
def test_methods_have_the_standard_names_and_signatures(name: str) -> None:
    standard, ours = make(STANDARD, name), make(OXTHREADS, name)
    for method in dir(standard):
        if method in dir(object) or method in ("__weakref__", "__dict__", "__module__"):
            continue
        if method.startswith("_") and name in CLASSES and method not in dir(type(standard)):
            continue  # an object has it only after it has fallen back
        assert hasattr(ours, method), method
        found = getattr(standard, method)
        if method.startswith("_") or not callable(found) or (expected := signature(found)) is None:
            continue
        assert signature(getattr(ours, method)) == expected, method


@pytest.mark.parametrize("name", CLASSES)
def test_our_classes_derive_from_the_standard_classes(name: str) -> None:
    assert issubclass(getattr(oxthreads.threading, name), getattr(threading, name))
    assert getattr(oxthreads.threading, name).__doc__


@pytest.mark.parametrize("name", ["Lock", "RLock"])
def test_locks_are_instances_of_the_standard_type(library: BackEnd, name: str) -> None:
    made = make(library, name)
    # trio asserts this of its RLock. Other programs compare with the type of a lock of theirs.
    assert made.__class__.__module__ == "_thread"
    assert isinstance(made, type(make(STANDARD, name)))
    assert isinstance(made, type(made))
    other = make(library, "RLock" if name == "Lock" else "Lock")
    assert not isinstance(other, type(make(STANDARD, name)))
    assert not isinstance(object(), type(made))
    with pytest.raises((TypeError, AttributeError)):
        made.__class__ = object


def test_an_object_of_a_subclass_of_rlock_has_that_class() -> None:
    class Mine(oxthreads.threading.RLock):  # type: ignore[misc]
        pass

    assert Mine().__class__ is Mine and isinstance(Mine(), oxthreads.threading.RLock)


@pytest.mark.parametrize("name", INSTANCES)
def test_objects_take_weak_references_and_attributes_but_no_copies_and_pickles(
    library: BackEnd, name: str
) -> None:
    made = make(library, name)
    assert weakref.ref(made)() is made
    for function in (pickle.dumps, copy.copy, copy.deepcopy):
        if function is copy.copy and name in CLASSES:
            continue  # the standard classes make half a copy; the next test checks ours
        assert refusal(function, made)[0] is TypeError
    if name in CLASSES:
        made.attribute = 1
        assert vars(made)["attribute"] == 1


# Left out: a thread is an object of the standard class, which copies its attributes.
@pytest.mark.parametrize("name", [name for name in CLASSES if name not in ("Thread", "Timer")])
def test_a_copy_of_ours_is_refused(name: str) -> None:
    assert refusal(copy.copy, make(OXTHREADS, name))[0] is TypeError


@pytest.mark.parametrize("name", CLASSES)
def test_subclasses_take_arguments_of_their_own(library: BackEnd, name: str) -> None:
    base = getattr(library.threading, name)

    class Mine(base):  # type: ignore[misc]
        def __init__(self, label: str, *, extra: int = 0) -> None:
            super().__init__(*ARGUMENTS.get(name, ()))
            self.label, self.extra = label, extra

    made = Mine("a label", extra=2)
    assert (made.label, made.extra) == ("a label", 2)
    assert isinstance(made, getattr(threading, name))
    for wrong in (("x",) * 7, ()):
        if not (wrong == () and name not in ARGUMENTS):
            assert refusal(base, *wrong)[0] is TypeError


def test_a_shared_name_that_a_program_sets_is_set_in_both_modules() -> None:
    calls: list[object] = []
    before = threading.excepthook
    with mock.patch("oxthreads.threading.excepthook", calls.append):
        assert threading.excepthook == calls.append
        thread = oxthreads.threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
    assert threading.excepthook is oxthreads.threading.excepthook is before
    assert [args.exc_type for args in calls] == [ZeroDivisionError]  # type: ignore[attr-defined]


def test_our_own_names_are_set_only_in_our_module() -> None:
    standard = threading.Event
    with (
        mock.patch("oxthreads.threading.Event", "mine"),
        mock.patch("oxthreads.threading.new", 1, create=True),
    ):
        assert threading.Event is standard
        assert oxthreads.threading.Event == "mine"
        assert not hasattr(threading, "new")
    assert oxthreads.threading.Event is not standard
    assert not hasattr(oxthreads.threading, "new")


def test_the_profile_and_trace_functions_are_shared() -> None:
    def trace(*_: object) -> None:
        return None

    oxthreads.threading.settrace(trace)
    try:
        assert threading.gettrace() is trace
    finally:
        oxthreads.threading.settrace(None)  # type: ignore[arg-type]
    assert threading.gettrace() is None


def test_locks_are_no_larger_than_the_standard_ones() -> None:
    assert sys.getsizeof(make(OXTHREADS, "Lock")) <= sys.getsizeof(make(STANDARD, "Lock"))
    # Before Python 3.14, the standard RLock is one word smaller: its waiters are in the operating system.
    word = 8 if sys.version_info < (3, 14) else 0
    assert sys.getsizeof(make(OXTHREADS, "RLock")) <= sys.getsizeof(make(STANDARD, "RLock")) + word


def bytes_of(made: object) -> int:
    """Return the size of an object, with its attributes and what only they refer to."""
    total = sys.getsizeof(made)
    for attribute in getattr(made, "__dict__", {}).values():
        if type(attribute).__module__ in ("threading", "_thread", "collections"):
            total += bytes_of(attribute)
    if hasattr(made, "__dict__"):
        total += sys.getsizeof(made.__dict__)
    return total


@pytest.mark.parametrize("name", ["Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier"])
def test_other_objects_are_smaller_than_the_standard_ones(name: str) -> None:
    # To read `__dict__` makes a dictionary where there was none. It counts for both objects.
    assert bytes_of(make(OXTHREADS, name)) < bytes_of(make(STANDARD, name))


def test_isinstance_holds_for_all_threads_under_the_patch() -> None:
    code = """
import _thread, threading
assert isinstance(threading.main_thread(), threading.Thread)
assert isinstance(threading.Timer(1, int), threading.Thread)
done = threading.Event()
seen = []
def foreign():
    seen.append(threading.current_thread())
    done.set()
_thread.start_new_thread(foreign, ())
done.wait()
assert isinstance(seen[0], threading.Thread) and type(seen[0]).__name__ == "_DummyThread"
assert isinstance(threading.Lock(), type(threading.Lock()))
assert isinstance(threading.BoundedSemaphore(), threading.Semaphore)
class Mine(threading.Timer): pass
mine = Mine(0, print, ["ran"])
mine.start(); mine.join()
assert isinstance(mine, threading.Timer) and mine.finished.is_set()
"""
    done = subprocess.run(
        [sys.executable, "-m", "oxthreads", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("ran\n", "", 0)


def public_things() -> list[Any]:
    modules = (oxthreads.threading, oxthreads.queue, oxthreads.concurrent.futures, oxthreads.patch)
    found = []
    for module in modules:
        for name in module.__all__:
            thing = getattr(module, name)
            if not callable(thing):
                continue
            found.append(pytest.param(thing, id=f"{module.__name__}.{name}"))
            if isinstance(thing, type) and thing.__module__.startswith("oxthreads"):
                found.extend(
                    pytest.param(getattr(thing, member), id=f"{module.__name__}.{name}.{member}")
                    for member, value in vars(thing).items()
                    if callable(value) or isinstance(value, classmethod | staticmethod)
                )
    return found


@pytest.mark.parametrize("thing", public_things())
def test_annotations_can_be_read_at_runtime(thing: Any) -> None:
    if isinstance(thing, type) or inspect.isfunction(thing):
        typing.get_type_hints(thing)
    with contextlib.suppress(ValueError):  # there may be no signature at all
        inspect.signature(thing, eval_str=True)


@pytest.mark.parametrize("name", [name for name in CLASSES if name not in ("Thread", "Timer")])
def test_classes_and_methods_have_no_annotations_as_in_the_standard_library(
    library: BackEnd, name: str
) -> None:
    cls = getattr(library.threading, name)
    assert typing.get_type_hints(cls) == {}
    for function in vars(cls).values():
        if inspect.isfunction(function):
            assert typing.get_type_hints(function) == {}


def test_initializers_and_functions_have_no_annotations_as_in_the_standard_library(library: BackEnd) -> None:
    for function in (
        library.threading.Thread.__init__,
        library.threading.Timer.__init__,
        library.futures.ThreadPoolExecutor.__init__,
        library.futures.ThreadPoolExecutor.map,
        library.futures.ThreadPoolExecutor.submit,
        library.futures.wait,
        library.futures.as_completed,
    ):
        assert typing.get_type_hints(function) == {}, function
