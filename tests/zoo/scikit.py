"""scikit-learn estimators, exported by skl2onnx as it does by default."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.zoo.member import Member, Trained, relative_radius
from tests.zoo.tables import ADULT_CATEGORIES, ADULT_NUMBERS, Table, adult, bundled

ROWS = 12
SHARE = 0.01
"""How far features move, as a share of their ranges."""


def exported(estimator: Any, table: Table, folder: Path, **facts: Any) -> Trained:
    """Train on three quarters of the table, export, and ask about rows of the rest."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    train, labels, held, _ = table.split()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(train, labels)
        size = len(table.features)
        model = convert_sklearn(estimator, initial_types=[("X", FloatTensorType([None, size]))],
                                options=_options(estimator))
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    radius = relative_radius(table.values, table.features, SHARE)
    return Trained(path, held[:ROWS], table.features, {**radius, **facts.pop("radius", {})},
                   **facts)


def _options(estimator: Any) -> dict[type, dict[str, bool]] | None:
    """None, but for LinearSVC in a pipeline, which skl2onnx 1.20 cannot export without options."""
    from sklearn.svm import LinearSVC

    steps = [step for _, step in getattr(estimator, "steps", [])]
    return {LinearSVC: {"nocl": True}} if any(isinstance(s, LinearSVC) for s in steps) else None


def _plain(make: Callable[[], Any], table: str, folder: Path, **facts: Any) -> Trained:
    return exported(make(), bundled(table), folder, **facts)


def _scaled(make: Callable[[], Any], scaler: str, table: str, folder: Path) -> Trained:
    from sklearn import preprocessing
    from sklearn.pipeline import make_pipeline

    return _plain(lambda: make_pipeline(getattr(preprocessing, scaler)(), make()), table, folder)


def _mlp(**options: Any) -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(**{"hidden_layer_sizes": (16, 16), "max_iter": 300, "random_state": 0,
                            **options})


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=2000)


def _linear_svc() -> Any:
    from sklearn.svm import LinearSVC

    return LinearSVC(max_iter=5000)


def _forest(**options: Any) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(**{"n_estimators": 20, "random_state": 0, **options})


def _tree() -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=0)


def _boosting() -> Any:
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(n_estimators=20, max_depth=3, random_state=0)


def _regression(make: Callable[[], Any], folder: Path, **facts: Any) -> Trained:
    """The first feature of wine from the others."""
    wine = bundled("wine")
    table = Table(wine.features[1:], wine.values[:, 1:],
                  wine.values[:, 0])  # type: ignore[arg-type]
    return exported(make(), table, folder, regression=True, **facts)


def _mlp_regressor() -> Any:
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), MLPRegressor(
        hidden_layer_sizes=(16, 16), max_iter=500, random_state=0))


def _forest_regressor() -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(20, max_depth=6, random_state=0)


def _adult(make: Callable[[], Any], data: Path, folder: Path, **facts: Any) -> Trained:
    """Numbers scaled, categories one-hot; numbers move, and so does the occupation."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    table = adult(data)
    numbers = list(range(len(ADULT_NUMBERS)))
    categories = list(range(len(numbers), len(table.features)))
    columns = ColumnTransformer([("numbers", StandardScaler(), numbers),
                                 ("categories", OneHotEncoder(), categories)])
    radius = {"age": 3.0, "hours-per-week": 4.0, "capital-gain": 100.0, "capital-loss": 0.0,
              "education-num": 1.0, **dict.fromkeys(ADULT_CATEGORIES, 0.0), "occupation": 2.0}
    whole = ", ".join(f'"{name}"' for name in table.features)
    lo = ", ".join(f'"{n}" = {int(v)}' for n, v in zip(table.features, table.values.min(axis=0)))
    hi = ", ".join(f'"{n}" = {int(v)}' for n, v in zip(table.features, table.values.max(axis=0)))
    region = (f"integer = [{whole}]", f"clip = {{ lo = {{ {lo} }}, hi = {{ {hi} }} }}")
    # A category has no derivative; numbers that move have one.
    explained = tuple(name for name in ADULT_NUMBERS if radius[name])
    return exported(make_pipeline(columns, make()), table, folder, radius=radius, region=region,
                    explained=explained, **facts)


def members(data: Path | None) -> list[Member]:
    """All scikit-learn members; those of Adult where its data are."""
    source = "scikit-learn"
    forest, plain = partial(_forest, max_depth=None), _plain
    found: list[tuple[str, Callable[[Path], Trained]]] = []
    for table in ("iris", "wine", "digits", "breast_cancer"):
        found += [
            (f"MLPClassifier, {table}", partial(_scaled, _mlp, "StandardScaler", table)),
            (f"LogisticRegression, {table}",
             partial(_scaled, _logistic, "MinMaxScaler", table)),
            (f"RandomForestClassifier, {table}", partial(plain, forest, table, gradient=False)),
        ]
    found += [
        ("MLPClassifier without a scaler, iris", partial(plain, _mlp, "iris")),
        ("MLPClassifier with tanh, iris", partial(plain, partial(_mlp, activation="tanh"), "iris")),
        ("LogisticRegression without a scaler, wine", partial(plain, _logistic, "wine")),
        ("LinearSVC, breast_cancer", partial(_scaled, _linear_svc, "StandardScaler",
                                             "breast_cancer")),
        ("LinearSVC, iris", partial(_scaled, _linear_svc, "StandardScaler", "iris")),
        ("DecisionTreeClassifier, wine", partial(plain, _tree, "wine", gradient=False)),
        ("GradientBoostingClassifier, breast_cancer",
         partial(plain, _boosting, "breast_cancer", gradient=False)),
        ("MLPRegressor, wine", partial(_regression, _mlp_regressor)),
        ("RandomForestRegressor, wine",
         partial(_regression, _forest_regressor, gradient=False)),
    ]
    made = [Member(name, source, build, smooth="tanh" in name) for name, build in found]
    if data is not None:
        for name, make, gradient in (("MLPClassifier", _mlp, True),
                                     ("LogisticRegression", _logistic, True),
                                     ("RandomForestClassifier",
                                      partial(_forest, max_depth=6), False)):
            made.append(Member(f"{name} with OneHotEncoder, adult", source,
                               partial(_adult, make, data, gradient=gradient), True))
    return made
