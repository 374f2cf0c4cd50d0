"""torch modules, exported by both of torch's exporters."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

from tests.zoo.member import Member, Trained, relative_radius
from tests.zoo.tables import Table, bundled

ROWS = 12


def _perceptron(size: int, classes: int) -> nn.Module:
    """Dropout and BatchNorm between its layers; one output has a sigmoid head."""
    body: list[nn.Module] = [
        nn.BatchNorm1d(size), nn.Linear(size, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, classes)]
    return nn.Sequential(*body, nn.Sigmoid()) if classes == 1 else nn.Sequential(*body)


def _convolutional(classes: int) -> nn.Module:
    """For digits of 8 by 8 pixels, with a softmax head."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(128, classes),
        nn.Softmax(dim=1))


def _fit(net: nn.Module, table: Table, classes: int) -> nn.Module:
    """Train for some epochs, the same way every time."""
    train, labels, _, _ = table.split()
    points, wanted = torch.from_numpy(train), torch.from_numpy(labels)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    net.train()
    for _ in range(150):
        optimiser.zero_grad()
        found = net(points)
        if classes == 1:
            loss = nn.functional.binary_cross_entropy(found[:, 0], wanted.float())
        else:
            # Both heads: the logarithm of a probability, or of a softmax of logits.
            logs = found.clamp_min(1e-9).log() if isinstance(net[-1], nn.Softmax) else (
                nn.functional.log_softmax(found, dim=1))
            loss = nn.functional.nll_loss(logs, wanted)
        loss.backward()
        optimiser.step()
    return net.eval()


def _trained(
    make: Callable[[], nn.Module], table: str, classes: int, dynamo: bool, batch: bool,
    share: float, folder: Path,
) -> Trained:
    torch.manual_seed(0)
    data = bundled(table)
    net = _fit(make(), data, classes)
    held = data.split()[2]
    path, example = folder / "model.onnx", torch.from_numpy(held[:1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            shapes = ({0: torch.export.Dim("batch")},) if batch else None
            torch.onnx.export(net, (torch.from_numpy(held[: 2 if batch else 1]),), str(path),
                              dynamo=True, dynamic_shapes=shapes, verbose=False)
        else:
            axes = {"x": {0: "batch"}, "y": {0: "batch"}} if batch else None
            torch.onnx.export(net, (example,), str(path), dynamo=False, input_names=["x"],
                              output_names=["y"], dynamic_axes=axes)
    return Trained(path, held[:ROWS], data.features,
                   relative_radius(data.values, data.features, share))


def members() -> list[Member]:
    """The torch members."""
    found = []
    for dynamo, exporter in ((True, "torch.export"), (False, "TorchScript")):
        for batch in (False, True):
            how = f"{exporter}, {'any batch' if batch else 'batch of one'}"
            found += [
                (f"MLP, BatchNorm, dropout, wine ({how})",
                 partial(_trained, partial(_perceptron, 13, 3), "wine", 3, dynamo, batch, 0.01)),
                (f"MLP with a sigmoid head, breast_cancer ({how})",
                 partial(_trained, partial(_perceptron, 30, 1), "breast_cancer", 1, dynamo, batch,
                         0.01)),
                (f"CNN with softmax, digits ({how})",
                 partial(_trained, partial(_convolutional, 10), "digits", 10, dynamo, batch,
                         0.005)),
            ]
    return [Member(name, "torch", build) for name, build in found]
