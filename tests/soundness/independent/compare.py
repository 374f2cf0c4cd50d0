"""Compares two records of `run.py`, question by question: what changed from one state to another.

    python -m tests.soundness.independent.compare BEFORE.jsonl AFTER.jsonl

A question is the same by seed and number. Exit code 1 where a verdict became weaker or contrary
although neither answer took its time limit, 0 otherwise; all differences are printed, with a count
by kind.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

Key = tuple[int, int]
Record = dict[str, Any]

STRENGTH = {"proved": 2, "closed": 2, "refuted": 2, "claimed": 1, "open": 0, "unknown": 0}
"""What a verdict is worth; others (refused, crashed) are worth nothing in particular."""
SECONDS = 6.0
"""The time limit that `run.py` gives by default: an answer that took it may differ by chance."""


def records(file: Path) -> dict[Key, Record]:
    """The records of a file by seed and number; the last one of a question counts."""
    lines = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {(line["seed"], line["number"]): line for line in lines}


def change(before: Record, after: Record) -> str:
    """What became of a verdict: "equal", "stronger", "weaker", "contrary", "late" or "other"."""
    old, new = before["verdict"], after["verdict"]
    if old == new:
        return "equal"
    if max(before["seconds"][1], after["seconds"][1]) >= SECONDS:
        return "late"
    if old not in STRENGTH or new not in STRENGTH:
        return "other"
    if "refuted" in (old, new) and STRENGTH[old] and STRENGTH[new]:
        return "contrary"
    return "stronger" if STRENGTH[new] > STRENGTH[old] else "weaker"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    options = parser.parse_args()
    before, after = records(options.before), records(options.after)
    counts: Counter[str] = Counter()
    for key in sorted(before.keys() & after.keys()):
        found = change(before[key], after[key])
        counts[found] += 1
        if found != "equal":
            old, new = before[key], after[key]
            print(f"{key[0]}:{key[1]} {new['form']} {new['kind']}: {old['verdict']} -> "
                  f"{new['verdict']} ({found}; {old['seconds'][1]} s -> {new['seconds'][1]} s)"
                  f" {new['reason']}")
    print(f"{sum(counts.values())} questions: {dict(counts.most_common())}")
    return 1 if counts["weaker"] or counts["contrary"] or counts["other"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
