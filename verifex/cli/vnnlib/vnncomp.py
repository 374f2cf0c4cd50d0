"""One instance of VNN-COMP: decide it and write the results file of its conventions."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from pathlib import Path

from verifex.errors import InputError, UsageError

_WORDS = {"sat": "sat", "unsat": "unsat", "unknown": "unknown", "timed-out": "timeout"}


def instance(
    network: str, query: Path, seconds: float, started: float, *, claims: bool = False
) -> tuple[str, tuple[str, ...]]:
    """Decide an instance; the text of the results file, and lines for stderr.

    The text is `sat` with a counterexample, `unsat`, `unknown` or `timeout`.

    `network` is a file, or a list of pairs [('f', 'a.onnx'), ...] for several. A counterexample is
    given only if its inputs lie within the bounds, and the query is satisfied both in exact
    arithmetic and at what onnxruntime computes, without a tolerance. Inputs are float32 wherever
    the bounds hold one, and else fed to onnxruntime as the float32 beside them. All cores that the
    process may use are used. With `claims`, no certificate is checked and `unsat` rests on the
    search or a solver.
    """
    from verifex.cli.vnnlib.answer import (
        Rules,
        answer,
        assignment_lines,
        counterexample,
        punctual,
    )

    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    rules = Rules(punctual(seconds, not claims, threads), claims, strict=True, as_real=True)
    found = answer(existing(query), networks(network), rules, started)
    text = _WORDS[found.word]
    if found.values is not None:
        lines = counterexample(found) if found.stated.version == 1 else "\n".join(
            assignment_lines(found))
        text += "\n" + lines
    return text + "\n", found.said


def prepare(network: str, query: Path) -> None:
    """Read an instance's files and load the libraries, so that they come fast when time counts."""
    from verifex.problem.vnnlib.read import load_stated

    load_stated(existing(query), networks(network), as_real=True, cut=True)
    # Loading a library for the first time reads it from disk: that is done here, off the clock.
    import onnxruntime  # noqa: F401
    import torch  # noqa: F401


def networks(text: str) -> Mapping[str, Path] | Path:
    """The network of an instance, or several by name; files may be there zipped instead."""
    if not text.startswith("["):
        return existing(Path(text))
    try:
        # A list of Python literals, as VNN-COMP writes it; nothing in it is evaluated.
        pairs = [(str(name), str(file)) for name, file in ast.literal_eval(text)]
    except (ValueError, SyntaxError, TypeError):
        raise UsageError(f"network {text[:60]!r}, expected FILE or [('NAME', 'FILE'), ...]"
                         ) from None
    return {name: existing(Path(file)) for name, file in pairs}


def existing(path: Path) -> Path:
    """The file, or the same with .gz."""
    zipped = path.with_name(path.name + ".gz")
    if not path.is_file() and zipped.is_file():
        return zipped
    if not path.is_file():
        raise InputError("cannot be read", expected="a file", file=str(path))
    return path
