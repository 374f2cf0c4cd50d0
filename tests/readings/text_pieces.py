"""What generated texts are made of: numbers, constraints, and the faults that files have."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

NASTY = (
    "\r",
    "\n",
    "\r\n",
    "\0",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x85",
    "\xa0",
    "\u2028",
    "\u200b",
    "\ufeff",
    '"',
    '""',
    "'",
    ";",
    ",",
    "|",
    "(",
    ")",
    "[",
    "]",
    "#",
    "\t",
    " ",
    "  ",
    "٣",
    "１",
    "²",
    "_",
    "e",
    "E",
    "+",
    "-",
    "--",
    ".",
    "/",
    "*",
    "<",
    "=",
    ">",
    "0",
    "1",
    "00",
    "ﬁ",
    "é",
    "e\u0301",
    "\u212a",
    "\\",
    "!",
    ":",
    "nan",
    "inf",
    "1e5",
    "1e999",
    "\n\n",
    "\r\r",
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


def spoil(rng: random.Random, text: str, times: int) -> str:
    """The text with so many nasty changes."""
    for _ in range(times):
        at = rng.randrange(len(text) + 1)
        cut = at + rng.choice((0, 0, 0, 1, 1, 2))
        text = text[:at] + rng.choice(NASTY) * (rng.random() < 0.9) + text[cut:]
    return text


def faults(rng: random.Random) -> int:
    return rng.choice((0, 0, 1, 1, 1, 2))


def decimal(rng: random.Random) -> str:
    """A decimal as people and programs write it."""
    whole, part = str(rng.randint(0, 12)), str(rng.randint(0, 99))
    return rng.choice(("", "", "-")) + rng.choice(
        (
            whole,
            whole,
            f"{whole}.{part}",
            f"{whole}.{part}",
            f"{whole}.",
            f"{whole}.{part}e-1",
            f"{whole}e-02",
            f"{whole}.0",
        )
    )


def one_number(rng: random.Random) -> Text:
    text, times = decimal(rng), rng.choice((0, 1, 1, 2))
    if rng.random() < 0.3:
        text += "/" + str(rng.randint(1, 9))
    if rng.random() < 0.1:
        text = rng.choice((" ", "\t")) + text + rng.choice((" ", "\t"))
    return Text("number", spoil(rng, text, times), not times)


# --- constraints --------------------------------------------------------------------------------

NAME_SETS = (
    (),
    ("age", "pay", "job_a", "job_b"),
    ("ﬁ", "fi", "K", "\u212a"),
    ("x[1]", "x[0]", "x", "y"),
    ("hours-per-week", "a b", "é", "e\u0301"),
    ("a]b", 'q"r', "<=", "2a"),
    ("Age", "age", "AGE", "_"),
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
    return rng.choice(
        (
            value,
            name,
            name,
            f"{value}{gap}*{gap}{name}",
            f"{name}{gap}*{gap}{value}",
            f"{name}{gap}/{gap}{rng.randint(1, 4)}",
        )
    )


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


def one_constraint(rng: random.Random) -> Text:
    names, times = rng.choice(NAME_SETS), faults(rng)
    text, deep = constraint(rng, names, 4), rng.random()
    if deep < 0.02:
        text = "-" * rng.randint(2, 3000) + text
    elif deep < 0.04:
        text = "(" * rng.randint(1, 3000) + text + ")"
    plain = not times and deep >= 0.04
    return Text("constraint", spoil(rng, text, times), plain, 4, {"names": list(names)})
