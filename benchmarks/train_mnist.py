"""Train the 784-100-100-10 network of the benchmarks on ../shared/data/images/mnist.

    python -m benchmarks.train_mnist out/mnist_784_100_100_10.onnx

Seeded and single-threaded; prints the test accuracy. The file is not kept in the repository.
"""

from __future__ import annotations

import csv
import gzip
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "images" / "mnist"


def training_set() -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 784) in [0, 1] and labels."""
    with gzip.open(DATA / "mnist_5k_train_subset.csv.gz", "rt") as file:
        rows = [row for row in csv.reader(file) if row and row[0].lstrip("-").isdigit()]
    table = np.array(rows, dtype=np.float32)
    label = next(c for c in (0, table.shape[1] - 1) if len(np.unique(table[:, c])) == 10)
    return np.delete(table, label, axis=1) / 255.0, table[:, label].astype(np.int64)


def test_set() -> tuple[np.ndarray, np.ndarray]:
    """The 10,000 test images in [0, 1] and their labels."""
    images, labels = (
        gzip.decompress((DATA / f"t10k-{name}-ubyte.gz").read_bytes())
        for name in ("images-idx3", "labels-idx1")
    )
    x = np.frombuffer(images, dtype=np.uint8, offset=16).reshape(-1, 784)
    return x.astype(np.float32) / 255.0, np.frombuffer(labels, dtype=np.uint8, offset=8).astype(int)


def train(x: np.ndarray, y: np.ndarray, epochs: int = 40) -> list[torch.nn.Linear]:
    """Three layers by Adam with weight decay."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    layers = [torch.nn.Linear(784, 100), torch.nn.Linear(100, 100), torch.nn.Linear(100, 10)]
    net = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
    adam = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-4)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(64):
            adam.zero_grad()
            torch.nn.functional.cross_entropy(net(inputs[batch]), targets[batch]).backward()
            adam.step()
    return layers


def save(layers: list[torch.nn.Linear], path: Path) -> None:
    """Gemm and Relu only, float32."""
    nodes, weights, value = [], [], "x"
    for k, layer in enumerate(layers):
        weights.append(numpy_helper.from_array(layer.weight.detach().numpy(), f"W{k}"))
        weights.append(numpy_helper.from_array(layer.bias.detach().numpy(), f"b{k}"))
        out = "logits" if k == len(layers) - 1 else f"y{k}"
        nodes.append(helper.make_node("Gemm", [value, f"W{k}", f"b{k}"], [out], transB=1))
        if out != "logits":
            nodes.append(helper.make_node("Relu", [out], [f"z{k}"]))
            value = f"z{k}"
    graph = helper.make_graph(
        nodes, "mnist",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 784])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 10])], weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)


def main() -> None:
    """Train, report, save."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "out/mnist_784_100_100_10.onnx")
    layers = train(*training_set())
    x, y = test_set()
    net = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
    with torch.no_grad():
        accuracy = (net(torch.from_numpy(x)).argmax(1).numpy() == y).mean()
    path.parent.mkdir(parents=True, exist_ok=True)
    save(layers, path)
    print(f"test accuracy {accuracy:.4f}, {path}")


if __name__ == "__main__":
    main()
