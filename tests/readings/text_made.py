"""Texts to be read: plain ones, whose meaning every reader must find, and nasty ones.

A text is made from a seed alone. Nasty texts are plain ones with one or two changes that files have
been seen with: byte order marks, carriage returns, digits of other scripts, quotes, and so on.
"""

from __future__ import annotations

import gzip
import random
import struct
from dataclasses import dataclass, field
from typing import Any

KINDS = ("number", "constraint", "csv", "npy", "toml", "vnnlib1", "vnnlib2")
NASTY = (
    "\r", "\n", "\r\n", "\0", "\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u2028", "\u200b", "\ufeff",
    '"', '""', "'", ";", ",", "|", "(", ")", "[", "]", "#", "\t", " ", "  ", "٣", "１", "²", "_", "e",
    "E", "+", "-", "--", ".", "/", "*", "<", "=", ">", "0", "1", "00", "ﬁ", "é", "e\u0301", "\u212a",
    "\\", "!", ":", "nan", "inf", "1e5", "1e999", "\n\n", "\r\r",
)


@dataclass(frozen=True)
class Text:
    """One text; `plain` says that all readers must read it. `files` lie beside it."""

    kind: str
    text: str
    plain: bool
    size: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


def make(seed: int, number: int) -> Text:
    """The text of this number: kinds take turns."""
    rng = random.Random(f"{seed} {number}")
    return _MAKERS[KINDS[number % len(KINDS)]](rng)


def spoil(rng: random.Random, text: str, times: int) -> str:
    """The text with so many nasty changes."""
    for _ in range(times):
        at = rng.randrange(len(text) + 1)
        cut = at + rng.choice((0, 0, 0, 1, 1, 2))
        text = text[:at] + rng.choice(NASTY) * (rng.random() < 0.9) + text[cut:]
    return text


def _times(rng: random.Random) -> int:
    return rng.choice((0, 0, 1, 1, 1, 2))


def decimal(rng: random.Random) -> str:
    """A decimal as people and programs write it."""
    whole, part = str(rng.randint(0, 12)), str(rng.randint(0, 99))
    return rng.choice(("", "", "-")) + rng.choice((
        whole, whole, f"{whole}.{part}", f"{whole}.{part}", f"{whole}.", f"{whole}.{part}e-1",
        f"{whole}e-02", f"{whole}.0"))


def _number(rng: random.Random) -> Text:
    text, times = decimal(rng), rng.choice((0, 1, 1, 2))
    if rng.random() < 0.3:
        text += "/" + str(rng.randint(1, 9))
    if rng.random() < 0.1:
        text = rng.choice((" ", "\t")) + text + rng.choice((" ", "\t"))
    return Text("number", spoil(rng, text, times), not times)


# --- constraints --------------------------------------------------------------------------------

NAME_SETS = (
    (), ("age", "pay", "job_a", "job_b"), ("ﬁ", "fi", "K", "\u212a"), ("x[1]", "x[0]", "x", "y"),
    ("hours-per-week", "a b", "é", "e\u0301"), ("a]b", 'q"r', "<=", "2a"), ("Age", "age", "AGE", "_"),
)


def _named(rng: random.Random, names: tuple[str, ...], size: int) -> str:
    i = rng.randrange(size)
    if not names or rng.random() < 0.2:
        return rng.choice((f"x[{i}]", f"x[0, {i}]", f"x[ {i} ]"))
    name = names[i]
    word = name[:1].isalpha() and all(c.isalnum() or c == "_" for c in name)
    if word and rng.random() < 0.7:
        return name
    quote = "'" if '"' in name else rng.choice(("'", '"'))
    return f"x[{quote}{name}{quote}]"


def _term(rng: random.Random, names: tuple[str, ...], size: int) -> str:
    name, value = _named(rng, names, size), decimal(rng).lstrip("-")
    gap = rng.choice(("", " "))
    return rng.choice((value, name, name, f"{value}{gap}*{gap}{name}", f"{name}{gap}*{gap}{value}",
                       f"{name}{gap}/{gap}{rng.randint(1, 4)}"))


def constraint(rng: random.Random, names: tuple[str, ...], size: int) -> str:
    """A sum compared with a sum or two, with a feature in each comparison."""
    sides = []
    for _ in range(rng.choice((2, 2, 2, 3))):
        terms = [_term(rng, names, size) for _ in range(rng.randint(1, 3))]
        text = rng.choice(("", "", "-", "+ ")) + terms[0]
        for t in terms[1:]:
            text += rng.choice((" + ", " - ", "+", "-", " + -", "- -")) + t
        sides.append(text)
    text = sides[0]
    for side in sides[1:]:
        text += rng.choice((" <= ", " >= ", "<=", " == ")) + side
    return text


def _constraint(rng: random.Random) -> Text:
    names, times = rng.choice(NAME_SETS), _times(rng)
    text, deep = constraint(rng, names, 4), rng.random()
    if deep < 0.02:
        text = "-" * rng.randint(2, 3000) + text
    elif deep < 0.04:
        text = "(" * rng.randint(1, 3000) + text + ")"
    plain = not times and deep >= 0.04
    return Text("constraint", spoil(rng, text, times), plain, 4, {"names": list(names)})


# --- CSV ----------------------------------------------------------------------------------------


def _quoted(rng: random.Random, cell: str) -> str:
    if '"' in cell or "," in cell or "\n" in cell or rng.random() < 0.15:
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _lines(rng: random.Random, table: list[list[str]]) -> str:
    end = rng.choice(("\n", "\n", "\r\n", "\r"))
    out = rng.choice(("", "", "", "\ufeff")) + end * rng.choice((0, 0, 0, 1, 2))
    for row in table:
        out += ",".join(_quoted(rng, c) for c in row) + end
        out += end * (rng.random() < 0.05)
        if rng.random() < 0.05:
            end = rng.choice(("\n", "\r\n", "\r"))
    return out[: len(out) - len(end)] if rng.random() < 0.2 else out


def _cell(rng: random.Random) -> str:
    text = decimal(rng)
    return rng.choice((text, text, text, f" {text}", f"{text} ", f"\t{text}"))


def _header(rng: random.Random, width: int) -> list[str]:
    pool = ["a", "b", "ﬁ", "fi", "x[1]", "hours,week", 'say "hi"', "two\nlines", " c ", "A", "label",
            "d;e"]
    return rng.sample(pool, width)


def _csv(rng: random.Random) -> Text:
    size, options = rng.randint(1, 3), dict[str, Any]()
    extra = rng.choice((0, 0, 1, 2))
    width, titled = size + extra, rng.random() < 0.7
    header = _header(rng, width)
    table = [[_cell(rng) for _ in range(width)] for _ in range(rng.randint(1, 4))]
    options |= {"data": "d.csv", "row": rng.randrange(len(table))}
    out = rng.sample(range(width), extra)
    if extra and titled and rng.random() < 0.6:
        options["target"] = header[out[0]].strip()
        if rng.random() < 0.5:
            for row in table:
                row[out[0]] = rng.choice(("yes", "no", "<=50K"))
        out = out[1:]
    if out:
        options["drop"] = [header[k].strip() if titled and rng.random() < 0.5 else k for k in out]
    if rng.random() < 0.3:
        options["header"] = titled
    options |= {"names": [f"n{k}" for k in range(size)]} if rng.random() < 0.1 else {}
    mixed = not titled and "target" in options
    lines = [header, *table] if titled else table
    files = {"d.csv": _lines(rng, lines)}
    scaled = rng.random() < 0.3
    plain = not mixed
    if scaled:
        options["minmax_of"] = "m.csv"
        order = list(range(width))
        if titled and not any(isinstance(k, int) for k in options.get("drop", [])):
            rng.shuffle(order)
        more = [[decimal(rng) for _ in range(width)] for _ in range(rng.randint(1, 3))]
        whole = [header, *more] if titled else more
        files["m.csv"] = _lines(rng, [[row[k] for k in order] for row in whole])
    for name in files:
        for _ in range(_times(rng) if not scaled or rng.random() < 0.6 else 0):
            plain = False
            files[name] = _worse(rng, files[name])
    coded = {k: v.encode("utf-8", "surrogatepass") for k, v in files.items()}
    if rng.random() < 0.1:  # named as zipped, zipped, or both
        named, zipped = rng.random() < 0.7, rng.random() < 0.7
        plain &= named == zipped
        options["data"] = "d.csv.gz" if named else "d.csv"
        data = coded.pop("d.csv")
        coded[options["data"]] = gzip.compress(data) if zipped else data
    return Text("csv", files["d.csv"], plain, size, options, coded)


def _worse(rng: random.Random, text: str) -> str:
    """A CSV text with one fault that files have."""
    kind = rng.randrange(9)
    if kind == 0:
        return text.replace(",", ";")
    if kind == 1:
        return text.replace(",", ",,", 1)
    if kind == 2:
        at = text.find("\n")
        return text if at < 0 else text[:at] + "," + text[at:]
    if kind == 3:
        return rng.choice((" \n", ",\n", "\t\r\n", "\r", '""\n', "# note\n", "sep=,\n")) + text
    if kind == 4:
        return text.replace("\n", "\r", 1)
    if kind == 5:
        return "\ufeff" + text
    return spoil(rng, text, 1)


# --- NPY ----------------------------------------------------------------------------------------

TYPES = {"<f4": "<f", "<f8": "<d", ">f4": ">f", "<i2": "<h", ">i8": ">q", "|u1": "B", "|i1": "b",
         "<u8": "<Q", "<f2": "<e"}


def _npy(rng: random.Random) -> Text:
    size, rows = rng.randint(1, 3), rng.randint(1, 3)
    kind = rng.choice(list(TYPES))
    values = [rng.choice((0, 1, 2, 7, 100)) / (2 if "f" in kind else 1)
              for _ in range(size * rows)]
    cast = float if "f" in kind else int
    body = b"".join(struct.pack(TYPES[kind], cast(v)) for v in values)
    shape = rng.choice((f"({rows}, {size})", f"({rows}, {size})", f"({rows}, {size},)",
                        f"({rows}, 1, {size})"))
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    times = rng.choice((0, 0, 1, 2))
    plain = not times
    for _ in range(times):
        head = rng.choice((
            head.replace("False", "True"), head.replace(kind, kind[1:]), spoil(rng, head, 1),
            head.replace("'shape'", "'shape': (1,), 'shape'"), head.replace("'", '"'),
            head.replace(", }", "}"), head.replace(kind, "=" + kind[1:]), head.replace(" ", ""),
            head.replace(kind, "|b1"), head.replace(kind, "<f8")))
    version = rng.choice((1, 1, 1, 2, 3))
    coded = head.encode("utf-8") if version == 3 else head.encode("latin-1", "replace")
    width = 2 if version == 1 else 4
    coded += b" " * (-(8 + width + len(coded) + 1) % 64) + b"\n"
    data = b"\x93NUMPY" + bytes([version, 0]) + len(coded).to_bytes(width, "little") + coded + body
    options: dict[str, Any] = {"data": "d.npy", "row": rng.randrange(rows)}
    if rng.random() < 0.05:
        options["header"] = False
        plain = False
    return Text("npy", head, plain, size, options, {"d.npy": data})


# --- queries ------------------------------------------------------------------------------------


def _atom(rng: random.Random, second: bool, exponents: bool) -> str:
    def value() -> str:
        text = decimal(rng)
        if second:
            text = text.rstrip(".")
        return text if exponents and not second or "e" not in text else str(rng.randint(-9, 9))

    def cell() -> str:
        side, i = rng.choice("XY"), rng.randrange(2)
        return f"{side}[{i}]" if second else f"{side}_{i}"

    def term(depth: int) -> str:
        if depth == 0 or rng.random() < 0.5:
            return rng.choice((cell(), cell(), value()))
        kind = rng.randrange(5)
        if kind == 0:
            return f"(* {value()} {cell()})"
        if kind == 1:
            return f"(- {term(depth - 1)})"
        word = rng.choice("+-")
        return f"({word} {' '.join(term(depth - 1) for _ in range(rng.randint(2, 3)))})"

    marks = ("<=", ">=", "<", ">", *(("==", "!=") if second else ("=",)))
    return f"({rng.choice(marks)} {term(2)} {term(1)})"


def _formula(rng: random.Random, depth: int, second: bool, exponents: bool) -> str:
    if depth == 0 or rng.random() < 0.4:
        return _atom(rng, second, exponents)
    parts = (_formula(rng, depth - 1, second, exponents) for _ in range(rng.randint(1, 3)))
    return f"({rng.choice(('and', 'or'))} {' '.join(parts)})"


def _comment(rng: random.Random, ends: tuple[str, ...]) -> str:
    said = rng.choice(("note", 'a "quote', "bar | bar", "(assert (>= Y_0 100))", "é; ;", ")"))
    return f"; {said}{rng.choice(ends)}"


def _query(rng: random.Random, second: bool) -> Text:
    exponents = rng.random() < 0.3
    if second:
        lines = ["(vnnlib-version <2.0>)",
                 "(declare-network f (declare-input X real [2]) (declare-output Y real [2]))"]
        box = [f"(assert (and (>= X[{i}] -2) (<= X[{i}] 2.5)))" for i in (0, 1)]
    else:
        lines = [rng.choice((f"(declare-const {s}_{i} Real)", f"(declare-fun {s}_{i} () Real)"))
                 for s in "XY" for i in (0, 1)]
        box = [f"(assert (and (>= X_{i} -2) (<= X_{i} 2.5)))" for i in (0, 1)]
    claims = [f"(assert {_formula(rng, 2, second, exponents)})" for _ in range(rng.randint(1, 3))]
    ends = ("\n", "\r\n") if second else ("\n", "\n", "\r\n", "\r", "\r")
    end = rng.choice(ends)
    parts = [*lines, *box, *claims]
    text = ""
    for k, part in enumerate(parts):
        text += part + rng.choice((end, end, " ", "")) if k else part + end
        if k and rng.random() < 0.2:
            text += _comment(rng, ends)
    times = _times(rng)
    if times and rng.random() < 0.3:
        text = text.replace(*rng.choice((
            ("X_0", "|X_0|"), ("(assert", "(check-sat)(assert"), ("Real", "Int"), ("-2", "-2.0"),
            ("(assert", "(set-info :note |;|)(assert"), ("<=", "<= 0"), ("-", "- "), ("2.5", "+2.5"),
            ("2.5", ".5"), ("2.5", "02.5"), ("(and", "(=>"), ("X_1", "X_01"), ("Y_1", "Y_9"),
            ("X[0]", "X[0.5]"), ("X[0]", "X[00]"), ("X[1]", "X[0,1]"), ("real", "Real"))), 1)
        return Text(f"vnnlib{1 + second}", text, False, 2)
    return Text(f"vnnlib{1 + second}", spoil(rng, text, times), not times, 2)


# --- specs --------------------------------------------------------------------------------------

FEATURES = ("age", "pay", "job_a")


def _feature(rng: random.Random) -> str:
    i = rng.randrange(3)
    return rng.choice((f'"{FEATURES[i]}"', f'"x[{i}]"', str(i)))


def _bound(rng: random.Random) -> str:
    key = rng.choice(("at_least", "at_most", "above", "below"))
    value = rng.choice((decimal(rng).rstrip("."), f'"{rng.randint(-9, 9)}/{rng.randint(1, 9)}"', "0"))
    return f"{key} = {value}"


def _property(rng: random.Random, depth: int = 1) -> str:
    f = _feature
    out = rng.choice(('"logit:0"', '"margin:1,0"', '"sum"', '"predicted"', "{ weights = [1, -0.5] }",
                      '"margin:predicted,runner_up"'))
    kinds = [
        'class = "unchanged"', f"class = {rng.randrange(2)}", f"output = {out}, {_bound(rng)}",
        f"component = {f(rng)}, {_bound(rng)}", f'component = "*", {_bound(rng)}',
        'sign = "unchanged"', f'sign = "unchanged", at_least = {rng.randint(0, 2)}',
        f'sign = "unchanged", which = [{f(rng)}, "job*"]',
        f'distance = "{rng.choice(("l1", "linf"))}", at_most = {rng.randint(0, 9)}',
        f"top_k = {rng.randint(1, 3)}", "top_k = 2, overlap_at_least = 1",
        'order = "unchanged"', 'order = ["age", "pay"]', f'order = ["job_a", {rng.randrange(2)}]',
        f'monotone = "{rng.choice(("increasing", "decreasing"))}", feature = {f(rng)}',
        f'monotone = "increasing", feature = "pay", output = {out}',
    ]
    if depth:
        inner = [f"{{ {_property(rng, 0)} }}" for _ in range(2)]
        kinds += [f"{word} = [{', '.join(inner)}]" for word in ("all", "any")]
        kinds += [f"not = {inner[0]}"] * 2
    return rng.choice(kinds)


def _region(rng: random.Random) -> list[str]:
    lines = [rng.choice(("linf = 0.5", 'linf = { "*" = 0.5, age = "1/4" }', "linf = [0.5, 1, 2]",
                         "box = [-1, 1.5]", 'box = { lo = -1, hi = { age = 1, "*" = 2 } }',
                         "linf = 2\nl1 = 1.5"))]
    more = ["clip = [0, 1]", 'freeze = "age"', 'freeze = ["job_*"]', 'only = ["age", 1]',
            'integer = ["pay"]', f"linear = '''{constraint(rng, FEATURES, 3)}'''",
            f"linear = ['''{constraint(rng, FEATURES, 3)}''', 'age - pay <= 2']",
            'one_hot = [["age", "job_a"]]']
    return lines + rng.sample(more, rng.choice((0, 1, 1, 2)))


SPOILED = (
    ("= 1\n", "= 1.0\n"), ("= 1\n", "= true\n"), ("= 2", "= 2.0"), ("= 1", '= "1"'), ("= 0", "= -0.0"),
    ("= 0", "= false"), ("= 2", "= 1.5"), ("[[require]]", "[require]"), ("verifex = 1", "verifex = 2"),
    ("logit:0", "logit:٠"), ("logit:0", "logit:00"), ("logit:0", "logit: 0"), ("logit:0", "logit:-0"),
    ("margin:1,0", "margin:1_,0"), ("margin:1,0", "margin: 1 , 0 "), ("margin:1,0", "margin:1,0,"),
    ('"predicted"', '"predicted:"'), ('"x[0]"', '"x[٠]"'), ('"x[1]"', '"x[ 1 ]"'), ("{ ", "[ "),
    ('"unchanged"', '"Unchanged"'), ('["age", "pay"]', '"ap"'), ('["age", "pay"]', "[]"),
    ('["age", "pay"]', '["age"]'), ('["age", "pay"]', '["age", "age"]'), ("at_least", "At_least"),
    ("at_least", "at-least"), ("0.5", "nan"), ("0.5", "inf"), ("0.5", '".5"'), ("0.5", '"0_5"'),
    ("0.5", "0_0.5"), ("0.5", '"٠.5"'), ("0.5", "1e5000"), ("0.5", "2024-01-01"), ("0.5", "true"),
    ('names = ["age", "pay", "job_a"]', 'names = "abc"'), ('"job_a"]\n', '"pay"]\n'),
    ('one_hot = [["age", "job_a"]]', 'one_hot = [["age"]]'), ("freeze", "Freeze"), ("any = [", "any = [[], "),
    ('one_hot = [["age", "job_a"]]', 'one_hot = [["age", "job_a"], ["age", "pay"]]'),
    ("all = [", "all = [] # ["), ("linf = 0.5", "linf = -0.5"), ("class = 1", "class = true"),
    ("class = 0", "class = -1"), ("top_k = 2", "top_k = 2.0"), ("overlap_at_least = 1", "overlap_at_least = 0"),
    ("overlap_at_least = 1", "overlap_at_least = true"), ('"sum"', '"sum:"'), ("[explain]", "[Explain]"),
    ('which = [', 'which = [] # '), ("clip = [0, 1]", "clip = [0, 1, 2]"), ("clip = [0, 1]", "clip = [1, 0]"),
    ("clip = [0, 1]", 'clip = "01"'), ('"l1"', '"L1"'), ('"increasing"', '"up"'), ("point = [", "point = [[1, 2], "),
    ('feature = "pay"', "feature = []"), ("reduce", "reduced"), ('"abs"', '"Abs"'), ("\n", "\r\n"), ("\n", "\r"),
)


def _toml(rng: random.Random) -> Text:
    point = "[" + ", ".join(f"{rng.randint(-8, 8)}/7" for _ in range(3)) + "]"
    point = point.replace("[", '["').replace(", ", '", "').replace("]", '"]')
    lines = ["verifex = 1", "[input]", f"point = {point}", 'names = ["age", "pay", "job_a"]',
             "[region]", *_region(rng), "[explain]"]
    lines += [f'output = "logit:{rng.randrange(2)}"'] * (rng.random() < 0.6)
    lines += ['reduce = "abs"'] * (rng.random() < 0.3)
    lines += ['attribution = "input*gradient"'] * (rng.random() < 0.3)
    lines += ['features = ["age", "pay"]'] * (rng.random() < 0.1)
    for word in ["require"] * rng.choice((1, 1, 2)) + ["assume"] * (rng.random() < 0.2):
        lines += [f"[[{word}]]", _table(_property(rng))]
    text = "\n".join(lines) + "\n"
    times = _times(rng)
    for _ in range(times):
        found = [pair for pair in SPOILED if pair[0] in text]
        if found and rng.random() < 0.7:
            text = text.replace(*rng.choice(found), rng.choice((1, -1)))
        else:
            text = spoil(rng, text, 1)
    return Text("toml", text, False, 3)


def _table(line: str) -> str:
    """`a = 1, b = 2` as lines of a table; commas in brackets and quotes stay."""
    out, depth, quoted = "", 0, False
    for c in line:
        quoted ^= c == '"'
        depth += (c in "[{") - (c in "]}") if not quoted else 0
        out += "\n" if c == "," and not depth and not quoted else c
    return "\n".join(part.strip() for part in out.split("\n"))


_MAKERS = {
    "number": _number, "constraint": _constraint, "csv": _csv, "npy": _npy, "toml": _toml,
    "vnnlib1": lambda rng: _query(rng, False), "vnnlib2": lambda rng: _query(rng, True),
}
