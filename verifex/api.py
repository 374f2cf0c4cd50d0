"""The Python face: `verify(model, spec)` and `bound(model, spec, expression)`.

    import verifex
    verdict = verifex.verify("net.onnx", "spec.toml")
    print(verdict.outcome, verdict.witness)

A model is a path to an ONNX file, its bytes, a `Graph` or a `torch.nn.Module`; a spec is a path
to a TOML file, a `Spec`, a dictionary with the keys of the file, or a finished `Problem`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from verifex.errors import MissingSolverError, UsageError

if TYPE_CHECKING:
    from verifex.engine.decide import Options
    from verifex.engine.pool import SolverPool
    from verifex.engine.verdict import RangeVerdict, Verdict
    from verifex.ir.graph import Graph
    from verifex.ir.problem import Problem
    from verifex.problem.expression import Expression
    from verifex.problem.spec import Spec

Model: TypeAlias = Any
"""A path, bytes, a Graph or a torch.nn.Module; None where the spec names its network."""

SpecLike: TypeAlias = "str | Path | Spec | Mapping[str, Any] | Problem"
Progress: TypeAlias = Callable[[str, str], None]
DEFAULT_SOLVERS = ("highs", "z3")


def verify(
    model: Model, spec: SpecLike, *, seconds: float = 60.0,
    solver: str | Sequence[str] | None = None, memory: int = 4 << 30, threads: int = 1,
    seed: int = 0, attack: bool = True, progress: Progress | None = None,
    pool: SolverPool | None = None,
) -> Verdict:
    """Decide the claim that a spec makes about a model.

    `seconds` of wall time, `memory` in bytes for each solver, `solver` one name or several to be
    tried in order (see `verifex solvers`). Raises InputError for a bad file, spec or number,
    UsageError for a call that does not fit together, MissingSolverError for a named solver that
    cannot run here.
    """
    from verifex.engine.decide import decide

    options = _options(seconds, solver, memory, threads, seed, attack, progress)
    return decide(build(model, spec), options, pool)


def bound(
    model: Model, spec: SpecLike, expression: str, *, seconds: float = 60.0,
    solver: str | Sequence[str] | None = None, memory: int = 4 << 30, threads: int = 1,
    seed: int = 0, progress: Progress | None = None, pool: SolverPool | None = None,
) -> RangeVerdict:
    """The least and the greatest value of an expression over the spec's region.

    Expressions are "component:NAME", "distance:l1", "margin:0,1" and others (see specs/). Raises
    as `verify` does.
    """
    from verifex.engine.ranges import find_range

    options = _options(seconds, solver, memory, threads, seed, True, progress)
    asked = measure(model, spec, expression)
    return find_range(asked.problem, asked.form, options, pool, asked.label)


def build(model: Model, spec: SpecLike) -> Problem:
    """The problem that a spec states about a model (a `Problem` is returned as it is)."""
    from verifex.ir.problem import Problem
    from verifex.problem.build import build_problem, load_problem

    if isinstance(spec, Problem):
        if model is not None:
            raise UsageError("a Problem holds its network already: pass None as the model")
        return spec
    if isinstance(spec, str | Path) and (model is None or isinstance(model, str | Path)):
        return load_problem(spec, model)
    parsed, folder = _spec(spec)
    return build_problem(_graph(model, parsed, folder), parsed, folder)


def measure(model: Model, spec: SpecLike, expression: str) -> Expression:
    """An expression in the setting of a spec, ready for `find_range`."""
    from verifex.ir.problem import Problem
    from verifex.problem.expression import build_expression, load_expression

    if isinstance(spec, Problem):
        raise UsageError("an expression needs a spec: a Problem no longer knows its explanation")
    if isinstance(spec, str | Path) and (model is None or isinstance(model, str | Path)):
        return load_expression(spec, expression, model)
    parsed, folder = _spec(spec)
    return build_expression(_graph(model, parsed, folder), parsed, expression, folder)


def load(path: str | Path) -> Graph:
    """The network in an ONNX file; raises InputError or UnsupportedError, naming the place."""
    from verifex.frontend.onnx import load as read

    return read(path)


def _spec(spec: str | Path | Spec | Mapping[str, Any]) -> tuple[Spec, Path]:
    """The spec, and the folder in which the files it names are looked up."""
    from verifex.problem.spec import Spec, load_spec

    if isinstance(spec, str | Path):
        return load_spec(spec), Path(spec).parent
    if isinstance(spec, Spec):
        return spec, Path()
    if isinstance(spec, Mapping):
        return Spec(**dict(spec)), Path()
    raise UsageError(f"a {type(spec).__name__} is no spec: pass a path, a Spec, a dict, a Problem")


def _graph(model: Model, spec: Spec, folder: Path) -> Graph:
    """The network, whichever way it was given."""
    from verifex.frontend.onnx import load_bytes
    from verifex.ir.graph import Graph

    if isinstance(model, Graph):
        return model
    if isinstance(model, str | Path):
        return load(model)
    if isinstance(model, bytes):
        return load_bytes(model, "model")
    if model is None and spec.network is not None:
        return load(folder / spec.network)
    if model is None:
        raise UsageError("no model is given and the spec names no network")
    if hasattr(model, "state_dict") and callable(model):
        return _from_torch(model, spec, folder)
    kinds = "a path, bytes, a Graph or a torch.nn.Module"
    raise UsageError(f"a {type(model).__name__} is no model: pass {kinds}")


def _from_torch(module: Any, spec: Spec, folder: Path) -> Graph:
    """A torch module, traced at the spec's reference point, shaped (1, n) or as it is written."""
    import torch

    from verifex.frontend.torch_module import from_torch
    from verifex.ir.fields import Array

    point = spec.input.point
    if not isinstance(point, Array):
        raise UsageError(
            "a torch module needs a spec with input.point, whose shape is the module's input; "
            "or pass verifex.from_torch(module, example)"
        )
    kind = next((p.dtype for p in module.parameters()), torch.float32)
    shape = point.shape if len(point.shape) > 1 else (1, *point.shape)
    example = torch.tensor([float(v) for v in point.values], dtype=kind).reshape(shape)
    return from_torch(module, example)


def _options(
    seconds: float, solver: str | Sequence[str] | None, memory: int, threads: int, seed: int,
    attack: bool, progress: Progress | None,
) -> Options:
    from verifex.engine.decide import Options

    if not seconds > 0:
        raise UsageError(f"seconds = {seconds:g}, expected more than 0")
    if threads < 1:
        raise UsageError(f"threads = {threads}, expected at least 1")
    names = (solver,) if isinstance(solver, str) else tuple(solver or ())
    for name in names:
        require_solver(name)
    return Options(
        seconds=seconds, memory=memory, threads=threads, solvers=names or DEFAULT_SOLVERS,
        attack=attack, search=not names, seed=seed, progress=progress,
    )


def require_solver(name: str) -> None:
    """Raise MissingSolverError, with the reason, where a solver that was asked for cannot run."""
    from verifex.engine import solvers

    availability = solvers.info(name)[1]
    if not availability.ok:
        raise MissingSolverError(f"solver {name}: {availability.reason}")
