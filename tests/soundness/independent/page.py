"""What a run found, as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

Record = dict[str, Any]
FORMS = ("toml", "difference", "bound", "vnnlib1", "vnnlib2")
VERDICTS = ("proved", "claimed", "refuted", "unknown", "refused", "closed", "open")


def _row(name: str, records: Sequence[Record]) -> str:
    said, truth = Counter(r["verdict"] for r in records), Counter(r["truth"] for r in records)
    cells = [str(said[v] or "") for v in VERDICTS]
    seen = [str(truth[t] or "") for t in ("true", "false", "kink")]
    wrong = sum(bool(r["wrong"]) for r in records)
    return f"| {name} | {len(records)} | {' | '.join(cells)} | {' | '.join(seen)} | {wrong} |"


def text(records: Sequence[Record]) -> str:
    """The tables, as Markdown (and readable as plain text)."""
    kinds = sorted({(r["form"], r["kind"]) for r in records},
                   key=lambda k: (FORMS.index(k[0]), k))
    head = ["kind", "asked", *VERDICTS, "seen true", "seen false", "only on kinks",
            "contradictions"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [_row(kind, [r for r in records if (r["form"], r["kind"]) == (form, kind)])
              for form, kind in kinds]
    lines.append(_row("**all**", records))
    return "\n".join([*lines, "", summary(records)])


def summary(records: Sequence[Record]) -> str:
    n = max(1, len(records))
    wrong = [r for r in records if r["wrong"]]
    near, whole = sum(r["near"] for r in records), sum(r["whole"] for r in records)
    bent = sum(r["cells"] > 1 for r in records)
    command = sum(r["entry"] == "command" for r in records)
    must = [r for r in records if r["refused"] is not None]
    other = Counter(r["reason"].partition(": ")[2][:70] for r in records
                    if r["verdict"] == "refused" and r["refused"] is None)
    disowned = [r for r in records if r.get("disowned")]
    made, spent, judged = (sum(r["seconds"][k] for r in records) for k in range(3))
    lines = [
        f"{len(records)} questions, {len(wrong)} contradictions. Thresholds at or beside an "
        f"attained value: {near / n:.0%}. Several cells of the network seen: {bent / n:.0%}. "
        f"Decided completely by the evaluator: {whole / n:.0%}. Through the command line: "
        f"{command}.",
        f"Had to be refused: {len(must)}; refused besides: {sum(other.values())}.",
        f"Seconds: {made:.0f} to make the questions and look at their points, {spent:.0f} in "
        f"verifex, {judged:.0f} to judge.",
    ]
    lines += [f"* certificate refused by the checker, {r['number']} ({r['kind']}): {r['disowned']}"
              for r in disowned]
    lines += [f"* {count} refused: {reason}" for reason, count in other.most_common(12)]
    lines += [f"* contradiction {r['number']} ({r['kind']}): {w}"
              for r in wrong for w in r["wrong"]]
    return "\n\n".join(lines[:3]) + ("\n\n" + "\n".join(lines[3:]) if lines[3:] else "")


def body(records: Sequence[Record], command: str) -> str:
    """The section of a page: what was done, the command, the tables."""
    return f"""Written by the command below; the numbers are what it printed.

    {command}

Networks, claims and their truth are made by code that uses nothing of verifex
(tests/soundness/independent): it draws a network, writes it as ONNX, evaluates the same description
in whole numbers with forward-mode gradients, and holds every answer against exact points: corners,
all breakpoints along segments, ascents, and the whole line where one feature moves. `proved` and
`claimed` must hold at all of them, on every side of a kink; a witness must lie in the region and
violate the claim on every side; ranges must contain what was seen and attain what they say. What is
drawn how often is fixed in `shares.toml`. `closed` and `open` are ranges.

{text(records)}
"""
