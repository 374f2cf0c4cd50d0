"""VNN-LIB 1.0 texts: declarations, comments, symbols, operators, numbers, disjunctions.

A query asks for a point of its region at which the limit fails: `right` has one (or has none).
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction

from tests.certificate.falsehoods.claims import (
    Files,
    Kind,
    Limit,
    Vector,
    Version,
    decimal,
    query,
    witness,
)
from tests.certificate.falsehoods.nets import net, written
from tests.certificate.falsehoods.readings import Scene, about, point, scene, version

R = random.Random
Number = Callable[[Fraction], str]
NAME = "query.vnnlib"


def declared(inputs: int, outputs: int) -> list[str]:
    names = [f"X_{i}" for i in range(inputs)] + [f"Y_{j}" for j in range(outputs)]
    return [f"(declare-const {n} Real)" for n in names]


def bounds(x: Vector, radius: Fraction, number: Number = decimal) -> list[str]:
    return [f"(assert ({c} X_{i} {number(v + s * radius)}))" for i, v in enumerate(x)
            for c, s in ((">=", -1), ("<=", 1))]


def files(lines: Iterable[str], end: str = "\n") -> Files:
    return Files(b"", (end.join([*lines]) + end).encode(), name=NAME)


def plain(s: Scene) -> list[str]:
    return bounds(s.right, s.radius)


def swapped(rng: R, size: int) -> tuple[Vector, Vector]:
    a = point(rng, size)
    return a, a[::-1]


def order(s: Scene) -> Files:
    """A variable's number says which input it is, not the order of declarations or assertions."""
    head, body = declared(2, 2), [*plain(s), s.limit.broken()]
    s.rng.shuffle(head)
    s.rng.shuffle(body)
    return files([*head, *body])


def functions(s: Scene) -> Files:
    head = [d.replace("-const", "-fun").replace(" Real", " () Real") for d in declared(2, 2)]
    return files([*head[::-1], *plain(s), s.limit.broken()])


def comments(s: Scene) -> Files:
    """What a comment holds is not asserted."""
    false = "(assert (and (>= Y_0 1000000) (<= Y_0 -1000000)))"
    end = s.rng.choice(("\n", "\r\n"))
    starts = ("; ", ";", "; ) ( ", "; | ", ';" ')
    inside = s.rng.choice(starts) + false
    body = plain(s)
    body.insert(s.rng.randrange(len(body)), inside)
    return files([*declared(2, 2), *body, f"{s.limit.broken()}; {false}"], end)


def not_the_end(s: Scene) -> Files:
    """Line feeds and carriage returns end comments; what else splits lines does not."""
    false = "(assert (and (>= Y_0 1000000) (<= Y_0 -1000000)))"
    mark = s.rng.choice(("\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"))
    return files([*declared(2, 2), f"; c{mark}{false}", *plain(s), s.limit.broken()])


def cr_disjunct(s: Scene) -> Files:
    """A disjunct behind a comment that a carriage return ends."""
    side, sign = (">=", "") if s.limit.most else ("<=", "-")
    far = f"({side} Y_{s.limit.output} {sign}1000000)"
    here = s.limit.broken().removeprefix("(assert ").removesuffix(")")
    return files([*declared(2, 2), *plain(s), f"(assert (or {far} ; c\r{here}", "))"])


def cr_assertion(rng: R) -> Version | None:
    """An assertion behind such a comment: no point is asked for that has none of it."""
    of, x = net(rng, 2, 2, [rng.randint(1, 3)] * rng.randint(0, 1)), point(rng, 2)
    y = of.values(x)[0]
    limit = Limit(0, True, Fraction(round((y - 1) * 64), 64))
    comment = rng.choice(("; c", ";", "; (c", ";; c |"))
    lines = [*declared(2, 2), *bounds(x, Fraction(0)),
             f"{comment}\r(assert (>= Y_0 {decimal(limit.bound + 1000)}))", limit.broken()]
    twin = replace(query(x, Fraction(0), limit, 2), network=of.onnx())
    return Version(replace(files(lines), network=of.onnx()), (witness(x),),
                   f"Y_0 is {float(y):.6g} and not as large as asserted", twin)


def either(s: Scene) -> Files:
    """All disjuncts count, nested as they are."""
    here = s.limit.broken().removeprefix("(assert ").removesuffix(")")
    far = [f"(>= Y_{j} 1000000)" for j in range(2)]
    parts = [far[0], here, far[1]]
    s.rng.shuffle(parts)
    text = s.rng.choice((f"(or {' '.join(parts)})", f"(or (and {here} {here}) {far[0]})",
                         f"(or {far[0]} (or {far[1]} {here}))", f"(or (and {far[0]}) (and {here}))",
                         f"(or {here} (and {here} {far[1]}))"))
    return files([*declared(2, 2), *plain(s), f"(assert {text})"])


def regions(s: Scene) -> Files:
    """A box in each disjunct: the one around `right` is asked about too."""
    here = s.limit.broken().removeprefix("(assert ").removesuffix(")")
    boxes = [" ".join(b.removeprefix("(assert ").removesuffix(")")
                      for b in bounds(x, s.radius)) for x in (s.wrong, s.right)]
    if s.radius == 0:  # a refutation by the point that is listed first would be right
        boxes = boxes[1:]
    s.rng.shuffle(boxes)
    parts = " ".join(f"(and {b} {here})" for b in boxes)
    return files([*declared(2, 2), f"(assert (or {parts}))"])


def arithmetic(s: Scene) -> Files:
    """Minus of one, two and three terms; products; sums."""
    def number(v: Fraction) -> str:
        size, minus = decimal(abs(v)), v < 0
        forms = [f"(* 0.5 {decimal(2 * v)})", *[f"(* -0.5 {decimal(-2 * v)})"] * 3,
                 f"(+ {decimal(v - 1)} 1)",
                 f"(- 1 {decimal(1 - v)})", f"(- 8 3 {decimal(5 - v)})", f"(- {decimal(-v)})",
                 f"(- (- {decimal(v)}))", f"(- {size})" if minus else size]
        return s.rng.choice(forms)

    return files([*declared(2, 2), *bounds(s.right, s.radius, number), s.limit.broken()])


def sides(s: Scene) -> Files:
    """`(<= a b)` and `(>= b a)`, with terms on either side."""
    j, bound = s.limit.output, s.limit.bound
    least, most = f"(+ Y_{j} (* 2 X_0))", f"(+ (* X_0 2) {decimal(bound)})"
    text = f"(<= {most} {least})" if s.limit.most else f"(<= {least} {most})"
    return files([*declared(2, 2), *plain(s), f"(assert {text})"])


def numbers(s: Scene) -> Files:
    def number(v: Fraction) -> str:
        text = decimal(v)
        return s.rng.choice((text, f"{text}e0", f"{text}000", text.replace("0.", "00.", 1)))

    return files([*declared(2, 2), *bounds(s.right, s.radius, number), s.limit.broken()])


def spaces(s: Scene) -> Files:
    lines = [*declared(2, 2), *plain(s), s.limit.broken()]
    gap = s.rng.choice(("\t", "\r\n", "\n ", "  ", " ; c\n"))
    return files([line.replace(" ", gap) for line in lines], s.rng.choice(("", "\n", "\r")))


def quoted(s: Scene) -> Files:
    """`|X_0|` is X_0, if it is read at all."""
    body = [line.replace("X_0", "|X_0|").replace("Y_0", "|Y_0|")
            if s.rng.random() < 0.7 else line for line in (*plain(s), s.limit.broken())]
    return files([*declared(2, 2), *body])


def unlike_python(s: Scene) -> Files:
    """Python's white space, quotients and underscores are no SMT-LIB: refused, or `right`."""
    text = s.limit.broken()
    odd = s.rng.choice(("\u00a0", "\u2003", "\x1f"))
    body = plain(s)
    body[0] = body[0].replace(" ", odd, 1)
    return files([*declared(2, 2), *body, text])


def outputs(rng: R) -> Version | None:
    """Outputs are numbered through: Y_2 is the first of the second tensor."""
    nets = [net(rng, 2, 2, [2]) for _ in range(2)]
    found = scene(rng, 2, of=nets[1])
    if found is None:
        return None
    s, refuted = found
    names = rng.choice((("a", "b"), ("b", "a"), ("z", "y")))
    moved = replace(s.limit, output=s.limit.output + 2)
    lines = [*declared(2, 4), *bounds(s.right, s.radius), moved.broken()]
    network = written(nets, names)
    return version(s, replace(files(lines), network=network), refuted)


def zipped(s: Scene) -> Files:
    data = files([*declared(2, 2), *plain(s), s.limit.broken()]).spec
    return Files(b"", gzip.compress(data, mtime=0), name="query.vnnlib.gz")


KINDS = (
    *(Kind("text", f"query: {name}", about(text, 2, points)) for name, text, points in (
        ("order", order, swapped), ("functions", functions, swapped), ("comments", comments, None),
        ("no end of a comment", not_the_end, None), ("disjunct behind CR", cr_disjunct, None),
        ("or", either, None), ("or of boxes", regions, None), ("arithmetic", arithmetic, None),
        ("sides", sides, None), ("numbers", numbers, None), ("spaces", spaces, None),
        ("quoted symbols", quoted, None), ("other white space", unlike_python, None),
        ("zipped", zipped, None),
    )),
    Kind("text", "query: assertion behind CR", cr_assertion),
    Kind("text", "query: outputs", outputs),
)
