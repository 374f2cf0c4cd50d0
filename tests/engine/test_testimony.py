"""Solvers are witnesses: when one is asked again, what agrees, what is discarded, and its name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction as F

import pytest

from verifex.engine.findings.reasons import Reason
from verifex.engine.solve.worker import _any_order
from verifex.engine.testimony import Hearing, Statement, allowance, heard
from verifex.errors import UnsupportedError
from verifex.ir.model.logical import Model
from verifex.ir.model.solving import Answer, Capabilities, SolveLimits, Status, Stop


def final(bound: float) -> Statement:
    return Statement(bound, final=True)


def late(bound: float | None) -> Statement:
    return Statement(bound, cut=True, why="time")


INFEASIBLE = Statement(infeasible=True, final=True)
AGAINST = Statement(-9.0, final=True, against="a replayed value 1")


class Court:
    """A solver whose statements are given, and what was asked of it."""

    def __init__(self, said: Sequence[Statement | None], *, upper: bool = True, runs: int = 9,
                 reserve: bool = True) -> None:
        self.said, self.runs = list(said), runs
        self.shares: list[float] = []
        self.reasons: list[Reason] = []
        self.hearing = Hearing(
            "solver", self.ask, self.decides, upper, lambda: len(self.shares) >= self.runs,
            self.reasons, reserve)
        self.sign = 1 if upper else -1

    def ask(self, k: int, share: float) -> Statement | None:
        assert k == len(self.shares)
        self.shares.append(share)
        return self.said[k]

    def decides(self, said: Statement) -> bool:
        return said.infeasible or (said.bound is not None and self.sign * said.bound < 0)


@pytest.mark.parametrize(("said", "stands", "shares"), [
    ([final(-2), final(-2)], final(-2), [.5, 1]),
    ([final(-2), final(-2 + 1e-7)], final(-2 + 1e-7), [.5, 1]),
    ([INFEASIBLE, INFEASIBLE], INFEASIBLE, [.5, 1]),
    ([final(3)], final(3), [.5]),  # no claim rests on it: nobody asks again
    ([final(-2), late(-1)], Statement(-1), [.5, 1]),  # the weaker one, if both may be true
    ([late(-2), late(-1)], Statement(-1), [.5, 1]),
    ([late(2), late(1)], late(1), [.5, 1]),  # the time that was kept is used
    ([late(None), final(-1), final(-1)], final(-1), [.5, 1, 1]),
    ([AGAINST, final(-2), final(-2)], final(-2), [.5, .5, 1]),  # two of three
    ([final(-2), AGAINST, final(-2)], final(-2), [.5, 1, 1]),
    ([None], None, [.5]),
    ([Statement(why="crash")], Statement(why="crash"), [.5]),
])
def test_what_stands(
    said: list[Statement], stands: Statement | None, shares: list[float]
) -> None:
    court = Court(said)
    assert court.hearing.outcome() == stands
    assert court.shares == shares


@pytest.mark.parametrize(("said", "named"), [
    ([final(-2), final(-3)], "is not claimed: a second run, with another seed, says bound -3"),
    ([final(-2), final(-2 + 1e-5)], "says bound -1.99999"),
    ([final(-2), final(4)], "says bound 4"),
    ([final(-2), late(-7)], "says bound -7"),  # cuts off what the first calls the optimum
    ([INFEASIBLE, final(4)], "answer 'infeasible' is not claimed"),
    ([final(-2), INFEASIBLE], "says answer 'infeasible'"),
    ([final(-2), late(None)], "says silence (time)"),
    ([AGAINST, AGAINST, AGAINST], "bound -9 contradicts a replayed value 1: discarded"),
    ([final(-2), AGAINST, AGAINST], "no time for a second run"),
])
def test_what_does_not(said: list[Statement], named: str) -> None:
    court = Court(said)
    assert court.hearing.outcome() is None
    assert any(named in str(reason) for reason in court.reasons), court.reasons
    assert all(reason.source == "solver" for reason in court.reasons)


def test_an_unfinished_second_run_may_leave_no_claim() -> None:
    """Its weaker bound stands, which decides nothing; that it took the claim away is said."""
    court = Court([final(-2), late(1)])
    assert court.hearing.outcome() == Statement(1)
    assert "came to bound 1 in its time" in str(court.reasons[0])


def test_no_time_for_a_second_run_is_no_claim() -> None:
    court = Court([final(-2)], runs=1)
    assert court.hearing.outcome() is None
    assert list(map(str, court.reasons)) == [
        "solver: its bound -2 is not claimed: no time for a second run with another seed"]


def test_nothing_is_kept_back_where_no_claim_is_wanted() -> None:
    court = Court([late(2)], reserve=False)
    assert court.hearing.outcome() == late(2)
    assert court.shares == [1]


def test_lower_bounds_are_weighed_the_other_way_round() -> None:
    assert Court([final(2), late(1)], upper=False).hearing.outcome() == Statement(1)
    assert Court([final(2), late(5)], upper=False).hearing.outcome() is None


def test_answers_are_heard() -> None:
    assert heard(Answer(Status.INFEASIBLE)) == INFEASIBLE
    assert heard(Answer(Status.OPTIMAL, bound=F(1, 2))) == final(.5)
    assert heard(Answer(Status.UNKNOWN, Stop.TIME, bound=1)) == Statement(1.0, cut=True)
    assert heard(Answer(Status.UNKNOWN, Stop.CRASH, note="x")) == Statement(why="crash x")
    with pytest.raises(UnsupportedError, match="beyond float64"):
        heard(Answer(Status.OPTIMAL, bound=10**400))


def test_numbers_agree_to_a_millionth_of_their_size() -> None:
    assert allowance(0.0, 0.5) == pytest.approx(5e-7)
    assert allowance(1e9, -2e9) == pytest.approx(2e3)
    assert allowance(math.inf, 1.0) == pytest.approx(1e-6)
    assert allowance(0.0, 1e-20) == pytest.approx(1e-9)


@pytest.mark.parametrize(("exact", "seed", "moved"), [(False, 0, 0), (False, 3, 1), (True, 3, 0)])
def test_a_float_solver_reads_another_order_with_another_seed(
    exact: bool, seed: int, moved: int
) -> None:
    """Its answer is about the model as it was; seed 0, and exact solvers, read it as it is."""
    model = Model()
    for i in range(30):
        model.new(f"v{i}", 0, i)
    read: list[str] = []

    class Adapter:
        capabilities = Capabilities(exact=exact, optimise=True, products=False)

        def solve(self, given: Model, limits: SolveLimits) -> Answer:
            read.extend(v.name for v in given.variables)
            top = {i: v.hi or 0 for i, v in enumerate(given.variables)}
            return Answer(Status.OPTIMAL, point=top)

    answer = _any_order(Adapter(), model, SolveLimits(1, seed=seed))
    assert (read != [v.name for v in model.variables]) == moved
    assert answer.point == {i: i for i in range(30)}
