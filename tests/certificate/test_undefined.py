"""Shares and cosines of an attribution that is zero, in every polarity, from file to verdict,
against an evaluation of our own in fractions; and what is relative to a reference that is zero."""

from __future__ import annotations

import json
import random
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.helpers import checker_parts as checker
from tests.helpers.checker_nets import agree, ck, claim_of, save_net
from tests.helpers.marks import first_quick
from tests.helpers.spec_nets import text
from verifex import api
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, Verdict
from verifex.errors import InputError
from verifex.frontend.onnx.read import network_source
from verifex.ir.formula import holds
from verifex.problem.spec.build import load_problem
from verifex.problem.spec.model import spec_source
from verifex.semantics.evaluate import evaluate_exact
from verifex.source import QuestionFiles

F = Fraction
ZERO = "where the attribution is zero"
AT_WITNESS = "the attribution is zero at the witness"


@pytest.fixture(scope="module")
def pool() -> Iterator[SolverPool]:
    with SolverPool() as opened:
        yield opened


# --- an evaluation of our own -------------------------------------------------------------------


@dataclass(frozen=True)
class Net:
    """`v . relu(W x + b)`, in fractions."""

    rows: list[list[Fraction]]
    bias: list[Fraction]
    out: list[Fraction]

    def save(self, path: Path) -> Path:
        floats = [np.array(v, dtype=float) for v in (self.rows, self.bias, [self.out])]
        return save_net(path, [(floats[0], floats[1]), (floats[2], [0.0])])

    def units(self, x: Sequence[Fraction]) -> list[Fraction]:
        return [sum((w * v for w, v in zip(row, x, strict=True)), b)
                for row, b in zip(self.rows, self.bias, strict=True)]

    def attribution(self, x: Sequence[Fraction], explain: dict[str, Any]) -> list[Fraction]:
        """The gradient, or input times gradient, of the output: signed or absolute."""
        active = [v * (z > 0) for v, z in zip(self.out, self.units(x), strict=True)]
        found = [sum((a * row[i] for a, row in zip(active, self.rows, strict=True)), F(0))
                 for i in range(len(x))]
        if explain["attribution"] == "input_x_gradient":
            found = [a * v for a, v in zip(found, x, strict=True)]
        found = [abs(a) for a in found] if explain["reduce"] == "abs" else found
        return [found[i] for i in explain.get("features", range(len(x)))]


def truth(p: dict[str, Any], a: Sequence[Fraction], base: Sequence[Fraction],
          features: Sequence[int], default: str, keep: bool = True) -> bool:
    """A property (or its negation) where the attribution is `a`; it is `base` at the reference."""
    if "not" in p:
        return truth(p["not"], a, base, features, default, not keep)
    for word, join in (("all", all), ("any", any)):
        if word in p:
            parts = [truth(q, a, base, features, default) for q in p[word]]
            if keep:
                return join(parts)
            return not join(not truth(q, a, base, features, default, False) for q in p[word])
    if not any(a):
        return bool(p.get("undefined", default) == "holds")
    return ratio(p, a, base, features) == keep


def ratio(p: dict[str, Any], a: Sequence[Fraction], base: Sequence[Fraction],
          features: Sequence[int]) -> bool:
    if "similarity" in p:
        dot = sum((u * v for u, v in zip(a, base, strict=True)), F(0))
        bound = F(p["at_least"])
        # dot / sqrt(s) >= bound, for s = |a|^2 |base|^2
        s = sum(u * u for u in a) * sum(v * v for v in base)
        signed = dot * abs(dot), bound * abs(bound) * s
        return signed[0] >= signed[1]
    share = sum(abs(v) for v, i in zip(a, features, strict=True) if i in p["mass"]) / sum(
        map(abs, a))
    tests = {"at_least": share.__ge__, "at_most": share.__le__, "above": share.__gt__,
             "below": share.__lt__}
    return all(test(F(p[key])) for key, test in tests.items() if key in p)


# --- random questions ---------------------------------------------------------------------------


def drawn_property(rng: random.Random, features: Sequence[int], depth: int = 0) -> dict[str, Any]:
    kind = rng.choice(("mass", "mass", "cosine") + (("not", "all", "any") if depth < 2 else ()))
    if kind == "not":
        return {"not": drawn_property(rng, features, depth + 1)}
    if kind in ("all", "any"):
        return {kind: [drawn_property(rng, features, depth + 1) for _ in range(2)]}
    how = rng.choice(({}, {}, {"undefined": "fails"}, {"undefined": "holds"}))
    if kind == "cosine":
        return {"similarity": "cosine", "at_least": rng.choice((F(-1, 2), F(0), F(1, 2))), **how}
    keys = rng.sample(("at_least", "at_most", "above", "below"), rng.choice((1, 1, 2)))
    mask = rng.sample(list(features), rng.randint(1, len(features)))
    return {"mass": mask, **{k: F(rng.randint(0, 4), 4) for k in keys}, **how}


class Named(NamedTuple):
    network: Path
    spec: Path


def drawn(seed: int, folder: Path) -> tuple[Net, dict[str, Any], Named]:
    """A network that is dead on part of the region, and a spec of its shares and cosines."""
    rng = random.Random(seed)
    n, hidden = rng.randint(2, 3), rng.randint(1, 3)

    def weight() -> Fraction:
        return F(rng.randint(-8, 8), 4)

    net = Net([[weight() for _ in range(n)] for _ in range(hidden)],
              [F(rng.randint(-40, 20), 32) for _ in range(hidden)],
              [weight() or F(1) for _ in range(hidden)])
    features = sorted(rng.sample(range(n), rng.randint(1, n)))
    explain = {
        "attribution": rng.choice(("gradient", "gradient", "input_x_gradient")),
        "output": "logit:0", "reduce": rng.choice(("signed", "abs")), "features": features,
    }
    x0 = next(x for x in iter(lambda: [F(rng.randint(-16, 16), 16) for _ in range(n)], None)
              if all(net.units(x)))
    spec = {
        "network": "net.onnx", "input": {"point": x0}, "region": {"linf": F(rng.randint(1, 3), 2)},
        "explain": explain, "require": [drawn_property(rng, features)],
    }
    if rng.random() < 0.4:
        spec["assume"] = [drawn_property(rng, features)]
    (folder / "spec.toml").write_text(text(spec))
    return net, spec, Named(net.save(folder / "net.onnx"), folder / "spec.toml")


def claim_at(net: Net, spec: dict[str, Any], x: Sequence[Fraction]) -> bool:
    explain = spec["explain"]
    a, base = (net.attribution(at, explain) for at in (x, spec["input"]["point"]))
    chosen = explain["features"]
    assumed = all(truth(p, a, base, chosen, "holds") for p in spec.get("assume", []))
    return not assumed or all(truth(p, a, base, chosen, "fails") for p in spec["require"])


def sampled(net: Net, spec: dict[str, Any], seed: int, count: int) -> list[list[Fraction]]:
    """Points of the region that are on no kink, some of them with zeros."""
    rng, (x0, radius) = random.Random(seed), (spec["input"]["point"], spec["region"]["linf"])
    drawn_ = ([v + radius * rng.randint(-32, 32) / 32 for v in x0] for _ in range(count))
    return [x for x in drawn_ if all(net.units(x))]


def questions(folder: Path, seeds: range) -> Iterator[tuple[int, Net, dict[str, Any], Named]]:
    for seed in seeds:
        net, spec, files = drawn(seed, folder)
        if known(files):
            yield seed, net, spec, files


def known(files: Named) -> bool:
    """Whether the spec is taken; if not, a cosine is asked of a reference that is zero."""
    try:
        load_problem(files.spec, files.network)
        return True
    except InputError as error:
        said = str(error)
    assert "the reference is zero" in said
    with pytest.raises(ck.Bad, match="similarity"):
        claim_of(files.network, files.spec)
    return False


def test_formulas_are_true_where_they_should_be(tmp_path: Path) -> None:
    """Package and checker build the same atoms, and they mean what was written."""
    counts: Counter[tuple[bool, bool]] = Counter()
    for seed, net, spec, files in questions(tmp_path, range(120)):
        agree(files.network, files.spec)
        problem = load_problem(files.spec, files.network)
        for x in sampled(net, spec, seed, 12):
            values = evaluate_exact(problem.graph, x, problem.targets())
            held = not holds(problem.assume, values) or holds(problem.require, values)
            zero = not any(net.attribution(x, spec["explain"]))
            assert held == claim_at(net, spec, x), (seed, x)
            counts[held, zero] += 1
    assert min(counts[held, zero] for held in (True, False) for zero in (True, False)) >= 40, counts


@pytest.mark.timeout(600)
def test_verdicts_in_every_polarity(tmp_path: Path, pool: SolverPool) -> None:
    counts: Counter[str] = Counter()
    for seed, net, spec, files in questions(tmp_path, range(200, 245)):
        verdict = api.verify(None, files.spec, seconds=20.0, pool=pool)
        counts[verdict.outcome.value] += 1
        told = (verdict.extra.get("certificate") or {}).get("check")
        if verdict.outcome is Outcome.PROVED:
            for x in sampled(net, spec, seed, 100):
                assert claim_at(net, spec, x), (seed, x)
        if verdict.witness is not None:
            assert told == "valid (refutation)", (seed, told)
            assert not claim_at(net, spec, verdict.witness.point), seed
            zero = not any(net.attribution(verdict.witness.point, spec["explain"]))
            assert (AT_WITNESS in verdict.notes) == zero, seed
            counts["zero at the witness"] += zero
    assert min(counts[k] for k in ("proved", "refuted", "zero at the witness")) >= 4, counts
    assert counts["unknown"] + counts["claimed"] <= 4, counts


# --- by hand ------------------------------------------------------------------------------------

DEAD = Net([[F(1), F(1)]], [F(-9)], [F(1)])
HALF = Net([[F(1), F(0)]], [F(-1, 2)], [F(2)])  # the gradient is (2, 0) or 0: the share of x0 is 1
LIVE = Net([[F(1), F(0)]], [F(9)], [F(2)])

TRUE_OF_ONE = (  # what holds of a share of 1, or a cosine of 1
    {"mass": [0], "at_least": F(9, 10)}, {"mass": [0], "above": F(9, 10)},
    {"mass": [1], "at_most": F(1, 10)}, {"mass": [1], "below": F(1, 10)},
    {"mass": [0, 1], "at_least": 1}, {"mass": [0], "at_least": F(1, 2), "above": F(1, 4)},
    {"similarity": "cosine", "at_least": F(1, 2)}, {"similarity": "cosine", "at_least": 0},
    {"similarity": "cosine", "at_least": F(-1, 2)},
)


def verify(folder: Path, net: Net, pool: SolverPool, **more: Any) -> Verdict:
    spec = {
        "network": "net.onnx", "input": {"point": [F(7, 8), F(1, 4)]},
        "region": {"box": [0, 1]}, "explain": {"output": "logit:0"}, **more,
    }
    (folder / "spec.toml").write_text(text(spec))
    net.save(folder / "net.onnx")
    verdict = api.verify(None, folder / "spec.toml", seconds=20.0, pool=pool)
    if verdict.outcome in (Outcome.PROVED, Outcome.REFUTED):
        assert verdict.extra["certificate"]["check"].startswith("valid")
    return verdict


@pytest.mark.parametrize("p", first_quick(TRUE_OF_ONE, 2), ids=str)
def test_a_ratio_that_is_undefined_somewhere(
    p: dict[str, Any], tmp_path: Path, pool: SolverPool
) -> None:
    """Neither it nor its negation is proved; `holds` turns both round."""
    for part in (p, {"not": p}, {"not": {"not": p}}):
        verdict = verify(tmp_path, HALF, pool, require=[part])
        assert verdict.outcome is Outcome.REFUTED, part
        assert any(note.startswith(ZERO) and "fails" in note for note in verdict.notes)
    held = {**p, "undefined": "holds"}
    verdict = verify(tmp_path, HALF, pool, require=[held])
    assert verdict.outcome is Outcome.PROVED, verdict.reason
    assert any(note.startswith(ZERO) and "holds" in note for note in verdict.notes)
    false = verify(tmp_path, HALF, pool, require=[{"not": held}])
    assert false.outcome is Outcome.REFUTED
    assert AT_WITNESS not in false.notes
    live = verify(tmp_path, LIVE, pool, require=[p])
    assert live.outcome is Outcome.PROVED
    assert not any(ZERO in note for note in live.notes)


def test_an_attribution_that_is_zero_everywhere(tmp_path: Path, pool: SolverPool) -> None:
    for p in TRUE_OF_ONE:
        if "mass" not in p:
            with pytest.raises(InputError, match="the reference is zero"):
                verify(tmp_path, DEAD, pool, require=[p])
            continue
        for part, kept in ((p, {**p, "undefined": "holds"}),
                           ({"not": p}, {"not": {**p, "undefined": "holds"}})):
            false = verify(tmp_path, DEAD, pool, require=[part])
            assert false.outcome is Outcome.REFUTED
            assert AT_WITNESS in false.notes
            assert verify(tmp_path, DEAD, pool, require=[kept]).outcome is Outcome.PROVED


@pytest.mark.parametrize("wrap", first_quick([
    lambda p: {"not": {"any": [{"not": p}]}}, lambda p: p, lambda p: {"not": {"not": p}},
    lambda p: {"all": [p, p]}, lambda p: {"any": [p, p]},
]))
def test_an_undefined_assumption_excludes_nothing(
    wrap: Any, tmp_path: Path, pool: SolverPool
) -> None:
    """component 0 is 2 where the share is defined, and 0 elsewhere."""
    require = [{"component": 0, "at_least": 1}]
    for p in ({"mass": [0], "at_least": F(1, 2)}, {"mass": [0], "above": F(1, 2)},
              {"not": {"mass": [0], "below": F(1, 2)}}, {"not": {"mass": [0], "at_most": 0}}):
        said = verify(tmp_path, HALF, pool, require=require, assume=[wrap(p)])
        assert said.outcome is Outcome.REFUTED, p
        assert any(note.startswith(ZERO) and "holds" in note for note in said.notes)
        cut = {"not": {**p["not"], "undefined": "fails"}} if "not" in p else {
            **p, "undefined": "fails"}
        said = verify(tmp_path, HALF, pool, require=require, assume=[wrap(cut)])
        assert said.outcome is Outcome.PROVED, (p, said.reason)


def test_a_proof_of_the_one_reading_is_none_of_the_other(tmp_path: Path, pool: SolverPool) -> None:
    """A certificate for `holds`, with the hash of the spec that says `fails`."""
    p = {"mass": [0], "at_least": F(9, 10), "undefined": "holds"}
    for part in (p, {"not": {"mass": [0], "below": F(9, 10), "undefined": "holds"}}):
        verify(tmp_path, HALF, pool, require=[part])
        spec, proof = tmp_path / "spec.toml", tmp_path / "proof.vxc"
        assert api.verify(None, spec, certificate=proof, pool=pool).outcome is Outcome.PROVED
        names = [str(tmp_path / name) for name in ("net.onnx", "spec.toml", "proof.vxc")]
        assert checker.check(names)[0] == 0
        spec.write_text(spec.read_text().replace('"holds"', '"fails"'))
        head, *lines = proof.read_text().splitlines()
        files = QuestionFiles(network_source(tmp_path / "net.onnx"), spec_source(spec))
        hashed = {**json.loads(head), **files.hashes()}
        del hashed["atoms"], hashed["nodes"]
        proof.write_text("\n".join([json.dumps(hashed), *lines]) + "\n")
        code, said = checker.check(names)
        assert code == 1, said
        assert "hash" not in said


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_nothing_is_relative_to_a_reference_that_is_zero(
    norm: str, tmp_path: Path, pool: SolverPool
) -> None:
    for bound in ({"at_most": F(1, 10)}, {"at_least": 5}, {"above": 0}, {"below": 7}):
        for part in ({"distance": norm, "relative": True, **bound},
                     {"not": {"distance": norm, "relative": True, **bound}}):
            with pytest.raises(InputError, match="relative: the reference is zero"):
                verify(tmp_path, DEAD, pool, require=[part])
            with pytest.raises(ck.Bad, match="relative to a reference that is zero"):
                claim_of(tmp_path / "net.onnx", tmp_path / "spec.toml")
    plain = verify(tmp_path, DEAD, pool, require=[{"distance": norm, "at_most": 0}])
    assert plain.outcome is Outcome.PROVED
    part = {"distance": norm, "relative": True, "at_most": 1}
    assert verify(tmp_path, HALF, pool, require=[part]).outcome is Outcome.PROVED


@pytest.mark.parametrize("wrong", [
    'mass = [0]\nat_least = 0.5\nundefined = "true"', 'mass = [0]\nat_least = 0.5\nundefined = 1',
    'similarity = "cosine"\nat_least = 0.5\nundefined = ""',
    'component = 0\nat_least = 0.5\nundefined = "holds"',
    'distance = "l1"\nat_most = 1\nrelative = 1', "all = []", "any = []", "not = { any = [] }",
])
def test_both_sides_refuse_what_they_do_not_know(
    wrong: str, tmp_path: Path, pool: SolverPool
) -> None:
    verify(tmp_path, HALF, pool, require=[{"mass": [0], "at_least": 1}])
    path = tmp_path / "spec.toml"
    path.write_text(path.read_text().split("[[require]]")[0] + "[[require]]\n" + wrong)
    assert tomllib.loads(path.read_text())["require"]
    with pytest.raises(InputError):
        load_problem(path, tmp_path / "net.onnx")
    with pytest.raises(ck.Bad):
        claim_of(tmp_path / "net.onnx", path)


def test_ranges_and_differences_take_the_same_assumptions(tmp_path: Path, pool: SolverPool) -> None:
    """An undefined assumption excludes nothing there either, and the notes say so."""
    part = {"mass": [0], "at_least": F(1, 2)}
    verify(tmp_path, HALF, pool, require=[part], assume=[part])
    spec = tmp_path / "spec.toml"
    found = api.bound(None, spec, "component:0", seconds=20.0, pool=pool)
    assert (found.low.attained, found.high.attained) == (0, 2)
    assert any(note.startswith(ZERO) for note in found.notes)
    spec.write_text(spec.read_text().replace("[[assume]]", '[[assume]]\nundefined = "fails"'))
    cut = api.bound(None, spec, "component:0", seconds=20.0, pool=pool)
    assert cut.high.attained == 2
    assert cut.low.attained != 0
