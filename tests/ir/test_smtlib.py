"""SMT-LIB text of models, and reading what SMT solvers print."""

from __future__ import annotations

import re
from fractions import Fraction as F
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifex.ir.model.logical import Model, Product, Row
from verifex.ir.model.smtlib import parse_terms, rational, to_smtlib, value
from verifex.ir.model.solving import Status, Stop
from verifex.solvers.smtlib import read_answer

numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([0.1, -0.5, 1e-300, F(1, 3), F(-7, 9), 2**70]),
)


def evaluate(term: Any, env: dict[str, Any]) -> Any:
    """What an SMT-LIB term means: an independent reading of the text."""
    if isinstance(term, str):
        return env[term] if term in env else value(term)
    head, *rest = term
    if head == "ite":
        return evaluate(rest[1] if evaluate(rest[0], env) else rest[2], env)
    args = [evaluate(t, env) for t in rest]
    match head:
        case "+":
            return sum(args)
        case "-":
            return -args[0] if len(args) == 1 else args[0] - args[1]
        case "*":
            return args[0] * args[1]
        case "/":
            return F(args[0]) / F(args[1])
        case "to_real":
            return args[0]
        case "not":
            return not args[0]
        case "=>":
            return not args[0] or args[1]
        case "=" | "<=" | ">=" | "<" | ">":
            a, b = args
            return {"=": a == b, "<=": a <= b, ">=": a >= b, "<": a < b, ">": a > b}[head]
    raise AssertionError(head)


def truth(model: Model, point: list[F]) -> bool:
    """What a model means at a point."""

    def holds(row: Row) -> bool:
        gap = sum((F(c) * point[v] for v, c in row.coefs), F(0)) - F(row.rhs)
        if gap == 0:
            return not row.strict
        return {"<=": gap < 0, ">=": gap > 0, "==": False}[row.sense]

    bounds = all(
        (v.lo is None or v.lo <= x) and (v.hi is None or x <= v.hi)
        for v, x in zip(model.variables, point)
    )
    rules = all(point[r.var] != r.value or holds(r.row) for r in model.implications)
    products = all(point[p.out] == point[p.left] * point[p.right] for p in model.products)
    return bounds and all(map(holds, model.rows)) and rules and products


def says(text: str, model: Model, point: list[F]) -> bool:
    """Whether all assertions of a script hold at a point."""
    kinds: dict[str, str] = {}
    results = []
    for command in parse_terms(text):
        match command:
            case ["declare-fun", str(name), [], str(kind)]:
                kinds[name] = kind
            case ["assert", term]:
                env: dict[str, Any] = {f"x{i}": x for i, x in enumerate(point)}
                for name, kind in kinds.items():
                    if kind == "Bool":
                        env[name] = env[name] == 1
                results.append(bool(evaluate(term, env)))
    return all(results)


@st.composite
def models(draw: st.DrawFn) -> tuple[Model, list[F]]:
    model = Model()
    point = []
    for i in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["real", "bool", "int"]))
        if kind == "bool":
            model.new(f"b{i}", 0, 1, True)
            point.append(F(draw(st.integers(0, 1))))
        elif kind == "int":
            model.new(f"i{i}", draw(st.sampled_from([None, -2, 1])), 3, True)
            point.append(F(draw(st.integers(-2, 3))))
        else:
            model.new(f"r{i}", draw(st.sampled_from([None, 0, 0.1])), None)
            point.append(F(draw(numbers)))
    some = st.integers(0, len(point) - 1)

    def row() -> Row:
        coefs = tuple(draw(st.lists(st.tuples(some, numbers), max_size=4)))
        sense = draw(st.sampled_from(["<=", ">=", "=="]))
        strict = draw(st.booleans()) and sense != "=="
        tight = sum((F(c) * point[v] for v, c in coefs), F(0))
        return Row(coefs, sense, draw(st.one_of(numbers, st.just(tight))), strict)

    model.rows = [row() for _ in range(draw(st.integers(0, 2)))]
    for _ in range(draw(st.integers(0, 2))):
        model.imply(draw(some), draw(st.integers(0, 1)), row(), 1)
    if draw(st.booleans()):
        model.products.append(Product(draw(some), draw(some), draw(some)))
    return model, point


@settings(max_examples=300, deadline=None)
@given(models())
def test_the_text_means_what_the_model_means(drawn: tuple[Model, list[F]]) -> None:
    model, point = drawn
    assert says(to_smtlib(model), model, point) == truth(model, point)


@given(st.fractions(), st.booleans())
def test_numbers_go_there_and_back(n: F, as_float: bool) -> None:
    exact = F(float(n)) if as_float else n
    (term,) = parse_terms(rational(exact))
    assert value(term) == exact


def test_no_float_is_ever_written() -> None:
    model = Model()
    x = model.new("x", 1e-30, 1e30)
    model.add({x: 0.1}, "<=", 1e-300)
    model.objective = {x: 1e-7}
    text = to_smtlib(model)
    assert not re.search(r"[0-9]e[-+]?[0-9]", text)
    assert all(n.endswith(".0") for n in re.findall(r"[0-9]+\.[0-9]+", text))


def test_the_logic_is_the_smallest() -> None:
    model = Model()
    x, s = model.new("x"), model.new("s", 0, 1, True)
    assert "(set-logic QF_LRA)" in to_smtlib(model)
    model.products.append(Product(x, x, s))
    assert "(set-logic QF_LRA)" in to_smtlib(model)
    n = model.new("n", 0, 2, True)
    assert "(set-logic QF_LIRA)" in to_smtlib(model)
    model.products.append(Product(x, x, n))
    assert "(set-logic QF_NIRA)" in to_smtlib(model)


def test_values_and_names_are_optional() -> None:
    model = Model()
    model.new("first\ninput", 0, 1)
    assert "get-value" not in to_smtlib(model, values=False)
    assert "; first input\n" in to_smtlib(model, names=True)
    assert "first" not in to_smtlib(model)


def two() -> Model:
    model = Model()
    model.new("x")
    model.new("s", 0, 1, True)
    return model


@pytest.mark.parametrize(
    ("printed", "point"),
    [
        ("sat\n((x0 (/ 1 3)) (x1 true))\n", {0: F(1, 3), 1: 1}),
        ("sat\n((x0 (- (/ 1.0 3.0)))\n (x1 false))", {0: F(-1, 3), 1: 0}),
        ("sat ((x0 (/ (- 1) 3)) (x1 false))", {0: F(-1, 3), 1: 0}),
        ("success\nsuccess\nsat\n((x0 0.125) (x1 true))", {0: F(1, 8), 1: 1}),
        ("sat\n((x0 (to_real (- 4))) (x1 true))", {0: -4, 1: 1}),
        ("; hello (\nsat\n((x0 2)(x1 true))", {0: 2, 1: 1}),
    ],
)
def test_values_are_read_exactly(printed: str, point: dict[int, F]) -> None:
    answer = read_answer(two(), printed)
    assert answer.status is Status.OPTIMAL
    assert answer.point == point


@pytest.mark.parametrize(
    ("printed", "stop"),
    [
        ("", Stop.CRASH),
        ("unknown\n", Stop.UNSUPPORTED),
        ('(error "line 3: no such logic")\nunsat\n', Stop.UNSUPPORTED),
        ('(error "line 3")\nsat\n((x0 1) (x1 true))', Stop.UNSUPPORTED),
        ("sat\n((x0 1", Stop.CRASH),
        ("sat)\n", Stop.CRASH),
        ("sat\n", Stop.CRASH),
        ("SAT\n", Stop.CRASH),
        ("segmentation fault", Stop.CRASH),
    ],
)
def test_anything_else_is_unknown(printed: str, stop: Stop) -> None:
    answer = read_answer(two(), printed)
    assert (answer.status, answer.stop) == (Status.UNKNOWN, stop)
    assert answer.note


def test_irrational_values_are_left_out() -> None:
    printed = "sat ((x0 (root-obj (+ (^ x 2) (- 2)) 1)) (x1 true))"
    answer = read_answer(two(), printed)
    assert answer.point == {1: 1}
    assert "irrational" in answer.note
    assert read_answer(two(), "unsat\n(error \"no model\")").status is Status.INFEASIBLE
