"""Questions about specs: a network, a spec in TOML, and what an exact evaluation says of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod
from typing import Any

from tests.soundness.independent.architectures import Architect, draw_inputs, second
from tests.soundness.independent.claims import Claim, Output, Truth
from tests.soundness.independent.drafts import Drafter, Functional, draw_functional, expression
from tests.soundness.independent.explained import Component
from tests.soundness.independent.network import Network
from tests.soundness.independent.points import Battery, Measure
from tests.soundness.independent.program import Point
from tests.soundness.independent.references import make_reference, speller
from tests.soundness.independent.regions import RegionMaker
from tests.soundness.independent.shares import draw
from tests.soundness.independent.world import Explain, Numbers, Seen, World


@dataclass
class Question:
    """What is asked, of which files, and how a sight is judged.

    `violated` says whether a sight is a counterexample, and whether that rests on something that
    is not defined. `values` are the numbers whose ranges are asked for, by the label that the
    answer gives them. `refused` says why the question must be refused, if it must be. `names` are
    the inputs as the answer calls them, where their order may differ from ours, `places` tensors
    and flat positions of such names. `slack` is what a claim of a single bound has to spare;
    `claims` are the properties of a spec with all that they are made of.
    """

    form: str
    kind: str
    entry: str
    files: dict[str, bytes]
    arguments: dict[str, Any]
    battery: Battery
    violated: Callable[[Seen], Truth] | None = None
    values: list[Measure] = field(default_factory=list)
    allowed: Callable[[Seen], Truth] = lambda seen: Truth(True)
    refused: str | None = None
    near: bool = False
    names: tuple[str, ...] = ()
    places: dict[str, tuple[str, int]] = field(default_factory=dict)
    slack: Measure | None = None
    claims: list[Claim] = field(default_factory=list)


@dataclass
class Scene:
    """Everything of a question but the claim."""

    rng: random.Random
    inputs: Any
    seed: str
    net: Network
    world: World
    battery: Battery
    drafter: Drafter
    lines: list[str]
    files: dict[str, bytes]
    kink: str
    explained: list[str]

    def spec(self, requires: list[Claim], assumes: list[Claim], explain: bool = True) -> bytes:
        lines = ["verifex = 1", f'kink = "{self.kink}"' if self.kink != "error" else "",
                 *self.lines, *(self.explained if explain else [])]
        for key, claims in (("assume", assumes), ("require", requires)):
            for claim in claims:
                lines += [f"[[{key}]]", *_table(claim)]
        return ("\n".join(line for line in lines if line) + "\n").encode()


def _table(claim: Claim) -> list[str]:
    """A property as a table of its own: the commas of an inline table that part keys go."""
    return [part.strip() for part in split_keys(claim.inner())]


def split_keys(inline: str) -> list[str]:
    """The keys of an inline table, parted at its outer commas."""
    out, depth, quoted, start = [], 0, False, 0
    for k, c in enumerate(inline):
        if c == '"':
            quoted = not quoted
        elif not quoted:
            depth += (c in "[{") - (c in "]}")
            if c == "," and depth == 0:
                out.append(inline[start:k])
                start = k + 1
    return [*out, inline[start:]]


def make_scene(rng: random.Random, seed: str) -> Scene:
    """A network, a reference, a region and an explanation."""
    inputs, cut = draw_inputs(rng), draw(rng, "cut")
    size = sum(prod(shape) for _, shape in inputs)
    reference = make_reference(rng, inputs, cut == "one_hot" and size > 1)
    x0 = reference.x0
    net = Architect(seed, inputs, x0).network()
    spell = speller(rng, inputs, reference.names)
    maker = RegionMaker(rng, x0, spell, cut)
    region = maker.make()
    kink = draw(rng, "kinks")
    world, explained, components = _explain(rng, net, x0, inputs, kink == "zero")
    world.settle(rng)
    battery = Battery(world, region, rng)
    battery.fill()
    # Sums over channels have names of their own.
    drafter = Drafter(rng, world, battery, spell if world.explain.shape is None else str,
                      components)
    lines = ["[input]", *reference.lines, "[region]", *maker.lines]
    files = {name: text.encode() for name, text in reference.files.items()}
    return Scene(rng, inputs, seed, net, world, battery, drafter, lines, files,
                 "zero" if world.zero else "error", explained)


def _explain(rng: random.Random, net: Network, x0: Point, inputs: Any, zero: bool
             ) -> tuple[World, list[str], int]:
    """The world, the lines of `[explain]`, and how many components there are."""
    size, lines = len(x0), ["[explain]"]
    outputs = tuple(e for t in net.outputs for e in t.elements)
    state = net.program.at(x0)
    f0: Numbers = tuple(state.value(e) for e in outputs)
    chosen: Functional = draw_functional(rng, f0)
    attribution, reduce = draw(rng, "attribution"), draw(rng, "reduce")
    shape = None
    image: tuple[int, ...] = inputs[0][1] if len(inputs) == 1 else ()
    if len(image) == 4:
        word = draw(rng, "channels")
        if word != "plain":
            reduce, shape = word, (image[1], size // image[1])
    spelled = rng.choice(("input_x_gradient", "input*gradient")) if (
        attribution == "input_x_gradient") else "gradient"
    lines += [f'attribution = "{spelled}"', f"output = {chosen.spelled}", f'reduce = "{reduce}"']
    count = size if shape is None else shape[1]
    picked = tuple(range(count))
    if draw(rng, "features") == "some" and count > 1:
        picked = tuple(sorted(rng.sample(picked, rng.randint(1, count - 1))))
        lines.append(f"features = {list(picked)}")
    explain = Explain(attribution, chosen.weights, reduce, picked, shape)
    world = World.of(net, x0, explain, zero)
    world.ill = chosen.ill
    return world, lines, count


def spec_question(rng: random.Random, seed: str) -> Question:
    """A claim of the spec language."""
    scene = make_scene(rng, seed)
    drafter, battery, world = scene.drafter, scene.battery, scene.world
    assumes = drafter.assumptions()

    def allowed(seen: Seen) -> Truth:
        found = [c.truth(seen, assumed=True) for c in assumes]
        return Truth(all(t.holds for t in found), any(t.undefined for t in found))

    drafter.thresholds.allowed = lambda seen: allowed(seen).holds
    requires = [drafter.claim() for _ in range(rng.choice((1, 1, 1, 1, 2)))]

    def violated(seen: Seen) -> Truth:
        assumed, found = allowed(seen), [c.truth(seen) for c in requires]
        undefined = assumed.undefined or any(t.undefined for t in found)
        return Truth(assumed.holds and not all(t.holds for t in found), undefined)

    everything = [*requires, *assumes]

    def signs(seen: Seen) -> list[Fraction]:
        return [*raw(seen), *(v for c in everything for v in c.numbers(seen))]

    look(battery, signs)
    refused = world.ill or next((r for c in everything if (r := c.refused(world))), None)
    files = {**scene.files, "net.onnx": scene.net.model(), "spec.toml": scene.spec(requires,
                                                                                   assumes)}
    return Question("toml", requires[0].kind, draw(rng, "entry"), files,
                    {"spec": "spec.toml", "model": "net.onnx"}, battery, violated,
                    refused=refused, near=drafter.thresholds.near,
                    slack=None if assumes or len(requires) > 1 else _slack(requires[0]),
                    claims=[p for c in everything for p in c.parts()])


def _slack(claim: Claim) -> Measure | None:
    """How far the value of a claim of one number and one bound is on the bound's good side."""
    if not isinstance(claim, Output | Component) or len(claim.bounds) > 1:
        return None
    if isinstance(claim, Component) and len(claim.picked) > 1:
        return None
    sign = 1 if set(claim.bounds) & {"at_least", "above"} else -1
    return lambda seen: sign * claim.numbers(seen)[0]


def raw(seen: Seen) -> list[Fraction]:
    """The attribution before its reduction: whose signs decide where absolute values bend."""
    explain = seen.world.explain
    plain = Explain(explain.attribution, explain.weights, "signed", explain.chosen)
    found = list(plain.components(seen))
    if explain.shape is not None:
        summed = Explain(explain.attribution, explain.weights, "channel_sum", explain.chosen,
                         explain.shape)
        found += summed.components(seen)
    return found


def look(battery: Battery, signs: Callable[[Seen], list[Fraction]]) -> None:
    """Decide a line completely; else walk towards where some of the numbers change their signs."""
    battery.complete(signs)
    if battery.whole or not battery.sights:
        return
    for _ in range(2):
        count = len(signs(battery.sights[0]))
        k, sign = battery.rng.randrange(count), battery.rng.choice((-1, 1))
        battery.ascend(lambda s, k=k, sign=sign: sign * signs(s)[k], 1)  # type: ignore[misc]


def bound_question(rng: random.Random, seed: str) -> Question:
    """The range of an expression."""
    scene = make_scene(rng, seed)
    drafter, battery = scene.drafter, scene.battery
    assumes = drafter.assumptions() if rng.random() < 0.5 else []
    kind = draw(rng, "expression")
    text, measure, refused = expression(drafter, kind)

    def allowed(seen: Seen) -> Truth:
        found = [c.truth(seen, assumed=True) for c in assumes]
        return Truth(all(t.holds for t in found), any(t.undefined for t in found))

    def signs(seen: Seen) -> list[Fraction]:
        value = measure(seen)
        return [*raw(seen), *([] if value is None else [value]), *seen.a,
                *(u - v for u, v in zip(seen.a, drafter.world.a0, strict=True)),
                *(v for c in assumes for v in c.numbers(seen))]

    look(battery, signs)
    battery.ascend(measure)
    battery.ascend(lambda s: None if (v := measure(s)) is None else -v)
    refused = drafter.world.ill or refused or next(
        (r for c in assumes if (r := c.refused(drafter.world))), None)
    files = {**scene.files, "net.onnx": scene.net.model(), "spec.toml": scene.spec([], assumes)}
    return Question("bound", f"bound {kind}", draw(rng, "entry"), files,
                    {"spec": "spec.toml", "model": "net.onnx", "expression": text}, battery,
                    values=[measure], allowed=allowed, refused=refused)


__all__ = ["Architect", "Question", "Scene", "bound_question", "look", "make_scene", "raw",
           "second", "spec_question"]
