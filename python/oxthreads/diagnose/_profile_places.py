"""What a profile calls the places where threads wait.

The innermost function is often one of a library: a thread that logs waits in `logging`, for the lock of a
handler. Then the reader needs to know which line of the program has called that, too.
"""

from __future__ import annotations

import functools
import itertools
import os
import sysconfig
from typing import Any

from oxthreads.diagnose import _objects

__all__ = ["in_words", "place", "without_directories"]

#: A function of a thread, as docs/profile.schema.json describes it.
_Function = dict[str, Any]


@functools.cache
def _libraries() -> tuple[str, ...]:
    """The directories of libraries, those inside of others first."""
    names = ("stdlib", "platstdlib", "purelib", "platlib", "scripts")
    found = {os.path.join(path, "") for path in map(sysconfig.get_path, names) if path}  # noqa: PTH118
    return tuple(sorted(found, key=len, reverse=True))


def _library_of(function: _Function) -> str:
    """The directory of libraries that has the function; "" if it is the program's own."""
    return next((path for path in _libraries() if function["file"].startswith(path)), "")


def place(function: _Function) -> str:
    """A function in words. The file of a library is named as it is imported, without the directory of all."""
    name = function["file"].removeprefix(_library_of(function))
    return f"{_objects.file(name)}:{function['line']} in {function['function']}"


def without_directories(text: str) -> str:
    """The name of an object, without the directory of the libraries if it has the place where it was made."""
    for path in _libraries():
        text = text.replace(f" made at {path}", " made at ")
    return text


def in_words(stacks: list[list[_Function]]) -> list[str]:
    """Name each of the places in which threads waited for one object.

    Args:
        stacks: the functions of each place, the innermost first.

    Returns:
        The innermost function of each. If that is one of a library: also the innermost of the program itself.
        For those that are still the same, also the innermost by which they differ.
    """
    named = [_named(stack, _own_caller(stack)) for stack in stacks]
    for name in {each for each in named if named.count(each) > 1}:
        alike = [number for number, each in enumerate(named) if each == name]
        differs = _difference([stacks[number] for number in alike])
        for number in alike:
            if differs < len(stacks[number]):
                named[number] = _named(stacks[number], differs)
    return named


def _own_caller(stack: list[_Function]) -> int:
    """Where the innermost function of the program itself is; 0 if there is none."""
    return next((depth for depth, function in enumerate(stack) if not _library_of(function)), 0)


def _difference(stacks: list[list[_Function]]) -> int:
    """How many functions are the same in all the stacks, from the innermost on."""
    same = itertools.takewhile(
        lambda functions: all(each == functions[0] for each in functions), itertools.zip_longest(*stacks)
    )
    return sum(1 for _ in same)


def _named(stack: list[_Function], depth: int) -> str:
    if not stack:
        return "outside the program's code"
    return place(stack[0]) + (f", from {place(stack[depth])}" if depth else "")
