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
from verifex.certificate.names import passed_always
from verifex.ir.fingerprints import GraphFingerprints
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


HEADER = {"vxc": 2}


def claim_of(network: Path, spec: Path, **header: Any) -> Any:
    """The checker of certificates for a network and a spec, with more in their header."""
    net = ck.Network(ck.read(str(network))[0])
    text = tomllib.loads(spec.read_text(encoding="utf-8"), parse_float=ck.exact)
    claim = ck.spec_claim(text, str(spec.parent), net)
    return ck.Checker(claim, ck.Share(), HEADER | header)


def engine_names(problem: Problem) -> dict[str, dict[int, tuple[int, int]]]:
    """By role: the name of every element of verifex's graph that the claim depends on, and where
    it is (of elements of one name, the first)."""
    nodes, names = problem.graph.nodes, GraphFingerprints(problem.graph)
    found: dict[str, dict[int, tuple[int, int]]] = {role: {} for role in (*KINDS, ck.ARGUMENT)}
    for i in passed_always(problem):
        for role, kind in KINDS.items():
            if isinstance(nodes[i].op, kind):
                places = [(role, i), *((ck.ARGUMENT, a) for a in nodes[i].args)]
                for where, node in places:
                    for k, name in enumerate(names.of(node)):
                        found[where].setdefault(name, (node, k))
    return found


def agree(network: Path, spec: Path, points: int = 3) -> None:
    """Region, atoms, names of elements and all their values are those of verifex, at random
    points."""
    problem, checker = load_problem(spec, network), claim_of(network, spec)
    claim, graph = checker.claim, checker.graph
    low, high = claim.region.low, claim.region.high
    assert (tuple(low), tuple(high)) == (problem.region.lo, problem.region.hi)
    theirs = [*atoms(problem.assume), *atoms(negate(problem.require))]
    names, index = GraphFingerprints(problem.graph), checker.deriver.index
    mine = [2 * index.fingerprints.of_form(form) + strict for form, strict in zip(
        checker.atoms.forms, checker.atoms.strict, strict=True)]
    assert sorted(mine) == sorted(map(names.of_atom, theirs))
    assert [name % 2 for name in mine] == checker.atoms.strict
    known = engine_names(problem)
    for role, elements in known.items():
        assert elements.keys() == index.places(role).keys(), role
    rng = random.Random(str(spec))
    for _ in range(points):
        x = [a + (b - a) * Fraction(rng.randint(0, 16), 16)
             for a, b in zip(low, high, strict=True)]
        wanted = {n for a in theirs for (n, _), _ in a.form.terms}
        wanted |= {node for elements in known.values() for node, _ in elements.values()}
        values = {n: v.fractions() for n, v in evaluate_exact(
            problem.graph, x, sorted(wanted)).items() if n in wanted}
        forms = graph.rows(checker.atoms.forms)
        by_name = dict(zip(mine, ck.exactly(graph, forms, x, True), strict=True))
        assert by_name == {
            names.of_atom(a): a.form.const + sum(c * values[n][k] for (n, k), c in a.form.terms)
            for a in theirs}
        at = {n: ck.exactly(graph, n, x, True) for n in index.nodes}
        for role, elements in known.items():
            for name, (node, k) in elements.items():
                for there, element in index.places(role)[name]:
                    assert at[there][element] == values[node][k], (role, name)
