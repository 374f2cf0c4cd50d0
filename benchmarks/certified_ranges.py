"""Certified ranges: how many ends the checker accepts, and what that costs.

    python -m benchmarks.certified_ranges --ranges 1000 --document docs/ranges.md

Expressions over random networks and specs (those of the tests: small networks, gates, linear rows,
frozen features) and over rows of the credit networks in ../shared/data. Every attained value is
evaluated again, exactly, at the point that the verdict states; every proven end has to lie on its
outer side.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic

from tests.helpers.credit_tables import TARGETS, CreditTable
from tests.helpers.document import section
from tests.helpers.spec_nets import pair
from verifex.api import bounds
from verifex.engine.solve.pool import SolverPool
from verifex.engine.verdict import RangeEnd, RangeVerdict
from verifex.errors import InputError, VerifexError
from verifex.problem.spec.expression import Expression, load_expressions
from verifex.semantics.evaluate import evaluate_exact

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data" / "attribution_models" / "openxai"
TITLE = "Certified ranges"
ASKED = ("output", "component:0", "component:1", "norm:l1", "norm:linf", "distance:l1")
SECONDS = 10.0


def questions(folder: Path) -> Iterator[tuple[str, Path, Path, Sequence[str]]]:
    """Kind, network, spec and expressions, without end."""
    tables = [CreditTable(name, DATA, folder) for name in TARGETS] if DATA.is_dir() else []
    seed = 0
    while True:
        seed += 1
        if tables and seed % 8 == 0:
            table = tables[seed // 8 % 2]
            spec = folder / f"{seed}.toml"
            text = table.spec(seed // 16, "sign").replace("integer", "freeze")
            spec.write_text("\n".join(
                'one_hot = []' if line.startswith("one_hot") else line
                for line in text.splitlines()))
            yield table.name, table.network, spec, ("output", "norm:l1")
            continue
        place = folder / str(seed)
        place.mkdir()
        found = pair(seed, place)
        yield "random", found.network, found.spec, ASKED


def true_end(asked: Expression, end: RangeEnd, *, maximum: bool) -> bool:
    """Whether the stated point has the stated value, and the proven end is beyond it."""
    if end.attained is None or end.point is None:
        return True
    if not end.open_gates:
        graph = asked.problem.graph
        values = evaluate_exact(graph, end.point, sorted({n for (n, _), _ in asked.form.terms}))
        if not end.on_kink and asked.form.value(values) != end.attained:
            return False
    if not asked.problem.region.contains(end.point):
        return False
    beyond = end.proven is None or (
        end.proven >= end.attained if maximum else end.proven <= end.attained)
    return beyond


class Totals:
    """What has been counted, by kind of network."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}
        self.seconds: dict[str, list[tuple[float, float]]] = {}
        self.wrong: list[str] = []

    def take(
        self, kind: str, asked: Sequence[Expression], found: Sequence[RangeVerdict],
        seconds: tuple[float, float],
    ) -> None:
        """Count the ranges of one question; `seconds` with and without certificates."""
        counts = self.counts.setdefault(kind, Counter())
        self.seconds.setdefault(kind, []).append(seconds)
        for one, verdict in zip(asked, found, strict=True):
            counts["ranges"] += 1
            counts["closed"] += verdict.closed
            for end, maximum in ((verdict.low, False), (verdict.high, True)):
                counts["ends"] += 1
                counts["accepted"] += end.certificate is not None and (
                    end.certificate.get("check") == "valid")
                counts["kinks"] += end.on_kink
                if not true_end(one, end, maximum=maximum):
                    self.wrong.append(f"{kind}: {one.text}")

    def rows(self) -> list[str]:
        """The rows of the page's table."""
        lines = []
        for kind, counts in self.counts.items():
            plain, certified = zip(*self.seconds[kind], strict=True)
            cells = [kind, *(str(counts[k]) for k in (
                "ranges", "closed", "ends", "accepted", "kinks"))]
            cells += [f"{median(plain):.2f}", f"{median(certified):.2f}"]
            lines.append(f"| {' | '.join(cells)} |")
        return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranges", type=int, default=1000)
    parser.add_argument("--document", type=Path)
    options = parser.parse_args()
    totals, count = Totals(), 0
    with TemporaryDirectory() as folder, SolverPool() as pool:
        for kind, network, spec, texts in questions(Path(folder)):
            if count >= options.ranges:
                break
            try:
                asked = load_expressions(spec, texts, network)
            except (InputError, VerifexError):
                continue  # a tie or a kink at the reference
            started = monotonic()
            bounds(network, spec, texts, seconds=SECONDS, check=False, pool=pool)
            middle = monotonic()
            found = bounds(network, spec, texts, seconds=SECONDS, pool=pool)
            totals.take(kind, asked, found, (middle - started, monotonic() - middle))
            count += len(asked)
            print(f"{count} ranges, {len(totals.wrong)} wrong", flush=True)
    page = PAGE.format(
        lines="\n".join(totals.rows()), wrong=len(totals.wrong), limit=SECONDS,
        asked=options.ranges)
    print(page, *totals.wrong, sep="\n")
    if options.document:
        section(options.document, TITLE, page)
    return 1 if totals.wrong else 0


PAGE = """Written by the command below.

    python -m benchmarks.certified_ranges --ranges {asked} --document docs/ranges.md

Random networks and specs of the tests, and rows of two credit networks, {limit:g} s a range.
"Accepted": ends whose bound the checker accepted; "kinks": ends that are reached on a kink only.
The seconds are those of all expressions of a question together (median), without and with
certificates. Every attained value was evaluated again at its point, and lies on the inner side of
what is proven: **{wrong} wrong**.

| networks | ranges | closed | ends | accepted | kinks | plain s | certified s |
|---|---|---|---|---|---|---|---|
{lines}
"""


if __name__ == "__main__":
    raise SystemExit(main())
