"""What a family of properties is: a keyword, the keys it takes, and the formula it means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Generic, Literal, TypeVar

from pydantic import model_validator

from verifex.ir.fields import Exact, Fields, show, wrong
from verifex.ir.formula import And, Form, Formula, compare
from verifex.metrics.support.setting import Setting


class Property(Fields):
    """Base of the models of `[[require]]` and `[[assume]]` entries."""

    def scale_free(self) -> bool:
        """Whether it stays true, or false, when the attribution is multiplied by a positive number
        that depends on x; so it is of a property that does not read the attribution."""
        return False


class Ratio(Property):
    """Base of the properties that divide by the attribution: where it is zero they are undefined.

    `undefined` says what such a property, and its `not` alike, counts as there. Left out, it
    "fails" in `[[require]]` and "holds" in `[[assume]]`: what is undefined proves nothing and
    excludes nothing.
    """

    undefined: Literal["fails", "holds"] | None = None

    def at_zero(self) -> bool:
        """Whether the formula that the family builds is true where the attribution is zero."""
        raise NotImplementedError


@dataclass(frozen=True)
class Said:
    """A property in words.

    `ranked` are the components that it ranks (positions among the chosen ones), the largest at x0
    first; `trivial` says why it cannot fail, where it is true by construction.
    """

    text: str
    ranked: tuple[int, ...] = ()
    trivial: str = ""


P = TypeVar("P", bound=Property)


@dataclass(frozen=True)
class Family(Generic[P]):
    """`build(model, setting)` gives the formula; it may add nodes to `setting.builder`.

    `say(model, setting)`, asked after `build`, gives the property in words and adds no nodes;
    without it a verdict repeats the table as it is written.
    """

    keyword: str
    model: type[P]
    build: Callable[[P, Setting], Formula]
    say: Callable[[P, Setting], Said] | None = None


class BoundedProperty(Property):
    """A property that bounds a number: from below, from above, strictly or not."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("at_least", "at_most", "above", "below")

    at_least: Exact | None = None
    at_most: Exact | None = None
    above: Exact | None = None
    below: Exact | None = None

    @model_validator(mode="after")
    def _some_bound(self) -> BoundedProperty:
        if all(getattr(self, key) is None for key in self.REQUIRED):
            raise wrong("no bound is given", f"one of {', '.join(self.REQUIRED)}")
        return self

    def bounds(self) -> Iterator[tuple[str, Fraction]]:
        """The bounds that are given, as (key, value)."""
        for key in self.REQUIRED:
            value = getattr(self, key)
            if value is not None:
                yield key, value


_BOUND_WORDS = {"at_least": "at least", "at_most": "at most", "above": "above", "below": "below"}


def bounds_text(model: BoundedProperty, unit: str = "") -> str:
    """The bounds in words: `at least 0.5 and below 1`."""
    return " and ".join(f"{_BOUND_WORDS[key]} {show(value)}{unit}" for key, value in model.bounds())


def within(form: Form, model: BoundedProperty) -> list[Formula]:
    """All bounds of the model on the form."""
    return [compare(form, key, value) for key, value in model.bounds()]


def conjunction(parts: list[Formula]) -> Formula:
    """The parts joined by and; one part stays itself."""
    return parts[0] if len(parts) == 1 else And(tuple(parts))
