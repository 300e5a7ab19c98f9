"""A profile as text: a table for people, and stacks for flame graphs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from oxthreads.diagnose import _objects, _profile_places

__all__ = ["collapsed", "summary", "table"]

#: The most objects, and the most places of one object, that are shown. The rest is one line.
_MOST_OBJECTS = 20
_MOST_PLACES = 5

#: The most holders, or threads that ended waits, that are shown of one place.
_MOST_HOLDERS = 3

#: Holders with less than this share of the waits are not shown.
_SMALLEST_SHARE = 0.005

_HEAD = ("waited", "waits", "p50", "p99", "max", "GIL", "what, waiting at")


def table(data: dict[str, Any]) -> str:
    """The table.

    Args:
        data: the profile, as docs/profile.schema.json describes it.
    """
    waiting, idle = data["waiting"], data["idle"]
    threads = f"{data['threads']} {'thread' if data['threads'] == 1 else 'threads'}"
    if data.get("tasks"):
        threads += f" and {data['tasks']} {'task' if data['tasks'] == 1 else 'tasks'} of event loops"
    lines = [
        f"oxthreads profile: {_time(data['seconds'])}, {_time(data['processor_seconds'])} of processor time,"
        f" {threads}; {_waits(waiting)}, and {_waits(idle)} for work"
    ]
    for is_idle in (False, True):
        rows = [row for row in data["objects"] if row["idle"] == is_idle]
        other = data["dropped"]["idle" if is_idle else "waiting"]
        if rows or other["waits"]:
            lines += ["", "waits for work:" if is_idle else "waits for others:", *_rows(rows, other, data)]
    lines += _pools(data["pools"])
    lines += _queues(data["queues"])
    return "\n".join([*lines, *_not_known(data), ""])


#: The most lines of `summary`.
_MOST_LINES = 10


def summary(data: dict[str, Any]) -> str:
    """The first lines of the table: what threads waited for most.

    Args:
        data: the profile, as docs/profile.schema.json describes it.
    """
    rows = [row for row in data["objects"] if not row["idle"]]
    title = f"Where threads waited for others in one run on oxthreads: {_waits(data['waiting'])}"
    if not data["waiting"]["waits"]:
        return f"{title}."
    lines = _rows(rows, data["dropped"]["waiting"], data)
    return "\n".join([f"{title}:", *lines[: _MOST_LINES - 1]])


def _waits(sums: dict[str, Any]) -> str:
    return f"{sums['waits']} {'wait' if sums['waits'] == 1 else 'waits'} of {_time(sums['seconds'])}"


def _rows(rows: list[dict[str, Any]], other: dict[str, Any], data: dict[str, Any]) -> list[str]:
    held = "" if rows and rows[0]["idle"] else "held meanwhile at"
    cells: list[tuple[str, ...]] = [(*_HEAD, held)]
    for row in rows[:_MOST_OBJECTS]:
        count = f" ({row['objects']} objects)" if row["objects"] > 1 else ""
        cells.append((*_numbers(row), _profile_places.without_directories(row["object"]) + count, ""))
        places = row["places"][:_MOST_PLACES]
        names = _profile_places.in_words([place["stack"] for place in places])
        for place, name in zip(places, names, strict=True):
            held_at = [""] if row["idle"] else _holders(place)
            cells.append((*_numbers(place), f"  {name}", held_at[0]))
            cells += [("",) * 7 + (each,) for each in held_at[1:]]
        cells += _rest(row["places"][_MOST_PLACES:], "  in {} more places")
    cells += _rest(rows[_MOST_OBJECTS:], "{} more objects")
    if other["waits"]:
        cells.append((*_numbers(other), f"at more places than {data['dropped']['most_places']}", ""))
    return _aligned(cells, 6)


def _aligned(cells: list[tuple[str, ...]], numbers: int) -> list[str]:
    """The lines of a table. So many columns are numbers, and stand at the right."""
    widths = [max(len(cell[column]) for cell in cells) for column in range(len(cells[0]))]
    return [
        "  ".join(
            [
                *(cell[column].rjust(widths[column]) for column in range(numbers)),
                *(cell[column].ljust(widths[column]) for column in range(numbers, len(widths))),
            ]
        ).rstrip()
        for cell in cells
    ]


#: What is known of times, as columns.
_TIMES = ("seconds", "p50", "p99", "max")


def _pools(rows: list[dict[str, Any]]) -> list[str]:
    """How long calls waited in pools and ran, by function."""
    if not rows:
        return []
    cells: list[tuple[str, ...]] = [
        ("waited", "p50", "p99", "max", "ran", "p50", "p99", "max", "calls", "failed", "pool, function")
    ]
    for row in rows[:_MOST_OBJECTS]:
        cells.append((*_calls(row), _pool(row)))
        for each in row["functions"][:_MOST_PLACES]:
            function = each["function"]
            cells.append((*_calls(each), f"  {_submitted(function) if function else 'other functions'}"))
        cells += _rest_of_calls(row["functions"][_MOST_PLACES:], "  {} more functions")
    cells += _rest_of_calls(rows[_MOST_OBJECTS:], "{} more pools")
    return ["", "calls of pools, which waited for a worker, and ran:", *_aligned(cells, 10)]


def _calls(row: dict[str, Any]) -> tuple[str, ...]:
    times = (_time(row[kind][name]) for kind in ("wait", "run") for name in _TIMES)
    return (*times, str(row["calls"]), str(row["failed"]))


def _rest_of_calls(rows: list[dict[str, Any]], words: str) -> list[tuple[str, ...]]:
    """One line for what is not shown."""
    if not rows:
        return []
    wait, run = (_time(sum(row[kind]["seconds"] for row in rows)) for kind in ("wait", "run"))
    calls, failed = (str(sum(row[name] for row in rows)) for name in ("calls", "failed"))
    return [(wait, "", "", "", run, "", "", "", calls, failed, words.format(len(rows)))]


def _pool(row: dict[str, Any]) -> str:
    """A pool, and what its workers did."""
    count = f" ({row['objects']} objects)" if row["objects"] > 1 else ""
    notes = [f"{row[name]} {name}" for name in ("cancelled", "running", "pending") if row[name]]
    if row["workers"]:
        workers = f"{row['workers']} {'worker' if row['workers'] == 1 else 'workers'}"
        whole = row["worker_seconds"] or 1.0
        shares = (f"{row[f'{name}_seconds'] / whole:.0%} {name}" for name in ("working", "waiting", "idle"))
        notes.insert(0, f"{workers}: {', '.join(shares)}")
    return f"{row['pool']}{count}{': ' if notes else ''}{'; '.join(notes)}"


def _queues(rows: list[dict[str, Any]]) -> list[str]:
    """How long queues were, and how many items passed through them; those of the same name are one line."""
    if not rows:
        return []
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_name.setdefault(row["queue"], []).append(row)
    head = ("full", "empty", "puts", "a second", "gets", "a second", "length", "greatest", "at most", "queue")
    cells: list[tuple[str, ...]] = [head]
    names = list(by_name)
    cells += [_queue(by_name[name], name) for name in names[:_MOST_OBJECTS]]
    rest = [row for name in names[_MOST_OBJECTS:] for row in by_name[name]]
    if rest:
        cells.append(_queue(rest, f"{len(names) - _MOST_OBJECTS} more queues"))
    return ["", "queues, in which threads waited for room (full) or an item (empty):", *_aligned(cells, 9)]


def _queue(rows: list[dict[str, Any]], name: str) -> tuple[str, ...]:
    sums = {
        each: sum(row[each] for row in rows) for each in ("full_seconds", "empty_seconds", "puts", "gets")
    }
    seconds = max(row["begins"] + row["seconds"] for row in rows) - min(row["begins"] for row in rows)
    rates = (f"{sums[each] / seconds:.3g}" if seconds else "" for each in ("puts", "gets"))
    most = {row["capacity"] for row in rows}
    count = f" ({len(rows)} objects)" if len(rows) > 1 and "more queues" not in name else ""
    return (
        _time(sums["full_seconds"]),
        _time(sums["empty_seconds"]),
        str(sums["puts"]),
        next(rates),
        str(sums["gets"]),
        next(rates),
        str(sum(row["length"] for row in rows)),
        str(max(row["greatest_length"] for row in rows)),
        str(min(most)) if len(most) == 1 and 0 not in most else "",
        f"{name}{count}",
    )


def _submitted(function: dict[str, Any]) -> str:
    if not function["file"]:
        return f"{function['function']} (not written in Python)"
    return f"{function['function']} ({_objects.file(function['file'])}:{function['line']})"


def _rest(rows: list[dict[str, Any]], words: str) -> list[tuple[str, ...]]:
    """One line for what is not shown."""
    if not rows:
        return []
    seconds, waits = sum(row["seconds"] for row in rows), sum(row["waits"] for row in rows)
    return [(_time(seconds), str(waits), "", "", "", "", words.format(len(rows)), "")]


def _numbers(row: dict[str, Any]) -> tuple[str, ...]:
    share = row["interpreter_seconds"] / row["seconds"] if row["seconds"] else 0.0
    lengths = (_time(row[name]) for name in ("p50", "p99", "max"))
    return (_time(row["seconds"]), str(row["waits"]), *lengths, f"{share:.0%}")


def _time(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        number = seconds * factor
        if number >= 0.9995 or unit == "us":
            digits = 2 if number < 9.995 else 1 if number < 99.95 else 0
            return f"{number:.{digits}f} {unit}"
    raise AssertionError


def _holders(place: dict[str, Any]) -> list[str]:
    """Who held the lock meanwhile, or who ended the waits."""
    if place["held"]:
        merged: Counter[str] = Counter()
        threads: dict[str, Counter[str]] = {}
        for each in place["held"]:
            where = _profile_places.in_words([[each["place"]] if each["place"] else []])[0]
            merged[where] += each["seconds"]
            threads.setdefault(where, Counter())[each["thread"]] += each["seconds"]
        return [
            f"{seconds / place['seconds']:.0%} {where}, by {_names(threads[where])}"
            for where, seconds in merged.most_common(_MOST_HOLDERS)
            if seconds >= place["seconds"] * _SMALLEST_SHARE
        ] or [""]
    ended: Counter[str] = Counter()
    enders: dict[str, Counter[str]] = {}
    for each in place["ended_by"]:
        where = f"{_profile_places.in_words([[each['place']]])[0]}, by " if each["place"] else ""
        ended[where] += each["waits"]
        enders.setdefault(where, Counter())[each["thread"]] += each["waits"]
    shown = [f"ended by {where}{_names(enders[where])}" for where, _ in ended.most_common(_MOST_HOLDERS)]
    more = ended.total() - sum(count for _, count in ended.most_common(_MOST_HOLDERS))
    return [*shown, f"{more} ended elsewhere"] if more else shown or [""]


def _names(threads: Counter[str]) -> str:
    names = [name for name, _ in threads.most_common(_MOST_HOLDERS)]
    more = len(threads) - len(names)
    return _objects.listed([*names, f"{more} more"] if more else names)


def _not_known(data: dict[str, Any]) -> list[str]:
    """What a reader must know that the numbers do not say."""
    dropped = data["dropped"]
    waits = dropped["waiting"]["waits"] + dropped["idle"]["waits"]
    lines = []
    if waits:
        seconds = dropped["waiting"]["seconds"] + dropped["idle"]["seconds"]
        lines.append(
            f"Only {dropped['most_places']} places are kept: of {waits} waits of {_time(seconds)} at others,"
            " only the sums are known."
        )
    if dropped["without_holder_seconds"]:
        lines.append(f"For {_time(dropped['without_holder_seconds'])} the holders were too many to be kept.")
    if data["queues_dropped"]:
        lines.append(
            f"Of {data['queues_dropped']} more queues nothing is known, because there were too many."
        )
    return ["", *lines] if lines else ["", "No wait was dropped."]


def collapsed(data: dict[str, Any]) -> str:
    """A line for each stack: its functions, what was waited for, and the microseconds."""
    lines: Counter[str] = Counter()
    for row in data["objects"]:
        if row["idle"]:
            continue
        for place in row["places"]:
            functions = [
                f"{frame['function']} ({_objects.file(frame['file'])}:{frame['line']})"
                for frame in reversed(place["stack"])
            ]
            names = [each.replace(";", ",").replace("\n", " ") for each in (*functions, f"[{row['object']}]")]
            lines[";".join(names)] += round(place["seconds"] * 1e6)
    other = data["dropped"]["waiting"]["seconds"]
    if other:
        lines["[at more places than are kept]"] += round(other * 1e6)
    return "".join(f"{stack} {microseconds}\n" for stack, microseconds in lines.items())
