"""Runs a program as ``python`` would, with the standard names replaced by ours.

``python -m oxthreads SCRIPT``, ``-m MODULE``, ``-c CODE`` and ``-`` set up what the interpreter
sets up for ``python SCRIPT`` and so on (``sys.argv``, ``sys.path[0]``, a new ``__main__``), and
say what it says where a program cannot be run. All that is needed is imported before the
program's directory leads ``sys.path``, since what stands there may bear any name; ``python -m``
has loaded these modules anyway.
"""

# Pathlib is one of the names that may stand there.
# ruff: noqa: PTH109, PTH113, PTH118, PTH120
from __future__ import annotations

import builtins
import importlib.machinery
import io
import os
import runpy
import sys

from oxthreads import __version__, patch
from oxthreads._startup import VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType, TracebackType
    from typing import Any, NoReturn

__all__ = ["USAGE", "main"]

USAGE = """\
usage: python -m oxthreads SCRIPT [ARGS...]
       python -m oxthreads -m MODULE [ARGS...]
       python -m oxthreads -c CODE [ARGS...]
       python -m oxthreads - [ARGS...]

Run a program as python would, with the locks, events, threads, queues, futures
and thread pools of the standard library replaced by those of oxthreads. SCRIPT
may be a directory or zip file with a __main__.py; "-" reads the program from
standard input. Python's own options go before the -m. The program's child
processes get OXTHREADS=1 in their environment, which does the same for them.

  -h, --help     show this text
  -V, --version  show the version of oxthreads
"""


def main(arguments: list[str]) -> None:
    """Run the program that *arguments* name, in this process.

    Returns when the program ends; raises whatever it raises, SystemExit included, prepared so
    that the interpreter prints the traceback that the program alone would have. Raises SystemExit
    with status 2 on wrong usage and for a script that cannot be opened, as ``python`` does.
    """
    kind, target, rest = _parse(arguments)
    if not sys.flags.safe_path:
        del sys.path[0]  # where oxthreads was started from: the program gets its own
    try:
        if patch.install():
            # Other processes know only what they inherit; the start-up file reads this.
            os.environ[VARIABLE] = "1"
        if kind == "-m":
            _run_module(target, rest)
        elif kind == "-c":
            _run_command(target, rest)
        elif target == "-":
            _run_standard_input(rest)
        else:
            _run_script(target, rest)
    except SystemExit:
        raise
    except BaseException as error:
        _hide_our_frames(error)
        raise


def _parse(arguments: list[str]) -> tuple[str, str, list[str]]:
    """Split *arguments* into "-m", "-c" or "", what to run, and the program's own arguments."""
    if not arguments:
        _fail(USAGE, 2)
    first, rest = arguments[0], arguments[1:]
    if first in ("-h", "--help"):
        print(USAGE, end="")
        raise SystemExit(0)
    if first in ("-V", "--version"):
        print(f"oxthreads {__version__}")
        raise SystemExit(0)
    if first[:2] in ("-m", "-c"):
        if first[2:]:
            return first[:2], first[2:], rest
        if not rest:
            _fail(f"Argument expected for the {first} option\n{USAGE}", 2)
        return first, rest[0], rest[1:]
    if first == "--" and rest:
        return "", rest[0], rest[1:]
    if first.startswith("-") and first != "-":
        _fail(f"Unknown option: {first}\n{USAGE}", 2)
    return "", first, rest


def _fail(message: str, status: int) -> NoReturn:
    """Write *message* to standard error and raise SystemExit with *status*."""
    sys.stderr.write(message)
    raise SystemExit(status)


def _run_script(script: str, rest: list[str]) -> None:
    path = _absolute(script)
    sys.argv = [script, *rest]
    if _is_importable(path):
        sys.path.insert(0, path)  # even under -P, as python does
        _new_main(_BUILTIN_IMPORTER)
        runpy._run_module_as_main("__main__", False)  # type: ignore[attr-defined]
        return
    _lead_path_with(os.path.dirname(os.path.realpath(path)))
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        _fail(f"{sys.orig_argv[0]}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}\n", 2)
    if path.endswith(".pyc"):
        sourceless = importlib.machinery.SourcelessFileLoader("__main__", path)
        _execute(sourceless.get_code("__main__"), _new_main(sourceless, path))
    else:
        code = _compile_script(source, path)
        _execute(code, _new_main(importlib.machinery.SourceFileLoader("__main__", path), path))


def _run_module(name: str, rest: list[str]) -> None:
    sys.argv = ["-m", *rest]
    _lead_path_with(_working_directory())
    _new_main(_BUILTIN_IMPORTER)
    runpy._run_module_as_main(name)  # type: ignore[attr-defined]


def _run_command(command: str, rest: list[str]) -> None:
    sys.argv = ["-c", *rest]
    try:
        source = command.encode().decode() + "\n"
    except UnicodeError:
        sys.stderr.write("Unable to decode the command from the command line:\n")
        raise
    if sys.version_info >= (3, 14):
        import textwrap  # noqa: PLC0415 - loaded only where python itself dedents

        source = textwrap.dedent(source)
    _lead_path_with("")
    code = compile(source, "<string>", "exec", dont_inherit=True)
    if sys.version_info >= (3, 13):
        import linecache  # noqa: PLC0415 - as python itself does, to show the lines in a traceback

        if sys.version_info >= (3, 14):
            # By code object: what asks by file name, as warnings do, is to find nothing.
            linecache._register_code(code, source, "<string>")
        else:
            linecache.cache["<string>"] = (len(source), None, source.splitlines(True), "<string>")
    _execute(code, _new_main(_BUILTIN_IMPORTER))


def _run_standard_input(rest: list[str]) -> None:
    sys.argv = ["-", *rest]
    _lead_path_with("")
    code = compile(sys.stdin.buffer.read(), "<stdin>", "exec", dont_inherit=True)
    _execute(code, _new_main(_BUILTIN_IMPORTER, "<stdin>"))


def _execute(code: CodeType | None, main_module: ModuleType) -> None:
    assert code is not None
    exec(code, vars(main_module))


def _compile_script(source: bytes, path: str) -> CodeType:
    """Compile as python would; where that fails, become the python that says so."""
    warned, sys.stderr = sys.stderr, io.StringIO()
    try:
        code: CodeType = compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        # Python reads a script with another tokenizer than compile() has, which words and places
        # some errors otherwise; so let it say for itself what is wrong. No line has been run.
        if os.name == "posix" and os.path.isfile(path) and sys.executable:
            if not sys.flags.safe_path:
                del sys.path[0]
            from subprocess import _args_from_interpreter_flags  # type: ignore[attr-defined]  # noqa: PLC0415

            os.execv(sys.executable, [sys.executable, *_args_from_interpreter_flags(), *sys.argv])
        raise
    finally:
        warnings, sys.stderr = sys.stderr.getvalue(), warned
        if warnings:
            sys.stderr.write(warnings)
    return code


#: What ``__main__`` has for a loader wherever it does not come from a file.
_BUILTIN_IMPORTER: Any = builtins.__loader__


def _absolute(path: str) -> str:
    # Not normalized, since python does not: "./a.py" shows as "/directory/./a.py".
    directory = _working_directory()
    return path if directory is None else os.path.join(directory, path)


def _working_directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None  # it was removed: python goes on without


def _is_importable(path: str) -> bool:
    """Whether *path* is something to import from: a directory or a zip file."""
    for hook in sys.path_hooks:
        try:
            hook(path)
        except ImportError:
            continue
        return True
    return False


def _lead_path_with(entry: str | None) -> None:
    if entry is not None and not sys.flags.safe_path:
        sys.path.insert(0, entry)


def _new_main(loader: Any, file: str | None = None) -> ModuleType:
    """Make a new ``__main__``, as bare as the interpreter makes it, so that pickle and
    multiprocessing find the program's names and none of ours."""
    ours = vars(sys.modules["__main__"])
    main_module = type(sys)("__main__")
    main_module.__loader__ = loader
    if "__annotations__" in ours:
        main_module.__annotations__ = {}
    vars(main_module)["__builtins__"] = builtins
    if file is not None:
        main_module.__file__ = file
        if "__cached__" in ours:
            vars(main_module)["__cached__"] = None
    sys.modules["__main__"] = main_module
    return main_module


def _hide_our_frames(error: BaseException) -> None:
    """Have the interpreter print *error* as if our frames, and runpy's outside them, were not there.

    They come back at the head of the traceback as the exception goes on to the interpreter, which
    alone gives the right exit status (and, after Ctrl-C, death by SIGINT). So they are cut off
    when it calls ``sys.excepthook``; the program's own hook is put back then, and called.
    """
    theirs = error.__traceback__
    while theirs is not None and theirs.tb_frame.f_code.co_filename == _hide_our_frames.__code__.co_filename:
        theirs = theirs.tb_next
    hook = getattr(sys, "excepthook", None)

    def show(kind: type[BaseException], value: BaseException, traceback: TracebackType | None) -> None:
        sys.excepthook = hook or sys.__excepthook__
        if value is error:
            traceback = sys.last_traceback = theirs
            value.__traceback__ = theirs
        if hook is None:
            sys.stderr.write("sys.excepthook is missing\n")
        try:
            sys.excepthook(kind, value, traceback)
        except SystemExit:
            raise
        except BaseException as failure:
            _show_failed_hook(failure, value)

    sys.excepthook = show


def _show_failed_hook(failure: BaseException, error: BaseException) -> None:
    """Say what the interpreter says when the program's ``sys.excepthook`` itself raises."""
    failure.__traceback__ = failure.__traceback__.tb_next if failure.__traceback__ else None
    sys.stderr.write("Error in sys.excepthook:\n")
    sys.__excepthook__(type(failure), failure, failure.__traceback__)
    sys.stderr.write("\nOriginal exception was:\n")
    sys.__excepthook__(type(error), error, error.__traceback__)
