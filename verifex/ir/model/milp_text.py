"""A logical model as an LP or MPS file: implications as big-M rows, every digit of every float.

Numbers that are not floats are rounded to nearest; a comment at the top says how many.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from verifex.errors import UnsupportedError
from verifex.ir.model.logical import Model
from verifex.ir.model.lower import FloatRow, Milp, lower

_WIDTH = 8  # terms a line: some readers cut long lines


def to_lp(model: Model) -> str:
    """The model in CPLEX LP format. Raises UnsupportedError where it has products."""
    milp = _lowered(model)
    lines = [f"\\ {line}" for line in _comments(model, milp)]
    lines += ["Maximize" if model.maximise else "Minimize", *_wrap(" objective:", _cost(milp))]
    lines.append("Subject To")
    for i, row in enumerate(milp.rows):
        form = list(zip(row.positions, row.coefs))
        for name, sense, rhs in _sides(i, row):
            *head, last = _wrap(f" {name}:", form)
            lines += [*head, f"{last} {sense} {rhs!r}"]
    lines.append("Bounds")
    lines += [f" {_number(lo)} <= x{i} <= {_number(hi)}" for i, (lo, hi) in _bounds(milp)]
    integers = [f" x{i}" for i, integer in enumerate(milp.integer) if integer]
    return "\n".join([*lines, *(["Generals", *integers] if integers else []), "End", ""])


def to_mps(model: Model) -> str:
    """The model in free MPS format. Raises UnsupportedError where it has products."""
    milp = _lowered(model)
    lines = [f"* {line}" for line in _comments(model, milp)]
    lines += ["NAME verifex FREE", "OBJSENSE", "    MAX" if model.maximise else "    MIN"]
    rows = [(side, row) for i, row in enumerate(milp.rows) for side in _sides(i, row)]
    kinds = {"<=": "L", ">=": "G", "=": "E"}
    lines += ["ROWS", " N objective", *(f" {kinds[sense]} {name}" for (name, sense, _), _ in rows)]
    columns: list[list[tuple[str, float]]] = [[] for _ in milp.lo]
    for v, c in _cost(milp):
        columns[v].append(("objective", c))
    for (name, _, _), row in rows:
        for v, c in zip(row.positions, row.coefs):
            columns[v].append((name, c))
    lines += ["COLUMNS", *_mps_columns(milp, columns), "RHS"]
    lines += [f" RHS {name} {rhs!r}" for (name, _, rhs), _ in rows if rhs]
    lines.append("BOUNDS")
    for i, (lo, hi) in _bounds(milp):
        lines.append(f" MI BND x{i}" if lo == -math.inf else f" LO BND x{i} {lo!r}")
        lines.append(f" PL BND x{i}" if hi == math.inf else f" UP BND x{i} {hi!r}")
    return "\n".join([*lines, "ENDATA", ""])


def _lowered(model: Model) -> Milp:
    if model.products:
        raise UnsupportedError(
            "products of variables in an LP or MPS file", expected="SMT-LIB, or a linear model"
        )
    milp = lower(model, rescale=False)  # columns of a file mean what the model's variables mean
    # Readers disagree about constants in objectives and rows without variables: a column that is
    # fixed to one says both.
    one = len(milp.lo)
    milp.lo.append(1.0)
    milp.hi.append(1.0)
    milp.integer.append(False)
    if milp.constant:
        milp.cost[one] = milp.constant * milp.cost_scale
    milp.rows.append(FloatRow((one,), (1.0,), 2.0 if milp.contradiction else 0.0, math.inf))
    return milp


def _comments(model: Model, milp: Milp) -> Iterator[str]:
    yield f"{len(model.variables)} variables, {len(milp.rows) - 1} rows, written by verifex"
    yield f"x{len(model.variables)} is one, and carries the objective's constant"
    if milp.rounded:
        yield f"warning: {milp.rounded} numbers are not floats and were rounded to nearest"
    for note in milp.notes:
        yield f"warning: {note}"
    if any(row.scale != 1 for row in milp.rows):
        yield "some rows with small coefficients are multiplied by a power of two"
    for i, v in enumerate(model.variables):
        if v.name:
            yield f"x{i} is {' '.join(v.name.split())}"


def _cost(milp: Milp) -> list[tuple[int, float]]:
    return [(v, c / milp.cost_scale) for v, c in milp.cost.items()]


def _bounds(milp: Milp) -> Iterable[tuple[int, tuple[float, float]]]:
    return enumerate(zip(milp.lo, milp.hi))


def _sides(position: int, row: FloatRow) -> list[tuple[str, str, float]]:
    """Name, sense and right-hand side of each row that this one is written as."""
    if row.lo == row.hi:
        return [(f"r{position}", "=", row.lo)]
    sides = [(f"r{position}l", ">=", row.lo), (f"r{position}u", "<=", row.hi)]
    return [side for side in sides if math.isfinite(side[2])]


def _wrap(head: str, form: list[tuple[int, float]]) -> list[str]:
    terms = [f"{'-' if c < 0 else '+'} {abs(c)!r} x{v}" for v, c in form] or ["0 x0"]
    chunks = [" ".join(terms[i : i + _WIDTH]) for i in range(0, len(terms), _WIDTH)]
    return [f"{head} {chunks[0]}", *(f"   {chunk}" for chunk in chunks[1:])]


def _number(bound: float) -> str:
    return repr(bound) if math.isfinite(bound) else "-inf" if bound < 0 else "+inf"


def _mps_columns(milp: Milp, columns: list[list[tuple[str, float]]]) -> Iterator[str]:
    inside = False
    for i, (integer, entries) in enumerate(zip(milp.integer, columns)):
        if integer != inside:
            yield f" M{i} 'MARKER' '{'INTORG' if integer else 'INTEND'}'"
            inside = integer
        for name, c in entries or [("objective", 0.0)]:
            yield f" x{i} {name} {c!r}"
    if inside:
        yield " MEND 'MARKER' 'INTEND'"
