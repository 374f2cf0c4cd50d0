"""Reads generated texts three times over: the engine, the checker, and a reader of the tests' own.

    python -m tests.readings.text_readings --count 8000 --seed 1 [--document docs/readings.md]

Where two readers take a text for different things, or an own refusal is no single line that names
its place, the text is printed and the exit code is 1. A refusal by one of ours is no disagreement,
except of a plain text: those must be read.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tests.helpers import checker_parts as checker
from tests.readings.text_made import KINDS, make
from tests.readings.text_pieces import Text
from tests.readings.text_readers import READERS
from tests.readings.text_third import Refused, Silent
from verifex.errors import VerifexError


@dataclass(frozen=True)
class Said:
    """What a reader made of a text: "read" and a meaning, "refused" and why, or "silent"."""

    how: str
    meaning: Any = None


REFUSALS = (VerifexError, ValidationError, checker.Bad, Refused)


def _said(read: Callable[[], Any]) -> Said:
    """The answer of a reader; what is no refusal of its kind is a failure."""
    try:
        return Said("read", read())
    except Silent:
        return Said("silent")
    except REFUSALS as error:
        shown = str(error) if not isinstance(error, ValidationError) else "a field"
        return Said("refused", shown)
    except ValueError as error:
        return Said("refused" if type(error) is ValueError else "failed", str(error))
    except Exception as error:
        return Said("failed", f"{type(error).__name__}: {error}")


@dataclass(frozen=True)
class Result:
    """The class a reading falls in, and what is wrong with it (nothing, if all is well)."""

    kind: str
    wrong: str = ""


NAMES = ("engine", "checker", "third reader")


def compare(t: Text, folder: Path) -> Result:
    """Read a text three times."""
    engine, other, third = map(_said, READERS[t.kind](t, folder))
    third = Said("silent") if third.how == "failed" else third
    for name, one in (("engine", engine), ("checker", other)):
        if one.how == "failed":
            return Result("failed", f"{name}: {one.meaning}")
        if one.how == "refused" and "\n" in one.meaning.strip("\n"):
            return Result("failed", f"{name}: a refusal of several lines: {one.meaning}")
    for (a, one), (b, two) in combinations(zip(NAMES, (engine, other, third)), 2):
        if one.how == two.how == "read" and one.meaning != two.meaning:
            return Result("different", f"{a} and {b} read different things")
        if two is third and two.how == "refused" and one.how == "read":
            return Result("different", f"{a} reads what {b} refuses ({two.meaning})")
    if t.plain and third.how != "refused" and "refused" in (engine.how, other.how):
        return Result("over-refused", f"a plain text: {engine.meaning} / {other.meaning}")
    if "refused" in (engine.how, other.how):
        return Result(
            "refused by both"
            if engine.how == other.how
            else f"refused by the {'engine' if engine.how == 'refused' else 'checker'}"
        )
    return Result(
        "all agree" if (engine.how, other.how, third.how) == ("read",) * 3 else "two agree"
    )


def study(count: int, seed: int, show: int = 20) -> tuple[dict[str, Counter[str]], list[str]]:
    """Counts by kind of text and class, and the disagreements."""
    counts: dict[str, Counter[str]] = {k: Counter() for k in KINDS}
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="readings-") as name:
        for k in range(count):
            t = make(seed, k)
            found = compare(t, Path(name))
            counts[t.kind][found.kind] += 1
            if found.wrong:
                files = {n: d.decode("utf-8", "replace") for n, d in t.files.items()}
                wrong.append(
                    f"{seed}/{k} {t.kind}: {found.wrong}\n    {t.text!r:.1500} {t.options}"
                    f" {files if t.kind == 'csv' else ''}"
                )
                if len(wrong) <= show:
                    print(wrong[-1], flush=True)
    return counts, wrong


COLUMNS = (
    "all agree",
    "two agree",
    "refused by both",
    "refused by the engine",
    "refused by the checker",
    "different",
    "over-refused",
    "failed",
)


def table(counts: dict[str, Counter[str]]) -> str:
    rows = [
        f"| {kind} | {sum(found.values())} | " + " | ".join(str(found[c]) for c in COLUMNS) + " |"
        for kind, found in counts.items()
    ]
    whole: Counter[str] = sum(counts.values(), Counter())
    rows.append(
        f"| all | {sum(whole.values())} | " + " | ".join(str(whole[c]) for c in COLUMNS) + " |"
    )
    return "\n".join(
        [f"| texts | read | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 2) + "|", *rows]
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--document", type=Path, metavar="FILE")
    asked = parser.parse_args(arguments)
    counts, wrong = study(asked.count, asked.seed)
    print(table(counts))
    if asked.document is not None:
        from tests.helpers.document import section

        section(
            asked.document,
            "Texts",
            f"""Written by the command below.

    python -m tests.readings.text_readings --count {asked.count} --seed {asked.seed} \\
        --document docs/readings.md

Numbers, linear constraints, CSV and NPY files, specs and VNN-LIB queries, plain ones and such with
one or two faults that files have, are read by the engine, by the checker and by a third reader: one
written for the tests, or z3 for VNN-LIB 1.0 (which has no exponents; "two agree" is where the
third reader cannot say, or the checker does not read the format). What is compared is the meaning:
numbers, names, and truth at points, many of them on the boundary. {len(wrong)} disagreements.

{table(counts)}
""",
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
