"""Random specs from file to verdict: what is proved is true, what is refuted is false, and the
checker accepts no certificate of anything else.

    python -m tests.certificate.test_random_specs --many 500 --document docs/certificates.md

Each pair of a network and a spec is verified with a certificate. The checker reads both files as
the package does, or the pair is a failure. Its certificate is then presented twice more: for a
changed network or spec of which the contrary is true, with hashes to match, and spoiled. Whatever
the checker accepts is decided again from the same files, by region enumeration and by cvc5.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.certificate.corruptions import (
    CORRUPTIONS,
    Case,
    claim_negated,
    junk_added,
    network_changed,
    network_swapped,
    of_another,
    region_widened,
    spec_byte_changed,
    threshold_moved,
    truncated,
    version_changed,
    weight_changed,
)
from tests.certificate.spoiled import Truth, check
from tests.helpers.checker_nets import agree
from tests.helpers.document import section
from tests.helpers.spec_nets import Pair, pair, shown, text
from verifex import api
from verifex.engine.falsify.witness import replay
from verifex.engine.search.record import Closed
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import Outcome, Verdict
from verifex.problem.spec.build import load_problem

QUICK = 60
TITLE = "Random specs"
VERDICTS = {Outcome.PROVED: "true", Outcome.CLAIMED: "true", Outcome.REFUTED: "false"}
CHECKS = {"valid": "true", "valid (refutation)": "false"}
"""What must be true of a claim where the checker accepts a certificate of it."""

ATTEMPTS = 12  # changes tried until the contrary of what was shown is true


@dataclass
class Report:
    """Counts over all pairs, everything that is wrong, and what was accepted of files that the
    package does not read (the checker looks at no more of a file than it needs)."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def checked(self, what: str, case: Case, folder: Path, known: Truth) -> None:
        """Put a case to the checker, and to the truth what it accepts."""
        code, said = check(case, folder)
        name = what.split(":")[0]
        self.counts[f"{name} presented"] += 1
        if code not in (0, 1, 2, 65) or "\n" in said:
            self.wrong.append(f"{what}: the checker ended with {code}, {said}")
        if code == 0:
            self.counts[f"{name} accepted"] += 1
            truth = known.of(case.network, case.spec)
            if truth == "open" and "witness" in case.head():
                truth = replayed(case, folder)
            if truth == "none":
                self.unread.append(f"{what}: {said}")
            elif truth != CHECKS.get(said):
                self.wrong.append(f"{what}: {said}, but the claim is {truth}")


def replayed(case: Case, folder: Path) -> str:
    """What the package's exact replay makes of a witness, where no decider had the time."""
    problem = load_problem(folder / "spec.toml", folder / "net.onnx")
    witness = tuple(Fraction(v) for v in case.head()["witness"])
    return "false" if replay(problem, witness).refutes else "open"


def sort(pair_: Pair, verdict: Verdict) -> list[str]:
    """What a verdict counts as."""
    found = [verdict.outcome.value, *(["near"] if pair_.near else [])]
    told = (verdict.extra.get("certificate") or {}).get("check")
    if verdict.outcome is Outcome.REFUTED:
        found.append("witness accepted" if told == "valid (refutation)" else "witness refused")
    elif isinstance(verdict.proof, Closed):
        # Where leaves rest on a tie the search claims nothing itself, and the checker may refuse.
        kind = "tie" if verdict.evidence[0].source in ("z3", "highs") else "closed"
        found.append(f"{kind} {'accepted' if told == 'valid' else 'refused'}")
    return found


def case_of(pair_: Pair, certificate: Path) -> Case:
    """The pair and its certificate as the checker is given them."""
    data = certificate.read_bytes()
    plain = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    spec = pair_.spec.read_bytes().replace(pair_.network.name.encode(), b"net.onnx")
    lines = tuple(json.loads(line) for line in plain.splitlines())
    return Case(pair_.network.read_bytes(), spec, lines).rehashed()


def requirement_negated(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    """`not` around all that is required: false wherever the claim is true."""
    spec = tomllib.loads(case.spec.decode())
    parts = spec["require"]
    spec["require"] = [{"not": parts[0] if len(parts) == 1 else {"all": parts}}]
    return replace(case, spec=text(spec).encode())


def region_shrunk(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    spec, by = tomllib.loads(case.spec.decode()), rng.choice((2, 8, 64))
    radius = spec["region"].get("linf", 0)
    spec["region"]["linf"] = (
        [Fraction(v) / by for v in radius] if isinstance(radius, list) else Fraction(radius) / by)
    return replace(case, spec=text(spec).encode())


def threshold_loosened(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    """The claim asks for less: a witness may still lie in the region, and break nothing."""
    spec, offset = tomllib.loads(case.spec.decode()), Fraction(1, 2 ** rng.choice((40, 20, 6, 2)))
    for part in spec["require"]:
        for key, sign in (("at_least", -1), ("above", -1), ("at_most", 1), ("below", 1)):
            if key in part:
                part[key] = Fraction(part[key]) + sign * offset
    return replace(case, spec=text(spec).encode())


CHANGES = {
    "true": (threshold_moved, claim_negated, region_widened, weight_changed, requirement_negated),
    "false": (threshold_loosened, claim_negated, region_shrunk, weight_changed),
}


def contrary(rng: random.Random, case: Case, truth: str, known: Truth) -> Case | None:
    """The same certificate for other files, of which what it shows is not true."""
    others = {"true": ("false", "kink"), "false": ("true", "kink")}.get(truth, ())
    for _ in range(ATTEMPTS if others else 0):
        new = rng.choice(CHANGES[truth])(rng, case, [case]).rehashed()
        if known.of(new.network, new.spec) in others:
            return new
    return None


def witness_moved(rng: random.Random, case: Case, _: Sequence[Case]) -> Case:
    """A refutation with another value of one input."""
    head = dict(case.head())
    witness = list(head["witness"])
    at = rng.randrange(len(witness))
    step = rng.choice((-1, 1)) * Fraction(1, 2 ** rng.randint(0, 30))
    head["witness"] = [*witness[:at], str(Fraction(witness[at]) + step), *witness[at + 1 :]]
    return replace(case, lines=(head, *case.lines[1:]))


OF_WITNESSES = (
    witness_moved, truncated, version_changed, junk_added, of_another,
    network_changed, weight_changed, spec_byte_changed, network_swapped,
)


def spoiled(rng: random.Random, case: Case, others: Sequence[Case]) -> Case:
    """A certificate spoiled in a random way."""
    ways = OF_WITNESSES if "witness" in case.head() else CORRUPTIONS
    for _ in range(20):
        new = rng.choice(ways)(rng, case, others)
        if new != case:
            return new
    return Case(case.network, case.spec, (*case.lines, "{}"))


def one(pair_: Pair, pool: SolverPool, folder: Path, known: Truth, others: list[Case],
        report: Report) -> None:
    """Everything about one pair; its case is added to `others`."""
    rng, at = random.Random(f"variants {pair_.seed}"), f"seed {pair_.seed} ({pair_.kind})"
    try:
        agree(pair_.network, pair_.spec)
        report.counts["read alike"] += 1
    except AssertionError as error:
        report.wrong.append(f"{at}: checker and package read the files differently: {error}")
    certificate = folder / f"proof{pair_.seed}.vxc"
    verdict = api.verify(None, pair_.spec, seconds=20.0, certificate=certificate, pool=pool)
    found = sort(pair_, verdict)
    report.counts.update(found)
    truth = known.of(pair_.network.read_bytes(), pair_.spec.read_bytes())
    report.counts[f"truth {truth}"] += 1
    if truth != "open" and VERDICTS.get(verdict.outcome, truth) != truth:
        report.wrong.append(f"{at}: {verdict.outcome.value}, but the claim is {truth}")
    if "closed refused" in found or "witness refused" in found:
        print(f"{at}: not accepted: {verdict.notes}")
    if not certificate.exists():
        return
    case = case_of(pair_, certificate)
    report.checked(f"as written: {at}", case, folder, known)
    other = contrary(rng, case, truth, known)
    if other is not None:
        report.checked(f"contrary: {at}", other, folder, known)
    report.checked(f"spoiled: {at}", spoiled(rng, case, others or [case]), folder, known)
    others[:] = [*others[-4:], case]


def survey(seeds: range, folder: Path, second: str | None = None) -> Report:
    """All pairs of some seeds; `second` is a solver that decides besides region enumeration."""
    report, others = Report(), list[Case]()
    with SolverPool() as pool:
        known = Truth(folder, second, pool)
        for seed in seeds:
            one(pair(seed, folder), pool, folder, known, others, report)
    return report


def test_pairs_repeat(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    for seed in (0, 7, 13):
        first, second = pair(seed, tmp_path), pair(seed, tmp_path / "again")
        assert first.network.read_bytes() == second.network.read_bytes()
        assert first.spec.read_bytes() == second.spec.read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_verdicts_are_true_and_certificates_accepted(tmp_path: Path) -> None:
    report = survey(range(QUICK), tmp_path)
    counts = report.counts
    print(shown(counts))
    assert not report.wrong
    assert counts["read alike"] == QUICK
    assert counts["proved"] >= 0.2 * QUICK
    assert counts["refuted"] >= 0.2 * QUICK
    assert counts["witness refused"] == 0
    assert counts["closed accepted"] >= 0.95 * (
        counts["closed accepted"] + counts["closed refused"])
    assert counts["contrary presented"] >= 0.5 * QUICK
    assert counts["contrary accepted"] == 0
    assert counts["spoiled presented"] >= 0.8 * QUICK


def document(report: Report, many: int, first: int, seconds: float) -> str:
    c = report.counts
    start = f" --first {first}" if first else ""
    rows = "\n".join(
        f"| {words} | {c[f'{name} presented']} | {c[f'{name} accepted']} |"
        for name, words in (
            ("as written", "as written"),
            ("contrary", "for changed files, of which the contrary is true"),
            ("spoiled", "spoiled in a random way"),
        ))
    truths = ", ".join(f"{c[f'truth {k}']} {words}" for k, words in (
        ("true", "true"), ("false", "false"), ("kink", "violated on kinks only"),
        ("open", "undecided")))
    wrong = "\n".join(f"* {w}" for w in (*report.wrong, *report.unread))
    return f"""Written by the command below; the numbers are what it found.

    python -m tests.certificate.test_random_specs --many {many}{start} \\
        --document docs/certificates.md

{many} pairs of a small random network (up to 10 gates) and a spec, {c['near']} of them with a
threshold within 2^-40 of the edge of truth.

* By region enumeration and by cvc5: {truths}.
* verifex: {c['proved']} proved, {c['claimed']} claimed, {c['refuted']} refuted,
  {c['unknown']} unknown.
* The checker reads {c['read alike']} of the pairs as the package does: region, atoms, nodes, and
  their values at random points.
* Certificates put to it:

| certificate | presented | accepted |
|---|---|---|
{rows}

Whatever it accepted is decided again, from the files that it was given, by region enumeration
and by cvc5 (a witness of a claim that neither decides in time, by exact replay):
{len(report.wrong)} contradictions. Accepted though the package refuses the file
(it is damaged in a part that the checker has no use for): {len(report.unread)}.
Wall time: {seconds:.0f} s.

{wrong}
"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--many", type=int, default=500, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--document", type=Path, metavar="FILE")
    asked = parser.parse_args(arguments)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        seeds = range(asked.first, asked.first + asked.many)
        report = survey(seeds, Path(folder), "cvc5")
    counts = report.counts
    closed = counts["closed accepted"] + counts["closed refused"]
    print(shown(counts))
    print(f"closed by search and accepted: {counts['closed accepted']} of {closed}")
    print("\n".join(f"not read by the package: {u}" for u in report.unread))
    print("\n".join(report.wrong) or "nothing contradicts region enumeration and cvc5")
    if asked.document is not None:
        body = document(report, asked.many, asked.first, time.monotonic() - started)
        section(asked.document, TITLE, body)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
