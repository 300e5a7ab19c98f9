"""The groups of tasks of a process, as data and as a tree in a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oxthreads.diagnose import _objects, _wait_data

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from oxthreads.diagnose._situation import Situation
    from oxthreads.diagnose._task_groups import RunningTask, TaskGroup

__all__ = ["DEEPEST", "MOST_SHOWN", "concerns", "described", "lines"]

#: How many groups may be inside each other. Of what is deeper, only the number is said.
DEEPEST = 50

#: The most tasks of a group, and the most groups of a task, that a text shows.
MOST_SHOWN = 50


def described(
    situation: Situation, wait_of: Callable[[int], dict[str, Any] | None] | None = None
) -> list[dict[str, Any]]:
    """The groups, in the form of docs/inspection.schema.json.

    Args:
        situation: the waits.
        wait_of: what the thread with this number waits for, as data; by default, that is looked for.
    """

    def look(number: int) -> dict[str, Any] | None:
        return _wait_data.described(situation, number) if number in situation.waits else None

    return [_group(situation, group, wait_of or look, 1) for group in situation.task_groups.roots]


def _group(
    situation: Situation, group: TaskGroup, wait_of: Callable[[int], dict[str, Any] | None], depth: int
) -> dict[str, Any]:
    tree = situation.task_groups
    inside = tree.in_block(group)
    return {
        "number": group.number,
        "name": group.name,
        "object": _objects.group(situation, group),
        "opened_by": _wait_data.named(situation, group.opener) if group.opener else None,
        "waits_for_tasks": group.is_leaving,
        "cancelled": group.is_cancelled,
        "unfinished": group.pending + len(group.running),
        "pending": group.pending,
        "tasks": [_task(situation, group, task, wait_of, depth) for task in group.running],
        **_inside(situation, inside, wait_of, depth),
    }


def _task(
    situation: Situation,
    group: TaskGroup,
    task: RunningTask,
    wait_of: Callable[[int], dict[str, Any] | None],
    depth: int,
) -> dict[str, Any]:
    tree = situation.task_groups
    is_suspended = tree.is_suspended(task)
    return {
        "function": task.function,
        "thread": _wait_data.named(situation, task.thread) if task.thread else None,
        "suspended": is_suspended,
        "wait": None if is_suspended else wait_of(task.thread),
        **_inside(situation, tree.in_task(group, task), wait_of, depth),
    }


def _inside(
    situation: Situation,
    groups: list[TaskGroup],
    wait_of: Callable[[int], dict[str, Any] | None],
    depth: int,
) -> dict[str, Any]:
    shown = groups if depth < DEEPEST else []
    return {
        "groups": [_group(situation, group, wait_of, depth + 1) for group in shown],
        "groups_left_out": len(groups) - len(shown),
    }


def concerns(group: dict[str, Any], threads: Container[int]) -> bool:
    """Whether one of the threads has opened this group or one inside of it, or runs a task there."""
    if group["opened_by"] and group["opened_by"]["number"] in threads:
        return True
    tasks = group["tasks"]
    if any(task["thread"] and task["thread"]["number"] in threads for task in tasks):
        return True
    return any(concerns(inside, threads) for part in [group, *tasks] for inside in part["groups"])


def lines(groups: list[dict[str, Any]], *, strong: str = "", plain: str = "") -> list[str]:
    """The trees of these groups.

    Args:
        groups: what `described` has returned.
        strong, plain: what is before and after the names of groups and tasks: the codes of a terminal.
    """
    shown: list[str] = []
    for group in groups[:MOST_SHOWN]:
        shown += _lines_of_group(group, strong, plain)
    if len(groups) > MOST_SHOWN:
        shown.append(_more(len(groups) - MOST_SHOWN, "group"))
    return shown


def _lines_of_group(group: dict[str, Any], strong: str, plain: str) -> list[str]:
    parts = [_lines_of_task(task, strong, plain) for task in group["tasks"][:MOST_SHOWN]]
    if len(group["tasks"]) > MOST_SHOWN:
        parts.append([_more(len(group["tasks"]) - MOST_SHOWN, "task")])
    return [
        f"{strong}{group['object']}{plain}: {_state(group)}",
        *_joined(parts + _parts_inside(group, strong, plain)),
    ]


def _lines_of_task(task: dict[str, Any], strong: str, plain: str) -> list[str]:
    thread = f" in {task['thread']['name']}" if task["thread"] else ""
    does = "waits for a task that its thread runs" if task["suspended"] else _wait_data.short(task["wait"])
    function = task["function"].rpartition(".")[2]
    return [
        f"{strong}{function}(){plain}{thread} {does}",
        *_joined(_parts_inside(task, strong, plain)),
    ]


def _parts_inside(part: dict[str, Any], strong: str, plain: str) -> list[list[str]]:
    parts = [_lines_of_group(group, strong, plain) for group in part["groups"][:MOST_SHOWN]]
    more = len(part["groups"]) + part["groups_left_out"] - len(parts)
    return [*parts, [_more(more, "group")]] if more else parts


def _joined(parts: list[list[str]]) -> list[str]:
    """What is below a line, with the branches that lead there."""
    shown: list[str] = []
    for number, (first, *rest) in enumerate(parts, 1):
        is_last = number == len(parts)
        shown.append(f"{'└' if is_last else '├'}── {first}")
        shown += [f"{' ' if is_last else '│'}   {line}" for line in rest]
    return shown


def _more(count: int, what: str) -> str:
    return f"and {count} more {what}{'s' if count > 1 else ''}"


def _state(group: dict[str, Any]) -> str:
    count = group["unfinished"]
    said = f"{count or 'no'} task{'' if count == 1 else 's'}"
    if group["pending"]:
        said += f", {group['pending']} not begun"
    if group["cancelled"]:
        said += "; cancelled"
    if group["opened_by"]:
        where = "waits at its end" if group["waits_for_tasks"] else "is in its block"
        said += f"; {group['opened_by']['name']} {where}"
    return said
