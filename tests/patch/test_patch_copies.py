"""Standard modules that are imported again, and methods that tracers wrap, with the patch.

Each case runs in its own process. A program that does not use oxthreads itself runs on both libraries.
"""

from __future__ import annotations

import textwrap

import pytest

from tests.support.interpreters import python
from tests.support.patched import ALL_ACTIVE, check

pytestmark = pytest.mark.one_thread("starts child interpreters")

MODULES = [
    "threading",
    "queue",
    "concurrent.futures._base",
    "concurrent.futures.thread",
    "concurrent.futures",
]

IMPORTS = "import sys, threading, queue, concurrent.futures, concurrent.futures.thread\n"

#: A program that must work with whatever modules it finds.
PROGRAM = """
import concurrent.futures, queue, threading

def program():
    import concurrent.futures, queue, threading
    from concurrent.futures import ThreadPoolExecutor, as_completed, wait
    items = queue.Queue(1)
    items.put(1)
    calls = (lambda: items.put_nowait(2), queue.Full), (queue.Queue().get_nowait, queue.Empty)
    for call, error in calls:
        try:
            call()
        except error:
            pass
    def work(number):
        name = threading.current_thread().name
        assert name.startswith("worker_"), name
        assert threading.current_thread() in threading.enumerate()
        return number
    with ThreadPoolExecutor(2, "worker") as executor:
        assert isinstance(executor, concurrent.futures.Executor)
        futures = [executor.submit(work, number) for number in range(10)]
        assert all(isinstance(future, concurrent.futures.Future) for future in futures)
        assert len(wait(futures).done) == len(list(as_completed(futures))) == 10
    future = concurrent.futures.Future()
    future.cancel()
    try:
        future.result()
    except concurrent.futures.CancelledError:
        pass
    threads = []
    note = lambda: threads.append(threading.current_thread())
    for thread in (threading.Thread(target=note), threading.Timer(0, int)):
        thread.start()
        thread.join()
        assert isinstance(thread, threading.Thread)
    assert isinstance(threads[0], threading.Thread) and threads[0].ident
    assert isinstance(threading.main_thread(), threading.Thread)
    assert threading.current_thread() is threading.main_thread()
    barrier = threading.Barrier(2)
    barrier.abort()
    try:
        barrier.wait()
    except threading.BrokenBarrierError:
        pass
    condition = threading.Condition()
    with condition:
        condition.notify_all()
    hooked = []
    before, threading.excepthook = threading.excepthook, hooked.append
    thread = threading.Thread(target=[].pop)
    thread.start()
    thread.join()
    threading.excepthook = before
    assert hooked, "the hook was not called"
program()
"""

DISCARDS = {
    "pop": "sys.modules.pop(name)",
    "monkeypatch": "patcher.delitem(sys.modules, name)",
    "fresh": "from test.support import import_helper; assert import_helper.import_fresh_module(name)",
}


@pytest.mark.parametrize("how", DISCARDS)
@pytest.mark.parametrize("names", [[name] for name in MODULES] + [MODULES, MODULES[::-1]], ids="+".join)
def test_a_program_can_import_modules_again(names: list[str], how: str) -> None:
    patcher = "import pytest\npatcher = pytest.MonkeyPatch()\n"
    source = IMPORTS + patcher + f"for name in {names!r}:\n    {DISCARDS[how]}\n{PROGRAM}"
    for runner in (False, True):
        # If only some modules are new, the standard library has two kinds of threads, or two packages, of
        # which `import_fresh_module` restores only one. There the program cannot work.
        if runner or not (
            ("threading" in names and len(names) == 1) or ("concurrent.futures" in names and how == "fresh")
        ):
            result = python(source, runner=runner, OXTHREADS="0")
            assert (result.returncode, result.stderr) == (0, ""), runner


@pytest.mark.parametrize("name", MODULES)
def test_the_first_copy_is_imported_again(name: str) -> None:
    check(f"""
        patch.install()
        {IMPORTS}
        first, attributes = sys.modules[{name!r}], dict(vars(sys.modules[{name!r}]))
        spec = first.__spec__
        for _ in range(3):
            del sys.modules[{name!r}]
            __import__({name!r})
            assert sys.modules[{name!r}] is first
            import oxthreads.queue, oxthreads.threading, oxthreads.concurrent.futures
            for own in [own for own in sys.modules if own.startswith("oxthreads.")]:
                if own != "oxthreads.patch":
                    del sys.modules[own]
        {textwrap.indent(ALL_ACTIVE, " " * 8).strip()}
        assert type(first.__loader__).__name__ == type(first.__spec__.loader).__name__ == "SourceFileLoader"
        """)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imported_again_before_the_patch_stays_standard(name: str) -> None:
    # The module of oxthreads was made from the old copy. So the standard classes stay, and `status` says so.
    source = """
        {imports}
        import oxthreads.queue, oxthreads.threading, oxthreads.concurrent.futures
        del sys.modules[{name!r}]
        __import__({name!r})
        patch.install(quiet=True)
        assert {name!r} in patch.status()["failures"]
        {program}
        patch.uninstall()
        {program}
        """
    check(source.format(imports=IMPORTS, name=name, program=textwrap.indent(PROGRAM, " " * 8)))


def test_a_copy_can_be_imported_between_two_patches() -> None:
    for name in MODULES:
        check(f"""
            patch.install()
            {IMPORTS}
            patch.uninstall()
            del sys.modules[{name!r}]
            __import__({name!r})
            patch.install(quiet=True)
            {textwrap.indent(PROGRAM, " " * 12)}
            del sys.modules[{name!r}]
            __import__({name!r})
            {textwrap.indent(PROGRAM, " " * 12)}
            """)


def test_the_exit_waits_for_calls_in_a_program_that_imports_modules_again() -> None:
    source = f"""
{IMPORTS}
for name in {MODULES!r}:
    del sys.modules[name]
import time, threading
from concurrent.futures import ThreadPoolExecutor
executor = ThreadPoolExecutor(1)
executor.submit(time.sleep, 0.1)
executor.submit(print, "done")
"""
    for runner in (False, True):
        result = python(source, runner=runner, OXTHREADS="0")
        assert (result.stdout, result.stderr) == ("done\n", ""), runner


#: Ways in which a tracer wraps a method of the standard class, or of the class that replaces it.
WRAPS = """
from functools import wraps
from types import FunctionType
calls = []

def by_attribute(cls, name):
    method = getattr(cls, name)
    @wraps(method)
    def wrapper(*arguments, **keywords):
        calls.append(name)
        return method(*arguments, **keywords)
    setattr(cls, name, wrapper)

def by_object(cls, name):
    class Wrapper:
        def __init__(self, method):
            self.__wrapped__ = method
        def __call__(self, *arguments, **keywords):
            calls.append(name)
            return self.__wrapped__(*arguments, **keywords)
        def __get__(self, instance, owner):
            return type(self)(self.__wrapped__.__get__(instance, owner))
    setattr(cls, name, Wrapper(getattr(cls, name)))

def by_code(cls, name):
    # As ddtrace does, which generates the bytecode.
    function = getattr(cls, name)
    parts = function.__globals__, "inner", function.__defaults__, function.__closure__
    inner = FunctionType(function.__code__, *parts)
    inner.__kwdefaults__ = function.__kwdefaults__
    def outer(*arguments, **keywords):
        outer = "outer"
        return outer(*arguments, **keywords)
    def counted(*arguments, **keywords):
        calls.append(name)
        return inner(*arguments, **keywords)
    code = outer.__code__
    constants = tuple(counted if c == "outer" else c for c in code.co_consts)
    function.__code__ = code.replace(co_consts=constants)
"""


@pytest.mark.parametrize("way", ["by_attribute", "by_object", "by_code"])
@pytest.mark.parametrize("order", ["wrap, install", "install, wrap", "install, import, wrap"])
def test_programs_call_a_wrapped_submit(order: str, way: str) -> None:
    wrap = f"""
        exec({WRAPS!r})
        import sys, concurrent.futures.thread
        {way}(sys.modules["concurrent.futures.thread"].ThreadPoolExecutor, "submit")
        """
    steps = {
        "wrap": wrap,
        "install": "\n        patch.install()\n",
        "import": "\n        import concurrent.futures.thread, oxthreads.concurrent.futures\n",
    }
    for chosen in (["wrap"], order.split(", ")):  # on the standard library, and with the patch
        check(
            "".join(steps[step] for step in chosen)
            + """
        import contextvars
        from concurrent.futures import ThreadPoolExecutor, as_completed, wait
        class Mine(ThreadPoolExecutor):
            def submit(self, fn, /, *args, **kwargs):
                return super().submit(fn, *args, **kwargs)
        for kind in ThreadPoolExecutor, Mine:
            with kind(2) as executor:
                future = executor.submit(pow, 2, mod=None, exp=3)
                assert future.result() == 8 and len(wait([future]).done) == 1
                assert list(executor.map(abs, [-1, -2])) == [1, 2]
                assert executor.submit(sum, ()).result() == 0
        assert calls == ["submit"] * 8, calls
        """
        )


def test_a_hook_may_wrap_between_the_import_of_a_module_and_of_ours() -> None:
    check(f"""
        import sys
        exec({WRAPS!r})
        class Hook:
            def find_spec(self, name, path=None, target=None):
                if name != "concurrent.futures.thread":
                    return None
                for finder in sys.meta_path:
                    if finder is not self and (spec := finder.find_spec(name, path, target)):
                        execute = spec.loader.exec_module
                        def exec_module(module):
                            execute(module)
                            by_attribute(module.ThreadPoolExecutor, "submit")
                        loader = type("Loader", (), dict(exec_module=staticmethod(exec_module)))()
                        loader.create_module = spec.loader.create_module
                        spec.loader = loader
                        return spec
        patch.install()
        sys.meta_path.insert(0, Hook())
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(1) as executor:
            assert executor.submit(abs, -1).result() == 1
        assert calls == ["submit"]
        states = {{n["name"]: n["state"] for n in patch.status()["names"]}}
        assert states["Future"] == "active"
        """)


@pytest.mark.parametrize(
    ("module", "name", "method"),
    [
        ("queue", "Queue", "put"),
        ("queue", "Queue", "get"),
        ("threading", "Event", "set"),
        ("threading", "Thread", "start"),
        ("threading", "Thread", "__init__"),
        ("threading", "Condition", "wait"),
        ("concurrent.futures._base", "Future", "set_result"),
    ],
)
def test_other_methods_wrapped_before_the_patch_are_still_called(module: str, name: str, method: str) -> None:
    for step in ("", "patch.install()"):
        check(f"""
            import queue, threading, concurrent.futures.thread
            exec({WRAPS!r})
            import sys
            by_attribute(sys.modules[{module!r}].{name}, {method!r})
            {step}
            items = queue.Queue(); items.put(1); items.get()
            items = queue.LifoQueue(); items.put(1); items.get()
            event = threading.Event(); event.set()
            thread = threading.Thread(target=int); thread.start(); thread.join()
            condition = threading.Condition()
            with condition: condition.wait(0)
            future = concurrent.futures.Future(); future.set_result(1)
            assert calls, "it was not called"
            """)


def test_submit_is_a_function_whose_code_can_be_replaced() -> None:
    check(f"""
        import inspect, pickle, types, weakref
        exec({WRAPS!r})
        from concurrent.futures import ThreadPoolExecutor as standard
        import concurrent.futures
        patch.install()
        from concurrent.futures import ThreadPoolExecutor
        submit = ThreadPoolExecutor.submit
        for name in "__name__", "__qualname__", "__module__", "__defaults__", "__kwdefaults__":
            assert getattr(submit, name) == getattr(standard.submit, name), name
        assert inspect.signature(submit) == inspect.signature(standard.submit)
        assert pickle.loads(pickle.dumps(submit)) is submit and isinstance(hash(submit), int)
        assert inspect.isfunction(submit) and submit.__doc__
        executor = ThreadPoolExecutor(1)
        bound = executor.submit
        assert inspect.ismethod(bound) and bound.__self__ is executor and bound.__func__ is submit
        assert weakref.WeakMethod(bound)() == bound
        code = submit.__code__
        by_code(ThreadPoolExecutor, "submit")
        assert executor.submit(abs, -1).result() == 1 and calls == ["submit"]
        submit.__code__ = code
        assert executor.submit(abs, -1).result() == 1 and calls == ["submit"]
        for arguments in (), (1,), (executor,):
            try:
                submit(*arguments)
            except TypeError:
                pass
            else:
                raise AssertionError(arguments)
        executor.shutdown()
        """)
