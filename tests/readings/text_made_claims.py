"""Queries of VNN-LIB and specs to be read, plain and with faults."""

from __future__ import annotations

import random

from tests.readings.text_pieces import Text, constraint, decimal, faults, spoil

# --- queries ------------------------------------------------------------------------------------


def _atom(rng: random.Random, second: bool, exponents: bool) -> str:
    def value() -> str:
        if rng.random() < 0.6:  # so that points of the grid often lie on the edge
            return rng.choice(("0", "1", "-1", "0.5", "-0.5", "2", "1.5", "-2.0"))
        text = decimal(rng)
        if second:
            text = text.rstrip(".")
        return text if (exponents and not second) or "e" not in text else str(rng.randint(-9, 9))

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


def query(rng: random.Random, second: bool) -> Text:
    exponents = rng.random() < 0.3
    if second:
        lines = [
            "(vnnlib-version <2.0>)",
            "(declare-network f (declare-input X real [2]) (declare-output Y real [2]))",
        ]
        box = [f"(assert (and (>= X[{i}] -2) (<= X[{i}] 2.5)))" for i in (0, 1)]
    else:
        lines = [
            rng.choice((f"(declare-const {s}_{i} Real)", f"(declare-fun {s}_{i} () Real)"))
            for s in "XY"
            for i in (0, 1)
        ]
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
    times = faults(rng)
    if times and rng.random() < 0.3:
        text = text.replace(
            *rng.choice(
                (
                    ("X_0", "|X_0|"),
                    ("(assert", "(check-sat)(assert"),
                    ("Real", "Int"),
                    ("-2", "-2.0"),
                    ("(assert", "(set-info :note |;|)(assert"),
                    ("<=", "<= 0"),
                    ("-", "- "),
                    ("2.5", "+2.5"),
                    ("2.5", ".5"),
                    ("2.5", "02.5"),
                    ("(and", "(=>"),
                    ("X_1", "X_01"),
                    ("Y_1", "Y_9"),
                    ("X[0]", "X[0.5]"),
                    ("X[0]", "X[00]"),
                    ("X[1]", "X[0,1]"),
                    ("real", "Real"),
                )
            ),
            1,
        )
        return Text(f"vnnlib{1 + second}", text, False, 2)
    return Text(f"vnnlib{1 + second}", spoil(rng, text, times), not times, 2)


# --- specs --------------------------------------------------------------------------------------

FEATURES = ("age", "pay", "job_a")


def _feature(rng: random.Random) -> str:
    i = rng.randrange(3)
    return rng.choice((f'"{FEATURES[i]}"', f'"x[{i}]"', str(i)))


def _bound(rng: random.Random) -> str:
    key = rng.choice(("at_least", "at_most", "above", "below"))
    value = rng.choice(
        (decimal(rng).rstrip("."), f'"{rng.randint(-9, 9)}/{rng.randint(1, 9)}"', "0")
    )
    return f"{key} = {value}"


def _property(rng: random.Random, depth: int = 1) -> str:
    f = _feature
    out = rng.choice(
        (
            '"logit:0"',
            '"margin:1,0"',
            '"sum"',
            '"predicted"',
            "{ weights = [1, -0.5] }",
            '"margin:predicted,runner_up"',
        )
    )
    kinds = [
        'class = "unchanged"',
        f"class = {rng.randrange(2)}",
        f"output = {out}, {_bound(rng)}",
        f"component = {f(rng)}, {_bound(rng)}",
        f'component = "*", {_bound(rng)}',
        'sign = "unchanged"',
        f'sign = "unchanged", at_least = {rng.randint(0, 2)}',
        f'sign = "unchanged", which = [{f(rng)}, "job*"]',
        f'distance = "{rng.choice(("l1", "linf"))}", at_most = {rng.randint(0, 9)}',
        f"top_k = {rng.randint(1, 3)}",
        "top_k = 2, overlap_at_least = 1",
        'order = "unchanged"',
        'order = ["age", "pay"]',
        f'order = ["job_a", {rng.randrange(2)}]',
        f'monotone = "{rng.choice(("increasing", "decreasing"))}", feature = {f(rng)}',
        f'monotone = "increasing", feature = "pay", output = {out}',
    ]
    if depth:
        inner = [f"{{ {_property(rng, 0)} }}" for _ in range(2)]
        kinds += [f"{word} = [{', '.join(inner)}]" for word in ("all", "any")]
        kinds += [f"not = {inner[0]}"] * 2
    return rng.choice(kinds)


def _region(rng: random.Random) -> list[str]:
    lines = [
        rng.choice(
            (
                "linf = 0.5",
                'linf = { "*" = 0.5, age = "1/4" }',
                "linf = [0.5, 1, 2]",
                "box = [-1, 1.5]",
                'box = { lo = -1, hi = { age = 1, "*" = 2 } }',
                "linf = 2\nl1 = 1.5",
            )
        )
    ]
    more = [
        "clip = [0, 1]",
        'freeze = "age"',
        'freeze = ["job_*"]',
        'only = ["age", 1]',
        'integer = ["pay"]',
        f"linear = '''{constraint(rng, FEATURES, 3)}'''",
        f"linear = ['''{constraint(rng, FEATURES, 3)}''', 'age - pay <= 2']",
        'one_hot = [["age", "job_a"]]',
    ]
    return lines + rng.sample(more, rng.choice((0, 1, 1, 2)))


SPOILED = (
    ("= 1\n", "= 1.0\n"),
    ("= 1\n", "= true\n"),
    ("= 2", "= 2.0"),
    ("= 1", '= "1"'),
    ("= 0", "= -0.0"),
    ("= 0", "= false"),
    ("= 2", "= 1.5"),
    ("[[require]]", "[require]"),
    ("verifex = 1", "verifex = 2"),
    ("logit:0", "logit:٠"),
    ("logit:0", "logit:00"),
    ("logit:0", "logit: 0"),
    ("logit:0", "logit:-0"),
    ("margin:1,0", "margin:1_,0"),
    ("margin:1,0", "margin: 1 , 0 "),
    ("margin:1,0", "margin:1,0,"),
    ('"predicted"', '"predicted:"'),
    ('"x[0]"', '"x[٠]"'),
    ('"x[1]"', '"x[ 1 ]"'),
    ("{ ", "[ "),
    ('"unchanged"', '"Unchanged"'),
    ('["age", "pay"]', '"ap"'),
    ('["age", "pay"]', "[]"),
    ('["age", "pay"]', '["age"]'),
    ('["age", "pay"]', '["age", "age"]'),
    ("at_least", "At_least"),
    ("at_least", "at-least"),
    ("0.5", "nan"),
    ("0.5", "inf"),
    ("0.5", '".5"'),
    ("0.5", '"0_5"'),
    ("0.5", "0_0.5"),
    ("0.5", '"٠.5"'),
    ("0.5", "1e5000"),
    ("0.5", "2024-01-01"),
    ("0.5", "true"),
    ('names = ["age", "pay", "job_a"]', 'names = "abc"'),
    ('"job_a"]\n', '"pay"]\n'),
    ('one_hot = [["age", "job_a"]]', 'one_hot = [["age"]]'),
    ("freeze", "Freeze"),
    ("any = [", "any = [[], "),
    ('one_hot = [["age", "job_a"]]', 'one_hot = [["age", "job_a"], ["age", "pay"]]'),
    ("all = [", "all = [] # ["),
    ("linf = 0.5", "linf = -0.5"),
    ("class = 1", "class = true"),
    ("class = 0", "class = -1"),
    ("top_k = 2", "top_k = 2.0"),
    ("overlap_at_least = 1", "overlap_at_least = 0"),
    ("overlap_at_least = 1", "overlap_at_least = true"),
    ('"sum"', '"sum:"'),
    ("[explain]", "[Explain]"),
    ("which = [", "which = [] # "),
    ("clip = [0, 1]", "clip = [0, 1, 2]"),
    ("clip = [0, 1]", "clip = [1, 0]"),
    ("clip = [0, 1]", 'clip = "01"'),
    ('"l1"', '"L1"'),
    ('"increasing"', '"up"'),
    ("point = [", "point = [[1, 2], "),
    ('feature = "pay"', "feature = []"),
    ("reduce", "reduced"),
    ('"abs"', '"Abs"'),
    ("\n", "\r\n"),
    ("\n", "\r"),
)


def spec(rng: random.Random) -> Text:
    numbers = [f"{rng.randint(-8, 8)}/7" for _ in range(3)]
    point = "[" + ", ".join(f'"{k}"' for k in numbers) + "]"
    lines = [
        "verifex = 1",
        "[input]",
        f"point = {point}",
        'names = ["age", "pay", "job_a"]',
        "[region]",
        *_region(rng),
        "[explain]",
    ]
    lines += [f'output = "logit:{rng.randrange(2)}"'] * (rng.random() < 0.6)
    lines += ['reduce = "abs"'] * (rng.random() < 0.3)
    lines += ['attribution = "input*gradient"'] * (rng.random() < 0.3)
    lines += ['features = ["age", "pay"]'] * (rng.random() < 0.1)
    for word in ["require"] * rng.choice((1, 1, 2)) + ["assume"] * (rng.random() < 0.2):
        lines += [f"[[{word}]]", _table(_property(rng))]
    text = "\n".join(lines) + "\n"
    times = faults(rng)
    for _ in range(times):
        found = [pair for pair in SPOILED if pair[0] in text]
        if found and rng.random() < 0.7:
            text = text.replace(*rng.choice(found), rng.choice((1, -1)))
        else:
            text = spoil(rng, text, 1)
    return Text("toml", text, False, 3, {"near": numbers})


def _table(line: str) -> str:
    """`a = 1, b = 2` as lines of a table; commas in brackets and quotes stay."""
    out, depth, quoted = "", 0, False
    for c in line:
        quoted ^= c == '"'
        depth += (c in "[{") - (c in "]}") if not quoted else 0
        out += "\n" if c == "," and not depth and not quoted else c
    return "\n".join(part.strip() for part in out.split("\n"))
