"""Putting a question to verifex, through Python or the command line; the answer as plain data."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.soundness.independent.questions import Question

Answer = dict[str, Any]
EXITS = {0: "proved", 1: "refuted"}
LATE = 90.0
"""Seconds after which a command that was given a few seconds is taken for hung."""


def ask(question: Question, folder: Path, seconds: float, pool: Any) -> Answer:
    """Write the files of a question into a folder and have it answered."""
    for name, data in question.files.items():
        (folder / name).write_bytes(data)
    started = time.monotonic()
    try:
        if question.entry == "command":
            found = _command(question, folder, seconds)
        else:
            found = _python(question, folder, seconds, pool)
    except subprocess.TimeoutExpired:
        found = {"verdict": "crashed", "reason": f"nothing after {LATE:g} s"}
    return {**found, "seconds": round(time.monotonic() - started, 3)}


# --- Python ------------------------------------------------------------------------------------


def _python(question: Question, folder: Path, seconds: float, pool: Any) -> Answer:
    from verifex.errors import VerifexError

    try:
        return _called(question, folder, seconds, pool)
    except VerifexError as error:
        if error.exit_code == 70:
            return {"verdict": "crashed", "reason": str(error)}
        return {"verdict": "refused", "reason": str(error).replace(f"{folder}/", "")}
    except Exception as error:  # whatever it is, it is a finding
        lines = traceback.format_exc().strip().splitlines()
        return {"verdict": "crashed", "reason": f"{type(error).__name__}: {error}",
                "trace": lines[-12:]}


def _called(question: Question, folder: Path, seconds: float, pool: Any) -> Answer:
    from verifex import api

    given = question.arguments
    spec = folder / given["spec"]
    if question.form == "bound":
        found = api.bound(folder / given["model"], spec, given["expression"], seconds=seconds,
                          pool=pool)
        return {"verdict": "range", "ranges": [_range(found)]}
    if question.form == "difference":
        answer = api.difference(folder / given["first"], folder / given["second"], spec,
                                given["of"], at_most=given.get("at_most"), seconds=seconds)
        if isinstance(answer, list):
            return {"verdict": "range", "ranges": [_range(r) for r in answer]}
        return _verdict(answer, ())
    model: Any = folder / given["model"] if isinstance(given["model"], str) else {
        name: folder / file for name, file in given["model"].items()}
    from verifex.settings import Settings

    asked = api.read(model, spec)
    verdict = api.answer(asked, Settings(seconds=seconds), pool=pool)
    return _verdict(verdict, asked.problem.region.names)


def _verdict(found: Any, names: tuple[str, ...]) -> Answer:
    witness = None if found.witness is None else [str(v) for v in found.witness.point]
    return {
        "verdict": found.outcome.value, "reason": found.reason,
        "evidence": list(map(str, found.evidence)), "notes": list(found.notes),
        "witness": witness, "names": list(names),
        "proven_margin": _text(found.margin_low), "attained_margin": _text(found.margin_high),
    }


def _text(value: Fraction | None) -> str | None:
    return None if value is None else str(value)


def _range(found: Any) -> Answer:
    def end(e: Any) -> Answer:
        return {"proven": _text(e.proven), "claimed": e.claimed, "attained": _text(e.attained),
                "point": None if e.point is None else [str(v) for v in e.point],
                "on_kink": e.on_kink, "best": e.best_bound}

    return {"low": end(found.low), "high": end(found.high), "closed": found.settled,
            "reason": found.reason, "evidence": list(map(str, found.evidence)), "exact": True}


# --- the command line --------------------------------------------------------------------------


def _command(question: Question, folder: Path, seconds: float) -> Answer:
    given = question.arguments
    limit = ["-t", f"{seconds:g}", "--json"]
    if question.form == "bound":
        words = ["bound", given["model"], given["spec"], "-e", given["expression"], *limit]
    elif question.form == "difference":
        words = ["difference", given["first"], given["second"], given["spec"], *limit]
        words += [w for of in given["of"] for w in ("--of", of)]
        words += ["--at-most", given["at_most"]] if "at_most" in given else []
    elif question.form == "toml":
        words = ["verify", given["model"], given["spec"], *limit]
    else:
        return _standard(question, folder, seconds)
    code, out, err = _run(["verifex", *words], folder)
    return _read(code, out, err)


def _run(words: list[str], folder: Path) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-m", *words], cwd=folder, capture_output=True,
                          text=True, timeout=LATE, check=False)
    return done.returncode, done.stdout, done.stderr


def _read(code: int, out: str, err: str) -> Answer:
    """What a command printed with --json; exit codes must be those of the verdict."""
    line = (err.strip().splitlines() or [""])[-1]
    if code not in (0, 1, 2):
        told = json.loads(out) if out.strip() else {"exit_code": code}
        word = "refused" if code in (64, 65, 69) and told.get("exit_code") == code else "crashed"
        several = len(err.strip().splitlines()) > 1
        return {"verdict": "crashed" if several else word, "reason": line, "exit": code}
    document = json.loads(out)
    if "ranges" in document:
        return {"verdict": "range", "exit": code, "ranges": [_printed(r)
                                                             for r in document["ranges"]]}
    margins, witness = document["worst_margin"], document["witness"]
    wanted = EXITS.get(code)
    said = document["outcome"]
    if wanted != (said if said in EXITS.values() else None) or document["exit_code"] != code:
        return {"verdict": "crashed", "reason": f"exit code {code} with the verdict {said}"}
    return {
        "verdict": said, "reason": document["reason"], "evidence": document["evidence"],
        "notes": document["notes"], "exit": code, "names": document["features"],
        "witness": None if witness is None else witness["point_exact"],
        "proven_margin": None, "attained_margin": _text(margins["attained"]),
    }


def _printed(found: Answer) -> Answer:
    """A range as it is printed: in floats."""
    ends = {}
    for side in ("low", "high"):
        e = found[side]
        best = e["proven"] if e["claimed"] is None else e["claimed"]
        ends[side] = {**e, "best": best, "proven": _text(e["proven"]), "point": None,
                      "attained": None if e["attained"] is None else str(Fraction(e["attained"]))}
    return {**found, **ends, "exact": False}


def _standard(question: Question, folder: Path, seconds: float) -> Answer:
    """The command of the VNN-LIB standard: sat with an assignment, unsat, unknown or timed-out."""
    given = question.arguments
    model = given["model"]
    networks = [model] if isinstance(model, str) else [f"{k}={v}" for k, v in model.items()]
    words = ["verifex.cli.vnnlib.main", "verify", given["spec"], "--timeout", f"{seconds:g}"]
    code, out, err = _run([*words, *(w for n in networks for w in ("--network", n))], folder)
    lines = out.strip().splitlines()
    if code:
        word = "refused" if code in (64, 65, 69) and not lines else "crashed"
        return {"verdict": word, "reason": err.strip()[-300:], "exit": code}
    word = lines[0] if lines else ""
    verdicts = {"sat": "refuted", "unsat": "claimed", "unknown": "unknown", "timed-out": "unknown"}
    if word not in verdicts:
        return {"verdict": "crashed", "reason": f"{word!r} is no answer"}
    if word == "unsat" and "proved: the checker accepted a certificate" in err:
        return {"verdict": "proved", "reason": "", "notes": err.splitlines()}
    found: Answer = {"verdict": verdicts[word], "reason": word, "notes": err.splitlines()}
    if word == "sat":
        found["assignment"] = _assignment(lines[1:])
        found["rounded"] = "the counterexample is exact, but" in err
    return found


def _assignment(lines: list[str]) -> dict[str, list[str]]:
    """Variable -> its numbers, as printed."""
    out: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        parts = line.split()
        if len(parts) > 1:
            name = parts[0]
            out[name] = []
        elif parts:
            out[name].append(parts[0])
    return out
