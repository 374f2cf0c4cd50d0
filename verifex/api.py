"""The Python face: `verify(model, spec)`, `bound(model, spec, expression)` and `bounds`.

    import verifex
    verdict = verifex.verify("net.onnx", "spec.toml")
    print(verdict.outcome, verdict.witness)

A model is a path to an ONNX file, its bytes, a `Graph` or a `torch.nn.Module` (for a VNN-LIB query
about several networks a mapping from their names to files); a spec is a path to a TOML file or a
VNN-LIB query, a `Spec`, a dictionary with the keys of the file, or a finished `Problem`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from verifex.errors import InputError, MissingSolverError, UsageError
from verifex.reading import ModelLike, SpecLike
from verifex.reading import explanation as explanation
from verifex.reading import measure as measure
from verifex.reading import read as read
from verifex.settings import Changes, ClaimChanges, RangeChanges, Settings

if TYPE_CHECKING:
    from fractions import Fraction

    from verifex.engine.solve.pool import SolverPool
    from verifex.engine.verdict import RangeVerdict, Verdict
    from verifex.engine.watch import StopRequest, Watch
    from verifex.ir.graph import Graph
    from verifex.ir.problem import Problem
    from verifex.problem.read import ReadProblem
    from verifex.problem.spec.difference import Difference
    from verifex.problem.spec.expression import Asked

Progress: TypeAlias = Callable[[str, str], None]
Log: TypeAlias = Callable[[dict[str, Any]], None]


def verify(
    model: ModelLike, spec: SpecLike, settings: Settings | None = None, *,
    progress: Progress | None = None, log: Log | None = None, pool: SolverPool | None = None,
    **changes: Unpack[ClaimChanges],
) -> Verdict:
    """Decide the claim that a spec makes about a model.

    How hard to try is said by `settings`, or by keywords for single ones (`seconds=10`), which
    `Settings` lists with their meanings. `engine`: "auto" shares the time among searches, HiGHS
    and z3 by what they gain, "search" only searches ("inputs", "gates", "programs": one search
    alone), "milp" and "smt" only ask solvers; `solver` names which, one or several to be tried in
    order (see `verifex solvers`; with "auto" they replace the search).

    What is claimed or refuted gets a certificate, kept in the file `certificate` if one is named,
    and with `check` it is checked by `jobs` processes, which makes a claim `proved`. The check may
    take the time that is left, at least 10 s. The checker reads files: what is given in memory is
    written for it, beside the certificate (`proof.files/` beside `proof.vxc`) or into a folder that
    lasts as long as the verdict, which names it (`verdict.folder`). `verdict.save(folder)` keeps
    everything.

    `progress` is told stages as they end, `log` gets a dictionary for each thing that happens.
    Raises InputError for a bad file, spec or number, UsageError for a call that does not fit
    together, MissingSolverError for a solver or a device that is not here.
    """
    chosen = changed_settings(settings, changes, ClaimChanges)
    asked = read(model, spec)
    return answer(asked, chosen, progress=progress, log=log, pool=pool, keep=True)


def answer(
    asked: ReadProblem, settings: Settings, *, progress: Progress | None = None,
    log: Log | None = None, pool: SolverPool | None = None, keep: bool = False,
    stop: StopRequest | None = None,
) -> Verdict:
    """`verify` for a problem that is read already; it ends soon after `stop` is set. `keep`: the
    verdict can be saved."""
    from verifex.certificate.grant import decide_and_check
    from verifex.certificate.keeping import Keeper

    path = settings.certificate
    if path is not None and asked.files is not None:
        for source in (asked.files.network, asked.files.spec):
            if path.exists() and source.path.exists() and path.samefile(source.path):
                raise UsageError(f"the certificate would replace {source.name}")
    if path is not None and not path.parent.is_dir():
        raise InputError("cannot be written", expected="a folder that exists", file=str(path))
    log = clocked(log)
    keeper = Keeper(asked, fitting(settings), keep=keep)
    verdict = keeper.told(decide_and_check(
        asked.problem, keeper.files, keeper.settings, pool, watching(log, progress, stop),
        keeper.scratch, keeper.refusal))
    if log is not None:
        document = verdict.to_json()
        kept = ("name", "outcome", "reason", "evidence", "seconds", "steps", "notes", "certificate")
        log({"event": "verdict", **{k: document[k] for k in kept if k in document}})
    return verdict


def bound(
    model: ModelLike, spec: SpecLike, expression: str, settings: Settings | None = None, *,
    progress: Progress | None = None, log: Log | None = None, pool: SolverPool | None = None,
    **changes: Unpack[RangeChanges],
) -> RangeVerdict:
    """The least and the greatest value of an expression over the spec's region.

    Expressions are "component:NAME", "distance:l1", "margin:0,1" and others (see specs/). Settings
    and errors as for `verify`, but that `certificate` is a folder: each end is a claim with a spec
    and a certificate of its own, and `proven` is what the checker accepted of it.
    """
    chosen = changed_settings(settings, changes, RangeChanges)
    asked = measure(model, spec, [expression])
    return ranges(asked, chosen, progress=progress, log=log, pool=pool)[0]


def bounds(
    model: ModelLike, spec: SpecLike, expressions: Sequence[str],
    settings: Settings | None = None, *,
    progress: Progress | None = None, log: Log | None = None, pool: SolverPool | None = None,
    **changes: Unpack[RangeChanges],
) -> list[RangeVerdict]:
    """`bound` for several expressions: they are searched together as far as that goes, then one by
    one. `seconds` are for each, so that all take at most so many times as much."""
    chosen = changed_settings(settings, changes, RangeChanges)
    asked = measure(model, spec, expressions)
    return ranges(asked, chosen, progress=progress, log=log, pool=pool)


def ranges(
    asked: Sequence[Asked], settings: Settings, *, progress: Progress | None = None,
    log: Log | None = None, pool: SolverPool | None = None, stop: StopRequest | None = None,
) -> list[RangeVerdict]:
    """`bounds` for expressions that are built already, over the graph of one problem."""
    from verifex.certificate.ranges import certified, recorded
    from verifex.engine.by_threshold.threshold_range import ThresholdQuestion
    from verifex.engine.ranges import RangeQuestion, find_each
    from verifex.problem.spec.thresholds.threshold_expression import ThresholdExpression

    settings, log, watch = fitting(settings), clocked(log), watching(None, None, stop)
    logs = [_tagged(log, one.text) for one in asked]
    watches = [watching(mine, progress, watch.stop) for mine in logs]
    questions = [ThresholdQuestion(one, watch) if isinstance(one, ThresholdExpression) else
                 RangeQuestion(one.form, one.label, watch)
                 for one, watch in zip(asked, watches, strict=True)]
    if not asked:
        return []
    together = watching(log, progress, watch.stop)
    found = find_each(asked[0].problem, questions, settings, pool, together,
                      record=recorded(asked[0], settings))
    found = certified(asked, found, settings, pool, watches)
    for mine, one in zip(logs, found, strict=True):
        if mine is not None:
            mine({"event": "range", **one.to_json()})
    return found


def difference(
    first: str | Path, second: str | Path, spec: str | Path, of: Sequence[str] = ("output",),
    settings: Settings | None = None, *, at_most: Fraction | int | str | None = None,
    progress: Progress | None = None, log: Log | None = None, **changes: Unpack[Changes],
) -> Verdict | list[RangeVerdict]:
    """How far two networks differ over a spec's region: their outputs, classes, attributions.

    `of` lists measures (see `verifex.problem.spec.difference`). With `at_most`, and for "class", it
    is a claim and a verdict, `claimed` or `refuted`: the checker reads one network, so that nothing
    is proved. Without, it is the worst-case range of every difference, `seconds` for each measure.
    Settings and errors as for `bound`.
    """
    from fractions import Fraction as Exact

    from verifex.problem.spec.difference import load_difference

    limit = None if at_most is None else Exact(at_most)
    chosen = changed_settings(settings, changes, Changes)
    asked = load_difference(first, second, spec, of, limit)
    return compare(asked, chosen, progress=progress, log=log)


def compare(
    asked: Difference, settings: Settings, *, progress: Progress | None = None,
    log: Log | None = None, stop: StopRequest | None = None,
) -> Verdict | list[RangeVerdict]:
    """`difference` for one that is built already: the verdict of its claim, or its ranges."""
    from verifex.engine.decide import decide
    from verifex.engine.ranges import find_range, find_ranges

    log = clocked(log)
    settings, watch = fitting(settings), watching(log, progress, stop)
    if asked.claim:
        verdict = decide(asked.problem, settings, None, watch)
        if log is not None:
            log({"event": "verdict", **verdict.to_json()})
        return verdict
    found: list[RangeVerdict] = []
    for part in asked.measures:
        forms, labels = list(part.forms), list(part.labels)
        if len(forms) == 1:
            found.append(find_range(asked.problem, forms[0], settings, None, labels[0], watch))
        else:
            found += find_ranges(asked.problem, forms, labels, settings, watch)
    return found


def changed_settings(
    settings: Settings | None, changes: Mapping[str, object], known: type[Changes]
) -> Settings:
    """The settings with the keywords of a call; TypeError for one that it does not take."""
    for name in changes.keys() - known.__annotations__.keys():
        raise TypeError(f"unexpected keyword argument {name!r}")
    return (settings or Settings()).changed(changes)


def fitting(settings: Settings) -> Settings:
    """The settings with the device that they come to; raises UsageError where they do not fit
    together, MissingSolverError where a solver or a device that was asked for is not here."""
    settings.require_numbers()
    names = settings.solvers or ()
    if names and settings.engine == "search":
        raise UsageError(f"the engine 'search' asks no solver, expected no {', '.join(names)}")
    for name in names:
        require_solver(name)
        if settings.engine in ("milp", "smt") and _kind(name) != settings.engine:
            raise UsageError(
                f"{name} is no {settings.engine.upper()} solver, expected engine 'auto'")
    return replace(settings, device=_device(settings.device))


def watching(
    log: Log | None, progress: Progress | None, stop: StopRequest | None = None
) -> Watch:
    from verifex.engine.watch import Watch as Told

    return Told(log, progress, stop=stop)


def clocked(log: Log | None) -> Log | None:
    """A log whose entries all carry `t`, seconds since now, by one clock."""
    if log is None:
        return None
    started, take = time.monotonic(), log

    def entry(what: dict[str, Any]) -> None:
        take({**what, "t": round(time.monotonic() - started, 4)})

    return entry


def _tagged(log: Log | None, expression: str) -> Log | None:
    """A log whose entries all name the expression that they are about."""
    if log is None:
        return None
    take = log
    return lambda what: take({**what, "expression": expression})


def build(model: ModelLike, spec: SpecLike) -> Problem:
    """The problem that a spec states about a model (a `Problem` is returned as it is)."""
    return read(model, spec).problem


def load(path: str | Path, outputs: Sequence[str] | None = None) -> Graph:
    """The network in an ONNX file; raises InputError or UnsupportedError, naming the place.

    Its outputs are the tensors that are named, any tensors of the file, or else the file's outputs
    of floats. What they do not depend on is not read.
    """
    from verifex.frontend.onnx.read import load as read

    return read(path, outputs=outputs)


def require_solver(name: str) -> None:
    """Raise MissingSolverError, with the reason, where a solver that was asked for cannot run."""
    from verifex.engine.solve import registry

    availability = registry.info(name)[1]
    if not availability.ok:
        raise MissingSolverError(f"solver {name}: {availability.reason}")


def _kind(name: str) -> str:
    """The engine that a solver belongs to: "milp", "smt", or "" for one that reads problems."""
    from verifex.engine.solve import registry

    capabilities = registry.info(name)[0]
    if capabilities.reads != "model":
        return ""
    return "smt" if capabilities.exact else "milp"


def _device(name: str) -> str:
    """"cpu" or "cuda"; raises MissingSolverError where CUDA was asked for and is not here."""
    if name == "cpu":
        return name
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise MissingSolverError("device cuda: torch finds no CUDA device here")
    return "cpu"
