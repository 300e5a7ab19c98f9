"""``Executor.map`` with chunks: several calls are submitted as one."""

from __future__ import annotations

import operator
from collections import deque
from functools import partial
from itertools import islice

from ._map import length_of, map_calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TypeAlias

    from ._map import Submitter
    from .futures import Future

    Columns: TypeAlias = tuple[tuple[Any, ...], ...]
    CallEach: TypeAlias = Callable[
        [Callable[..., Any], Columns], tuple[Callable[..., list[Any]], tuple[Any, ...]]
    ]

__all__ = ["map_in_chunks"]


def map_in_chunks(
    executor: Submitter,
    fn: Callable[..., Any],
    iterables: tuple[Iterable[Any], ...],
    *,
    reference: Callable[[], Submitter | None],
    call_each: CallEach,
    chunksize: int,
    timeout: float | None,
    buffersize: int | None,
    progress: Callable[[int, int | None], object] | None,
) -> Iterator[Any]:
    """Return what ``executor.map(fn, *iterables, chunksize=chunksize, ...)`` returns.

    A chunk is one call for the timeout and ``buffersize``. ``progress`` counts the calls in it.

    Args:
        reference: as for `map_calls`.
        call_each: takes ``fn`` and columns of arguments; returns a function and its arguments, which returns
            the list of the results.
    """
    chunksize = operator.index(chunksize)
    if chunksize < 1:
        raise ValueError("chunksize must be >= 1.")
    begin = partial(map_calls, timeout=timeout, buffersize=buffersize)
    if chunksize == 1:
        return begin(executor, fn, iterables, progress=progress, reference=reference)
    chunks = _Chunks(partial(call_each, fn), iterables, chunksize, progress, buffersize)

    def submission() -> Submitter | None:
        found = reference()
        return None if found is None else chunks.submission(found)

    return chunks.flatten(
        begin(chunks.submission(executor), fn, (chunks,), progress=chunks.report, reference=submission)
    )


class _Chunks:
    """The calls of ``map(fn, *iterables)`` in chunks, as an iterator of lists of arguments.

    It counts the calls of chunks that have ended, for `report`: what it is called with are chunks.

    Args:
        call_each: takes columns of arguments; returns a function and its arguments, which returns the list of
            the results.
    """

    def __init__(
        self,
        call_each: Callable[[Columns], tuple[Callable[..., list[Any]], tuple[Any, ...]]],
        iterables: tuple[Iterable[Any], ...],
        size: int,
        progress: Callable[[int, int | None], object] | None,
        buffersize: int | None,
    ) -> None:
        if progress is not None and not callable(progress):
            raise TypeError("progress must be a callable or None")
        self._call_each = call_each
        self._arguments = zip(*iterables, strict=False)
        self._size = size
        self._progress = progress
        # As in `map_calls`: with a buffer, the iterables may be read no further.
        self._length = None if buffersize else length_of(iterables)
        self._read = 0
        self._done = 0
        #: The lengths of chunks that have ended and are not in `_done`. Several threads end futures.
        self._ended: deque[int] = deque()
        #: How many results are expected of each chunk that was submitted.
        self._lengths: deque[int] = deque()
        self.report = None if progress is None else self._report

    def __iter__(self) -> Iterator[list[tuple[Any, ...]]]:
        return self

    def __next__(self) -> list[tuple[Any, ...]]:
        chunk = list(islice(self._arguments, self._size))
        if not chunk:
            raise StopIteration
        self._read += len(chunk)
        return chunk

    def submission(self, executor: Submitter) -> Submitter:
        """Return what submits chunks to an executor."""
        return _ChunkSubmission(self, executor)

    def submit(self, executor: Submitter, chunk: list[tuple[Any, ...]]) -> Future[Any]:
        """Submit a chunk to an executor."""
        function, arguments = self._call_each(tuple(zip(*chunk, strict=True)))
        future: Future[Any] = executor.submit(function, *arguments)
        length = len(chunk)
        self._lengths.append(length)
        if self._progress is not None:

            def count(future: Future[Any]) -> None:
                if not future.cancelled():
                    self._ended.append(length)

            # Before that of whoever counts the chunks.
            future.add_done_callback(count)
        return future

    def _report(self, chunks_done: int, chunks: int | None) -> None:
        assert self._progress is not None
        # Only one report is made at a time.
        while self._ended:
            self._done += self._ended.popleft()
        total = self._length if chunks is None else self._read
        self._progress(self._done, total)

    def flatten(self, results: Iterator[list[Any]]) -> Iterator[Any]:
        """Yield the results of the calls, of which nothing keeps one alive after that."""
        try:
            for chunk in results:
                if len(chunk) != self._lengths.popleft():
                    # The iterator that calls the function has taken it for its end. A generator that a
                    # StopIteration leaves raises this, and so does `map` with a call a chunk.
                    raise RuntimeError("generator raised StopIteration")
                chunk.reverse()
                while chunk:
                    yield chunk.pop()
        finally:
            results.close()  # type: ignore[attr-defined]


class _ChunkSubmission:
    def __init__(self, chunks: _Chunks, executor: Submitter) -> None:
        self._chunks = chunks
        self._executor = executor

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        return self._chunks.submit(self._executor, args[0])
