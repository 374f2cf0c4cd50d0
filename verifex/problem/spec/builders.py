"""Specs from Python: the same models that spec files are read into, so there is one code path.

    spec = Spec(input=point(x0), region=linf(0.05, clip=(0, 1)), explain=explain("gradient"),
                require=[top_k(3)])

Numbers mean what they mean in a file: a Python float is its shortest decimal (0.1 is one tenth),
a string may be a quotient ("1/3"). Arrays of numpy, tensors of torch, rows and columns of pandas
are data: their exact binary values. Every function raises InputError where a spec file with the
same content would be refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from os import PathLike
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError

from verifex.errors import InputError
from verifex.ir.fields import Fields
from verifex.metrics.class_ import Class
from verifex.metrics.component import Component
from verifex.metrics.cosine import Similarity
from verifex.metrics.distance import Distance
from verifex.metrics.expression import BoundedExpression
from verifex.metrics.mass import Mass
from verifex.metrics.monotone import Monotone
from verifex.metrics.order import Order
from verifex.metrics.output import Output
from verifex.metrics.sign import Sign
from verifex.metrics.support.base import Property
from verifex.metrics.topk import TopK
from verifex.problem.rows import row_of
from verifex.problem.spec.messages import spec_error
from verifex.problem.spec.model import All, AnyOf, ExplainSpec, InputSpec, Not, RegionSpec, Spec

ExactLike: TypeAlias = int | float | str | Fraction
Features: TypeAlias = str | int | Sequence[str | int]
M = TypeVar("M", bound=Fields)

__all__ = [
    "Spec", "all_of", "any_of", "box", "class_is", "class_unchanged", "component", "cosine", "data",
    "distance", "explain", "expression", "l1", "l2", "linf", "mass", "monotone", "not_", "order",
    "output", "point", "region", "sign", "top_k",
]


def _make(model: type[M], values: Mapping[str, Any]) -> M:
    """The model from the values that are given (None is not given)."""
    try:
        return model.model_validate({k: v for k, v in values.items() if v is not None})
    except ValidationError as error:
        raise spec_error(error) from None


# --- input and region -----------------------------------------------------------------------


def point(values: Any, *, names: Sequence[str] = ()) -> InputSpec:
    """The reference point: nested lists or an array of the input's shape, or flat."""
    return _make(InputSpec, {"point": values, "names": tuple(names)})


def data(
    source: Any, row: int | None = None, *, target: str | None = None, drop: Features = (),
    **options: Any,
) -> InputSpec:
    """A row (from 0) of a CSV or NPY file, or of data in memory; the other keys of `[input]`.

    In memory: a DataFrame or a Series of pandas, whose column names become those of the features, a
    dictionary from names to numbers, a numpy array or a tensor of torch (without `row` all of it is
    the point). `target` and `drop` name columns that are no features. Floats mean their exact
    binary values, and the spec holds the numbers alone.
    """
    if isinstance(source, str | PathLike):
        given = {"data": str(source), "row": row, "target": target, "drop": drop or None}
        return _make(InputSpec, {**given, **options})
    columns = drop if isinstance(drop, list | tuple) else [drop]
    found = row_of(source, row, target, [c for c in columns if isinstance(c, str | int)])
    return _make(InputSpec, {"point": found.point, "names": found.names, **options})


def region(**fields: Any) -> RegionSpec:
    """Any `[region]` table: linf, l1, l2, box, clip, freeze, only, integer, one_hot, linear."""
    return _make(RegionSpec, fields)


def linf(
    radius: ExactLike | Sequence[ExactLike] | Mapping[str, ExactLike], **fields: Any
) -> RegionSpec:
    """|x_i - x0_i| <= radius; one radius for all features, one each, or by name."""
    return region(linf=radius, **fields)


def l1(radius: ExactLike, **fields: Any) -> RegionSpec:
    """sum |x_i - x0_i| <= radius."""
    return region(l1=radius, **fields)


def l2(radius: ExactLike, **fields: Any) -> RegionSpec:
    """sum (x_i - x0_i)^2 <= radius^2."""
    return region(l2=radius, **fields)


def box(lo: Any, hi: Any, **fields: Any) -> RegionSpec:
    """lo <= x <= hi: numbers for all features, or one each, or by name."""
    return region(box={"lo": lo, "hi": hi}, **fields)


def explain(
    attribution: str = "gradient",
    *,
    output: Any = "predicted",
    reduce: str = "signed",
    features: Features | None = None,
    **options: Any,
) -> ExplainSpec:
    """The attribution, of which output, reduced how; further options are the attribution's own."""
    values = {"attribution": attribution, "output": output, "reduce": reduce, "features": features}
    return _make(ExplainSpec, {**values, "options": options})


# --- properties -----------------------------------------------------------------------------


def class_unchanged(*, tie: str = "error") -> Property:
    """The largest output stays the one that is largest at the reference."""
    return _make(Class, {"class": "unchanged", "tie": tie})


def class_is(label: int) -> Property:
    """Output `label` is the largest."""
    return _make(Class, {"class": label})


def output(functional: Any, **bounds: ExactLike) -> Property:
    """An output functional such as "margin:1,0" within at_least / at_most / above / below."""
    return _make(Output, {"output": functional, **bounds})


def component(name: Features, **bounds: ExactLike) -> Property:
    """Components of the attribution within at_least / at_most / above / below."""
    return _make(Component, {"component": name, **bounds})


def distance(norm: str, *, relative: bool = False, **bounds: ExactLike) -> Property:
    """The norm ("l1", "l2", "linf") of A(x) - A(x0) within bounds."""
    return _make(Distance, {"distance": norm, "relative": relative, **bounds})


def cosine(at_least: ExactLike, *, undefined: str | None = None) -> Property:
    """The cosine of the angle between A(x) and A(x0); where A(x) = 0 it "fails" or "holds"."""
    values = {"similarity": "cosine", "at_least": at_least, "undefined": undefined}
    return _make(Similarity, values)


def top_k(k: int, overlap_at_least: int | None = None, *, tie: str = "error") -> Property:
    """Of the reference top k, so many components (all, if not said) stay in the top k."""
    return _make(TopK, {"top_k": k, "overlap_at_least": overlap_at_least, "tie": tie})


def order(*names: str | int) -> Property:
    """A[names[0]] > A[names[1]] > ...; without names: the ranking of the reference."""
    return _make(Order, {"order": list(names) or "unchanged"})


def sign(
    which: Features | None = None,
    *,
    threshold: ExactLike = 0,
    zero: str = "error",
    at_least: int | None = None,
) -> Property:
    """Components keep the strict sign that they have at the reference."""
    values = {"sign": "unchanged", "which": which, "threshold": threshold, "zero": zero}
    return _make(Sign, {**values, "at_least": at_least})


def mass(mask: Any, *, undefined: str | None = None, **bounds: ExactLike) -> Property:
    """The share of the absolute attribution inside a mask, within bounds; where A(x) = 0 it "fails"
    or "holds"."""
    return _make(Mass, {"mass": mask, "undefined": undefined, **bounds})


def monotone(direction: str, feature: Features, *, output: Any = None) -> Property:
    """The output is "increasing" or "decreasing" in the features."""
    return _make(Monotone, {"monotone": direction, "feature": feature, "output": output})


def expression(text: str, **bounds: ExactLike) -> Property:
    """Anything whose range `bound` finds, such as "norm:l1" or "margin:1,0", within bounds."""
    return _make(BoundedExpression, {"expression": text, **bounds})


def all_of(*parts: Property) -> Property:
    """Every part."""
    return _make(All, {"all": _some(parts)})


def any_of(*parts: Property) -> Property:
    """At least one part."""
    return _make(AnyOf, {"any": _some(parts)})


def not_(part: Property) -> Property:
    """The part does not hold."""
    return _make(Not, {"not": part})


def _some(parts: tuple[Property, ...]) -> tuple[Property, ...]:
    if not parts:
        raise InputError("no properties", expected="at least one")
    return parts
