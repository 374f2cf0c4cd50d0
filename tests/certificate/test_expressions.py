"""`expression = "..."`: the property means what `bound` means, and the checker reads the same."""

from __future__ import annotations

import random
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import verifex
from tests.helpers import checker_parts
from tests.helpers.spec_nets import text, write_network
from verifex.certificate.checker.spec.formulas import numbered
from verifex.certificate.checker.spec.properties import expression as checker_expressions
from verifex.cli.app import app
from verifex.cli.guard import run
from verifex.engine.falsify.witness import replay
from verifex.errors import InputError
from verifex.expressions import EXPRESSIONS as EXPRESSIONS_LISTED
from verifex.ir.formula import Atom, atoms
from verifex.metrics.expression import COMPARED, KINDS, OUTPUTS, BoundedExpression
from verifex.problem.spec.build import load_problem
from verifex.problem.spec.expression import load_expressions
from verifex.semantics.evaluate import evaluate_exact

parts: Any = checker_parts

F = Fraction
ROOT = Path(__file__).resolve().parents[2]
EXPRESSIONS = (
    "component:0", " component: 1 ", "component:x[1]", "output", "logit:0", "margin: 0, 1",
    "predicted", "sum", "logit:runner_up", "class-margin",
    "class-margin: 0", "class-margin:runner_up", "distance:l1", "distance:linf",
    "distance:l2_squared",
    "norm:l1", "norm:linf", "norm:l2_squared", "mass:0", "mass: 0 ,x[2], ", "mass:*",
)
REDUCES = ("signed", "abs")
WRONG = (
    ("component:", "unknown feature"), ("component:9", "position 9"), ("component:*", "picks"),
    ("output:1", "'1' after output"), ("logit", "not an output functional"),
    ("logit:0 ,", "not an output functional"), ("sum:", "not an output functional"),
    ("distance:l2", "not rational"), ("norm:l3", "unknown norm"), ("norm", "unknown norm"),
    ("mass:", "empty mask"), ("mass:7", "position 7"), ("loss:0", "unknown expression"),
    ("class-margin:9", "output 9"), ("class-margin:x", "no class"),
    ("class-margin:0,1", "no class"), ("\tnorm:l1", "unknown expression"),
    ("", "unknown expression"), ("norm :l1", "unknown"),
)


def written(folder: Path, seed: int, reduce: str, **more: Any) -> Path:
    """A random network of three inputs and a spec that names it; the spec's path."""
    rng = random.Random(f"expressions {seed} {reduce}")
    x0 = [F(rng.randint(-64, 64), 64) + F(1, 1000) for _ in range(3)]
    write_network(rng, folder / "net.onnx", x0)
    spec = {
        "network": "net.onnx", "input": {"point": x0}, "region": {"linf": F(1, 2)},
        "explain": {"output": "logit:0", "reduce": reduce}, **more,
    }
    path = folder / "spec.toml"
    path.write_text(text(spec))
    return path


def asked(folder: Path, seed: int, reduce: str, expression: str, **bounds: Fraction) -> Path:
    """The same, with an expression to require."""
    return written(folder, seed, reduce, require=[{"expression": expression, **bounds}])


def read_by_checker(spec: Path) -> Any:
    """The claim as the checker reads it; raises its `Bad`."""
    given = tomllib.loads(spec.read_text(), parse_float=parts.exact)
    network = parts.Network(parts.read(str(spec.parent / given["network"]))[0])
    return parts.spec_claim(given, str(spec.parent), network)


def atoms_of(formula: Any) -> list[Any]:
    """The atoms of a formula of the checker, from left to right."""
    listed: list[Any] = []
    numbered(formula, listed)
    return listed


def agree(spec: Path, points: int = 3) -> None:
    """The checker's atoms have the values of verifex's, at random points."""
    problem, claim = load_problem(spec), read_by_checker(spec)
    mine, theirs = list(atoms(problem.violation())), atoms_of(claim.violation)
    assert [atom.strict for atom in mine] == [strict for _, strict in theirs]
    node, rng = claim.graph.rows([form for form, _ in theirs]), random.Random(str(spec.name))
    for _ in range(points):
        x = [a + (b - a) * F(rng.randint(0, 16), 16)
             for a, b in zip(problem.region.lo, problem.region.hi, strict=True)]
        values = evaluate_exact(problem.graph, x, problem.targets())
        assert parts.exactly(claim.graph, node, x, True) == [a.form.value(values) for a in mine]


@pytest.mark.parametrize("reduce", REDUCES)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_property_and_range_build_the_same_nodes(
    tmp_path: Path, expression: str, reduce: str
) -> None:
    """One graph, node by node, and one form: only the bound is new."""
    problem = load_problem(asked(tmp_path, 1, reduce, expression, at_least=F(1, 3)))
    (ranged,) = load_expressions(written(tmp_path, 1, reduce), [expression])
    assert problem.graph.nodes == ranged.problem.graph.nodes
    (atom,) = atoms(problem.require)
    assert isinstance(atom, Atom)
    assert atom.form.terms == ranged.form.terms
    assert atom.form.const == ranged.form.const - F(1, 3)
    assert not atom.strict


@pytest.mark.parametrize(
    ("key", "sign", "strict"),
    [("at_least", 1, False), ("above", 1, True), ("at_most", -1, False), ("below", -1, True)])
def test_bounds_of_an_expression(tmp_path: Path, key: str, sign: int, strict: bool) -> None:
    path = asked(tmp_path, 2, "signed", "margin:0,1", **{key: F(2)})
    (atom,) = atoms(load_problem(path).require)
    (ranged,) = load_expressions(path, ["margin:0,1"])
    assert atom.strict is strict
    assert dict(atom.form.terms) == {cell: sign * c for cell, c in ranged.form.terms}
    assert atom.form.const == -sign * F(2)


@pytest.mark.parametrize("reduce", REDUCES)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_checker_reads_the_same(tmp_path: Path, expression: str, reduce: str) -> None:
    for seed in range(3):
        try:
            path = asked(tmp_path, seed, reduce, expression, at_most=F(1, 7), above=F(-5))
            load_problem(path)
        except InputError as error:
            if "tie" in str(error) or "kink" in str(error):
                continue  # a random reference
            raise
        agree(path)


@pytest.mark.parametrize(("expression", "says"), WRONG)
def test_what_is_no_expression(tmp_path: Path, expression: str, says: str) -> None:
    path = asked(tmp_path, 3, "signed", "output", at_most=F(1))
    quoted = f"expression = '{expression}'"
    path.write_text(path.read_text().replace('expression = "output"', quoted))
    with pytest.raises(InputError, match=says) as caught:
        load_problem(path)
    assert "require[0].expression" in str(caught.value)
    with pytest.raises(InputError, match=says):
        load_expressions(path, [expression])
    with pytest.raises(parts.Bad, match=r"require: \[0\]: expression"):
        read_by_checker(path)


@pytest.mark.parametrize("expression", ["cosine", "overlap:3"])
def test_what_has_a_property_of_its_own(tmp_path: Path, expression: str) -> None:
    """No property `expression`, on neither side: the message names the one to use."""
    path = asked(tmp_path, 3, "signed", "output", at_most=F(1))
    path.write_text(path.read_text().replace('"output"\nat_', f'"{expression}"\nat_'))
    with pytest.raises(InputError, match="no linear expression"):
        load_problem(path)
    with pytest.raises(parts.Bad, match=r"require: \[0\]: expression"):
        read_by_checker(path)


def test_an_expression_needs_a_bound_and_text(tmp_path: Path) -> None:
    path = asked(tmp_path, 3, "signed", "output")
    with pytest.raises(InputError, match="no bound is given"):
        load_problem(path)
    path.write_text(path.read_text().replace('"output"\n', "3\nat_most = 1\n"))
    with pytest.raises(InputError, match="expression"):
        load_problem(path)


def test_an_explanation_is_needed_where_it_is_asked(tmp_path: Path) -> None:
    path = asked(tmp_path, 3, "signed", "norm:l1", at_most=F(1))
    path.write_text(path.read_text().replace("[explain]", "[explained]"))
    with pytest.raises(InputError, match="unknown key"):
        load_problem(path)
    lines = path.read_text().split("[explained]")
    path.write_text(lines[0] + "[[require]]" + lines[1].split("[[require]]")[1])
    with pytest.raises(InputError, match="an explanation"):
        load_problem(path)
    with pytest.raises(parts.Bad, match="explain"):
        read_by_checker(path)


def test_digits_are_a_name_before_a_place(tmp_path: Path) -> None:
    """Features called 1, 2, 0: `component:0` is the third, and `mass:0` too."""
    path = asked(tmp_path, 4, "signed", "component:0", at_most=F(1))
    path.write_text(path.read_text().replace("[input]", '[input]\nnames = ["1", "2", "0"]'))
    named, massed, third = load_expressions(path, ["component:0", "mass:0", "component:x[2]"])
    assert named.form == third.form
    ((_, place), _), = massed.form.terms
    assert place == 2
    agree(path)


def test_the_builder_of_an_expression() -> None:
    wanted = verifex.expression("margin:0,1", at_least=0)
    assert isinstance(wanted, BoundedExpression)
    assert (wanted.expression, wanted.at_least) == ("margin:0,1", 0)
    with pytest.raises(InputError, match="no bound"):
        verifex.expression("sum")


def test_one_list_of_expressions(capsys: pytest.CaptureFixture[str]) -> None:
    """What is listed is what there is: on both sides, in the language, and in the help."""
    kinds = [one.kind for one in EXPRESSIONS_LISTED]
    assert sorted(kinds) == sorted({*KINDS, *OUTPUTS, *COMPARED})
    there = {*checker_expressions.FORMS, *checker_expressions.OUTPUTS}
    assert sorted({*kinds} - {*COMPARED}) == sorted(there)
    language = (ROOT / "specs" / "LANGUAGE.md").read_text()
    assert run(app, ["bound", "--help"]) == 0
    shown = "".join(capsys.readouterr().out.split())
    for one in EXPRESSIONS_LISTED:
        written = ", ".join(f"`{example}`" for example in one.written)
        assert f"| {written} | {one.value} |" in language
        assert f'"{one.kind}"' in language
        assert all(example in shown for example in one.written)
    assert "norm:l1" in shown


def test_the_class_margin_is_above_zero_where_the_class_is(tmp_path: Path) -> None:
    for seed in range(4):
        path = asked(tmp_path, seed, "signed", "class-margin:0", above=F(0))
        margin = load_problem(path)
        path = written(tmp_path, seed, "signed", require=[{"class": 0}])
        claim = load_problem(path)
        rng = random.Random(seed)
        for _ in range(40):
            x = tuple(a + (b - a) * F(rng.randint(0, 16), 16)
                      for a, b in zip(claim.region.lo, claim.region.hi, strict=True))
            assert replay(margin, x).violated == replay(claim, x).violated
            assert replay(margin, x).margin == replay(claim, x).margin
