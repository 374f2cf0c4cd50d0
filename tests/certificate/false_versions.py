"""Certificates against false versions of their claims: the checker accepts none.

    python -m tests.certificate.false_versions --count 7000 --jobs 2 --document docs/certificates.md

Half of the claims are false by value: a threshold, a weight, a region, a class, a count, a sign.
Half are false by reading: the files say something else than a careless reader takes them for
(`falsehoods/`). How each is known to be false needs nothing of verifex: exact evaluation in
fractions at a point, or what onnxruntime (or the ONNX reference) makes of the network there. The
header always has the right hashes. Certificates are those that prove the claim as a careless reader
takes it, and ones made by hand: a leaf that is said to close, with and without a bound.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial, reduce
from pathlib import Path

from tests.certificate.falsehoods import (
    data,
    elements,
    names,
    operators,
    opsets,
    queries,
    tables,
    values,
    windows,
)
from tests.certificate.falsehoods.claims import Certificate, Kind, Version, present
from tests.certificate.falsehoods.random_claims import BASES
from tests.helpers.document import section

TITLE = "False versions of claims"
READINGS: tuple[Kind, ...] = (
    *operators.KINDS, *windows.KINDS, *opsets.KINDS, *elements.KINDS, *data.KINDS, *names.KINDS,
    *tables.KINDS, *queries.KINDS)
GROUPS = ("type", "storage", "opset", "attribute", "name", "text", "value")
CODES = (0, 1, 2, 65)


@dataclass
class Report:
    """What became of the certificates, by group, and by kind where they were accepted."""

    presented: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, set[str]] = field(default_factory=dict)
    versions: Counter[str] = field(default_factory=Counter)
    twins: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Report) -> Report:
        kinds = {k: self.kinds.get(k, set()) | other.kinds.get(k, set())
                 for k in self.kinds | other.kinds}
        return Report(self.presented + other.presented, kinds, self.versions + other.versions,
                      self.twins + other.twins, self.accepted + other.accepted,
                      self.wrong + other.wrong, self.crashed + other.crashed,
                      self.missing + other.missing)

    def put(self, kind: Kind, version: Version, folder: Path) -> None:
        """Put all certificates of a version, and the first one for its twin, to the checker."""
        group = kind.group
        self.kinds.setdefault(group, set()).add(kind.name)
        self.versions[group] += 1
        for certificate in version.certificates:
            self.one(kind, version, certificate, folder)
        if version.twin is not None:
            self.twins[group] += present(version.twin, version.certificates[0], folder)[0] == 0

    def one(self, kind: Kind, version: Version, certificate: Certificate, folder: Path) -> None:
        code, said = present(version.files, certificate, folder)
        self.presented[kind.group] += 1
        if code not in CODES or "\n" in said:
            self.crashed.append(f"{version.why}: {code}, {said!r}")
        if code == 0:
            self.accepted[f"{kind.group}: {kind.name}"] += 1
            self.wrong.append(f"{version.why}: {said}")


def survey(count: int, seed: int, bases: Sequence[int], folder: Path) -> Report:
    """So many certificates, one half of them for claims that are false by value."""
    report, by_value = Report(), values.kinds(bases)
    for half, kinds in enumerate((READINGS, by_value)):
        order, k = list(kinds), 0
        random.Random(f"{seed} {half}").shuffle(order)
        wanted = (count + half) // 2 + report.presented.total()
        while report.presented.total() < wanted:
            kind = order[k % len(order)]
            version = kind.version(f"{seed} {k}")
            if version is None:
                report.missing[f"{kind.group}: {kind.name}"] += 1
            else:
                report.put(kind, version, folder)
            k += 1
    return report


def share(job: int, jobs: int, count: int, seed: int) -> Report:
    """What one of several processes does: its own seeds, its own proved claims."""
    with tempfile.TemporaryDirectory() as folder:
        mine = (count + jobs - 1 - job) // jobs
        return survey(mine, seed * 1000 + job, range(job, BASES, jobs), Path(folder))


def all_jobs(count: int, seed: int, jobs: int) -> Report:
    if jobs == 1:
        return share(0, 1, count, seed)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        work = partial(share, jobs=jobs, count=count, seed=seed)
        return reduce(Report.__add__, pool.map(work, range(jobs)))


def document(report: Report, command: str, seconds: float) -> str:
    rows = "\n".join(
        f"| {'by value' if g == 'value' else f'by reading: {g}'} | {len(report.kinds[g])} | "
        f"{report.versions[g]} | {report.presented[g]} | {report.twins[g]} | "
        f"{sum(v for k, v in report.accepted.items() if k.startswith(g + ':'))} |"
        for g in GROUPS if g in report.kinds)
    listed = "\n".join(f"* {', '.join(sorted(report.kinds[g]))} ({g})"
                       for g in GROUPS if g in report.kinds)
    wrong = "\n".join(f"* {k}: accepted {n} times" for k, n in sorted(report.accepted.items()))
    return f"""Written by the command below; the numbers are what it found.

    python -m tests.certificate.false_versions {command} \\
        --document docs/certificates.md

{report.presented.total()} certificates for claims that are false, or that a witness does not
refute, with hashes to match: **{report.accepted.total()} accepted**, {len(report.crashed)} crashes.
Half of the claims are false by value: other thresholds, weights, regions, classes, counts, signs.
Half are false by reading: the files differ from ones of which the claim is true only in what a
careful reader sees. The column "accepted of the other" counts the false claims whose certificate is
accepted for the files that a careless reader takes them for: there nothing but the reading stands
between the claim and `valid` (the rest are for files or operators that the checker refuses either
way).

| false | kinds | claims | certificates | accepted of the other | accepted |
|---|---|---|---|---|---|
{rows}

What is false is known without verifex: by exact evaluation in fractions at a point that breaks the
claim, or by what onnxruntime (the ONNX reference where it does not run the file) makes of the
network there. Kinds:

{listed}

Wall time: {seconds:.0f} s.

{wrong}
"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=7000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--document", type=Path, metavar="FILE")
    asked = parser.parse_args(arguments)
    started = time.monotonic()
    report = all_jobs(asked.count, asked.seed, asked.jobs)
    seconds = time.monotonic() - started
    print(f"{report.presented.total()} certificates in {seconds:.0f} s: {dict(report.presented)}")
    print("\n".join(f"no version: {k}: {n}" for k, n in sorted(report.missing.items())))
    print("\n".join([*report.wrong[:50], *report.crashed]) or "none accepted")
    print("\n".join(f"{k}: accepted {n} times" for k, n in sorted(report.accepted.items())))
    if asked.document is not None:
        command = f"--count {asked.count} --seed {asked.seed} --jobs {asked.jobs}"
        section(asked.document, TITLE, document(report, command, seconds))
    return 1 if report.wrong or report.crashed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
