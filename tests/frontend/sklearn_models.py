"""Models of scikit-learn, trained on the spot on random numbers and written by skl2onnx."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEARNED = frozenset({
    "ZipMap", "Imputer", "FeatureVectorizer", "Binarizer", "Normalizer", "LinearClassifier",
    "LinearRegressor", "OneHotEncoder", "LabelEncoder",
})
"""Operators of ai.onnx.ml that are tested as these models are written with them."""

TREES = frozenset({"TreeEnsembleRegressor", "TreeEnsembleClassifier", "TreeEnsemble"})
"""Those that have tests of their own."""

RNG = np.random.default_rng(7)
ROWS = RNG.normal(size=(90, 4))
WHOLE = np.round(ROWS * 2).clip(0, 3)
WHOLE[:4] = np.arange(4)[:, None]
MIXED = np.c_[ROWS[:, :2], WHOLE[:, :2]]
THREE = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(int) + (ROWS[:, 2] > 0.5)
TWO = (ROWS[:, 0] > ROWS[:, 1]).astype(int)
TARGET = ROWS @ [1, 2, 3, -1] + np.abs(ROWS[:, 0])


@dataclass(frozen=True)
class Model:
    """An estimator, what it is trained on, and how it is written."""

    build: Callable[[], Any]
    target: NDArray[Any]
    rows: NDArray[Any] = field(default_factory=lambda: ROWS)
    kind: str = "float"  # of the one input, or "columns": four inputs, the last of integers
    options: Mapping[str, Any] = field(default_factory=dict)


def trained(model: Model, opset: int | None = None) -> tuple[bytes, Any]:
    """The bytes of the ONNX file, and the estimator."""
    from skl2onnx import to_onnx
    from skl2onnx.common import data_types as types

    rows: Any = model.rows
    if model.kind == "int64":
        rows = rows.astype(np.int64)
    inputs = [("X", {"float": types.FloatTensorType, "int64": types.Int64TensorType,
                     "double": types.DoubleTensorType}.get(model.kind, types.FloatTensorType)(
                         [None, 4]))]
    if model.kind == "columns":
        pandas = __import__("pandas")
        rows = pandas.DataFrame(rows, columns=list("abcd"))
        rows["d"] = rows["d"].astype(np.int64)
        inputs = [(name, types.FloatTensorType([None, 1])) for name in "abc"]
        inputs.append(("d", types.Int64TensorType([None, 1])))
    estimator = model.build().fit(rows, model.target)
    options = {id(estimator): dict(model.options)} if model.options else None
    made = to_onnx(estimator, initial_types=inputs, target_opset=opset, options=options)
    return bytes(made.SerializeToString()), estimator


def _pipe(*steps: Any) -> Any:
    from sklearn.pipeline import make_pipeline

    return make_pipeline(*steps)


def _mlp() -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((5,), max_iter=15, random_state=0)


def _regressor(**options: Any) -> Any:
    from sklearn.neural_network import MLPRegressor

    return MLPRegressor(hidden_layer_sizes=(5,), max_iter=15, random_state=0, **options)


def _linear(name: str, **options: Any) -> Callable[[], Any]:
    def build() -> Any:
        from sklearn import linear_model, svm

        return getattr(svm if name == "LinearSVC" else linear_model, name)(**options)
    return build


def _prepared(name: str, last: Callable[[], Any], **options: Any) -> Callable[[], Any]:
    def build() -> Any:
        from sklearn import impute, preprocessing

        place = impute if name == "SimpleImputer" else preprocessing
        return _pipe(getattr(place, name)(**options), last())
    return build


def _columns() -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = _pipe(SimpleImputer(), StandardScaler())
    return _pipe(ColumnTransformer(
        [("n", numbers, [0, 1]), ("c", OneHotEncoder(), [3])], remainder="passthrough"),
        _linear("LogisticRegression")())


LOGISTIC, LEAST = _linear("LogisticRegression"), _linear("LinearRegression")
PLAIN = {"zipmap": False}
MODELS: Mapping[str, Model] = {
    "logistic": Model(LOGISTIC, THREE),
    "logistic, two classes": Model(LOGISTIC, TWO),
    "logistic, names": Model(LOGISTIC, np.array(["a", "b", "c"])[THREE]),
    "logistic, scores": Model(LOGISTIC, THREE, options={**PLAIN, "raw_scores": True}),
    "logistic, two scores": Model(LOGISTIC, TWO, options={**PLAIN, "raw_scores": True}),
    "logistic, no labels": Model(LOGISTIC, THREE, options={**PLAIN, "nocl": True}),
    "logistic, integers": Model(LOGISTIC, THREE, WHOLE, "int64"),
    "linear SVC": Model(_linear("LinearSVC"), THREE),
    "linear SVC, two classes": Model(_linear("LinearSVC"), TWO),
    "ridge classifier": Model(_linear("RidgeClassifier"), THREE),
    "perceptron": Model(_linear("Perceptron"), THREE),
    "hinge": Model(_linear("SGDClassifier"), TWO),
    "MLP": Model(_mlp, THREE),
    "MLP, two classes": Model(_mlp, TWO),
    "MLP, tensors": Model(_mlp, TWO, options=PLAIN),
    "MLP, doubles": Model(_mlp, THREE, kind="double", options=PLAIN),
    "MLP, integers": Model(_mlp, THREE, WHOLE, "int64"),
    "least squares": Model(LEAST, TARGET),
    "least squares, two": Model(LEAST, ROWS[:, :2] * 3 - ROWS[:, 1:3]),
    "MLP regressor": Model(_regressor, TARGET),
    "MLP regressor, doubles": Model(_regressor, TARGET, kind="double"),
    "standard scaler": Model(_prepared("StandardScaler", _mlp), THREE),
    "standard scaler, doubles": Model(_prepared("StandardScaler", _regressor), TARGET,
                                      kind="double"),
    "standard scaler, integers": Model(_prepared("StandardScaler", LOGISTIC), THREE, WHOLE,
                                       "int64"),
    "min-max scaler": Model(_prepared("MinMaxScaler", _mlp), TWO),
    "min-max scaler, clipped": Model(_prepared("MinMaxScaler", LEAST, clip=True), TARGET),
    "robust scaler": Model(_prepared("RobustScaler", LOGISTIC), TWO),
    "imputer": Model(_prepared("SimpleImputer", _mlp), THREE),
    "binarizer": Model(_prepared("Binarizer", LEAST, threshold=0.5), TARGET),
    "one-hot": Model(_prepared("OneHotEncoder", LEAST, sparse_output=False), TARGET, WHOLE),
    "one-hot, others": Model(_prepared("OneHotEncoder", _mlp, sparse_output=False,
                                       handle_unknown="ignore"), THREE, WHOLE),
    "one-hot, integers": Model(_prepared("OneHotEncoder", _mlp, sparse_output=False), TWO, WHOLE,
                               "int64"),
    "ordinal": Model(_prepared("OrdinalEncoder", LEAST), TARGET, WHOLE),
    "ordinal, integers": Model(_prepared("OrdinalEncoder", LEAST), TARGET, WHOLE, "int64"),
    "columns of one input": Model(_columns, THREE, MIXED),
    "columns": Model(_columns, TWO, MIXED, "columns"),
}
