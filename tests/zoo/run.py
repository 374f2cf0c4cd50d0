"""Every member of the zoo: does it load, is its class decided and certified, and its explanation?

    python -m tests.zoo.run --markdown docs/zoo.md

A question counts as decided where the verdict is `proved` by a certificate that the checker
accepts, or `refuted` by an exact witness; a refusal counts as a failure.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from tests.zoo.member import Member, Trained, bounds_text, spec_text, spread, write_rows

SECONDS = 10.0
DECIDED = ("proved", "refuted")


@dataclass
class Answers:
    """What became of one kind of question about a member: counts by outcome, and seconds."""

    counts: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def asked(self) -> int:
        return sum(self.counts.values())

    @property
    def decided(self) -> int:
        return sum(self.counts[outcome] for outcome in DECIDED)


def members(data: Path | None) -> Iterator[Member]:
    """All members, those of Adult only with the benchmark data."""
    from tests.zoo import exchange, keras_nets, scikit, torch_nets

    yield from scikit.members(data)
    yield from torch_nets.members()
    yield from keras_nets.members()
    yield from exchange.members()


def regression_values(trained: Trained) -> list[float]:
    """What onnxruntime computes for every row, of the first output."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(trained.network), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    found = session.run(None, {name: spread(trained.rows)})[0]
    return [float(value) for value in np.asarray(found).ravel()]


def questions(trained: Trained) -> list[str]:
    """The kinds of questions that a member can be asked."""
    main = "bounds" if trained.regression else "class"
    return [main, "sign", "top-3"] if trained.gradient else [main]


def spec_of(trained: Trained, row: int, kind: str, values: Sequence[float]) -> str:
    """The spec of a question, as text."""
    if kind != "bounds":
        return spec_text(trained, row, kind)
    return bounds_text(trained, row, values[row], 0.02 * (max(values) - min(values)))


def ask(trained: Trained, folder: Path, rows: int, seconds: float) -> dict[str, Answers]:
    """All questions about the first rows of a member."""
    from verifex import verify
    from verifex.errors import VerifexError

    write_rows(trained, folder)
    values = regression_values(trained) if trained.regression else []
    found: dict[str, Answers] = {kind: Answers() for kind in questions(trained)}
    for kind, answers in found.items():
        for row in range(min(rows, len(trained.rows))):
            spec = folder / f"{kind}-{row}.toml"
            spec.write_text(spec_of(trained, row, kind, values), encoding="utf-8")
            started = time.monotonic()
            try:
                verdict = verify(trained.network, spec, seconds=seconds)
            except VerifexError as error:
                answers.counts["refused"] += 1
                answers.reasons[str(error).replace(str(folder) + "/", "")] += 1
            else:
                answers.counts[verdict.outcome.value] += 1
                if verdict.outcome.value not in DECIDED:
                    answers.reasons[str(verdict.reason or verdict.rests_on)] += 1
            answers.seconds.append(time.monotonic() - started)
    return found


def line(member: Member, found: dict[str, Answers]) -> str:
    """A row of the table."""
    def cell(answers: Answers | None) -> str:
        if answers is None:
            return "-"
        slowest = max(answers.seconds, default=0.0)
        return f"{answers.decided} of {answers.asked} ({slowest:.1f} s)"

    main = next(found[kind] for kind in ("class", "bounds") if kind in found)
    outcomes = f"{main.counts['proved']} / {main.counts['refuted']}"
    cells = [member.source, member.name, outcomes, cell(main), cell(found.get("sign")),
             cell(found.get("top-3"))]
    return "| " + " | ".join(cells) + " |"


def summary(every: dict[Member, dict[str, Answers]]) -> str:
    """The sentence that the figures come to."""
    mains = [answers for found in every.values() for kind, answers in found.items()
             if kind in ("class", "bounds")]
    rest = [answers for found in every.values() for kind, answers in found.items()
            if kind not in ("class", "bounds")]
    decided, asked = sum(a.decided for a in mains), sum(a.asked for a in mains)
    explained, wanted = sum(a.decided for a in rest), sum(a.asked for a in rest)
    return (f"Of {asked} claims about classes and outputs {decided} are decided and certified "
            f"({100 * decided / max(1, asked):.1f} %); of {wanted} about explanations {explained} "
            f"({100 * explained / max(1, wanted):.1f} %).")


def document(every: dict[Member, dict[str, Answers]], rows: int, seconds: float) -> str:
    """The page."""
    head = f"""# The zoo

Networks as people have them, trained and exported on the spot: scikit-learn by `skl2onnx`, torch
by both of its exporters, Keras 3 on its torch backend, and graphs in the style of tf2onnx. Of each,
{rows} rows that were not trained on are asked whether the class can change (for a regression:
whether the value moves by 2 % of its spread) while features move by about 1 % of their ranges (in
Adult: ages by three years, occupations to others), and, where there is a gradient, whether the
signs of the explanation and its three largest components can. A claim counts as decided if it is
proved with an accepted certificate, or refuted by an exact witness, in {seconds:g} s; a refusal
counts as a failure.

Made by `python -m tests.zoo.run --rows {rows} --markdown docs/zoo.md`. {summary(every)}

| from | network | proved / refuted | class or value decided (slowest) | signs | top 3 |
|---|---|---|---|---|---|
"""
    body = "\n".join(line(member, found) for member, found in every.items())
    return head + body + "\n" + failures(every)


def failures(every: dict[Member, dict[str, Answers]]) -> str:
    """What was not decided, and why."""
    lines = []
    for member, found in every.items():
        for kind, answers in found.items():
            for reason, times in answers.reasons.items():
                lines.append(f"* {member.name}, {kind}, {times} times: {reason}")
    return "\n## What is not decided\n\n" + "\n".join(lines) + "\n" if lines else ""


def main() -> None:
    """Train, export, ask, and print a line a member."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--only", default="", help="members whose name or source has this in it")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    data = options.data if (options.data / "MANIFEST.tsv").is_file() else None
    every: dict[Member, dict[str, Answers]] = {}
    for member in members(data):
        if options.only.lower() not in f"{member.source} {member.name}".lower():
            continue
        with tempfile.TemporaryDirectory() as folder:
            trained = member.build(Path(folder))
            every[member] = ask(trained, Path(folder), options.rows, options.seconds)
        print(line(member, every[member]), flush=True)
        for kind, answers in every[member].items():
            for reason, times in answers.reasons.items():
                print(f"    {kind} {times}x {reason[:300]}", flush=True)
    print(summary(every))
    if options.markdown:
        options.markdown.write_text(document(every, options.rows, options.seconds))
    if options.json:
        told = {m.name: {k: asdict(a) for k, a in found.items()} for m, found in every.items()}
        options.json.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
