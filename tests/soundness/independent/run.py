"""Asks verifex random questions of independent making, and looks for contradictions.

    python -m tests.soundness.independent.run --count 5000 --seed 12 --jobs 2 \
        --record build/independent.jsonl --document docs/fuzz-independent.md

Question k of a seed is always the same. Networks are drawn with an evaluator of their own (exact
values, forward-mode gradients, sides of kinks), claims by the definitions of specs/LANGUAGE.md, and
what verifex answers is held against exact points: corners, all breakpoints along segments, ascents,
and for one moving feature the whole line. Nothing of verifex is used but its answers. With --record
a run goes on where it stopped. A contradiction goes to a folder with its files; exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
HERE = Path(__file__).resolve().parent

from tests.soundness.independent.asking import Answer, ask  # noqa: E402
from tests.soundness.independent.judging import RULES, Judgement, judge  # noqa: E402
from tests.soundness.independent.pairs import difference_question  # noqa: E402
from tests.soundness.independent.queries import first_version, second_version  # noqa: E402
from tests.soundness.independent.questions import Question, bound_question, spec_question  # noqa: E402
from tests.soundness.independent.shares import draw  # noqa: E402

Record = dict[str, Any]
SECONDS = 6.0
CHUNK = 20
FORMS = {
    "toml": spec_question, "bound": bound_question, "difference": difference_question,
    "vnnlib1": first_version, "vnnlib2": second_version,
}


def make(seed: int, number: int) -> Question:
    """Question `number` of a seed."""
    name = f"{seed}:{number}"
    rng = random.Random(name)
    form = draw(rng, "form")
    return FORMS[form](rng, name)


def answered(
    seed: int, number: int, pool: Any, seconds: float, skip: Sequence[str], save: str
) -> Record:
    """One question, its answer, and what is wrong with it."""
    started = time.monotonic()
    question = make(seed, number)
    made = time.monotonic() - started
    with tempfile.TemporaryDirectory(prefix="independent-") as folder:
        answer = ask(question, Path(folder), seconds, pool)
    again = time.monotonic()
    found = judge(question, answer, skip)
    judged = time.monotonic() - again
    record = {
        "number": number, "form": question.form, "kind": question.kind, "entry": question.entry,
        "verdict": _word(answer), "truth": found.truth, "near": question.near,
        "cells": len(question.battery.cells), "points": len(question.battery.sights),
        "whole": question.battery.whole, "refused": question.refused,
        "reason": answer.get("reason", "")[:160], "wrong": found.wrong,
        "disowned": next((n for n in answer.get("notes", ()) if "not accepted: invalid" in n), ""),
        "seconds": [round(made, 3), answer["seconds"], round(judged, 3)],
    }
    if found.wrong:
        keep(Path(save) / f"{seed}-{number}", question, answer, found, record)
    return record


def _word(answer: Answer) -> str:
    """The verdict; of ranges whether all of them are closed."""
    if answer["verdict"] != "range":
        return str(answer["verdict"])
    return "closed" if all(r["closed"] for r in answer["ranges"]) else "open"


def keep(folder: Path, question: Question, answer: Answer, found: Judgement, record: Record
         ) -> None:
    """Write everything about a contradiction, so that one command asks it again."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in question.files.items():
        (folder / name).write_bytes(data)
    seed, number = folder.name.split("-")
    told = {
        "again": f"python -m tests.soundness.independent.run --seed {seed} --start {number} "
                 "--count 1",
        "wrong": found.wrong, "truth": found.truth, "form": question.form, "kind": question.kind,
        "arguments": question.arguments, "answer": answer, "record": record,
    }
    (folder / "contradiction.json").write_text(json.dumps(told, indent=1, default=str) + "\n")


def chunk(
    numbers: Sequence[int], seed: int, seconds: float, skip: Sequence[str], save: str
) -> list[Record]:
    """Several questions in one process, with one set of solver processes."""
    from verifex.engine.solve.pool import SolverPool

    out = []
    with SolverPool() as pool:
        for number in numbers:
            try:
                out.append(answered(seed, number, pool, seconds, skip, save))
            except Exception as error:
                raise RuntimeError(f"question {seed}:{number} could not be made or judged: "
                                   f"{type(error).__name__}: {error}") from error
    return out


def asked(
    numbers: Sequence[int], seed: int, jobs: int, seconds: float = SECONDS,
    skip: Sequence[str] = (), save: str = "build/independent",
) -> Iterator[Record]:
    """The records of all these questions, in order."""
    chunks = [numbers[k : k + CHUNK] for k in range(0, len(numbers), CHUNK)]
    work = partial(chunk, seed=seed, seconds=seconds, skip=tuple(skip), save=save)
    if jobs == 1:
        for some in chunks:
            yield from work(some)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for records in pool.map(work, chunks):
            yield from records


def _known(file: Path | None, seed: int) -> dict[int, Record]:
    """What a record file holds of a seed."""
    if file is None or not file.is_file():
        return {}
    lines = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {r["number"]: r for r in lines if r["seed"] == seed}


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first question")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for one answer")
    parser.add_argument("--record", type=Path, help="lines of JSON; answered ones are not asked")
    parser.add_argument("--document", type=Path, help="also write a section of this page")
    parser.add_argument("--save", default="build/independent", help="folder for contradictions")
    parser.add_argument("--skip", default="", metavar="RULE,...",
                        help=f"do not judge by a rule: {', '.join(RULES)}")
    args = parser.parse_args(words)
    skip = [w for w in args.skip.split(",") if w]
    if not set(skip) <= set(RULES):
        parser.error(f"--skip {args.skip}, expected some of {', '.join(RULES)}")
    started, known = time.monotonic(), _known(args.record, args.seed)
    wanted = range(args.start, args.start + args.count)
    records = [known[k] for k in wanted if k in known]
    left = [k for k in wanted if k not in known]
    for record in asked(left, args.seed, args.jobs, args.seconds, skip, args.save):
        records.append(record)
        if args.record is not None:
            args.record.parent.mkdir(parents=True, exist_ok=True)
            with args.record.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"seed": args.seed, **record}) + "\n")
        for wrong in record["wrong"]:
            print(f"{args.seed}:{record['number']} ({record['kind']}): {wrong}", flush=True)
        if len(records) % 200 == 0:
            print(f"{len(records)} answered, {time.monotonic() - started:.0f} s", flush=True)
    from tests.soundness.independent.page import body, text

    print(text(records), f"Wall time: {time.monotonic() - started:.0f} s.", sep="\n")
    if args.document is not None:
        from tests.helpers.document import section

        section(args.document, "Independent questions",
                body(records, "python -m tests.soundness.independent.run " + " ".join(words)))
    return 1 if any(r["wrong"] for r in records) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
