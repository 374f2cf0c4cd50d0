"""The Python face: `verify(model, spec)` and `bound(model, spec, expression)`.

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
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from verifex.errors import InputError, MissingSolverError, UsageError

if TYPE_CHECKING:
    from fractions import Fraction

    from verifex.certificate.write import Files
    from verifex.engine.run import Options
    from verifex.engine.solve.pool import SolverPool
    from verifex.engine.verdict import RangeVerdict, Verdict
    from verifex.ir.graph import Graph
    from verifex.ir.problem import Problem
    from verifex.problem.spec.difference import Difference
    from verifex.problem.spec.expression import Expression
    from verifex.problem.spec.model import Spec

Model: TypeAlias = Any
"""A path, bytes, a Graph or a torch.nn.Module; None where the spec names its network."""

SpecLike: TypeAlias = "str | Path | Spec | Mapping[str, Any] | Problem"
Progress: TypeAlias = Callable[[str, str], None]
Log: TypeAlias = Callable[[dict[str, Any]], None]

ENGINES = {"auto": ("highs", "z3"), "search": (), "milp": ("highs",), "smt": ("z3",)}
"""The solvers of each engine; "auto" and "search" begin with a search of our own."""

DEVICES = ("cpu", "cuda", "auto")


def verify(
    model: Model, spec: SpecLike, *, seconds: float = 60.0,
    solver: str | Sequence[str] | None = None, engine: str = "auto", device: str = "cpu",
    memory: int = 4 << 30, threads: int = 1, seed: int = 0, attack: bool = True,
    certificate: str | Path | None = None, check: bool = True, jobs: int = 1,
    progress: Progress | None = None, log: Log | None = None, pool: SolverPool | None = None,
) -> Verdict:
    """Decide the claim that a spec makes about a model.

    `seconds` of wall time, `memory` in bytes for each solver. `engine`: "auto" searches and asks
    HiGHS and z3 for what is left open, "search" only searches, "milp" and "smt" only ask solvers;
    `solver` names which, one or several to be tried in order (see `verifex solvers`; with "auto"
    they replace the search). `device` is where the search computes its bounds.

    What is claimed or refuted gets a certificate, kept in the file `certificate` if one is named,
    and `check` has it checked by `jobs` processes, which makes a claim `proved`. The check may
    take the time that is left, at least 10 s. It needs model and spec to be files.

    `progress` is told stages as they end, `log` gets a dictionary for each thing that happens.
    Raises InputError for a bad file, spec or number, UsageError for a call that does not fit
    together, MissingSolverError for a solver or a device that is not here.
    """
    return answer(
        build(model, spec), named_files(model, spec), seconds=seconds, solver=solver,
        engine=engine, device=device, memory=memory, threads=threads, seed=seed, attack=attack,
        certificate=certificate, check=check, jobs=jobs, progress=progress, log=log, pool=pool,
    )


def answer(
    problem: Problem, files: Files | None, *, certificate: str | Path | None = None,
    check: bool = True, jobs: int = 1, log: Log | None = None, pool: SolverPool | None = None,
    punctual: bool = False, **rest: Any,
) -> Verdict:
    """`verify` for a problem that is built already, from these files (None: in memory).

    With `punctual` the check, too, ends when the time limit does.
    """
    from verifex.certificate.grant import LEAST_SECONDS, Wanted, decide_and_check

    if not 1 <= jobs <= 64:
        raise UsageError(f"jobs = {jobs}, expected 1 to 64")
    path = None if certificate is None else Path(certificate)
    if path is not None and not path.parent.is_dir():
        raise InputError("cannot be written", expected="a folder that exists", file=str(path))
    log = _clocked(log)
    options = _options(log=log, **rest)
    wanted = Wanted(path, check, jobs, 0.0 if punctual else LEAST_SECONDS)
    verdict = decide_and_check(problem, files, wanted, options, pool)
    if log is not None:
        document = verdict.to_json()
        kept = ("name", "verdict", "reason", "evidence", "seconds", "steps", "notes", "certificate")
        log({"event": "verdict", **{k: document[k] for k in kept if k in document}})
    return verdict


def bound(
    model: Model, spec: SpecLike, expression: str, *, seconds: float = 60.0,
    solver: str | Sequence[str] | None = None, engine: str = "auto", device: str = "cpu",
    memory: int = 4 << 30, threads: int = 1, seed: int = 0, progress: Progress | None = None,
    log: Log | None = None, pool: SolverPool | None = None,
) -> RangeVerdict:
    """The least and the greatest value of an expression over the spec's region.

    Expressions are "component:NAME", "distance:l1", "margin:0,1" and others (see specs/). Options
    and errors as for `verify`; no certificate proves a range.
    """
    from verifex.engine.ranges import find_range

    log = _clocked(log, expression=expression)
    options = _options(
        seconds=seconds, solver=solver, engine=engine, device=device, memory=memory,
        threads=threads, seed=seed, progress=progress, log=log,
    )
    asked = measure(model, spec, expression)
    found = find_range(asked.problem, asked.form, options, pool, asked.label)
    if log is not None:
        log({"event": "range", **found.to_json(), "expression": expression})
    return found


def difference(
    first: str | Path, second: str | Path, spec: str | Path, of: Sequence[str] = ("output",), *,
    at_most: Fraction | int | str | None = None, **options: Any,
) -> Verdict | list[RangeVerdict]:
    """How far two networks differ over a spec's region: their outputs, classes, attributions.

    `of` lists measures (see `verifex.problem.spec.difference`). With `at_most`, and for "class", it
    is a claim and a verdict, `claimed` or `refuted`: the checker reads one network, so that nothing
    is proved. Without, it is the worst-case range of every difference, `seconds` for each measure.
    Options and errors as for `bound`.
    """
    from fractions import Fraction as Exact

    from verifex.problem.spec.difference import load_difference

    limit = None if at_most is None else Exact(at_most)
    return compare(load_difference(first, second, spec, of, limit), **options)


def compare(
    asked: Difference, *, log: Log | None = None, **rest: Any
) -> Verdict | list[RangeVerdict]:
    """`difference` for one that is built already: the verdict of its claim, or its ranges."""
    from verifex.engine.decide import decide
    from verifex.engine.ranges import find_range, find_ranges

    log = _clocked(log)
    options = _options(log=log, **rest)
    if asked.claim:
        verdict = decide(asked.problem, options)
        if log is not None:
            log({"event": "verdict", **verdict.to_json()})
        return verdict
    found: list[RangeVerdict] = []
    for measure in asked.measures:
        if len(measure.forms) == 1:
            found.append(find_range(asked.problem, measure.forms[0], options, None,
                                    measure.labels[0]))
        else:
            found += find_ranges(asked.problem, list(measure.forms), list(measure.labels), options)
    return found


def _clocked(log: Log | None, **always: Any) -> Log | None:
    """A log whose entries all carry `t`, seconds since now, by one clock."""
    if log is None:
        return None
    started, take = time.monotonic(), log

    def entry(what: dict[str, Any]) -> None:
        take({**what, **always, "t": round(time.monotonic() - started, 4)})

    return entry


def build(model: Model, spec: SpecLike) -> Problem:
    """The problem that a spec states about a model (a `Problem` is returned as it is)."""
    from verifex.ir.problem import Problem
    from verifex.problem.spec.build import build_problem, load_problem
    from verifex.problem.vnnlib.read import is_vnnlib, load_query

    if isinstance(spec, Problem):
        if model is not None:
            raise UsageError("a Problem holds its network already: pass None as the model")
        return spec
    if isinstance(spec, str | Path) and (model is None or isinstance(model, str | Path)):
        return load_problem(spec, model)
    if isinstance(spec, str | Path) and is_vnnlib(spec):
        networks = model if isinstance(model, Mapping) else _graph(model, None, Path())
        return load_query(spec, networks)
    parsed, folder = _spec(spec)
    return build_problem(_graph(model, parsed, folder), parsed, folder)


def measure(model: Model, spec: SpecLike, expression: str) -> Expression:
    """An expression in the setting of a spec, ready for `find_range`."""
    from verifex.ir.problem import Problem
    from verifex.problem.spec.expression import build_expression, load_expression

    if isinstance(spec, Problem):
        raise UsageError("an expression needs a spec: a Problem no longer knows its explanation")
    if isinstance(spec, str | Path) and (model is None or isinstance(model, str | Path)):
        return load_expression(spec, expression, model)
    parsed, folder = _spec(spec)
    return build_expression(_graph(model, parsed, folder), parsed, expression, folder)


def load(path: str | Path) -> Graph:
    """The network in an ONNX file; raises InputError or UnsupportedError, naming the place."""
    from verifex.frontend.onnx.read import load as read

    return read(path)


def _spec(spec: str | Path | Spec | Mapping[str, Any]) -> tuple[Spec, Path]:
    """The spec, and the folder in which the files it names are looked up."""
    from verifex.problem.spec.model import Spec, load_spec

    if isinstance(spec, str | Path):
        return load_spec(spec), Path(spec).parent
    if isinstance(spec, Spec):
        return spec, Path()
    if isinstance(spec, Mapping):
        return Spec(**dict(spec)), Path()
    raise UsageError(f"a {type(spec).__name__} is no spec: pass a path, a Spec, a dict, a Problem")


def _graph(model: Model, spec: Spec | None, folder: Path) -> Graph:
    """The network, whichever way it was given."""
    from verifex.frontend.onnx.read import load_bytes
    from verifex.ir.graph import Graph

    if isinstance(model, Graph):
        return model
    if isinstance(model, str | Path):
        return load(model)
    if isinstance(model, bytes):
        return load_bytes(model, "model")
    if model is None and spec is not None and spec.network is not None:
        return load(folder / spec.network)
    if model is None:
        raise UsageError("no model is given and the spec names no network")
    if hasattr(model, "state_dict") and callable(model):
        return _from_torch(model, spec)
    kinds = "a path, bytes, a Graph or a torch.nn.Module"
    raise UsageError(f"a {type(model).__name__} is no model: pass {kinds}")


def _from_torch(module: Any, spec: Spec | None) -> Graph:
    """A torch module, traced at the spec's reference point, shaped (1, n) or as it is written."""
    import torch

    from verifex.frontend.torch_module import from_torch
    from verifex.ir.fields import Array

    point = None if spec is None else spec.input.point
    if not isinstance(point, Array):
        raise UsageError(
            "a torch module needs a spec with input.point, whose shape is the module's input; "
            "or pass verifex.from_torch(module, example)"
        )
    kind = next((p.dtype for p in module.parameters()), torch.float32)
    shape = point.shape if len(point.shape) > 1 else (1, *point.shape)
    example = torch.tensor([float(v) for v in point.values], dtype=kind).reshape(shape)
    return from_torch(module, example)


def named_files(model: Model, spec: SpecLike) -> Files | None:
    """The files that a certificate can name; None where something was given in memory, and for a
    VNN-LIB 2.0 query, which the checker does not read."""
    from verifex.certificate.write import Files
    from verifex.problem.spec.model import load_spec
    from verifex.problem.vnnlib.read import is_version_2, is_vnnlib, read_text

    if not isinstance(spec, str | Path) or not (model is None or isinstance(model, str | Path)):
        return None
    if is_vnnlib(spec) and is_version_2(read_text(spec)):
        return None
    if model is not None:
        return Files(Path(model), Path(spec))
    named = load_spec(spec).network
    return None if named is None else Files(Path(spec).parent / named, Path(spec))


def _options(
    *, seconds: float = 60.0, solver: str | Sequence[str] | None = None, engine: str = "auto",
    device: str = "cpu", memory: int = 4 << 30, threads: int = 1, seed: int = 0,
    attack: bool = True, progress: Progress | None = None, log: Log | None = None,
) -> Options:
    from verifex.engine.run import Options

    if not seconds > 0:
        raise UsageError(f"seconds = {seconds:g}, expected more than 0")
    if threads < 1:
        raise UsageError(f"threads = {threads}, expected at least 1")
    names = (solver,) if isinstance(solver, str) else tuple(solver or ())
    require_engine(engine, names)
    return Options(
        seconds=seconds, memory=memory, threads=threads, solvers=names or ENGINES[engine],
        attack=attack, search=engine in ("auto", "search") and not names, seed=seed,
        device=find_device(device), progress=progress, log=log,
    )


def require_engine(engine: str, names: Sequence[str]) -> None:
    """Raise UsageError where solvers do not fit the engine, MissingSolverError where one that was
    asked for cannot run."""
    if engine not in ENGINES:
        raise UsageError(f"engine = {engine!r}, expected {', '.join(ENGINES)}")
    if names and engine == "search":
        raise UsageError(f"the engine 'search' asks no solver, expected no {', '.join(names)}")
    for name in names:
        require_solver(name)
        if engine in ("milp", "smt") and _kind(name) != engine:
            raise UsageError(f"{name} is no {engine.upper()} solver, expected engine 'auto'")


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


def find_device(name: str) -> str:
    """"cpu" or "cuda"; raises MissingSolverError where CUDA was asked for and is not here."""
    if name not in DEVICES:
        raise UsageError(f"device = {name!r}, expected {', '.join(DEVICES)}")
    if name == "cpu":
        return name
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise MissingSolverError("device cuda: torch finds no CUDA device here")
    return "cpu"
