"""A scikit-learn model and its data as one has them: the progress of diabetes after a year.

Writes diabetes.onnx, as skl2onnx exports it, and diabetes.csv. Needs scikit-learn and skl2onnx:
pip install 'verifex-nn[train]'.
"""

from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_diabetes
from sklearn.neural_network import MLPRegressor

data = load_diabetes()
model = MLPRegressor(hidden_layer_sizes=(16,), solver="lbfgs", max_iter=20_000, random_state=0)
model.fit(data.data, data.target)
exported = to_onnx(model, data.data[:1].astype(np.float32))
Path("diabetes.onnx").write_bytes(exported.SerializeToString())
rows = (",".join(map(repr, [*x.tolist(), float(y)])) for x, y in zip(data.data, data.target))
header = ",".join([*data.feature_names, "target"])
Path("diabetes.csv").write_text("\n".join([header, *rows]) + "\n")
print(f"diabetes.onnx explains {model.score(data.data, data.target):.0%} of the variance")
