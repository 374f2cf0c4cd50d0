"""The shape of a meaning: a table from op type to rule, where every cell is a rule or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from verifex.errors import UnsupportedError
from verifex.ir.ops import OPS, Op

Rule = TypeVar("Rule", bound=Callable[..., object])


class Table(Generic[Rule]):
    """One meaning of the op set. `rule` fills a cell, `refuse` fills it with a reason."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._rules: dict[type, Rule] = {}
        self._refusals: dict[type, str] = {}

    def rule(self, op: type) -> Callable[[Rule], Rule]:
        """Decorator that makes a function the meaning of `op`."""

        def fill(function: Rule) -> Rule:
            # A second rule would silently win over the first.
            if op in self._rules or op in self._refusals:
                raise ValueError(f"{self.name} has a rule for {op.__name__} already")
            self._rules[op] = function
            return function

        return fill

    def refuse(self, op: type, reason: str) -> None:
        """Fill the cell of `op` with a refusal that says why."""
        self._refusals[op] = reason

    def __getitem__(self, op: Op) -> Rule:
        found = self._rules.get(type(op))
        if found is None:
            name = type(op).__name__
            raise UnsupportedError(
                f"{name}: {self._refusals.get(type(op), 'no rule')}", key=self.name
            )
        return found

    def blanks(self) -> list[str]:
        """Ops with neither rule nor refusal; a test requires that there are none."""
        return [t.__name__ for t in OPS if t not in self._rules and t not in self._refusals]

    def refusals(self) -> dict[str, str]:
        """The refused ops, by name, with the reason."""
        return {t.__name__: why for t, why in self._refusals.items()}
