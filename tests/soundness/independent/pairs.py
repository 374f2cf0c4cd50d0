"""Questions about two networks: how far outputs, classes and attributions differ."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

from tests.soundness.independent.architectures import Architect, second
from tests.soundness.independent.claims import Truth
from tests.soundness.independent.explained import norm_of
from tests.soundness.independent.points import Measure
from tests.soundness.independent.questions import Question, Scene, look, make_scene, raw
from tests.soundness.independent.shares import draw
from tests.soundness.independent.toml import short
from tests.soundness.independent.world import Numbers, Seen, World


def difference_question(rng: random.Random, seed: str) -> Question:
    """The ranges of a difference, or the claim that it stays small, or that classes agree."""
    scene = make_scene(rng, seed)
    other = Architect(seed, scene.inputs, scene.world.x0, second(rng)).network()
    mine, theirs = _worlds(scene, other)
    battery = scene.battery
    without = ["class"] if len(mine.outputs) < 2 else []
    kind = draw(rng, "measure", without)
    files = {**scene.files, "net.onnx": scene.net.model(), "other.onnx": other.model(),
             "spec.toml": scene.spec([], [])}
    arguments = {"first": "net.onnx", "second": "other.onnx", "spec": "spec.toml", "of": [kind]}
    asked = Question("difference", f"difference {kind}", draw(rng, "entry"), files, arguments,
                     battery)
    if kind.startswith("attribution"):
        asked.refused = mine.ill
    if kind == "class":
        _class(asked, theirs)
        return asked
    look(battery, lambda s: [*raw(s), *_gaps(kind, s, theirs)])
    claimed = draw(rng, "asked") == "claim"
    asked.values = _measures(kind, theirs, claimed)
    if claimed:
        _claim(asked, scene)
    return asked


def _worlds(scene: Scene, other: object) -> tuple[World, World]:
    """Both networks on one program; the battery is filled again on it."""
    program = other.program  # type: ignore[attr-defined]
    world, battery = scene.world, scene.battery
    both, mine, theirs = world.program.merged(program, list(range(program.inputs)))
    outputs = tuple(theirs(e) for t in other.outputs for e in t.elements)  # type: ignore[attr-defined]
    first = replace(world, program=both, outputs=tuple(map(mine, world.outputs)))
    first.sides0 = first.sides(world.x0, scene.rng)
    battery.world = first
    battery.forget()
    battery.fill()
    return first, replace(first, outputs=outputs)


def _views(seen: Seen, theirs: World) -> tuple[Seen, Seen]:
    return seen, Seen(theirs, seen.state)


def _gaps(kind: str, seen: Seen, theirs: World) -> Numbers:
    one, other = _views(seen, theirs)
    pair = (one.f, other.f) if kind == "output" else (one.a, other.a)
    return tuple(u - v for u, v in zip(*pair, strict=True))


def _measures(kind: str, theirs: World, claimed: bool) -> list[Measure]:
    norm = kind.partition(":")[2]
    if norm and (claimed or norm != "linf"):
        return [lambda s: norm_of(norm, _gaps(kind, s, theirs))]
    # As ranges, the linf norm is told by those of all components.
    count = len(theirs.outputs) if kind == "output" else len(theirs.explain.chosen)

    def gap(k: int) -> Measure:
        return lambda s: _gaps(kind, s, theirs)[k]

    return [gap(k) for k in range(count)]


def _claim(asked: Question, scene: Scene) -> None:
    """Every difference is at most a threshold in size."""

    def size(seen: Seen) -> Fraction:
        return max(abs(v(seen) or Fraction(0)) for v in values)

    values, asked.values = asked.values, []
    limit = short(abs(scene.drafter.thresholds.one(size, "at_most")))
    asked.near = scene.drafter.thresholds.near
    asked.arguments["at_most"] = f"{limit.numerator}/{limit.denominator}"
    asked.violated = lambda seen: Truth(size(seen) > limit)
    asked.battery.whole = False
    look(asked.battery, lambda s: [
        *raw(s), *(u for v in values for u in ((v(s) or Fraction(0)) - limit,
                                               (v(s) or Fraction(0)) + limit, v(s) or Fraction(0))),
    ])
    if len(values) > 1 or "attribution:" in asked.kind:
        asked.battery.whole = False  # the numbers above do not tell which of them is largest


def _class(asked: Question, theirs: World) -> None:
    def violated(seen: Seen) -> Truth:
        one, other = _views(seen, theirs)
        best, top = max(one.f), max(other.f)
        if one.f.count(best) > 1:
            return Truth(False)
        c = one.f.index(best)
        return Truth(not (other.f[c] == top and other.f.count(top) == 1))

    def signs(seen: Seen) -> list[Fraction]:
        return [u - v for s in _views(seen, theirs) for i, u in enumerate(s.f) for v in s.f[:i]]

    asked.violated = violated
    look(asked.battery, signs)
