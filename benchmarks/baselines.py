"""The MILP that one would write by hand: interval bounds, big-M rows, one HiGHS model a query.

    python -m benchmarks.baselines --eps 0.02 --component 0

Independent of `verifex.semantics`: it knows plain ReLU networks as lists of (weight, bias), bounds
activations and gradients by interval arithmetic in numpy, and writes the rows itself.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Layers = Sequence[tuple[np.ndarray, np.ndarray]]
FREE = 1e20


@dataclass(frozen=True)
class Solved:
    """The best value found, the bound proven (equal where it ended in time), CPU seconds."""

    value: float
    bound: float
    seconds: float
    done: bool


def intervals(
    layers: Layers, lo: np.ndarray, hi: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Bounds of every layer's pre-activations."""
    out = []
    for w, b in layers:
        centre, radius = (lo + hi) / 2, (hi - lo) / 2
        mid, spread = w @ centre + b, np.abs(w) @ radius
        out.append((mid - spread, mid + spread))
        lo, hi = np.maximum(mid - spread, 0), np.maximum(mid + spread, 0)
    return out


class _Rows:
    """Columns and rows collected for one HiGHS model."""

    def __init__(self) -> None:
        self.lo: list[float] = []
        self.hi: list[float] = []
        self.whole: list[int] = []
        self.rows: list[tuple[dict[int, float], float, float]] = []

    def new(self, lo: float, hi: float, *, whole: bool = False) -> int:
        self.lo.append(lo)
        self.hi.append(hi)
        if whole:
            self.whole.append(len(self.lo) - 1)
        return len(self.lo) - 1

    def add(self, coefs: dict[int, float], lo: float, hi: float) -> None:
        self.rows.append((coefs, lo, hi))

    def solve(self, cost: dict[int, float], seconds: float) -> Solved:
        """Maximise to a relative 1e-6 (the default 1e-4 would not give the ranges asked for)."""
        import highspy

        started = time.process_time()
        h = highspy.Highs()
        for key, value in (("output_flag", False), ("threads", 1), ("time_limit", float(seconds)),
                           ("mip_rel_gap", 1e-6)):
            h.setOptionValue(key, value)
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(self.lo), len(self.rows)
        lp.col_cost_ = np.array([cost.get(j, 0.0) for j in range(len(self.lo))])
        lp.col_lower_, lp.col_upper_ = np.array(self.lo), np.array(self.hi)
        lp.row_lower_ = np.array([r[1] for r in self.rows])
        lp.row_upper_ = np.array([r[2] for r in self.rows])
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.cumsum([0, *(len(r[0]) for r in self.rows)])
        lp.a_matrix_.index_ = np.array([j for r in self.rows for j in r[0]])
        lp.a_matrix_.value_ = np.array([v for r in self.rows for v in r[0].values()])
        kinds = [highspy.HighsVarType.kContinuous] * len(self.lo)
        for j in self.whole:
            kinds[j] = highspy.HighsVarType.kInteger
        lp.integrality_ = kinds
        lp.sense_ = highspy.ObjSense.kMaximize
        h.passModel(lp)
        h.run()
        info = h.getInfo()
        done = h.getModelStatus() == highspy.HighsModelStatus.kOptimal
        return Solved(
            info.objective_function_value, info.mip_dual_bound, time.process_time() - started, done
        )


def _forward(
    rows: _Rows, layers: Layers, lo: np.ndarray, hi: np.ndarray
) -> list[list[int | float]]:
    """ReLU by big-M; the gate (a column, or 0.0 or 1.0) of every hidden neuron."""
    bounds, gates = intervals(layers, lo, hi), []
    values = [rows.new(a, b) for a, b in zip(lo, hi, strict=True)]
    for (w, b), (low, high) in zip(layers[:-1], bounds[:-1], strict=True):
        after, mine = [], []
        for i in range(len(b)):
            z = rows.new(low[i], high[i])
            rows.add({z: 1.0, **{v: -w[i, j] for j, v in enumerate(values)}}, b[i], b[i])
            y = rows.new(max(low[i], 0.0), max(high[i], 0.0))
            gate: int | float = 1.0 if low[i] > 0 else 0.0
            if low[i] <= 0 <= high[i]:
                gate = rows.new(0, 1, whole=True)
                rows.add({y: 1.0, z: -1.0}, 0, FREE)
                rows.add({y: 1.0, z: -1.0, gate: -low[i]}, -FREE, -low[i])
                rows.add({y: 1.0, gate: -high[i]}, -FREE, 0)
            elif gate:
                rows.add({y: 1.0, z: -1.0}, 0, 0)
            after.append(y)
            mine.append(gate)
        values = after
        gates.append(mine)
    return gates


def _backward(
    rows: _Rows, layers: Layers, gates: list[list[int | float]], output: int
) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Columns of the input gradient, with their interval bounds; gates times gradients by big-M."""
    first = layers[-1][0][output]
    low, high = first.copy(), first.copy()
    columns = [rows.new(v, v) for v in first]
    for (w, _), mine in zip(reversed(layers[:-1]), reversed(gates), strict=True):
        gated = []
        for i, (g, gate) in enumerate(zip(columns, mine, strict=True)):
            if isinstance(gate, float):
                low[i], high[i] = low[i] * gate, high[i] * gate
                column = rows.new(low[i], high[i])
                rows.add({column: 1.0, g: -gate} if gate else {column: 1.0}, 0, 0)
            else:
                a, b = float(low[i]), float(high[i])
                low[i], high[i] = min(a, 0), max(b, 0)
                column = rows.new(low[i], high[i])
                rows.add({column: 1.0, gate: -b}, -FREE, 0)
                rows.add({column: 1.0, gate: -a}, 0, FREE)
                rows.add({column: 1.0, g: -1.0, gate: -a}, -FREE, -a)
                rows.add({column: 1.0, g: -1.0, gate: -b}, -b, FREE)
            gated.append(column)
        mid, spread = w.T @ ((low + high) / 2), np.abs(w).T @ ((high - low) / 2)
        low, high = mid - spread, mid + spread
        columns = [rows.new(a, b) for a, b in zip(low, high, strict=True)]
        for j, g in enumerate(columns):
            rows.add({g: 1.0, **{c: -w[i, j] for i, c in enumerate(gated)}}, 0, 0)
    return columns, low, high


def component(
    layers: Layers, lo: np.ndarray, hi: np.ndarray, output: int, index: int, seconds: float,
    *, maximise: bool = True,
) -> Solved:
    """The extremum of one gradient component over the box."""
    rows = _Rows()
    columns, _, _ = _backward(rows, layers, _forward(rows, layers, lo, hi), output)
    sign = 1.0 if maximise else -1.0
    found = rows.solve({columns[index]: sign}, seconds)
    return Solved(sign * found.value, sign * found.bound, found.seconds, found.done)


def l1_norm(
    layers: Layers, lo: np.ndarray, hi: np.ndarray, output: int, seconds: float
) -> Solved:
    """The greatest L1 norm of the gradient over the box."""
    rows = _Rows()
    columns, low, high = _backward(rows, layers, _forward(rows, layers, lo, hi), output)
    cost: dict[int, float] = {}
    for g, a, b in zip(columns, low, high, strict=True):
        t = rows.new(0, max(-a, b))
        cost[t] = 1.0
        sign = rows.new(float(a > 0), float(b >= 0), whole=True)
        rows.add({t: 1.0, g: -1.0, sign: 2 * max(-a, 0.0)}, -FREE, 2 * max(-a, 0.0))
        rows.add({t: 1.0, g: 1.0, sign: -2 * max(b, 0.0)}, -FREE, 0)
    return rows.solve(cost, seconds)


def main() -> None:
    from benchmarks.bench import ball, layers_of, reference

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eps", default="0.02")
    parser.add_argument("--component", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=120.0)
    args = parser.parse_args()
    graph, data = reference("mlp20_50_50_2")
    lo, hi = ball(data["center"], args.eps).float_box()
    for maximise in (False, True):
        found: Any = component(
            layers_of(graph), lo, hi, data["output"], args.component, args.seconds,
            maximise=maximise,
        )
        print(found, data["ranges"][args.eps]["upper" if maximise else "lower"][args.component])


if __name__ == "__main__":
    main()
