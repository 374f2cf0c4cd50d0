"""Whether an answer contradicts what was seen at exact points."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction

from tests.soundness.independent.asking import Answer
from tests.soundness.independent.claims import Truth
from tests.soundness.independent.points import Measure
from tests.soundness.independent.program import Point
from tests.soundness.independent.questions import Question
from tests.soundness.independent.world import Seen

TOLERANCE = Fraction(1, 10**6)
"""Of a range that a solver claims, relative to the larger of 1 and the value (as `closed` says)."""

RULES = ("undefined", "relative")
"""What can be left out of judgement: shares and cosines of nothing, distances relative to zero."""


@dataclass
class Judgement:
    """`truth` is "true", "false", "kink" (violated on sides of kinks only), "open" or ""."""

    truth: str
    wrong: list[str]


def judge(question: Question, answer: Answer, skip: Collection[str]) -> Judgement:
    """The truth as far as it was seen, and every contradiction to it."""
    verdict = answer["verdict"]
    if verdict == "crashed":
        return Judgement("", [f"no proper answer: {answer['reason']}"])
    if question.refused == "relative to zero" and "relative" in skip:
        return Judgement("", [])
    if question.refused is not None:
        if verdict == "refused":
            return Judgement("", [])
        return Judgement("", [f"answered ({verdict}), although {question.refused}"])
    if question.violated is None:
        return Judgement("", [] if verdict == "refused" else list(_ranges(question, answer, skip)))
    truth = seen_truth(question, "undefined" in skip)
    return Judgement(truth, list(_verdict(question, answer, truth, skip)))


# --- claims ------------------------------------------------------------------------------------


def seen_truth(question: Question, skip: bool) -> str:
    """What the battery says; `skip` passes over what is not defined."""
    violated, battery = question.violated, question.battery
    if violated is None:
        return ""
    points: dict[Point, list[Truth]] = {}
    for seen in battery.sights:
        points.setdefault(seen.state.point, []).append(violated(seen))
    whole, kink = battery.whole, False
    for sides in points.values():
        if skip and any(t.undefined for t in sides):
            whole = False
        elif all(t.holds for t in sides):
            return "false"
        else:
            kink |= any(t.holds for t in sides)
    return "kink" if kink else "true" if whole else "open"


def counterexample(question: Question, skip: bool) -> Seen | None:
    """A sight that violates the claim, off the kinks if there is one."""
    if question.violated is None:
        return None
    found = [s for s in question.battery.sights if (t := question.violated(s)).holds
             and not (skip and t.undefined)]
    return min(found, key=question.battery.kinky, default=None)


def _verdict(question: Question, answer: Answer, truth: str, skip: Collection[str]
             ) -> Iterator[str]:
    verdict = answer["verdict"]
    if verdict in ("proved", "claimed"):
        if truth in ("false", "kink"):
            seen = counterexample(question, "undefined" in skip)
            at = "" if seen is None else f" at ({', '.join(map(str, seen.state.point))})"
            side = " on a side of a kink" if truth == "kink" else ""
            yield f"{verdict}, but violated{side}{at}"
        margin = answer.get("attained_margin")
        if margin is not None and Fraction(margin) < 0:
            yield f"{verdict}, but the margin {float(Fraction(margin)):.6g} is attained"
    if verdict == "refuted":
        if question.battery.whole and truth in ("true", "kink"):
            yield f"refuted, but the whole region was seen and the claim is {truth}"
        yield from _witness(question, answer, skip)
    low, high = answer.get("proven_margin"), answer.get("attained_margin")
    if low is not None and high is not None and Fraction(low) > Fraction(high):
        yield f"a margin of {low} is proven, {high} attained"
    if question.slack is not None and question.battery.sights:
        yield from _margins(question, question.slack, low, high)


def _margins(question: Question, slack: Measure, low: str | None, high: str | None
             ) -> Iterator[str]:
    """The bounds of a margin against what a claim of one number has to spare."""
    seen = [v for s in question.battery.sights if (v := slack(s)) is not None]
    if low is not None and Fraction(low) > min(seen):
        yield f"a margin of {low} is proven, {min(seen)} was seen"
    exact = question.battery.whole and question.entry == "python"  # a command prints floats
    if high is not None and exact and Fraction(high) < min(seen):
        yield f"a margin of {high} is attained, but the least is {min(seen)}"


def _witness(question: Question, answer: Answer, skip: Collection[str]) -> Iterator[str]:
    battery, violated = question.battery, question.violated
    point = _point(question, answer)
    if point is None or violated is None:
        yield "refuted without a witness"
        return
    if not battery.region.contains(point):
        if not answer.get("rounded"):
            yield "the witness lies outside the region"
        return
    found = [violated(s) for s in battery.world.sides(point, battery.rng)]
    if "undefined" in skip and any(t.undefined for t in found):
        return
    if not any(t.holds for t in found):
        if not answer.get("rounded"):
            yield "the witness does not violate the claim"
    elif not all(t.holds for t in found):
        yield "the witness violates the claim on one side of a kink only"


def _point(question: Question, answer: Answer) -> Point | None:
    """The witness in our order of the inputs."""
    if "assignment" in answer:
        return _assigned(question, answer["assignment"])
    if answer["witness"] is None:
        return None
    values = [Fraction(v) for v in answer["witness"]]
    if question.names and answer["names"]:
        values = [values[answer["names"].index(name)] for name in question.names]
    return tuple(values)


def _assigned(question: Question, assignment: dict[str, list[str]]) -> Point:
    """The inputs of a printed assignment: X, U, ... of version 2.0, X of version 1.0."""
    if not question.names:
        found = [v for name, values in assignment.items() if name.startswith("X") for v in values]
        return tuple(map(Fraction, found))
    return tuple(Fraction(assignment[tensor][k]) for tensor, k in (
        question.places[name] for name in question.names))


# --- ranges ------------------------------------------------------------------------------------


def _ranges(question: Question, answer: Answer, skip: Collection[str]) -> Iterator[str]:
    if len(answer["ranges"]) != len(question.values):
        yield f"{len(answer['ranges'])} ranges of {len(question.values)}"
        return
    for measure, found in zip(question.values, answer["ranges"], strict=True):
        for side, sign in (("low", -1), ("high", 1)):
            yield from _end(question, measure, found, side, sign, skip)


def _size(value: Fraction, found: Answer) -> Fraction:
    """What floats may be off by at a value, relative to the greatest magnitude in its range."""
    ends = [found[side][name] for side in ("low", "high") for name in ("best", "attained")]
    return TOLERANCE * max(abs(value), *(abs(Fraction(v)) for v in ends if v is not None))


def _end(question: Question, measure: Measure, found: Answer, side: str, sign: int,
         skip: Collection[str]) -> Iterator[str]:
    """One end of a range: its bounds contain what was seen, its value is attained at its point."""
    end, values = found[side], list(_seen(question, measure, skip))
    loose = Fraction(0) if found["exact"] else None
    for name in ("proven", "claimed"):
        bound = None if end[name] is None else Fraction(end[name])
        if bound is None:
            continue
        slack = loose if loose is not None and name == "proven" else _size(bound, found)
        beyond = [v for v in values if sign * (v - bound) > slack]
        if beyond:
            worst = max(beyond, key=lambda v: sign * v)
            yield f"{side}: {name} {float(bound)!r}, but {float(worst)!r} was seen ({worst})"
    attained = None if end["attained"] is None else Fraction(end["attained"])
    if attained is None:
        if found["closed"]:
            yield f"{side}: closed, but nothing is attained"
        return
    if found["closed"] and (end["best"] is None
                            or abs(Fraction(end["best"]) - attained) > _size(attained, found)):
        yield f"{side}: closed, but {end['best']} and {float(attained)!r} do not meet"
    # A strict assumption leaves open ends, which a range approaches and no sight reaches. On a kink
    # each gate may be 0 or 1 by itself: that is more than the limits from the cells around it.
    closed = b"[[assume]]" not in question.files["spec.toml"] and not end.get("on_kink")
    if question.battery.whole and values and closed:
        most = max(values, key=lambda v: sign * v)
        if sign * (attained - most) > (loose if loose is not None else _size(most, found)):
            yield f"{side}: {float(attained)!r} attained, but {float(most)!r} is the extreme"
    yield from _attained(question, measure, end, side, attained, skip)


def _seen(question: Question, measure: Measure, skip: Collection[str]) -> Iterator[Fraction]:
    for seen in question.battery.sights:
        allowed = question.allowed(seen)
        if allowed.holds and not ("undefined" in skip and allowed.undefined):
            value = measure(seen)
            if value is not None:
                yield value


def _attained(question: Question, measure: Measure, end: Answer, side: str, attained: Fraction,
              skip: Collection[str]) -> Iterator[str]:
    if end["point"] is None:
        return
    battery, point = question.battery, tuple(map(Fraction, end["point"]))
    if not battery.region.contains(point):
        yield f"{side}: the point lies outside the region"
        return
    sides = battery.world.sides(point, battery.rng)
    allowed = [question.allowed(s) for s in sides]
    if "undefined" in skip and any(t.undefined for t in allowed):
        return
    if not any(t.holds for t in allowed):
        yield f"{side}: the assumption does not hold at the point"
    if attained not in [measure(s) for s in sides]:
        if len(sides) == 1:
            yield f"{side}: {attained} is not attained at the point: {measure(sides[0])}"
        elif not end["on_kink"]:
            yield f"{side}: {attained} is on no side of the kink at the point"
