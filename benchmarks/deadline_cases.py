"""The questions of `deadlines.py`: large networks and specs, made with onnx.helper from seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[np.float32]

CASES = 300

_LIMITS = (0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 5.0)
_LONG = 20.0
"""The limit of every fiftieth case."""


class Layers:
    """A network that is put together layer by layer, with weights from a generator."""

    def __init__(self, rng: np.random.Generator, shape: Sequence[int]) -> None:
        self.rng, self.shape = rng, tuple(shape)
        self.inputs, self.nodes, self.weights = self.shape, list[Any](), list[Any]()
        self.last = "x"

    def node(self, kind: str, *more: str, **attributes: Any) -> str:
        """A node that takes the last value, which its own becomes."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [self.last, *more], [name], name, **attributes))
        self.last = name
        return name

    def weight(self, values: Any) -> str:
        name = f"w_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def _drawn(self, shape: Sequence[int], fan_in: int) -> Array:
        size = np.sqrt(2.0 / fan_in)
        return (size * self.rng.standard_normal(shape)).astype(np.float32)

    def dense(self, outputs: int, activation: str = "Relu") -> Layers:
        if len(self.shape) > 1:
            self.node("Flatten")
        fan_in = int(np.prod(self.shape))
        self.node("Gemm", self.weight(self._drawn((outputs, fan_in), fan_in)),
                  self.weight(self._drawn((outputs,), 100)), transB=1)
        self.shape = (outputs,)
        return self.activated(activation)

    def conv(self, channels: int, kernel: int = 3, stride: int = 1,
             activation: str = "Relu") -> Layers:
        before, high, wide = self.shape
        pad = kernel // 2
        self.node("Conv", self.weight(self._drawn(
            (channels, before, kernel, kernel), before * kernel * kernel)),
            self.weight(self._drawn((channels,), 100)),
            kernel_shape=[kernel, kernel], strides=[stride] * 2, pads=[pad] * 4)
        high, wide = ((v + 2 * pad - kernel) // stride + 1 for v in (high, wide))
        self.shape = (channels, high, wide)
        return self.activated(activation)

    def pool(self, kind: str, kernel: int = 2, stride: int = 2) -> Layers:
        self.node(kind, kernel_shape=[kernel, kernel], strides=[stride, stride])
        channels, high, wide = self.shape
        self.shape = (channels, (high - kernel) // stride + 1, (wide - kernel) // stride + 1)
        return self

    def residual(self, block: Callable[[Layers], Layers]) -> Layers:
        before = self.last
        block(self)
        self.node("Add", before)
        return self.activated("Relu")

    def activated(self, activation: str) -> Layers:
        if activation:
            self.node(activation)
        return self

    def saved(self, path: Path) -> Path:
        graph = helper.make_graph(
            self.nodes, "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, *self.inputs])],
            [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, [1, *self.shape])],
            self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.save(model, path)
        return path


@dataclass(frozen=True)
class Question:
    """What is asked of a network: the text of a spec, and the command with its options; `times`:
    how many times the limit may be used."""

    spec: str
    command: str = "verify"
    options: tuple[str, ...] = ("--no-check",)
    times: int = 1
    query: bool = False
    """Whether the spec is a query of VNN-LIB."""
    networks: int = 1


@dataclass(frozen=True)
class Case:
    """One case: `asked` are the seconds that it may take."""

    number: int
    kind: str
    limit: float
    layers: Callable[[], Layers]
    question: Question

    @property
    def command(self) -> str:
        return self.question.command

    @property
    def options(self) -> tuple[str, ...]:
        return self.question.options

    @property
    def asked(self) -> float:
        return self.limit * self.question.times

    def write(self, folder: Path) -> list[Path]:
        """Write its files into a folder; their paths, as the command line takes them."""
        networks = [self.layers().saved(folder / f"net{k}.onnx")
                    for k in range(self.question.networks)]
        spec = folder / ("query.vnnlib" if self.question.query else "spec.toml")
        spec.write_text(self.question.spec)
        return [*networks, spec]


Maker = Callable[[np.random.Generator], tuple[Callable[[np.random.Generator], Layers], Question]]


# --- specs ------------------------------------------------------------------------------------


def toml(
    point: Sequence[float], region: str, claim: str, explain: str = "", more: str = ""
) -> str:
    numbers = ", ".join(f"{v:.3f}" for v in point)
    said = f"[explain]\n{explain}\n" if explain else ""
    return (f"verifex = 1\n[input]\npoint = [{numbers}]\n[region]\n{region}\n{more}\n{said}"
            f"[[require]]\n{claim}\n")


def drawn(rng: np.random.Generator, size: int) -> list[float]:
    return [float(v) for v in rng.random(size)]


def claim_at(
    rng: np.random.Generator, inputs: int, claim: str, explain: str = "", eps: float | None = None
) -> str:
    radius = float(rng.choice([0.005, 0.02, 0.1])) if eps is None else eps
    return toml(drawn(rng, inputs), f"linf = {radius}", claim, explain)


CLASS = 'class = "unchanged"'
GRADIENT = 'attribution = "gradient"'


def outputs_query(rng: np.random.Generator, inputs: int, outputs: int, atoms: int) -> str:
    """A box, and a disjunction of so many comparisons of outputs, by twos."""
    lines = [f"(declare-const X_{i} Real)" for i in range(inputs)]
    lines += [f"(declare-const Y_{i} Real)" for i in range(outputs)]
    for i, v in enumerate(drawn(rng, inputs)):
        lines += [f"(assert (<= X_{i} {v + 0.05:.4f}))", f"(assert (>= X_{i} {v - 0.05:.4f}))"]
    parts = []
    for _ in range(atoms // 2):
        a, b = rng.integers(outputs, size=2)
        parts.append(f"(and (>= Y_{a} {rng.normal(0, 20):.3f}) (<= Y_{b} {rng.normal():.3f}))")
    return "\n".join([*lines, f"(assert (or {' '.join(parts)}))"])


def boxes_query(rng: np.random.Generator, inputs: int, boxes: int) -> str:
    """A disjunction of boxes with a condition on the output each."""
    lines = [f"(declare-const X_{i} Real)" for i in range(inputs)]
    lines += ["(declare-const Y_0 Real)", "(declare-const Y_1 Real)"]
    parts = []
    for _ in range(boxes):
        centre = drawn(rng, inputs)
        bounds = " ".join(f"(<= X_{i} {v + 0.02:.4f}) (>= X_{i} {v - 0.02:.4f})"
                          for i, v in enumerate(centre))
        parts.append(f"(and {bounds} (>= Y_0 {rng.normal(3, 2):.3f}))")
    return "\n".join([*lines, f"(assert (or {' '.join(parts)}))"])


def rows_spec(rng: np.random.Generator, inputs: int, rows: int) -> str:
    """A box cut by many rows that the reference fulfils."""
    point = drawn(rng, inputs)
    lines = []
    for _ in range(rows):
        picked = rng.choice(inputs, size=min(6, inputs), replace=False)
        coefs = rng.integers(-9, 10, size=len(picked))
        left = " + ".join(f"{int(c)}*x[{int(i)}]" for c, i in zip(coefs, picked, strict=True))
        right = sum(float(c) * point[i] for c, i in zip(coefs, picked, strict=True))
        lines.append(f'"{left} <= {right + 0.4:.3f}"')
    region = f"linf = 0.1\nlinear = [{', '.join(lines)}]"
    return toml(point, region, CLASS)


# --- kinds ------------------------------------------------------------------------------------


def stack(inputs: int, widths: Sequence[int], outputs: int, activation: str = "Relu") -> Callable[
        [np.random.Generator], Layers]:
    def made(rng: np.random.Generator) -> Layers:
        net = Layers(rng, (inputs,))
        for width in widths:
            net.dense(width, activation)
        return net.dense(outputs, "")

    return made


def between(rng: np.random.Generator, low: int, high: int) -> int:
    """A size, drawn so that its logarithm is even."""
    return round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))


def wide(rng: np.random.Generator) -> tuple[Any, Question]:
    width = between(rng, 300, 1500)
    return stack(60, [width] * 3, 10), Question(claim_at(rng, 60, CLASS))


def two_inputs(rng: np.random.Generator) -> tuple[Any, Question]:
    width = between(rng, 300, 2000)
    return stack(2, [width] * 3, 4), Question(claim_at(rng, 2, CLASS, eps=0.5))


def few_inputs(rng: np.random.Generator) -> tuple[Any, Question]:
    width = between(rng, 50, 400)
    return stack(6, [width] * 5, 5), Question(claim_at(rng, 6, CLASS, eps=0.3))


def deep(rng: np.random.Generator) -> tuple[Any, Question]:
    return stack(20, [between(rng, 50, 150)] * between(rng, 8, 24), 5), Question(
        claim_at(rng, 20, CLASS))


def conv(rng: np.random.Generator) -> tuple[Any, Question]:
    side, channels = int(rng.choice([16, 24, 32])), int(rng.choice([8, 16]))

    def made(rng: np.random.Generator) -> Layers:
        net = Layers(rng, (3, side, side)).conv(channels).conv(2 * channels, stride=2)
        return net.conv(2 * channels).dense(100).dense(10, "")

    return made, Question(claim_at(rng, 3 * side * side, CLASS))


def max_pool(rng: np.random.Generator) -> tuple[Any, Question]:
    side, channels = int(rng.choice([12, 20, 28])), int(rng.choice([4, 8]))

    def made(rng: np.random.Generator) -> Layers:
        net = Layers(rng, (1, side, side)).conv(channels, 5).pool("MaxPool")
        return net.conv(2 * channels).pool("MaxPool").dense(50).dense(10, "")

    return made, Question(claim_at(rng, side * side, CLASS))


def wide_pool(rng: np.random.Generator) -> tuple[Any, Question]:
    side = int(rng.choice([24, 40, 64]))

    def made(rng: np.random.Generator) -> Layers:
        net = Layers(rng, (3, side, side)).conv(8).pool("MaxPool", 3, 2).conv(8)
        return net.pool("MaxPool", 3, 2).dense(10, "")

    return made, Question(claim_at(rng, 3 * side * side, CLASS))


def mean_pool(rng: np.random.Generator) -> tuple[Any, Question]:
    side = int(rng.choice([16, 32, 48]))

    def made(rng: np.random.Generator) -> Layers:
        net = Layers(rng, (3, side, side)).conv(16).pool("AveragePool").conv(32).pool("AveragePool")
        return net.dense(60).dense(8, "")

    return made, Question(claim_at(rng, 3 * side * side, CLASS))


def residual(rng: np.random.Generator) -> tuple[Any, Question]:
    width, blocks = between(rng, 100, 500), between(rng, 2, 6)

    def made(rng: np.random.Generator) -> Layers:
        net = Layers(rng, (40,)).dense(width)
        for _ in range(blocks):
            net.residual(lambda inner: inner.dense(width).dense(width, ""))
        return net.dense(6, "")

    return made, Question(claim_at(rng, 40, CLASS))


def residual_conv(rng: np.random.Generator) -> tuple[Any, Question]:
    side, channels = int(rng.choice([12, 16, 24])), int(rng.choice([8, 16]))

    def made(rng: np.random.Generator) -> Layers:
        net = Layers(rng, (3, side, side)).conv(channels)
        for _ in range(3):
            net.residual(lambda inner: inner.conv(channels).conv(channels, activation=""))
        return net.pool("AveragePool").dense(10, "")

    return made, Question(claim_at(rng, 3 * side * side, CLASS))


def many_inputs(rng: np.random.Generator) -> tuple[Any, Question]:
    inputs = between(rng, 5_000, 40_000)
    return stack(inputs, [100, 50], 5), Question(claim_at(rng, inputs, CLASS))


def many_rows(rng: np.random.Generator) -> tuple[Any, Question]:
    rows = between(rng, 100, 1500)
    return stack(30, [between(rng, 50, 300)] * 2, 4), Question(rows_spec(rng, 30, rows))


def many_atoms(rng: np.random.Generator) -> tuple[Any, Question]:
    atoms = between(rng, 1000, 8000)
    return stack(10, [between(rng, 50, 300)] * 2, 20), Question(
        outputs_query(rng, 10, 20, atoms), query=True)


def many_boxes(rng: np.random.Generator) -> tuple[Any, Question]:
    boxes = between(rng, 200, 2000)
    return stack(4, [between(rng, 50, 200)] * 2, 2), Question(
        boxes_query(rng, 4, boxes), query=True)


def signs(rng: np.random.Generator) -> tuple[Any, Question]:
    return stack(50, [between(rng, 100, 500)] * 2, 3), Question(
        claim_at(rng, 50, 'sign = "unchanged"\nat_least = 25', GRADIENT))


def top_of_many(rng: np.random.Generator) -> tuple[Any, Question]:
    inputs = between(rng, 100, 1000)
    claim = f"top_k = {inputs // 8}\noverlap_at_least = {inputs // 16}"
    return stack(inputs, [60, 60], 2), Question(
        claim_at(rng, inputs, claim, f'{GRADIENT}\nreduce = "abs"', eps=0.02))


def distances(rng: np.random.Generator) -> tuple[Any, Question]:
    return stack(40, [between(rng, 60, 300)] * 3, 2), Question(
        claim_at(rng, 40, 'distance = "l1"\nat_most = 2.0', GRADIENT, eps=0.02))


def cosines(rng: np.random.Generator) -> tuple[Any, Question]:
    return stack(40, [between(rng, 60, 300)] * 2, 2), Question(
        claim_at(rng, 40, 'similarity = "cosine"\nat_least = 0.8', GRADIENT, eps=0.02))


def masses(rng: np.random.Generator) -> tuple[Any, Question]:
    return stack(60, [between(rng, 60, 300)] * 2, 2), Question(
        claim_at(rng, 60, "mass = [0, 1, 2, 3, 4, 5]\nat_least = 0.05", GRADIENT, eps=0.02))


def image_gradients(rng: np.random.Generator) -> tuple[Any, Question]:
    side = int(rng.choice([10, 16, 24]))

    def made(rng: np.random.Generator) -> Layers:
        net = Layers(rng, (1, side, side)).conv(8).conv(8, stride=2)
        return net.dense(30).dense(4, "")

    return made, Question(claim_at(
        rng, side * side, f"top_k = {side}\noverlap_at_least = {side // 2}",
        'attribution = "input_x_gradient"\nreduce = "abs"', eps=0.01))


def one_range(rng: np.random.Generator) -> tuple[Any, Question]:
    return stack(30, [between(rng, 100, 800)] * 3, 3), Question(
        claim_at(rng, 30, CLASS), "bound", ("-e", "margin:0,1", "--no-check"))


def two_ranges(rng: np.random.Generator) -> tuple[Any, Question]:
    return stack(30, [between(rng, 60, 300)] * 2, 3), Question(
        claim_at(rng, 30, CLASS, GRADIENT), "bound",
        ("-e", "component:0", "-e", "norm:l1", "--no-check"), times=2)


def similarities(rng: np.random.Generator) -> tuple[Any, Question]:
    return stack(24, [between(rng, 40, 200)] * 2, 2), Question(
        claim_at(rng, 24, CLASS, f'{GRADIENT}\nreduce = "abs"', eps=0.02), "bound",
        ("-e", "cosine", "-e", "overlap:5", "--no-check"), times=2)


def radii(rng: np.random.Generator) -> tuple[Any, Question]:
    return stack(30, [between(rng, 100, 800)] * 3, 5), Question(
        claim_at(rng, 30, CLASS), "radius")


def differences(rng: np.random.Generator) -> tuple[Any, Question]:
    return stack(12, [between(rng, 50, 400)] * 2, 3), Question(
        claim_at(rng, 12, CLASS), "difference", ("--of", "output:0"), networks=2)


def class_differences(rng: np.random.Generator) -> tuple[Any, Question]:
    return stack(12, [between(rng, 50, 400)] * 2, 3), Question(
        claim_at(rng, 12, CLASS), "difference", ("--of", "class"), networks=2)


def smooth(rng: np.random.Generator) -> tuple[Any, Question]:
    kind = str(rng.choice(["Sigmoid", "Tanh"]))
    return stack(20, [between(rng, 50, 400)] * 3, 4, kind), Question(
        claim_at(rng, 20, CLASS, eps=0.3))


def one_hot(rng: np.random.Generator) -> tuple[Any, Question]:
    groups, size = between(rng, 8, 60), 5
    point = [float(k % size == 0) for k in range(groups * size)]
    listed = ", ".join(str(list(range(g * size, g * size + size))) for g in range(groups))
    region = f"box = [0, 1]\none_hot = [{listed}]"
    return stack(groups * size, [between(rng, 50, 300)] * 2, 3), Question(
        toml(point, region, CLASS))


def by_milp(rng: np.random.Generator) -> tuple[Any, Question]:
    engine = str(rng.choice(["milp", "smt"]))
    return stack(20, [between(rng, 50, 600)] * 2, 3), Question(
        claim_at(rng, 20, CLASS), options=("--no-check", "--engine", engine))


def checked(rng: np.random.Generator) -> tuple[Any, Question]:
    return stack(8, [between(rng, 30, 150)] * 3, 3), Question(
        claim_at(rng, 8, CLASS, eps=0.02), options=())


KINDS: dict[str, Maker] = {
    "dense, 3 wide layers": wide, "two inputs, wide layers": two_inputs,
    "six inputs": few_inputs, "dense, deep": deep, "convolutions": conv, "max pooling": max_pool,
    "max pooling, large": wide_pool, "average pooling": mean_pool, "residual": residual,
    "residual, convolutions": residual_conv, "many inputs": many_inputs,
    "many linear rows": many_rows, "query of many atoms": many_atoms,
    "query of many boxes": many_boxes, "signs of gradients": signs,
    "top k of many": top_of_many, "distance of gradients": distances,
    "cosine of gradients": cosines, "mass of gradients": masses,
    "gradients of images": image_gradients, "bound: a margin": one_range,
    "bound: gradients": two_ranges, "bound: cosine and overlap": similarities, "radius": radii,
    "difference: an output": differences, "difference: class": class_differences,
    "sigmoid and tanh": smooth, "one-hot groups": one_hot, "solvers alone": by_milp,
    "with certificate and check": checked,
}


def case(number: int) -> Case:
    """One of the cases, by its number."""
    kinds = list(KINDS.items())
    kind, maker = kinds[number % len(kinds)]
    rng = np.random.default_rng([16, number])
    layers, question = maker(rng)
    limit = _LONG if number % 50 == 49 else float(rng.choice(_LIMITS))
    weights = np.random.default_rng([61, number])
    return Case(number, kind, limit, lambda: layers(weights), question)
