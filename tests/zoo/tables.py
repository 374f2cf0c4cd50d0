"""Data sets as tables of named features: those that scikit-learn brings, and Adult."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.int64]

ADULT_NUMBERS = ("age", "education-num", "capital-gain", "capital-loss", "hours-per-week")
ADULT_CATEGORIES = ("workclass", "marital-status", "occupation", "relationship", "race", "sex")
ADULT_COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation",
    "relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week",
    "native-country", "income",
)


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of features (n, d) with a label (n) each."""

    features: tuple[str, ...]
    values: Values
    labels: Labels

    def split(self) -> tuple[Values, Labels, Values, Labels]:
        """Rows to train on and rows to ask about, always the same ones."""
        order = np.random.default_rng(0).permutation(len(self.values))
        cut = max(1, len(order) * 3 // 4)
        train, held = order[:cut], order[cut:]
        return self.values[train], self.labels[train], self.values[held], self.labels[held]


def bundled(name: str) -> Table:
    """A data set of scikit-learn; features that only take whole numbers are not declared so."""
    from sklearn import datasets

    load = {"iris": datasets.load_iris, "wine": datasets.load_wine,
            "digits": datasets.load_digits, "breast_cancer": datasets.load_breast_cancer}[name]
    found = load()
    names = tuple(str(n).replace(" ", "_") for n in found.feature_names)
    # Six digits, so that a CSV file of decimals holds the very numbers.
    values = np.asarray(np.round(found.data, 6), dtype=np.float32)
    return Table(names, values, np.asarray(found.target, dtype=np.int64))


def adult(folder: Path, rows: int = 6000) -> Table:
    """The first rows of Adult: five numbers and six categories, written as their positions."""
    with gzip.open(folder / "tabular" / "adult" / "adult.data.gz", "rt") as file:
        cells = [line.strip().split(", ") for line in file if line.strip()][:rows]
    columns: dict[str, Sequence[str]] = dict(zip(ADULT_COLUMNS, zip(*cells, strict=True)))
    found = [np.array([float(cell) for cell in columns[name]]) for name in ADULT_NUMBERS]
    for name in ADULT_CATEGORIES:
        known = sorted(set(columns[name]))
        found.append(np.array([float(known.index(cell)) for cell in columns[name]]))
    labels = np.array([int(cell.startswith(">50K")) for cell in columns["income"]])
    names = (*ADULT_NUMBERS, *ADULT_CATEGORIES)
    return Table(names, np.stack(found, axis=1).astype(np.float32), labels)
