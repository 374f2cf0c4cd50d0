"""The search by programs of all units: right answers, ties included, and proofs that check."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import checker_parts as checker
from tests.helpers.marks import first_quick
from tests.helpers.small_nets import relu_net
from verifex.certificate.write import proof_lines, write
from verifex.engine.budget import Budget
from verifex.engine.decide import decide
from verifex.engine.search.programs.search import ProgramSearch
from verifex.engine.search.programs.units import UnitMultipliers, shortened
from verifex.engine.verdict import Outcome
from verifex.errors import UnsupportedError
from verifex.frontend.onnx.export import to_onnx
from verifex.ir.graph import Graph
from verifex.ir.model.solving import Status
from verifex.ir.region import LinearRow
from verifex.limits.checkpoint import CutOff
from verifex.problem.read import ReadProblem
from verifex.reading import read
from verifex.semantics.evaluate import evaluate_exact
from verifex.settings import Settings
from verifex.solvers import regions


def random_graph(rng: np.random.Generator) -> Graph:
    """One or two hidden layers; weights and biases are multiples of 1/8."""
    widths = [2, *rng.integers(3, 6, size=rng.integers(1, 3)).tolist(), 3]
    graph, _, out = relu_net([
        (rng.integers(-8, 9, size=(b, a)) / 8, rng.integers(-8, 9, size=b) / 8)
        for a, b in itertools.pairwise(widths)])
    return graph.build({"y": out})


def asked(rng: np.random.Generator, graph: Graph, tie: bool) -> str:
    """A conjunction or a disjunction of comparisons of outputs with what they are at a point of the
    box [-1, 1]^2: a little more, or with `tie` just that; some are strict."""
    (out,) = graph.outputs.values()
    at = [Fraction(int(v), 4) for v in rng.integers(-4, 5, size=2)]
    values = evaluate_exact(graph, at, [out])[out].fractions()
    parts = []
    for k in range(3):
        row = rng.integers(-2, 3, size=3)
        if not row.any():
            row[k] = 1
        far = Fraction(0) if tie else Fraction(int(rng.integers(-8, 25)), 16)
        least = sum((int(c) * v for c, v in zip(row, values, strict=True)), far)
        form = " ".join(f"(* {c} Y_{j})" for j, c in enumerate(row.tolist()) if c)
        form = f"(+ {form})" if np.count_nonzero(row) > 1 else form
        parts.append(f"({rng.choice(['>=', '>'])} {form} {decimal(least)})")
    if rng.random() < 0.3:
        return f"(assert (or {' '.join(f'(and {p})' for p in parts[:2])}))"
    return "\n".join(f"(assert {p})" for p in parts)


def decimal(value: Fraction) -> str:
    """A dyadic number as SMT-LIB writes it."""
    text = f"{abs(value.numerator)}.0"
    if value.denominator > 1:
        places = value.denominator.bit_length() - 1
        digits = str(abs(value.numerator) * 5**places).rjust(places + 1, "0")
        text = f"{digits[:-places]}.{digits[-places:]}"
    return f"(- {text})" if value < 0 else text


def question(seed: int, tie: bool, folder: Path, extra: str = "") -> ReadProblem:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    (folder / "net.onnx").write_bytes(to_onnx(graph))
    lines = [f"(declare-const X_{i} Real)" for i in range(2)]
    lines += [f"(declare-const Y_{i} Real)" for i in range(3)]
    lines += [f"(assert (>= X_{i} (- 1.0)))\n(assert (<= X_{i} 1.0))" for i in range(2)]
    query = folder / "query.vnnlib"
    query.write_text("\n".join([*lines, extra, asked(rng, graph, tie)]) + "\n")
    return read(folder / "net.onnx", query)


def searched(found: ReadProblem) -> ProgramSearch | None:
    try:
        search = ProgramSearch(found.problem, Budget(60.0))
    except UnsupportedError:
        return None
    search.go_on()
    return search


def accepted(found: ReadProblem, search: ProgramSearch, folder: Path) -> bool:
    path = folder / "proof.vxc"
    write(path, proof_lines(found.problem, found.files, search.record()))
    code, text = checker.check([str(folder / "net.onnx"), str(folder / "query.vnnlib"), str(path)])
    return (code, text) == (0, "valid")


@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize("block", first_quick(range(6)))
def test_answers_agree_with_enumeration_and_proofs_are_accepted(
    block: int, tie: bool, tmp_path: Path
) -> None:
    closed = witnesses = 0
    for seed in range(20 * block, 20 * block + 20):
        found = question(seed, tie, tmp_path)
        search = searched(found)
        if search is None:
            continue
        truth = regions.decide(found.problem, 60.0).status
        if search.witness is not None:
            witnesses += 1
            assert truth is Status.OPTIMAL, seed
            assert found.problem.region.contains(search.witness.point), seed
        elif search.finished:
            closed += 1
            assert truth is Status.INFEASIBLE, seed
            assert accepted(found, search, tmp_path), seed
        else:
            assert search.stuck, seed
    assert witnesses >= 2
    assert closed >= 2


@pytest.mark.parametrize("seed", range(12))
def test_rows_of_the_region_cut_it(seed: int, tmp_path: Path) -> None:
    found = question(seed, False, tmp_path)
    row = LinearRow({0: Fraction(1), 1: Fraction(seed % 3 - 1)}, Fraction(seed - 8, 8))
    problem = replace(found.problem, region=replace(found.problem.region, rows=(row,)))
    search = searched(replace(found, problem=problem))
    if search is None:
        return
    truth = regions.decide(problem, 60.0).status
    assert (search.witness is not None) == (truth is Status.OPTIMAL)
    assert search.finished == (truth is Status.INFEASIBLE)


def test_slices_come_to_the_same_tree(tmp_path: Path) -> None:
    """A search that is ended after every program goes on where it was."""
    compared = 0
    for seed in range(40):
        found = question(seed, False, tmp_path)
        whole = searched(found)
        if whole is None or not whole.finished or whole.stats.programs < 3:
            continue
        ticks = itertools.count()
        search = ProgramSearch(found.problem, Budget(1e9, stopped=lambda t=ticks: next(t) % 3 == 2))
        rounds = 0
        while not search.ended:
            search.go_on()
            rounds += 1
        assert rounds > 1
        assert search.finished
        assert accepted(found, search, tmp_path)
        compared += 1
    assert compared > 2


def test_what_is_cut_off_stays_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Time that ends within exact arithmetic, or memory, loses no domain."""
    def cut(*_: object) -> None:
        raise CutOff

    compared = 0
    for seed in range(40):
        found = question(seed, False, tmp_path)
        whole = searched(found)
        if whole is None or whole.witness is None:
            continue
        search = ProgramSearch(found.problem, Budget(60.0))
        with monkeypatch.context() as patch:
            patch.setattr("verifex.engine.search.programs.search.refute", cut)
            with pytest.raises(CutOff):
                search.go_on()
        assert search.open
        assert not search.finished
        search.go_on()
        assert search.witness is not None
        compared += 1
    assert compared > 2


def test_any_multipliers_give_a_bound(tmp_path: Path) -> None:
    """The sum of the atoms is nowhere above what random multipliers leave of it."""
    rng = np.random.default_rng(5)
    for seed in range(12):
        found = question(seed, False, tmp_path)
        search = searched(found)
        if search is None:
            continue
        units, forms = search.units, search.units.of_atoms(search.atoms)
        signs = np.zeros(search.layout.gates, dtype=np.int8)
        bounds = units.bounds(signs)
        assert bounds is not None
        used = shortened(UnitMultipliers(
            rng.random(len(search.atoms)), rng.normal(size=units.count) * 2, np.zeros(0)))
        bound = units.combine(forms, used, signs, *bounds).value
        for x in rng.uniform(-1, 1, size=(40, 2)):
            values = search.net.values(x[None])
            total = sum(
                w * (float(a.form.const) + sum(
                    float(c) * values[n][0, k] for (n, k), c in a.form.terms))
                for w, a in zip(used.atoms, search.atoms, strict=True))
            assert -total >= bound - 1e-9


def test_without_the_other_atoms_nothing_is_excluded(tmp_path: Path) -> None:
    refused = 0
    for seed in range(60):
        found = question(seed, False, tmp_path)
        search = searched(found)
        if search is None or not search.finished:
            continue
        lines = list(proof_lines(found.problem, found.files, search.record()))
        alone = [{k: v for k, v in line.items() if k != "atoms" or "bound" not in line}
                 for line in lines]
        if alone != lines:
            write(tmp_path / "alone.vxc", iter(alone))
            code, _ = checker.check([str(tmp_path / name) for name in (
                "net.onnx", "query.vnnlib", "alone.vxc")])
            refused += code != 0
    assert refused > 2


def test_what_is_not_taken_is_named(tmp_path: Path) -> None:
    """Two conjunctions, either of which violates the claim, unless bounds exclude one."""
    refused = 0
    for seed in range(6):
        question(seed, False, tmp_path)
        text = (tmp_path / "query.vnnlib").read_text().split("(assert (")[0]
        ends = "".join(f"(assert (>= X_{i} (- 1.0)))(assert (<= X_{i} 1.0))" for i in range(2))
        (tmp_path / "nested.vnnlib").write_text(text + ends + (
            "(assert (or (and (>= Y_0 0) (>= Y_1 0)) (and (<= Y_0 0) (>= Y_2 0))))"))
        problem = read(tmp_path / "net.onnx", tmp_path / "nested.vnnlib").problem
        with contextlib.suppress(UnsupportedError):
            ProgramSearch(problem, Budget(1.0))
            continue
        refused += 1
    assert refused >= 2


@pytest.mark.parametrize("seed", range(6))
def test_decided_as_an_engine_with_a_proof(seed: int, tmp_path: Path) -> None:
    found = question(seed, False, tmp_path)
    verdict = decide(found.problem, Settings(seconds=20.0, engine="programs", attack=False))
    if any("no plain" in str(reason) for reason in verdict.reasons):
        return
    truth = regions.decide(found.problem, 60.0).status
    assert (verdict.outcome is Outcome.REFUTED) == (truth is Status.OPTIMAL)
    assert (verdict.outcome is Outcome.CLAIMED) == (truth is Status.INFEASIBLE)
    assert verdict.proof is not None or truth is Status.OPTIMAL
