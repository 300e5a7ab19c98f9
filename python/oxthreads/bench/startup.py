"""Measures how much longer a process with oxthreads takes to start and to end, in wall time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from oxthreads.comparison.measurement import BackEnd

from .children import OURS, PLAIN, RUNNER, children
from .scenario import OXTHREADS, STANDARD, Goal, Kind, Outcome, Samples, Scenario, Settings, Unit


def milliseconds_more(figures: Mapping[str, float]) -> float | None:
    """Return how many milliseconds longer a process with oxthreads takes. None if one is missing."""
    standard, ours = figures.get(STANDARD), figures.get(OXTHREADS)
    return None if standard is None or ours is None else 1000 * (ours - standard)


STARTUP = Kind(
    "startup",
    "Wall time of a process that ends at once. More: oxthreads - standard.",
    Unit.SECONDS,
    milliseconds_more,
    "more",
    "{:.2f} ms".format,
    at_least=False,
)


@dataclass(frozen=True)
class StartupScenario(Scenario):
    """Runs a program on plain Python and one on oxthreads, alternately."""

    standard: str = "pass"
    ours: str = "pass"
    back_end: BackEnd = OURS

    @property
    def kind(self) -> Kind:
        return STARTUP

    def measure(self, settings: Settings) -> Outcome:
        samples: Samples = {STANDARD: [], OXTHREADS: []}
        sides = ((PLAIN, self.standard), (self.back_end, self.ours))
        with children() as run:
            for number in range(settings.rounds + 1):
                for back_end, code in sides if number % 2 else reversed(sides):
                    wall = run.run(back_end, ["-c", code]).usage.wall_seconds
                    if number:  # the first round compiles the imported modules
                        samples[back_end.name].append(wall)
        return Outcome(samples)


STANDARD_MODULES = "import threading, queue, concurrent.futures.thread"
OUR_MODULES = "import oxthreads.threading, oxthreads.queue, oxthreads.concurrent.futures"

SCENARIOS = (
    StartupScenario(
        "startup-import", "`import oxthreads`", "Compared with `pass`.",
        operations=1, threads=1, goal=Goal(5.0), ours="import oxthreads",
    ),
    StartupScenario(
        "startup-modules", "import of the three modules", "Compared with the three standard modules.",
        operations=1, threads=1, standard=STANDARD_MODULES, ours=OUR_MODULES,
    ),
    StartupScenario(
        "startup-runner", "`python -m oxthreads -c pass`", "Compared with `python -c pass`.",
        operations=1, threads=1, goal=Goal(15.0), back_end=RUNNER,
    ),
)  # fmt: skip
