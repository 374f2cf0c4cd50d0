"""Trains the breast-cancer example: a 30-16-16-2 ReLU classifier, written as a small ONNX file.

    python examples/train_breast_cancer.py [--out FOLDER]

The data is scikit-learn's bundled copy of the Wisconsin diagnostic set (569 rows, 30 features,
classes 0 malignant and 1 benign). Every feature is scaled to [0, 1] by its range over the training
rows; 100 held-out rows are clipped to that range, rounded to four decimals and written beside the
network as `breast_cancer_test.csv`, so a spec can say `data = "breast_cancer_test.csv", row = 3`.
The network takes scaled features: the scaling is not part of it.

Weight decay and an L1 term on the first layer keep the gradient, which is the explanation the
examples ask about, from changing wildly between neighbouring inputs.
"""

from __future__ import annotations

import argparse
import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from torch import nn

SEED = 0
HELD_OUT = 100
HIDDEN = (16, 16)
EPOCHS = 1500
WEIGHT_DECAY = 1e-3
L1 = 2e-4


class Data:
    """The scaled data: x (rows, 30) in [0, 1], y (rows,) int64, and the 30 feature names."""

    def __init__(self) -> None:
        raw = load_breast_cancer()
        self.names = [str(name).replace(" ", "_") for name in raw.feature_names]
        train_x, test_x, self.train_y, self.test_y = train_test_split(
            raw.data, raw.target, test_size=HELD_OUT, stratify=raw.target, random_state=SEED
        )
        low, high = train_x.min(axis=0), train_x.max(axis=0)
        self.train_x = ((train_x - low) / (high - low)).astype(np.float32)
        self.test_x = np.clip((test_x - low) / (high - low), 0, 1).round(4)


def train(data: Data) -> nn.Sequential:
    """Full-batch Adam from a fixed seed; logits for (malignant, benign)."""
    torch.manual_seed(SEED)
    sizes = (len(data.names), *HIDDEN)
    first = nn.Linear(sizes[0], sizes[1])
    layers: list[nn.Module] = [first, nn.ReLU()]
    for wide, narrow in pairwise(sizes[1:]):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(sizes[-1], 2))
    x, y = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    step = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=WEIGHT_DECAY)
    for _ in range(EPOCHS):
        step.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y) + L1 * first.weight.abs().sum()
        loss.backward()
        step.step()
    return net.eval()


def accuracy(net: nn.Sequential, x: NDArray[np.floating], y: NDArray[np.int64]) -> float:
    """The share of rows (n, 30) whose larger logit is the label."""
    with torch.no_grad():
        logits = net(torch.from_numpy(x.astype(np.float32)))
    return float((logits.argmax(dim=1).numpy() == y).mean())


def to_onnx(net: nn.Sequential) -> onnx.ModelProto:
    """Gemm and Relu nodes from `input` [1, 30] to `logits` [1, 2], opset 17, float32."""
    nodes, weights = [], []
    value = "input"
    linears = [layer for layer in net if isinstance(layer, nn.Linear)]
    for i, layer in enumerate(linears, start=1):
        last = i == len(linears)
        params = {f"weight{i}": layer.weight, f"bias{i}": layer.bias}
        weights += [numpy_helper.from_array(p.detach().numpy(), n) for n, p in params.items()]
        out = "logits" if last else f"hidden{i}"
        nodes.append(helper.make_node("Gemm", [value, *params], [out], name=f"gemm{i}", transB=1))
        value = out
        if not last:
            nodes.append(helper.make_node("Relu", [out], [f"relu{i}"], name=f"relu{i}"))
            value = f"relu{i}"
    graph = helper.make_graph(
        nodes,
        "breast_cancer",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, linears[0].in_features])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2])],
        weights,
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="verifex")


def write_rows(data: Data, file: Path) -> None:
    """The held-out rows with a header of feature names and a last column `target`."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        out = csv.writer(stream, lineterminator="\n")
        out.writerow([*data.names, "target"])
        for row, label in zip(data.test_x, data.test_y, strict=True):
            out.writerow([*(f"{value:g}" for value in row), int(label)])


def main() -> None:
    """Train, print the two accuracies, write the network and the held-out rows."""
    parser = argparse.ArgumentParser(description="Train the breast-cancer example network.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="FOLDER")
    folder: Path = parser.parse_args().out
    torch.set_num_threads(1)  # one thread: the sums, and so the weights, come out the same
    data = Data()
    net = train(data)
    onnx.save(to_onnx(net), folder / "breast_cancer.onnx")
    write_rows(data, folder / "breast_cancer_test.csv")
    print(f"training accuracy {accuracy(net, data.train_x, data.train_y):.3f}")
    print(f"held-out accuracy {accuracy(net, data.test_x, data.test_y):.3f}")


if __name__ == "__main__":
    main()
