"""Random small networks and specs as files: what the tests of certificates are about.

A pair is an ONNX file of up to 10 gates with weights k/64 and a TOML spec with one claim (now and
then two, or one under an assumption). Thresholds are set from the exact worst case (region
enumeration): on it, 2**-40 beside it, or well away. The same seed writes the same bytes.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers import checker_parts as checker
from verifex.certificate.write import Line, write
from verifex.engine.decide import decide as solve
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome
from verifex.errors import VerifexError
from verifex.ir.formula import And, Atom, Formula
from verifex.ir.model.solving import Status, Stop
from verifex.ir.problem import Objective, Problem
from verifex.problem.spec.build import load_problem
from verifex.settings import Settings
from verifex.solvers.regions import decide, optimum

SECONDS = 20.0
NEAR = (Fraction(0), Fraction(1, 2**40), Fraction(-1, 2**40))


class Retry(Exception):
    """The draw did not lead to a well-posed claim; draw again."""


@dataclass(frozen=True)
class Pair:
    """Two files, and what kind of claim they make; `near`: a threshold within
    2**-40 of the edge."""

    seed: int
    network: Path
    spec: Path
    kind: str
    near: bool

    def problem(self) -> Problem:
        return load_problem(self.spec, None)


def truth(problem: Problem) -> str:
    """"true", "false", "kink" (violated on kinks only) or "open", by region enumeration.

    z3 decides what varies as a product within a cell, which enumeration does not take.
    """
    answer = decide(problem, SECONDS)
    if answer.status is not Status.UNKNOWN:
        return "true" if answer.status is Status.INFEASIBLE else "false"
    if answer.stop is Stop.DONE:
        return "kink"
    return "open" if answer.stop is Stop.TIME else by_solver(problem, "z3")


def by_solver(problem: Problem, name: str, pool: SolverPool | None = None) -> str:
    """What an SMT solver says: "true", "false" or "open"."""
    options = Settings(seconds=SECONDS, solvers=(name,), attack=False, search=False)
    said = solve(problem, options, pool).outcome
    return {Outcome.CLAIMED: "true", Outcome.REFUTED: "false"}.get(said, "open")


# --- networks -------------------------------------------------------------------------------


def _weight(rng: random.Random) -> float:
    if rng.random() < 0.1:
        return 0.0
    return rng.choice((-1, 1)) * rng.randint(1, rng.choice((8, 32, 64))) / 64


class _File:
    """An ONNX graph being written, with the exact float values at the reference kept along."""

    def __init__(self, rng: random.Random, x0: Sequence[Fraction]) -> None:
        self.rng, self.at = rng, np.array([float(v) for v in x0])
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.now = "x"

    def constant(self, values: Any) -> str:
        from onnx import numpy_helper

        name = f"c{len(self.initializers)}"
        array = np.asarray(values, dtype=np.float32)
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def layer(self, width: int, near: bool) -> None:
        """`W x + b`; with `near`, kinks lie close to the reference."""
        rng, n = self.rng, len(self.at)
        rows = np.array([[_weight(rng) for _ in range(n)] for _ in range(width)])
        if width > 1 and rng.random() < 0.15:
            rows[1] = rng.choice((1, -1)) * rows[0]
        z = rows @ self.at
        bias = np.array([_weight(rng) for _ in range(width)])
        if near:
            away = [rng.choice((-1, 1)) * rng.randint(1, 24) for _ in range(width)]
            bias = (np.array(away) - np.round(64 * z)) / 64
        if rng.random() < 0.5:
            weight, offset = self.constant(rows), self.constant(bias)
            self.now = self.op("Gemm", self.now, weight, offset, transB=1)
        else:
            product = self.op("MatMul", self.now, self.constant(rows.T))
            self.now = self.op("Add", product, self.constant(bias))
        self.at = z + bias

    def hidden(self, width: int) -> None:
        self.layer(width, near=True)
        before, kind = self.now, self.rng.choice(("relu",) * 5 + ("leaky", "abs", "residual"))
        if kind == "abs":
            self.now, self.at = self.op("Abs", before), np.abs(self.at)
            return
        if kind == "leaky":
            self.now = self.op("LeakyRelu", before, alpha=0.25)
            self.at = np.where(self.at > 0, self.at, self.at / 4)
            return
        self.now = self.op("Relu", before)
        self.at = np.maximum(self.at, 0) + (self.at if kind == "residual" else 0)
        if kind == "residual":
            self.now = self.op("Add", self.now, before)

    def save(self, path: Path, inputs: int) -> None:
        from onnx import TensorProto, helper

        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, inputs])
        y = helper.make_tensor_value_info(self.now, TensorProto.FLOAT, [1, len(self.at)])
        graph = helper.make_graph(self.nodes, "net", [x], [y], self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        path.write_bytes(model.SerializeToString(deterministic=True))


def write_network(
    rng: random.Random, path: Path, x0: Sequence[Fraction], hard: bool = False
) -> int:
    """Write a network of one or two hidden layers; the number of its outputs."""
    file, left = _File(rng, x0), rng.randint(4, 10)
    widths = [5, 5] if hard else []
    for _ in range(rng.randint(1, 2) if not hard else 0):
        if left >= 2:
            widths.append(rng.randint(2, left))
            left -= widths[-1]
    for width in widths:
        file.hidden(width)
    classes = rng.randint(2, 3)
    file.layer(classes, near=False)
    file.save(path, len(x0))
    return classes


# --- specs ----------------------------------------------------------------------------------


def toml(value: Any) -> str:
    """A value as TOML; fractions as decimals where they end, as quotients elsewhere."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Fraction):
        return f'"{value}"' if value.denominator > 1 else str(value.numerator)
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{k}" = {toml(v)}' for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def text(spec: dict[str, Any]) -> str:
    """A spec as the text of a file."""
    lines = ["verifex = 1", f"network = {toml(spec['network'])}"]
    for table in ("input", "region", "explain"):
        lines += ["", f"[{table}]", *(f"{k} = {toml(v)}" for k, v in spec[table].items())]
    for table in ("assume", "require"):
        for entry in spec.get(table, []):
            lines += ["", f"[[{table}]]", *(f"{k} = {toml(v)}" for k, v in entry.items())]
    return "\n".join(lines) + "\n"


def _region(rng: random.Random, x0: Sequence[Fraction], hard: bool) -> dict[str, Any]:
    n, radius = len(x0), Fraction(rng.randint(4, 40), rng.choice((64, 100)))
    radius += Fraction(int(hard), 2)
    kind = rng.choice(("linf", "linf", "list", "freeze", "only", "box", "clip", "linear", "linear"))
    out: dict[str, Any] = {"linf": radius}
    if kind == "list":
        out["linf"] = [radius * rng.randint(0, 4) / 3 for _ in range(n)]
    if kind in ("freeze", "only"):
        out[kind] = [rng.randrange(n)]
    if kind == "box":
        out = {"box": {k: [v + s * radius for v in x0] for k, s in (("lo", -1), ("hi", 1))}}
    if kind == "clip":
        out["clip"] = [min(x0) - radius / 2, max(x0) + radius / 3]
    if kind == "linear":
        coefs = [rng.randint(-3, 3) for _ in range(n)]
        reach = sum((c * v for c, v in zip(coefs, x0, strict=True)), Fraction(0))
        limit = reach + radius * rng.choice((0, 1, 2)) / 2
        terms = "".join(f" {'+-'[c < 0]} {abs(c) * limit.denominator}*x[{i}]"
                        for i, c in enumerate(coefs) if c)
        if terms:
            out["linear"] = [f"{terms.removeprefix(' + ')} <= {limit.numerator}".strip()]
    return out


BOUNDED = ("component", "output", "l1", "linf", "mass", "l2", "cosine")
KINDS = (*BOUNDED, "class", "sign", "top_k", "order", "monotone", "all", "any", "not", "assume")


def _property(rng: random.Random, kind: str, n: int, classes: int) -> dict[str, Any]:
    """A property; thresholds are placeholders (0) where `_place` will set them."""
    side = rng.choice(("at_least", "at_most", "above", "below"))
    if kind == "component":
        return {"component": rng.randrange(n), side: Fraction(0)}
    if kind == "output":
        form = rng.choice((f"logit:{rng.randrange(classes)}", "margin:0,1", "sum"))
        return {"output": form, side: Fraction(0)}
    if kind in ("l1", "linf"):
        return {"distance": kind, rng.choice(("at_most", "below")): Fraction(0)}
    if kind == "l2":
        return {"distance": "l2", "at_most": Fraction(rng.randint(1, 60), 64)}
    if kind == "cosine":
        return {"similarity": "cosine", "at_least": Fraction(rng.randint(0, 9), 10)}
    if kind == "mass":
        share = Fraction(rng.randint(1, 9), 10)
        return {"mass": rng.sample(range(n), rng.randint(1, n - 1)), side: share}
    if kind == "class":
        return {"class": "unchanged"}
    if kind == "sign":
        return {"sign": "unchanged"} | ({"at_least": 1} if rng.random() < 0.5 else {})
    if kind == "top_k":
        k = rng.randint(1, n - 1)
        return {"top_k": k, "overlap_at_least": rng.randint(1, k)}
    if kind == "order":
        return {"order": rng.sample(range(n), 2) if rng.random() < 0.6 else "unchanged"}
    sense = rng.choice(("increasing", "decreasing"))
    return {"monotone": sense, "feature": rng.randrange(n)}


def _forms(f: Formula) -> list[Atom] | None:
    """The atoms of a conjunction; None for anything else."""
    if isinstance(f, Atom):
        return [f]
    if isinstance(f, And) and all(isinstance(p, Atom) for p in f.parts):
        return [p for p in f.parts if isinstance(p, Atom)]
    return None


def _worst(problem: Problem) -> Fraction:
    """The least value that one of the claim's forms takes in the region."""
    found = _forms(problem.require)
    if not found:
        raise Retry
    least = []
    for atom in found:
        answer = optimum(problem, Objective(atom.form, False), SECONDS)
        if answer.status is not Status.OPTIMAL or answer.bound is None:
            raise Retry
        least.append(Fraction(answer.bound))
    return min(least)


class _Draw:
    """One attempt at a pair."""

    def __init__(self, seed: int, attempt: int, folder: Path, kind: str, hard: bool) -> None:
        self.rng = rng = random.Random(f"{seed} {attempt}")
        self.kind, self.near, self.hard = kind, False, hard
        self.n = rng.randint(2, 4)
        grid = rng.choice((10, 64))
        x0 = [Fraction(rng.randint(-grid, grid), grid) for _ in range(self.n)]
        self.network, self.path = folder / f"net{seed}.onnx", folder / f"spec{seed}.toml"
        self.classes = write_network(rng, self.network, x0, hard)
        self.spec: dict[str, Any] = {
            "network": self.network.name,
            "input": {"point": x0},
            "region": _region(rng, x0, hard),
            "explain": {
                "attribution": rng.choice(("gradient", "gradient", "input_x_gradient")),
                "output": rng.choice(("predicted", "logit:0", "margin:0,1", "sum")),
                "reduce": rng.choice(("signed", "signed", "abs")),
            },
        }

    def load(self, require: list[dict[str, Any]]) -> Problem:
        self.path.write_text(text({**self.spec, "require": require}), encoding="utf-8")
        return load_problem(self.path, None)

    def single(self, kind: str) -> dict[str, Any]:
        """One property; bounds lie near the worst case, on either side."""
        rng, out = self.rng, _property(self.rng, kind, self.n, self.classes)
        if kind not in ("component", "output", "l1", "linf"):
            return out
        worst = _worst(self.load([out]))
        (key,) = (k for k, v in out.items() if v == 0 and k != kind)
        offset = rng.choice((1, -1)) * Fraction(rng.randint(1, 32), 64)
        if self.hard:
            offset = Fraction(rng.randint(1, 4), 64)  # true, with little room
        elif rng.random() < 0.5:
            offset, self.near = rng.choice(NEAR), True
        slack = worst - offset
        out[key] = slack if key in ("at_least", "above") else -slack
        if kind in ("l1", "linf") and out[key] < 0:
            raise Retry
        return out

    def require(self) -> list[dict[str, Any]]:
        rng, simple = self.rng, [k for k in KINDS if k not in ("all", "any", "not", "assume")]
        first, second = (rng.choice(simple) for _ in range(2))
        if self.kind in ("all", "any"):
            parts = [self.single(first), self.single(second)]
            return parts if rng.random() < 0.3 else [{self.kind: parts}]
        if self.kind == "not":
            return [{"not": self.single(first)}]
        if self.kind == "assume":
            require = [self.single(first)]
            self.spec["assume"] = [_property(rng, rng.choice(("class", "monotone")), self.n, 2)]
            return require
        return [self.single(self.kind)]


def pair(seed: int, folder: Path, kind: str | None = None, hard: bool = False) -> Pair:
    """The pair of a seed, written into `folder`; kinds take turns unless one is asked for.

    `hard`: ten gates in two layers, a wide region and bounds that hold with little room, so that
    a proof needs splits.
    """
    kind = kind or KINDS[seed % len(KINDS)]
    for attempt in range(200):
        draw = _Draw(seed, attempt, folder, kind, hard)
        try:
            draw.load(draw.require())
        except (Retry, VerifexError):
            continue  # a tie or kink at the reference, an empty region
        return Pair(seed, draw.network, draw.path, kind, draw.near)
    raise AssertionError(f"no well-posed pair from seed {seed}")


def checked(p: Pair, lines: Iterable[Line], folder: Path) -> tuple[int, str]:
    """The checker's answer to lines of a certificate for a pair, by way of a file."""
    path = folder / "proof.vxc"
    write(path, iter(lines))
    return checker.check([str(p.network), str(p.spec), str(path)])


def shown(counts: dict[str, int]) -> str:
    return reduce(lambda s, k: f"{s}{', ' * bool(s)}{k} {counts[k]}", sorted(counts), "")
