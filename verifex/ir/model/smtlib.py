"""Logical models as SMT-LIB 2.6 text, and SMT-LIB values as exact numbers. No float is written.

Rows are multiplied by their common denominator, so coefficients are integers. A 0/1 integer
variable is a Bool, used in rows as `(ite b c 0.0)`: that is what SMT solvers branch on fastest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

from verifex.ir.model.logical import Implies, Model, Product, Row, Variable, merged

if TYPE_CHECKING:
    from verifex.ir.exact import Number

_TOKEN = re.compile(r'\(|\)|;[^\n]*|\|[^|]*\||"(?:[^"]|"")*"|[^\s()]+')
Term: TypeAlias = "str | list[Term]"


def is_bool(variable: Variable) -> bool:
    """Whether a variable is written as a Bool."""
    return variable.integer and variable.lo == 0 and variable.hi == 1


def logic(model: Model) -> str:
    """The smallest standard logic that holds the model."""
    whole = any(v.integer and not is_bool(v) for v in model.variables)
    products = any(not _linear(model, p) for p in model.products)
    return f"QF_{'N' if products else 'L'}{'I' if whole else ''}RA"


def symbol(position: int) -> str:
    """The name of a variable in the text, free of anything that would need quoting."""
    return f"x{position}"


def to_smtlib(model: Model, *, values: bool = True, names: bool = False) -> str:
    """The model as a script that asks for satisfiability, and for the variables' values.

    The objective, which SMT-LIB has no word for, is a variable `objective` where there is one.
    `names` adds the model's own variable names as comments.
    """
    head = [f"(set-logic {logic(model)})"]
    if values:
        head.insert(0, "(set-option :produce-models true)")
    lines = [*head, *declarations(model, names=names), *assertions(model), "(check-sat)"]
    if values and model.variables:
        lines.append(f"(get-value ({' '.join(map(symbol, range(len(model.variables))))}))")
    return "\n".join(lines) + "\n"


def assertions(model: Model) -> Iterator[str]:
    """Everything the model demands, one `(assert ...)` each, and the objective's definition."""
    for i, v in enumerate(model.variables):
        if not is_bool(v):
            for sense, bound in ((">=", v.lo), ("<=", v.hi)):
                if bound is not None:
                    yield f"(assert {_row(model, Row(((i, 1),), sense, bound))})"
    for row in model.rows:
        yield f"(assert {_row(model, row)})"
    for rule in model.implications:
        yield f"(assert {_implies(model, rule)})"
    for product in model.products:
        yield f"(assert {_product(model, product)})"
    if model.objective is not None:
        form = _sum(model, {v: Fraction(c) for v, c in model.objective.items() if c})
        const = rational(Fraction(model.objective_const))
        yield "(declare-fun objective () Real)"
        yield f"(assert (= objective (+ {form} {const})))"


def declarations(model: Model, *, names: bool = False) -> Iterator[str]:
    for i, v in enumerate(model.variables):
        kind = "Bool" if is_bool(v) else "Int" if v.integer else "Real"
        comment = f" ; {' '.join(v.name.split())}" if names and v.name else ""
        yield f"(declare-fun {symbol(i)} () {kind}){comment}"


def rational(number: Fraction | int) -> str:
    """An exact real constant."""
    number = Fraction(number)
    size = f"{abs(number.numerator)}.0"
    if number.denominator != 1:
        size = f"(/ {size} {number.denominator}.0)"
    return f"(- {size})" if number < 0 else size


def _row(model: Model, row: Row) -> str:
    coefs = {v: Fraction(c) for v, c in merged(row.coefs).items()}
    rhs = Fraction(row.rhs)
    # Whole coefficients keep the text short, and no solver has to scale the row.
    common = math.lcm(rhs.denominator, *(c.denominator for c in coefs.values()))
    left = _sum(model, {v: c * common for v, c in coefs.items() if c})
    sense = "=" if row.sense == "==" else row.sense[0] if row.strict else row.sense
    return f"({sense} {left} {rational(rhs * common)})"


def _sum(model: Model, coefs: Mapping[int, Fraction]) -> str:
    terms = [_term(model, v, c) for v, c in coefs.items()]
    if not terms:
        return "0.0"
    return terms[0] if len(terms) == 1 else f"(+ {' '.join(terms)})"


def _term(model: Model, position: int, coef: Fraction) -> str:
    v = model.variables[position]
    if is_bool(v):
        return f"(ite {symbol(position)} {rational(coef)} 0.0)"
    name = f"(to_real {symbol(position)})" if v.integer else symbol(position)
    return name if coef == 1 else f"(* {rational(coef)} {name})"


def _implies(model: Model, rule: Implies) -> str:
    if is_bool(model.variables[rule.var]):
        premise = symbol(rule.var) if rule.value else f"(not {symbol(rule.var)})"
    else:
        premise = f"(= {_term(model, rule.var, Fraction(1))} {rational(rule.value)})"
    return f"(=> {premise} {_row(model, rule.row)})"


def _linear(model: Model, product: Product) -> bool:
    return is_bool(model.variables[product.left]) or is_bool(model.variables[product.right])


def _product(model: Model, product: Product) -> str:
    """A product; with a 0/1 factor it is a choice, not a multiplication."""
    out, left, right = (
        _term(model, v, Fraction(1)) for v in (product.out, product.left, product.right)
    )
    if is_bool(model.variables[product.left]):
        return f"(= {out} (ite {symbol(product.left)} {right} 0.0))"
    if is_bool(model.variables[product.right]):
        return f"(= {out} (ite {symbol(product.right)} {left} 0.0))"
    return f"(= {out} (* {left} {right}))"


# --- reading what a solver prints ----------------------------------------------------------------


def parse_terms(text: str) -> list[Term]:
    """The s-expressions of a text; raises ValueError where parentheses do not match."""
    stack: list[list[Any]] = [[]]
    for token in _TOKEN.findall(text):
        if token == "(":
            stack.append([])
        elif token == ")":
            if len(stack) == 1:
                raise ValueError("a parenthesis too many")
            done = stack.pop()
            stack[-1].append(done)
        elif not token.startswith(";"):
            stack[-1].append(token)
    if len(stack) != 1:
        raise ValueError("a parenthesis is missing")
    return stack[0]


def value(term: Term) -> Number | None:
    """The exact number of a value term; None where it is not rational."""
    if isinstance(term, str):
        if term in ("true", "false"):
            return int(term == "true")
        return Fraction(term) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", term) else None
    match term:
        case ["-", inner]:
            n = value(inner)
            return None if n is None else -n
        case ["/", top, bottom]:
            p, q = value(top), value(bottom)
            return None if p is None or not q else Fraction(p) / Fraction(q)
        case ["to_real", inner]:
            return value(inner)
        case _:
            return None
