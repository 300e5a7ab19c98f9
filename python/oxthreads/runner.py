"""Runs a program as ``python`` does, with the classes of oxthreads under the standard names.

``python -m oxthreads SCRIPT``, ``-m MODULE``, ``-c CODE`` and ``-`` prepare what the interpreter
prepares for ``python SCRIPT`` and so on (``sys.argv``, ``sys.path[0]``, a new ``__main__``), and
print the same errors if a program cannot be run. Every module that the runner needs is imported
before the program's directory is put first on ``sys.path``, because a file there may have the name
of any of them. (``python -m`` has loaded these modules anyway.)
"""

# No pathlib: a file of the program may have that name.
# ruff: noqa: PTH109, PTH113, PTH118, PTH120
from __future__ import annotations

import builtins
import importlib.machinery
import io
import os
import runpy
import sys

from oxthreads import patch
from oxthreads._startup import (
    VARIABLE,
    WATCH_VARIABLE,
    profile_if_asked,
    split_watch,
    trace_if_asked,
    watch_if_asked,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType, TracebackType
    from typing import Any, NoReturn

__all__ = ["PROFILE_USAGE", "TRACE_USAGE", "USAGE", "main", "record"]

USAGE = """\
usage: python -m oxthreads [--watch[=MODE]] SCRIPT [ARGS...]
       python -m oxthreads [--watch[=MODE]] -m MODULE [ARGS...]
       python -m oxthreads [--watch[=MODE]] -c CODE [ARGS...]
       python -m oxthreads [--watch[=MODE]] - [ARGS...]

Run a program as python would, with the locks, events, threads, queues, futures
and thread pools of the standard library replaced by those of oxthreads. SCRIPT
may be a directory or zip file with a __main__.py; "-" reads the program from
standard input. Python's own options go before the -m. The program's child
processes get OXTHREADS=1 in their environment, which does the same for them.
`oxthreads run` is the same as `python -m oxthreads`.

  --watch[=MODE] report deadlocks on standard error. MODE is "report" (the
                 default), "raise" (also end one of the waits with an error) or
                 "exit" (also end the program with status 2). "order", and
                 "order,raise" and so on, also report locks that are taken in
                 orders which can deadlock, although they have not. The
                 program's child processes get OXTHREADS_WATCH=MODE in their
                 environment.
  -h, --help     show this text
  -V, --version  show the version of oxthreads, and on what it runs

examples:
  python -m oxthreads script.py --verbose     --verbose is for the script
  python -m oxthreads -m pytest tests         a module
  python -X dev -m oxthreads script.py        with an option of python
  python -m oxthreads --watch=exit script.py  a deadlock ends it

exit codes: those of the program, and 1 if it ends by an exception, as with
python; 2 on wrong usage, if the script cannot be opened, and for a deadlock
under --watch=exit. Ctrl-C ends it as it ends python.

Read on in docs/patch.md, docs/hangs.md and docs/lock_order.md.
"""

PROFILE_USAGE = """\
usage: oxthreads profile [-o FILE] SCRIPT [ARGS...]
       oxthreads profile [-o FILE] -m MODULE [ARGS...]
       oxthreads profile [-o FILE] -c CODE [ARGS...]
       oxthreads profile [-o FILE] - [ARGS...]

Run a program as `oxthreads run` does, and find out where its threads wait, and
for how long. The result is written when the program exits.

  -o FILE        where to write it. The end of the name decides what: .html (a
                 page for a browser), .txt (a table), .json (everything),
                 .collapsed (stacks, for flame graphs) or .pb.gz (stacks, for
                 pprof and speedscope). "{pid}" in it stands for the number of
                 the process; forked children then have a profile of their own.
                 Without this option the table goes to standard error.
  -h, --help     show this text

examples:
  oxthreads profile script.py --verbose         --verbose is for the script
  oxthreads profile -o found.html -m pytest     a page for a browser
  oxthreads profile -o 'found-{pid}.json' serve.py   one file for each worker

exit codes: as `oxthreads run`; 2 also if FILE cannot be written.

Read on in docs/profile.md.
"""

TRACE_USAGE = """\
usage: oxthreads trace -o FILE SCRIPT [ARGS...]
       oxthreads trace -o FILE -m MODULE [ARGS...]
       oxthreads trace -o FILE -c CODE [ARGS...]
       oxthreads trace -o FILE - [ARGS...]

Run a program as `oxthreads run` does, and record a timeline of its threads: what
each waits for, who wakes it, and which calls of pools it runs. The file is
written when the program exits. Open it in https://ui.perfetto.dev or in
chrome://tracing.

  -o FILE        where to write it. "{pid}" in it stands for the number of the
                 process.
  -h, --help     show this text

examples:
  oxthreads trace -o trace.json script.py --verbose   --verbose is for the script
  oxthreads trace -o trace.json -m pytest tests       a module

exit codes: as `oxthreads run`; 2 also if FILE cannot be written.

Read on in docs/trace.md.
"""

#: What each command is called on wrong usage, and its help. "" is `python -m oxthreads` and `oxthreads run`.
_COMMANDS = {
    "": ("oxthreads", USAGE),
    "profile": ("oxthreads profile", PROFILE_USAGE),
    "trace": ("oxthreads trace", TRACE_USAGE),
}

#: The commands that do not write to standard error.
_NEED_A_FILE = ("trace",)


def record(command: str, arguments: list[str]) -> None:
    """Run a program in this process, profile or trace its waits, and return when it ends.

    Args:
        command: "profile" or "trace".
        arguments: the command line after ``oxthreads profile`` or ``oxthreads trace``.

    Raises:
        SystemExit: with status 2 on wrong usage, and as :func:`main`.
        BaseException: what the program raises, SystemExit included.
    """
    arguments, file = _output_option(command, _COMMANDS[command][1], arguments)
    if arguments and command in _NEED_A_FILE and not file:
        _refuse(command, "it needs -o FILE")
    main(arguments, command, file)


def _output_option(command: str, usage: str, arguments: list[str]) -> tuple[list[str], str]:
    """Split off the option -o of a command, and check it. Return the other arguments, and the file or ""."""
    file = ""
    if arguments and arguments[0] in ("-h", "--help"):
        print(usage, end="")
        raise SystemExit(0)
    if arguments and arguments[0].startswith("-o"):
        file = arguments[0][2:]
        arguments = arguments[1:]
        if not file:
            if not arguments or not arguments[0]:
                _refuse(command, "-o needs the name of a file")
            file, arguments = arguments[0], arguments[1:]
        wrong = _recorder(command).output_error(file)
        if wrong is not None:
            _fail(f"oxthreads {command}: {wrong}\n", 2)
    return arguments, file


def _recorder(command: str) -> Any:
    """The module that records what the command wants. Only those who ask for it pay for it."""
    if command == "profile":
        from oxthreads.diagnose import _profile  # noqa: PLC0415

        return _profile
    from oxthreads.diagnose import _trace  # noqa: PLC0415

    return _trace


def main(arguments: list[str], command: str = "", file: str = "") -> None:
    """Run a program in this process, and return when it ends.

    Its tracebacks are those that the program alone would have, without the frames of the runner.

    Args:
        arguments: the command line after ``python -m oxthreads``: what to run, and its arguments.
        command: "profile" or "trace" if its waits are to be recorded in this way.
        file: where to write that; "" is standard error.

    Raises:
        SystemExit: with status 2 on wrong usage and for a script that cannot be opened, as ``python``
            does.
        BaseException: what the program raises, SystemExit included.
    """
    mode, arguments = _watch_mode(arguments, command)
    kind, target, rest = _parse(arguments, command)
    if not sys.flags.safe_path:
        del sys.path[0]  # the directory in which oxthreads was started; the program's own follows
    try:
        if patch.install():
            # Child processes inherit these variables; the start-up file reads them there.
            os.environ[VARIABLE] = "1"
        if mode:
            os.environ[WATCH_VARIABLE] = mode
        watch_if_asked()
        _start_recording(command, file)
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


def _start_recording(command: str, file: str) -> None:
    """Start what the command and the environment variables ask for."""
    if command != "profile":
        profile_if_asked()
    if command != "trace":
        trace_if_asked()
    if command:
        try:
            _recorder(command).start_for_process(file or None)
        except RuntimeError as error:  # one runs already
            _fail(f"oxthreads {command}: {error}\n", 2)
        except OSError as error:
            _fail(f"oxthreads {command}: {error.filename!r}: {error.strerror}\n", 2)


def _watch_mode(arguments: list[str], command: str) -> tuple[str, list[str]]:
    """Split off the option --watch: return its mode ("" without the option) and the other arguments."""
    option, equals, mode = arguments[0].partition("=") if arguments else ("", "", "")
    if option != "--watch":
        return "", arguments
    if equals and split_watch(mode) is None:
        wanted = "'report', 'raise', 'exit', 'order' or 'order,' and one of the others"
        _refuse(command, f"--watch must be {wanted}, not {mode!r}")
    return mode or "report", arguments[1:]


def _parse(arguments: list[str], command: str) -> tuple[str, str, list[str]]:
    """Split the arguments into "-m", "-c" or "", what to run, and the program's own arguments."""
    if not arguments or arguments == ["--"]:
        _refuse(command, "what to run is missing: SCRIPT, -m MODULE, -c CODE or -")
    first, rest = arguments[0], arguments[1:]
    if first in ("-h", "--help"):
        print(_COMMANDS[command][1], end="")
        raise SystemExit(0)
    if first in ("-V", "--version"):
        from oxthreads._version import description  # noqa: PLC0415 - only who asks pays for it

        print(description(), end="")
        raise SystemExit(0)
    if first[:2] in ("-m", "-c"):
        if first[2:]:
            return first[:2], first[2:], rest
        if not rest:
            _refuse(command, f"argument expected for the {first} option")
        return first, rest[0], rest[1:]
    if first == "--":
        return "", rest[0], rest[1:]
    if first.startswith("-") and first != "-":
        _refuse(command, f"unknown option: {first}")
    return "", first, rest


def _refuse(command: str, why: str) -> NoReturn:
    """Say what is wrong with the command line, and how it should be, and exit with status 2."""
    name, usage = _COMMANDS[command]
    synopsis = usage.partition("\n\n")[0]
    _fail(f"{name}: {why}\n{synopsis}\n`--help` says more.\n", 2)


def _fail(message: str, status: int) -> NoReturn:
    """Write the message to standard error, and raise SystemExit with the status."""
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
    if sys.version_info >= (3, 14) and source.lstrip("\r\n\f")[:1] in (" ", "\t"):
        # It may all be indented. The import takes some milliseconds.
        import textwrap  # noqa: PLC0415

        source = textwrap.dedent(source)
    _lead_path_with("")
    code = compile(source, "<string>", "exec", dont_inherit=True)
    if sys.version_info >= (3, 13):
        import linecache  # noqa: PLC0415 - as python itself does, to show the lines in a traceback

        if sys.version_info >= (3, 14):
            # By code object, as python does: warnings look lines up by file name, and must find none.
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
    """Compile a script; if that fails, replace this process by a python that prints the error."""
    warned, sys.stderr = sys.stderr, io.StringIO()
    try:
        code: CodeType = compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        # Python reads a script with another tokenizer than compile() does, and some errors have other
        # words and positions there. So python itself prints the error. No line has been run yet.
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


#: The loader of a ``__main__`` that does not come from a file.
_BUILTIN_IMPORTER: Any = builtins.__loader__


def _absolute(path: str) -> str:
    # Not normalized, as in python: "./a.py" is shown as "/directory/./a.py".
    directory = _working_directory()
    return path if directory is None else os.path.join(directory, path)


def _working_directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None  # it was removed: python continues without it


def _is_importable(path: str) -> bool:
    """Return whether the path can be imported from: a directory or a zip file."""
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
    """Create a new ``__main__`` with only the names that the interpreter gives it.

    So pickle and multiprocessing find the program's names there, and none of the runner's.
    """
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
    """Let the interpreter print the error without our frames, and without those of runpy around them.

    The exception must reach the interpreter, because only the interpreter sets the right exit status
    (and ends by SIGINT after Ctrl-C). On the way the frames are added to the traceback again. So they
    are removed when the interpreter calls ``sys.excepthook``; the program's own hook is restored then,
    and called.
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
    """Print what the interpreter prints when the program's ``sys.excepthook`` raises."""
    failure.__traceback__ = failure.__traceback__.tb_next if failure.__traceback__ else None
    sys.stderr.write("Error in sys.excepthook:\n")
    sys.__excepthook__(type(failure), failure, failure.__traceback__)
    sys.stderr.write("\nOriginal exception was:\n")
    sys.__excepthook__(type(error), error, error.__traceback__)
