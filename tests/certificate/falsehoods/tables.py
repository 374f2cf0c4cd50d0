"""TOML texts: types of values, ways to write them, what tables mean together; and texts of no
meaning, which a careless reader would take for a claim that holds.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from tests.certificate.falsehoods.claims import (
    BOUND,
    LEAF,
    Certificate,
    Files,
    Kind,
    Limit,
    Vector,
    Version,
    decimal,
    listed,
)
from tests.certificate.falsehoods.nets import Layer, Net, weight
from tests.certificate.falsehoods.readings import Scene, about, spec

R = random.Random
ONE, ZERO = Fraction(1), Fraction(0)


# --- ways to write the same -----------------------------------------------------------------


def number(rng: R, v: Fraction) -> str:
    text = decimal(v)
    forms = [text, f'"{text}"', f'"{v}"', f'" {text} "', f"{text}e0", f'"{text}E+0"', f"{text}000"]
    if v.denominator == 1:
        n = v.numerator
        forms += [str(n), f'"{n}/1"', f'"{3 * n}/3"']
        forms += [hex(n), oct(n), bin(n), f"+{n}", f"0x{n:_x}"] if n >= 0 else []
    return rng.choice(forms)


def numbers(s: Scene) -> Files:
    return Files(b"", spec(s, f"point = [{', '.join(number(s.rng, v) for v in s.right)}]"))


def wholes(rng: R, size: int) -> tuple[Vector, Vector]:
    """16 is 0x10, and 10 is none of 0b10, 0o10 and 0x10."""
    base = rng.choice((2, 8, 16))
    digits = rng.choice(("10", "11", "100"))
    return (Fraction(int(digits, base)), ONE), (Fraction(int(digits)), ONE)


def bases(s: Scene) -> Files:
    n = int(s.right[0])
    written = {2: "0b", 8: "0o", 16: "0x"}
    for base, prefix in written.items():
        for digits in ("10", "11", "100"):
            if int(digits, base) == n and int(digits) == s.wrong[0]:
                return Files(b"", spec(s, f"point = [{prefix}{digits}, 1]"))
    raise AssertionError(s.right)


def underscores(rng: R, size: int) -> tuple[Vector, Vector]:
    return (Fraction(10), ONE), (ONE, Fraction(0))


def underscored(s: Scene) -> Files:
    return Files(b"", spec(s, f"point = [{s.rng.choice(('1_0', '1_0.0', '1_0e0', '1.0e0_1'))}, 1]"))


def keys(s: Scene) -> Files:
    """Quoted and dotted keys, tables in any order."""
    rng, r = s.rng, listed(s.right)
    where = [f"[input]\npoint = {r}\n", f'["input"]\n"point" = {r}\n',
             f"['input']\n'point' = {r}\n", f'[ input ]\n"\\u0070oint" = {r} # {listed(s.wrong)}\n']
    radius = decimal(s.radius)
    region = [f"[region]\nlinf = {radius}\n", f'["region"]\n"linf" = {radius}\n']
    parts = [rng.choice(where), rng.choice(region), s.limit.toml()]
    rng.shuffle(parts)
    head = rng.choice(("verifex = 1\n", '"verifex" = 1\n',
                       f"# point = {listed(s.wrong)}\nverifex = 1\n"))
    text = head + "".join(parts)
    return Files(b"", (text.replace("\n", "\r\n") if rng.random() < 0.3 else text).encode())


def dotted(s: Scene) -> Files:
    head = f"verifex = 1\ninput.point = {listed(s.right)}\nregion.linf = {decimal(s.radius)}\n"
    return Files(b"", (head + s.limit.toml()).encode())


# --- what tables mean together --------------------------------------------------------------


def last_of_many(s: Scene) -> Files:
    """All of [[require]] must hold."""
    true = f'[[require]]\noutput = "logit:{s.limit.output}"\nat_most = 1000000\n'
    parts = [s.limit.toml(), true, true]
    s.rng.shuffle(parts)
    return Files(b"", spec(replace(s, limit=Always()), f"point = {listed(s.right)}")
                 + "".join(parts).encode())


class Always(Limit):
    """No text of its own."""

    def __init__(self) -> None:
        super().__init__(0, True, ZERO)

    def toml(self) -> str:
        return ""


def region_of(s: Scene, body: str) -> Files:
    head = f"verifex = 1\n[input]\npoint = {listed(s.wrong)}\n[region]\n"
    return Files(b"", f"{head}{body}\n{s.limit.toml()}".encode())


def box_beside(s: Scene) -> Files:
    """A box need not hold the reference."""
    lo, hi = (listed([v + k * s.radius for v in s.right]) for k in (-1, 1))
    return region_of(s, s.rng.choice((f"box = [{lo}, {hi}]", f"box = {{ hi = {hi}, lo = {lo} }}",
                                      f"clip = {{ lo = {lo}, hi = {hi} }}")))


def box_and_clip(s: Scene) -> Files:
    """The tighter end of each counts."""
    lo, hi = ([v + k * s.radius for v in s.right] for k in (-1, 1))
    wide = [[v + k * (1 + Fraction(s.rng.randint(0, 9))) for v in s.right] for k in (-1, 1)]
    first, second = (lo, wide[1]), (wide[0], hi)
    return region_of(s, f"box = [{listed(first[0])}, {listed(first[1])}]\n"
                        f"clip = [{listed(second[0])}, {listed(second[1])}]")


def frozen_by_table(s: Scene) -> Files:
    """A name before a pattern; a feature left out of a table does not move."""
    (a, b), (c, d) = s.right, s.wrong
    reach = max(abs(a - c), abs(b - d), ONE)
    table = s.rng.choice((f'{{ "*" = 0, p = {decimal(reach)}, q = {decimal(reach)} }}',
                          f'{{ p = {decimal(reach)}, "q*" = {decimal(reach)} }}',
                          f'{{ "?" = {decimal(reach)} }}', f'[{decimal(reach)}, {decimal(reach)}]'))
    lo, hi = (listed([v + k * s.radius for v in s.right]) for k in (-1, 1))
    head = f'verifex = 1\n[input]\nnames = ["p", "q"]\npoint = {listed(s.wrong)}\n[region]\n'
    return Files(b"", f"{head}linf = {table}\nbox = [{lo}, {hi}]\n{s.limit.toml()}".encode())


def rounded(rng: R, size: int) -> tuple[Vector, Vector]:
    """A tie between two float32, and one just beside: to even, exactly."""
    one = ONE + Fraction(1, 1 << 24)
    return (Fraction(1 << 24), one - Fraction(1, 1 << 24)), (Fraction((1 << 24) + 2), ONE)


def rounding(s: Scene) -> Files:
    raw = [Fraction((1 << 24) + 1), ONE + Fraction(1, 1 << 24)]
    return Files(b"", spec(s, f'point = {listed(raw)}\nround = "float32"'))


# --- texts of no meaning --------------------------------------------------------------------


def rows(s: Scene, table: str, text: str = "") -> Files:
    r, w = (",".join(map(decimal, x)) for x in (s.right, s.wrong))
    data = text.format(r=r, w=w) or f"{r}\n{w}\n"
    return Files(b"", spec(s, f'data = "d.csv"\n{table}'), {"d.csv": data.encode()})


def row_of_a_boolean(s: Scene) -> Files:
    return rows(s, s.rng.choice(("row = true", "row = 1.0", 'row = "1"')))


def header_of_a_text(s: Scene) -> Files:
    return rows(s, f"row = 0\nheader = {s.rng.choice(('1', chr(34) + 'false' + chr(34), '[0]'))}")


def column_of_a_boolean(s: Scene) -> Files:
    (a, _), (c, d) = s.right, s.wrong
    key = s.rng.choice(("target = true", "drop = [true]", "drop = true", "target = 1.0"))
    data = f"{decimal(c)},{decimal(a)},{decimal(d)}\n"
    files = Files(b"", spec(s, f'data = "d.csv"\nrow = 0\n{key}'), {"d.csv": data.encode()})
    return files


DIGITS = ("\u0660", "\u0966", "\uff10", "\u09e6")


def other_digits(rng: R) -> Version | None:
    """Digits of other scripts are no digits: an output, or a feature, that nothing names."""
    zero, j = ord(rng.choice(DIGITS)), 1
    moves, x = rng.choice((0, 1)), (ZERO, ZERO)
    of = Net((Layer(((weight(rng) * 4 * (moves == 0), weight(rng) * 4 * (moves == 1)),) * 2,
                    (ONE * 9, ZERO)),))
    word = rng.choice((f'output = "logit:{chr(zero + j)}"', f'output = "margin:{j},{chr(zero)}"'))
    plain = word.replace(chr(zero), "0").replace(chr(zero + 1), "1")
    reach = max(map(abs, of.layers[0].rows[0]))
    if rng.random() < 0.5:
        head = f"verifex = 1\n[input]\npoint = {listed(x)}\n[region]\nlinf = 0\n[[require]]\n"
        most = decimal(of.values(x)[0] * 2 + 1)
        texts = [f"{head}{w}\nat_most = {most}\n" for w in (word, plain)]
        return Version(Files(of.onnx(), texts[0].encode()), (LEAF, BOUND), "no output is meant",
                       Files(of.onnx(), texts[1].encode()))
    head = f"verifex = 1\n[input]\npoint = {listed(x)}\n[region]\nlinf = 1\n"
    tail = f"[[require]]\noutput = \"logit:1\"\nat_most = {decimal(reach / 2)}\n"
    texts = [f'{head}freeze = ["x[{k}]"]\n{tail}' for k in (chr(zero + moves), moves)]
    return Version(Files(of.onnx(), texts[0].encode()), (LEAF, BOUND), "no feature is frozen",
                   Files(of.onnx(), texts[1].encode()))


LINEAR = "verifex = 1\n[input]\npoint = {x}\n[region]\nlinf = 1\n[explain]\noutput = \"logit:0\"\n"


def half_counts(kind: str) -> Callable[[R], Version | None]:
    """A count of 3/2 is none; of 1 the claim holds, of 2 it does not."""

    def draw(rng: R) -> Version | None:
        # Slopes: 9 for x0; for x1 1 or -1 as x1 is above or below 0.
        big, small = Fraction(rng.randint(4, 9)), Fraction(rng.randint(1, 3))
        rows_ = ((ONE, ZERO), (ZERO, ONE))
        end = (big, -small) if rng.random() < 0.5 else (-big, -small)
        of = Net((Layer(((*rows_[0],), (*rows_[1],)), (Fraction(100), ZERO), "abs"),
                  Layer((end, end), (ZERO, ZERO))))
        count = rng.choice(("1.5", "1.25", '"3/2"', "1.9375"))
        x = listed((ONE / 2, ONE / 2))
        if kind == "sign":
            claim = f'[[require]]\nsign = "unchanged"\nat_least = {count}\n'
        else:
            of, x, claim = _top(big), listed((ONE / 2,) * 4), (
                f"[[require]]\ntop_k = 2\noverlap_at_least = {count}\n")
        head = LINEAR.format(x=x)
        twin = head + claim.replace(count, "1")
        return Version(Files(of.onnx(), (head + claim).encode()), (LEAF, BOUND),
                       "one is kept, not two", Files(of.onnx(), twin.encode()))

    return draw


def _top(big: Fraction) -> Net:
    """Slopes 4k for x0, k sign(x1) for x1, and 0 and -k for the others: one of two stays."""
    eye = tuple(tuple(ONE * (i == j) for i in range(4)) for j in range(4))
    low = -big / 2
    end = (4 * big, big, ZERO, low)
    return Net((Layer(eye, (Fraction(100), ZERO, Fraction(100), Fraction(100)), "abs"),
                Layer((end, end), (ZERO, ZERO))))


EMPTY = {
    "require = []": "require = []\n", "all = []": "[[require]]\nall = []\n",
    "not any = []": "[[require]]\nnot = {{ any = [] }}\n",
    "any of all = []": "[[require]]\nany = [{{ {claim} }}, {{ all = [] }}]\n",
    "assume any = []": "[[assume]]\nany = []\n[[require]]\n{lines}\n",
    "assume not all = []": "[[assume]]\nnot = {{ all = [] }}\n[[require]]\n{lines}\n",
}


def of_nothing(s: Scene) -> Files:
    """Claims without parts."""
    side = "at_most" if s.limit.most else "at_least"
    fields = [f'output = "logit:{s.limit.output}"', f"{side} = {decimal(s.limit.bound)}"]
    form = s.rng.choice(list(EMPTY.values()))
    text = form.format(claim=", ".join(fields), lines="\n".join(fields))
    top = text if text.startswith("require") else ""
    more = "" if top else f'[explain]\noutput = "logit:0"\n{text}'
    return Files(b"", spec(replace(s, limit=Always()), f"point = {listed(s.right)}", top=top)
                 + more.encode())


def no_features(s: Scene) -> Files:
    claim = s.rng.choice(('distance = "l1"\nat_most = 0', 'distance = "linf"\nat_most = 0',
                          'distance = "l2"\nat_most = 0'))
    text = f'[explain]\noutput = "logit:0"\nfeatures = []\n[[require]]\n{claim}\n'
    head = spec(replace(s, limit=Always()), f"point = {listed(s.right)}")
    return Files(b"", head + text.encode())


def empty_group(rng: R) -> Version | None:
    """A one-hot group of no feature would leave no point."""
    s = about(lambda s: Files(b"", spec(s, f"point = {listed(s.right)}", "one_hot = [[]]\n")))(rng)
    if s is None:
        return None
    nothing = Certificate(({"bound": -1, "rows": [[1, 1, 0]]}, {"leaf": 1}))
    return replace(s, certificates=(*s.certificates, nothing))


def relative(rng: R) -> Version | None:
    """relative = "yes" is neither true nor false."""
    small = Fraction(1, 8)
    big = abs(weight(rng)) + 1
    of = Net((Layer(((ONE, ZERO), (ZERO, ONE)), (ZERO, Fraction(100)), "relu"),
              Layer(((big / 8, small / 64),) * 2, (ZERO, ZERO))))
    value = rng.choice(('"yes"', "1", '"true"', "[true]"))
    claim = f'[[require]]\ndistance = "l1"\nat_most = {decimal(big / 4)}\n'
    head = LINEAR.format(x=listed((-ONE / 2, ONE / 2)))
    files = Files(of.onnx(), f"{head}{claim}relative = {value}\n".encode())
    return Version(files, (LEAF, BOUND), "the change is over 64 times what it is compared with",
                   Files(of.onnx(), (head + claim).encode()))


KINDS = (
    *(Kind("text", name, about(text, 2, points)) for name, text, points in (
        ("numbers in TOML", numbers, None), ("hexadecimal", bases, wholes),
        ("underscores", underscored, underscores), ("keys", keys, None),
        ("dotted keys", dotted, None),
        ("several requirements", last_of_many, None), ("box beside the point", box_beside, None),
        ("box and clip", box_and_clip, None), ("tables by name", frozen_by_table, None),
        ("round", rounding, rounded), ("row = true", row_of_a_boolean, None),
        ('header = "false"', header_of_a_text, None), ("target = true", column_of_a_boolean, None),
        ("claims of nothing", of_nothing, None), ("features = []", no_features, None),
    )),
    Kind("text", "digits of other scripts", other_digits),
    Kind("text", "one_hot = [[]]", empty_group), Kind("text", 'relative = "yes"', relative),
    Kind("type", "sign: half a count", half_counts("sign")),
    Kind("type", "overlap: half a count", half_counts("top_k")),
)
