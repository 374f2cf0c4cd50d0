"""What a verdict says of its claim: numbers against numpy, counts by hand, and what is trivial."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import verifex
from tests.helpers.checker_nets import agree, ck, claim_of, save_net
from tests.helpers.metric_nets import Net, truth
from verifex.engine.verdict import Outcome, Verdict
from verifex.errors import InputError
from verifex.problem.spec.build import build_problem
from verifex.problem.spec.model import Spec, parse_spec
from verifex.statement import ClaimStatement

X0 = [0.25, -0.5, 0.75, 0.125, -0.0625]
NAMES = ["age", "pay", "debt", "years", "sex"]
NET = Net.random(np.random.default_rng(3))
F = Fraction


def stated(**keys: Any) -> ClaimStatement:
    """The statement of a spec about the net at X0."""
    table = {"input": {"point": X0, "names": NAMES}, "region": {"linf": 0.125}, **keys}
    found = build_problem(NET.graph(), Spec(**table)).statement
    assert found is not None
    return found


@pytest.mark.parametrize("reduce", ["signed", "abs"])
@pytest.mark.parametrize("k", [1, 3])
def test_ranked_features_are_those_of_numpy(reduce: str, k: int) -> None:
    found = stated(explain={"output": "logit:1", "reduce": reduce}, require=[{"top_k": k}])
    x = np.array(X0)
    slope = NET.gradient(x, np.eye(3)[1])
    slope = np.abs(slope) if reduce == "abs" else slope
    best = np.argsort(-slope)[:k]
    assert [f.name for f in found.features] == [NAMES[i] for i in best]
    assert [f.attribution for f in found.features] == [F(slope[i]) for i in best]
    assert [f.value for f in found.features] == [F(X0[i]) for i in best]
    assert [f.rank for f in found.features] == list(range(1, k + 1))
    assert found.explained.endswith("gradient of the output of class 1")


def test_the_prediction_is_that_of_numpy_and_named() -> None:
    c = int(np.argmax(NET.outputs(np.array(X0))))
    names = ["low", "middle", "high"]
    found = stated(classes={"names": names}, require=[{"class": "unchanged"}])
    assert found.prediction is not None
    assert (found.prediction.position, found.prediction.name) == (c, names[c])
    assert found.claims == (f"the class stays {c} ({names[c]})",)
    named = stated(classes={"names": names}, require=[{"class": "middle"}])
    assert named.claims == ("the class is 1 (middle)",)


@pytest.mark.parametrize(("cell", "right"), [
    ("{c}", True), ("{c}.0", True), ("9", False), ("good", None), ("{name}", True)])
def test_the_label_of_the_row_is_compared(cell: str, right: bool | None, tmp_path: Path) -> None:
    c = int(np.argmax(NET.outputs(np.array(X0))))
    names = ["low", "middle", "high"]
    label = cell.format(c=c, name=names[c])
    rows = [",".join([*NAMES, "label"]), ",".join([*map(str, X0), label])]
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    spec = Spec(input={"data": "rows.csv", "row": 0, "target": "label"}, region={"linf": 0.1},
                classes={"names": names}, require=[{"class": "unchanged"}])
    found = build_problem(NET.graph(), spec, tmp_path).statement
    assert found is not None
    assert found.prediction is not None
    assert (found.prediction.label, found.prediction.right) == (label, right)


def test_what_is_left_of_the_region_is_counted() -> None:
    found = stated(region={"linf": 0.25, "clip": [-0.5, 0.875], "freeze": ["sex"]},
                   require=[{"class": "unchanged"}]).region
    assert (found.size, found.moving, found.furthest) == (5, 4, F(1, 4))
    # pay lies on its lower end, debt an eighth below its upper one.
    assert found.cut == 2
    assert str(found) == (
        "4 of 5 features move, by at most 0.25; 2 are cut short by clip or box")
    pinned = stated(region={"linf": 0.25, "linear": ["age == 0.3"]},
                    require=[{"class": "unchanged"}]).region
    assert (pinned.moving, pinned.more) == (4, ("2 linear inequalities",))


@pytest.mark.parametrize("region", [
    {"linf": 0}, {"l2": 0}, {"linf": 1, "freeze": ["*"]}, {"linf": 0.25, "linear": [
        f"{name} == {value}" for name, value in zip(NAMES, X0, strict=True)]}])
def test_a_claim_about_one_input_is_trivial(region: dict[str, Any]) -> None:
    assert stated(region=region, require=[{"class": "unchanged"}]).trivial == (
        "no feature moves: the claim is about one input",)


@pytest.mark.parametrize(("wanted", "why"), [
    ({"top_k": 5}, "k = n"), ({"top_k": 4, "overlap_at_least": 3}, "any 4 of 5"),
    ({"distance": "l1", "at_least": 0}, "no norm is below 0"),
    ({"similarity": "cosine", "at_least": -1}, "no cosine is below -1"),
    ({"any": [{"class": 0}, {"top_k": 5}]}, "k = n"),
])
def test_what_cannot_fail_is_trivial_and_proved(
    wanted: dict[str, Any], why: str
) -> None:
    found = stated(explain={}, require=[wanted])
    assert len(found.trivial) == 1
    assert why in found.trivial[0]
    rng = np.random.default_rng(5)
    problem = build_problem(NET.graph(), Spec(
        input={"point": X0}, region={"linf": 2}, explain={}, require=[wanted]))
    for _ in range(20):
        step = rng.integers(-32, 33, 5) / 16
        assert truth(problem, np.array(X0) + step)


@pytest.mark.parametrize("wanted", [
    {"top_k": 4}, {"top_k": 4, "overlap_at_least": 4}, {"distance": "l1", "at_least": 0.1},
    {"all": [{"class": "unchanged"}, {"top_k": 5}]}])
def test_what_can_fail_is_not_called_trivial(wanted: dict[str, Any]) -> None:
    assert stated(explain={}, require=[wanted]).trivial == ()


def test_a_reference_without_a_class_says_why() -> None:
    tied = Net(NET.w1, NET.b1, np.vstack([NET.w2[0]] * 3), np.full(3, NET.b2[0]))
    spec = Spec(input={"point": X0}, region={"linf": 0.1}, require=[{"class": 0}])
    found = build_problem(tied.graph(), spec).statement
    assert found is not None
    assert found.prediction is None
    assert "tie" in found.missing


# --- verdicts -------------------------------------------------------------------------------


def files(folder: Path, spec: str) -> tuple[Path, Path]:
    net = save_net(folder / "net.onnx", [(NET.w1, NET.b1), (NET.w2, NET.b2)])
    path = folder / "spec.toml"
    path.write_text(f"verifex = 1\n[input]\npoint = {X0}\n{spec}")
    return net, path


def test_a_verdict_carries_its_statement_through_json(tmp_path: Path) -> None:
    net, spec = files(tmp_path, '[region]\nlinf = 0.001\n[explain]\n[[require]]\ntop_k = 2\n')
    found = verifex.verify(net, spec, seconds=20)
    again = Verdict.from_json(found.to_json())
    assert found.statement is not None
    assert again.statement == found.statement
    for text in ("the 2 largest components", "5 of 5 features move, by at most 0.001"):
        assert text in str(found)


def test_what_is_proved_has_no_negative_margin(tmp_path: Path) -> None:
    """relu(x + 1) - relu(x) - 3/8 is at least 1/8, and by interval bounds at least -3/8."""
    net = save_net(tmp_path / "net.onnx", [
        ([[1.0], [1.0]], [1.0, 0.0]), ([[1.0, -1.0], [0.0, 0.0]], [-0.375, 0.0])])
    spec = tmp_path / "spec.toml"
    spec.write_text("verifex = 1\n[input]\npoint = [0]\n[region]\nlinf = 0.5\n"
                    "[[require]]\nclass = 0\n")
    low = verifex.verify(net, spec, seconds=20, check=False).margin_low
    assert low is not None
    assert low < 0  # or the next lines say nothing
    found = verifex.verify(net, spec, seconds=20)
    assert found.outcome is Outcome.PROVED
    assert found.margin_low == 0
    assert found.margin_high is None or found.margin_high == F(1, 8)


def test_an_assumption_without_inputs_is_told(tmp_path: Path) -> None:
    """The class is another one nowhere near x0: bounds do not see that, the search does."""
    c = int(np.argmin(NET.outputs(np.array(X0))))
    net, spec = files(tmp_path, '[region]\nlinf = 0.02\n[explain]\n[[require]]\ntop_k = 1\n'
                                f'[[assume]]\nclass = {c}\n')
    found = verifex.verify(net, spec, seconds=20)
    assert found.outcome is Outcome.PROVED
    assert found.statement is not None
    assert any("vacuous" in why for why in found.statement.trivial)


def test_an_assumption_that_x0_fulfils_is_not_called_vacuous(tmp_path: Path) -> None:
    net, spec = files(tmp_path, '[region]\nlinf = 0.001\n[explain]\n[[require]]\ntop_k = 1\n'
                                '[[assume]]\nclass = "unchanged"\n')
    found = verifex.verify(net, spec, seconds=20)
    assert found.outcome is Outcome.PROVED
    assert found.statement is not None
    assert found.statement.trivial == ()
    assert not any("vacuous" in note for note in found.notes)


# --- names of classes, on both sides --------------------------------------------------------

NAMED = '[region]\nlinf = 0.001\n[classes]\nnames = ["low", "middle", "high"]\n'


@pytest.mark.parametrize("name", ["low", "middle", "high", "unchanged"])
def test_a_named_class_means_the_same_to_the_checker(name: str, tmp_path: Path) -> None:
    net, spec = files(tmp_path, f'{NAMED}[[require]]\nclass = "{name}"\n')
    agree(net, spec)


def test_a_claim_about_the_wrong_name_is_refuted(tmp_path: Path) -> None:
    order = np.argsort(NET.outputs(np.array(X0)))
    names = ["low", "middle", "high"]
    for position, outcome in ((order[-1], Outcome.PROVED), (order[0], Outcome.REFUTED)):
        net, spec = files(tmp_path, f'{NAMED}[[require]]\nclass = "{names[position]}"\n')
        found = verifex.verify(net, spec, seconds=20)
        assert found.outcome is outcome
        assert found.extra["certificate"]["check"].startswith("valid")


@pytest.mark.parametrize(("names", "wanted"), [
    ('["low", "high"]', '"low"'), ('["low", "low", "high"]', '"low"'),
    ('["low", "unchanged", "high"]', '"low"'), ('["low", "", "high"]', '"low"'),
    ('["low", 1, "high"]', '"low"'), ('["low", "middle", "high"]', '"hihg"'),
    ('[]', '"unchanged"'),
])
def test_names_that_do_not_fit_are_refused_by_both(
    names: str, wanted: str, tmp_path: Path
) -> None:
    net, spec = files(tmp_path, f'[region]\nlinf = 0.001\n[classes]\nnames = {names}\n'
                                f'[[require]]\nclass = {wanted}\n')
    with pytest.raises(InputError) as told:
        build_problem(verifex.load(net), parse_spec(spec.read_text()))
    assert told.value.key.startswith(("classes.names", "require[0].class"))
    with pytest.raises(ck.Bad):
        claim_of(net, spec)
