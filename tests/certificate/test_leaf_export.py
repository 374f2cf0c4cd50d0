"""Leaves of certificates as SMT-LIB questions: z3 and cvc5 both find that nothing is left there.

    python -m tests.certificate.test_leaf_export --count 500 --document docs/certificates.md
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.certificate.spoiled import LAZY
from tests.helpers import checker_parts as checker
from tests.helpers.document import section
from tests.helpers.spec_nets import Pair, pair
from verifex.certificate.leaf import Leaf, leaves, restrict
from verifex.certificate.write import proof_lines, write
from verifex.cli.export import question_text
from verifex.engine.budget import Budget
from verifex.engine.search.claims import decide_search
from verifex.ir.formula import And, Atom, Form, Formula
from verifex.ir.problem import Problem
from verifex.problem.spec.build import read_problem

pytest.importorskip("z3")
pytest.importorskip("cvc5")

QUICK, COUNT, A_PROOF = 20, 500, 8
KINDS = ("component", "l1", "output", "linf", "mass", "top_k", "order")
SECONDS = 20


def z3_says(text: str) -> str:
    import z3

    solver = z3.Solver()
    solver.set("timeout", SECONDS * 1000)
    solver.from_string(text)
    return str(solver.check())


def cvc5_says(text: str) -> str:
    import cvc5

    solver = cvc5.Solver(cvc5.TermManager())
    solver.setOption("tlimit-per", str(SECONDS * 1000))
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "leaf")
    said, symbols = "", parser.getSymbolManager()
    while not (command := parser.nextCommand()).isNull():
        out = command.invoke(solver, symbols).strip()
        said = out or said
        if said in ("sat", "unsat", "unknown"):
            break  # what follows asks for values
    return said


def proofs(folder: Path, first: int = 2000) -> Iterator[tuple[Pair, Problem, Path]]:
    """Certificates of at least two leaves that the checker accepts."""
    for seed in range(first, first + 4000):
        p = pair(seed, folder, KINDS[seed % len(KINDS)], hard=True)
        problem = p.problem()
        result = decide_search(problem, Budget(10.0, 1 << 30, 1), LAZY)
        if result.closed is None or result.stats.ties or result.closed.proof.leaves < 2:
            continue
        path = folder / f"proof{seed}.vxc"
        write(path, proof_lines(problem, read_problem(p.spec, p.network).files, result.closed))
        if checker.check([str(p.network), str(p.spec), str(path)])[0] == 0:
            yield p, problem, path


def picked(folder: Path, count: int) -> Iterator[tuple[str, Problem, Leaf]]:
    """Leaves, some from each proof, evenly spread over it."""
    left = count
    for p, problem, path in proofs(folder):
        found = list(leaves(path, read_problem(p.spec, p.network).files))
        for leaf in found[:: -(-len(found) // min(A_PROOF, left))]:
            yield f"{p.kind} {p.seed}, leaf {leaf.number}", problem, leaf
            left -= 1
        if left <= 0:
            return


def without_splits(leaf: Leaf) -> Leaf:
    return replace(leaf, splits=())


def test_leaves_are_refuted_by_both_solvers(tmp_path: Path) -> None:
    asked = 0
    for name, problem, leaf in picked(tmp_path, QUICK):
        part = restrict(problem, leaf)
        assert part.assume != problem.assume or part.region != problem.region, name
        text, _ = question_text("smtlib", part)
        assert (z3_says(text), cvc5_says(text)) == ("unsat", "unsat"), name
        asked += 1
    assert asked >= QUICK


def _easier(f: Formula, room: Fraction) -> Formula:
    """The requirement asking for `room` more in every atom: more can break it."""
    if isinstance(f, Atom):
        return Atom(Form(f.form.terms, f.form.const - room), f.strict)
    assert isinstance(f, And)
    return And(tuple(_easier(p, room) for p in f.parts))


def test_a_weakened_leaf_is_not_refuted(tmp_path: Path) -> None:
    """The same leaf of a stronger claim has points, and both solvers find one."""
    for p, problem, path in proofs(tmp_path):
        leaf = next(iter(leaves(path, read_problem(p.spec, p.network).files)))
        if p.kind not in ("component", "output"):
            continue
        strong = replace(problem, require=_easier(problem.require, Fraction(1000)))
        text, _ = question_text("smtlib", restrict(strong, without_splits(leaf)))
        assert (z3_says(text), cvc5_says(text)) == ("sat", "sat")
        return
    pytest.fail("no proof of a bound")


def test_a_missing_leaf_is_named(tmp_path: Path) -> None:
    from verifex.certificate.leaf import leaf_problem
    from verifex.errors import InputError

    p, problem, path = next(proofs(tmp_path))
    files = read_problem(p.spec, p.network).files
    assert files is not None
    with pytest.raises(InputError, match="there is no leaf 9999"):
        leaf_problem(problem, files, path, 9999)
    with pytest.raises(InputError, match="made for another file"):
        leaf_problem(problem, replace(files, spec=files.network), path, 0)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--document", type=Path, metavar="FILE")
    asked = parser.parse_args(arguments)
    said: Counter[tuple[str, str]] = Counter()
    kinds: Counter[str] = Counter()
    seconds, wrong = [0.0, 0.0], []
    with tempfile.TemporaryDirectory() as folder:
        for name, problem, leaf in picked(Path(folder), asked.count):
            text, _ = question_text("smtlib", restrict(problem, leaf))
            answers = []
            for k, ask in enumerate((z3_says, cvc5_says)):
                started = time.monotonic()
                answers.append(ask(text))
                seconds[k] += time.monotonic() - started
            said[answers[0], answers[1]] += 1
            kinds[re.split(r"[ ,]", name)[0]] += 1
            if "sat" in answers:
                wrong.append(f"{name}: {answers}")
    total = sum(said.values())
    told = ", ".join(f"z3 {a} / cvc5 {b}: {n}" for (a, b), n in said.most_common())
    print(f"{total} leaves: {told}")
    print("\n".join(wrong) or "no disagreement")
    if asked.document is not None:
        section(asked.document, "Leaves put to z3 and cvc5", f"""Written by the command below.

    python -m tests.certificate.test_leaf_export --count {asked.count} \\
        --document docs/certificates.md

{total} leaves of certificates of small random networks, exported as `verifex export --certificate
proof.vxc --leaf N --smtlib leaf.smt2` does and put to z3 and cvc5: {told}. Disagreements:
{len(wrong)}. Milliseconds a leaf: z3 {1000 * seconds[0] / total:.0f}, cvc5
{1000 * seconds[1] / total:.0f}. Claims: {", ".join(f"{k} {n}" for k, n in sorted(kinds.items()))}.
""")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
