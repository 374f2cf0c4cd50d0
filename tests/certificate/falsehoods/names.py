"""Names that look alike, or like something else: each means what is written, and nothing else.

One feature moves the output, the other does not. A text names one of them; a reader who takes the
other's name for it proves, or refutes, another claim.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from tests.certificate.falsehoods.claims import (
    BOUND,
    LEAF,
    Certificate,
    Draw,
    Files,
    Kind,
    Limit,
    Version,
    decimal,
    toml,
    witness,
)
from tests.certificate.falsehoods.cores import Core, chain, of_networks, weights
from tests.certificate.falsehoods.nets import Layer, Net, net, weight, written
from tests.certificate.falsehoods.readings import Scene, about, point, spec

R = random.Random
ALIKE = (
    ("\ufb01", "fi"), ("\u00e9", "e\u0301"), ("\u212a", "K"), ("\u212b", "\u00c5"),
    ("\ufb00", "ff"), ("\U0001d431", "x"), ("\uff41", "a"), ("\u0430", "a"), ("A", "a"),
    ("\u017f", "s"), ("\u00ba", "o"), ("\u03d0", "\u03b2"), ("\u0132", "IJ"),
    ("\u1e9e", "\u00df"), ("\u0130", "i"), ("\u01c4", "D\u017d"), ("\u2126", "\u03a9"),
    ("\u1d62", "i"),
)
SPACED = (("a ", "a"), (" a", "a"), ("a\u00a0", "a"), ("a\u200b", "a"), ("a\t", "a"))
TENSORS = tuple(p for p in (*ALIKE, *SPACED) if "x" not in p)  # the network's input is x
LIKE_PLACES = (("x[{j}]", "b"), ("x[0, {j}]", "b"), ("{j}", "b"), ("x[{j}]", "x[{i}]"))
LIKE_PATTERNS = (("a*", "ab"), ("a?", "ab"), ("*", "b"), ("a[b]", "ab"))
ESCAPES = (("a", "\\u0061"), ("\\u0061", "a"), ("a\"b", "a\\\"b"))


def text(rng: R, name: str) -> str:
    """A name as a TOML string of some kind; all of them say the same."""
    if "\\" in name:
        return f"'{name}'"
    escaped = "".join(f"\\U{ord(c):08x}" if not c.isalnum() or rng.random() < 0.3 else c
                      for c in name)
    return f'"{escaped}"'


@dataclass(frozen=True)
class Pair:
    """Two features and their names: `mine` is what the text means, `other` what is taken for it."""

    rng: R
    mine: int
    other: int
    names: tuple[str, str]  # by position

    def name(self, i: int) -> str:
        return text(self.rng, self.names[i])

    def table(self, values: tuple[str, str]) -> str:
        """A table by name."""
        return "{ " + ", ".join(f"{self.name(i)} = {values[i]}" for i in (0, 1)) + " }"

    def by(self, mine: str, other: str) -> tuple[str, str]:
        return (mine, other) if self.mine == 0 else (other, mine)


def one_way(rng: R, moves: int) -> Net:
    """A network of two inputs of which one alone matters."""
    drawn = net(rng, 2, 2, [rng.randint(1, 3)] * rng.randint(0, 1))
    first = drawn.layers[0]
    rows = tuple(tuple(v * (i == moves) for i, v in enumerate(row)) for row in first.rows)
    return Net((replace(first, rows=rows), *drawn.layers[1:]))


def in_linear(p: Pair) -> str:
    """A name as a constraint writes it."""
    name = p.names[p.other]
    plain = name.isidentifier() and p.rng.random() < 0.8
    return name if plain else f'x["{name}"]'


# --- regions in which only `mine` moves -------------------------------------------------------


def by_radius(p: Pair) -> str:
    return f"linf = {{ {p.name(p.mine)} = 1 }}"


def by_radii(p: Pair) -> str:
    return f"linf = {p.table(p.by('1', '0'))}"


def by_freeze(p: Pair) -> str:
    return f"linf = 1\nfreeze = [{p.name(p.other)}]"


def by_only(p: Pair) -> str:
    return f"linf = 1\nonly = [{p.name(p.mine)}]"


def by_box(p: Pair) -> str:
    lo, hi = (p.table(p.by(v, "0")) for v in ("-1", "1"))
    return f"box = {{ lo = {lo}, hi = {hi} }}"


def by_clip(p: Pair) -> str:
    zero = f"{{ {p.name(p.other)} = 0 }}"
    return f"linf = 1\nclip = {{ lo = {zero}, hi = {zero} }}"


def by_constraint(p: Pair) -> str:
    if '"' in p.names[p.other] or "\\" in p.names[p.other] or "\t" in p.names[p.other]:
        return by_only(p)
    return f"linf = 1\nlinear = ['0 == {in_linear(p)}']"


USES: dict[str, Callable[[Pair], str]] = {
    "linf": by_radius, "radii": by_radii, "freeze": by_freeze, "only": by_only, "box": by_box,
    "clip": by_clip, "linear": by_constraint,
}


def filled(rng: R, group: tuple[tuple[str, str], ...], mine: int) -> tuple[str, str]:
    """The two names by position."""
    named = rng.choice(group)
    if group in (ALIKE, SPACED) and rng.random() < 0.5:
        named = named[::-1]
    first, second = (n.format(i=mine, j=1 - mine) for n in named)
    return (first, second) if mine == 0 else (second, first)


def slab(i: int) -> Certificate:
    """A proof for a region that a constraint `0 == x[i]` cuts: all but a slab has no point."""
    return Certificate((
        {"input": [i, "1/256"]}, {"bound": -1, "rows": [[1, 1, 0]]}, {"leaf": 1},
        {"input": [i, "-1/256"]}, {"leaf": 1}, {"bound": -1, "rows": [[0, 1, 0]]}, {"leaf": 1}))


def region(group: tuple[tuple[str, str], ...], use: Callable[[Pair], str]) -> Draw:
    def draw(rng: R) -> Version | None:
        mine, refuted = rng.randrange(2), rng.random() < 0.35
        p = Pair(rng, mine, 1 - mine, filled(rng, group, mine))
        moves = p.other if refuted else p.mine
        of, zero = one_way(rng, moves), Fraction(0)
        x = tuple(Fraction(rng.choice((-1, 1))) * (i == moves) for i in range(2))
        values = of.values(x), of.values((zero, zero))
        j = max(range(2), key=lambda j: abs(values[0][j] - values[1][j]))
        far, near = values[0][j], values[1][j]
        if abs(far - near) < Fraction(1, 4):
            return None
        limit = Limit(j, far > near, Fraction(round((far + near) * 32), 64))
        names = ", ".join(p.name(i) for i in range(2))
        head, free = "verifex = 1\n[input]\npoint = [0, 0]\n", ("[0, 1]", "[1, 0]")[p.mine]
        body = f"{head}names = [{names}]\n[region]\n{use(p)}\n{limit.toml()}"
        twin = f"{head}[region]\nlinf = {free}\n{limit.toml()}".encode()
        cases = (witness(x),) if refuted else (LEAF, slab(mine) if use is by_constraint else BOUND)
        told = f"{float(far):.6g} is in reach of one feature alone, beside {float(near):.6g}"
        return Version(Files(of.onnx(), body.encode()), cases, told, Files(of.onnx(), twin))

    return draw


# --- components -----------------------------------------------------------------------------


def component(group: tuple[tuple[str, str], ...], key: str) -> Draw:
    """Claims about a part of the gradient, of which one is 0."""

    def draw(rng: R) -> Version | None:
        mine = rng.randrange(2)
        p = Pair(rng, mine, 1 - mine, filled(rng, group, mine))
        big, small = weight(rng) * 2, Fraction(rng.randint(-2, 2), 16)
        row = (big, small) if mine == 0 else (small, big)
        of = Net((Layer((row, row), (Fraction(0),) * 2),))
        if abs(big) < 1:
            return None
        most, up = decimal(abs(big) / 2), 1 if big > 0 else -1
        claims = {
            "component": (f'component = {p.name(mine)}\nat_most = {most}' if big > 0 else
                          f'component = {p.name(mine)}\nat_least = -{most}'),
            "mass": f"mass = [{p.name(mine)}]\nat_most = 0.5",
            "order": f"order = [{', '.join(p.name(i) for i in (p.other, mine)[:: up])}]",
        }
        names = ", ".join(p.name(i) for i in range(2))
        head = "verifex = 1\n[input]\npoint = [0, 0]\n"
        tail = '[region]\nlinf = 1\n[explain]\noutput = "logit:0"\n[[require]]\n'
        body = f"{head}names = [{names}]\n{tail}{claims[key]}\n"
        plain = claims[key]
        twin = f"{head}{tail}{_by_place(key, p, plain, big)}\n"
        told = f"A is {[str(v) for v in row]}"
        return Version(Files(of.onnx(), body.encode()), (LEAF, BOUND), told,
                       Files(of.onnx(), twin.encode()))

    return draw


def _by_place(key: str, p: Pair, claim: str, big: Fraction) -> str:
    """The claim about the other feature, by its position."""
    rest = claim.partition("\n")[2]
    if key == "order":
        pair = [p.mine, p.other] if big > 0 else [p.other, p.mine]
        return f"order = {pair}"
    return f"{key} = {p.other if key == 'component' else [p.other]}\n{rest}"


# --- tensors --------------------------------------------------------------------------------


def network_output(rng: R) -> Version | None:
    """Two outputs whose names look alike."""
    mine, other = filled(rng, ALIKE, 0)
    first, second = (net(rng, 2, 1, [2]) for _ in range(2))
    x = point(rng, 2)
    a, b = first.values(x)[0], second.values(x)[0]
    if abs(a - b) < Fraction(1, 2):
        return None
    limit = Limit(0, a > b, Fraction(round((a + b) * 32), 64))
    order = rng.choice((1, -1))
    network = written([first, second][::order], [mine, other][::order])
    files = [toml(x, Fraction(1, 512), limit, f"network_output = {text(rng, n)}\n")
             for n in (mine, other)]
    false, twin = (replace(f, network=network) for f in files)
    return Version(false, (LEAF, BOUND), f"{float(a):.6g}, not {float(b):.6g}", twin)


def inputs(s: Scene) -> Files:
    """A point by the names of two inputs, in whatever order."""
    names = list(filled(s.rng, ALIKE, 0))
    parts = [f"{text(s.rng, n)} = [{decimal(v)}]" for n, v in zip(names, s.right)]
    s.rng.shuffle(parts)
    files = Files(b"", spec(s, f"point = {{ {', '.join(parts)} }}"))
    return replace(files, network=written([s.net], ("y",), names, (1, 1)))


def swapped(rng: R, size: int) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    a = point(rng, size)
    return a, a[::-1]


def columns(s: Scene) -> Files:
    """Columns whose names look alike: the target is the one that is written."""
    names, (p, q), u = filled(s.rng, ALIKE, 0), s.right, s.wrong
    at = s.rng.randrange(2)
    head = [names[at], names[1 - at], "b"]
    # The column named names[0] is the label's.
    first, second = (u[0], p) if at == 0 else (p, u[0])
    data = f"{','.join(head)}\n{decimal(first)},{decimal(second)},{decimal(q)}\n"
    return Files(b"", spec(s, f'data = "d.csv"\nrow = 0\ntarget = {text(s.rng, names[0])}'),
                 {"d.csv": data.encode()})


def with_first(rng: R, size: int) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    (a, b), (c, _) = point(rng, size), point(rng, size)
    return (a, b), (c, b)


def initializers(g: R) -> tuple[Core, Core]:
    mine, other = filled(g, TENSORS, 0)
    stored = {mine: weights(g, 1, 3), other: weights(g, 1, 3)}
    kind = g.choice(("Add", "Mul"))
    first, second = (chain((1, 3), (kind, f"h,{n}", "c", {}), **stored) for n in (mine, other))
    return first, second


def intermediate(g: R) -> tuple[Core, Core]:
    mine, other = filled(g, TENSORS, 0)
    w = weights(g, 1, 3)
    pair = [chain((1, 3), ("Relu", "h", mine, {}), ("Neg", "h", other, {}),
                  ("Add", f"{n},w", "c", {}), w=w) for n in (mine, other)]
    return pair[0], pair[1]


def shadowed(g: R) -> tuple[Core, Core]:
    """An initializer with the name of an input of the graph is that input's default."""
    a, b = weights(g, 1, 3), weights(g, 1, 3)
    first, second = (chain((1, 3), ("Add", "h,w", "c", {}), w=v) for v in (a, b))
    return replace(first, edit=_declared), second


def _declared(data: bytes) -> bytes:
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load_from_string(data)
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [1, 3]))
    return bytes(model.SerializeToString())


_GROUPS = {"alike": ALIKE, "spaced": SPACED, "like places": LIKE_PLACES,
           "like patterns": LIKE_PATTERNS, "escaped": ESCAPES}
KINDS = (
    *(Kind("name", f"{key}: {name}", region(group, use))
      for name, group in _GROUPS.items() for key, use in USES.items()
      if name in ("alike", "spaced") or key in ("radii", "freeze", "linear")),
    *(Kind("name", f"{key}: {name}", component(group, key))
      for name, group in _GROUPS.items() for key in ("component", "mass", "order")
      if name == "alike" or key == "component"),
    Kind("name", "network_output", network_output),
    Kind("name", "inputs", about(inputs, 2, swapped)),
    Kind("name", "columns", about(columns, 2, with_first)),
    Kind("name", "initializers", of_networks(initializers)),
    Kind("name", "tensors", of_networks(intermediate)),
    Kind("name", "defaults of inputs", of_networks(shadowed, swap=False)),
)
