"""How long things took, of which a profile knows the lengths to about three percent."""

from __future__ import annotations

from collections import Counter
from typing import Any

__all__ = ["Lengths", "percentile"]


def percentile(lengths: Counter[float], longest: float, share: float) -> float:
    """The length that this share of them did not exceed."""
    wanted = share * lengths.total()
    seen = 0
    for length in sorted(lengths):
        seen += lengths[length]
        if seen >= wanted:
            return round(min(length, longest), 9)
    return 0.0


class Lengths:
    """Lengths of one kind."""

    def __init__(self) -> None:
        self.counts: Counter[float] = Counter()
        self.seconds = self.longest = 0.0

    def add(self, found: tuple[list[tuple[float, int]], float, float]) -> None:
        """Add what the engine has found: the lengths with how many there were, their sum, and the longest."""
        counts, seconds, longest = found
        for length, count in counts:
            self.counts[length] += count
        self.seconds += seconds
        self.longest = max(self.longest, longest)

    def described(self) -> dict[str, Any]:
        """In the form of docs/profile.schema.json."""
        return {
            "seconds": round(self.seconds, 9),
            "p50": percentile(self.counts, self.longest, 0.5),
            "p99": percentile(self.counts, self.longest, 0.99),
            "max": round(self.longest, 9),
        }
