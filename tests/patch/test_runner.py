"""``python -m oxthreads ...`` must run a program as ``python ...`` does. The tests run both and compare."""

from __future__ import annotations

import os
import py_compile
import signal
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import oxthreads

pytestmark = pytest.mark.one_thread("starts child interpreters")

TIMEOUT = 60

# Prints everything that a program can see about how it was started.
REPORT = """\
import builtins, os, sys
import __main__
own = globals()
print("argv", sys.argv)
print("path", sys.path)
print("names", sorted(own))
print("main", vars(__main__) is own, sys.modules["__main__"] is __main__, type(__main__).__name__)
for name in ("__name__", "__file__", "__package__", "__cached__", "__doc__", "__annotations__"):
    print(name, own.get(name, "absent"))
print("builtins", __builtins__ is builtins)
loader = __loader__ if isinstance(__loader__, type) else type(__loader__)
print("loader", loader.__name__, getattr(__loader__, "name", ""), getattr(__loader__, "path", ""))
print("spec", __spec__ and (__spec__.name, __spec__.origin, __spec__.parent))
print("flags", sys.flags)
"""

RAISE = """\
def fail():
    raise ValueError("as it must")

fail()
"""


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "OXTHREADS"}
    return {**kept, **changes}


def run(
    *arguments: str, where: Path, text: bytes = b"", **changes: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=where,
        input=text,
        capture_output=True,
        timeout=TIMEOUT,
        env=environment(**changes),
        check=False,
    )


def compare(
    *arguments: str, where: Path, options: Sequence[str] = (), text: bytes = b"", **changes: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a program with python and with the runner. Output, errors and status must be equal."""
    standard = run(*options, *arguments, where=where, text=text, **{"OXTHREADS": "0", **changes})
    ours = run(*options, "-m", "oxthreads", *arguments, where=where, text=text, **changes)
    assert ours.stderr.decode() == standard.stderr.decode()
    assert ours.stdout.decode() == standard.stdout.decode()
    assert ours.returncode == standard.returncode
    return ours


def write(directory: Path, name: str, source: str | bytes) -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(source if isinstance(source, bytes) else source.encode())
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with one program in each form that python accepts."""
    write(tmp_path, "script.py", REPORT)
    write(tmp_path, "directory/__main__.py", REPORT)
    write(tmp_path, "package/__init__.py", "")
    write(tmp_path, "package/__main__.py", REPORT)
    write(tmp_path, "package/inner.py", REPORT)
    write(tmp_path, "other/nothing.txt", "")
    (tmp_path / "link.py").symlink_to(tmp_path / "package" / "inner.py")
    py_compile.compile(str(tmp_path / "script.py"), cfile=str(tmp_path / "compiled.pyc"))
    with zipfile.ZipFile(tmp_path / "program.zip", "w") as archive:
        archive.writestr("__main__.py", REPORT)
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ["script.py"],
        ["./script.py", "one", "two"],
        ["other/../script.py"],
        ["{place}/script.py"],
        ["--", "script.py", "--"],
        ["script.py", "-m", "json", "-c", "code", "--help", "-h", "--version", "--"],
        ["link.py"],
        ["compiled.pyc", "a"],
        ["directory", "a"],
        ["directory/"],
        ["{place}/directory"],
        ["program.zip", "-x"],
        ["-m", "script", "a", "-m"],
        ["-mscript"],
        ["-m", "package"],
        ["-m", "package.inner"],
        ["-c", REPORT, "a", "-c", "b"],
        [f"-c{REPORT}"],
        ["-", "a"],
    ],
    ids=lambda arguments: " ".join(arguments).replace(REPORT, "CODE"),
)
def test_a_program_sees_the_same_as_under_python(place: Path, arguments: list[str]) -> None:
    text = REPORT.encode() if arguments[0] == "-" else b""
    result = compare(*(argument.format(place=place) if "{place}" in argument else argument
                       for argument in arguments), where=place, text=text)  # fmt: skip
    assert b"argv" in result.stdout


@pytest.mark.parametrize("option", ["-P", "-I", "-O", "-E", "-s", "-u", "-B", "-Werror", "-Xdev"])
@pytest.mark.parametrize(
    "arguments", [["script.py"], ["-m", "json.tool", "--help"], ["-c", REPORT], ["directory"]],
    ids=" ".join,
)  # fmt: skip
def test_options_of_the_interpreter_have_the_same_effect(
    place: Path, option: str, arguments: list[str]
) -> None:
    compare(*arguments, where=place, options=[option])


def test_isolated_run_does_not_find_modules_of_the_working_directory(place: Path) -> None:
    result = compare("-m", "script", where=place, options=["-I"])
    assert b"No module named script" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["missing.py"],
        ["./missing.py"],
        ["missing/script.py"],
        ["script.py/more"],
        ["it's.py"],
        ["other"],
        ["{place}/other/"],
        ["-m", "missing"],
        ["-m", "missing.module"],
        ["-m", "script.py"],
        ["-m", "other"],
        ["-m", "json"],
        ["-m", ".relative"],
        ["-m", "builtins"],
    ],
    ids=" ".join,
)
def test_a_program_that_cannot_be_run_fails_as_under_python(place: Path, arguments: list[str]) -> None:
    result = compare(*(argument.format(place=place) for argument in arguments), where=place)
    assert result.returncode in (1, 2)


BROKEN = {
    "unclosed": "x = (\n",
    "indent": "def f():\nreturn 1\n",
    "tabs": "def f():\n  x = 1\n\ty = 2\n",
    "return": "print('not printed')\nreturn 5\n",
    "string": 'x = "abc',
    "null": b"print(1)\n\0\n",
    "encoding": b'print("caf\xe9")\n',
    "unknown encoding": b"# coding: nope\nprint(1)\n",
    "encoding and mark": b"\xef\xbb\xbf# coding: latin-1\nprint(1)\n",
    "future": "x = 1\nfrom __future__ import annotations\n",
    "after a warning": 'print("\\d")\nx = (\n',
}


@pytest.mark.parametrize("name", BROKEN)
def test_syntax_error(tmp_path: Path, name: str) -> None:
    write(tmp_path, "script.py", BROKEN[name])
    write(tmp_path, "subprocess.py", "print('imported')\n")
    result = compare("script.py", "argument", where=tmp_path)
    assert result.returncode == 1
    compare("-m", "script", where=tmp_path)


def test_syntax_error_in_a_command(tmp_path: Path) -> None:
    for command in ("x = (", "  x = 1", "print(1); return", "print('\udce9')"):
        compare("-c", command, where=tmp_path)


SOURCES = {
    "empty": b"",
    "latin-1": b'# -*- coding: latin-1 -*-\nprint("caf\xe9")\n1/0\n',
    "mark": b'\xef\xbb\xbfprint("mark")\n1/0 # \xc3\xa9\n',
    "carriage returns": b'print("a")\r\nprint("b")\r1/0\r',
    "no last newline": b"if 1:\n  print(1)\n  1/0",
    "warning": b'print("\\d")\n',
    "no future": b"def f(x: int): ...\nprint(f.__annotations__)\n",
}


@pytest.mark.parametrize("name", SOURCES)
def test_source(tmp_path: Path, name: str) -> None:
    write(tmp_path, "script.py", SOURCES[name])
    compare("script.py", where=tmp_path, PYTHONIOENCODING="utf-8")
    if name != "latin-1":  # Python 3.11 cannot decode such a program from a pipe
        compare("-", where=tmp_path, text=SOURCES[name], PYTHONIOENCODING="utf-8")


ENDINGS = {
    "status": "import sys; sys.exit(3)",
    "text": "import sys; sys.exit('text')",
    "none": "import sys; sys.exit()",
    "float": "raise SystemExit(2.5)",
    "at once": "import os; os._exit(4)",
    "interrupt": "raise KeyboardInterrupt",
    "subclass of interrupt": "class Interrupt(KeyboardInterrupt): pass\nraise Interrupt('mine')",
    "own base": "class Base(BaseException): pass\nraise Base",
    "raise": RAISE,
    "chain": "try:\n  1/0\nexcept ZeroDivisionError as error:\n  raise ValueError('so') from error",
    "context": "try:\n  1/0\nexcept ZeroDivisionError:\n  {}['no']",
    "group": "raise ExceptionGroup('both', [ValueError(1), TypeError(2)])",
    "note": "error = ValueError(1)\nerror.add_note('noted')\nraise error",
    "given traceback": "try:\n  1/0\nexcept Exception as e:\n  kept = e\nraise kept",
    "atexit": "import atexit\natexit.register(print, 'exit')\n" + RAISE,
    "last": (
        "import atexit, sys, traceback\n"
        "@atexit.register\n"
        "def last():\n"
        "  print(sys.excepthook is sys.__excepthook__, sys.last_type)\n"
        "  print(*traceback.format_tb(sys.last_traceback))\n"
        "  print(*traceback.format_exception(sys.last_value))\n" + RAISE
    ),
    "hook": (
        "import sys, traceback\n"
        "def hook(kind, value, tb):\n"
        "  print(kind, value, *traceback.format_tb(tb), sys.excepthook is hook)\n"
        "sys.excepthook = hook\n" + RAISE
    ),
    "hook raises": "import sys\ndef hook(*_): 1/0\nsys.excepthook = hook\n" + RAISE,
    "hook exits": "import sys\ndef hook(*_): sys.exit(7)\nsys.excepthook = hook\n" + RAISE,
    "no hook": "import sys\ndel sys.excepthook\n" + RAISE,
    "thread raises": (
        "import threading\n"
        "def work(): 1/0\n"
        "thread = threading.Thread(target=work, name='T')\n"
        "thread.start(); thread.join(); print('on')"
    ),
    "thread outlives": (
        "import threading\n"
        "gate = threading.Event()\n"
        "threading.Thread(target=lambda: (gate.wait(), print('last'))).start()\n"
        "print('main'); gate.set()"
    ),
    "daemon": (
        "import queue, threading\n"
        "threading.Thread(target=queue.Queue().get, daemon=True).start()\n"
        "print('end')"
    ),
    "deprecation": "import warnings\nwarnings.warn('old', DeprecationWarning)",
}


@pytest.mark.parametrize("form", ["script", "module", "command", "directory", "standard input"])
@pytest.mark.parametrize("name", ENDINGS)
def test_ending(tmp_path: Path, name: str, form: str) -> None:
    source = ENDINGS[name]
    write(tmp_path, "script.py", source)
    write(tmp_path, "directory/__main__.py", source)
    arguments = {
        "script": ["script.py"],
        "module": ["-m", "script"],
        "command": ["-c", source],
        "directory": ["directory"],
        "standard input": ["-"],
    }
    compare(*arguments[form], where=tmp_path, text=source.encode())


@pytest.mark.skipif(sys.platform == "win32", reason="a signal ends the process")
def test_an_interrupt_kills_the_runner_as_it_kills_python(tmp_path: Path) -> None:
    # One line, and no position marks in the traceback, because the signal may come before or in the read.
    source = "import os\ndef wait():\n    os.write(1, b'ready\\n'); os.read(0, 1)\nwait()\n"
    write(tmp_path, "script.py", source)
    results = []
    for runner in ([], ["-m", "oxthreads"]):
        child = subprocess.Popen(
            [sys.executable, "-Xno_debug_ranges", *runner, "script.py"],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=TIMEOUT)
        results.append((child.returncode, errors.decode()))
    assert results[0] == results[1]
    assert results[0][0] == -signal.SIGINT


@pytest.mark.skipif(sys.platform == "win32", reason="a signal ends the process")
@pytest.mark.parametrize("wait", ["event.wait()", "items.get()"])
def test_interrupted_wait_shows_none_of_our_frames(tmp_path: Path, wait: str) -> None:
    script = f"""
import queue, threading
event, items = threading.Event(), queue.Queue()
# Called once before: the first call asks what the class has, in Python.
event.wait(0); items.put(1); items.get()
print('ready', flush=True); {wait}
"""
    write(tmp_path, "script.py", script)
    child = subprocess.Popen(
        [sys.executable, "-m", "oxthreads", "script.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=TIMEOUT)
    assert child.returncode == -signal.SIGINT
    assert errors.decode().splitlines()[-1] == "KeyboardInterrupt"
    assert "oxthreads" not in errors.decode()


def test_types_are_ours_from_the_first_line(tmp_path: Path) -> None:
    source = """\
        from threading import Event, Lock, Thread
        from queue import LifoQueue, PriorityQueue, Queue
        from concurrent.futures import Future, ThreadPoolExecutor
        import oxthreads.threading, oxthreads.queue, oxthreads.concurrent.futures
        ours = oxthreads
        assert Event is ours.threading.Event and Lock is ours.threading.Lock
        assert Thread is ours.threading.Thread
        assert (Queue, LifoQueue, PriorityQueue) == (
            ours.queue.Queue, ours.queue.LifoQueue, ours.queue.PriorityQueue)
        assert Future is ours.concurrent.futures.Future
        assert ThreadPoolExecutor is ours.concurrent.futures.ThreadPoolExecutor
        with ThreadPoolExecutor() as pool:
            print(type(pool.submit(int)) is Future)
        """
    result = run("-m", "oxthreads", "-c", textwrap.dedent(source), where=tmp_path)
    assert result.stderr == b""
    assert result.stdout == b"True\n"


def test_the_runner_starts_no_thread_and_imports_nothing_extra(tmp_path: Path) -> None:
    asked = (
        "import sys; print({'queue', 'concurrent.futures', 'typing', 'argparse'} & set(sys.modules));"
        "import threading; print(threading.enumerate())"
    )
    result = run("-m", "oxthreads", "-c", asked.split(";import", 1)[0], where=tmp_path)
    expected = {"queue", "concurrent.futures", "argparse"}
    assert not expected & set(result.stdout.decode().replace("'", " ").split())
    compare("-c", "import threading; print([t.name for t in threading.enumerate()])", where=tmp_path)


def test_program_may_have_modules_of_any_name(tmp_path: Path) -> None:
    # Not in the working directory: `python -m` itself would import them from there.
    for name in ("queue", "types", "subprocess", "linecache", "weakref"):
        write(tmp_path, f"program/{name}.py", f"print('own {name}')\nclass Queue: pass\n")
    write(tmp_path, "program/script.py", "import queue\nprint(queue.__file__, queue.Queue.__module__)\n")
    compare("program/script.py", where=tmp_path)


def test_own_module_that_fails_shows_none_of_our_frames(tmp_path: Path) -> None:
    write(tmp_path, "queue.py", "1/0\n")
    write(tmp_path, "script.py", "import queue\n")
    compare("script.py", where=tmp_path)


@pytest.mark.parametrize("failure", ["1/0", "import missing", "raise KeyboardInterrupt", "x = ("])
def test_standard_module_that_fails_shows_none_of_our_frames(tmp_path: Path, failure: str) -> None:
    write(tmp_path, "heapq.py", failure)  # the standard queue imports heapq
    write(tmp_path, "script.py", "def load():\n    import queue\nload()\n")
    compare("script.py", where=tmp_path)


def test_objects_of_main_can_be_pickled(tmp_path: Path) -> None:
    source = """\
        import pickle
        class Point:
            pass
        def work(): ...
        assert pickle.loads(pickle.dumps(work)) is work
        print(type(pickle.loads(pickle.dumps(Point()))) is Point)
        """
    compare("-c", textwrap.dedent(source), where=tmp_path)


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_multiprocessing_finds_functions_of_main(tmp_path: Path, method: str) -> None:
    if sys.platform == "win32" and method != "spawn":
        pytest.skip("the platform cannot fork")
    source = f"""\
        import multiprocessing, threading, sys
        def work(number):
            with threading.Lock():
                return number * 2, __name__, sys.argv
        if __name__ == "__main__":
            with multiprocessing.get_context({method!r}).Pool(1) as pool:
                print(pool.map(work, range(3)))
        """
    write(tmp_path, "script.py", textwrap.dedent(source))
    assert b"(4, " in compare("script.py", "argument", where=tmp_path, options=["-Wignore"]).stdout
    compare("-m", "script", where=tmp_path, options=["-Wignore"])


def test_child_processes_inherit_the_setting(tmp_path: Path) -> None:
    source = "import os; print(os.environ['OXTHREADS'])"
    result = run("-m", "oxthreads", "-c", source, where=tmp_path, OXTHREADS="0")
    assert result.stdout == b"1\n"


def test_usage(tmp_path: Path) -> None:
    nothing = run("-m", "oxthreads", where=tmp_path)
    assert (nothing.returncode, nothing.stdout) == (2, b"")
    usage = b"usage: python -m oxthreads [--watch[=MODE]] SCRIPT"
    assert nothing.stderr.splitlines()[1].startswith(usage)
    for option in ("-h", "--help"):
        asked = run("-m", "oxthreads", option, where=tmp_path)
        assert (asked.returncode, asked.stderr) == (0, b"")
        assert asked.stdout.startswith(usage)
    for option in ("-V", "--version"):
        asked = run("-m", "oxthreads", option, where=tmp_path)
        first = asked.stdout.splitlines()[0]
        assert (asked.returncode, first) == (0, f"oxthreads {oxthreads.__version__}".encode())
    for option in ("-m", "-c", "-x", "--unknown"):
        wrong = run("-m", "oxthreads", option, where=tmp_path)
        assert (wrong.returncode, wrong.stdout) == (2, b"")
        assert option.encode() in wrong.stderr.splitlines()[0]


START = "import sys; from oxthreads import patch, runner; {change}; runner.main(sys.argv[1:])"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("patch.FIRST_UNKNOWN_PYTHON = (3, 0)", b"is not known"),
        ("sys.modules['oxthreads._oxthreads'] = None", b"the standard threading stays (ModuleNotFound"),
    ],
    ids=["unknown Python", "broken extension"],
)
def test_falls_back_to_the_standard_library(tmp_path: Path, change: str, line: bytes) -> None:
    source = """\
        import os, queue, sys, threading, concurrent.futures
        kinds = queue.Queue, concurrent.futures.ThreadPoolExecutor, concurrent.futures.Future
        print(type(threading.Lock()).__module__, *[len(kind.__mro__) for kind in kinds])
        """
    write(tmp_path, "script.py", textwrap.dedent(source))
    result = run("-c", START.format(change=change), "script.py", where=tmp_path)
    # The classes of oxthreads would have one more base class.
    assert result.stdout == b"_thread 2 3 2\n"
    assert result.returncode == 0
    assert len(result.stderr.splitlines()) == 1, result.stderr.decode()
    assert result.stderr.startswith(b"oxthreads: ")
    assert line in result.stderr
