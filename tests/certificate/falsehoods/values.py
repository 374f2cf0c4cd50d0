"""Claims that are false by value: another threshold, weight, region, class or count, or a sign.

Each change is made to a proved claim; a point that breaks what comes of it is found by exact
evaluation. A witness is false where the point lies outside the region, or the claim holds there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from tests.certificate.falsehoods.claims import (
    BOUND,
    LEAF,
    Certificate,
    Kind,
    Vector,
    Version,
    witness,
)
from tests.certificate.falsehoods.nets import Net, Unclear, weight
from tests.certificate.falsehoods.random_claims import CONTRARY, Property, Random, base, seen

R = random.Random
Change = Callable[[R, Random], Random]
TINY = (Fraction(1, 2**40), Fraction(1, 2**20), Fraction(1, 64), Fraction(1, 4))
VALUED = {"component", "output", "distance", "mass"}
SIGN = {"at_least": -1, "above": -1, "at_most": 1, "below": 1}  # the side on which it holds


def mapped(p: Property, change: Callable[[Property], Property]) -> Property:
    """A property with every part of it changed that holds no others."""
    for key in ("all", "any"):
        if key in p:
            return {key: [mapped(q, change) for q in p[key]]}
    return {"not": mapped(p["not"], change)} if "not" in p else change(p)


def required(claim: Random, change: Callable[[Property], Property]) -> Random:
    return replace(claim, require=tuple(mapped(p, change) for p in claim.require))


# --- what is asked --------------------------------------------------------------------------


def threshold(g: R, claim: Random) -> Random:
    """A threshold a little beyond what some point attains."""
    inner, hints = any("not" in p for p in claim.require), list[Vector]()

    def moved(p: Property) -> Property:
        for key in SIGN.keys() & p.keys():
            values = seen(claim, p, g, 8) if p.keys() & VALUED else []
            if values:
                toward = -SIGN[key] if not inner else SIGN[key]
                edge, x = values[-1] if toward < 0 else values[0]
                hints.append(x)
                p = p | {key: edge + toward * g.choice(TINY)}
        return p

    new = required(claim, moved)
    return replace(new, hint=hints[-1]) if hints else claim


def side(g: R, claim: Random) -> Random:
    """At least for at most."""
    other = {"at_least": "at_most", "at_most": "at_least", "above": "below", "below": "above"}
    return required(claim, lambda p: {other.get(k, k): v for k, v in p.items()}
                    if p.keys() & VALUED else p)


def contrary(g: R, claim: Random) -> Random:
    return required(claim, lambda p: {CONTRARY.get(k, k): v for k, v in p.items()}
                    if p.keys() & VALUED else p)


def negated(g: R, claim: Random) -> Random:
    parts = list(claim.require)
    return replace(claim, require=({"not": parts[0] if len(parts) == 1 else {"all": parts}},))


def turned(g: R, claim: Random) -> Random:
    """A threshold with its sign turned."""
    return required(claim, lambda p: {k: -v if isinstance(v, Fraction) and "distance" not in p
                                      and "mass" not in p else v for k, v in p.items()})


def sense(g: R, claim: Random) -> Random:
    word = {"increasing": "decreasing", "decreasing": "increasing"}
    return required(claim, lambda p: p | {"monotone": word[p["monotone"]]}
                    if "monotone" in p else p)


def index(g: R, claim: Random) -> Random:
    """Another component, feature or set of features."""
    n = claim.net.size

    def other(p: Property) -> Property:
        p = {k: (v + g.randint(1, n - 1)) % n if k in ("component", "feature") else v
             for k, v in p.items()}
        return p | {"mass": sorted(set(range(n)) - set(p["mass"]))} if "mass" in p else p

    return required(claim, other)


def output(g: R, claim: Random) -> Random:
    """Another output, asked about or explained."""
    n = claim.net.outputs
    forms = [f"logit:{j}" for j in range(n)] + ["sum", f"margin:1,{g.choice([0, n - 1])}"]
    form = g.choice([f for f in forms if f != "margin:1,1"])
    asked = required(claim, lambda p: p | {"output": form} if "output" in p else p)
    return asked if asked != claim and g.random() < 0.6 else replace(claim, output=form)


def class_(g: R, claim: Random) -> Random:
    n = claim.net.outputs
    return required(claim, lambda p: p | {"class": g.randrange(n)} if "class" in p else p)


def counts(g: R, claim: Random) -> Random:
    """More of the largest, more signs, a closer cosine."""
    n = claim.net.size

    def more(p: Property) -> Property:
        if "top_k" in p:
            k = g.randint(1, n - 1)
            return {"top_k": k, "overlap_at_least": g.randint(max(1, k - 1), k)}
        if "sign" in p:
            return {"sign": "unchanged"}
        if "similarity" in p:
            return p | {"at_least": 1 - (1 - p["at_least"]) * g.choice(TINY)}
        return p

    return required(claim, more)


def order(g: R, claim: Random) -> Random:
    n = claim.net.size
    return required(claim, lambda p: {"order": g.sample(range(n), g.randint(2, n))}
                    if p.keys() & {"order", "top_k", "sign"} else p)


def norm(g: R, claim: Random) -> Random:
    """A smaller norm's threshold for a larger norm, or one in other units."""
    return required(claim, lambda p: p | g.choice(({"distance": "l1"}, {"relative": True}))
                    if "distance" in p else p)


def all_for_any(g: R, claim: Random) -> Random:
    return replace(claim, require=tuple({"all": p["any"]} if "any" in p else p
                                        for p in claim.require))


def added(g: R, claim: Random) -> Random:
    """A further requirement that does not hold."""
    j = g.randrange(claim.net.outputs)
    p: Property = {"output": f"logit:{j}"}
    values = seen(claim, p, g, 8)
    extra = p | {"at_most": values[-1][0] - g.choice(TINY) if values else Fraction(0)}
    return replace(claim, require=tuple(g.sample([*claim.require, extra], len(claim.require) + 1)),
                   hint=values[-1][1] if values else None)


def assume(g: R, claim: Random) -> Random:
    """An assumption left out, or turned round."""
    if not claim.assume:
        return claim
    return replace(claim, assume=()) if g.random() < 0.5 else replace(claim, assume=tuple(
        {CONTRARY.get(k, k): v for k, v in p.items()} for p in claim.assume))


# --- about what -----------------------------------------------------------------------------


def weights(g: R, claim: Random) -> Random:
    """A weight turned, doubled, drawn again, or 0; or a bias."""
    layers, at = list(claim.net.layers), g.randrange(len(claim.net.layers))
    layer = layers[at]
    row = g.randrange(len(layer.rows))
    if g.random() < 0.2:
        bias = tuple(v + weight(g) if k == row else v for k, v in enumerate(layer.bias))
        layers[at] = replace(layer, bias=bias)
    else:
        column = g.randrange(len(layer.rows[row]))
        old = layer.rows[row][column]
        new = g.choice((-old, 2 * old, weight(g), Fraction(0), -8 * old))
        rows = [list(r) for r in layer.rows]
        rows[row][column] = new
        layers[at] = replace(layer, rows=tuple(map(tuple, rows)))
    return replace(claim, net=Net(tuple(layers)))


def rows(g: R, claim: Random) -> Random:
    """Two units, two outputs or two inputs exchanged."""
    layers, at = list(claim.net.layers), g.randrange(len(claim.net.layers))
    layer = layers[at]
    if g.random() < 0.5 or len(layer.rows) < 2:
        i, j = g.sample(range(len(layer.rows[0])), 2)
        swapped = [_swapped(r, i, j) for r in layer.rows]
        layers[at] = replace(layer, rows=tuple(swapped))
    else:
        i, j = g.sample(range(len(layer.rows)), 2)
        layers[at] = replace(layer, rows=_swapped(layer.rows, i, j))
    return replace(claim, net=Net(tuple(layers)))


def _swapped(values: tuple[Any, ...], i: int, j: int) -> tuple[Any, ...]:
    out = list(values)
    out[i], out[j] = out[j], out[i]
    return tuple(out)


def activation(g: R, claim: Random) -> Random:
    layers = list(claim.net.layers)
    at = g.randrange(len(layers) - 1)
    layers[at] = replace(layers[at], act=g.choice(("relu", "leaky", "abs")),
                         residual=g.random() < 0.3)
    return replace(claim, net=Net(tuple(layers)))


def radius(g: R, claim: Random) -> Random:
    region, by = claim.region, g.choice((2, 3, 8, Fraction(3, 2)))
    ball = region.ball and (region.ball[0], region.ball[1] * by)
    radii = tuple(r * by for r in region.radii)
    return replace(claim, region=replace(region, radii=radii, ball=ball))


def freed(g: R, claim: Random) -> Random:
    """What holds the region back is left out: frozen features, a constraint, a ball, integers."""
    region = claim.region
    most = max(region.radii)
    kept = replace(region, cut=None, ball=None, radii=(most,) * len(region.radii))
    return replace(claim, region=replace(kept, whole=() if g.random() < 0.5 else kept.whole))


def centre(g: R, claim: Random) -> Random:
    region = claim.region
    step = [Fraction(g.randint(-64, 64), 64) for _ in region.x0]
    x0 = tuple(v if i in region.whole else v + s for i, (v, s) in enumerate(zip(region.x0, step)))
    return replace(claim, region=replace(region, x0=x0))


def explained(g: R, claim: Random) -> Random:
    """Another attribution, or another reduction."""
    if g.random() < 0.5:
        return replace(claim, times_input=not claim.times_input)
    return replace(claim, absolute=not claim.absolute)


CHANGES: dict[str, Change] = {
    "threshold": threshold, "side": side, "contrary": contrary, "negation": negated,
    "sign of a threshold": turned, "sense": sense, "component": index, "output": output,
    "class": class_, "count": counts, "order": order, "norm": norm, "all for any": all_for_any,
    "requirement added": added, "assumption": assume, "weight": weights, "rows exchanged": rows,
    "activation": activation, "radius": radius, "region freed": freed, "reference": centre,
    "attribution": explained,
}


def changed(change: Change, bases: Sequence[int]) -> Callable[[R], Version | None]:
    def draw(g: R) -> Version | None:
        old = base(g.choice(bases))
        try:
            new = change(g, old.claim)
            x = new.violation(g) if new != old.claim else None
        except Unclear:
            return None
        if x is None:
            return None
        cases = (old.certificate, g.choice((LEAF, BOUND, Certificate(old.certificate.lines))))
        return Version(new.files(), cases, f"broken at {[str(v) for v in x]}", old.claim.files())

    return draw


def witnesses(bases: Sequence[int]) -> Callable[[R], Version | None]:
    """A point that breaks no claim: outside the region, or where all holds."""

    def draw(g: R) -> Version | None:
        claim = base(g.choice(bases)).claim
        if g.random() < 0.5:
            claim = negated(g, claim)
        x = _no_witness(g, claim)
        return None if x is None else Version(claim.files(), (witness(x),), "no counterexample")

    return draw


def _no_witness(g: R, claim: Random) -> Vector | None:
    try:
        ref = claim.reference()
        for x in claim.region.points(g, 8):
            if g.random() < 0.4:
                far = tuple(v + g.choice((0, 1, -1)) * g.choice(TINY) for v in x)
                if not claim.region.holds(far):
                    return far
            elif not claim.broken(x, ref):
                return x
    except Unclear:
        pass
    return None


def kinds(bases: Sequence[int]) -> tuple[Kind, ...]:
    """All changes, of these proved claims (see `random_claims.base`)."""
    return (*(Kind("value", name, changed(change, bases)) for name, change in CHANGES.items()),
            Kind("value", "witness", witnesses(bases)))
