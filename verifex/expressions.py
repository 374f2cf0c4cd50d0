"""The expressions that there are: how each is written and what its value is, in one list.

Help, messages and `specs/LANGUAGE.md` are made of it; `metrics/expression.py` gives each its
meaning (tests compare the two). Nothing is imported, so that `verifex bound --help` comes at once.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExpressionWords:
    """An expression: the kind that begins it, how it is written, and its value in words."""

    kind: str
    written: tuple[str, ...]
    value: str


EXPRESSIONS = (
    ExpressionWords("component", ("component:age", "component:3"),
                    "A_age: one component, reduced as `[explain]` says (it need not be among "
                    "`features`)"),
    ExpressionWords("output", ("output",),
                    "the `output` of `[explain]`; without `[explain]`, `predicted`"),
    ExpressionWords("logit", ("logit:c",), "f_c; c may be `predicted` or `runner_up`"),
    ExpressionWords("margin", ("margin:c,j",), "f_c - f_j; both may be `predicted` or `runner_up`"),
    ExpressionWords("class-margin", ("class-margin", "class-margin:c"),
                    "f_c less the largest other output: above 0 where the class is c; without c, "
                    "the class at x0"),
    ExpressionWords("predicted", ("predicted",), "the output that is largest at x0"),
    ExpressionWords("sum", ("sum",), "the sum of all outputs"),
    ExpressionWords("distance", ("distance:l1", "distance:linf", "distance:l2_squared"),
                    "the norm of A(x) - A(x0) over the chosen components; of the L2 norm the "
                    "square, which is rational"),
    ExpressionWords("norm", ("norm:l1", "norm:linf", "norm:l2_squared"), "the same of A(x)"),
    ExpressionWords("mass", ("mass:age,pay_*",),
                    "the sum of abs(A_i) over these components, which must be chosen ones; not "
                    "divided by the total"),
    ExpressionWords("cosine", ("cosine",),
                    "the cosine of A(x) and A(x0), where A(x) is not zero; only for `bound`"),
    ExpressionWords("overlap", ("overlap:3",),
                    "how many of the 3 largest components at x0 are among the 3 largest at x, ties "
                    "counted against; only for `bound`"),
)


def listed() -> str:
    """All of them in one line, for help."""
    return "; ".join(", ".join(one.written) for one in EXPRESSIONS)
