"""From a network and a data file to the text of a spec that can be decided as it stands."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from verifex.errors import InputError
from verifex.frontend.onnx.outline import Outline, outline
from verifex.frontend.onnx.read import load, network_source
from verifex.ir.graph import Graph
from verifex.ir.ops import Input
from verifex.ir.problem import Problem
from verifex.problem.first.columns import DataFile, read_columns
from verifex.problem.first.explained import explained_point
from verifex.problem.first.text import Draft, draft_text
from verifex.problem.spec.build import build_problem
from verifex.problem.spec.model import parse_spec
from verifex.semantics.evaluate import evaluate_float

_ROWS = 20
"""Rows that are tried for one that the network gets right."""

_TENTH = Fraction(1, 10)


@dataclass(frozen=True)
class DraftSpec:
    """The text of a spec and the problem that it means."""

    text: str
    problem: Problem
    draft: Draft


def draft_spec(
    network: Path, data: Path | None, target: Path, *, row: int | None = None,
    label: str | None = None, network_output: str | None = None,
) -> DraftSpec:
    """A spec for the network about a row of the data, to be written to `target`.

    `row` and `label` (the target column) are guessed where they are not given, and so is the
    output. Raises InputError where the files cannot be read, or where no claim of this kind can be
    made: what is returned has been built.
    """
    about = outline(network_source(network))
    graph, output = _readable(network, about, network_output)
    nodes = [graph.nodes[i] for i in graph.inputs]
    inputs = tuple((node.op.name, node.shape) for node in nodes if isinstance(node.op, Input))
    size = sum(prod(shape) for _, shape in inputs)
    found = None
    if data is not None:
        single = all(prod(shape) == 1 for _, shape in inputs) and len(inputs) > 1
        called = [name for name, _ in inputs] if single else []
        found = read_columns(data, _relative(data, target), size, label, called)
        _same_order(found, called, data)
    kept = [output] if output is not None else list(graph.outputs)
    classes = graph.nodes[graph.outputs[kept[0]]].size
    names = about.class_names
    fits = len(names) == max(2, classes) and len(set(names)) == len(names)
    draft = Draft(_relative(network, target), size, inputs, found, row or 0, output, about.outputs,
                  names if fits else (), whole=tuple(sorted(graph.whole_inputs)))
    return _first_that_builds(graph, draft, target, row)


def _relative(path: Path, target: Path) -> str:
    """A file as a spec at `target` names it."""
    return Path(os.path.relpath(path, target.parent)).as_posix()


def _readable(
    network: Path, about: Outline, wanted: str | None
) -> tuple[Graph, str | None]:
    """(the network, the output that claims have to name): of several outputs the first one that is
    read, the last one first, since classifiers put their scores after their labels."""
    if wanted is not None:
        return load(network, outputs=[wanted]), wanted
    if len(about.outputs) == 1:
        return load(network), None
    refusals = []
    for name in reversed(about.outputs):
        try:
            return load(network, outputs=[name]), name
        except InputError as error:
            refusals.append(error)
    raise refusals[0]


def _same_order(data: DataFile, names: Sequence[str], path: Path) -> None:
    """InputError where columns stand in another order than the inputs that are called like them."""
    columns = [c.name for c in data.columns]
    if names and set(names) == set(columns) and columns != list(names):
        raise InputError("the columns are in another order than the network's inputs",
                         expected=", ".join(names[:10]), file=str(path))


# --- what is claimed ------------------------------------------------------------------------


def _first_that_builds(graph: Graph, draft: Draft, target: Path, row: int | None) -> DraftSpec:
    """The draft with the most in it that means a problem; InputError of the simplest one."""
    failure: InputError | None = None
    for candidate in _candidates(graph, draft, target):
        try:
            found = _built(graph, candidate, target)
        except InputError as error:
            failure = failure or error
            if candidate.explains:
                draft = replace(draft, why_not=str(error.what))
            continue
        return found if row is not None else _right_row(graph, found, target)
    raise failure or InputError("nothing can be claimed", expected="a network with outputs")


def _candidates(graph: Graph, draft: Draft, target: Path) -> Iterator[Draft]:
    """Drafts, the richest first: with an explanation, with kinks closed, without an explanation. Of
    a classifier the class is claimed, else that the output stays near its value."""
    if _classifies(graph, draft):
        yield draft
        yield replace(draft, kink=True)
        yield replace(draft, explains=False, why_not=_NO_GRADIENT)
        return
    for explains in (True, False):
        yield replace(draft, class_names=(), explains=explains, why_not=_NO_GRADIENT,
                      claim=('output = "logit:0"', *_near(graph, draft, target)))


_NO_GRADIENT = "the network has no exact gradient at x0"


def _classifies(graph: Graph, draft: Draft) -> bool:
    """Whether the network seems to be a classifier: several outputs, or two labels."""
    name = draft.network_output or next(iter(graph.outputs))
    if graph.nodes[graph.outputs[name]].size > 1:
        return True
    labels = set(draft.data.labels) if draft.data is not None else set()
    return len(labels) == 2 or bool(draft.class_names)


def _near(graph: Graph, draft: Draft, target: Path) -> tuple[str, ...]:
    """Bounds of the output: a tenth of its size to either side of its value at x0."""
    probe = replace(draft, class_names=(), explains=False,
                    claim=('output = "logit:0"', "at_least = 0"))
    problem = _built(graph, probe, target).problem
    name = draft.network_output or next(iter(problem.graph.outputs))
    node = problem.graph.outputs[name]
    point = np.array([float(v) for v in problem.point or ()])
    # A float will do: it only says where the bounds of a draft lie.
    value = Fraction(float(evaluate_float(problem.graph, point[None], [node])[node].ravel()[0]))
    room = abs(value) * _TENTH or _TENTH
    low, high = (float(f"{float(v):.4g}") for v in (value - room, value + room))
    return (f"at_least = {low}  # at x0 it is {float(value):.6g}", f"at_most = {high}")


def _built(graph: Graph, draft: Draft, target: Path) -> DraftSpec:
    text = draft_text(draft, target.name)
    spec = parse_spec(text)
    problem = build_problem(graph, spec, target.parent)
    if draft.explains and problem.point is not None:
        explained_point(graph, spec, target.parent)  # raises where x0 has none
    return DraftSpec(text, problem, draft)


def _right_row(graph: Graph, found: DraftSpec, target: Path) -> DraftSpec:
    """The first of some rows at which the prediction is the label; the row that was found without
    one."""
    data = found.draft.data
    if data is None or not data.labels or _right(found) is not False:
        return found
    for row in range(1, min(_ROWS, data.rows)):
        try:
            other = _built(graph, replace(found.draft, row=row), target)
        except InputError:
            continue
        if _right(other):
            return other
    return found


def _right(found: DraftSpec) -> bool | None:
    stated: Any = found.problem.statement
    return None if stated is None or stated.prediction is None else stated.prediction.right
