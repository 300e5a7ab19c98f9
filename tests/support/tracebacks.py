"""What the tests of tracebacks share: calls that raise, and the entries of a traceback."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.support.back_ends import BackEnd

Frames = list[tuple[str, str, str]]


def frames(error: BaseException | TracebackType | None) -> Frames:
    """The function, the file and the source line of each entry of the traceback."""
    entry = error.__traceback__ if isinstance(error, BaseException) else error
    found = []
    while entry is not None:
        code = entry.tb_frame.f_code
        line = linecache.getline(code.co_filename, entry.tb_lineno).strip()
        found.append((code.co_name, Path(code.co_filename).name, line))
        entry = entry.tb_next
    return found


def caught(function: Callable[..., object], *arguments: object) -> BaseException:
    """The exception that the function raises."""
    try:
        function(*arguments)
    except BaseException as error:
        return error
    pytest.fail("it did not raise")


class Told(Exception):
    pass


def fail(*_: object) -> None:
    raise Told("told")


def done(library: BackEnd, function: Callable[..., object], *arguments: object, **keywords: object) -> Any:
    """The future of such a call in a pool. The call has ended."""
    with library.futures.ThreadPoolExecutor(1) as executor:
        future = executor.submit(function, *arguments, **keywords)
    return future


def failed(library: BackEnd, error: object) -> Any:
    future = library.futures.Future()
    future.set_exception(error)
    return future
