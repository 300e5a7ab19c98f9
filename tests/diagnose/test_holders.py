"""Which ``with`` statements a frame is inside, and which of them holds a lock.

The functions here ask about themselves, from within a ``with``. So a frame is where a real one would be that
waits for another lock there. `Probe` asks from within its own ``__enter__`` and ``__exit__``.
"""

# Forms that a linter would have otherwise: several statements in one line, `with` within `with`.
# ruff: noqa: E701, E702, SIM117

from __future__ import annotations

import ast
import contextlib
import linecache
import subprocess
import sys
import textwrap
import threading
import types
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path
from types import FrameType

import pytest

from oxthreads.diagnose import _holders
from oxthreads.diagnose._holders import WithItem, held_in, open_with_statements
from tests.support.waiting import until_asleep


class Lock:
    """Tests need no real lock: what counts is which object it is."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def held(lock: object) -> str | None:
    """The expression of the item by which the caller holds `lock`."""
    item = held_in(sys._getframe(1), lock)
    return None if item is None else item.expression


def opened() -> list[str]:
    """The expressions of all items that are open in the caller."""
    return [item.expression for item in open_with_statements(sys._getframe(1))]


class Probe:
    """Writes down what its frame holds while it is entered and left."""

    def __init__(self, swallow: bool = False) -> None:
        self.entering: list[str] = []
        self.leaving: list[list[str]] = []
        self.swallow = swallow

    def __enter__(self):
        self.entering = [item.expression for item in open_with_statements(sys._getframe(1))]
        return self

    def __exit__(self, *_):
        frame = sys._getframe(1)
        assert held_in(frame, self) is None
        self.leaving.append([item.expression for item in open_with_statements(frame)])
        return self.swallow


a, b, c = Lock(), Lock(), Lock()
locks = {"a": Lock(), 3: Lock(), b"x": Lock()}
rows = [Lock(), [Lock(), Lock()]]
module = types.ModuleType("module")
module.lock = Lock()


class Account:
    shared = Lock()

    def __init__(self):
        self.lock = Lock()
        self.__private = Lock()

    def ask(self):
        with self.lock:
            return held(self.lock)

    def ask_private(self):
        with self.__private:
            return held(self.__private)


# ---- Forms of the statement


def test_one_item():
    with a:
        assert held(a) == "a"
        assert held(b) is None
    assert held(a) is None


def test_several_items():
    with a, b as taken, c:
        assert opened() == ["a", "b", "c"]
        assert held(taken) == "b"
    assert opened() == []


def test_parentheses():
    account = Account()
    with (
        a,
        account.lock as taken,
        c,
    ):
        assert opened() == ["a", "account.lock", "c"]
        item = held_in(sys._getframe(), taken)
        assert item is not None
        assert item.text == "account.lock as taken,"


def test_nested():
    with a:
        assert opened() == ["a"]
        with b:
            assert opened() == ["a", "b"]
        assert opened() == ["a"]


def test_the_innermost_is_found():
    with a:
        first = held_in(sys._getframe(), a)
        with a:
            second = held_in(sys._getframe(), a)
    assert first is not None
    assert second is not None
    assert second.line == first.line + 2


# fmt: off
def test_one_line():
    with a: assert (held(a), held(b)) == ("a", None)
    with a: pass; assert held(a) == "a"
    with a, b: inside = opened()
    after = opened()
    assert (inside, after) == (["a", "b"], [])


def test_one_line_that_enters_twice():
    first, second = Probe(), Probe()
    with first, second: inside = opened()
    assert (first.entering, second.entering, inside) == ([], ["first"], ["first", "second"])
# fmt: on


def test_loops():
    for _ in range(3):
        with a:
            assert opened() == ["a"]
        assert opened() == []
    with b:
        for _ in range(2):
            assert opened() == ["b"]
            with a:
                assert opened() == ["b", "a"]
        assert opened() == ["b"]
        left = 2
        while left:
            left -= 1
            assert opened() == ["b"]
    assert opened() == []


def test_try():
    with a:
        try:
            assert opened() == ["a"]
            with b:
                assert opened() == ["a", "b"]
                raise ValueError
        except ValueError:
            assert opened() == ["a"]
            with c:
                assert opened() == ["a", "c"]
        else:
            pytest.fail("not raised")
        finally:
            assert opened() == ["a"]
            with b:
                assert opened() == ["a", "b"]
    assert opened() == []


def test_in_handlers():
    try:
        raise ValueError
    except ValueError as error:
        with a:
            assert opened() == ["a"]
            try:
                raise KeyError from error
            except KeyError:
                assert opened() == ["a"]
        assert opened() == []
    finally:
        with b:
            assert opened() == ["b"]


def test_finally_on_the_way_out():
    seen = []

    def leave():
        with a:
            try:
                with b:
                    return 1
            finally:
                seen.append(opened())
                with c:
                    seen.append(opened())

    leave()
    with contextlib.suppress(ZeroDivisionError):

        def fail():
            with a:
                try:
                    with b:
                        return 1 / 0
                finally:
                    seen.append(opened())

        fail()
    assert seen == [["a"], ["a", "c"], ["a"]]


def test_exception_groups():
    with a:
        try:
            raise ExceptionGroup("", [ValueError()])
        except* ValueError:
            assert opened() == ["a"]
            with b:
                assert opened() == ["a", "b"]


def test_match():
    with a:
        match [1, 2]:
            case [first, *_] if held(a) == "a":
                with b:
                    assert opened() == ["a", "b"]
                assert first == 1
            case _:
                pytest.fail("another case")


def test_comprehensions():
    with a:
        assert [held(a) for _ in range(1)] in (["a"], [None])  # a frame of its own before 3.12
        assert [opened() for _ in range(0)] == []
        assert held(a) == "a"


def test_lambda_has_its_own_frame():
    with a:
        ask = lambda: (opened(), held(a))  # noqa: E731
        assert ask() == ([], None)


def test_closures():
    lock = Lock()

    def inner():
        with lock:
            return held(lock)

    assert inner() == "lock"
    with lock:
        assert held(lock) == "lock"


def test_class_body():
    class Body:
        lock = Lock()
        with lock:
            found = held(lock)
        with a:
            outer = held(a)
        after = held(lock)

    assert (Body.found, Body.outer, Body.after) == ("lock", "a", None)


def test_class_body_with_the_variable_of_a_function():
    lock = Lock()

    class Body:
        with lock:
            found = held(lock)

    # The frame of a class body cannot see it.
    assert Body.found is None


def test_module():
    namespace = {"held": held, "lock": Lock(), "other": Lock()}
    exec("with lock:\n    found = held(lock)\n    other = held(other)\nafter = held(lock)", namespace)
    assert (namespace["found"], namespace["other"], namespace["after"]) == ("lock", None, None)


def test_builtins():
    namespace = {"held": held, "a": a, "__builtins__": {"lock": a}}
    exec("def f():\n    with lock: return held(a)", namespace)
    assert namespace["f"]() == "lock"


def test_bodies_of_many_instructions():
    # Arguments that need more than one byte, jumps and table entries that need more.
    fillers = "\n".join(f"    if v{i}: v{i} = v{i} + {i}" for i in range(600))
    variables = "\n".join(f"  v{i} = 0" for i in range(600))
    source = f"""
def f(lock, other):
{variables}
  with lock, other.part600 as taken:
{fillers}
    return opened(), held(lock), held(taken)
"""
    namespace = {"held": held, "opened": opened}
    exec(source, namespace)
    other = Account()
    other.part600 = b
    assert namespace["f"](a, other) == (["lock", "other.part600"], "lock", "other.part600")


# ---- Entering and leaving


def test_waiting_in_enter_holds_only_what_comes_before():
    first, second, third = Probe(), Probe(), Probe()
    with first, second:
        with third:
            pass
    assert first.entering == []
    assert second.entering == ["first"]
    assert third.entering == ["first", "second"]


def test_evaluating_the_expression():
    seen = []

    def get(lock):
        seen.extend(item.expression for item in open_with_statements(sys._getframe(1)))
        return lock

    with a, get(b):
        pass
    assert seen == ["a"]


def test_leaving_at_the_end():
    first, second = Probe(), Probe()
    with first, second:
        pass
    assert second.leaving == [["first"]]
    assert first.leaving == [[]]


def test_leaving_by_return():
    first, second = Probe(), Probe()

    def leave(value):
        with first:
            with second:
                if value:
                    return value
                return [value]

    leave(1)
    leave(0)
    assert second.leaving == [["first"]] * 2
    assert first.leaving == [[]] * 2


def test_the_value_of_return_is_still_inside():
    def leave():
        with a:
            return opened()

    assert leave() == ["a"]


def test_leaving_by_break_and_continue():
    outer, inner = Probe(), Probe()
    for step in range(3):
        with outer:
            for _ in range(2):
                with inner:
                    if step:
                        continue
                    break
            if step == 1:
                break
    assert inner.leaving == [["outer"]] * 3
    assert outer.leaving == [[]] * 2


@pytest.mark.parametrize("swallow", [False, True])
def test_leaving_by_an_exception(swallow):
    first, second = Probe(), Probe(swallow)
    with contextlib.suppress(ValueError):
        with first, second:
            raise ValueError
    assert second.leaving == [["contextlib.suppress(ValueError)", "first"]]
    assert first.leaving == [["contextlib.suppress(ValueError)"]]
    assert opened() == []


def test_leaving_while_the_expression_of_a_later_item_fails():
    first = Probe()
    with pytest.raises(ZeroDivisionError):
        with first, contextlib.nullcontext(1 / 0):
            pass
    assert first.leaving == [["pytest.raises(ZeroDivisionError)"]]


def test_leaving_in_a_handler():
    first, second = Probe(), Probe()
    try:
        raise ValueError
    except ValueError:
        with first:
            try:
                raise KeyError
            except KeyError:
                with second:
                    pass
    assert second.leaving == [["first"]]
    assert first.leaving == [[]]


# ---- Frames whose `with` another thread can leave, or that have none


def test_generators():
    def generate():
        with a:
            yield opened(), held(a)

    assert next(generate()) == ([], None)
    with a:
        assert [*(opened() for _ in range(1))] == [[]]


def test_coroutines():
    async def wait():
        with a:
            return opened()

    class Manager:
        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            return None

    async def wait_in_async_with():
        async with Manager():
            return opened()

    async def generate():
        with a:
            yield opened()

    for coroutine in (wait(), wait_in_async_with(), anext(generate())):
        with pytest.raises(StopIteration) as stop:
            coroutine.send(None)
        assert stop.value.value == []


def test_exit_stack():
    with contextlib.ExitStack() as stack:
        stack.enter_context(a)
        assert held(a) is None
        assert opened() == ["contextlib.ExitStack()"]


def test_acquire_without_with():
    a.__enter__()
    assert held(a) is None
    assert opened() == []


# ---- Expressions


def test_attributes():
    account = Account()
    with account.lock:
        assert held(account.lock) == "account.lock"
    with Account.shared:
        assert held(Account.shared) == "Account.shared"
    with account.shared:
        assert held(Account.shared) == "account.shared"
    with module.lock:
        assert held(module.lock) == "module.lock"
    assert account.ask() == "self.lock"
    assert account.ask_private() == "self.__private"


def test_subscripts():
    i, key = 1, "a"
    with locks["a"]:
        assert held(locks["a"]) == "locks['a']"
    with locks[key], locks[3], locks[b"x"]:
        assert held(locks["a"]) == "locks[key]"
        assert held(locks[3]) == "locks[3]"
        assert held(locks[b"x"]) == "locks[b'x']"
    with rows[0], rows[i][0], rows[1][-1]:
        assert held(rows[0]) == "rows[0]"
        assert held(rows[1][0]) == "rows[i][0]"
        assert held(rows[1][1]) == "rows[1][-1]"


def test_dicts_that_are_as_plain():
    of_default, ordered = defaultdict(Lock), OrderedDict(x=Lock())
    with of_default["x"], ordered["x"]:
        assert held(of_default["x"]) == "of_default['x']"
        assert held(ordered["x"]) == "ordered['x']"


def test_keys_that_are_the_same_object():
    class Key:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            raise AssertionError

    key = Key()
    of_keys = {key: Lock()}
    lock = of_keys[key]
    with of_keys[key]:
        assert held(lock) == "of_keys[key]"


def test_slots():
    class Slotted:
        __slots__ = ("lock",)

    slotted = Slotted()
    lock = slotted.lock = Lock()
    with slotted.lock:
        assert held(lock) == "slotted.lock"
        delattr(slotted, "lock")
        assert held(lock) is None


def test_what_is_gone():
    account, of_keys, row = Account(), {"a": a}, [a]
    lock = account.lock
    with account.lock, of_keys["a"], row[0]:
        delattr(account, "lock")
        of_keys.clear()
        row.clear()
        assert held(lock) is None
        assert held(a) is None


def refuse(*_):
    raise AssertionError("code of the user was called")


def test_code_of_the_user_is_not_called():
    lock = Lock()
    is_armed = False

    def give(*_):
        if is_armed:
            refuse()
        return lock

    class Property:
        lock = property(give)

    class ByGetattr:
        __getattr__ = give

    class ByGetattribute:
        __getattribute__ = give

    class Descriptor:
        __get__ = give

    class ByDescriptor:
        lock = Descriptor()

    class Meta(type):
        lock = property(give)

    class ByMeta(metaclass=Meta):
        pass

    class Comparing(type):
        def __eq__(cls, other):
            give()
            return cls is other

        __hash__ = type.__hash__

    class Compared(metaclass=Comparing):
        def __init__(self):
            self.lock = b

        def __getitem__(self, key):
            return lock

    class Container(dict):
        __getitem__ = give
        __missing__ = give

    class Text(str):
        __slots__ = ()

        def __eq__(self, other):
            give()
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    by_property, by_getattr, by_getattribute = Property(), ByGetattr(), ByGetattribute()
    compared = Compared()
    by_descriptor, container, texts = ByDescriptor(), Container(), {Text("a"): lock}
    lazy = types.ModuleType("lazy")
    lazy.__getattr__ = give
    with by_property.lock, by_getattr.lock, by_getattribute.lock, by_descriptor.lock, ByMeta.lock:
        with ByDescriptor.lock, container["a"], texts["a"], lazy.lock, compared[0], compared.lock, give():
            is_armed = True
            assert held(lock) is None
            assert held(b) == "compared.lock"
            assert len(opened()) == 12
            is_armed = False


def test_what_is_stored_is_not_what_the_look_up_gives():
    class ByGetattribute:
        def __getattribute__(self, name):
            return a

    class Descriptor(Lock):
        def __get__(self, instance, owner):
            return a

    class Owner:
        lock = Descriptor()

    class Mapping(dict):
        def __getitem__(self, key):
            return a

    owner, by_getattribute, mapping = Owner(), ByGetattribute(), Mapping(a=b)
    object.__setattr__(by_getattribute, "lock", b)
    descriptor = Owner.__dict__["lock"]
    with by_getattribute.lock, Owner.lock, owner.lock, mapping["a"]:
        assert held(b) is None
        assert held(descriptor) is None
        assert held(a) is None


def test_custom_namespaces_are_not_called():
    class Namespace(dict):
        def __getitem__(self, name):
            return dict.__getitem__(self, name)

        def get(self, *_):
            refuse()

    namespace = Namespace(lock=a)
    exec("with lock:\n    found = held(lock)", {"held": held}, namespace)
    assert namespace["found"] is None


@pytest.mark.parametrize(
    "expression", ["(a if flag else b)", "(a or b)", "(flag and b)", "(lock := b)", "get(b)", "get(b).lock"]
)
def test_other_expressions(expression):
    def get(lock):
        return lock

    first, second = Lock(), Lock()
    second.lock = second
    namespace = {"a": first, "b": second, "get": get, "held": held}
    exec(f"def f(flag):\n  with {expression}:\n    return held(a), held(b)", namespace)
    assert namespace["f"](0 if "if" in expression else 1) == (None, None)


def test_conditions():
    lock = threading.Lock()
    ready, other = threading.Condition(lock), threading.Condition()

    def lock_of(value):
        return value._lock if isinstance(value, threading.Condition) else None

    with other, ready:
        item = held_in(sys._getframe(), lock, lock_of)
        assert item is not None
        assert item.expression == "ready"
        assert held(lock) is None
        assert held_in(sys._getframe(), a, lock_of) is None


# ---- Names that change


def test_other_object_at_that_name_now():
    account = Account()
    before = account.lock

    def change():
        account.lock = b

    with account.lock:
        change()
        assert held(before) is None


def test_local_variable_assigned_in_the_body():
    lock = a
    with lock:
        assert held(a) is None
        lock = b
        assert held(b) is None
    lock = a
    with lock:
        assert held(a) == "lock"
    lock = b


@pytest.mark.parametrize(
    "statement",
    [
        "lock = other",
        "del lock",
        "for lock in [other]: pass",
        "import sys as lock",
        "x, (y, lock) = 1, (2, other)",
        "try: 1 / 0\n      except ZeroDivisionError as lock: pass",
        "lock: object = other",
        "[lock := other for _ in '1']",
        "def lock(): pass",
        "class lock: pass",
        "match other:\n        case lock: pass",
        "with b as lock: pass",
        "x = lock = other",
        "lock += 1",
    ],
)
@pytest.mark.parametrize("header", ["def f(held, a, b, other, lock):", "if True:"])
def test_each_way_to_assign(statement, header):
    # The statement is not executed: that it is there is enough.
    source = f"{header}\n  with lock:\n    r = [held(a)]\n    if a is b:\n      {statement}\n  R.append(r[0])"
    found = []
    values = {"held": held, "a": a, "b": b, "other": b, "lock": a}
    namespace = {"R": found, **values}
    exec(source, namespace)
    if "f" in namespace:
        namespace["f"](**values)
    assert found == [None]


def test_assigned_by_as():
    lock = a
    with lock as lock:
        assert held(a) is None


def test_assigned_by_an_inner_function():
    lock = a

    def change():
        nonlocal lock
        lock = b

    with lock:
        change()
        assert held(b) is None


def test_assigned_by_an_inner_function_to_its_own_variable():
    lock = a

    def change(lock):
        def inner():
            nonlocal lock
            lock = b

        inner()
        return lock

    def read():
        return lock

    with lock:
        assert change(c) is b
        assert held(a) == "lock"
        assert read() is a


def test_assigned_by_a_function_of_the_module():
    source = """
        def change():
            global lock
            lock = other
        with lock:
            change()
            found = held(other)
    """
    namespace = {"held": held, "lock": a, "other": b}
    exec(textwrap.dedent(source), namespace)
    assert namespace["found"] is None


def test_other_variables_of_that_name():
    """What is not the same variable does no harm."""
    source = """
        class Other:
            lock = 1
            def __init__(self, lock):
                self.lock = lock
                lock = 2
        def change(lock):
            def inner():
                nonlocal lock
                lock = Other(lock).lock
            inner()
        with lock:
            change(3)
            found = held(lock)
        def f():
            with lock:
                return held(lock)
        found_by_f = f()
    """
    namespace = {"held": held, "lock": a}
    exec(textwrap.dedent(source), namespace)
    assert namespace["found_by_f"] == "lock"
    assert namespace["found"] == "lock"


@pytest.mark.one_thread("makes a module")
def test_import_of_everything():
    sys.modules["module_for_star"] = types.ModuleType("module_for_star")
    try:
        namespace = {"held": held, "lock": a}
        exec("with lock:\n    from module_for_star import *\n    found = held(lock)", namespace)
        assert namespace["found"] is None
    finally:
        del sys.modules["module_for_star"]


def test_attributes_and_subscripts_assigned_in_the_body():
    account, other, of_keys = Account(), Account(), {"a": a}
    with account.lock:
        assert held(account.lock) is None
        other.lock = b
    with account.lock:
        assert held(account.lock) is None
        if account is other:
            del other.lock
    with of_keys["a"]:
        assert held(a) is None
        rows[0] = rows[0]
    with account.lock:
        other.balance = 1  # another name does no harm
        assert held(account.lock) == "account.lock"


# ---- The interpreter changes code while it runs


def run_all() -> None:
    test_several_items()
    test_try()
    test_loops()
    test_leaving_by_return()
    test_leaving_by_break_and_continue()
    test_leaving_by_an_exception(True)
    test_waiting_in_enter_holds_only_what_comes_before()
    test_attributes()
    test_subscripts()


def test_specialized():
    _holders._known.clear()
    for _ in range(100):
        run_all()
    _holders._known.clear()
    run_all()


def test_traced():
    def trace(frame, event, argument):
        frame.f_trace_opcodes = True
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        _holders._known.clear()
        for _ in range(3):
            run_all()
    finally:
        sys.settrace(before)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is of 3.12")
@pytest.mark.one_thread("a tool can be used once")
def test_monitored():
    tool = 4
    events = sys.monitoring.events
    sys.monitoring.use_tool_id(tool, "test")
    wanted = (events.LINE, events.INSTRUCTION, events.BRANCH, events.CALL, events.PY_START, events.PY_RETURN)
    try:
        for event in wanted:
            sys.monitoring.register_callback(tool, event, lambda *_: None)
        sys.monitoring.set_events(tool, sum(wanted))
        _holders._known.clear()
        for _ in range(3):
            run_all()
    finally:
        sys.monitoring.set_events(tool, 0)
        sys.monitoring.free_tool_id(tool)


# ---- Other threads


def test_frame_of_a_thread_that_waits():
    held_lock, wanted = threading.Lock(), threading.Lock()
    inside = threading.Event()

    def work():
        with held_lock:
            inside.set()
            with wanted:
                pass

    with wanted:
        thread = threading.Thread(target=work)
        thread.start()
        inside.wait()
        # The frames of a thread that runs cannot be read without a GIL.
        until_asleep(thread)
        found: dict[str, str] = {}
        while work.__qualname__ not in found:
            frame: FrameType | None = sys._current_frames()[thread.ident]
            while frame is not None:
                found |= {item.function: item.text for item in open_with_statements(frame)}
                frame = frame.f_back
        assert found[work.__qualname__] == "with held_lock:"
    thread.join()


# ---- What is shown


def test_all_of_an_item():
    account = Account()
    with a, account.lock:
        item = held_in(sys._getframe(), account.lock)
        line = sys._getframe().f_lineno - 2
    assert item == WithItem(
        filename=__file__,
        line=line,
        function="test_all_of_an_item",
        text="with a, account.lock:",
        expression="account.lock",
    )


def run_text(text: str, filename: str) -> list[WithItem]:
    namespace = {"lock": a, "ask": lambda: held_in(sys._getframe(1), a)}
    exec(compile(text, filename, "exec"), namespace)
    return namespace["found"]


SOURCE = "\nwith lock:\n    found = ask()\n"


def test_without_source():
    item = run_text(SOURCE, "<no file>")
    assert (item.line, item.text, item.expression) == (2, "", "lock")


@pytest.mark.one_thread("changes what is registered")
def test_registered_source():
    _holders.register_source("<registered>", SOURCE)
    item = run_text(SOURCE, "<registered>")
    assert (item.line, item.text, item.expression) == (2, "with lock:", "lock")
    _holders.register_source("<registered>", "")
    assert run_text(SOURCE, "<registered>").text == ""


@pytest.mark.parametrize("now", ["", "\n", "def (", "\nwith other:\n    found = ask()\n", "\0\n\udc80"])
@pytest.mark.one_thread("changes a file")
def test_source_that_has_changed(now, tmp_path):
    file = tmp_path / "changed.py"
    file.write_text(SOURCE)
    assert run_text(SOURCE, str(file)).text == "with lock:"
    file.write_bytes(now.encode(errors="surrogateescape"))
    item = run_text(SOURCE, str(file))
    assert (item.text, item.expression) == ("", "lock")
    file.unlink()
    item = run_text(SOURCE, str(file))
    assert (item.text, item.expression) == ("", "lock")


@pytest.mark.one_thread("clears a cache")
def test_loader_that_fails():
    class Loader:
        def get_source(self, name):
            raise ZeroDivisionError

    namespace = {"lock": a, "ask": lambda: held_in(sys._getframe(1), a)}
    namespace |= {"__name__": "x", "__loader__": Loader()}
    linecache.clearcache()
    exec(compile(SOURCE, "of_a_loader.py", "exec"), namespace)
    assert (namespace["found"].text, namespace["found"].expression) == ("", "lock")


@pytest.mark.one_thread("imports a module")
def test_zip_file(tmp_path, monkeypatch):
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("in_archive.py", "def run(lock, ask):\n    with lock:\n        return ask()\n")
    monkeypatch.syspath_prepend(archive)
    import in_archive  # noqa: PLC0415

    item = in_archive.run(a, lambda: held_in(sys._getframe(1), a))
    assert (item.text, item.function) == ("with lock:", "run")


@pytest.mark.parametrize("options", [[], ["-X", "no_debug_ranges"], ["-OO"]])
@pytest.mark.one_thread("starts child interpreters")
def test_command_line(options):
    script = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("_holders", sys.argv[1])
_holders = sys.modules["_holders"] = module_from_spec(spec)
spec.loader.exec_module(_holders)
class Lock:
    __enter__ = __exit__ = lambda *_: None
def f(lock):
    with Lock(), lock:
        return _holders.held_in(sys._getframe(), lock)
print(*f(Lock())[1:], sep="|")
"""
    run = subprocess.run(
        [sys.executable, *options, "-c", script, _holders.__file__],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    text = "with Lock(), lock:" if sys.version_info >= (3, 14) else ""
    expected = [f"10|f|{text}|lock"]
    if (3, 13) <= sys.version_info < (3, 14):
        expected.append("10|f|with Lock(), lock:|lock")
    assert run.stdout.strip() in expected


@pytest.mark.one_thread("counts what is kept")
def test_keeps_little():
    for number in range(300):
        namespace = {"lock": a, "ask": lambda: held_in(sys._getframe(1), a)}
        exec(f"with lock:\n    found = ask(), {number}", namespace)
        assert namespace["found"][0].expression == "lock"
    assert len(_holders._known) <= 128


def test_code_that_is_gone_is_not_mistaken():
    # The next code object may get the address of one that is gone.
    for number in range(300):
        name = "lock" if number % 2 else "other"
        namespace = {name: a, "ask": lambda: held_in(sys._getframe(1), a)}
        exec(f"{'pass;' * (number % 3)}\nwith {name}:\n    found = ask()", namespace)
        assert namespace["found"].expression == name
        del namespace


FILES = ["threading", "queue", "subprocess", "logging/__init__", "concurrent/futures/thread", "socket"]


def test_files_of_the_standard_library():
    """Each ``with`` that is a plain look-up is read as it is written."""
    read = 0
    for name in FILES:
        file = Path(threading.__file__).parent / f"{name}.py"
        tree = ast.parse(file.read_bytes())
        wanted = [
            ast.unparse(item.context_expr)
            for node in ast.walk(tree)
            if isinstance(node, ast.With)
            for item in node.items
            if isinstance(item.context_expr, ast.Name | ast.Attribute)
        ]
        names = []
        pending = [compile(tree, str(file), "exec")]
        while pending:
            code = pending.pop()
            pending += [value for value in code.co_consts if isinstance(value, types.CodeType)]
            known = _holders._Bytecode(code)
            items = {item for offset in range(0, len(code.co_code), 2) for item in known.open_items(offset)}
            look_ups = [item.look_up for item in items if item.look_up is not None]
            names += [_holders._expression(look_up, code.co_qualname) for look_up in look_ups]
        # A `finally` is compiled twice, and so is the `with` in it.
        assert set(names) == set(wanted)
        assert len(names) >= len(wanted)
        read += len(names)
    assert read > 30
