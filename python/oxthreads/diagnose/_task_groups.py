"""Groups of tasks that threads have entered, as the engine describes them, and how they are nested."""

from __future__ import annotations

from typing import Any, NamedTuple

from oxthreads import _oxthreads as _native

__all__ = ["RunningTask", "TaskGroup", "Tree"]


class RunningTask(NamedTuple):
    """A task of a group that runs."""

    #: The number of its thread.
    thread: int
    #: A number of what the thread does. The greatest of those of a thread is what it does now.
    run: int
    function: str
    #: Whether it ends before its thread does anything else.
    ends_in_thread: bool


class TaskGroup(NamedTuple):
    """A group that a thread has entered and not left."""

    number: int
    name: str | None
    #: The address that waits for it have.
    address: int
    #: The number of the group inside of which it was entered; zero: none.
    parent: int
    #: The number of the thread that has entered it, and a number of what that did.
    opener: int
    run: int
    is_cancelled: bool
    #: Whether that thread has left the block, and waits for the tasks.
    is_leaving: bool
    #: How many tasks have not begun.
    pending: int
    running: tuple[RunningTask, ...]


class Tree:
    """The groups at one moment.

    Args:
        kept: gets everything of the program that was looked at. A task may end meanwhile, and then this has
            the last reference to its function. The caller drops that where code of the program may run.
    """

    def __init__(self, kept: list[object]) -> None:
        found = _native.task_groups()
        kept.append(found)
        groups = [_group(each) for each in found]
        #: By their addresses.
        self.at: dict[int, TaskGroup] = {group.address: group for group in groups}
        running = {
            (group.number, task.thread, task.run) for group in groups for task in group.running if task.thread
        }
        known = {group.number for group in groups}
        innermost: dict[int, int] = {}
        #: Those that are inside of no other group.
        self.roots: list[TaskGroup] = []
        #: By the number of the group, the thread of the task and what that does: what the task has entered.
        self._in_tasks: dict[tuple[int, int, int], list[TaskGroup]] = {}
        #: By the number of the group: what was entered inside of its block, and not by a task.
        self._in_blocks: dict[int, list[TaskGroup]] = {}
        for group in groups:
            place = (group.parent, group.opener, group.run)
            if place in running:
                self._in_tasks.setdefault(place, []).append(group)
            elif group.parent in known:
                self._in_blocks.setdefault(group.parent, []).append(group)
            else:
                self.roots.append(group)
            for task in group.running:
                innermost[task.thread] = max(task.run, innermost.get(task.thread, 0))
        #: By the number of a thread: the greatest number of what it does for a task.
        self._innermost = innermost

    def in_task(self, group: TaskGroup, task: RunningTask) -> list[TaskGroup]:
        """The groups that this task of the group has entered."""
        return self._in_tasks.get((group.number, task.thread, task.run), [])

    def in_block(self, group: TaskGroup) -> list[TaskGroup]:
        """The groups that were entered inside of the group, and not by one of its tasks."""
        return self._in_blocks.get(group.number, [])

    def is_suspended(self, task: RunningTask) -> bool:
        """Whether the thread of the task runs another task meanwhile, for which this one waits."""
        return task.run < self._innermost.get(task.thread, 0)


def _group(found: Any) -> TaskGroup:
    *facts, tasks = found
    return TaskGroup._make([*facts, tuple(RunningTask(*task[:4]) for task in tasks)])
