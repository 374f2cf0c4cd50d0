"""Radii against an enumeration of activation regions, which shares no code with the search."""

from __future__ import annotations

import importlib
import itertools
import random
import tomllib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import verifex
from tests.helpers.checker_nets import save_net
from tests.helpers.spec_nets import text
from verifex.certificate.grant import certify, run_checker
from verifex.certificate.radius_ends.find import radius_files
from verifex.engine.bounds.layout import Layout
from verifex.engine.budget import Budget
from verifex.engine.decide import decide
from verifex.engine.falsify.witness import replay
from verifex.engine.findings.reasons import ReasonKind
from verifex.engine.radius.radius_verdict import RadiusVerdict
from verifex.engine.search.claims import decide_search
from verifex.engine.search.gates.search import SearchOptions
from verifex.engine.search.record import Closed, Proof, ProofNode
from verifex.engine.search.replant import replanted
from verifex.engine.verdict import Outcome, Verdict
from verifex.engine.watch import StopRequest
from verifex.errors import InputError, UsageError
from verifex.problem.document.variants.radius import (
    RadiusQuestion,
    distance,
    load_radius,
    root_above,
)
from verifex.radius_questions import RadiusOptions, find_radii
from verifex.reading import read_radius
from verifex.settings import Settings

F = Fraction
Layers = list[tuple[list[list[Fraction]], list[Fraction]]]


def network(rng: random.Random, sizes: list[int]) -> Layers:
    """Random weights in sixteenths: floats hold them exactly."""
    def draw() -> Fraction:
        return F(rng.randint(-24, 24), 16)

    return [([[draw() for _ in range(a)] for _ in range(b)], [draw() for _ in range(b)])
            for a, b in itertools.pairwise(sizes)]


def outputs(layers: Layers, x: list[Fraction]) -> list[Fraction]:
    for k, (weights, bias) in enumerate(layers):
        x = [sum((w * v for w, v in zip(row, x, strict=True)), b)
             for row, b in zip(weights, bias, strict=True)]
        if k < len(layers) - 1:
            x = [max(v, F(0)) for v in x]
    return x


def ask(folder: Path, layers: Layers, spec: dict[str, Any], name: str = "spec.toml") -> Path:
    """The network and the spec as files."""
    save_net(folder / "net.onnx", [
        (np.array([[float(w) for w in row] for row in weights]), np.array([float(b) for b in bias]))
        for weights, bias in layers])
    path = folder / name
    path.write_text(text({"network": "net.onnx", "explain": {}, **spec}))
    return path


def breaking_points(layers: Layers, x0: list[Fraction], step: list[Fraction]) -> Iterator[Fraction]:
    """All t >= 0 where the line x0 + t * step crosses a kink of the first layer or a tie of the two
    outputs within a piece: exact, for one hidden layer."""
    weights, bias = layers[0]
    kinks = {F(0)}
    for row, b in zip(weights, bias, strict=True):
        slope = sum(w * s for w, s in zip(row, step, strict=True))
        value = sum((w * v for w, v in zip(row, x0, strict=True)), b)
        if slope:
            kinks.add(-value / slope)
    ends = sorted(k for k in kinks if k >= 0)
    ends.append(ends[-1] + 1000)

    def gap(t: Fraction) -> Fraction:
        a, b = outputs(layers, [v + t * s for v, s in zip(x0, step, strict=True)])
        return a - b

    for low, high in itertools.pairwise(ends):
        at_low, at_high = gap(low), gap(high)
        if at_low == 0:
            yield low
        if at_low * at_high < 0:  # linear in between
            yield low + (high - low) * at_low / (at_low - at_high)


def sound(asked: RadiusQuestion, found: RadiusVerdict) -> None:
    """The witness replays at its distance, and what is proved lies below it."""
    if found.witness is not None:
        assert found.refuted is not None
        point = found.witness.point
        assert replay(asked.at(found.refuted), point).refutes
        assert asked.distance(point) == found.refuted
        assert found.proved is None or found.proved < found.refuted


@pytest.mark.parametrize("seed", range(4))
def test_one_feature_against_the_exact_break(tmp_path: Path, seed: int) -> None:
    rng = random.Random(f"radius {seed}")
    layers = network(rng, [3, 4, 2])
    x0 = [F(rng.randint(-16, 16), 16) + F(1, 1000) for _ in range(3)]
    spec = ask(tmp_path, layers, {
        "input": {"point": x0}, "region": {"linf": F(1, 10), "clip": [-4, 4]},
        "require": [{"class": "unchanged"}]})
    asked = load_radius(spec, features=["all"])
    answers = verifex.radius_of_each(None, spec, seconds=120)
    assert [one.features for one in answers] == ["x[0]", "x[1]", "x[2]"]
    for feature, (question, one) in enumerate(zip(asked, answers, strict=True)):
        sound(question, one)
        assert one.closed
        # On the side that clipping cuts off, nothing breaks the claim.
        within = [t for sign in (1, -1) for t in breaking_points(
            layers, x0, [F(sign) if i == feature else F(0) for i in range(3)])
            if -4 <= x0[feature] + sign * t <= 4]
        if not within:
            assert one.everywhere
            assert one.proved == max(4 - x0[feature], 4 + x0[feature])
            assert one.refuted is None
            continue
        least = min(within)
        assert one.refuted is not None
        assert one.proved is not None
        assert one.proved < least <= one.refuted <= least * (1 + F(2, 1000))


def corners_break(layers: Layers, x0: list[Fraction], radius: Fraction, step: int) -> bool:
    """Whether some point of a grid in the ball breaks the class."""
    best = outputs(layers, x0)
    first = max(range(len(best)), key=best.__getitem__)
    side = [radius * k / step for k in range(-step, step + 1)]
    for a in side:
        for b in side:
            found = outputs(layers, [x0[0] + a, x0[1] + b])
            if any(found[j] >= found[first] for j in range(len(found)) if j != first):
                return True
    return False


@pytest.mark.parametrize("key", ["linf", "l1", "l2"])
@pytest.mark.parametrize("seed", range(2))
def test_balls_are_bracketed(tmp_path: Path, seed: int, key: str) -> None:
    rng = random.Random(f"balls {seed}")
    layers = network(rng, [2, 5, 3])
    x0 = [F(rng.randint(-16, 16), 16) + F(1, 1000) for _ in range(2)]
    spec = ask(tmp_path, layers, {
        "input": {"point": x0}, "region": {key: F(1, 10)}, "require": [{"class": "unchanged"}]})
    (asked,) = load_radius(spec)
    found = verifex.radius(None, spec, seconds=120, most=50, tolerance="1e-2")
    sound(asked, found)
    if key == "l2":
        assert found.proved is not None  # exact bounds of a ball leave ties of l2 open at times
    else:
        assert found.closed
    if key == "linf" and found.proved:
        assert not corners_break(layers, x0, found.proved, 24)


def test_norms_order_radii(tmp_path: Path) -> None:
    rng = random.Random("norms")
    layers = network(rng, [2, 4, 2])
    spec = {"input": {"point": [F(1, 3), F(-1, 5)]}, "require": [{"class": "unchanged"}]}
    found = {}
    for key in ("linf", "l2", "l1"):
        path = ask(tmp_path, layers, {**spec, "region": {key: F(1, 10)}}, f"{key}.toml")
        found[key] = verifex.radius(None, path, seconds=60, most=100)
    proved = [found[key].proved or F(0) for key in ("linf", "l2", "l1")]
    refuted = [found[key].refuted or F(100) for key in ("linf", "l2", "l1")]
    # |x|inf <= |x|2 <= |x|1: what breaks at one norm lies no nearer by a greater norm.
    assert proved[0] <= refuted[1]
    assert proved[1] <= refuted[2]


# --- single cases ---------------------------------------------------------------------------

LINE: Layers = [([[F(1), F(0)], [F(0), F(0)]], [F(0), F(0)])]
"""f = (x, 0) of inputs (x, y)."""


def line_spec(folder: Path, region: dict[str, Any], x0: Any = (0, 0), bound: Any = 3) -> Path:
    """f_0 = x is below a bound."""
    return ask(folder, LINE, {
        "input": {"point": list(x0)}, "region": region, "explain": {"output": "logit:0"},
        "require": [{"output": "logit:0", "below": bound}]})


def test_whole_numbers_close_between_two(tmp_path: Path) -> None:
    spec = line_spec(tmp_path, {"linf": 1, "integer": [0, 1], "clip": [-9, 9]})
    found = verifex.radius(None, spec)
    assert found.closed
    assert found.refuted == 3
    assert found.proved is not None
    assert 2 <= found.proved < 3
    alone = verifex.radius(None, spec, feature="1")
    assert (alone.everywhere, alone.refuted, alone.proved) == (True, None, 9)


def test_one_hot_groups_move_together(tmp_path: Path) -> None:
    spec = line_spec(tmp_path, {"linf": 1, "one_hot": [[0, 1]]}, (0, 1), F(1, 2))
    (found,) = verifex.radius_of_each(None, spec)
    assert found.features == "x[0], x[1]"
    assert (found.refuted, found.closed) == (1, True)
    (member,) = verifex.radius_of_each(None, spec, ["0"])
    assert member.everywhere  # alone it cannot change: the other one is frozen


def test_the_end_of_the_domain_and_other_ends(tmp_path: Path) -> None:
    bounded = line_spec(tmp_path, {"linf": F(1, 10), "clip": [-2, F(5, 2)]})
    found = verifex.radius(None, bounded)
    assert (found.proved, found.refuted, found.everywhere) == (F(5, 2), None, True)
    assert found.exit_code == 0
    free = line_spec(tmp_path, {"linf": F(1, 10)}, bound=10**9)
    found = verifex.radius(None, free, most=7)
    assert (found.proved, found.domain, found.everywhere, found.closed) == (7, False, False, True)
    assert verifex.radius(None, free).proved == 10**6


def test_a_tie_is_refuted_at_its_own_distance(tmp_path: Path) -> None:
    found = verifex.radius(None, line_spec(tmp_path, {"linf": F(1, 10)}))
    assert (found.refuted, found.closed) == (3, True)
    assert found.witness is not None
    assert found.witness.margin == 0
    at = verifex.radius(None, line_spec(tmp_path, {"linf": F(1, 10)}, (3, 0)))
    assert (at.refuted, at.proved, at.closed) == (0, None, True)


def test_a_reference_outside_of_the_domain(tmp_path: Path) -> None:
    # x0 = (1.25, 0) lies a quarter outside; the first inputs come in there.
    spec = line_spec(tmp_path, {"linf": F(1, 2), "clip": [-1, 1]}, (F(5, 4), 0), F(1))
    found = verifex.radius(None, spec)
    assert (found.refuted, found.closed) == (F(1, 4), True)


def test_what_cannot_be_asked(tmp_path: Path) -> None:
    cases = [
        ({"linf": 1, "l1": 1}, {}, "linf and l1 are given"),
        ({"box": [0, 1]}, {}, "no radius is given"),
        ({"linf": {"x[0]": 1}}, {}, "region.linf: several radii"),
        ({"linf": 1}, {"key": "l3"}, "no radius is called l3"),
        ({"linf": 1}, {"feature": "z"}, "feature z: unknown feature 'z'"),
        ({"linf": 1, "freeze": [1]}, {"feature": "1"}, "does not move"),
    ]
    for region, more, says in cases:
        with pytest.raises(InputError, match=says):
            verifex.radius(None, line_spec(tmp_path, region), **more)
    for tolerance in (0, 1, -1):
        with pytest.raises(UsageError, match="tolerance"):
            verifex.radius(None, line_spec(tmp_path, {"linf": 1}), tolerance=tolerance)


def test_ctrl_c_gives_what_is_known(tmp_path: Path) -> None:
    def progress(stage: str, result: str) -> None:
        if stage == "radius" and "refuted" in result:
            raise KeyboardInterrupt

    found = verifex.radius(None, line_spec(tmp_path, {"linf": 1}), progress=progress)
    assert found.interrupted
    assert found.proved is not None
    assert found.exit_code == 2


@pytest.mark.parametrize("at", ["certify", "decide", "nearer"])
def test_a_stop_gives_what_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Whatever is being done then; what was shown is claimed where it is no longer checked."""
    module = importlib.import_module(
        "verifex.certificate.radius_ends.find" if at == "certify"
        else "verifex.engine.radius.radius_search")
    stop, known, work = StopRequest(), list[RadiusVerdict](), getattr(module, at)

    def stopping(*given: Any, **named: Any) -> Any:
        if at != "decide" or known:
            stop.set()
        assert stop.so_far is not None
        known[:] = stop.so_far()
        return work(*given, **named)

    monkeypatch.setattr(module, at, stopping)
    asked = read_radius(None, line_spec(tmp_path, {"linf": 1}))
    (found,) = find_radii(asked, Settings(), RadiusOptions(), stop=stop)
    assert found.interrupted
    assert found.reasons[0].kind is ReasonKind.INTERRUPTED
    assert len([r for r in found.reasons if r.kind is ReasonKind.INTERRUPTED]) == 1
    assert known[0].interrupted
    shown = [t.radius for t in found.trials if t.outcome is Outcome.CLAIMED]
    assert max(found.proved or 0, found.claimed or 0) == max(shown)
    if at == "certify":
        assert (found.proved, found.claimed) == (None, max(shown))
    assert found.refuted is None or found.refuted >= 3
    assert (found.refuted is not None) == (at == "nearer")


def test_answers_before_a_stop_are_kept(tmp_path: Path) -> None:
    stop, known, done = StopRequest(), list[RadiusVerdict](), list[str]()

    def log(entry: dict[str, Any]) -> None:
        if entry["event"] == "radius":
            done.append(entry["features"])
        elif done == ["x[0]"] and entry["event"] == "stage" and stop.so_far is not None:
            known[:] = stop.so_far()
            stop.set()

    asked = read_radius(None, line_spec(tmp_path, {"linf": 1, "clip": [-9, 9]}), None, ["all"])
    found = find_radii(asked, Settings(check=False), RadiusOptions(), log=log, stop=stop)
    assert [one.features for one in found] == [one.features for one in known] == ["x[0]", "x[1]"]
    assert [one.interrupted for one in found] == [one.interrupted for one in known] == [False, True]
    assert found[0].refuted == known[0].refuted == 3


def test_distances_of_l2_are_rounded_up() -> None:
    rng = random.Random(4)
    for _ in range(300):
        square = F(rng.randint(0, 10**9), rng.randint(1, 10**9)) * F(10) ** rng.randint(-40, 40)
        root = root_above(square)
        assert root * root >= square
        assert root * root <= square * (1 + F(1, 10**14))
    assert root_above(F(9, 16)) == F(3, 4)
    assert distance("l2", [F(3), F(-4)]) == 5
    assert distance("l1", [F(3), F(-4)]) == 7
    assert distance("linf", [F(3), F(-4)]) == 4


# --- certificates ---------------------------------------------------------------------------


def test_certificates_of_both_ends(tmp_path: Path) -> None:
    rng = random.Random("ends")
    spec = ask(tmp_path, network(rng, [3, 4, 2]), {
        "input": {"point": [F(1, 3), F(1, 5), F(-1, 7)]}, "region": {"linf": F(1, 10)},
        "require": [{"component": 0, "at_most": 3, "at_least": -3}, {"class": "unchanged"}]})
    (asked,) = load_radius(spec)
    kept = tmp_path / "kept.vxc"
    found = verifex.radius(None, spec, most=100, seconds=120, certificate=kept)
    sound(asked, found)
    assert found.closed
    assert found.certificate is not None
    assert found.certificate["spec"] == str(tmp_path / "kept.toml")
    assert run_checker(tmp_path / "net.onnx", tmp_path / "kept.toml", kept).valid
    assert load_radius(tmp_path / "kept.toml")[0].guess == found.proved
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "kept.toml", "kept.vxc", "net.onnx", "spec.toml"]


def test_what_is_given_in_memory_is_proved(tmp_path: Path) -> None:
    path = line_spec(tmp_path, {"linf": 1})
    spec, network = verifex.load_spec(path), (tmp_path / "net.onnx").read_bytes()
    found = verifex.radius(network, spec)
    assert found.closed
    assert found.refuted == 3
    kept = tmp_path / "kept.vxc"
    found = verifex.radius(network, spec, certificate=kept)
    assert found.certificate is not None
    document = tomllib.loads((tmp_path / "kept.toml").read_text())
    assert run_checker(tmp_path / document["network"], tmp_path / "kept.toml", kept).valid


def test_a_proof_is_not_accepted_for_more_than_it_shows(tmp_path: Path) -> None:
    """What was shown of a radius is refused as the proof of a refuted one."""
    spec = line_spec(tmp_path, {"linf": 1})
    (asked,) = load_radius(spec)
    verdict = decide(asked.at(F(2)))
    assert verdict.outcome is Outcome.CLAIMED
    for radius, outcome in ((F(2), Outcome.PROVED), (F(7, 2), Outcome.CLAIMED)):
        files = asked.files
        assert files is not None
        named = radius_files(files, asked, radius, tmp_path / "end.toml")
        assert certify(asked.at(radius), verdict, named, 30.0).outcome is outcome


@pytest.mark.parametrize("refresh", [None, False])
def test_splits_of_one_radius_start_the_next(tmp_path: Path, refresh: bool | None) -> None:
    """The tree of a smaller region closes a greater one with less work, and is a proof of it."""
    layers = network(random.Random("replant 0"), [5, 8, 8, 2])
    asked_of = {
        "input": {"point": [F(k, 7) for k in range(5)]}, "region": {"linf": F(1, 10)},
        "explain": {"output": "logit:0"}}
    spec = ask(tmp_path, layers, {**asked_of, "require": [{"class": "unchanged"}]})
    most = verifex.bound(None, spec, "norm:l1", check=False).high.best_bound
    assert most is not None
    bound = F(most * 1.02).limit_denominator(1000)
    spec = ask(tmp_path, layers, {
        **asked_of, "require": [{"expression": "norm:l1", "at_most": bound}]})
    (asked,) = load_radius(spec)
    options = SearchOptions(refresh=refresh)
    smaller = decide_search(asked.at(F(9, 100)), Budget(60.0), options).closed
    alone = decide_search(asked.at(F(1, 10)), Budget(60.0), options)
    helped = decide_search(asked.at(F(1, 10)), Budget(60.0), options, like=smaller)
    assert smaller is not None
    assert alone.closed is not None
    assert helped.closed is not None
    assert helped.stats.domains < alone.stats.domains
    assert helped.closed.proof.open == 0
    assert asked.files is not None
    files = radius_files(asked.files, asked, F(1, 10), tmp_path / "end.toml")
    verdict = Verdict(Outcome.CLAIMED, proof=helped.closed)
    assert certify(asked.at(F(1, 10)), verdict, files, 30.0).outcome is Outcome.PROVED
    # On a region where the claim fails the same splits close nothing.
    failing = decide_search(asked.at(F(3)), Budget(60.0), options, like=smaller)
    assert failing.closed is None
    assert failing.witness is not None


def test_splits_of_another_graph_are_left_alone(tmp_path: Path) -> None:
    rng = random.Random("other")
    spec = {"input": {"point": [0, 0]}, "region": {"linf": 1}, "require": [{"class": "unchanged"}]}
    problems = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        path = ask(tmp_path / name, network(rng, [2, 4, 2]), spec)
        problems.append(load_radius(path)[0].at(F(1)))
    layouts = [Layout(p.graph, tuple(p.targets())) for p in problems]
    proof = Proof([ProofNode(-1, children=(1, 2)), ProofNode(0, gate=1, sign=1, closed="bounds"),
                   ProofNode(0, gate=1, sign=-1, closed="bounds")])
    record = Closed(layouts[0], [], proof, [])
    if layouts[0].gates:
        found = replanted(record, layouts[0])
        assert found is not None
        assert found.signs[:, 1].tolist() in ([1, -1], [-1, 1])
        assert found.proof.open == 2
    assert replanted(record, layouts[1]) is None
    assert replanted(None, layouts[0]) is None
