"""The checker loaded from its file alone, networks saved for it, and whether it means the same."""

from __future__ import annotations

import random
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.helpers import checker_parts
from verifex.ir.formula import atoms, negate
from verifex.ir.ops import Gate, Mul, Relu, Step
from verifex.ir.problem import Problem
from verifex.problem.spec.build import load_problem
from verifex.semantics.evaluate import evaluate_exact

ROOT = Path(__file__).resolve().parents[2]
CHECKER = ROOT / "verifex" / "certificate" / "checker"
KINDS = {"R": Relu, "S": Step, "G": Gate, "M": Mul}


ck: Any = checker_parts


def save_net(path: Path, layers: list[tuple[Any, Any]], **more: Any) -> Path:
    """A ReLU network as ONNX: Gemm, Relu, Gemm, ..., Gemm."""
    nodes, stored, name = [], [], "x"
    for k, (w, b) in enumerate(layers):
        stored += [numpy_helper.from_array(np.asarray(w, dtype=np.float32), f"W{k}"),
                   numpy_helper.from_array(np.asarray(b, dtype=np.float32), f"b{k}")]
        nodes.append(helper.make_node("Gemm", [name, f"W{k}", f"b{k}"], [f"z{k}"], transB=1))
        name = f"z{k}"
        if k < len(layers) - 1:
            nodes.append(helper.make_node("Relu", [name], [f"y{k}"]))
            name = f"y{k}"
    shape_in, shape_out = [1, np.shape(layers[0][0])[1]], [1, np.shape(layers[-1][0])[0]]
    return save_graph(path, nodes, stored, shape_in, name, shape_out)


def save_graph(
    path: Path, nodes: list[Any], stored: list[Any], shape: list[int], out: str,
    out_shape: list[int],
) -> Path:
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, out_shape)], stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    path.write_bytes(model.SerializeToString())
    return path


def claim_of(network: Path, spec: Path) -> Any:
    net = ck.Network(ck.read(str(network))[0])
    text = tomllib.loads(spec.read_text(encoding="utf-8"), parse_float=ck.exact)
    return ck.Checker(ck.Claim(text, str(spec.parent), net), (0, 1))


def numbered(problem: Problem) -> dict[str, list[int]]:
    """verifex's own nodes under the names of format.md, section 3."""
    nodes = problem.graph.nodes
    needed = set(problem.graph.ancestors(problem.targets()))
    zs = {nodes[i].args[0] for i in needed if isinstance(nodes[i].op, Step)}
    needed |= {i for i, n in enumerate(nodes) if isinstance(n.op, Relu) and n.args[0] in zs}
    return {
        k: [i for i in sorted(needed) if isinstance(nodes[i].op, op)] for k, op in KINDS.items()
    }


def agree(network: Path, spec: Path, points: int = 3) -> None:
    """Region, atoms, named nodes and all their values are those of verifex, at random points."""
    problem, checker = load_problem(spec, network), claim_of(network, spec)
    claim, graph = checker.claim, checker.graph
    assert (tuple(claim.lo), tuple(claim.hi)) == (problem.region.lo, problem.region.hi)
    theirs = [*atoms(problem.assume), *atoms(negate(problem.require))]
    assert [strict for _, strict in checker.atoms] == [a.strict for a in theirs]
    names = numbered(problem)
    rng = random.Random(str(spec))
    for _ in range(points):
        x = [a + (b - a) * Fraction(rng.randint(0, 16), 16)
             for a, b in zip(claim.lo, claim.hi, strict=True)]
        wanted = {n for a in theirs for (n, _), _ in a.form.terms}
        wanted |= {i for ids in names.values() for i in ids}
        values = evaluate_exact(problem.graph, x, sorted(wanted))
        mine = ck.exactly(graph, graph.rows([form for form, _ in checker.atoms]), x, True)
        assert mine == [a.form.value(values) for a in theirs]
        for kind, ids in names.items():
            assert len(ids) == len(checker.named[kind])
            for i, n in zip(ids, checker.named[kind], strict=True):
                assert ck.exactly(graph, n, x, True) == values[i].fractions()
