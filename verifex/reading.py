"""From a model and a spec, whichever way they are given, to a problem or to expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from verifex.errors import UsageError

if TYPE_CHECKING:
    from verifex.ir.graph import Graph
    from verifex.ir.problem import Problem
    from verifex.problem.document.variants.radius import RadiusQuestion
    from verifex.problem.first.explained import ExplainedPoint
    from verifex.problem.read import Given, ReadProblem
    from verifex.problem.spec.expression import Asked
    from verifex.problem.spec.model import Spec
    from verifex.source import Source

ModelLike: TypeAlias = Any
"""A path, bytes, a Graph or a torch.nn.Module; None where the spec names its network."""

SpecLike: TypeAlias = "str | Path | Spec | Mapping[str, Any] | Problem"


def read(model: ModelLike, spec: SpecLike) -> ReadProblem:
    """The problem that a spec states about a model, and the files that it was read from; or what
    was given in memory, of which files can be written (of a `Problem` neither)."""
    from verifex.ir.problem import Problem
    from verifex.problem.read import ReadProblem as Found
    from verifex.problem.spec.build import build_with, read_problem
    from verifex.problem.vnnlib.read import is_vnnlib

    if isinstance(spec, Problem):
        if model is not None:
            raise UsageError("a Problem holds its network already: pass None as the model")
        return Found(spec, None)
    if _both_are_files(spec, model):
        return read_problem(spec, model)
    if isinstance(spec, str | Path) and is_vnnlib(spec):
        return _read_query(model, spec)
    question = _InMemory(model, spec)
    problem = build_with(question.graph, question.spec, question.files)
    return Found(problem, None, question.given())


def _read_query(model: ModelLike, spec: str | Path) -> ReadProblem:
    """The problem of a VNN-LIB query about a model in memory, or about several models."""
    from verifex.problem.read import Given
    from verifex.problem.read import ReadProblem as Found
    from verifex.problem.vnnlib.read import load_query, load_stated, query_source

    if isinstance(model, Mapping):
        return Found(load_query(spec, model), None)
    query, graph = query_source(spec), _network(model, None, Path())[1]
    stated = load_stated(query, graph)
    # The checker reads queries of version 1.0.
    return Found(stated.problem, None, Given(graph, query) if stated.version == 1 else None)


def measure(model: ModelLike, spec: SpecLike, expressions: Sequence[str]) -> list[Asked]:
    """Expressions in the setting of a spec, over the graph of one problem."""
    from verifex.ir.problem import Problem
    from verifex.problem.spec.expression import build_expressions_with, load_expressions

    if isinstance(spec, Problem):
        raise UsageError("an expression needs a spec: a Problem no longer knows its explanation")
    if _both_are_files(spec, model):
        return load_expressions(spec, expressions, model)
    question = _InMemory(model, spec)
    found = build_expressions_with(question.graph, question.spec, expressions, question.files)
    given = question.given()
    return [replace(one, given=given) for one in found]


def read_radius(
    model: ModelLike, spec: SpecLike, key: str | None = None, features: Sequence[str] = ()
) -> list[RadiusQuestion]:
    """The questions about radii that a spec states about a model (see `verifex.radius`)."""
    from verifex.ir.problem import Problem
    from verifex.problem.document.variants.radius import load_radius, radius_questions

    if isinstance(spec, Problem):
        raise UsageError("a radius needs a spec: a Problem no longer knows its x0 and its radius")
    if _both_are_files(spec, model):
        return load_radius(spec, model, key, features)
    question = _InMemory(model, spec)
    found = radius_questions(question.graph, question.spec, question.files, key, features)
    given = question.given()
    return [replace(one, given=given) for one in found]


def explanation(model: ModelLike, spec: SpecLike) -> ExplainedPoint:
    """The attribution of a spec at its reference, exactly: `names`, `values`, `ranked`, `ties`.

    Raises InputError where the spec has no reference or no explanation, or where the attribution
    depends on a gate that is on its kink there.
    """
    from verifex.ir.problem import Problem
    from verifex.problem.first.explained import explained_point, load_explained

    if isinstance(spec, Problem):
        raise UsageError("an explanation needs a spec: a Problem no longer knows its features")
    if _both_are_files(spec, model):
        return load_explained(spec, model)
    question = _InMemory(model, spec)
    return explained_point(question.graph, question.spec, question.files.folder)


def _both_are_files(spec: SpecLike, model: ModelLike) -> TypeGuard[str | Path]:
    """Whether model and spec are paths (or the spec names its network): nothing is in memory."""
    return isinstance(spec, str | Path) and (model is None or isinstance(model, str | Path))


class _InMemory:
    """A model and a spec of which at least one is in memory: the graph, the parsed spec, and the
    data files that the spec names, which are read by whoever builds of it."""

    def __init__(self, model: ModelLike, spec: str | Path | Spec | Mapping[str, Any]) -> None:
        from verifex.metrics.support.files import DataFolder

        self._said, self.spec, folder = _spec(spec)
        self._network, self.graph = _network(model, self.spec, folder)
        self.files = DataFolder(folder)

    def given(self) -> Given:
        """What was given, with the data files that were read until now."""
        from verifex.problem.read import Given

        return Given(self._network, self._said, self.files.sources)


def _spec(
    spec: str | Path | Spec | Mapping[str, Any]
) -> tuple[Spec | Source[Spec], Spec, Path]:
    """The spec's file or itself, the spec, and the folder in which files that it names lie."""
    from verifex.problem.spec.build import named
    from verifex.problem.spec.model import Spec, spec_source

    if isinstance(spec, str | Path):
        source = spec_source(spec)
        return source, named(source.parsed, spec), Path(spec).parent
    if isinstance(spec, Spec):
        return spec, spec, Path()
    if isinstance(spec, Mapping):
        made = Spec(**dict(spec))
        return made, made, Path()
    raise UsageError(f"spec of type {type(spec).__name__}, expected a path, a Spec, a dict or a "
                     "Problem")


def _network(
    model: ModelLike, spec: Spec | None, folder: Path
) -> tuple[Graph | Source[Graph], Graph]:
    """The network's file (its bytes) or itself, and its graph, whichever way it was given."""
    from verifex.frontend.onnx.read import load_bytes, network_source
    from verifex.source import Source

    wanted = None if spec is None or spec.network_output is None else [spec.network_output]
    if model is None and spec is not None and spec.network is not None:
        model = folder / spec.network
    if isinstance(model, str | Path):
        source = network_source(model, outputs=wanted)
        return source, source.parsed
    if isinstance(model, bytes):
        source = Source(Path("model"), "model", model,
                        lambda data: load_bytes(data, "model", outputs=wanted))
        return source, source.parsed
    graph = _graph(model, spec)
    return graph, graph


def _graph(model: ModelLike, spec: Spec | None) -> Graph:
    """The network that is no file."""
    from verifex.ir.graph import Graph

    if isinstance(model, Graph):
        return model
    if model is None:
        raise UsageError("no model is given and the spec names no network, expected one of them")
    if hasattr(model, "state_dict") and callable(model):
        return _from_torch(model, spec)
    kinds = "a path, bytes, a Graph or a torch.nn.Module"
    if type(model).__module__.startswith("sklearn."):
        kinds += "; skl2onnx.to_onnx(model, X[:1]) makes a network of it"
    raise UsageError(f"model of type {type(model).__name__}, expected {kinds}")


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
