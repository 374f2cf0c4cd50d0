"""Expressions whose exact worst-case range can be asked for, in the setting of a spec.

What linear expressions there are is said in `verifex/metrics/expression.py`: each is a property
too. `cosine` and `overlap:k` are compared by properties of their own (`thresholds/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from verifex.errors import InputError
from verifex.ir.fields import under
from verifex.ir.formula import TRUE, Form
from verifex.ir.graph import Graph
from verifex.ir.problem import Problem
from verifex.metrics.expression import expression_form
from verifex.metrics.support.files import DataFolder
from verifex.problem.read import Given
from verifex.problem.spec.build import exact_assumption, find_network, graph_of, named, prepare
from verifex.problem.spec.model import Spec, spec_source
from verifex.problem.spec.thresholds.measures import Measure, measure_named
from verifex.problem.spec.thresholds.threshold_expression import ThresholdExpression
from verifex.source import QuestionFiles


@dataclass(frozen=True)
class Expression:
    """What was asked for (`text`), as a form over the graph of `problem`, and in words.

    The problem has the region and the assumptions of the spec and a claim that is always true.
    `files` are those that it was read from; None where it was `given` in memory, at least in part.
    """

    problem: Problem
    text: str
    form: Form
    label: str
    files: QuestionFiles | None = field(default=None, compare=False)
    given: Given | None = field(default=None, compare=False, repr=False)


Asked = Expression | ThresholdExpression
"""Whatever has a range."""


def build_expressions(
    graph: Graph, spec: Spec, texts: Sequence[str], base_dir: str | Path = "."
) -> list[Asked]:
    """Expressions in the setting of a spec, all over the graph of one problem. The spec's `require`
    is not looked at."""
    return build_expressions_with(graph, spec, texts, DataFolder(Path(base_dir)))


def load_expressions(
    spec_path: str | Path, texts: Sequence[str], network_path: str | Path | None = None
) -> list[Asked]:
    """As `build_expressions`, from files."""
    source = spec_source(spec_path)
    network = find_network(source.parsed, spec_path, network_path)
    folder = DataFolder(Path(spec_path).parent)
    try:
        graph = graph_of(network, spec_path)
        spec = named(source.parsed, spec_path)
        found = build_expressions_with(graph, spec, texts, folder)
    except InputError as error:
        raise error.at(file=str(spec_path)) from None
    files = QuestionFiles(network, source, folder.hashes)
    return [replace(one, files=files) for one in found]


def build_expressions_with(
    graph: Graph, spec: Spec, texts: Sequence[str], folder: DataFolder
) -> list[Asked]:
    """As `build_expressions`, with a folder that knows afterwards what was read of it."""
    prepared = prepare(graph, spec, folder)
    meanings: list[Measure | tuple[Form, str]] = []
    for text in texts:
        with under(f"expression '{text[:60]}'"):
            measure = measure_named(text, prepared.setting)
            meanings.append(measure or expression_form(text, prepared.setting))
    problem = prepared.problem(TRUE, exact_assumption(spec, prepared.setting))
    return [
        Expression(problem, text, *meaning) if isinstance(meaning, tuple) else
        ThresholdExpression(problem, text, meaning, prepared)
        for text, meaning in zip(texts, meanings, strict=True)
    ]
