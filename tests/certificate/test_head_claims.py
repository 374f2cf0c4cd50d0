"""Claims about softmax, sigmoid and their kin: what both readers make of them, against mpmath."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import verifex
from tests.helpers import checker_parts as checker
from verifex.certificate.checker.proof.atoms import Atoms
from verifex.certificate.checker.spec.outputs.log_odds import (
    where_log_sigmoid_is,
    where_sigmoid_is,
)
from verifex.engine.falsify.witness import replay
from verifex.errors import InputError, UnsupportedError
from verifex.frontend import load_bytes
from verifex.ir.formula import holds
from verifex.ir.problem import Problem
from verifex.ir.text.toml_text import toml_text
from verifex.problem.spec.build import build_problem
from verifex.problem.spec.model import Spec
from verifex.semantics.evaluate import evaluate_exact, evaluate_float
from verifex.semantics.support.logarithms import log_odds, log_odds_of_log

F = Fraction
Point = Sequence[Fraction]


def softmax(z: list[Any]) -> list[Any]:
    grown = [mpmath.exp(v) for v in z]
    return [v / mpmath.fsum(grown) for v in grown]


def sigmoid(z: list[Any]) -> list[Any]:
    return [1 / (1 + mpmath.exp(-v)) for v in z]


def normalized(z: list[Any]) -> list[Any]:
    return [v / mpmath.fsum(sigmoid(z)) for v in sigmoid(z)]


BINARY = [("Sigmoid", ["z"], "p", {}), ("Sub", ["one", "p"], "q", {}),
          ("Concat", ["q", "p"], "y", {"axis": 1})]
RATIO = [("Sigmoid", ["z"], "p", {}), ("ReduceSum", ["p", "axis"], "s", {"keepdims": 1}),
         ("Div", ["p", "s"], "y", {})]
Meaning = Callable[[list[Any]], list[Any]]
HEADS: Mapping[str, tuple[int, list[Any], Meaning]] = {
    "softmax2": (2, [("Softmax", ["z"], "y", {})], softmax),
    "softmax3": (3, [("Softmax", ["z"], "y", {})], softmax),
    "log2": (2, [("LogSoftmax", ["z"], "y", {})], lambda z: [mpmath.log(v) for v in softmax(z)]),
    "log3": (3, [("LogSoftmax", ["z"], "y", {})], lambda z: [mpmath.log(v) for v in softmax(z)]),
    "sigmoid1": (1, [("Sigmoid", ["z"], "y", {})], sigmoid),
    "sigmoid3": (3, [("Sigmoid", ["z"], "y", {})], sigmoid),
    "binary": (1, BINARY, lambda z: softmax([mpmath.mpf(0), *z])),
    "ratio2": (2, RATIO, normalized),
    "ratio3": (3, RATIO, normalized),
}


def network(head: str, layers: Sequence[tuple[np.ndarray, np.ndarray]] = ()) -> bytes:
    """x -> layers with ReLUs between them -> z -> the head -> y; without layers z is x."""
    width, nodes, _ = HEADS[head]
    layers = layers or [(np.eye(width), np.zeros(width))]
    made, stored, last = [], [
        numpy_helper.from_array(np.ones((1, 1), np.float32), "one"),
        numpy_helper.from_array(np.array([1]), "axis")], "x"
    for k, (weight, bias) in enumerate(layers):
        stored += [numpy_helper.from_array(weight.astype(np.float32), f"W{k}"),
                   numpy_helper.from_array(bias.astype(np.float32), f"b{k}")]
        out = "z" if k == len(layers) - 1 else f"a{k}"
        made.append(helper.make_node("Gemm", [last, f"W{k}", f"b{k}"], [out], transB=1))
        if out != "z":
            made.append(helper.make_node("Relu", [out], [f"h{k}"]))
        last = f"h{k}"
    made += [helper.make_node(op, given, [name], **more) for op, given, name, more in nodes]
    graph = helper.make_graph(
        made, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, layers[0][0].shape[1]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def claim(size: int, *, x0: Point = (), **more: Any) -> dict[str, Any]:
    point = {"input": {"point": list(x0)}} if x0 else {}
    return {"verifex": 1, **point, "region": {"box": [-40, 40]}, **more}


def as_toml(value: Any) -> Any:
    """Numbers as the checker's TOML reader has them: quotients are text."""
    if isinstance(value, Fraction):
        return value if value.denominator > 1 else int(value)
    if isinstance(value, Mapping):
        return {key: as_toml(entry) for key, entry in value.items()}
    return [as_toml(entry) for entry in value] if isinstance(value, list) else value


def as_text(value: Any) -> Any:
    """The same with numbers as a spec file has them."""
    if isinstance(value, Fraction):
        return str(value) if value.denominator > 1 else int(value)
    if isinstance(value, Mapping):
        return {key: as_text(entry) for key, entry in value.items()}
    return [as_text(entry) for entry in value] if isinstance(value, list) else value


class Both:
    """One claim as the package and as the checker read it."""

    def __init__(self, data: bytes, spec: Mapping[str, Any]) -> None:
        self.graph = load_bytes(data, "net.onnx")
        self.problem: Problem = build_problem(self.graph, Spec.model_validate(dict(spec)))
        self.claim = checker.spec_claim(as_toml(spec), ".", checker.Network(data))

    def answers(self, x: Point) -> tuple[set[str], set[str]]:
        """Of the package and of the checker: "kept" where the claim is shown to hold at a point,
        "broken" where it is shown not to, or neither."""
        values = evaluate_exact(self.problem.graph, x, self.problem.targets())
        mine = {"kept"} if not holds(self.problem.violation(), values) else set()
        if holds(self.problem.refuted(), values):
            mine.add("broken")
        theirs = set() if self.true_at(self.claim.violation, x) else {"kept"}
        if self.true_at(self.claim.refuted, x):
            theirs.add("broken")
        return mine, theirs

    def true_at(self, formula: Any, x: Point) -> bool:
        if isinstance(formula, checker.AtLeastOf):
            return sum(self.true_at(part, x) for part in formula.parts) >= formula.needed
        node = self.claim.graph.rows([formula.form])
        value = checker.exactly(self.claim.graph, node, list(x), True)[0]
        return bool(value > 0 or (value == 0 and not formula.strict))


KEYS = {"at_least": 1, "above": 1, "at_most": -1, "below": -1}


def kept(value: Any, bounds: Mapping[str, Fraction]) -> bool:
    """Whether a number of mpmath keeps the bounds; equal is what differs by less than 1e-60."""
    for key, limit in bounds.items():
        gap = (value - mpmath.mpf(limit.numerator) / limit.denominator) * KEYS[key]
        if abs(gap) < mpmath.mpf(10) ** -60:
            gap = mpmath.mpf(0)
        if gap < 0 or (gap == 0 and key in ("above", "below")):
            return False
    return True


@pytest.fixture(autouse=True)
def digits() -> Iterator[None]:
    mpmath.mp.dps = 80
    yield
    mpmath.mp.dps = 15


def functionals(size: int, rng: random.Random) -> list[tuple[Any, list[int]]]:
    """Functionals as specs write them, with their weights."""
    unit = [[int(i == c) for i in range(size)] for c in range(size)]
    found: list[tuple[Any, list[int]]] = [(f"logit:{c}", unit[c]) for c in range(size)]
    found += [(f"margin:{c},{j}", [a - b for a, b in zip(unit[c], unit[j], strict=True)])
              for c in range(size) for j in range(size) if c != j]
    weights = [rng.choice([-3, -1, 0, 2]) for _ in range(size)]
    return [*found, ("sum", [1] * size), ({"weights": weights}, weights)] if any(weights) else found


LIMITS = [F(-2), F(-7, 10), F(-1, 3), F(-1, 10**6), F(0), F(1, 10), F(1, 2), F(7, 10), F(1),
          F(3, 2)]


def places(value: Fraction) -> list[Fraction]:
    """Logits at, between and beside the ends of a threshold."""
    if 0 < value < 1:
        low, high = log_odds(value)
    elif value < 0:
        low, high = log_odds_of_log(value)
    else:
        return [F(0)]
    return [low, high, (low + high) / 2, (3 * low + high) / 4, -low, -high]


@pytest.mark.parametrize("head", HEADS)
def test_bounds_of_outputs_mean_what_they_say(head: str) -> None:
    rng = random.Random(head)
    width, _, meaning = HEADS[head]
    data = network(head)
    outputs = len(meaning([mpmath.mpf(0)] * width))
    decided = 0
    for output, weights in rng.sample(functionals(outputs, rng), 3 if outputs > 1 else 2):
        for key in KEYS:
            for limit in {rng.choice(LIMITS), F(1, 2), F(7, 10)}:
                bounds = {key: limit}
                for wrap in (lambda p: p, lambda p: {"not": p})[: rng.choice((1, 2))]:
                    spec = claim(width, require=[wrap({"output": output, **bounds})])
                    try:
                        both = Both(data, spec)
                    except checker.Bad:
                        continue  # smooth: the next test says which are
                    decided += 1
                    for x in points(width, limit, rng):
                        values = meaning([mpmath.mpf(v.numerator) / v.denominator for v in x])
                        total = mpmath.fsum(w * v for w, v in zip(weights, values, strict=True))
                        true = kept(total, bounds) != ("not" in spec["require"][0])
                        for answer in both.answers(x):
                            assert answer <= {"kept" if true else "broken"}, (output, bounds, x)
                            near = any(abs(v - p) < F(1, 1 << 62) for v in [*x, *differences(x)]
                                       for t in (limit, (1 + limit) / 2)
                                       for p in spots(t))
                            assert answer or near, (output, bounds, x)
    assert decided


@pytest.mark.parametrize(("head", "bound"), [
    ("softmax3", {"output": "logit:0", "at_least": F(7, 10)}),
    ("softmax3", {"output": "margin:0,1", "above": F(1, 10)}),
    ("log3", {"output": "sum", "above": F(-9)}),
    ("log2", {"output": "sum", "below": F(-3)}),
    ("ratio3", {"output": "logit:0", "at_least": F(1, 2)}),
    ("ratio2", {"output": "logit:1", "below": F(1, 3)}),
    ("sigmoid3", {"output": "margin:0,1", "below": F(1, 10)}),
    ("sigmoid3", {"output": "sum", "above": F(0)}),
])
def test_what_is_smooth_keeps_its_nodes_and_has_no_certificate(
    head: str, bound: Mapping[str, Any]
) -> None:
    spec = claim(HEADS[head][0], require=[dict(bound)])
    graph = load_bytes(network(head), "n")
    problem = build_problem(graph, Spec.model_validate(spec))
    assert problem.targets() == [graph.outputs["y"]]
    with pytest.raises(checker.Bad, match="unsupported: a bound of outputs that is smooth"):
        checker.spec_claim(as_toml(spec), ".", checker.Network(network(head)))


def differences(x: Point) -> list[Fraction]:
    return [a - b for a in x for b in x if a is not b]


def spots(value: Fraction) -> list[Fraction]:
    found = [p for t in (value, 1 - value, -value, value / 2, -value / 3, value / 3)
             for p in (places(t) if t < 1 else [])]
    return found


def points(width: int, limit: Fraction, rng: random.Random) -> list[list[Fraction]]:
    """Random logits, ties, and logits at the ends of the threshold."""
    found = [[F(rng.randint(-300, 300), 100) for _ in range(width)] for _ in range(3)]
    found.append([F(1, 3)] * width)
    for place in rng.sample(places(limit), 1) if limit < 1 else []:
        found.append([place, *[F(0)] * (width - 1)])
        found.append([*[F(0)] * (width - 1), place])
    return found


def test_both_readers_find_the_same_ends() -> None:
    rng = random.Random(3)
    shares = [F(rng.randint(1, 999), 1000) for _ in range(40)] + [F(1, 10**40), 1 - F(1, 10**40)]
    for share in shares:
        assert where_sigmoid_is(share) == log_odds(share)
    for logarithm in [F(-rng.randint(1, 9999), 1000) for _ in range(20)] + [F(-900), F(-1, 10**20)]:
        assert where_log_sigmoid_is(logarithm) == log_odds_of_log(logarithm)
    with pytest.raises(checker.Bad, match="unsupported"):
        where_log_sigmoid_is(F(-1001))


# --- classes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", HEADS)
def test_the_class_is_that_of_the_largest_output(head: str) -> None:
    rng = random.Random(head)
    width, _, meaning = HEADS[head]
    outputs = len(meaning([mpmath.mpf(0)] * width))
    for _ in range(3):
        x0 = [F(rng.randint(-300, 300), 100) for _ in range(width)]
        for wanted in ["unchanged", *range(max(2, outputs))]:
            both = Both(network(head), claim(width, x0=x0, require=[{"class": wanted}]))
            for x in points(width, F(1, 2), rng):
                at, first = (meaning([mpmath.mpf(v.numerator) / v.denominator for v in p])
                             for p in (x, x0))
                if outputs == 1:
                    at, first = ([1 - v[0], v[0]] for v in (at, first))
                c = first.index(max(first)) if wanted == "unchanged" else wanted
                true = all(at[c] - v > mpmath.mpf(10) ** -60 for j, v in enumerate(at) if j != c)
                assert both.answers(x) == ({"kept" if true else "broken"},) * 2


def test_a_single_output_has_the_threshold_that_is_given() -> None:
    for threshold in (F(7, 10), F(1, 10), F(1, 2)):
        low, high = log_odds(threshold)
        for start, wanted in ((low - 1, 0), (high + 1, 1)):
            spec = claim(1, x0=[start], require=[{"class": "unchanged", "threshold": threshold}])
            both = Both(network("sigmoid1"), spec)
            assert both.answers([start]) == ({"kept"}, {"kept"})
            assert both.answers([low + high - start]) == ({"broken"}, {"broken"})
            by_number = Both(network("sigmoid1"),
                             claim(1, require=[{"class": wanted, "threshold": threshold}]))
            assert by_number.problem.require == both.problem.require


def test_a_tie_with_the_threshold_needs_a_rule() -> None:
    data, tied = network("sigmoid1"), {"class": "unchanged"}
    spec = claim(1, x0=[F(0)], require=[tied])
    with pytest.raises(InputError, match="exactly 0"):
        build_problem(load_bytes(data, "n"), Spec.model_validate(spec))
    with pytest.raises(checker.Bad, match="tie"):
        checker.spec_claim(as_toml(spec), ".", checker.Network(data))
    cut = Both(data, claim(1, x0=[F(0)], require=[{**tied, "tie": "index"}]))
    assert cut.answers([F(-1)]) == ({"kept"}, {"kept"})
    assert cut.answers([F(0)]) == ({"broken"}, {"broken"})


def test_a_threshold_is_of_a_single_output() -> None:
    spec = claim(2, require=[{"class": 0, "threshold": F(1, 3)}])
    with pytest.raises(InputError, match="2 outputs"):
        build_problem(load_bytes(network("softmax2"), "n"), Spec.model_validate(spec))
    with pytest.raises(checker.Bad, match="threshold"):
        checker.spec_claim(as_toml(spec), ".", checker.Network(network("softmax2")))


# --- witnesses ----------------------------------------------------------------------------------


def test_a_point_between_the_ends_refutes_nothing() -> None:
    """p >= 7/10 at a logit that is nearer to log(7/3) than 2^-64, on either side."""
    low, high = log_odds(F(7, 10))
    for bound in ("at_least", "at_most"):
        both = Both(network("sigmoid1"), claim(1, require=[{"output": "logit:0", bound: F(7, 10)}]))
        atoms = Atoms(both.claim.graph, both.claim.refuted)
        cuts = both.claim.graph.rows([])
        for x in [(low + high) / 2, low, high, (low + 9 * high) / 10]:
            assert not replay(both.problem, (x,)).refutes
            with pytest.raises(checker.Bad, match="the claim holds there"):
                checker.check_witness(both.claim, atoms, cuts, [x])
        beside = low - 1 if bound == "at_least" else high + 1
        assert replay(both.problem, (beside,)).refutes
        checker.check_witness(both.claim, atoms, cuts, [beside])


# --- certificates -------------------------------------------------------------------------------


def written(folder: Path, spec: Mapping[str, Any], data: bytes, name: str = "spec") -> Path:
    (folder / "net.onnx").write_bytes(data)
    path = folder / f"{name}.toml"
    path.write_text(toml_text({"verifex": 1, "network": "net.onnx", **as_text(spec)}))
    return path


def test_the_proof_of_a_weaker_bound_proves_no_stronger_one(tmp_path: Path) -> None:
    """p >= 0.69 holds on the region and p >= 0.7 does not: its certificate is refused for that."""
    box = {"box": [F(83, 100), F(2)]}  # sigmoid(0.83) = 0.6963
    specs = {name: {"region": box, "require": [{"output": "logit:0", "at_least": limit}]}
             for limit, name in ((F(69, 100), "weak"), (F(7, 10), "strong"))}
    paths = [written(tmp_path, spec, network("sigmoid1"), name) for name, spec in specs.items()]
    proof = tmp_path / "proof.vxc"
    verdict = verifex.verify(tmp_path / "net.onnx", paths[0], certificate=proof)
    assert verdict.outcome.value == "proved"
    files = [str(tmp_path / "net.onnx"), str(paths[0]), str(proof)]
    assert checker.check(files)[1] == "valid"
    head, *lines = proof.read_text().splitlines()
    stated = json.loads(head)
    stated["spec"] = hashlib.sha256(paths[1].read_bytes()).hexdigest()
    proof.write_text("\n".join([json.dumps(stated), *lines]) + "\n")
    code, word = checker.check([files[0], str(paths[1]), str(proof)])
    assert code == 1, word
    assert verifex.verify(tmp_path / "net.onnx", paths[1]).outcome.value == "refuted"


@pytest.mark.parametrize(("head", "bound"), [
    ("sigmoid1", {"output": "logit:0", "below": F(99, 100)}),
    ("softmax2", {"output": "logit:0", "at_least": F(1, 50)}),
    ("log2", {"output": "logit:1", "above": F(-4)}),
    ("log3", {"output": "margin:0,1", "at_most": F(40)}),
    ("ratio2", {"output": "logit:0", "at_most": F(1)}),
    ("softmax3", {"output": "logit:2", "above": F(0)}),
    ("softmax3", {"output": "logit:2", "at_least": F(1)}),
])
def test_bounds_end_to_end(head: str, bound: Mapping[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    width = HEADS[head][0]
    layers = [(rng.normal(size=(6, 3)), rng.normal(size=6)),
              (rng.normal(size=(width, 6)) / 3, rng.normal(size=width) / 3)]
    data = network(head, layers)
    spec = {"input": {"point": [F(1, 5), F(-2, 5), F(3, 10)]}, "region": {"linf": F(1, 10)},
            "require": [dict(bound)]}
    path = written(tmp_path, spec, data)
    verdict = verifex.verify(tmp_path / "net.onnx", path)
    never = bound.get("at_least") == 1
    assert verdict.outcome.value == ("refuted" if never else "proved"), verdict.notes
    if never:
        assert "checker" in str(verdict.evidence)


# --- explanations -------------------------------------------------------------------------------


def gradient_by_torch(
    layers: Sequence[tuple[np.ndarray, np.ndarray]], head: str, weights: list[int], x: np.ndarray
) -> np.ndarray:
    """The gradient of a functional of the head's outputs."""
    import torch

    at = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    z = at
    for k, (weight, bias) in enumerate(layers):
        z = torch.tensor(weight.astype(np.float32).astype(float)) @ z + torch.tensor(
            bias.astype(np.float32).astype(float))
        z = torch.relu(z) if k < len(layers) - 1 else z
    made = {
        "softmax2": lambda: torch.softmax(z, 0), "softmax3": lambda: torch.softmax(z, 0),
        "log2": lambda: torch.log_softmax(z, 0), "log3": lambda: torch.log_softmax(z, 0),
        "sigmoid1": lambda: torch.sigmoid(z), "sigmoid3": lambda: torch.sigmoid(z),
        "binary": lambda: torch.cat([1 - torch.sigmoid(z), torch.sigmoid(z)]),
        "ratio2": lambda: torch.sigmoid(z) / torch.sigmoid(z).sum(),
        "ratio3": lambda: torch.sigmoid(z) / torch.sigmoid(z).sum(),
    }[head]()
    (made @ torch.tensor(weights, dtype=torch.float64)).backward()
    assert at.grad is not None
    return np.asarray(at.grad.numpy())


@pytest.mark.parametrize("attribution", ["gradient", "input_x_gradient"])
@pytest.mark.parametrize("head", ["softmax2", "log2", "sigmoid1", "sigmoid3", "binary"])
def test_the_explanation_of_a_probability_is_a_positive_multiple(
    head: str, attribution: str
) -> None:
    rng = np.random.default_rng(7)
    width, _, meaning = HEADS[head]
    layers = [(rng.normal(size=(6, 4)), rng.normal(size=6)),
              (rng.normal(size=(width, 6)), rng.normal(size=width))]
    data, outputs = network(head, layers), len(meaning([mpmath.mpf(0)] * width))
    for output, weights in functionals(outputs, random.Random(1)):
        single = sum(map(bool, weights)) == 1
        if head != "softmax2" and head != "binary" and not single:
            continue  # a form of the logits is explained
        x = rng.normal(size=4).round(3)
        spec = claim(4, x0=[F(str(v)) for v in x],
                     explain={"output": output, "attribution": attribution},
                     require=[{"component": 0, "above": 0}])
        true = gradient_by_torch(layers, head, weights, x)
        if np.abs(true).max() < 1e-12:
            with pytest.raises(InputError, match="add up to 1"):
                Both(data, spec)
            continue
        true = true * x if attribution == "input_x_gradient" else true
        both = Both(data, spec)
        node = both.problem.graph.outputs["attribution"]
        found = np.asarray(evaluate_float(both.problem.graph, x[None], [node])[node]).ravel()
        ratio = found / true
        assert np.allclose(ratio, ratio[0], rtol=1e-6)
        assert ratio[0] > 0
        sign = {"kept"} if true[0] > 0 else {"broken"}
        assert both.answers([F(str(v)) for v in x]) == (sign, sign)


SCALED = [{"sign": "unchanged"}, {"order": "unchanged"}, {"top_k": 2},
          {"component": [0, 1], "above": 0},
          {"similarity": "cosine", "at_least": F(1, 2)}, {"mass": [0], "at_least": F(1, 4)},
          {"monotone": "increasing", "feature": 0}, {"class": "unchanged"},
          {"expression": "component:1", "at_most": 0}, {"output": "logit:0", "at_least": F(1, 3)}]
NOT_SCALED = [{"distance": "l1", "at_most": 1}, {"distance": "l2", "at_most": 1, "relative": True},
              {"component": 0, "above": F(1, 10)}, {"sign": "unchanged", "threshold": F(1, 10)},
              {"expression": "norm:l1", "at_most": 3}, {"expression": "mass:0", "at_most": 0},
              {"expression": "component:1", "at_most": 1},
              {"not": {"distance": "l1", "at_most": 1}}]


@pytest.mark.parametrize("head", ["softmax2", "sigmoid1", "log2", "binary"])
def test_only_properties_without_a_scale_are_read_of_it(head: str) -> None:
    rng = np.random.default_rng(11)
    width = HEADS[head][0]
    data = network(head, [(rng.normal(size=(5, 3)), rng.normal(size=5)),
                          (rng.normal(size=(width, 5)), rng.normal(size=width))])
    x0 = [F(1, 5), F(-2, 5), F(3, 10)]
    spec = {"x0": x0, "explain": {"output": "logit:0"}}
    for wanted in SCALED:
        Both(data, claim(3, require=[wanted], **spec))
    for wanted in NOT_SCALED:
        with pytest.raises(UnsupportedError, match="depends on its scale"):
            build_problem(load_bytes(data, "n"),
                          Spec.model_validate(claim(3, require=[wanted], **spec)))
        with pytest.raises(checker.Bad, match="unsupported: it depends on the scale"):
            checker.spec_claim(as_toml(claim(3, require=[wanted], **spec)), ".",
                               checker.Network(data))


@pytest.mark.parametrize("head", ["softmax3", "log3", "sigmoid3", "ratio2", "ratio3"])
def test_more_classes_are_explained_by_their_logits(head: str) -> None:
    """The same claim as of the network without its head, with distances and all."""
    rng = np.random.default_rng(13)
    width = HEADS[head][0]
    layers = [(rng.normal(size=(5, 3)), rng.normal(size=5)),
              (rng.normal(size=(width, 5)), rng.normal(size=width))]
    bare = onnx.load_from_string(network(head, layers))
    last = next(k for k, node in enumerate(bare.graph.node) if node.output[0] == "z")
    del bare.graph.node[last + 1:]
    bare.graph.node[last].output[0] = "y"
    x0 = [F(1, 5), F(-2, 5), F(3, 10)]
    for wanted in ({"distance": "l1", "at_most": 1}, {"top_k": 1},
                   {"component": 0, "above": F(1, 3)}):
        spec = claim(3, x0=x0, explain={"output": "margin:0,1"}, require=[wanted])
        one, other = Both(network(head, layers), spec), Both(bare.SerializeToString(), spec)
        assert any("logits" in note for note in one.problem.notes)
        for _ in range(4):
            x = [v + F(int(rng.integers(-50, 50)), 100) for v in x0]
            assert one.answers(x) == other.answers(x)


def test_a_derivative_of_a_truly_smooth_output_is_refused_by_the_checker() -> None:
    spec = claim(3, require=[{"monotone": "increasing", "feature": 0, "output": "logit:0"}])
    problem = build_problem(load_bytes(network("softmax3"), "n"), Spec.model_validate(spec))
    assert problem.targets()
    with pytest.raises(checker.Bad, match="smooth"):
        checker.spec_claim(as_toml(spec), ".", checker.Network(network("softmax3")))
