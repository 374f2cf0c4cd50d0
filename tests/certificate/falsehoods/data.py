"""Data files: rows, headers, quotes, line ends, scales, numpy's types."""

from __future__ import annotations

import gzip
import io
import random
from fractions import Fraction
from typing import Any

import numpy as np

from tests.certificate.falsehoods.claims import Files, Kind, Vector, decimal
from tests.certificate.falsehoods.readings import Scene, about, point, spec

R = random.Random


def cells(x: Vector) -> str:
    return ",".join(decimal(v) for v in x)


def csv(s: Scene, text: str | bytes, table: str, name: str = "d.csv") -> Files:
    data = text if isinstance(text, bytes) else text.encode()
    return Files(b"", spec(s, f'data = "{name}"\n{table}'), {name: data})


def blank_first(s: Scene) -> Files:
    """Blank lines are no rows, and no header."""
    blank = s.rng.choice(("\n", "\r\n", "\n\n"))
    rows = [cells(s.wrong), cells(s.right)]
    head = s.rng.choice(("a,b\n", ""))
    return csv(s, blank + head + "\n".join(rows) + "\n", "row = 1")


def blank_between(s: Scene) -> Files:
    r, w = cells(s.right), cells(s.wrong)
    return csv(s, f"a,b\n{w}\n\n{r}\n{w}\n{w}\n", "row = 1")


def numeric_header(s: Scene) -> Files:
    """header = true makes a header of a row of numbers."""
    return csv(s, f"{cells(s.wrong)}\n{cells(s.right)}\n", "row = 0\nheader = true")


def header_by_itself(s: Scene) -> Files:
    r, w = cells(s.right), cells(s.wrong)
    if s.rng.random() < 0.5:
        return csv(s, f"{r}\n{w}\n", "row = 0")
    return csv(s, f"a,b\n{w}\n{r}\n", "row = 1")


def no_header(s: Scene) -> Files:
    return csv(s, f"{cells(s.right)}\n{cells(s.wrong)}\n", "row = 0\nheader = false")


def mark(s: Scene) -> Files:
    """A byte order mark is no part of the first cell, or name."""
    r, w = cells(s.right), cells(s.wrong)
    if s.rng.random() < 0.5:
        return csv(s, f"\ufeff{r}\n{w}\n", "row = 0")
    return csv(s, f"\ufefft,a,b\n7,{w}\n5,{r}\n", 'row = 1\ntarget = "t"')


def carriage_returns(s: Scene) -> Files:
    end = s.rng.choice(("\r", "\r\n"))
    return csv(s, end.join(["a,b", cells(s.wrong), cells(s.right), cells(s.wrong), ""]), "row = 1")


def quoted_line(s: Scene) -> Files:
    """A quoted cell may hold line ends, commas, quotes and blank lines."""
    cell = s.rng.choice(('"x\ny"', '"x\n\ny"', '"x\r\ny"', '"x, y"', '"x ""y"", z"', '"\n"'))
    rows = [f"{cell},{cells(s.wrong)}", f"{cell},{cells(s.right)}", f"u,{cells(s.wrong)}"]
    return csv(s, "t,a,b\n" + "\n".join(rows) + "\n", 'row = 1\ndrop = ["t"]')


def quoted_numbers(s: Scene) -> Files:
    r = ",".join(f'"{decimal(v)}"' for v in s.right)
    return csv(s, f'"a","b"\n{cells(s.wrong)}\n{r}\n', "row = 1")


def quoted_names(s: Scene) -> Files:
    """The column that is dropped is named `a,b`: b stays."""
    (p, q), u = s.right, s.wrong[0]
    table = f'"a,b",b,"c""d"\n{decimal(u)},{decimal(p)},{decimal(q)}\n'
    return csv(s, table, 'row = 0\ndrop = ["a,b"]')


def target_by_name(s: Scene) -> Files:
    """A name that is a number is no position."""
    (p, q), u = s.right, s.wrong[0]
    return csv(s, f"1,2,0\n{decimal(p)},{decimal(q)},{decimal(u)}\n",
               'row = 0\nheader = true\ntarget = "0"')


def target_by_place(s: Scene) -> Files:
    (p, q), u = s.right, s.wrong[0]
    return csv(s, f"1,2,0\n{decimal(p)},{decimal(u)},{decimal(q)}\n",
               "row = 0\nheader = true\ntarget = 1")


def numbers(s: Scene) -> Files:
    """Ways to write a number."""

    def shown(v: Fraction) -> str:
        text, sign = decimal(abs(v)), "-" if v < 0 else ""
        short = text.removeprefix("0")
        return sign + s.rng.choice((text, text + "e0", short, text + "E+00", f"{short}00"))

    cells_ = ",".join(map(shown, s.right))
    return csv(s, f"a,b\n{cells_}\n{cells(s.wrong)}\n", "row = 0")


def zipped(s: Scene) -> Files:
    text = f"a,b\n{cells(s.wrong)}\n{cells(s.right)}\n".encode()
    return csv(s, gzip.compress(text, mtime=0), "row = 1", "d.csv.gz")


def semicolons(s: Scene) -> Files:
    """No comma: one column; nothing else may be made of it."""
    text = "\n".join(";".join(decimal(v) for v in x) for x in (s.right, s.wrong)) + "\n"
    return csv(s, text, "row = 0")


def two_keys(s: Scene) -> Files:
    """`names` replace the header's: order and count are those of the columns that are left."""
    r, w = cells(s.right), cells(s.wrong)
    return csv(s, f"b,a\n{w}\n{r}\n", 'row = 1\nnames = ["a", "b"]')


# --- scales ---------------------------------------------------------------------------------


def unit_points(rng: R, size: int) -> tuple[Vector, Vector]:
    """Points in [0, 1] that a permutation of the columns turns into each other."""
    a = tuple(Fraction(rng.randint(0, 8), 8) for _ in range(size))
    return a, a[::-1]


def scaled(s: Scene, low: Vector, high: Vector) -> Vector:
    return tuple(v * (b - a) + a for v, a, b in zip(s.right, low, high))


LOW, HIGH = (Fraction(-2), Fraction(9)), (Fraction(6), Fraction(25))


def minmax(s: Scene, header: str, rows: list[Vector], more: str = "", before: str = "") -> Files:
    raw = scaled(s, LOW, HIGH)
    text = before + header + "".join(cells(r) + "\n" for r in rows)
    files = {"d.csv": f"a,b\n{cells(raw)}\n".encode(), "m.csv": text.encode()}
    table = f'data = "d.csv"\nrow = 0\nminmax_of = "m.csv"\n{more}'
    return Files(b"", spec(s, table), files)


def minmax_rows(s: Scene) -> Files:
    """The least and greatest as numbers: 9 is below 25 (and above as text)."""
    rows = [(LOW[0], HIGH[1]), (HIGH[0], LOW[1]), (Fraction(1), Fraction(10))]
    s.rng.shuffle(rows)
    return minmax(s, "a,b\n", rows, before=s.rng.choice(("", "\ufeff", "\n")))


def minmax_permuted(s: Scene) -> Files:
    """Columns in another order: by their names, or refused; taken by position it is `wrong`."""
    rows = [(LOW[1], HIGH[0]), (HIGH[1], LOW[0])]
    return minmax(s, "b,a\n", rows)


def permuted_points(rng: R, size: int) -> tuple[Vector, Vector]:
    """What a column scaled by the other's ends becomes."""
    a, _ = unit_points(rng, size)
    raw = [v * (h - lo) + lo for v, lo, h in zip(a, LOW, HIGH)]
    ends = list(zip(LOW, HIGH))[::-1]
    return a, tuple((v - lo) / (h - lo) for v, (lo, h) in zip(raw, ends))


def minmax_target(s: Scene) -> Files:
    """The label's column is left out of both files, wherever it is."""
    raw = scaled(s, LOW, HIGH)
    files = {"d.csv": f"a,b,t\n{cells(raw)},100\n".encode(),
             "m.csv": (f"a,b,t\n{cells((LOW[0], HIGH[1]))},-100\n"
                       f"{cells((HIGH[0], LOW[1]))},300\n").encode()}
    table = 'data = "d.csv"\nrow = 0\nminmax_of = "m.csv"\ntarget = "t"'
    return Files(b"", spec(s, table), files)


def scale(s: Scene) -> Files:
    raw = scaled(s, LOW, HIGH)
    low, high = (", ".join(decimal(v) for v in side) for side in (LOW, HIGH))
    table = f"point = [{', '.join(map(decimal, raw))}]\nscale = {{ min = [{low}], max = [{high}] }}"
    return Files(b"", spec(s, table))


# --- numpy ----------------------------------------------------------------------------------


def npy(array: Any, version: tuple[int, int] | None = None) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version=version)
    return out.getvalue()


def of_array(s: Scene, array: Any, table: str, version: tuple[int, int] | None = None) -> Files:
    return Files(b"", spec(s, f'data = "d.npy"\n{table}'), {"d.npy": npy(array, version)})


def whole_points(rng: R, size: int) -> tuple[Vector, Vector]:
    """Whole numbers below 128, and what their bytes say the other way round."""
    a = tuple(Fraction(rng.randint(1, 4)) for _ in range(size))
    return a, tuple(v * 256 for v in a)


def byte_order(s: Scene) -> Files:
    kind = s.rng.choice((">i2", "<i2"))
    values = [float(v) for v in s.right]
    return of_array(s, np.array([values, [0] * len(values)]).astype(kind), "row = 0")


def rows_of_array(s: Scene) -> Files:
    kind = s.rng.choice(("<f4", ">f4", "<f8", ">f8", "<f2"))
    values = np.array([[float(v) for v in x] for x in (s.wrong, s.right)]).astype(kind)
    version = s.rng.choice((None, (1, 0), (2, 0), (3, 0)))
    if s.rng.random() < 0.3:
        return of_array(s, values[1], "", version)
    return of_array(s, values, "row = 1", version)


def transposed_points(rng: R, size: int) -> tuple[Vector, Vector]:
    a, b, c = (point(rng, 1)[0] for _ in range(3))
    return (a, b), (a, c)


def columns_first(s: Scene) -> Files:
    """Fortran order: the first row is every second number of the file."""
    (a, b), (_, c) = s.right, s.wrong
    values = np.asfortranarray(np.array([[float(a), float(b)], [float(c), 0.0]]))
    return of_array(s, values, "row = 0")


KINDS = tuple(Kind("text", name, about(text, 2, points)) for name, text, points in (
    ("blank first line", blank_first, None), ("blank line between", blank_between, None),
    ("header of numbers", numeric_header, None), ("header or none", header_by_itself, None),
    ("header = false", no_header, None), ("byte order mark", mark, None),
    ("carriage returns", carriage_returns, None), ("quoted line ends", quoted_line, None),
    ("quoted numbers", quoted_numbers, None), ("quoted names", quoted_names, None),
    ("target by name", target_by_name, None), ("target by place", target_by_place, None),
    ("numbers", numbers, None), ("zipped data", zipped, None), ("semicolons", semicolons, None),
    ("names for a header", two_keys, None), ("minmax_of", minmax_rows, unit_points),
    ("minmax_of permuted", minmax_permuted, permuted_points),
    ("minmax_of and target", minmax_target, unit_points), ("scale", scale, unit_points),
    ("npy byte order", byte_order, whole_points), ("npy rows", rows_of_array, None),
    ("npy columns first", columns_first, transposed_points),
))
