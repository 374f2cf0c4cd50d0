"""A problem as an ONNX file and a VNN-LIB 1.0 query: what the claim reads becomes the outputs.

Any problem over a box (with linear rows) whose claim is made of and, or and linear atoms: TOML
specs with their attributions, queries of VNN-LIB 2.0 about several networks. The translation is
exact or refused, so that a certificate of it is one of the problem.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np

from verifex.errors import InputError, UnsupportedError
from verifex.ir.decimals import finite_decimal
from verifex.ir.exact import ExactArray, FloatArray, Values, as_exact, as_float
from verifex.ir.formula import (
    TRUE,
    And,
    AtLeast,
    Atom,
    Cell,
    Dominance,
    Form,
    Formula,
    Or,
    cells,
    negate,
)
from verifex.ir.graph import Graph
from verifex.ir.linmap import Conv, Dense, Diag, LinearMap, Scaled
from verifex.ir.ops import Affine, Const
from verifex.ir.problem import Problem
from verifex.problem.vnnlib.query import flat_inputs


@dataclass(frozen=True)
class Translation:
    """The bytes of an ONNX file of this type, and the text of a query of VNN-LIB 1.0 about it."""

    network: bytes
    query: str
    dtype: str


def translate(problem: Problem) -> Translation:
    """The problem as an ONNX file and a query; raises UnsupportedError where it cannot be said.

    Exact: the file is float32 where that holds all constants, else float64, else it is refused.
    """
    from verifex.frontend.onnx.export import to_onnx

    region = problem.region
    if region.integers or region.one_hot or region.balls:
        raise UnsupportedError("a region of whole numbers, one-hot groups or balls",
                               expected="a box, or one cut by linear rows")
    violated = negate(problem.require)
    if problem.assume != TRUE:
        violated = And((problem.assume, violated))
    flat = flat_inputs(problem.graph)
    # Inputs that the claim reads are X; only computed nodes become outputs.
    read = sorted({cell[0] for cell in cells(violated) if cell not in flat})
    outputs = {f"output{k}": node for k, node in enumerate(read)}
    if not outputs:  # a file needs an output
        outputs = {"output0": max(problem.graph.ancestors(problem.graph.outputs.values()))}
    dtype = _type_for(problem.graph, list(outputs.values()))
    names = {cell: f"X_{i}" for cell, i in flat.items()}
    count = 0
    for node in outputs.values():
        size = problem.graph.nodes[node].size
        names |= {(node, k): f"Y_{count + k}" for k in range(size) if (node, k) not in flat}
        count += size
    lines = [f"; {problem.name}, written by verifex", *(
        f"(declare-const {side}_{i} Real)"
        for side, size in (("X", region.size), ("Y", count)) for i in range(size)
    )]
    for i, (lo, hi) in enumerate(zip(region.lo, region.hi, strict=True)):
        lines.append(f"(assert (and (>= X_{i} {_number(lo)}) (<= X_{i} {_number(hi)})))")
    for row in region.rows:
        terms = {(-1, i): c for i, c in row.coefs.items()}
        mine = names | {(-1, i): f"X_{i}" for i in row.coefs}
        lines.append(f"(assert (<= {_sum(Form.of(terms), mine)} {_number(row.rhs)}))")
    lines.append(f"(assert {_text(violated, names)})")
    return Translation(to_onnx(problem.graph, outputs, dtype=dtype), "\n".join(lines) + "\n", dtype)


def write_translation(problem: Problem, network: Path, query: Path) -> str:
    """Write both files; their element type. InputError where one cannot be written."""
    made = translate(problem)
    for path, data in ((network, made.network), (query, made.query.encode())):
        try:
            path.write_bytes(data)
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", expected="a writable file",
                             file=str(path)) from None
    return made.dtype


def _text(formula: Formula, names: dict[Cell, str]) -> str:
    """A formula as VNN-LIB writes it."""
    match formula:
        case Atom():
            relation = ">" if formula.strict else ">="
            return f"({relation} {_sum(formula.form, names)} {_number(-formula.form.const)})"
        case Dominance():
            return _text(formula.expand(), names)
        case AtLeast():
            if formula.count == 1:
                return _text(Or(formula.parts), names)
            if formula.count == len(formula.parts):
                return _text(And(formula.parts), names)
            raise UnsupportedError(
                f"at least {formula.count} of {len(formula.parts)}: VNN-LIB has no counting",
                expected="a claim of and, or and linear comparisons",
            )
        case And() | Or():
            word = "and" if isinstance(formula, And) else "or"
            if not formula.parts:  # all of nothing is true, some of nothing false
                return "(<= X_0 X_0)" if word == "and" else "(< X_0 X_0)"
            return f"({word} {' '.join(_text(p, names) for p in formula.parts)})"


def _sum(form: Form, names: dict[Cell, str]) -> str:
    """The terms of a form without its constant."""
    parts = [names[cell] if c == 1 else f"(* {_number(c)} {names[cell]})" for cell, c in form.terms]
    return "0.0" if not parts else parts[0] if len(parts) == 1 else f"(+ {' '.join(parts)})"


def _number(value: Fraction) -> str:
    """An exact decimal; UnsupportedError for a fraction that has none."""
    try:
        text = finite_decimal(value)
    except ValueError:
        text = ""
    if not text or len(text.partition(".")[2]) > 900:  # readers take 1000 characters
        raise UnsupportedError(f"the number {value} has no finite decimal", expected="a decimal")
    return text


def _type_for(graph: Graph, targets: list[int]) -> Literal["float32", "float64"]:
    """The element type that holds all constants that the targets depend on; UnsupportedError
    where float64 does not."""
    single = True
    for i in graph.ancestors(targets):
        op = graph.nodes[i].op
        values: list[Values] = []
        if isinstance(op, Const):
            values.append(op.value)
        elif isinstance(op, Affine):
            values += [] if op.bias is None else [op.bias]
            values += [v for m in op.maps for v in _numbers(m)]
        for v in values:
            rounded = as_float(v)
            if not isinstance(v, np.ndarray) and not _same(as_exact(v), rounded):
                raise UnsupportedError("a constant of the graph is no float64",
                                       expected="weights that ONNX holds exactly",
                                       key=graph.describe(i))
            with np.errstate(over="ignore"):
                single &= bool((rounded.astype(np.float32) == rounded).all())
    return "float32" if single else "float64"


def _numbers(linear_map: LinearMap) -> list[Values]:
    """The constants in a linear map."""
    match linear_map:
        case Dense() | Conv():
            return [linear_map.weight]
        case Diag():
            return [linear_map.scale]
        case Scaled():
            return [ExactArray.from_numbers([linear_map.factor], (1,)), *_numbers(linear_map.inner)]
        case _:
            return []


def _same(exact: ExactArray, rounded: FloatArray) -> bool:
    pairs = zip(exact.fractions(), rounded.reshape(-1).tolist(), strict=True)
    return all(Fraction(r) == e for e, r in pairs)
