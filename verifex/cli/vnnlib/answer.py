"""Answering a VNN-LIB query: the word that the standard wants, and the assignment behind `sat`."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from verifex.errors import UnsupportedError, VerifexError
from verifex.ir.decimals import finite_decimal
from verifex.settings import MOST_JOBS, Settings

if TYPE_CHECKING:
    from verifex.engine.verdict import Verdict
    from verifex.engine.watch import StopRequest
    from verifex.ir.graph import Graph
    from verifex.problem.read import ReadProblem
    from verifex.problem.vnnlib.read import QueryFile
    from verifex.problem.vnnlib.stated import Stated
    from verifex.source import Source

RESERVE = 0.6
"""Seconds of a time limit kept for ending a check and writing the answer."""

Numbers: TypeAlias = Sequence[Any]


@dataclass(frozen=True)
class Rules:
    """How to answer: by these settings, `seconds` in all; whether a claim without an accepted
    certificate is `unsat` too, whether a counterexample must show in onnxruntime, and whether
    floating point element types are read as real."""

    settings: Settings
    claims: bool = False
    strict: bool = False
    as_real: bool = False


def punctual(seconds: float, check: bool, threads: int, seed: int = 0) -> Settings:
    """Settings with which everything, checks too, ends in time; `threads` are those of the search,
    then of the checker."""
    return Settings(seconds=seconds, check=check, check_seconds=0.0, threads=threads, seed=seed,
                    jobs=min(threads, MOST_JOBS))


@dataclass(frozen=True)
class QueryAnswer:
    """The answer to a query: `word` is sat, unsat, unknown or timed-out.

    `values` is an assignment, flat numbers of every declared variable: exact fractions, or floats
    of the runtime (all of float32 where `single`). `point` is its input, `said` lines for stderr.
    """

    word: str
    stated: Stated
    values: Mapping[str, Numbers] | None = None
    point: tuple[Fraction, ...] | None = None
    single: bool = False
    said: tuple[str, ...] = ()


def answer(
    query: Path, networks: Mapping[str, Path] | Path, rules: Rules, started: float,
    stop: StopRequest | None = None,
) -> QueryAnswer:
    """Decide a query; `started` is when the time limit began (`time.monotonic`). The work ends soon
    after `stop` is set."""
    from verifex import api
    from verifex.engine.verdict import Outcome
    from verifex.problem.read import ReadProblem as Found
    from verifex.problem.vnnlib.read import load_stated, query_source

    source = query_source(query)
    stated = load_stated(source, _read(networks), as_real=rules.as_real, cut=True)
    left = rules.settings.seconds - RESERVE - (time.monotonic() - started)
    if left <= 0:
        return QueryAnswer("timed-out", stated, said=("reading took all the time",))
    with tempfile.TemporaryDirectory(prefix="verifex-") as folder:
        why: tuple[str, ...] = ()
        asked = Found(stated.problem, None)
        if rules.settings.check:
            asked, why = _certifiable(stated, source, Path(folder))
        verdict = api.answer(asked, replace(rules.settings, seconds=left), stop=stop)
    steps = (f"{step.stage}: {step.result} ({step.seconds:.2f} s)" for step in verdict.steps)
    said = (*why, *steps)
    said += verdict.notes
    if verdict.outcome is Outcome.REFUTED:
        return _satisfied(stated, source, verdict, rules, started, said)
    word, why = _closed(verdict, rules, started)
    if stated.cut and word == "unsat":
        word, why = "unknown", ("an input has no bounds: only a counterexample was sought",)
    return QueryAnswer(word, stated, said=(*said, *why))


def _read(networks: Mapping[str, Path] | Path) -> Mapping[str, Source[Graph]] | Source[Graph]:
    """The networks' files, each read once."""
    from verifex.frontend.onnx.read import network_source

    if isinstance(networks, Path):
        return network_source(networks)
    return {name: network_source(path) for name, path in networks.items()}


def _certifiable(
    stated: Stated, query: Source[str], folder: Path
) -> tuple[ReadProblem, tuple[str, ...]]:
    """The problem to decide with the files that a certificate can name, and what is to be said.

    The checker reads VNN-LIB 1.0 about one network. A query of version 2.0 is decided as such a
    pair of files, translated exactly; where that is not possible, without a certificate.
    """
    from verifex.problem.read import ReadProblem as Found
    from verifex.problem.read import read_query
    from verifex.problem.vnnlib.translate import write_translation
    from verifex.source import QuestionFiles
    from verifex.source import Source as Read

    if stated.version == 1:
        network = stated.networks[0].source if stated.networks else None
        files = QuestionFiles(network, query) if isinstance(network, Read) else None
        return Found(stated.problem, files), ()
    network_path, query_path = folder / "network.onnx", folder / "query.vnnlib"
    try:
        write_translation(stated.problem, network_path, query_path)
    except UnsupportedError as error:
        return Found(stated.problem, None), (f"no certificate: {error}",)
    said = "decided and checked as one network with a query of VNN-LIB 1.0"
    return read_query(query_path, network_path), (said,)


def _closed(verdict: Verdict, rules: Rules, started: float) -> tuple[str, tuple[str, ...]]:
    """The word for a verdict that is no counterexample, and why."""
    from verifex.engine.verdict import Outcome

    if verdict.outcome is Outcome.PROVED:
        return "unsat", ("proved: the checker accepted a certificate",)
    if verdict.outcome is Outcome.CLAIMED:
        told = verdict.extra.get("certificate") or {}
        if told.get("check_exit") == 1:  # 65: the checker does not support the network
            return "unknown", (f"the checker refused the certificate: {told['check']}",)
        rests = verdict.rests_on
        if rules.claims:
            return "unsat", (f"claimed, not proved: rests on {rests}",)
        return "unknown", (f"claimed, not proved: rests on {rests} (--accept claimed: unsat)",)
    late = time.monotonic() - started >= rules.settings.seconds - 2 * RESERVE
    return ("timed-out" if late else "unknown"), known(verdict)


def known(verdict: Verdict) -> tuple[str, ...]:
    """Why a verdict is unknown, and how near to a counterexample it came."""
    low, high = verdict.margin_low, verdict.margin_high
    ends = [] if low is None else [f"at least {float(low):.6g}"]
    ends += [] if high is None else [f"{float(high):.6g} attained"]
    return (verdict.reason, f"margin {', '.join(ends)}") if ends else (verdict.reason,)


def _satisfied(
    stated: Stated, query: QueryFile, verdict: Verdict, rules: Rules, started: float,
    said: tuple[str, ...],
) -> QueryAnswer:
    """The assignment: as onnxruntime computes it from float32 inputs where some such point is a
    counterexample in exact arithmetic too, else exact values.

    Where bounds hold no float32 there is no such point. The exact values are right all the same; a
    `strict` answer gives a point of the box with what onnxruntime computes beside it.
    """
    from verifex.engine.falsify.witness import replay

    problem, witness = stated.problem, verdict.witness
    if witness is None or not replay(problem, witness.point).refutes:
        raise VerifexError("the counterexample does not satisfy the query in exact arithmetic")
    found, why = _deployed(stated, query, witness.point, rules, started)
    said = (*said, *why)
    if found is not None:
        values, point, single = found
        return QueryAnswer("sat", stated, values, point, single, said)
    if rules.strict:
        return QueryAnswer("unknown", stated, said=said)
    exact = _exact_values(stated, witness.point)
    return QueryAnswer("sat", stated, exact, witness.point, False, said)


def _deployed(
    stated: Stated, query: QueryFile, witness: tuple[Fraction, ...], rules: Rules, started: float
) -> tuple[tuple[dict[str, Numbers], tuple[Fraction, ...], bool] | None, tuple[str, ...]]:
    """A counterexample that onnxruntime agrees with, or None, and lines for stderr.

    A counterexample is the assignment, its exact input, and whether the inputs are all float32.
    """
    from verifex.engine.budget import Budget
    from verifex.engine.falsify.deployed import Deployed
    from verifex.engine.falsify.single import single_box, survivor

    try:
        deployed = Deployed(stated, query) if stated.networks else None
    except VerifexError as error:
        return None, (f"not replayed: {error}",)
    if deployed is None:
        return None, ()
    region = stated.problem.region
    box = single_box(region)
    between = () if box is None else tuple(region.name(i) for i in box.between)
    none = "no float32 input was found that breaks the claim in onnxruntime without a tolerance"
    exact_only, why = "the counterexample is exact, but", ""
    if between:
        why = f"the bounds of {between[0]} hold no float32"
        none = f"{why}, and beside them {none}"
        if not rules.strict:
            return None, (f"{exact_only} {why}",)
    left = max(1.0, rules.settings.seconds - RESERVE - (time.monotonic() - started))
    found = survivor(stated.problem, witness, deployed.breaks, Budget(left), rules.settings.seed)
    if found is None:
        return None, (f"{exact_only} {none}",)
    x, point = found
    values: dict[str, Numbers] = {k: v.tolist() for k, v in deployed.values(x).items()}
    if not between:
        return (values, point, True), ()
    exact = _exact_values(stated, point)
    values |= {v.name: exact[v.name] for v in stated.variables if v.kind == "input"}
    return (values, point, False), (f"{why}: onnxruntime was fed the nearest",)


def _exact_values(stated: Stated, point: Sequence[Fraction]) -> dict[str, Numbers]:
    """The exact numbers of every variable at a point.

    Outputs are float64 where a smooth function has no exact value.
    """
    import numpy as np

    from verifex.semantics.evaluate import evaluate_exact, evaluate_float

    graph, variables = stated.problem.graph, stated.variables
    values: dict[str, Numbers] = {}
    for inputs in (True, False):
        nodes = {v.name: v.node for v in variables if (v.kind == "input") is inputs}
        try:
            exact = evaluate_exact(graph, point, nodes.values())
            values |= {k: exact[n].fractions() for k, n in nodes.items()}
        except VerifexError:
            near = evaluate_float(graph, np.array([float(v) for v in point])[None],
                                  list(nodes.values()))
            values |= {k: near[n].reshape(-1).tolist() for k, n in nodes.items()}
    return values


# --- writing -----------------------------------------------------------------------------------


def shown(value: Any) -> str:
    """A number in decimals, without an exponent: exact where it has finitely many digits."""
    exact = value if isinstance(value, Fraction) else Fraction(float(value))
    try:
        return finite_decimal(exact)
    except ValueError:
        return finite_decimal(Fraction(float(exact)))  # a float has finitely many digits


def assignment_lines(found: QueryAnswer) -> list[str]:
    """The assignment in the command-line format of the standard."""
    lines = []
    for v in found.stated.variables:
        values = (found.values or {})[v.name]
        lines.append(f"{v.name} {v.element} [{','.join(map(str, v.shape))}]")
        lines += [shown(n) for n in values]
    return lines


def serialise(found: QueryAnswer, folder: Path, query: QueryFile) -> tuple[str, ...]:
    """One serialised TensorProto a variable; float32 where the runtime's values are, else float64.

    What is to be said of values that rounding to float64 moved comes back.
    """
    import numpy as np
    from onnx import numpy_helper

    said: tuple[str, ...] = ()
    values: Mapping[str, Numbers] = found.values or {}
    if not found.single:
        values, said = _doubles(found, query)
    folder.mkdir(parents=True, exist_ok=True)
    kind = np.float32 if found.single else np.float64
    for v in found.stated.variables:
        numbers = np.array([float(n) for n in values[v.name]], dtype=kind)
        tensor = numpy_helper.from_array(numbers.reshape(v.shape), v.name)
        (folder / f"{v.name}.pb").write_bytes(tensor.SerializeToString())
    return said


def _doubles(
    found: QueryAnswer, query: QueryFile
) -> tuple[dict[str, list[float]], tuple[str, ...]]:
    """An exact assignment in float64: inputs within their bounds wherever these hold a float64, and
    the outputs there. What is no counterexample any more in these numbers is said."""
    stated, point = found.stated, found.point or ()
    region = stated.problem.region
    inside = [nearest_double(*row) for row in zip(point, region.lo, region.hi, strict=True)]
    fed = [_double(v) if x is None else x for v, x in zip(point, inside, strict=True)]
    values: Mapping[str, Numbers] = found.values or {}
    # Outputs at the inputs as they are written, not at the exact point they were rounded from.
    if all(map(math.isfinite, fed)):
        values = _exact_values(stated, [Fraction(x) for x in fed])
    written = {k: [n if isinstance(n, float) else _double(n) for n in flat]
               for k, flat in values.items()}
    none = [region.name(i) for i, x in enumerate(inside) if x is None]
    if none:
        return written, (f"the bounds of {_some(none)} hold no float64: what is written is the "
                         "nearest, outside of them",)
    if _satisfies(stated, query, tuple(map(Fraction, fed)), written):
        return written, ()
    moved = [region.name(i) for i, v in enumerate(point) if Fraction(fed[i]) != v]
    moved += [v.name for v in stated.variables if v.kind != "input"
              and any(Fraction(n) != x for n, x in zip(values[v.name], written[v.name],
                                                       strict=True))]
    return written, (f"the counterexample is exact, but not so in float64: as written, with "
                     f"{_some(moved)} rounded, it does not satisfy the query",)


def _satisfies(
    stated: Stated, query: QueryFile, point: tuple[Fraction, ...],
    written: Mapping[str, Sequence[float]],
) -> bool:
    """Whether a point, and the numbers written of it, both satisfy the query exactly."""
    from verifex.engine.falsify.witness import replay
    from verifex.problem.vnnlib.raw_query import raw_query

    if not all(math.isfinite(n) for flat in written.values() for n in flat):
        return False
    exact = {k: [Fraction(n) for n in flat] for k, flat in written.items()}
    return replay(stated.problem, point).refutes and raw_query(query, stated)(exact)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def nearest_double(value: Fraction, lo: Fraction, hi: Fraction) -> float | None:
    """The float64 nearest to a value of [lo, hi] that lies in it exactly; None if there is none."""
    x = _double(value)
    for _ in range(2):
        if not math.isfinite(x):
            return None
        if lo <= Fraction(x) <= hi:
            return x
        # The nearest float64 may lie just outside of an end; its neighbour inwards may not.
        x = math.nextafter(x, math.inf if Fraction(x) < lo else -math.inf)
    return None


def _double(value: Fraction) -> float:
    """The float64 nearest to a value; infinite where it is beyond them."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def counterexample(found: QueryAnswer) -> str:
    """The assignment of a VNN-LIB 1.0 query as VNN-COMP writes it: ((X_0 v) ... (Y_0 v) ...)."""
    lines = []
    for side, kind in (("X", "input"), ("Y", "output")):
        numbers = [n for v in found.stated.variables if v.kind == kind
                   for n in (found.values or {})[v.name]]
        lines += [f"({side}_{i} {shown(n)})" for i, n in enumerate(numbers)]
    return "(" + "\n".join(lines) + ")"
