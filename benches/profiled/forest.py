"""A random forest of scikit-learn, whose trees joblib's threads make.

With "repaired" as its argument, each call of a thread makes more trees.
"""

from __future__ import annotations

import sys
import time

import numpy
from joblib import Parallel, delayed, parallel_backend
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

REPAIRED = sys.argv[1:] == ["repaired"]


def main() -> None:
    """Fit, predict, and evaluate many small models."""
    features, classes = make_classification(4_000, 20, random_state=0)
    begun = time.perf_counter()
    with parallel_backend("threading", n_jobs=4):
        forest = RandomForestClassifier(100, random_state=0).fit(features, classes)
        score = forest.score(features, classes)
        fitted = time.perf_counter()
        sums = Parallel(batch_size=200 if REPAIRED else 1)(
            delayed(numpy.sum)(features[row]) for row in range(4_000)
        )
        small = time.perf_counter()
        cross_val_score(LogisticRegression(), features, classes, cv=8)
    end = time.perf_counter()
    times = f"forest {fitted - begun:.2f} s, rows {small - fitted:.2f} s, folds {end - small:.2f} s"
    print(f"{score:.2f} {sum(sums):.2f}; {times}")


if __name__ == "__main__":
    main()
