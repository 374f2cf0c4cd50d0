"""Planted counterexamples: no decider proves or claims what only a millionth of the region breaks.

    python -m tests.soundness.test_planted --networks 100 --document docs/fuzz-engine.md

Each network (see `planted.py`) is put to the attack alone, to the default pipeline, to the search
alone and to every solver alone, after its planted point was replayed exactly; and as files (an ONNX
network and a query of VNN-LIB 1.0) to `verify`, which checks certificates. The exit code is 1 where
any of them says `proved` or `claimed`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.helpers.document import section
from tests.soundness.planted import LIMIT, Planted, planted
from verifex import api
from verifex.engine.decide import decide
from verifex.engine.falsify.witness import replay
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, Verdict
from verifex.problem.vnnlib.translate import write_translation
from verifex.settings import Settings

NETWORKS, QUICK = 100, 16
DECIDERS = ("attack", "default", "files", "search", "highs", "scip", "z3", "cvc5")
TITLE = "Planted counterexamples"
WRONG = (Outcome.PROVED, Outcome.CLAIMED)


@dataclass
class Report:
    """What every decider said: (decider, group) -> outcomes; what the default pipeline says where
    nothing is planted; and everything that is wrong."""

    said: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    networks: list[Planted] = field(default_factory=list)
    seconds: Counter[str] = field(default_factory=Counter)
    without: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, p: Planted, outcome: Outcome, seconds: float) -> None:
        self.said.setdefault((name, group(p)), Counter())[outcome.value] += 1
        self.seconds[name] += seconds
        if outcome in WRONG:
            self.wrong.append(f"seed {p.seed} ({p.about}, {p.inputs} inputs, {p.kind}): "
                              f"{name} says {outcome.value}")

    def count(self, name: str, outcome: str) -> int:
        return sum(c[outcome] for (n, _), c in self.said.items() if n == name)


def group(p: Planted) -> str:
    return f"{p.about}, {'few' if p.inputs <= 5 else 'many'} inputs"


def options(name: str, seconds: float, seed: int) -> Settings:
    if name == "default":
        return Settings(seconds=seconds, seed=seed)
    if name == "attack":
        return Settings(seconds=seconds, solvers=(), search=False, seed=seed)
    if name == "search":
        return Settings(seconds=seconds, solvers=(), attack=False, seed=seed)
    return Settings(seconds=seconds, solvers=(name,), attack=False, search=False, seed=seed)


def by_files(p: Planted, seconds: float, pool: SolverPool) -> Verdict:
    """What `verify` says of the problem as files, certificates and their checks included."""
    with tempfile.TemporaryDirectory() as folder:
        network, query = Path(folder) / "net.onnx", Path(folder) / "query.vnnlib"
        write_translation(p.problem, network, query)
        return api.verify(network, query, seconds=seconds, seed=p.seed, pool=pool)


def survey(seeds: range, deciders: Sequence[str], seconds: float) -> Report:
    """Put the networks of some seeds to the deciders."""
    report = Report()
    with SolverPool() as pool:
        for seed in seeds:
            p = planted(seed)
            report.networks.append(p)
            if not replay(p.problem, p.point).refutes or not p.share < LIMIT:
                report.wrong.append(f"seed {seed}: nothing is planted")
            for name in deciders:
                if name == "files":
                    verdict = by_files(p, seconds, pool)
                else:
                    verdict = decide(p.problem, options(name, seconds, seed), pool)
                report.add(name, p, verdict.outcome, verdict.seconds)
            said = decide(p.without, options("default", seconds, seed), pool).outcome
            report.without[said.value] += 1
            if said is Outcome.REFUTED:
                report.wrong.append(f"seed {seed}: refuted without the plant")
    return report


def test_the_same_seed_plants_the_same() -> None:
    for seed in range(4):
        first, again = planted(seed), planted(seed)
        assert first.problem == again.problem
        assert first.point == again.point


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_planted_is_claimed_away() -> None:
    report = survey(range(QUICK), ("files", "search"), 2.0)
    assert not report.wrong
    kinds = {(p.about, p.inputs <= 5, p.layers) for p in report.networks}
    assert len(kinds) == 8
    assert report.count("files", "refuted") >= QUICK // 4
    assert report.without["claimed"] >= QUICK // 4  # what is not planted is claimed


def document(report: Report, command: str, seconds: float, wall: float) -> str:
    groups = sorted({g for _, g in report.said})
    names = list(dict.fromkeys(n for n, _ in report.said))
    rows = []
    for n in names:
        cells = [f"{report.said[n, g]['refuted']} + {report.said[n, g]['unknown']}" for g in groups]
        found = report.count(n, "refuted"), report.count(n, "unknown")
        wrong = sum(report.count(n, o.value) for o in WRONG)
        mean = 1000 * report.seconds[n] / len(report.networks)
        cells.append(f"{found[0]} + {found[1]}")
        rows.append(f"| {n} | {' | '.join(cells)} | {wrong} | {mean:.0f} |")
    header = f"| decider | {' | '.join(groups)} | all | claimed or proved | ms a network |"
    table = "\n".join([header, "|---" * (len(groups) + 4) + "|", *rows])
    kinds = ", ".join(f"{k} {v}" for k, v in sorted(Counter(
        p.kind for p in report.networks).items()))
    c = report.without
    inputs = sorted({p.inputs for p in report.networks})
    largest = max(p.share for p in report.networks)
    wrong = "\n".join(f"* {w}" for w in report.wrong)
    return f"""Written by the command below; the numbers are what it found.

    {command}

{len(report.networks)} random ReLU networks ({inputs[0]} to {inputs[-1]} inputs) of which a claim
holds by region enumeration: the threshold is the exact worst case of an output, or of a component
of its gradient, rounded up by less than 2^-30. Hidden units are added that bear only in a corner, a
slab or a box of a few sides, and break the claim there by 2^-4, 2^-10 or 2^-20. By exact arithmetic
that is at most {float(largest):.2g} of the region's volume; each planted point is replayed exactly.
Kinds: {kinds}.

Every decider had {seconds:g} s for a network; the cells say how many it refuted and (+) left
unknown. `default` gets the problem, `files` is `verifex verify` of an ONNX file and a query of
VNN-LIB 1.0.

{table}

The same networks with what was added times 0, where the claim is true, by `default`:
{c['claimed']} claimed, {c['unknown']} unknown, {c['refuted']} refuted.

Wrong (planted and claimed or proved, or refuted without): {len(report.wrong)}.
Wall time: {wall:.0f} s.

{wrong}
"""


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", type=int, default=NETWORKS)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--deciders", default=",".join(DECIDERS), help="comma-separated")
    parser.add_argument("--seconds", type=float, default=5.0, help="for one decider")
    parser.add_argument("--document", type=Path, metavar="FILE")
    asked = parser.parse_args(argv)
    started = time.monotonic()
    seeds = range(asked.first, asked.first + asked.networks)
    report = survey(seeds, asked.deciders.split(","), asked.seconds)
    command = "python -m tests.soundness.test_planted " + " ".join(argv)
    text = document(report, command, asked.seconds, time.monotonic() - started)
    print(text)
    if asked.document is not None:
        section(asked.document, TITLE, text)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
