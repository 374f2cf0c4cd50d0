"""The independent questions: their own evaluation, their judgement, and a few of them asked."""

from __future__ import annotations

import json
import random
from collections import Counter
from fractions import Fraction
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.soundness.independent import run
from tests.soundness.independent.architectures import Architect, draw_inputs
from tests.soundness.independent.claims import Combined, Truth
from tests.soundness.independent.explained import Distance, Mass, Similarity, TopK
from tests.soundness.independent.judging import counterexample, judge, seen_truth
from tests.soundness.independent.network import Network, scale_over_root
from tests.soundness.independent.points import Battery, split
from tests.soundness.independent.program import Program, Sum, on
from tests.soundness.independent.queries import holds
from tests.soundness.independent.questions import Question, split_keys
from tests.soundness.independent.regions import Region
from tests.soundness.independent.shares import shares
from tests.soundness.independent.toml import decimal, number
from tests.soundness.independent.world import Explain, Seen, World

SEED = 40


@cache
def made(number: int) -> Question:
    """A question of the seed; made once for all tests."""
    return run.make(SEED, number)


def a_network(seed: int) -> tuple[Network, random.Random]:
    rng = random.Random(seed)
    inputs = draw_inputs(rng)
    size = sum(prod(shape) for _, shape in inputs)
    x0 = tuple(Fraction(rng.randint(-8, 8), 8) for _ in range(size))
    return Architect(str(seed), inputs, x0).network(), rng


def a_world(rows: list[list[float]], bias: list[float], out: list[list[float]],
            attribution: str = "gradient") -> World:
    """A ReLU layer and a linear one, explained by its first output, at x0 = 1, 1, ..."""
    net = Network()
    x = net.input("x", (1, len(rows[0])))
    net.output(net.dense(net.relu(net.dense(x, rows, bias)), out, [0.0] * len(out)))
    size = len(rows[0])
    explain = Explain(attribution, {0: Fraction(1)}, "signed", tuple(range(size)))
    world = World.of(net, (Fraction(1),) * size, explain, False)
    world.settle(random.Random(0))
    return world


def sights(world: World, *x: int | Fraction) -> list[Seen]:
    return world.sides(tuple(map(Fraction, x)), random.Random(0))


# --- evaluation --------------------------------------------------------------------------------


def test_networks_are_what_onnxruntime_makes_of_them() -> None:
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    compared = 0
    for seed in range(80):
        net, rng = a_network(seed)
        try:
            session = runtime.InferenceSession(net.model(), options)
        except runtime.capi.onnxruntime_pybind11_state.NotImplemented:
            continue  # some operators have no float64 there
        x = [Fraction(rng.randint(-16, 16), 8) for _ in range(net.program.inputs)]
        state, feed, at = net.program.at(tuple(x)), {}, 0
        for t in net.inputs:
            part = [float(v) for v in x[at : at + prod(t.shape)]]
            feed[t.name] = np.array(part, np.float64 if net.double else np.float32).reshape(t.shape)
            at += prod(t.shape)
        size = max(abs(float(state.value(e))) for e in range(len(state.values)))
        ours = [float(state.value(e)) for e in net.outputs[0].elements]
        assert session.run(None, feed)[0].ravel() == pytest.approx(ours, abs=1e-4 * size)
        compared += 1
    assert compared > 60


def test_gradients_are_exact_differences_within_a_cell() -> None:
    for seed in range(30):
        net, rng = a_network(seed)
        n = net.program.inputs
        x = tuple(Fraction(rng.randint(-99, 99), 70) for _ in range(n))
        way = tuple(Fraction(rng.randint(-9, 9)) for _ in range(n))
        frame = (tuple(map(int, way)), *(tuple(int(i == j) for j in range(n)) for i in range(n)))
        state = net.program.at(x, frame)
        far = min(net.program.next_break(state, way) or Fraction(1), Fraction(1)) / 2
        there = net.program.at(on(x, way, far))
        for e in net.outputs[0].elements:
            slope = sum(g * w for g, w in zip(state.slope(e), way, strict=True))
            assert there.value(e) - state.value(e) == far * slope


def test_sides_of_a_kink_are_limits() -> None:
    world = a_world([[1.0, 0.0]], [0.0], [[1.0]])
    assert {s.a for s in sights(world, 0, 5)} == {(0, 0), (1, 0)}
    assert {s.a for s in sights(world, 1, 5)} == {(1, 0)}
    twins = a_world([[1.0, 0.0], [1.0, 0.0]], [0.0, 0.0], [[1.0, -1.0]])
    assert {s.a for s in sights(twins, 0, 5)} == {(0, 0)}  # never one open and one shut


def test_a_reference_on_a_kink_is_vague_unless_nothing_depends_on_it() -> None:
    assert a_world([[1.0, -1.0]], [0.0], [[1.0]]).vague
    assert not a_world([[1.0, -1.0]], [0.0], [[0.0]]).vague
    assert not a_world([[1.0, 1.0]], [0.0], [[1.0]]).vague


def test_merged_programs_share_the_inputs_that_they_are_to_share() -> None:
    one, two = Program(2), Program(2)
    a = one.add(Sum(((0, Fraction(2)), (1, Fraction(1))), Fraction(0)))
    b = two.add(Sum(((0, Fraction(1)), (1, Fraction(10))), Fraction(0)))
    both, mine, theirs = one.merged(two, [None, 1])
    state = both.at((Fraction(1), Fraction(2), Fraction(5)))
    assert state.value(mine(a)) == 4  # 2 * 1 + 2
    assert state.value(theirs(b)) == 25  # 5 + 10 * 2


def test_a_scale_over_a_root_is_rounded_once() -> None:
    assert scale_over_root(Fraction(3), Fraction(9, 4)) == 2
    assert scale_over_root(Fraction(-1), Fraction(2)) == Fraction(-0.5**0.5)


# --- definitions -------------------------------------------------------------------------------


def test_a_share_of_nothing_fails_in_every_polarity() -> None:
    world = a_world([[1.0, 1.0]], [0.0], [[1.0]])
    (seen,) = sights(world, -1, -1)  # the attribution is zero
    for bounds in ({"at_least": Fraction(0)}, {"below": Fraction(1)}):
        claim = Mass("[0]", (0,), bounds)
        assert claim.truth(seen) == Truth(False, True)
        assert Combined("not", [claim]).truth(seen) == Truth(False, True)
        assert claim.truth(seen, assumed=True) == Truth(True, True)
        assert Combined("not", [claim]).truth(seen, assumed=True) == Truth(True, True)
        turned = Mass("[0]", (0,), bounds, "holds")
        assert Combined("not", [turned]).truth(seen) == Truth(True, True)
    assert Similarity(Fraction(-1), world.a0).truth(seen) == Truth(False, True)
    assert Distance("l1", True, {}, (Fraction(0),) * 2).refused(world) == "relative to zero"


def test_ties_count_against_the_top_k() -> None:
    world = a_world([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]], [0.0] * 3, [[1.0] * 3])
    (tied,) = sights(world, -1, -1, -1)
    (same,) = sights(world, 1, 1, 1)
    assert [TopK(k, None, False, world.a0).at(same) for k in (1, 2, 3)] == [True, True, True]
    assert [TopK(k, None, False, world.a0).at(tied) for k in (1, 2, 3)] == [False, False, True]
    assert TopK(2, 1, False, world.a0).at(tied)  # two of three hold one of two, whatever they are


def test_inline_tables_are_parted_at_outer_commas() -> None:
    inner = 'any = [{ top_k = 1, tie = "index" }, { order = ["a,b", 1] }], at_least = "1/3"'
    assert [p.strip() for p in split_keys(inner)] == [
        'any = [{ top_k = 1, tie = "index" }, { order = ["a,b", 1] }]', 'at_least = "1/3"']


def test_numbers_as_they_are_written() -> None:
    assert [number(Fraction(v)) for v in ("1/8", "1/3", "-2")] == ["0.125", '"1/3"', "-2"]
    assert decimal(Fraction(-1, 1000)) == "-0.001"


def test_queries_mean_what_they_say() -> None:
    values = {"X_0": Fraction(1, 2), "Y_0": Fraction(3)}
    term = ("-", [("*", [Fraction(2), "X_0"]), "Y_0", Fraction(1)])  # 2 * 1/2 - 3 - 1
    assert holds(("==", [term, Fraction(-3)]), values.__getitem__)
    either = ("or", [(">", ["Y_0", Fraction(3)]), ("and", [("<=", ["Y_0", Fraction(3)])])])
    assert holds(either, values.__getitem__)


# --- points ------------------------------------------------------------------------------------


def test_a_line_is_cut_where_signs_change() -> None:
    def numbers(t: Fraction) -> list[Fraction]:
        return [t - Fraction(1, 3), abs(t - Fraction(1, 3)) - Fraction(1, 10)]

    assert split(numbers, Fraction(0), Fraction(1)) == (
        [Fraction(0), Fraction(7, 30), Fraction(1, 3), Fraction(13, 30), Fraction(1)], True)
    places, exact = split(lambda t: [t * t - Fraction(1, 2)], Fraction(0), Fraction(1))
    assert len(places) == 3
    assert not exact


def test_a_line_with_a_kink_decides_a_claim_completely() -> None:
    world = a_world([[1.0, 0.0]], [-0.5], [[1.0]])
    region = Region([Fraction(0), Fraction(1)], [Fraction(1), Fraction(1)])

    def truth(limit: str) -> str:
        battery = Battery(world, region, random.Random(0))
        battery.complete(lambda s: [s.f[0] - Fraction(limit)])
        question = Question("toml", "output", "python", {}, {}, battery,
                            lambda s: Truth(s.f[0] > Fraction(limit)))
        return seen_truth(question, False)

    assert [truth(v) for v in ("1/2", "0.499999999999999999")] == ["true", "false"]


# --- judgement ---------------------------------------------------------------------------------


def lies(question: Question) -> list[dict[str, Any]]:
    """Wrong answers to a question, as far as its truth was seen."""
    truth = seen_truth(question, False)
    corner = [str(v + 10**6) for v in question.battery.region.hi]
    names = list(question.names)
    outside = {"verdict": "refuted", "witness": corner, "names": names}
    if question.violated is None:
        return []
    if truth == "false":
        kept = counterexample(question, False)
        assert kept is not None
        return [{"verdict": "proved"}, {"verdict": "claimed"}, outside]
    if truth == "true":
        some = question.battery.sights[0].state.point
        return [{"verdict": "refuted", "witness": list(map(str, some)), "names": names}, outside]
    return [outside]


@pytest.mark.slow
def test_wrong_verdicts_are_noticed() -> None:
    count: Counter[str] = Counter()
    for k in range(70):
        question = made(k)
        if question.refused is not None:
            assert judge(question, {"verdict": "unknown"}, ()).wrong
            continue
        for lie in lies(question):
            assert judge(question, lie, ()).wrong, (k, lie)
            count[lie["verdict"]] += 1
        assert judge(question, {"verdict": "crashed", "reason": "?"}, ()).wrong
        assert not judge(question, {"verdict": "refused", "reason": ""}, ()).wrong
    assert min(count.values()) >= 20


def test_wrong_ranges_are_noticed() -> None:
    noticed = 0
    for k in range(100):
        question = made(k)
        if question.violated is not None or question.refused is not None:
            continue
        pairs = [(s, question.values[0](s)) for s in question.battery.sights
                 if question.allowed(s).holds]
        found = sorted((v, j) for j, (_, v) in enumerate(pairs) if v is not None)
        if len(question.values) > 1 or found[-1][0] - found[0][0] < Fraction(1, 100):
            continue
        (low, a), (high, b) = found[0], found[-1]

        def end(v: Fraction, j: int, pairs: Any = pairs) -> dict[str, Any]:
            return {"proven": str(v), "claimed": float(v), "best": float(v), "attained": str(v),
                    "point": list(map(str, pairs[j][0].state.point)), "on_kink": False}

        right = {"low": end(low, a), "high": end(high, b), "closed": True, "exact": True}
        assert not judge(question, {"verdict": "range", "ranges": [right]}, ()).wrong
        short = (high - low) / 100
        for side, key, value in (("high", "proven", str(high - short)),
                                 ("low", "claimed", float(low + short)),
                                 ("high", "attained", str(high + short)),
                                 ("low", "best", float(low - short))):
            false = {**right, side: {**right[side], key: value}}  # type: ignore[dict-item]
            assert judge(question, {"verdict": "range", "ranges": [false]}, ()).wrong, (k, key)
            noticed += 1
    assert noticed >= 12


def test_a_contradiction_is_kept_with_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = next(k for k in range(100) if made(k).refused is None
                 and seen_truth(made(k), False) == "false")
    monkeypatch.setattr(run, "ask", lambda *_: {"verdict": "proved", "seconds": 0.0, "notes": []})
    record, page = tmp_path / "record.jsonl", tmp_path / "page.md"
    words = ["--count", "1", "--seed", str(SEED), "--start", str(wrong), "--record", str(record),
             "--save", str(tmp_path), "--document", str(page)]
    assert run.main(words) == 1
    folder = tmp_path / f"{SEED}-{wrong}"
    told = json.loads((folder / "contradiction.json").read_text())
    assert f"--seed {SEED} --start {wrong} --count 1" in told["again"]
    assert (folder / "net.onnx").is_file()
    assert "## Independent questions" in page.read_text()
    assert len(record.read_text().splitlines()) == 1
    assert run.main(words) == 1  # from the record: nothing is asked again
    assert len(record.read_text().splitlines()) == 1


def test_every_form_and_every_property_is_asked() -> None:
    asked = [made(k) for k in range(100)]
    assert {q.form for q in asked} == set(shares()["form"])
    kinds = {p.kind for q in asked for p in q.claims}
    assert set(shares()["property"]) <= kinds


# --- verifex ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_verifex_contradicts_no_evaluation(tmp_path: Path) -> None:
    records = list(run.asked(range(40), SEED, 1, seconds=5.0, save=str(tmp_path)))
    assert [(r["number"], r["wrong"]) for r in records if r["wrong"]] == []
    said = Counter(r["verdict"] for r in records)
    assert said["refuted"] >= 5
    assert said["proved"] + said["claimed"] >= 4
