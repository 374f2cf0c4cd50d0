"""Ranges whose ends are proved: what the checker accepts, and what exact replays attain."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import verifex
from tests.helpers.checker_nets import save_net
from tests.helpers.spec_nets import text, write_network
from verifex.certificate import grant
from verifex.certificate.grant import CheckerAnswer, run_checker
from verifex.engine.by_threshold.narrowing import VACUOUS
from verifex.engine.falsify.open_gates import evaluate_with
from verifex.engine.search import extrema
from verifex.engine.verdict import RangeEnd, RangeVerdict
from verifex.errors import InputError
from verifex.ir.formula import holds
from verifex.ir.model.solving import Status
from verifex.ir.problem import Objective
from verifex.metrics.expression import BoundedExpression
from verifex.problem.spec.build import load_problem
from verifex.problem.spec.expression import Expression, load_expressions
from verifex.solvers.regions import optimum

F = Fraction
ASKED = ("component:0", "margin:0,1", "norm:l1", "norm:linf", "distance:l1", "mass:1")


def question(folder: Path, seed: int, region: dict[str, Any], **more: Any) -> Path:
    """A random network of three inputs and a spec about it; the spec's path."""
    rng = random.Random(f"ranges {seed}")
    x0 = [F(rng.randint(-64, 64), 64) + F(1, 1000) for _ in range(3)]
    write_network(rng, folder / "net.onnx", x0)
    spec = {
        "network": "net.onnx", "input": {"point": x0}, "region": region,
        "explain": {"output": "logit:0"}, **more,
    }
    path = folder / "spec.toml"
    path.write_text(text(spec))
    return path


def read_point(end: RangeEnd) -> tuple[Fraction, ...]:
    """The point as JSON prints it: floats that are exact, and quotients as text."""
    printed = json.loads(json.dumps(end.to_json(F(1))))["point"]
    return tuple(F(value) for value in printed)


def replayed(asked: Expression, end: RangeEnd) -> None:
    """The point that is printed lies in the region and gives the value that is printed."""
    problem, point = asked.problem, read_point(end)
    assert end.point == point
    assert problem.region.contains(point)
    nodes = [*{node for (node, _), _ in asked.form.terms}, *problem.targets()]
    values = evaluate_with(problem.graph, point, nodes, end.open_gates)
    assert asked.form.value(values) == end.attained
    assert holds(problem.assume, values)


def sound(asked: Expression, found: RangeVerdict) -> None:
    """What is proven lies outside of what is attained, and the exact extremum between."""
    for end, maximise in ((found.low, False), (found.high, True)):
        sign = 1 if maximise else -1
        assert end.proven is not None
        assert end.attained is not None
        assert sign * end.attained <= sign * end.proven
        replayed(asked, end)
        exact = optimum(asked.problem, Objective(asked.form, maximise), 20.0)
        if exact.status is Status.OPTIMAL and exact.bound is not None:
            assert sign * F(exact.bound) <= sign * end.proven


REGIONS: dict[str, dict[str, Any]] = {
    "box": {"linf": F(1, 2)}, "l1": {"l1": F(1, 2)}, "l2": {"l2": F(1, 2)},
    "row": {"linf": F(1, 2), "linear": ["x[0] + x[1] - 2*x[2] <= 1"]},
}


@pytest.mark.parametrize("name", REGIONS)
def test_ends_are_proved_and_attained(tmp_path: Path, name: str) -> None:
    closed = total = 0
    some = ASKED[: 6 if name == "box" else 3]
    for seed in range(2):
        try:
            path = question(tmp_path, seed, REGIONS[name])
            expressions = load_expressions(path, some)
        except InputError as error:
            if "tie" in str(error) or "kink" in str(error) or "empty" in str(error):
                continue
            raise
        found = verifex.bounds(None, path, some, seconds=10)
        for asked, one in zip(expressions, found, strict=True):
            sound(asked, one)
            assert one.low.proven_by == one.high.proven_by == "checker"
            closed, total = closed + one.closed, total + 1
    assert total >= len(some)
    assert closed >= 0.8 * total


def test_an_attained_point_satisfies_the_assumption(tmp_path: Path) -> None:
    assume = [{"class": "unchanged"}, {"component": 1, "at_least": F(-5)}]
    closed = total = 0
    for seed in range(2):
        try:
            path = question(tmp_path, seed, {"linf": F(1, 2)}, assume=assume)
            expressions = load_expressions(path, ASKED[:2])
        except InputError as error:
            if "tie" in str(error) or "kink" in str(error):
                continue
            raise
        found = verifex.bounds(None, path, ASKED[:2], seconds=10)
        for asked, one in zip(expressions, found, strict=True):
            sound(asked, one)
            assert one.low.proven_by == one.high.proven_by == "checker"
            closed, total = closed + one.closed, total + 1
    assert total >= 2
    assert closed


def test_assumptions_are_narrowed_by_claims_where_no_solver_is_asked(tmp_path: Path) -> None:
    path = question(tmp_path, 0, {"linf": F(1, 2)}, assume=[{"component": 0, "at_most": F(5)}])
    (asked,) = load_expressions(path, ["margin:0,1"])
    found = verifex.bound(None, path, "margin:0,1", seconds=20, engine="search")
    sound(asked, found)
    assert found.low.by == found.high.by == "search"
    for end in (found.low, found.high):
        assert end.proven_by == "checker"
        assert end.gap is not None
        assert end.gap < 1e-4


def test_an_assumption_that_holds_nowhere(tmp_path: Path) -> None:
    path = question(tmp_path, 0, {"linf": F(1, 2)}, assume=[{"output": "sum", "above": F(9999)}])
    for engine in ("auto", "search"):
        found = verifex.bound(None, path, "margin:0,1", seconds=10, engine=engine)
        assert found.low.attained is None
        assert found.high.attained is None
        assert VACUOUS in found.notes
        assert not found.closed
        assert found.exit_code == 2


# --- kinks ----------------------------------------------------------------------------------


def corner(folder: Path, region: str) -> Path:
    """f(x) = relu(x0) + relu(-x0) + x1: at x0 = 0 its gradient may be -1, 0 or 1, and both gates
    may be open or shut there."""
    save_net(folder / "net.onnx", [([[1, 0], [-1, 0], [0, 1]], [0, 0, 9]), ([[1, 2, 1]], [0])])
    path = folder / "spec.toml"
    path.write_text(
        f'verifex = 1\nnetwork = "net.onnx"\n[region]\nbox = {region}\n'
        '[explain]\noutput = "logit:0"\n')
    return path


def test_an_end_on_a_kink_only_is_marked_and_closed(tmp_path: Path) -> None:
    """Where x0 is held at 0 every point is on the kink: A_0 in {0, 1} - {0, 2}."""
    path = corner(tmp_path, "[[0, -1], [0, 1]]")
    (asked,) = load_expressions(path, ["component:0"])
    found = verifex.bound(None, path, "component:0", seconds=10)
    assert (found.low.attained, found.high.attained) == (-2, 1)
    assert found.low.on_kink
    assert found.high.on_kink
    assert len(found.high.open_gates) == 1
    assert found.closed, found
    assert found.exit_code == 0
    sound(asked, found)
    again = RangeVerdict.from_json(json.loads(json.dumps(found.to_json())))
    assert again.high == found.high
    assert again.closed


@pytest.mark.parametrize("engine", ["search", "milp"])
def test_a_kink_that_no_float_hits(tmp_path: Path, engine: str) -> None:
    """Units z and -z with z = 3 x0 + 7 x1 - 1: A_0 is 3 on either side, 6 only where both are open,
    at points of which one coordinate is no float; and 0 only where both are shut."""
    save_net(tmp_path / "net.onnx", [([[3, 7], [-3, -7]], [-1, 1]), ([[1, -1]], [0])])
    path = tmp_path / "spec.toml"
    path.write_text(
        'verifex = 1\nnetwork = "net.onnx"\n[region]\nbox = [[-1, -1], [1, 1]]\n'
        '[explain]\noutput = "logit:0"\n')
    (asked,) = load_expressions(path, ["component:0"])
    found = verifex.bound(None, path, "component:0", seconds=10, engine=engine)
    assert (found.low.attained, found.high.attained) == (0, 6)
    assert found.low.on_kink
    assert found.high.on_kink
    assert (len(found.low.open_gates), len(found.high.open_gates)) == (0, 2)
    assert found.closed, found
    sound(asked, found)


def test_what_comes_near_off_the_kink_is_not_marked(tmp_path: Path) -> None:
    """Around x0 = 0 the ends -2 and 1 are attained on either side of the kink."""
    path = corner(tmp_path, "[[-1, -1], [1, 1]]")
    (asked,) = load_expressions(path, ["component:0"])
    found = verifex.bound(None, path, "component:0", seconds=10)
    assert (found.low.attained, found.high.attained) == (-2, 1)
    assert not found.low.on_kink
    assert not found.high.on_kink
    assert found.closed
    sound(asked, found)


# --- who is believed ------------------------------------------------------------------------


def test_a_search_that_is_wrong_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounds of the search are moved inward: the checker refuses them, and proven ends are true."""
    honest = extrema.minima

    def wrong(*asked: Any, **more: Any) -> Any:
        found, *rest = honest(*asked, **more)
        moved = [
            extrema.Minimum(m.bound + 0.5, m.attained + 0.5, None, m.closed + 0.5, m.rest,
                            m.shown + 0.5, m.record) for m in found]
        return moved, *rest

    monkeypatch.setattr(extrema, "minima", wrong)
    path = question(tmp_path, 1, {"linf": F(1, 2)})
    (asked,) = load_expressions(path, ["margin:0,1"])
    found = verifex.bound(None, path, "margin:0,1", seconds=10, engine="search")
    for end, maximise in ((found.low, False), (found.high, True)):
        exact = optimum(asked.problem, Objective(asked.form, maximise), 20.0)
        assert exact.bound is not None
        assert end.proven is not None
        sign = 1 if maximise else -1
        assert sign * end.proven >= sign * F(exact.bound)


def accepting(*_: Any, **__: Any) -> CheckerAnswer:
    return CheckerAnswer("valid", 0, 0.0, 1)


def test_no_bound_is_asked_for_that_a_point_contradicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the checker would accept whatever it is given."""
    honest = extrema.minima

    def wrong(*asked: Any, **more: Any) -> Any:
        found, *rest = honest(*asked, **more)
        return [replace(m, shown=m.shown + 0.5) for m in found], *rest

    monkeypatch.setattr(extrema, "minima", wrong)
    monkeypatch.setattr(grant, "run_checker", accepting)
    path = question(tmp_path, 1, {"linf": F(1, 2)})
    found = verifex.bound(None, path, "margin:0,1", seconds=10, engine="search")
    for end, sign in ((found.low, -1), (found.high, 1)):
        assert end.proven is not None
        assert end.attained is not None
        assert sign * end.attained <= sign * end.proven


def refusing(*_: Any, **__: Any) -> CheckerAnswer:
    return CheckerAnswer("invalid: line 2: no", 1, 0.0, 1)


def test_a_checker_that_refuses_leaves_what_intervals_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grant, "run_checker", refusing)
    found = verifex.bound(None, question(tmp_path, 1, {"linf": F(1, 8)}), "margin:0,1", seconds=5)
    assert found.settled
    assert not found.closed
    assert found.exit_code == 2
    assert found.low.proven_by == found.high.proven_by == "interval bounds"
    assert any("refused" in note for note in found.notes)


def test_nothing_is_proved_without_the_checker(tmp_path: Path) -> None:
    path = question(tmp_path, 1, {"linf": F(1, 8)})
    found = verifex.bound(None, path, "margin:0,1", seconds=5, check=False)
    assert found.settled
    assert not found.closed
    assert found.exit_code == 2
    assert found.low.proven_by == "interval bounds"


def test_closed_is_a_millionth() -> None:
    end, one = RangeEnd(F(1), 1.0, F(1), (F(0),), proven_by="checker"), F(1)
    assert end.closed(one)
    assert replace(end, attained=1 - F(1, 10**6)).closed(one)
    assert not replace(end, attained=1 - F(2, 10**6)).closed(one)
    assert replace(end, proven=F(2000), attained=2000 - F(1, 1000)).closed(F(2000))
    assert not replace(end, proven_by="interval bounds").closed(one)
    assert not replace(end, attained=None).closed(one)


def test_a_tiny_range_has_a_tiny_size() -> None:
    """A millionth is one of the range's size, not of 1."""
    zero = RangeEnd(F(0), 0.0, F(0), (F(0),), proven_by="checker")
    loose = replace(zero, proven=F(1, 10**9))
    assert RangeVerdict("", zero, zero).closed
    assert not RangeVerdict("", zero, loose).closed
    assert RangeVerdict("", zero, replace(loose, attained=F(1, 10**9))).closed
    assert RangeVerdict("", replace(zero, attained=F(3), proven=F(3)), loose).closed


# --- files and the command line -------------------------------------------------------------


def test_certificates_are_kept_with_their_specs(tmp_path: Path) -> None:
    path = question(tmp_path, 2, {"linf": F(1, 4)}, assume=[{"output": "sum", "at_most": F(99)}])
    folder = tmp_path / "kept"
    found = verifex.bound(None, path, "norm:l1", seconds=10, certificate=folder)
    names = sorted(file.name for file in folder.iterdir())
    kinds = ("toml", "vxc")
    assert names == [f"1-norm-l1-{end}.{kind}" for end in ("max", "min") for kind in kinds]
    for end, key in ((found.low, "min"), (found.high, "max")):
        assert end.certificate is not None
        assert end.certificate["path"] == str(folder / f"1-norm-l1-{key}.vxc")
        spec, proof = folder / f"1-norm-l1-{key}.toml", folder / f"1-norm-l1-{key}.vxc"
        assert run_checker(tmp_path / "net.onnx", spec, proof).valid
        # The claim that is kept is about the value that is called proven, and names its network.
        claim = load_problem(spec)
        assert claim.region == load_problem(path_with_claim(path)).region
        said = verifex.load_spec(spec).require[0]
        assert isinstance(said, BoundedExpression)
        assert (said.at_least if key == "min" else said.at_most) == end.proven


def path_with_claim(path: Path) -> Path:
    """A spec beside the question's that has something to require."""
    out = path.with_name("claim.toml")
    out.write_text(path.read_text() + '\n[[require]]\noutput = "sum"\nat_most = 1\n')
    return out


def test_exit_codes(tmp_path: Path, cli: Callable[..., tuple[int, str, str]]) -> None:
    path = question(tmp_path, 2, {"linf": F(1, 4)})
    words = ("bound", path, "-e", "margin:0,1", "-e", "norm:l1")
    code, out, err = cli(*words, "--certificate", tmp_path / "kept")
    assert (code, err) == (0, "")
    assert "closed, rests on" in out
    assert "checker: valid" in out
    assert out.count("the value there is") == 4
    for proof in sorted((tmp_path / "kept").glob("*.vxc")):
        assert cli("check", proof.with_suffix(".toml"), proof)[:2] == (0, "valid\n")
    document = json.loads(cli(*words, "--json")[1])
    assert document["exit_code"] == 0
    assert all(one["closed"] and one["settled"] for one in document["ranges"])
    code, out, _ = cli(*words, "--no-check", "--quiet")
    assert (code, [line.split()[-1] for line in out.splitlines()]) == (2, ["claimed", "claimed"])
    code, _, err = cli(*words, "--certificate", tmp_path / "none" / "kept")
    assert (code, "cannot be written" in err) == (65, True)
    code, _, err = cli(*words, "--certificate", path)
    assert (code, "expected a folder" in err) == (65, True)
