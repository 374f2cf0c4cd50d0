"""Shipped code run on symbols: every path that its comparisons can take, with what holds there.

Code that compares numbers cannot take a prover's terms. Run on `Symbol`s, a comparison asks its
path; the code is run again until each answer that can be had was given. Quotients rounded down
(`//`, `>>`) become numbers q of which only this is known: q <= a / b < q + 1, and q is at least 0
or at most -1 as a / b is at least 0 or not. What is proved of them is proved of the true ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import z3

MOST_PATHS = 400
EFFORT = 20_000
"""Of z3, to see that an answer cannot be had; what it does not see costs only time."""


class Path:
    """The answers to come (`plan`), those given (`taken`), and what is known on this path.

    `due`: what has to be so on it, for the code to mean anything (no division by 0). `whole`: terms
    that stand for whole numbers.
    """

    def __init__(self, plan: list[bool], assumptions: Sequence[Any]) -> None:
        self.plan, self.taken = plan, list[bool]()
        self.assumptions, self.conditions = list(assumptions), list[Any]()
        self.due, self.whole = list[Any](), list[Any]()
        self._solver = z3.Solver()
        self._solver.set("rlimit", EFFORT)
        self._solver.add(*assumptions)
        self._quotients: dict[tuple[int, int], tuple[Any, Any, Any]] = {}

    def symbol(self, term: Any) -> Symbol:
        return Symbol(self, term)

    def decide(self, condition: Any) -> bool:
        """One answer; the first time True, and False when the path is taken again."""
        known = z3.simplify(condition)
        if z3.is_true(known) or z3.is_false(known):
            return bool(z3.is_true(known))
        for answer in (True, False):
            if self._solver.check(z3.Not(condition) if answer else condition) == z3.unsat:
                return answer  # the other one cannot be had here
        at = len(self.taken)
        answer = self.plan[at] if at < len(self.plan) else True
        self.taken.append(answer)
        self._know(condition if answer else z3.Not(condition))
        return answer

    def _know(self, condition: Any) -> None:
        self.conditions.append(condition)
        self._solver.add(condition)

    def quotient(self, value: Any, by: Any) -> Any:
        """value / by rounded down, for by > 0."""
        value, by = z3.simplify(value), z3.simplify(by)
        key = value.get_id(), by.get_id()  # of terms that are kept below, so that they stay theirs
        if key not in self._quotients:
            found = z3.FreshReal("quotient")
            self.conditions.append(z3.Implies(by > 0, z3.And(
                found * by <= value, value < found * by + by,
                z3.If(value >= 0, found >= 0, found <= -1))))
            self.due.append(by > 0)
            # Whole numbers that are not above a / b are not above q.
            self.conditions += [
                z3.Implies(z3.And(by > 0, number * by <= value), number <= found)
                for number in self.whole]
            self._quotients[key] = found, value, by
        return self._quotients[key][0]


class Symbol:
    """A number of which no more is known than its path says."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, path: Path, term: Any) -> None:
        self.path, self.term = path, term

    def _made(self, term: Any) -> Symbol:
        return Symbol(self.path, term)

    def __add__(self, other: Any) -> Symbol:
        return self._made(self.term + plain(other))

    def __radd__(self, other: Any) -> Symbol:
        return self._made(plain(other) + self.term)

    def __sub__(self, other: Any) -> Symbol:
        return self._made(self.term - plain(other))

    def __rsub__(self, other: Any) -> Symbol:
        return self._made(plain(other) - self.term)

    def __mul__(self, other: Any) -> Symbol:
        return self._made(self.term * plain(other))

    def __rmul__(self, other: Any) -> Symbol:
        return self._made(plain(other) * self.term)

    def __neg__(self) -> Symbol:
        return self._made(-self.term)

    def __pow__(self, power: int) -> Symbol:
        return self if power == 1 else self * self ** (power - 1)

    def __abs__(self) -> Symbol:
        return self if self >= 0 else -self

    def __floordiv__(self, by: Any) -> Symbol:
        if isinstance(by, int) and by == 1:  # of a whole number
            return self
        return self._made(self.path.quotient(self.term, z3.RealVal(1) * plain(by)))

    def __rfloordiv__(self, value: Any) -> Symbol:
        return self._made(self.path.quotient(z3.RealVal(value), self.term))

    def __floor__(self) -> Symbol:
        return self._made(self.path.quotient(self.term, z3.RealVal(1)))

    def __ceil__(self) -> Symbol:
        return -(-self).__floor__()

    def __rshift__(self, by: Bits) -> Symbol:
        return self // by.whole

    def __lshift__(self, by: Bits) -> Symbol:
        return self * by.whole

    def __mod__(self, by: Any) -> Symbol:
        return self - (self // by) * by

    def __bool__(self) -> bool:
        return self != 0

    def __lt__(self, other: Any) -> bool:
        return self.path.decide(self.term < plain(other))

    def __le__(self, other: Any) -> bool:
        return self.path.decide(self.term <= plain(other))

    def __gt__(self, other: Any) -> bool:
        return self.path.decide(self.term > plain(other))

    def __ge__(self, other: Any) -> bool:
        return self.path.decide(self.term >= plain(other))

    def __eq__(self, other: object) -> bool:
        return self.path.decide(self.term == plain(other))

    def __ne__(self, other: object) -> bool:
        return not self == other


class Bits:
    """A number of bits, as what 1 is when it is shifted by them: any number above 0."""

    def __init__(self, whole: Symbol) -> None:
        self.whole = whole

    def __rlshift__(self, value: int) -> Symbol:
        return value * self.whole


def plain(value: Any) -> Any:
    """The term of a symbol; other numbers as they are (truth as 0 or 1)."""
    if isinstance(value, Symbol):
        return value.term
    return int(value) if isinstance(value, bool) else value


def paths(
    run: Callable[[Path], Any], assumptions: Sequence[Any]
) -> Iterator[tuple[Path, Any]]:
    """Every path that the code can take, with what `run` returned on it."""
    plan: list[bool] = []
    for _ in range(MOST_PATHS):
        path = Path(plan, assumptions)
        yield path, run(path)
        plan = path.taken
        while plan and not plan[-1]:
            plan = plan[:-1]
        if not plan:
            return
        plan = [*plan[:-1], False]
    raise RuntimeError(f"more than {MOST_PATHS} paths")
