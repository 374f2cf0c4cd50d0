"""Categories that may change on two trained credit networks: decided, and certified.

    python -m benchmarks.whole_features --document docs/explanations-openxai.md

The networks are the ANNs for Adult and German credit in ../shared/data (see its README). Age is a
whole number of years and moves by at most five; on Adult seven features that are 0 or 1 may change,
on German credit three one-hot groups. Of each row: does the class stay, do the three features with
the largest |gradient| stay these, does no component of the gradient change its sign?
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.helpers.credit_tables import QUESTIONS, TARGETS, CreditTable
from tests.helpers.document import section
from verifex.api import verify
from verifex.engine.verdict import Verdict
from verifex.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data" / "attribution_models" / "openxai"
TITLE = "Categories that may change"
SECONDS = 10.0


def verdicts(table: CreditTable, what: str, rows: int, folder: Path) -> list[Verdict | None]:
    """The verdict for each row; None where it is not well posed."""
    found: list[Verdict | None] = []
    for row in range(rows):
        spec = folder / f"{row}.toml"
        spec.write_text(table.spec(row, what))
        try:
            found.append(verify(table.network, spec, seconds=SECONDS))
        except InputError:  # a tie at the reference
            found.append(None)
    return found


def line(name: str, what: str, found: Sequence[Verdict | None]) -> str:
    """One row of the page's table."""
    posed = [verdict for verdict in found if verdict is not None]
    counts = Counter(verdict.outcome.value for verdict in posed)
    certified = sum(
        verdict.outcome.value == "proved" or "accepted" in verdict.rests_on for verdict in posed)
    each = (counts[k] for k in ("proved", "refuted", "claimed", "unknown"))
    seconds = median(verdict.seconds for verdict in posed) if posed else 0.0
    cells = [name, what, *map(str, each), str(len(found) - len(posed)),
             f"{certified} of {len(posed)}", f"{seconds:.2f}"]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--document", type=Path)
    options = parser.parse_args()
    started, lines = time.monotonic(), []
    with TemporaryDirectory() as folder:
        for name in TARGETS:
            table = CreditTable(name, DATA, Path(folder))
            for what in QUESTIONS:
                lines.append(line(name, what, verdicts(table, what, options.rows, Path(folder))))
                print(lines[-1], flush=True)
    page = PAGE.format(rows=options.rows, limit=SECONDS, lines="\n".join(lines),
                       minutes=(time.monotonic() - started) / 60)
    if options.document:
        section(options.document, TITLE, page)
    return 0


PAGE = """Written by the command below, in {minutes:.0f} minutes.

    python -m benchmarks.whole_features --document docs/explanations-openxai.md

The first {rows} rows each, {limit:g} s a question. "Certified" counts proofs and witnesses that the
checker accepted.

| network | asked | proved | refuted | claimed | unknown | not posed | certified | median s |
|---|---|---|---|---|---|---|---|---|
{lines}
"""


if __name__ == "__main__":
    raise SystemExit(main())
