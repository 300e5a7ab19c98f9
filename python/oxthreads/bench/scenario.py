"""What a scenario is, of which kind, what it must reach, and what it came to."""

from __future__ import annotations

import statistics
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from .libraries import Library

#: What was measured of each contender, round by round, in the unit of the scenario's kind.
Samples = dict[str, list[float]]

STANDARD = "standard"
OXTHREADS = "oxthreads"


class BenchmarkError(Exception):
    """A scenario could not be measured on the standard library or on oxthreads."""


class Unit(Enum):
    """What the numbers of a kind are."""

    SECONDS = "seconds"
    """Of an operation, or of a whole run where the kind says so."""
    BYTES = "bytes"


@dataclass(frozen=True)
class Goal:
    """What a scenario must reach: so much at least, or at most, as its kind says."""

    value: float
    before_3_14: float | None = None
    """Another value for CPython before 3.14, in the unit of the score."""

    @property
    def here(self) -> float:
        """The value for the running interpreter."""
        if self.before_3_14 is not None and sys.version_info < (3, 14):
            return self.before_3_14
        return self.value


@dataclass(frozen=True)
class Kind:
    """A group of scenarios that share a table: a unit, and a way to judge."""

    name: str
    """What selects them all on the command line."""
    summary: str
    """The sentence above their table."""
    unit: Unit
    score: Callable[[Mapping[str, float]], float | None]
    """From each contender's figure; None where one is missing."""
    score_label: str
    score_text: Callable[[float], str]
    at_least: bool = True
    """Whether more is better, in the score; in the samples, less always is."""
    typical: bool = False
    """Whether a contender's figure is its median sample, and not its best."""

    def figure(self, samples: list[float]) -> float:
        """What stands for a contender in the table."""
        return statistics.median(samples) if self.typical else min(samples)

    def goal_text(self, value: float) -> str:
        """``>= 8.00x``, say."""
        return f"{'>=' if self.at_least else '<='} {self.score_text(value)}"

    def meets(self, score: float, goal: float) -> bool:
        """Whether a score reaches a goal, as both are shown: to two decimals."""
        score, goal = round(score, 2), round(goal, 2)
        return score >= goal if self.at_least else score <= goal


def ratio(figures: Mapping[str, float]) -> float | None:
    """How many times more the standard library needs."""
    standard, ours = figures.get(STANDARD), figures.get(OXTHREADS)
    return standard / ours if standard is not None and ours else None


def times(value: float) -> str:
    """``1.25x``."""
    return f"{value:.2f}x" if value < 99.995 else f"{value:.0f}x"


@dataclass(frozen=True)
class Settings:
    """How to measure."""

    libraries: tuple[Library, ...]
    """The contenders; the standard library and oxthreads are among them."""
    rounds: int = 15
    """The rounds that count; one goes before them that does not."""
    divisor: int = 1
    """By what the operations of a round are divided, for a quick look."""
    seconds: float = 3.0
    """After so long a contender of a scenario makes no further rounds, once it has made five."""

    def divided(self, operations: int) -> int:
        """How many operations a round has under these settings."""
        return max(1, operations // self.divisor)


@dataclass(frozen=True)
class Outcome:
    """The samples, and which contenders failed, and why."""

    samples: Samples
    failures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario(ABC):
    """Something to measure, known by its name."""

    name: str
    title: str
    """What the table calls it."""
    explanation: str
    """One sentence more, for ``--list`` and benches/README.md."""
    operations: int
    """How many there are in a round; what is measured is one of them."""
    threads: int
    """Those that take part, with a pool its workers and the thread that submits; 0 is one for each CPU."""
    goal: Goal | None = None

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """Which table it belongs to."""

    @abstractmethod
    def measure(self, settings: Settings) -> Outcome:
        """Take the samples. Raises BenchmarkError."""


@dataclass(frozen=True)
class Result:
    """A scenario, and what was measured."""

    scenario: Scenario
    outcome: Outcome
    others: float | None = None
    """The share of the CPUs that others used meanwhile, from 0 to 1; None where nobody tells."""

    @property
    def figures(self) -> dict[str, float]:
        """Each contender's figure."""
        figure = self.scenario.kind.figure
        return {name: figure(samples) for name, samples in self.outcome.samples.items() if samples}

    @property
    def score(self) -> float | None:
        """What is held against the goal; None if it cannot be told."""
        return self.scenario.kind.score(self.figures)

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none. A score that is missing reaches none."""
        if self.scenario.goal is None:
            return None
        score = self.score
        return score is not None and self.scenario.kind.meets(score, self.scenario.goal.here)
