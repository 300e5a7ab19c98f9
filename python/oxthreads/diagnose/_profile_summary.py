"""A profile in words: for what threads have waited most, what that means, and what can be done about it."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, NamedTuple

from oxthreads.diagnose import _profile_text

__all__ = [
    "Finding",
    "average_waiting",
    "duration",
    "findings",
    "is_little",
    "left_out",
    "number_of",
    "overview",
    "percent",
]

#: Objects with less than this share of the waiting are not spoken of, but for the first.
_SMALLEST_SHARE = 0.05

#: How many findings there are at most.
_MOST_FINDINGS = 3

#: From this share on, the waiting for the interpreter is spoken of.
_MUCH_INTERPRETER = 0.2

#: If fewer threads than this waited on average, waiting is not what makes the program slow.
_FEW_WAITING = 0.1


class Finding(NamedTuple):
    """One thing that threads have waited for much."""

    #: What was found, with the numbers.
    what: str
    #: What that means.
    meaning: str
    #: What to do next.
    advice: str


class _Words(NamedTuple):
    meaning: str
    advice: str
    #: Whether programs wait in this way when nothing is wrong.
    is_usual: bool = False


_RESULTS = _Words(
    "Threads waited until calls of a pool had results.",
    "If these threads have nothing else to do, nothing is lost here. Otherwise look at what the calls do,"
    " and whether the pool has enough workers.",
    is_usual=True,
)

_ENDS = _Words(
    "Threads waited for the end of others, as a main thread does that has nothing else to do.",
    "Nothing is lost here by itself. Look at what the other threads waited for meanwhile.",
    is_usual=True,
)

_LOCK = _Words(
    "While one thread has the lock, the others stand still.",
    "See in the table who had the lock, and do less while it is held: do what is slow (network, files, sleep,"
    " computing) before or after.",
)

_RWLOCK = _Words(
    "While one thread writes, all others stand still; and it comes in only when nobody reads.",
    "See in the table who wrote, and do less while it writes: compute new values before. And read for a"
    " shorter time.",
)

_CALL = _Words(
    "Threads waited for the result of a call that another thread ran for all of them.",
    "Make the call faster, or begin it earlier.",
)

#: By what was waited for, as the engine calls it.
_WORDS = {
    "Lock": _LOCK,
    "RLock": _LOCK,
    "read access to RWLock": _RWLOCK,
    "write access to RWLock": _RWLOCK,
    "once": _CALL,
    "singleflight": _CALL,
    "Condition": _Words(
        "Threads waited until another one notified them.",
        "See in the table which threads ended the waits, and look at what they do before they notify.",
    ),
    "Event": _Words(
        "Threads waited until another one set the event.",
        "See in the table which threads ended the waits, and look at what they do before they set it.",
    ),
    "Semaphore": _Words(
        "All permits of the semaphore were taken.",
        "Keep permits for a shorter time, or allow more of them.",
    ),
    "Limiter": _Words(
        "Threads waited until the limiter let them go on: they ask for more than its rate.",
        "Allow more, if that is possible; or ask less often, for several things at once.",
        is_usual=True,
    ),
    "Barrier": _Words(
        "The threads that came early to the barrier waited for the last one.",
        "Give all threads as much work as the others.",
    ),
    "room in a queue": _Words(
        "The queue was full: what takes items from it is slower than what puts them there.",
        "Make the consumers faster, or have more of them. A larger queue helps only against short bursts.",
    ),
    "room in a channel": _Words(
        "Nobody received what was sent to the channel, or it was full.",
        "Make the receivers faster, or have more of them. More room helps only against short bursts.",
    ),
    "room in a broadcast": _Words(
        "A subscriber of the broadcast was slower than those who send to it.",
        "Make the slowest subscriber faster, or let it miss items (on_lag).",
    ),
    "change of a watch": _Words(
        "Threads waited until another one set the value that they watch.",
        "Nothing is lost here by itself. See in the table which threads ended the waits.",
        is_usual=True,
    ),
    "room in a pool": _Words(
        "The pool had as many calls as it may have: its workers are slower than those who submit.",
        "Make the calls faster, or allow more workers.",
    ),
    "end of the work of a queue": _Words(
        "A thread waited until all items of the queue were done, as a main thread does that has nothing else"
        " to do.",
        "Nothing is lost here by itself. Look at what the consumers of the queue waited for meanwhile.",
        is_usual=True,
    ),
    "Future": _RESULTS,
    "one of several futures": _RESULTS,
    "one of several sources": _Words(
        "Threads waited in select() for the first of several objects.",
        "See in the table where they waited, and which threads ended the waits. Perhaps they had no work.",
    ),
    "join": _ENDS,
    "exit": _ENDS,
    "TaskGroup": _Words(
        "Threads waited until the tasks of a group had ended, as a thread does that has nothing else to do.",
        "Nothing is lost here by itself. Look at what the tasks waited for meanwhile.",
        is_usual=True,
    ),
}

_OTHER = _Words(
    "Threads waited for others.", "See in the table where they waited, and which threads ended the waits."
)


def duration(seconds: float) -> str:
    """A time, as "1.28 s" or "37.2 µs"."""
    return _profile_text._time(seconds).replace("us", "µs") if seconds else "0 s"


def number_of(count: int, one: str, several: str) -> str:
    """ "1 wait" or "1,200 waits"."""
    return f"{count:,} {one if count == 1 else several}"


def percent(share: float) -> str:
    """A share, as "62%". What is not the whole is not called so."""
    return "over 99%" if 0.995 <= share < 0.9999 else f"{share:.0%}"


def average_waiting(data: dict[str, Any]) -> float:
    """How many threads have waited for others at a time, on average."""
    seconds: float = data["waiting"]["seconds"]
    return seconds / data["seconds"] if data["seconds"] else 0.0


def is_little(data: dict[str, Any]) -> bool:
    """Whether there was so little waiting that it does not matter for what."""
    return average_waiting(data) < _FEW_WAITING


def overview(data: dict[str, Any]) -> str:
    """How much waiting there was."""
    waiting = data["waiting"]
    if not waiting["waits"]:
        return f"The profile ran for {duration(data['seconds'])}, and no thread had to wait for another."
    if is_little(data):
        return (
            f"In {duration(data['seconds'])}, they did so for {duration(waiting['seconds'])} in all. If the"
            " program is slow, this waiting is not the reason."
        )
    threads = number_of(data["threads"], "thread", "threads")
    if data.get("tasks"):
        threads += f" and {number_of(data['tasks'], 'task', 'tasks')}"
    return (
        f"In {duration(data['seconds'])}, threads waited for each other for {duration(waiting['seconds'])} in"
        f" all: on average, {average_waiting(data):.1f} of {threads} stood still."
    )


def findings(data: dict[str, Any]) -> list[Finding]:
    """What threads have waited for most; first what is not simply the way in which programs wait."""
    whole = data["waiting"]["seconds"]
    rows = [row for row in data["objects"] if not row["idle"]]
    if not whole or not rows:
        return []
    found = [
        (_WORDS.get(row["for"], _OTHER).is_usual, _finding(row, row["seconds"] / whole))
        for row in rows
        if row["seconds"] >= whole * _SMALLEST_SHARE
    ] or [(False, _finding(rows[0], rows[0]["seconds"] / whole))]
    found.sort(key=lambda each: each[0])
    ordered = [finding for _, finding in found[:_MOST_FINDINGS]]
    interpreter = sum(row["interpreter_seconds"] for row in rows) / whole
    if interpreter >= _MUCH_INTERPRETER:
        ordered.insert(
            0 if interpreter > 0.5 else len(ordered),
            Finding(
                f"{percent(interpreter)} of all waiting was for the interpreter (the GIL).",
                "These threads had been woken already, but another thread was computing, and only one can.",
                "Compute less in threads: in processes, in a library that releases the GIL, or on a"
                " free-threaded Python. As long as this is high, other locks matter little.",
            ),
        )
    return [each._replace(what=each.what[0].upper() + each.what[1:]) for each in ordered]


def _finding(row: dict[str, Any], share: float) -> Finding:
    words = _WORDS.get(row["for"], _OTHER)
    what = f"{percent(share)} of all waiting was for {_name(row)}"
    held: Counter[tuple[str, int, str] | None] = Counter()
    for place in row["places"]:
        for each in place["held"]:
            where = each["place"]
            held[where and (where["file"], where["line"], where["function"])] += each["seconds"]
    known = {where: seconds for where, seconds in held.items() if where is not None}
    if not known:
        return Finding(f"{what}{_where(row)}.", f"{words.meaning}{_by(row)}", words.advice)
    holder, seconds = max(known.items(), key=lambda each: each[1])
    at = f"{_file(holder[0])}:{holder[1]}"
    much = "" if seconds >= 0.9 * row["seconds"] else f" for {seconds / row['seconds']:.0%} of that time"
    advice = (
        f"Look at {at}: do less while the lock is held there, and what is slow (network, files, sleep,"
        " computing) before or after."
    )
    return Finding(f"{what}, held by {holder[2]} at {at}{much}.", words.meaning, advice)


def _where(row: dict[str, Any]) -> str:
    """At which place threads waited for the object, if most did at one."""
    place = row["places"][0]
    # Where it was made is a place already, and two are hard to read.
    if not place["stack"] or place["seconds"] < 0.5 * row["seconds"] or " made at " in row["object"]:
        return ""
    function = place["stack"][0]
    return f", at {_file(function['file'])}:{function['line']} in {function['function']}"


def _by(row: dict[str, Any]) -> str:
    """Where the waits were ended, and by which thread, if that was always the same."""
    ended: Counter[str] = Counter()
    ended_at: Counter[str] = Counter()
    for place in row["places"]:
        for each in place["ended_by"]:
            ended[each["thread"]] += each["waits"]
            at = each.get("place")
            ended_at[f"{_file(at['file'])}:{at['line']} in {at['function']}" if at else ""] += each["waits"]
    where, waits = ended_at.most_common(1)[0] if ended_at else ("", 0)
    if where and waits >= 0.9 * ended_at.total():
        thread = f", by {next(iter(ended))}" if len(ended) == 1 else ""
        return f" What ended {'these waits' if row['waits'] > 1 else 'it'} is at {where}{thread}."
    if len(ended) != 1:
        return ""
    (thread,) = ended
    return f" Only {thread} ended these waits." if row["waits"] > 1 else f" {thread} ended it."


def _file(file: str) -> str:
    """The file, without its folder: the table has that."""
    return re.split(r"[\\/]", file)[-1]


def _name(row: dict[str, Any]) -> str:
    count = f" ({row['objects']} objects)" if row["objects"] > 1 else ""
    name = "futures" if row["for"] == "Future" else row["object"]
    # Of an object without a name, the name is where it was made.
    name = re.sub(r"( made at )(.+)(:\d+ in )", lambda made: f"{made[1]}{_file(made[2])}{made[3]}", name)
    return f"{name}{count}"


def left_out(data: dict[str, Any], timeline: dict[str, Any] | None) -> list[str]:
    """What a reader must know that the numbers do not say."""
    idle, dropped = data["idle"], data["dropped"]
    lines = []
    if idle["waits"]:
        lines.append(
            f"Waits for work are counted apart: {number_of(idle['waits'], 'wait', 'waits')} of"
            f" {duration(idle['seconds'])}, in which workers had no call and queues no item. They are no"
            " loss, unless you expected these threads to be busy."
        )
    waits = dropped["waiting"]["waits"] + dropped["idle"]["waits"]
    if waits:
        seconds = dropped["waiting"]["seconds"] + dropped["idle"]["seconds"]
        lines.append(
            f"Only {dropped['most_places']:,} places are kept. Of {number_of(waits, 'wait', 'waits')} of"
            f" {duration(seconds)} at other places, only the sums are known."
        )
    if dropped["without_holder_seconds"]:
        lines.append(
            f"For {duration(dropped['without_holder_seconds'])} of waiting, there were too many holders to"
            " keep them all."
        )
    if not waits:
        lines.append("No wait was dropped from the numbers.")
    if timeline is None:
        lines.append(
            "There is no timeline, because single waits were not kept. `oxthreads profile -o FILE.html` and"
            " `diagnose.profile(timeline=True)` keep them."
        )
    elif timeline["dropped"]["waits"]:
        short = timeline["dropped"]
        lines.append(
            "The timeline leaves out the shortest waits, for which there was no room:"
            f" {number_of(short['waits'], 'wait', 'waits')} of {duration(short['seconds'])} together, none"
            f" longer than {duration(short['longest'])}. The table has them."
        )
    lines.append(
        "Only waits for objects of oxthreads and for the end of threads are known, and only those in which a"
        " thread slept, or a task of an event loop. time.sleep, sockets, files and computing are not waits"
        " here."
    )
    return lines
