"""Spoiled certificates: the checker accepts none whose claim is not true.

    python -m tests.certificate.test_corrupted --count 2000 --document docs/certificates.md

A spoiled certificate may still be a proof (a byte that no bound needed, a leaf that closes without
its multipliers): so the claim of everything accepted is decided again, by region enumeration and
by cvc5, from the very files that the checker was given.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.certificate.corruptions import CORRUPTIONS, Case
from tests.certificate.spoiled import Truth, bases, check
from tests.helpers.document import section

COUNT, QUICK, BASES = 2000, 200, 10


@dataclass
class Report:
    """What became of the spoiled certificates."""

    answers: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)
    false: int = 0
    crashed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def survey(count: int, seed: int, folder: Path, second: str | None = None) -> Report:
    """Spoil, check, and decide what was accepted."""
    made, report = bases(BASES, folder), Report()
    known = Truth(folder, second)
    for k in range(count):
        rng = random.Random(f"{seed} {k}")
        how = CORRUPTIONS[k % len(CORRUPTIONS)]
        at = rng.randrange(len(made))
        others = [c for c in made if c is not made[at]]
        case = spoil(rng, how, made[at], others)
        code, said = check(case, folder)
        report.tried[how.__name__] += 1
        report.answers[said.split(":")[0]] += 1
        if code not in (0, 1, 2, 65) or "\n" in said:
            report.crashed.append(f"{how.__name__} {k}: {said}")
        changed = (case.network, case.spec) != (made[at].network, made[at].spec)
        if changed and case == case.rehashed():
            report.false += known.of(case.network, case.spec) in ("false", "kink")
        if code == 0:
            report.accepted[how.__name__] += 1
            answer = known.of(case.network, case.spec)
            if answer != "true":
                report.wrong.append(f"{how.__name__} {k}: {said}, but the claim is {answer}")
    return report


def spoil(rng: random.Random, how, case: Case, others: Sequence[Case]) -> Case:  # type: ignore[no-untyped-def]
    """A case that differs from the one it was made from."""
    for _ in range(20):
        new = how(rng, case, others)
        if new != case:
            return new
        case = rng.choice([c for c in (case, *others)])
    return Case(case.network, case.spec, (*case.lines, "{}"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_spoiled_certificate_of_a_false_claim_is_accepted(tmp_path: Path) -> None:
    report = survey(QUICK, 0, tmp_path)
    assert not report.wrong
    assert not report.crashed
    assert report.false >= 5  # certificates that were presented for claims which are false
    assert sum(report.accepted.values()) < 0.5 * QUICK
    assert len(report.tried) == len(CORRUPTIONS)


def document(report: Report, count: int) -> str:
    accepted = sum(report.accepted.values())
    rows = "\n".join(
        f"| {name.replace('_', ' ')} | {n} | {report.accepted[name]} |"
        for name, n in sorted(report.tried.items()))
    return f"""Written by the command below; the numbers are what it found.

    python -m tests.certificate.test_corrupted --count {count} --document docs/certificates.md

{count} certificates, spoiled in {len(report.tried)} ways from {BASES} valid ones (small random
networks, trees of 3 to 60 leaves): {accepted} accepted. Every claim that was accepted is true, as
decided again by region enumeration and by cvc5 from the files that the checker was given:
**{len(report.wrong)} accepted that are not**. {report.false} of them were presented for a claim
that is false, with hashes to match; none was accepted. No input made the checker crash
({len(report.crashed)}). A spoiled certificate that is accepted is one that still proves its claim:
a byte that no bound needed, a leaf that closes without its multipliers.

| what was done | times | accepted (claim true) |
|---|---|---|
{rows}
"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--document", type=Path, metavar="FILE")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        report = survey(asked.count, asked.seed, Path(folder), "cvc5")
    print(json.dumps({"answers": report.answers, "accepted": report.accepted,
                      "false claims presented": report.false}, indent=2))
    print("\n".join(report.wrong + report.crashed) or "none accepted that is not true")
    if asked.document is not None:
        section(asked.document, "Spoiled certificates", document(report, asked.count))
    return 1 if report.wrong or report.crashed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
