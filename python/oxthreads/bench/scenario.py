"""The classes of scenarios, their kinds, goals and results."""

from __future__ import annotations

import statistics
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from .libraries import Library

#: The measured values of each contender, in the unit of the scenario's kind.
Samples = dict[str, list[float]]

STANDARD = "standard"
OXTHREADS = "oxthreads"


class BenchmarkError(Exception):
    """A scenario could not be measured on the standard library or on oxthreads."""


class NotInstalledError(Exception):
    """A scenario needs packages that are not installed. The message is their names."""


class Unit(Enum):
    """The unit of the samples of a kind."""

    SECONDS = "seconds"
    """The time of an operation, or of a whole run if the kind says so."""
    BYTES = "bytes"
    CALLS = "calls"
    """A number of calls."""


@dataclass(frozen=True)
class Goal:
    """The score that a scenario must reach: a lower or an upper limit, depending on its kind."""

    value: float
    before_3_14: float | None = None
    """Another limit for CPython before 3.14. None: the same."""

    @property
    def here(self) -> float:
        """The limit for the running interpreter."""
        if self.before_3_14 is not None and sys.version_info < (3, 14):
            return self.before_3_14
        return self.value


@dataclass(frozen=True)
class Pair:
    """Two more contenders, which are the two libraries in another respect. They have a ratio of their own."""

    standard: str
    oxthreads: str
    label: str
    """What their ratio is called."""

    def ratio(self, figures: Mapping[str, float]) -> float | None:
        """Return how many times more the standard library needs. None if one of them is missing."""
        standard, ours = figures.get(self.standard), figures.get(self.oxthreads)
        return standard / ours if standard is not None and ours else None


@dataclass(frozen=True)
class Kind:
    """A group of scenarios with a common table, unit and score."""

    name: str
    """The name that selects all of them on the command line."""
    summary: str
    """The sentence above their table."""
    unit: Unit
    score: Callable[[Mapping[str, float]], float | None]
    """Computes the score from the figures of the contenders; None if one of them is missing."""
    score_label: str
    score_text: Callable[[float], str]
    at_least: bool = True
    """Whether a higher score is better. (Of the samples, a lower one is always better.)"""
    typical: bool = False
    """Whether a contender's figure is its median sample instead of its best."""
    also: Pair | None = None
    """What is measured besides, without a goal."""

    def figure(self, samples: list[float]) -> float:
        """Return the number that the table shows for a contender."""
        return statistics.median(samples) if self.typical else min(samples)

    def goal_text(self, value: float) -> str:
        """Return a goal as text, such as ``>= 8.00x``."""
        return f"{'>=' if self.at_least else '<='} {self.score_text(value)}"

    def meets(self, score: float, goal: float) -> bool:
        """Return whether a score reaches a goal.

        Both are rounded to two decimals first, so that the answer fits the numbers in the table.
        """
        score, goal = round(score, 2), round(goal, 2)
        return score >= goal if self.at_least else score <= goal


def ratio(figures: Mapping[str, float]) -> float | None:
    """Return how many times more the standard library needs than oxthreads. None if one is missing."""
    standard, ours = figures.get(STANDARD), figures.get(OXTHREADS)
    return standard / ours if standard is not None and ours else None


def times(value: float) -> str:
    """Return a ratio as text, such as ``1.25x``."""
    return f"{value:.2f}x" if value < 99.995 else f"{value:.0f}x"


@dataclass(frozen=True)
class Settings:
    """How to measure."""

    libraries: tuple[Library, ...]
    """The libraries to measure; the standard library and oxthreads are among them."""
    rounds: int = 15
    """The number of rounds that are counted. One more round runs before them."""
    divisor: int = 1
    """The divisor of the operations of a round; more than 1 for a quick look."""
    seconds: float = 3.0
    """Seconds after which a contender stops running rounds of a scenario. It runs at least five rounds."""

    def divided(self, operations: int) -> int:
        """Return the number of operations in a round, divided by the divisor, but at least one."""
        return max(1, operations // self.divisor)


@dataclass(frozen=True)
class Outcome:
    """The samples of a scenario; and the contenders that failed, with the reason."""

    samples: Samples
    failures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario(ABC):
    """Something to measure."""

    name: str
    title: str
    """Its name in the table."""
    explanation: str
    """A sentence that explains it, for ``--list`` and benches/README.md."""
    operations: int
    """The number of operations in a round. The sample is the time of one of them."""
    threads: int
    """The threads that take part: with a pool, its workers and the submitting thread. 0: one per CPU."""
    goal: Goal | None = None

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """The kind, and so the table, to which it belongs."""

    @abstractmethod
    def measure(self, settings: Settings) -> Outcome:
        """Take the samples.

        Args:
            settings: how to measure, and which libraries.

        Returns:
            The samples of each contender.

        Raises:
            BenchmarkError: if the standard library or oxthreads fails.
        """


@dataclass(frozen=True)
class Result:
    """A scenario and its outcome."""

    scenario: Scenario
    outcome: Outcome
    others: float | None = None
    """The share of the CPUs that other processes used at the same time, from 0 to 1. None: not known."""

    @property
    def figures(self) -> dict[str, float]:
        """The figure of each contender."""
        figure = self.scenario.kind.figure
        return {name: figure(samples) for name, samples in self.outcome.samples.items() if samples}

    @property
    def score(self) -> float | None:
        """The score, which is compared with the goal. None if it cannot be computed."""
        return self.scenario.kind.score(self.figures)

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None if there is no goal. Without a score it is not reached."""
        if self.scenario.goal is None:
            return None
        score = self.score
        return score is not None and self.scenario.kind.meets(score, self.scenario.goal.here)
