"""Random specs from file to verdict: what is proved is true, what is refuted is false.

    python tests/certificate/test_random_specs.py --many 500

puts as many pairs to the test and prints the share of claims closed by search that the checker
accepts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from spec_nets import Pair, pair, shown, truth

from verifex import api
from verifex.engine.pool import SolverPool
from verifex.engine.proof import Closed
from verifex.engine.verdict import Outcome, Verdict

QUICK = 60


def run(pair_: Pair, pool: SolverPool, certificate: Path) -> Verdict:
    return api.verify(None, pair_.spec, seconds=20.0, certificate=certificate, pool=pool)


def contradiction(pair_: Pair, verdict: Verdict) -> str | None:
    """What cannot be right about a verdict, if anything."""
    said = truth(pair_.problem())
    wanted = {Outcome.PROVED: "true", Outcome.CLAIMED: "true", Outcome.REFUTED: "false"}
    if said == "open" or wanted.get(verdict.outcome, said) == said:
        return None
    return f"{verdict.outcome.value}, but the claim is {said} by region enumeration"


def sort(pair_: Pair, verdict: Verdict) -> list[str]:
    """What a verdict counts as."""
    found = [verdict.outcome.value, *(["near"] if pair_.near else [])]
    check = (verdict.extra.get("certificate") or {}).get("check")
    if verdict.outcome is Outcome.REFUTED:
        found.append("witness accepted" if check == "valid (refutation)" else "witness refused")
    elif isinstance(verdict.proof, Closed):
        # Where leaves rest on a tie the search claims nothing itself, and the checker may refuse.
        kind = "tie" if verdict.evidence[0].startswith(("z3", "highs")) else "closed"
        found.append(f"{kind} {'accepted' if check == 'valid' else 'refused'}")
    return found


def survey(seeds: range, folder: Path) -> tuple[Counter[str], list[str]]:
    """Counts, and everything that is wrong."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    with SolverPool() as pool:
        for seed in seeds:
            p = pair(seed, folder)
            verdict = run(p, pool, folder / f"proof{seed}.vxc")
            counts.update(sort(p, verdict))
            found = contradiction(p, verdict)
            if found:
                wrong.append(f"seed {seed} ({p.kind}): {found}")
            if "closed refused" in sort(p, verdict) or "witness refused" in sort(p, verdict):
                print(f"seed {seed} ({p.kind}): not accepted: {verdict.notes}")
    return counts, wrong


def test_pairs_repeat(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    for seed in (0, 7, 13):
        first, second = pair(seed, tmp_path), pair(seed, tmp_path / "again")
        assert first.network.read_bytes() == second.network.read_bytes()
        assert first.spec.read_bytes() == second.spec.read_bytes()


@pytest.mark.timeout(600)
def test_verdicts_are_true_and_certificates_accepted(tmp_path: Path) -> None:
    counts, wrong = survey(range(QUICK), tmp_path)
    print(shown(counts))
    assert not wrong
    assert counts["proved"] >= 0.2 * QUICK
    assert counts["refuted"] >= 0.2 * QUICK
    assert counts["witness refused"] == 0
    assert counts["closed accepted"] >= 0.95 * (
        counts["closed accepted"] + counts["closed refused"])


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--many", type=int, default=500, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        counts, wrong = survey(range(asked.first, asked.first + asked.many), Path(folder))
    closed = counts["closed accepted"] + counts["closed refused"]
    print(shown(counts))
    print(f"closed by search and accepted: {counts['closed accepted']} of {closed}")
    print("\n".join(wrong) or "nothing contradicts region enumeration")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
