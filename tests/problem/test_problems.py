"""Whole specs: files and Python agree, the library loads, the schema is current, expressions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from verifex.errors import InputError, UnsupportedError
from verifex.ir.formula import TRUE, Dominance, holds, nodes
from verifex.ir.graph import Builder, Graph
from verifex.ir.linmap import dense, reshape
from verifex.ir.ops import Concat
from verifex.problem.spec import builders as v
from verifex.problem.spec.build import build_problem, load_problem
from verifex.problem.spec.expression import build_expressions
from verifex.problem.spec.model import parse_spec, properties
from verifex.problem.spec.schema import schema, text
from verifex.semantics.evaluate import evaluate_exact, evaluate_float

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = sorted((ROOT / "specs" / "library").glob("*.toml"))
W1 = np.array([[1.0, -2, 0.5], [0.25, 1, -1], [-1, -1, 2]])
W2 = np.array([[1.0, 0.5, -1], [-0.5, 1, 0.25]])
B1 = np.array([0.125, 0.0625, 0.25])


def network(smooth: bool = False) -> Graph:
    b = Builder()
    z = b.affine(dense(W1), b.input("x", (3,)), B1)
    return b.build({"y": b.affine(dense(W2), b.univariate("tanh", z) if smooth else b.relu(z))})


# --- files and Python -----------------------------------------------------------------------

TOML = """
verifex = 1
kink = "zero"
[input]
point = [0.25, 0.5, 0.75]
names = ["a", "b", "c"]
[region]
linf = { "*" = 0.125, a = "1/3" }
clip = [0, 1]
freeze = "c"
linear = ["a + b <= 1"]
[explain]
attribution = "input*gradient"
output = "margin:predicted,runner_up"
reduce = "abs"
features = ["a", "b"]
[[assume]]
class = "unchanged"
[[require]]
top_k = 1
[[require]]
any = [{ distance = "l1", at_most = 0.5 }, { not = { component = "a", above = 1 } }]
[[require]]
all = [
  { sign = "unchanged", which = ["a"], zero = "ignore" }, { order = "unchanged" },
  { mass = ["a"], at_least = 0.1 }, { similarity = "cosine", at_least = 0.5 },
  { monotone = "increasing", feature = "a", output = "logit:0" }, { output = "sum", below = 9 },
]
"""


def python_spec() -> v.Spec:
    return v.Spec(
        kink="zero",
        input=v.point([0.25, 0.5, 0.75], names=["a", "b", "c"]),
        region=v.linf({"*": 0.125, "a": "1/3"}, clip=(0, 1), freeze="c", linear=["a + b <= 1"]),
        explain=v.explain(
            "input*gradient", output="margin:predicted,runner_up", reduce="abs", features=["a", "b"]
        ),
        assume=v.class_unchanged(),
        require=[
            v.top_k(1),
            v.any_of(v.distance("l1", at_most=0.5), v.not_(v.component("a", above=1))),
            v.all_of(
                v.sign(["a"], zero="ignore"), v.order(), v.mass("a", at_least=0.1), v.cosine(0.5),
                v.monotone("increasing", "a", output="logit:0"), v.output("sum", below=9),
            ),
        ],
    )


def test_a_file_and_python_mean_the_same() -> None:
    assert parse_spec(TOML) == python_spec()
    one, two = (build_problem(network(), s) for s in (parse_spec(TOML), python_spec()))
    assert (one.region, one.require, one.assume) == (two.region, two.require, two.assume)
    assert one.graph.nodes == two.graph.nodes


def test_what_a_problem_holds() -> None:
    problem = build_problem(network(), parse_spec(TOML))
    assert problem.point == (Fraction(1, 4), Fraction(1, 2), Fraction(3, 4))
    assert problem.region.names == ("a", "b", "c")
    assert set(problem.graph.outputs) == {"y", "attribution"}
    values = evaluate_exact(problem.graph, problem.point, [problem.graph.outputs["attribution"]])
    (found,) = values.values()
    x = np.array([0.25, 0.5, 0.75])
    y = W2 @ np.maximum(W1 @ x + B1, 0)
    weights = np.where(y == y.max(), 1.0, -1.0)
    expected = np.abs(x * ((weights @ W2 * (W1 @ x + B1 > 0)) @ W1))
    assert found.to_float().tolist() == expected.tolist()


def test_the_network_of_a_spec_is_found_beside_it(tmp_path: Path) -> None:
    missing = TOML.replace("verifex = 1", 'verifex = 1\nnetwork = "none.onnx"')
    (tmp_path / "spec.toml").write_text(missing)
    with pytest.raises(InputError, match=r"spec.toml:network: there is no file 'none.onnx'"):
        load_problem(tmp_path / "spec.toml")
    (tmp_path / "spec.toml").write_text(TOML)
    with pytest.raises(InputError, match=r"spec.toml:network: missing"):
        load_problem(tmp_path / "spec.toml")


def test_smooth_networks_have_no_exact_reference() -> None:
    claims = {"needs": v.distance("l1", at_most=1), "free": v.component(0, at_most=2)}
    for name, claim in claims.items():
        spec = v.Spec(
            input=v.point([0, 0, 0]), region=v.linf(1), explain=v.explain(output="logit:0"),
            require=claim,
        )
        if name == "free":
            assert build_problem(network(smooth=True), spec).require is not None
        else:
            with pytest.raises(UnsupportedError, match="tanh"):
                build_problem(network(smooth=True), spec)


def test_several_inputs_and_outputs() -> None:
    b = Builder()
    left, right = b.input("left", (1, 2)), b.input("right", (1,))
    both = b.add(Concat(0), b.affine(reshape((1, 2), (2,)), left), right)
    h = b.relu(b.affine(dense(W1), both, B1))
    graph = b.build({"y": b.affine(dense(W2), h), "hidden": h})
    spec: dict[str, Any] = {
        "input": {"point": {"right": [0.75], "left": [[0.25, 0.5]]}},
        "region": {"linf": {"left": 0.125}}, "explain": {"output": "logit:0"},
        "require": [{"component": "right[0]", "at_most": 3}, {"component": "left", "at_least": -9}],
    }
    with pytest.raises(InputError, match="network_output"):
        build_problem(graph, v.Spec(**spec))
    problem = build_problem(graph, v.Spec(**spec, network_output="y"))
    assert problem.region.lo == (Fraction(1, 8), Fraction(3, 8), Fraction(3, 4))
    node = problem.graph.outputs["attribution"]
    x = np.array([0.25, 0.5, 0.75])
    expected = (W2[0] * (W1 @ x + B1 > 0)) @ W1
    assert evaluate_float(problem.graph, x[None], [node])[node][0].tolist() == expected.tolist()
    hidden = build_problem(graph, v.Spec(**{**spec, "network_output": "hidden"}))
    assert hidden.graph.outputs["hidden"] == graph.outputs["hidden"]


@pytest.mark.parametrize("reduce", ["channel_sum", "abs_channel_sum", "channel_abs_sum"])
def test_channel_reductions(reduce: str) -> None:
    rng = np.random.default_rng(0)
    w1, w2 = rng.integers(-8, 9, (4, 12)) / 8, rng.integers(-8, 9, (2, 4)) / 8
    b = Builder()
    h = b.relu(b.affine(dense(w1, (1, 3, 2, 2), (4,)), b.input("image", (1, 3, 2, 2)), np.ones(4)))
    graph = b.build({"y": b.affine(dense(w2), h)})
    spec = v.Spec(
        input=v.point(np.zeros((3, 2, 2))), region=v.linf(1),
        explain=v.explain(output="logit:1", reduce=reduce),
        require=v.component(["x[1, 0]", "image[3]"], at_least=0),
    )
    problem = build_problem(graph, spec)
    maps = (w2[1] @ w1).reshape(3, 4)
    expected = {
        "channel_sum": maps.sum(axis=0), "abs_channel_sum": np.abs(maps.sum(axis=0)),
        "channel_abs_sum": np.abs(maps).sum(axis=0),
    }[reduce]
    node = problem.graph.outputs["attribution"]
    found = evaluate_float(problem.graph, np.zeros((1, 12)), [node])[node].ravel()
    assert found.tolist() == expected.tolist()
    assert {i for _, i in _cells(problem.require)} == {2, 3}


def _cells(formula: Any) -> Iterator[tuple[int, int]]:
    from verifex.ir.formula import cells

    yield from cells(formula)


def test_a_mask_from_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", np.array([True, False, True]))
    for mask in ({"file": "mask.npy"}, [0, 2]):
        spec = v.Spec(
            input=v.point([0.25, 0.5, 0.75]), region=v.linf(1), explain=v.explain(),
            require=v.mass(mask, above=0.5),
        )
        problem = build_problem(network(), spec, tmp_path)
        signs = [c > 0 for _, c in problem.require.form.terms]  # type: ignore[union-attr]
        assert signs == [True, False, True]


# --- expressions ----------------------------------------------------------------------------


@pytest.mark.parametrize(("expression", "oracle"), [
    ("component:b", lambda a, b, y: a[1]),
    ("component:2", lambda a, b, y: a[2]),
    ("logit:1", lambda a, b, y: y[1]),
    ("margin:0,1", lambda a, b, y: y[0] - y[1]),
    ("output", lambda a, b, y: y[0]),
    ("sum", lambda a, b, y: y.sum()),
    ("distance:l1", lambda a, b, y: np.abs(a - b).sum()),
    ("distance:linf", lambda a, b, y: np.abs(a - b).max()),
    ("distance:l2_squared", lambda a, b, y: ((a - b) ** 2).sum()),
    ("norm:l1", lambda a, b, y: np.abs(a).sum()),
    ("norm:linf", lambda a, b, y: np.abs(a).max()),
    ("norm:l2_squared", lambda a, b, y: (a**2).sum()),
    ("mass:a,c", lambda a, b, y: np.abs(a[[0, 2]]).sum()),
])
def test_expressions(expression: str, oracle: Any) -> None:
    x0 = np.array([0.25, 0.5, 0.75])
    spec = v.Spec(
        input=v.point(x0, names=["a", "b", "c"]), region=v.linf(1),
        explain=v.explain(output="logit:0"), assume=v.output("logit:0", at_most=5),
    )
    (built,) = build_expressions(network(), spec, [expression])
    assert built.problem.require == TRUE
    assert built.problem.assume != TRUE
    assert built.label

    def gradient(x: Any) -> Any:
        return (W2[0] * (W1 @ x + B1 > 0)) @ W1

    rng = np.random.default_rng(4)
    for x in rng.integers(-16, 17, (20, 3)) / 16:
        exact = [Fraction(t) for t in x.tolist()]
        wanted = {node for (node, _), _ in built.form.terms}
        value = built.form.value(evaluate_exact(built.problem.graph, exact, wanted))
        y = W2 @ np.maximum(W1 @ x + B1, 0)
        assert value == oracle(gradient(x), gradient(x0), y)


@pytest.mark.parametrize("expression", [
    "", "component", "component:d", "component:9", "distance:l2", "distance", "norm:l7", "logit",
    "logit:7", "margin:0,0", "output:1", "mass:", "mass:z",
    "compnent:a", "component:a:b", "\x1b[2J",
])
def test_bad_expressions(expression: str) -> None:
    spec = v.Spec(input=v.point([0.25, 0.5, 0.75]), region=v.linf(1), explain=v.explain())
    with pytest.raises(InputError) as caught:
        build_expressions(network(), spec, [expression])
    assert str(caught.value).isprintable()


# --- schema and library ---------------------------------------------------------------------


def test_the_schema_is_current() -> None:
    stored = (ROOT / "specs" / "schema.json").read_text()
    assert stored == text(), "run: python -m verifex.problem.spec.schema > specs/schema.json"


def test_the_schema_knows_every_property() -> None:
    known = json.dumps(schema())
    assert all(f'"{keyword}"' in known for keyword in properties())
    assert "x-verifex" not in known
    language = (ROOT / "specs" / "LANGUAGE.md").read_text()
    assert all(f"`{keyword} = " in language for keyword in properties())


def test_the_library_is_rich_enough() -> None:
    assert len(LIBRARY) >= 8


@pytest.mark.parametrize("file", LIBRARY, ids=lambda f: f.stem)
def test_library_specs_load_and_hold_at_their_reference(file: Path) -> None:
    problem = load_problem(file)
    assert problem.point is not None
    assert problem.region.contains(problem.point)
    wanted = nodes(problem.require) | nodes(problem.assume)
    values = evaluate_exact(problem.graph, problem.point, wanted)
    assert holds(problem.assume, values)
    assert holds(problem.require, values)
    first = file.read_text().splitlines()[0]
    assert first.startswith("# ")


@pytest.mark.data
def test_a_real_network(shared_data: Path, tmp_path: Path) -> None:
    """Adult, top-3 of input*gradient with categorical features frozen: the float top-3 agrees."""
    base = shared_data / "attribution_models/openxai"
    (tmp_path / "adult.toml").write_text(f"""
verifex = 1
[input]
data = "{base / 'data/adult-test.csv.gz'}"
minmax_of = "{base / 'data/adult-test.csv.gz'}"
row = 12
target = "income"
[region]
linf = 0.05
clip = [0, 1]
freeze = ["sex_*", "workclass_*", "marital*", "occupation_*", "relationship_*", "race_*", "native*"]
[explain]
attribution = "input_x_gradient"
reduce = "abs"
[[require]]
top_k = 3
""")
    problem = load_problem(tmp_path / "adult.toml", base / "onnx/adult_ann.onnx")
    assert problem.name == "adult"
    assert isinstance(problem.require, Dominance)
    assert sum(a < b for a, b in zip(problem.region.lo, problem.region.hi, strict=True)) == 6
    assert problem.point is not None
    x = np.array([[float(t) for t in problem.point]])
    node = problem.graph.outputs["attribution"]
    ranked = np.argsort(-evaluate_float(problem.graph, x, [node])[node].ravel())
    assert set(problem.require.winners) == set(ranked[:3].tolist())
